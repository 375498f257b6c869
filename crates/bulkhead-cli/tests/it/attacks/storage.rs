//! What lies on the disk between two commands, and who else writes there (cases 5, 75 and 122 to 129).

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_test_support::{CrateBuilder, Snapshot};

use super::arena::Arena;

fn package(name: &str, version: &str) -> CrateBuilder {
    CrateBuilder::new(name, version).file("src/lib.rs", "pub fn new() {}\n")
}

/// A script at `path` that leaves the mark.
fn plant(arena: &Arena, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(path);
    std::fs::write(path, format!("#!/bin/sh\necho {} > {}\n", path.display(), arena.mark().display())).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Files below `folder` whose name begins and ends so.
pub(super) fn files(folder: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = pending.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if name.starts_with(start) && name.ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// Folders below `folder` with this name, as far as paths lead.
pub(super) fn folders(folder: &Path, name: &str) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = pending.pop() {
        let entries = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
        pending.extend(entries.filter(|path| path.is_dir()));
        if path.ends_with(name) {
            found.push(path);
        }
    }
    found
}

/// Variants of attack 5: a build script makes itself a subcommand; so does the repository.
#[test]
fn case_005_nobody_becomes_a_subcommand() {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    let cargo_home = arena.stage.home.cargo_home();
    let script = format!(
        "fn main() {{ let folder = {:?}; let _ = std::fs::create_dir_all(folder); \
         let _ = std::fs::write(format!(\"{{folder}}/cargo-evil\"), \"x\"); }}",
        cargo_home.join("bin").display().to_string()
    );
    arena.stage.registry.publish(package("evil", "1.0.0").build_script(&script));
    arena.bulkhead(&["build"]).assert_success();
    assert!(!cargo_home.join("bin").exists(), "nothing was written");
    arena.cargo(&["build"]).assert_success();
    assert!(!cargo_home.join("bin/cargo-evil").exists() || std::fs::remove_dir_all(cargo_home.join("bin")).is_ok());
    // Where the repository put them, and where everybody may write, nothing is looked for.
    for name in ["cargo-evil", "bulkhead-evil", "cargo-build", "bulkhead-verify", "bulkhead-verif"] {
        for folder in ["target/debug", ".", "bin"] {
            plant(&arena, &arena.stage.project.path(folder).join(name));
        }
    }
    let root = arena.stage.project.root().display().to_string();
    let path = format!("{root}/target/debug:.::bin:{root}/bin:/usr/bin:/bin");
    for command in ["evil", "build", "verify", "verif"] {
        let outcome = arena.command(crate::stage::BULKHEAD, &[command]).env("PATH", &path).run();
        assert!(!arena.mark().exists(), "{command}: {outcome}");
    }
    let theirs = arena.command("cargo", &["evil"]).env("PATH", &path).run();
    assert!(arena.mark().exists(), "it bites under cargo: {theirs}");
}

/// While a package with many files is unpacked, somebody puts links where its folders are.
#[test]
fn case_075_links_that_appear_while_unpacking_lead_nowhere() {
    let arena = Arena::new("crowd = \"1\"", "fn main() {}");
    let crowd = (0..3000).fold(package("crowd", "1.0.0"), |it, index| it.file(&format!("src/{index}.rs"), "// x"));
    arena.stage.registry.publish(crowd);
    let canary = arena.outside().join("neighbour");
    let before = Snapshot::of(&canary);
    let store = arena.stage.home.bulkhead_home().join("store");
    let stop = AtomicBool::new(false);
    let swapped = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut swapped = 0;
            while !stop.load(Ordering::Relaxed) {
                swapped += usize::from(swap(&store, &canary));
            }
            swapped
        });
        for _ in 0..3 {
            arena.bulkhead(&["fetch"]);
        }
        stop.store(true, Ordering::Relaxed);
        attacker.join().unwrap()
    });
    assert!(swapped > 0, "the attacker was never in time");
    assert_eq!(Snapshot::of(&canary).changes_since(&before), Vec::<String>::new());
    // Nobody is left in a broken state.
    arena.bulkhead(&["fetch"]).assert_success();
    let outcome = arena.bulkhead(&["build"]);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
}

