//! Variants of cases: other spellings, other ways in.

use std::os::unix::fs::symlink;

use bulkhead_test_support::GitRepository;

use super::arena::Arena;
use crate::stage::{BULKHEAD, Stage, assert_error, each};

const PLAIN: &str = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n//- /src/main.rs\nfn main() {}\n";

/// Variants of attack 108: the linker's driver is told in variables where its programs are, which a script may not say to it, either.
#[test]
fn case_108_the_drivers_programs_are_not_those_of_a_script() {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    // The script makes its own `ld` beside what it made.
    let script = format!(
        "use std::os::unix::fs::PermissionsExt as _;\nfn main() {{\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
         for name in [\"ld\", \"collect2\", \"real-ld\"] {{\n        let path = format!(\"{{out}}/{{name}}\");\n        \
         std::fs::write(&path, \"#!/bin/sh\\necho x >> {}\\n\").unwrap();\n        \
         std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();\n    }}\n    \
         println!(\"cargo::rustc-env=COMPILER_PATH={{out}}/\");\n}}\n",
        arena.mark().display()
    );
    let macros = "#[proc_macro]\npub fn nothing(x: proc_macro::TokenStream) -> proc_macro::TokenStream { x }\n";
    let package = bulkhead_test_support::CrateBuilder::new("evil", "1.0.0").proc_macro().build_script(&script);
    arena.stage.registry.publish(package.file("src/lib.rs", format!("extern crate proc_macro;\n{macros}")));
    arena.cargo(&["build"]);
    assert!(arena.mark().exists(), "it bites under cargo");
    arena.clear();
    let outcome = arena.command(BULKHEAD, &["build"]).run();
    arena.assert_stopped(&outcome, 102, &["error[build-script-directive]", "evil v1.0.0", "COMPILER_PATH"]);
}

/// Variants of attack 2: links within a target folder, and other keys and spellings of a place that holds something else.
#[test]
fn case_002_clean_stays_in_the_folder_whatever_lies_in_it() {
    let stage = Stage::new(PLAIN);
    let important = stage.project.outside().join("important");
    std::fs::create_dir(&important).unwrap();
    std::fs::write(important.join("data"), "precious").unwrap();
    for (link, clean) in
        [("debug", &["clean"][..]), ("debug/incremental", &["clean", "-p", "app"]), ("debug/deps", &["clean"])]
    {
        stage.bulkhead(&["build"]).assert_success();
        let link = stage.project.path("target").join(link);
        std::fs::remove_dir_all(&link).unwrap();
        symlink(&important, &link).unwrap();
        stage.bulkhead(clean);
        assert_eq!(std::fs::read_to_string(important.join("data")).unwrap(), "precious", "{link:?}");
        let _ = std::fs::remove_dir_all(stage.project.path("target"));
    }
    let places = [
        "build-dir = \"../important\"",
        "build-dir = \"{workspace-root}/../important\"",
        "target-dir = \".\"",
        "target-dir = \"src\"",
        "target-dir = \".git\"",
        "target-dir = \"src/../../important\"",
    ];
    each(places, |place| {
        let stage = Stage::new(PLAIN);
        let important = stage.project.outside().join("important");
        std::fs::create_dir(&important).unwrap();
        std::fs::write(important.join("data"), "precious").unwrap();
        stage.project.write(".git/keep", "precious");
        stage.project.write(".cargo/config.toml", format!("[build]\n{place}\n"));
        let precious = ["../important/data", "src/main.rs", ".git/keep"];
        let lost = || precious.iter().filter(|path| !stage.project.path(path).exists()).count();
        stage.bulkhead(&["clean"]);
        assert_eq!(lost(), 0, "{place}");
        stage.cargo(&["clean"]);
        assert!(lost() > 0, "{place} does not bite under cargo");
    });
    // The twin: a folder of its own is cleaned, also where the configuration puts it.
    stage.project.write(".cargo/config.toml", "[build]\ntarget-dir = \"made\"\n");
    stage.bulkhead(&["build"]).assert_success();
    assert!(stage.project.path("made/debug").exists());
    stage.bulkhead(&["clean"]).assert_success();
    assert!(!stage.project.path("made/debug").exists());
}

/// Variants of attack 2: the marks of Cargo and of Bulkhead came along with the repository, in folders with the user's work in them.
#[test]
fn case_002_marks_that_came_along_make_no_folder_one_to_delete() {
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n\
               # For information about cache directory tags see https://bford.info/cachedir/\n";
    for place in ["src", "docs"] {
        for marker in ["CACHEDIR.TAG", ".bulkhead-target", "both"] {
            let stage = Stage::new(PLAIN);
            let root = format!("{}\n", stage.project.root().display());
            for (name, text) in [("CACHEDIR.TAG", tag), (".bulkhead-target", &root)] {
                if marker == name || marker == "both" {
                    stage.project.write(&format!("{place}/{name}"), text);
                }
            }
            stage.project.write("docs/chapter", "precious");
            stage.project.write(".cargo/config.toml", format!("[build]\ntarget-dir = \"{place}\"\n"));
            let lost = || ["src/main.rs", "docs/chapter"].iter().any(|path| !stage.project.path(path).exists());
            stage.bulkhead(&["build"]).assert_success();
            for clean in [&["clean"][..], &["clean", "--release"], &["clean", "-p", "app"]] {
                let refused = stage.bulkhead(clean);
                assert_error(&refused, 101, &["is not removed", "by hand"]);
                assert!(!lost(), "{place} {marker} {clean:?}: {refused}");
            }
            stage.cargo(&["clean"]);
            assert!(lost(), "{place} {marker} does not bite under cargo");
        }
    }
    // The twin: what was made by a build is deleted, also where the user moves the workspace and names the folder.
    let stage = Stage::new(PLAIN);
    stage.bulkhead(&["build", "--target-dir", "made"]).assert_success();
    let moved = stage.project.outside().join("moved");
    std::fs::rename(stage.project.root(), &moved).unwrap();
    std::fs::rename(&moved, stage.project.root()).unwrap();
    stage.bulkhead(&["clean", "--target-dir", "made"]).assert_success();
    assert!(!stage.project.path("made").exists());
    stage.cargo(&["build", "--target-dir", "theirs"]).assert_success();
    stage.bulkhead(&["build", "--target-dir", "theirs"]).assert_success();
    stage.bulkhead(&["clean", "--target-dir", "theirs"]).assert_success();
    assert!(!stage.project.path("theirs").exists());
}

/// Variants of attack 101: secrets under names that native builds need, and what is kept of a variable that a script only asks for.
#[test]
fn case_101_no_name_and_no_question_lets_a_secret_through() {
    let hidden = [
        ("OPENSSL_KEY", "s3cr3t-word"),
        ("SQLITE_KEY", "s3cr3t-word"),
        ("CMAKE_PASS", "s3cr3t-word"),
        ("VCPKG_BINARY_SOURCES", "x-azblob,https://store.example/c,sig=s3cr3t-word"),
        ("PKG_CONFIG_PATH", "https://me:s3cr3t-word@host.example/lib"),
        ("BINDGEN_EXTRA_CLANG_ARGS", "-DKEY=ghp_s3cr3tword0123456789abcdef"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t-word"),
        ("DATABASE_URL", "postgres://me:s3cr3t-word@host.example"),
    ];
    let asks = hidden.map(|(name, _)| format!("println!(\"cargo::rerun-if-env-changed={name}\");")).concat();
    let script = format!(
        "fn main() {{ {asks} for (name, value) in std::env::vars().filter(|(_, value)| value.contains(\"s3cr3t\")) {{ \
         println!(\"cargo::warning=saw {{name}} {{value}}\"); }} println!(\"cargo::warning=dir {{:?}}\", std::env::var_os(\"OPENSSL_DIR\")); }}"
    );
    let stage = Stage::new(&format!("{PLAIN}//- /build.rs\n{script}\n"));
    let build = |program: &str| {
        let command = stage.home.command(program).args(["build", "-vv"]).current_dir(stage.project.root());
        let command = hidden.iter().fold(command, |command, (name, value)| command.env(name, value));
        command.env("OPENSSL_DIR", "/opt/openssl").run()
    };
    let kept = || {
        let files = super::storage::files(&stage.project.path("target"), "", "");
        files.iter().any(|path| std::fs::read(path).unwrap().windows(11).any(|bytes| bytes == b"s3cr3t-word"))
    };
    let ours = build(BULKHEAD);
    ours.assert_success();
    assert!(!ours.output().contains("s3cr3t-word") && !ours.stderr.contains("saw ") && !kept(), "{ours}");
    // The twin: what is none is seen.
    assert!(ours.stderr.contains("dir Some(\"/opt/openssl\")"), "{ours}");
    for (name, _) in hidden {
        assert!(ours.stderr.contains(name), "{name} is not told of: {ours}");
    }
    stage.bulkhead(&["clean"]).assert_success();
    let theirs = build("cargo");
    let seen = hidden.iter().filter(|(name, _)| theirs.stderr.contains(&format!("saw {name} "))).count();
    assert!(seen == hidden.len() && kept(), "it bites under cargo: {theirs}");
}

/// Attack 63: a pipe in a folder of the project holds up nobody who looks at its files before anything is built.
#[test]
fn case_063_a_pipe_in_a_folder_holds_no_reader_up() {
    use std::os::unix::net::UnixListener;
    let stage = Stage::new(&format!("{PLAIN}//- /build.rs\nfn main() {{}}\n"));
    let digest = "0".repeat(64);
    let grant =
        format!("[[grant]]\npackage = \"app\"\ndigest = \"sha256:{digest}\"\nread = [\"/opt\"]\nreason = \"x\"\n");
    stage.project.write("bulkhead.toml", grant);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let _socket = UnixListener::bind(stage.project.path("socket")).unwrap();
    // The twin: nobody minds a socket.
    stage.bulkhead(&["review", "app"]).assert_success();
    let build = stage.bulkhead(&["build"]);
    assert_error(&build, 102, &["error[grant-digest]", "this is sha256:"]);
    let pipe = stage.project.path("notes");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let limit = std::time::Duration::from_secs(60);
    let review = stage.command(&["review", "app"]).timeout(limit).run();
    assert_error(&review, 101, &["notes", "neither a file nor a folder"]);
    // What cannot be read is no code that somebody has granted anything.
    assert_error(&stage.command(&["build"]).timeout(limit).run(), 102, &["error[grant-digest]"]);
}

/// Attack 1: names that are options, by flag and by manifest.
#[test]
fn case_001_no_name_is_an_option() {
    let stage = Stage::new(PLAIN);
    each(
        ["-p=-x", "--bin=-x", "--example=-o", "--features=-x", "--profile=-x", "--target=-x", "--config=-x"],
        |flag| {
            assert_error(&stage.bulkhead(&["build", flag]), 101, &["it begins with `-`"]);
        },
    );
    let references = [
        ("branch = \"--upload-pack=x\"", "must not begin with `-`"),
        ("tag = \"-x\"", "must not begin with `-`"),
        ("rev = \"-x\"", "must not begin with `-`"),
        ("rev = \"@{-1}\"", "must name one thing"),
        ("branch = \"a..b\"", "must name one thing"),
        ("tag = \"a:refs/heads/x\"", "is not allowed"),
        ("branch = \"a b\"", "is not allowed"),
        ("branch = \"a\\u0000b\"", "is not allowed"),
    ];
    each(references, |(reference, says)| {
        let dependency = format!("[dependencies]\nx = {{ git = \"https://127.0.0.1:1/x\", {reference} }}\n");
        stage.project.write(
            "Cargo.toml",
            PLAIN.split("//- ").nth(1).unwrap().trim_start_matches("/Cargo.toml\n").to_owned() + &dependency,
        );
        assert_error(&stage.bulkhead(&["generate-lockfile"]), 101, &["dependency (x)", says]);
    });
}

/// Variants of attack 1: a reference is an option to git where it stands among its arguments, and names a program.
#[test]
fn case_001_a_reference_does_not_start_a_program() {
    use std::os::unix::fs::PermissionsExt as _;
    let library =
        "//- /Cargo.toml\n[package]\nname = \"x\"\nversion = \"1.0.0\"\nedition = \"2021\"\n//- /src/lib.rs\n";
    let repository = GitRepository::new("x", library);
    let (program, mark) = (repository.outside().join("program"), repository.outside().join("mark"));
    std::fs::write(&program, format!("#!/bin/sh\necho x > {}\n", mark.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let option = format!("--upload-pack={}", program.display());
    let with = |reference: &str| {
        let dependency = format!("[dependencies]\nx = {{ git = \"{}\"{reference} }}\n", repository.url());
        Stage::new(&PLAIN.replace("//- /src", &format!("{dependency}//- /src")))
    };
    // What git does with such a word; `--` before it would not help where it is a reference.
    let stage = with("");
    let git = stage.home.command("git").args(["fetch", &repository.url(), &option]);
    git.current_dir(repository.root()).run();
    assert!(mark.exists(), "it bites");
    std::fs::remove_file(&mark).unwrap();
    for key in ["branch", "tag", "rev"] {
        let refused = with(&format!(", {key} = \"{option}\"")).bulkhead(&["fetch"]);
        assert_error(&refused, 101, &["dependency (x)", "must not begin with `-`"]);
    }
    assert!(!mark.exists());
    // The twin: a name that has the option within it is only a name.
    repository.git(&["branch", "x--upload-pack"]);
    with(", branch = \"x--upload-pack\"").bulkhead(&["fetch"]).assert_success();
}

/// Variants of attacks 10 and 25: a repository's file that is a link to what only the user can read is not shown to whoever reads the log.
#[test]
fn case_025_no_message_quotes_what_a_link_leads_to() {
    let arena = Arena::new("", "fn main() {}");
    let secret = arena.home().join(".ssh/id_ed25519").display().to_string();
    let (config, more) = (".cargo/config.toml", ".cargo/more.toml");
    let places: [(&str, &str, &str); 5] = [
        ("Cargo.toml", "", "Cargo.toml"),
        ("Cargo.lock", "", "Cargo.lock"),
        ("bulkhead.toml", "", "bulkhead.toml"),
        (config, "", "config.toml"),
        (more, "include = [\"more.toml\"]\n", "more.toml"),
    ];
    std::fs::create_dir(arena.stage.project.path(".cargo")).unwrap();
    let manifest = arena.stage.project.read("Cargo.toml");
    for (link, configuration, named) in places {
        let path = arena.stage.project.path(link);
        let _ = std::fs::remove_file(&path);
        if !configuration.is_empty() {
            arena.stage.project.write(config, configuration);
        }
        symlink(&secret, &path).unwrap();
        let outcome = arena.bulkhead(&["check"]);
        arena.assert_unharmed(&outcome);
        assert!(outcome.code() != Some(0) && outcome.stderr.contains(named), "{link}: {outcome}");
        if link != "bulkhead.toml" {
            let theirs = arena.cargo(&["check"]);
            assert!(theirs.stderr.contains("s3cr3t-"), "{link} does not bite under cargo: {theirs}");
        }
        // The twin: what stands in the file itself is quoted.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "not toml").unwrap();
        let quoted = arena.bulkhead(&["check"]);
        assert!(quoted.code() != Some(0) && quoted.stderr.contains("not toml"), "{link}: {quoted}");
        std::fs::remove_file(&path).unwrap();
        let _ = std::fs::remove_file(arena.stage.project.path(config));
        arena.stage.project.write("Cargo.toml", &manifest);
    }
}

/// Variants of attack 113: what a script may not leave is refused, and it is not in the way of the next one.
#[test]
fn case_113_what_a_script_may_not_leave_does_not_stay() {
    let arena = Arena::new("", "fn main() {}");
    let secret = arena.home().join(".ssh/id_ed25519").display().to_string();
    for (leaves, says) in [
        (format!("std::os::unix::fs::symlink({secret:?}, out).unwrap();"), "a link to"),
        (
            "assert!(std::process::Command::new(\"mkfifo\").arg(out).status().unwrap().success());".to_owned(),
            "neither a file",
        ),
    ] {
        let script = format!("fn main() {{ let out = std::env::var(\"OUT_DIR\").unwrap() + \"/left\"; {leaves} }}");
        arena.stage.project.write("build.rs", &script);
        let reads =
            "fn main() { print!(\"{}\", std::fs::read_to_string(concat!(env!(\"OUT_DIR\"), \"/left\")).is_ok()) }";
        arena.stage.project.write("src/main.rs", reads);
        // Under cargo the program that was built, or whoever packs what was, follows it.
        arena.cargo(&["build"]).assert_success();
        let left = super::storage::files(&arena.stage.project.path("target"), "left", "");
        let kept = left.iter().any(|path| !path.symlink_metadata().unwrap().is_file());
        assert!(kept, "{leaves} bites: {left:?}");
        arena.clear();
        let refused = arena.bulkhead(&["build"]);
        arena.assert_stopped(&refused, 101, &["OUT_DIR", says]);
        // The twin: an ordinary file of the same name, and nobody has to clean up first.
        arena.stage.project.write("build.rs", script.replace(&leaves, "std::fs::write(out, \"x\").unwrap();"));
        let outcome = arena.bulkhead(&["run"]);
        assert_eq!(outcome.assert_success().stdout, "true", "{outcome}");
        arena.clear();
    }
}

/// Variants of attack 113: links among the pages of documentation, which whoever publishes them would follow.
#[test]
fn case_113_no_link_stays_among_the_pages() {
    let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
    let secret = arena.home().join(".ssh/id_ed25519").display().to_string();
    let publish = |leaves: &str| {
        let source = format!(
            "#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n    \
             let words: Vec<String> = std::env::args().collect();\n    \
             if let Some(at) = words.iter().position(|word| word == \"-o\") {{ let page = words[at + 1].clone() + \"/page.html\"; {leaves} }}\n    \
             proc_macro::TokenStream::new() }}"
        );
        arena.stage.registry.remove("evil", "1.0.0");
        let package = bulkhead_test_support::CrateBuilder::new("evil", "1.0.0").proc_macro();
        arena.stage.registry.publish(package.file("src/lib.rs", source));
        let _ = std::fs::remove_dir_all(arena.stage.home.cargo_home().join("registry"));
        arena.clear();
    };
    let page = arena.stage.project.path("target/doc/page.html");
    for (leaves, says) in [
        (format!("std::os::unix::fs::symlink({secret:?}, page).unwrap();"), "a link to"),
        (format!("std::os::unix::fs::symlink(\"../../../../../../../../..{secret}\", page).unwrap();"), "a link to"),
        ("std::process::Command::new(\"mkfifo\").arg(page).status().unwrap();".to_owned(), "neither a file"),
    ] {
        publish(&leaves);
        arena.cargo(&["doc", "--no-deps"]).assert_success();
        assert!(!page.symlink_metadata().unwrap().is_file(), "it bites under cargo");
        publish(&leaves);
        let refused = arena.bulkhead(&["doc", "--no-deps"]);
        arena.assert_stopped(&refused, 101, &["page.html", says]);
        assert!(page.symlink_metadata().is_err(), "{refused}");
    }
    // The twin: a page, and a link to it.
    publish(
        "std::fs::write(&page, \"x\").unwrap(); std::os::unix::fs::symlink(\"page.html\", page + \".link\").unwrap();",
    );
    let outcome = arena.bulkhead(&["doc", "--no-deps"]);
    arena.assert_unharmed(outcome.assert_success());
    assert!(page.is_file());
}

/// Variants of attack 10: every file that commands write, as a link out, as a link that leads nowhere yet, and as a second name.
#[test]
fn case_010_no_file_is_written_through_a_link() {
    for name in ["Cargo.lock", "Cargo.toml"] {
        for exists in [true, false] {
            let stage = Stage::new(PLAIN);
            stage.bulkhead(&["generate-lockfile"]).assert_success();
            let target = stage.project.outside().join("target");
            if exists {
                std::fs::copy(stage.project.path(name), &target).unwrap();
            }
            std::fs::remove_file(stage.project.path(name)).unwrap();
            symlink(&target, stage.project.path(name)).unwrap();
            let before = std::fs::read(&target).ok();
            let commands = [&["add", "plain"][..], &["generate-lockfile"], &["update"], &["remove", "plain"]];
            for command in commands {
                stage.bulkhead(command);
                assert_eq!(std::fs::read(&target).ok(), before, "{name} {exists} {command:?}");
            }
            // A manifest that is not there cannot be edited by anybody.
            if exists || name == "Cargo.lock" {
                let bites = |command: &&[&str]| {
                    stage.cargo(command);
                    std::fs::read(&target).ok() != before
                };
                assert!(commands.iter().take(3).any(bites), "{name} {exists} does not bite under cargo");
            }
        }
        // A second name of a file elsewhere: the file is replaced, and the other name keeps what it was.
        let stage = Stage::new(PLAIN);
        stage.bulkhead(&["generate-lockfile"]).assert_success();
        let twin = stage.project.outside().join("twin");
        std::fs::hard_link(stage.project.path(name), &twin).unwrap();
        let before = std::fs::read(&twin).unwrap();
        stage.bulkhead(&["add", "plain"]).assert_success();
        assert_eq!(std::fs::read(&twin).unwrap(), before, "{name}");
    }
}
