//! Other spellings of what a repository may not choose, other places of the same files, other commands that come across them
//! (variants of the cases 8, 14, 19, 20, 24 and 25).

use std::os::unix::fs::{PermissionsExt as _, symlink};

use bulkhead_test_support::{CrateBuilder, Outcome};

use super::arena::Arena;
use crate::stage::{BULKHEAD, assert_error, each};

/// What programs of the repository say.
const RAN: &str = "the project's program ran";
const CONFIG: &str = ".cargo/config.toml";

/// A project with programs in `tools` that leave the mark, say so, and go on with what they are called for.
fn arena() -> Arena {
    let arena = Arena::new("", "fn main() {}");
    let programs = [("wrapper", "exec \"$@\""), ("linker", "exec cc \"$@\"")];
    for (name, then) in programs {
        let path = format!("tools/{name}");
        let text = format!("#!/bin/sh\necho x > {} 2>/dev/null\necho \"{RAN}\" >&2\n{then}\n", arena.mark().display());
        arena.stage.project.write(&path, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(arena.stage.project.path(&path), mode).unwrap();
    }
    arena
}

/// The files of `arena`'s project, with `{W}` and `{L}` for programs of its own, each as a string of TOML.
fn write(arena: &Arena, files: &[(&str, &str)]) {
    let program = |name: &str| arena.stage.project.path("tools").join(name).display().to_string();
    for (path, text) in files {
        match text.strip_prefix("link to ") {
            Some(target) => {
                let path = arena.stage.project.path(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                symlink(target, path).unwrap();
            }
            None => {
                let text =
                    text.replace("{W}", &format!("\"{}\"", program("wrapper"))).replace("{L}", &program("linker"));
                arena.stage.project.write(path, text);
            }
        }
    }
}

/// Bites under cargo; Bulkhead does its work, starts nothing of the project's, and names the key; once somebody trusts the
/// files as they are, the program runs.
fn check(command: &str, folder: &str, files: &[(&str, &str)], key: &str, works_trusted: bool) {
    let arena = arena();
    write(&arena, files);
    let folder = arena.stage.project.path(folder);
    let run =
        |program: &str, arguments: &[&str]| -> Outcome { arena.command(program, arguments).current_dir(&folder).run() };
    let ours = run(BULKHEAD, &[command]);
    arena.assert_unharmed(ours.assert_success());
    assert!(!ours.output().contains(RAN) && ours.stderr.contains(key), "{ours}");
    if works_trusted {
        run(BULKHEAD, &["trust", "--yes"]).assert_success();
        arena.clear();
        let trusted = run(BULKHEAD, &[command]);
        // What it says as the linker is not shown; that it cannot leave its mark is told.
        let ran = trusted.output().contains(RAN) || trusted.stderr.contains("marks/MARK");
        assert!(ran, "a trusted program runs: {trusted}");
    }
    arena.clear();
    let theirs = run("cargo", &[command]);
    assert!(arena.mark().exists(), "it does not bite under cargo: {theirs}");
}

/// Variants of attacks 19 and 25.
#[test]
fn case_019_no_spelling_and_no_place_makes_a_key_act() {
    let wrapper = "[build]\nrustc-wrapper = {W}\n";
    let spelt = [
        "build.rustc-wrapper = {W}\n",
        "[\"build\"]\n'rustc-wrapper' = {W}\n",
        "[\"b\\u0075ild\"]\n\"rustc\\u002dwrapper\" = {W}\n",
        "build = { rustc-wrapper = {W} }\n",
        "[ build ]\r\nrustc-wrapper={W}\r\n",
        "[build]\nrustc-wrapper = \"tools/wrapper\"\n",
        "\u{feff}[build]\nrustc-workspace-wrapper = \"\"\"\ntools/\\\n    wrapper\"\"\"\n",
    ];
    each(spelt, |text| check("check", "", &[(CONFIG, text)], "`build.rustc-w", true));
    let places: [(&str, &[(&str, &str)]); 7] = [
        ("", &[(".cargo/config", wrapper)]),
        ("", &[(CONFIG, "include = [\"more.toml\"]\n"), (".cargo/more.toml", wrapper)]),
        ("", &[(CONFIG, "include = [{ path = \"../set/more.toml\", optional = true }]\n"), ("set/more.toml", wrapper)]),
        ("", &[("settings/x.toml", wrapper), (CONFIG, "link to ../settings/x.toml")]),
        ("", &[("settings/config.toml", wrapper), (".cargo", "link to settings")]),
        ("src", &[("src/.cargo/config.toml", wrapper)]),
        ("src", &[(".cargo/config", wrapper), ("src/.cargo/config.toml", "[term]\nverbose = true\n")]),
    ];
    each(places, |(folder, files)| {
        // What is included, or lies behind a link, is trusted by its own name.
        let is_plain = files.len() == 1 || folder == &"src";
        check("check", folder, files, "`build.rustc-wrapper`", is_plain);
    });
}

/// Variants of attack 20.
#[test]
fn case_020_no_spelling_of_a_flag_chooses_a_linker() {
    let flags = [
        "[build]\nrustflags = \"-C linker={L}\"\n",
        "[build]\nrustflags = [\"-C\", \"linker={L}\"]\n",
        "[build]\nrustflags = [\"--codegen=linker={L}\"]\n",
        "build.rustflags = [\"--codegen\", \"linker={L}\"]\n",
        "[build]\nrustflags = [\"--cfg\", \"x\", \"-Clinker={L}\"]\n",
        "[target.'cfg(all())']\nrustflags = [\"-Clinker={L}\"]\n",
        "target.\"cfg(unix)\".rustflags = \"-Clinker={L}\"\n",
    ];
    each(flags, |text| check("build", "", &[(CONFIG, text)], "rustflags`", true));
    let arguments = [
        ("[build]\nrustflags = [\"@tools/arguments\"]\n", ""),
        ("[build]\nrustflags = [\"--cfg\", \"@tools/arguments\"]\n", "x\n"),
    ];
    each(arguments, |(text, first)| {
        let content = format!("{first}-Clinker={{L}}\n");
        check("build", "", &[(CONFIG, text), ("tools/arguments", &content)], "rustflags`", false);
    });
}

/// Variants of attack 24: the proxy of a repository, however it is spelt.
#[test]
fn case_024_no_spelling_of_a_proxy_is_heard() {
    let spelt = [
        "[http]\nproxy = \"127.0.0.1:{P}\"\n",
        "http.proxy = \"http://127.0.0.1:{P}\"\n",
        "\"http\" = { \"prox\\u0079\" = \"http://127.0.0.1:{P}\" }\n",
        "include = [\"more.toml\"]\n",
    ];
    each(spelt, |text| {
        let arena = Arena::new("plain = \"1\"", "fn main() {}");
        let port = arena.canaries.tcp_port().to_string();
        arena.stage.project.write(CONFIG, text.replace("{P}", &port));
        arena.stage.project.write(".cargo/more.toml", format!("[http]\nproxy = \"http://127.0.0.1:{port}\"\n"));
        let fetch = |program: &str| {
            let limit = std::time::Duration::from_secs(5);
            arena
                .stage
                .home
                .command(program)
                .args(["fetch"])
                .current_dir(arena.stage.project.root())
                .timeout(limit)
                .run()
        };
        let ours = fetch(BULKHEAD);
        arena.assert_unharmed(ours.assert_success());
        assert!(ours.stderr.contains("`http.proxy`") && ours.stderr.contains("user-level only"), "{ours}");
        fetch("cargo");
        assert_eq!(arena.canaries.touched(), ["tcp"], "it bites under cargo");
    });
    // The twin: the user's own proxy is in force.
    let arena = Arena::new("plain = \"1\"", "fn main() {}");
    arena.stage.home.configure("[http]\nproxy = \"http://proxy.example:8080\"\n");
    let shown = arena.stage.bulkhead(&["config", "get", "http.proxy"]);
    assert_eq!(shown.assert_success().stdout, "http.proxy = \"http://proxy.example:8080\"\n");
}

/// Variants of attack 8: further commands that only look, or only write what the user asks for.
#[test]
fn case_008_no_command_that_looks_starts_anything() {
    let arena = arena();
    let keys = "[build]\nrustc = {W}\nrustc-wrapper = {W}\nrustc-workspace-wrapper = {W}\nrustdoc = {W}\n\
                [doc]\nbrowser = {W}\n[alias]\nlook = \"run\"\n[target.'cfg(all())']\nrunner = {W}\n";
    let toolchain = format!("[toolchain]\npath = \"{}\"\n", arena.stage.project.path("tools").display());
    write(&arena, &[(CONFIG, keys)]);
    arena.cargo(&["metadata", "--format-version", "1"]);
    assert!(arena.mark().exists(), "it bites under cargo");
    arena.clear();
    let commands: [&[&str]; 24] = [
        &["generate-lockfile"],
        &["locate-project"],
        &["pkgid"],
        &["read-manifest"],
        &["verify-project"],
        &["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"],
        &["tree", "--target", "all", "-e", "features"],
        &["config", "get"],
        &["config", "explain", "build.rustc"],
        &["trust", "--list"],
        &["trust", "--diff"],
        &["trust"],
        &["grants", "list"],
        &["approve", "--list"],
        &["review", "app"],
        &["review", "plain"],
        &["sandbox", "show", "app"],
        &["explain", "app"],
        &["info", "plain"],
        &["search", "plain"],
        &["add", "plain"],
        &["update", "--dry-run"],
        &["remove", "plain"],
        &["clean", "--dry-run"],
    ];
    each(commands, |arguments| {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        assert!(!outcome.output().contains(RAN), "{outcome}");
    });
    // The same beside a file that chooses a toolchain of the repository's.
    arena.stage.project.write("rust-toolchain.toml", toolchain);
    for arguments in [&["metadata", "--format-version", "1"][..], &["tree"], &["pkgid"], &["build"]] {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        assert!(!outcome.output().contains(RAN), "{outcome}");
    }
}

/// Variants of attack 14: sources of a downloaded package elsewhere, by every key that names one and every spelling of a way out.
#[test]
fn case_014_no_spelling_of_a_path_leads_out_of_a_package() {
    let outside = "pub fn say() -> &'static str { \"from outside\" } pub fn main() {}";
    let keys =
        [("[lib]\npath = ", "lib.path"), ("build = ", "package.build"), ("[[bin]]\nname = \"x\"\npath = ", "bin")];
    let paths = ["{OUT}", "../outside.rs", "src/../../outside.rs", "./.././outside.rs", "src//..//..//outside.rs"];
    for (key, named) in keys {
        each(paths, |path| {
            let arena = Arena::new("evil = \"1\"", "fn main() {}");
            let absolute = arena.stage.project.outside().join("outside.rs").display().to_string();
            std::fs::write(&absolute, outside).unwrap();
            let line = format!("{key}\"{}\"\n", path.replace("{OUT}", &absolute));
            let manifest = format!("[package]\nname = \"evil\"\nversion = \"1.0.0\"\nedition = \"2021\"\n{line}");
            let package = CrateBuilder::new("evil", "1.0.0").file("Cargo.toml", manifest);
            arena
                .stage
                .registry
                .publish(package.file("src/lib.rs", "pub fn say() -> &'static str { \"from inside\" }"));
            let refused = arena.bulkhead(&["build"]);
            arena.assert_unharmed(&refused);
            assert_ne!(refused.code(), Some(0), "{refused}");
            assert_error(&refused, refused.code().unwrap(), &["evil", named]);
            assert!(!arena.stage.project.path("target/debug").exists(), "{refused}");
            if named == "bin" {
                return;
            }
            // What lies beside the packages of cargo's cache is compiled.
            arena.cargo(&["fetch"]);
            let sources = arena.stage.home.cargo_home().join("registry/src");
            for folder in std::fs::read_dir(sources).unwrap() {
                std::fs::write(folder.unwrap().path().join("outside.rs"), outside).unwrap();
            }
            let theirs = arena.cargo(&["build"]);
            assert_eq!(theirs.code(), Some(0), "it bites under cargo: {theirs}");
        });
    }
    // The twin: other names and folders, as long as they are the package's own.
    let arena = Arena::new("good = \"1\"", "fn main() { print!(\"{}\", good::say()) }");
    let manifest = "[package]\nname = \"good\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"make/../make/it.rs\"\n\
                    [lib]\npath = \"./code/lib.rs\"\n";
    let package = CrateBuilder::new("good", "1.0.0").file("Cargo.toml", manifest).file("make/it.rs", "fn main() {}");
    arena.stage.registry.publish(package.file("code/lib.rs", "pub fn say() -> &'static str { \"from inside\" }"));
    assert_eq!(arena.bulkhead(&["run"]).assert_success().stdout, "from inside");
}