/// Puts a link to `canary` in the place of each `src` that is found below `folder`.
fn swap(folder: &Path, canary: &Path) -> bool {
    let (mut swapped, mut pending) = (false, vec![folder.to_owned()]);
    while let Some(path) = pending.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() != "src" {
                pending.push(path);
                continue;
            }
            if let Some(parent) = path.parent() {
                let _ = std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755));
            }
            if std::fs::rename(&path, path.with_extension("away")).is_ok() {
                swapped |= symlink(canary, &path).is_ok();
            }
        }
    }
    swapped
}

/// Programs and libraries under `target` are exchanged between two builds, times kept.
#[test]
fn cases_122_and_128_programs_that_were_exchanged_under_target_are_not_run() {
    let arena = Arena::new("evil = \"1\"\nmaker = \"1\"", "fn main() { evil::new(); maker::make!(); }");
    let maker = "use proc_macro::TokenStream;\n#[proc_macro]\npub fn make(_: TokenStream) -> TokenStream { TokenStream::new() }";
    arena.stage.registry.publish(package("maker", "1.0.0").proc_macro().file("src/lib.rs", maker));
    let script = "fn main() { println!(\"cargo::rerun-if-env-changed=CC\"); }";
    arena.stage.registry.publish(package("evil", "1.0.0").build_script(script));
    arena.bulkhead(&["build"]).assert_success();
    let target = arena.stage.project.path("target");
    let scripts = [files(&target, "build-script-build", ""), files(&target, "build_script_build-", "")].concat();
    let scripts: Vec<_> = scripts.iter().filter(|path| path.extension().is_none()).collect();
    assert!(!scripts.is_empty());
    for path in scripts {
        let modified = path.metadata().unwrap().modified().unwrap();
        let length = path.metadata().unwrap().len();
        plant(&arena, path);
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_len(length).unwrap();
        file.set_modified(modified).unwrap();
    }
    for path in files(&target, "libmaker-", ".so") {
        let (length, modified) = (path.metadata().unwrap().len(), path.metadata().unwrap().modified().unwrap());
        std::fs::write(&path, vec![0; usize::try_from(length).unwrap()]).unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    }
    arena.stage.project.edit("src/main.rs", "evil::new();", "evil::new(); evil::new();");
    let outcome = arena.command(crate::stage::BULKHEAD, &["build"]).env("CC", "cc").run();
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
}

/// A clone brings a whole `target` along, made elsewhere from other sources.
#[test]
fn case_128_a_target_folder_that_came_along_is_not_believed() {
    let evil = Arena::new("", "fn main() { println!(\"the wrong program\") }");
    evil.bulkhead(&["build"]).assert_success();
    let arena = Arena::new("", "fn main() { println!(\"the right program\") }");
    let folders = [&evil, &arena].map(|arena| arena.stage.project.path("target"));
    assert!(std::process::Command::new("cp").arg("-a").args(folders).status().unwrap().success());
    // Sources look older than everything under `target`.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for path in ["src/main.rs", "Cargo.toml", "Cargo.lock"] {
        if let Ok(file) = std::fs::File::options().append(true).open(arena.stage.project.path(path)) {
            file.set_modified(long_ago).unwrap();
        }
    }
    let outcome = arena.bulkhead(&["run"]);
    assert_eq!(outcome.assert_success().stdout, "the right program\n", "{outcome}");
}

/// Variants of attack 128: the object code that compilers keep from one build to the next was made elsewhere, from other sources than those beside it.
#[test]
fn case_128_what_compilers_remember_that_came_along_is_not_taken_over() {
    const MAIN: &str = "fn main() { println!(\"good\") }\n";
    let arena = Arena::new("", MAIN);
    let folder = arena.stage.project.path("target/debug/incremental");
    // Builds with code of another source in the place of what is remembered of this one.
    let poison = |build: &dyn Fn()| {
        arena.stage.project.write("src/main.rs", MAIN.replace("good", "evil"));
        build();
        let theirs = files(&folder, "", ".o").into_iter().map(|path| (path.file_name().unwrap().to_owned(), path));
        let theirs: Vec<_> = theirs.map(|(name, path)| (name, std::fs::read(path).unwrap())).collect();
        arena.clear();
        arena.stage.project.write("src/main.rs", MAIN);
        build();
        let ours = files(&folder, "", ".o");
        let counterpart = |path: &Path| theirs.iter().find(|(name, _)| Some(&**name) == path.file_name());
        let exchanged = ours.iter().filter_map(|path| counterpart(path).map(|(_, code)| std::fs::write(path, code)));
        assert!(exchanged.count() > 0, "{ours:?}");
        arena.stage.project.write("src/main.rs", format!("{MAIN}// Changed.\n"));
    };
    poison(&|| {
        arena.cargo(&["build"]).assert_success();
    });
    assert_eq!(arena.cargo(&["run"]).stdout, "evil\n", "it bites under cargo");
    arena.clear();
    poison(&|| {
        arena.bulkhead(&["build"]).assert_success();
    });
    // Another installation has another secret.
    std::fs::remove_file(arena.stage.home.bulkhead_home().join("trust/installation")).unwrap();
    let outcome = arena.bulkhead(&["run"]);
    assert_eq!(outcome.assert_success().stdout, "good\n", "{outcome}");
}

/// Variants of attack 122: a compiled library is exchanged for another of the same name, times kept: it does not become part of the program.
#[test]
fn case_122_a_library_that_was_exchanged_is_not_linked() {
    let build = |word: &str| {
        let arena = Arena::new("words = \"1\"", "fn main() { println!(\"{}\", words::say()) }");
        let source = format!("pub fn say() -> &'static str {{ \"{word}\" }}\n");
        arena.stage.registry.publish(CrateBuilder::new("words", "1.0.0").file("src/lib.rs", source));
        arena.bulkhead(&["build"]).assert_success();
        arena
    };
    let (evil, arena) = (build("evil"), build("good"));
    for ending in [".rlib", ".rmeta"] {
        let theirs = files(&evil.stage.project.path("target"), "libwords-", ending);
        let ours = files(&arena.stage.project.path("target"), "libwords-", ending);
        assert_eq!((theirs.len(), ours.len()), (1, 1));
        let modified = ours[0].metadata().unwrap().modified().unwrap();
        let _ = std::fs::remove_file(&ours[0]);
        std::fs::copy(&theirs[0], &ours[0]).unwrap();
        std::fs::set_permissions(&ours[0], std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::File::options().append(true).open(&ours[0]).unwrap().set_modified(modified).unwrap();
    }
    arena.stage.project.edit("src/main.rs", "fn main()", "// changed\nfn main()");
    let outcome = arena.bulkhead(&["run"]);
    assert_eq!(outcome.assert_success().stdout, "good\n", "{outcome}");
}

/// What compilers remember of one member is there for a macro that another member uses: rustc would take object code from it,
/// also when the macro is long gone.
#[test]
fn case_122_a_macro_cannot_reach_what_compilers_remember_of_other_units() {
    let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
    let folder = arena.stage.project.path("target/debug/incremental");
    let source = format!(
        "#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ spoil({:?}.as_ref()); \
         proc_macro::TokenStream::new() }}\nfn spoil(folder: &std::path::Path) {{ \
         for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {{ let path = entry.path(); \
         if path.is_dir() {{ spoil(&path) }} else if path.to_string_lossy().contains(\"other\") {{ \
         let _ = std::fs::write(path, \"spoilt\"); }} }} }}\n",
        folder.display().to_string()
    );
    arena.stage.registry.publish(CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source));
    arena.stage.project.edit("Cargo.toml", "[dependencies]", "[workspace]\nmembers = [\"other\"]\n[dependencies]");
    arena
        .stage
        .project
        .write("other/Cargo.toml", "[package]\nname = \"other\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    arena.stage.project.write("other/src/lib.rs", "pub fn said() -> u8 { 7 }\n");
    let spoilt = || {
        let remembered = files(&folder, "", ".bin").into_iter().chain(files(&folder, "", ".o"));
        let remembered: Vec<_> = remembered.filter(|path| path.to_string_lossy().contains("other")).collect();
        assert!(remembered.len() > 2, "{remembered:?}");
        remembered.iter().any(|path| std::fs::read(path).unwrap() == b"spoilt")
    };
    for packages in [&["build", "-p", "other"], &["build", "-p", "app"]] {
        arena.cargo(packages).assert_success();
    }
    assert!(spoilt(), "it bites under cargo");
    arena.clear();
    for packages in [&["build", "-p", "other"], &["build", "-p", "app"]] {
        arena.bulkhead(packages).assert_success();
    }
    assert!(!spoilt());
    // It is used all the same: the next compiler takes over what did not change.
    arena.stage.project.edit("other/src/lib.rs", "7", "8");
    arena.bulkhead(&["build", "-p", "other"]).assert_success();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "one folder for each unit, again");
}

/// A compiler's outputs and what it remembers are its own, and lie where it can link object code from the one to the other:
/// a macro, which does what rustc does there, finds no border between them, and nothing is left of it afterwards.
#[test]
fn compilers_link_what_they_remember() {
    let arena = Arena::new("links = \"1\"", "links::new!(); fn main() {}");
    let source = "#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n\
                  let words: Vec<String> = std::env::args().collect();\n\
                  let remembered = words.iter().find_map(|word| word.strip_prefix(\"incremental=\")).unwrap();\n\
                  let outputs = &words[words.iter().position(|word| word == \"--out-dir\").unwrap() + 1];\n\
                  let [from, to] = [remembered, outputs].map(|folder| std::path::Path::new(folder).join(\"mine.o\"));\n\
                  std::fs::write(&from, \"\").unwrap();\n\
                  let linked = std::fs::hard_link(&from, &to);\n\
                  [from, to].map(|path| std::fs::remove_file(path).ok());\n\
                  linked.unwrap();\nproc_macro::TokenStream::new() }\n";
    arena.stage.registry.publish(CrateBuilder::new("links", "1.0.0").proc_macro().file("src/lib.rs", source));
    arena.bulkhead(&["build"]).assert_success();
    let left = files(&arena.stage.project.path("target/debug"), "", "").into_iter();
    let outputs: Vec<_> = left.filter(|path| path.components().any(|part| part.as_os_str() == "outputs")).collect();
    assert!(outputs.is_empty(), "{outputs:?}");
    assert!(arena.stage.project.path("target/debug/app").exists());
}

/// Every file of a target folder that came along is a pipe, on which whoever opens it waits for ever, or leads to a device
/// without an end.
#[test]
fn case_128_a_target_folder_of_pipes_and_devices_holds_nobody_up() {
    for pipes in [true, false] {
        let arena = Arena::new("evil = \"1\"", "fn main() { evil::new(); println!(\"good\") }");
        arena.stage.registry.publish(package("evil", "1.0.0").build_script("fn main() {}"));
        arena.bulkhead(&["build"]).assert_success();
        let target = arena.stage.project.path("target");
        // What the compiler remembers is its own business: it waits, confined, until it is interrupted or its time is up.
        let ours =
            |path: &Path| !path.ends_with(".bulkhead-target") && !path.starts_with(target.join("debug/incremental"));
        for path in files(&target, "", "").iter().filter(|path| ours(path)) {
            std::fs::remove_file(path).unwrap();
            match pipes {
                true => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
                false => symlink("/dev/zero", path).unwrap(),
            }
        }
        let limit = std::time::Duration::from_secs(60);
        for arguments in [&["build"][..], &["check"], &["run"], &["clean"]] {
            let outcome = arena.command(crate::stage::BULKHEAD, arguments).timeout(limit).run();
            arena.assert_unharmed(&outcome);
        }
        // Where only Cargo's tag says whose the folder is.
        std::fs::create_dir_all(&target).unwrap();
        symlink("/dev/zero", target.join("CACHEDIR.TAG")).unwrap();
        let outcome = arena.command(crate::stage::BULKHEAD, &["clean"]).timeout(limit).run();
        arena.assert_unharmed(&outcome);
        assert!(target.exists(), "it is not known to be a target folder: {outcome}");
        std::fs::remove_dir_all(&target).unwrap();
        assert_eq!(arena.bulkhead(&["run"]).assert_success().stdout, "good\n");
    }
}

/// What a repository may bring along as a link to where only the user may write, and what is then run. The build and the
/// packages are harmless: all that counts is where things are written and removed.
const LINKS: [(&str, &str, &[&str]); 15] = [
    ("target", "", &["build"]),
    ("target", "", &["check"]),
    ("target", "", &["doc"]),
    ("target", "", &["clean"]),
    ("target/debug", "", &["build"]),
    ("target/debug", "", &["test"]),
    ("target/debug/deps", "", &["build"]),
    ("target/debug/build", "", &["build"]),
    ("target/debug/.fingerprint", "", &["build"]),
    ("target/debug/incremental", "", &["build"]),
    ("target/debug/examples", "", &["build", "--examples"]),
    ("target/debug/.cargo-lock", "/new-lock", &["build"]),
    ("target/debug/.bulkhead-lock", "/new-lock", &["build"]),
    ("target/doc", "", &["doc"]),
    ("elsewhere", "", &["build", "--config", "build.jobs=1"]),
];

/// Attack 10.
#[test]
fn case_103_links_below_target_are_not_followed() {
    for (path, inner, arguments) in LINKS {
        let arena = Arena::new("scripted = \"1\"", "fn main() {}");
        arena.stage.registry.publish(package("scripted", "1.0.0").build_script("fn main() {}"));
        arena.stage.project.write("examples/shown.rs", "fn main() {}");
        if path == "elsewhere" {
            arena.stage.project.write(".cargo/config.toml", "[build]\ntarget-dir = \"elsewhere/x\"\n");
        }
        let link = arena.stage.project.path(path);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(format!("{}/neighbour{inner}", arena.outside().display()), &link).unwrap();
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        assert_ne!(outcome.code(), Some(0), "{path}: {outcome}");
        assert!(outcome.stderr.contains("link") || outcome.stderr.contains(path), "{path}: {outcome}");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "{path}: {outcome}");
        // Cargo has no lock of this name.
        if arguments[0] != "clean" && !path.ends_with("/.bulkhead-lock") {
            arena.cargo(arguments);
            let changes = Snapshot::of(arena.outside()).changes_since(arena.before());
            assert!(!changes.is_empty(), "{path}: cargo follows the link");
        }
        // The twin: without the link all is well, and nobody has to clean up first.
        std::fs::remove_file(&link).unwrap();
        let _ = std::fs::remove_dir_all(arena.stage.project.path("target"));
        arena.bulkhead(arguments).assert_success();
    }
}

/// A user may name a folder that is a link.
#[test]
fn case_103_a_link_that_the_user_names_is_followed() {
    let arena = Arena::new("", "fn main() {}");
    let disk = arena.stage.project.outside().join("disk");
    std::fs::create_dir(&disk).unwrap();
    symlink(&disk, arena.stage.project.path("target")).unwrap();
    arena.bulkhead(&["build"]).assert_code(101);
    arena.bulkhead(&["build", "--target-dir", "target"]).assert_success();
    std::fs::remove_dir_all(disk.join("debug")).unwrap();
    arena.command(crate::stage::BULKHEAD, &["build"]).env("CARGO_TARGET_DIR", "target").run().assert_success();
    assert!(disk.join("debug/app").exists());
}

/// Attack 2: a link within a folder that `clean` takes for its own leads to what is not.
#[test]
fn case_002_clean_does_not_reach_through_links() {
    let arena = Arena::new("", "fn main() {}");
    let important = arena.outside().join("neighbour");
    arena.bulkhead(&["build"]).assert_success();
    let target = arena.stage.project.path("target");
    for (link, name) in [("debug", "src"), ("x86_64-unknown-linux-gnu", "neighbour"), ("doc", "")] {
        let _ = std::fs::remove_dir_all(target.join(link));
        symlink(if name == "neighbour" { arena.outside() } else { &important }, target.join(link)).unwrap();
    }
    for arguments in [
        &["clean", "-p", "src", "--profile", "dev"][..],
        &["clean", "-p", "lib", "--profile", "dev"],
        &["clean", "-p", "neighbour", "--target", "x86_64-unknown-linux-gnu"],
        &["clean", "--target", "x86_64-unknown-linux-gnu", "--profile", "dev"],
        &["clean", "--target", "../.."],
        &["clean", "--target", "../../neighbour"],
        &["clean", "--target", "/var"],
        &["clean", "--profile", "../../neighbour"],
        &["clean", "-p", "../neighbour"],
        &["clean", "--doc"],
        &["clean", "--release"],
        &["clean"],
    ] {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
    }
}
