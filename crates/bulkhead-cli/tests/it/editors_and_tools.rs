//! Editors and tools that know only `cargo`, given Bulkhead in its place: each is run for real where it is installed, and what
//! rust-analyzer asks is asked in any case.

use crate::stage::{BULKHEAD, Stage, Twins, WORKSPACE, each, skipped};
use bulkhead_test_support::{Home, Invocation, Outcome, toolchain_program};
use serde_json::{Value, json};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Where the program `name` is, or a line that says why the test is skipped.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let folders = std::env::split_paths(&path).chain(home.map(|home| home.join("bin")));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("`{name}` is not installed (`cargo install {name}`)"));
    }
    found
}

/// `program COMMAND ARGUMENTS`, where `program` finds the tool as its users' does.
fn with_tool(stage: &Stage, program: &str, tool: &Path, arguments: &[&str]) -> Invocation {
    let bin = toolchain_program("rustc").parent().unwrap().display().to_string();
    let path = format!("{}:{bin}:/usr/bin:/bin", tool.parent().unwrap().display());
    stage.home.command(program).args(arguments).current_dir(stage.project.root()).env("PATH", path)
}

/// Runs both programs with the tool and asserts equal exit codes; standard outputs come back without what differs by nature.
#[track_caller]
fn both(twins: &Twins, tool: &Path, arguments: &[&str]) -> [(Outcome, String); 2] {
    let sides = [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)];
    let answers = sides.map(|(stage, program)| {
        let outcome = with_tool(stage, program, tool, arguments).run();
        let text = without_hashes(&stage.neutral(&outcome.stdout));
        (outcome, text)
    });
    let [(theirs, _), (ours, _)] = &answers;
    assert!(ours.ends_as(theirs), "{arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
    answers
}

/// The text with each hash of a unit (16 hexadecimal digits behind a hyphen) replaced.
pub(crate) fn without_hashes(text: &str) -> String {
    let mut parts = text.split('-');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        result.push('-');
        result.push_str(&if digits == 16 { format!("HASH{}", &part[16..]) } else { part.to_owned() });
    }
    result
}

#[test]
fn nextest_lists_archives_and_runs_the_same_tests() {
    let Some(tool) = installed("cargo-nextest") else { return };
    let twins = Twins::new(WORKSPACE);
    let [(_, theirs), (_, ours)] = both(&twins, &tool, &["nextest", "list", "--message-format", "json-pretty"]);
    assert_eq!(ours, theirs);
    assert!(ours.contains("program_is_there"), "{ours}");
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "--no-fail-fast", "--cargo-quiet"]);
    assert!(run.stderr.contains("3 tests run: 3 passed"), "{run}");
    // A test that fails gives nextest's own code, not Bulkhead's.
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "-p", "library", "--features", "library/broken"]);
    run.assert_code(100);
    both(&twins, &tool, &["nextest", "archive", "--archive-file", "tests.tar.zst"]);
    let [_, (run, _)] = both(&twins, &tool, &["nextest", "run", "--archive-file", "tests.tar.zst"]);
    assert!(run.stderr.contains("3 tests run: 3 passed"), "{run}");
}

/// Attack 5 and a benign twin: nextest asks Bulkhead for everything, so that code which it builds is confined.
#[test]
fn what_nextest_builds_is_confined() {
    let Some(tool) = installed("cargo-nextest") else { return };
    let stage = Stage::new(WORKSPACE);
    let secret = stage.home.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let script = format!("fn main() {{ std::fs::read({secret:?}).map(drop).expect_err(\"it was read\"); }}\n");
    std::fs::write(stage.project.path("library/build.rs"), script).unwrap();
    let run = |program| with_tool(&stage, program, &tool, &["nextest", "run", "-p", "library"]).run();
    assert!(run("cargo").assert_code(100 + 1).stderr.contains("it was read"));
    run(BULKHEAD).assert_success();
}

#[test]
fn coverage_is_measured_by_llvm_cov() {
    let Some(tool) = installed("cargo-llvm-cov") else { return };
    let libraries = toolchain_program("rustc").parent().unwrap().with_file_name("lib");
    if !libraries.join("rustlib/x86_64-unknown-linux-gnu/bin/llvm-profdata").is_file() {
        return skipped("the toolchain has no llvm-tools (`rustup component add llvm-tools`)");
    }
    let twins = Twins::new(WORKSPACE);
    let [_, (ours, _)] = both(&twins, &tool, &["llvm-cov", "--workspace", "--json", "--output-path", "coverage.json"]);
    assert!(ours.stderr.contains("target/llvm-cov-target/debug"), "{ours}");
    let covered = |stage: &Stage| {
        let text = std::fs::read_to_string(stage.project.path("coverage.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let files = report["data"][0]["files"].as_array().unwrap().clone();
        let files =
            files.into_iter().map(|file| (stage.neutral(file["filename"].as_str().unwrap()), file["summary"].clone()));
        files.collect::<Vec<_>>()
    };
    let (ours, theirs) = (covered(&twins.bulkhead), covered(&twins.cargo));
    assert!(ours.iter().any(|(name, _)| name.contains("library/src/lib.rs")), "{ours:#?}");
    assert_eq!(ours, theirs);
}

#[test]
fn hack_runs_every_combination_of_features() {
    let Some(tool) = installed("cargo-hack") else { return };
    let twins = Twins::new(WORKSPACE);
    let [_, (ours, _)] = both(&twins, &tool, &["hack", "check", "--workspace", "--feature-powerset"]);
    assert!(ours.stderr.contains("(4/4)"), "{ours}");
}

/// It asks for `metadata`; advisories would need the network.
#[test]
fn deny_judges_the_same_graph() {
    let Some(tool) = installed("cargo-deny") else { return };
    let twins = Twins::new(WORKSPACE);
    let rules = "[bans]\ndeny = [\"native-sys\"]\n[licenses]\nallow = [\"MIT\"]\nprivate = { ignore = true }\n";
    twins.both(|stage| std::fs::write(stage.project.path("deny.toml"), rules).unwrap());
    let check = ["deny", "--format", "json", "check", "bans", "licenses", "sources"];
    let [(theirs, _), (ours, _)] = both(&twins, &tool, &check);
    assert!(ours.stderr.contains("native-sys"), "{ours}");
    let lines = |stage: &Stage, outcome: &Outcome| {
        let mut lines: Vec<_> = comparable(stage, &outcome.stderr).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&twins.bulkhead, &ours), lines(&twins.cargo, &theirs));
}

/// What rust-analyzer 1.95 asks, in its order, with the variables that it sets; `LIBRARY` is its view of the standard library.
#[test]
fn expand_shows_what_macros_made() {
    let Some(tool) = installed("cargo-expand") else { return };
    let twins = Twins::new(WORKSPACE);
    for arguments in [&["expand", "-p", "app"][..], &["expand", "-p", "library", "--lib", "--tests"]] {
        let [(_, theirs), (_, ours)] = both(&twins, &tool, arguments);
        assert!(ours == theirs && ours.contains("fn "), "{arguments:?}: {ours}");
    }
}

#[test]
fn questions_of_rust_analyzer_are_answered_as_by_cargo() {
    const BOOTSTRAP: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");
    const NIGHTLY: (&str, &str) = ("__CARGO_TEST_CHANNEL_OVERRIDE_DO_NOT_USE_THIS", "nightly");
    const NONE: (&str, &str) = ("UNRELATED", "1");
    let host = "x86_64-unknown-linux-gnu";
    let twins = Twins::new(WORKSPACE);
    twins.run(&["generate-lockfile"]);
    let questions: [(_, &[&str]); 11] = [
        (NONE, &["locate-project", "--workspace", "--manifest-path", "Cargo.toml"]),
        (BOOTSTRAP, &["-Z", "unstable-options", "config", "get", "build", "--format", "toml", "--show-origin"]),
        (BOOTSTRAP, &["config", "get", "env", "--format", "json", "-Zunstable-options"]),
        (NONE, &["metadata", "--format-version", "1", "--no-deps", "--filter-platform", host]),
        (NONE, &["metadata", "--format-version", "1", "--filter-platform", host]),
        (NIGHTLY, &["rustc", "-Z", "unstable-options", "--print", "cfg", "--target", host, "-p", "app", "--", "-O"]),
        (
            BOOTSTRAP,
            &["rustc", "-Zunstable-options", "--print", "target-spec-json", "-p", "app", "--", "-Zunstable-options"],
        ),
        (BOOTSTRAP, &["rustc", "-Zunstable-options", "--print", "nonsense", "-p", "app"]),
        (NONE, &["rustc", "-Zunstable-options", "--print", "cfg", "-p", "app"]),
        (
            NIGHTLY,
            &[
                "check",
                "--quiet",
                "--workspace",
                "--message-format=json",
                "--keep-going",
                "--compile-time-deps",
                "-Zunstable-options",
            ],
        ),
        (NONE, &["check", "--quiet", "--workspace", "--message-format=json", "--keep-going", "--all-targets"]),
    ];
    each(questions, |((name, value), arguments)| {
        let ask = |stage: &Stage, program: &str| {
            let outcome = stage.home.command(program).args(*arguments).current_dir(stage.project.root());
            let outcome = outcome.env(name, value).run();
            let mut lines: Vec<_> = comparable(stage, &outcome.stdout).lines().map(str::to_owned).collect();
            lines.sort();
            (outcome, lines)
        };
        let ((theirs, left), (ours, right)) = (ask(&twins.cargo, "cargo"), ask(&twins.bulkhead, BULKHEAD));
        assert!(ours.ends_as(&theirs), "cargo: {theirs}\nbulkhead: {ours}");
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        assert_eq!(only(&right, &left), only(&left, &right), "{arguments:?}");
    });
}

/// Standard output without what differs by nature: hashes, and where packages of the registry are kept.
fn comparable(stage: &Stage, text: &str) -> String {
    let text = without_hashes(&stage.neutral(text));
    let mut parts = text.split("[HOME]");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (path, rest) = part.split_at(part.find('"').unwrap_or(part.len()));
        result.extend(["[HOME]", &path[path.rfind('/').unwrap_or(0)..], rest]);
    }
    result
}

/// rust-analyzer resolves in a copy of the lockfile, so that the user's is not written to while somebody types.
#[test]
fn a_copy_of_the_lockfile_is_used_where_rust_analyzer_names_one() {
    let twins = Twins::new(WORKSPACE);
    let ask = |stage: &Stage, program: &str, file: &str, arguments: &[&str]| {
        let path = stage.project.path(file);
        let run = stage.home.command(program).args(arguments).current_dir(stage.project.root());
        run.env("RUSTC_BOOTSTRAP", "1").env("CARGO_RESOLVER_LOCKFILE_PATH", path).run()
    };
    let metadata = ["metadata", "--format-version", "1", "-Zunstable-options", "-Zlockfile-path"];
    twins.both(|stage| std::fs::create_dir(stage.project.path("copy")).unwrap());
    for (stage, program) in [(&twins.cargo, "cargo"), (&twins.bulkhead, BULKHEAD)] {
        ask(stage, program, "copy/Cargo.lock", &metadata).assert_success();
        assert!(!stage.project.path("Cargo.lock").exists() && stage.project.path("copy/Cargo.lock").exists());
        let outcome = ask(stage, program, "copy/other.lock", &metadata);
        assert!(outcome.assert_code(101).stderr.contains("must be a path to a Cargo.lock file"), "{outcome}");
        // Without the flag the variable says nothing.
        ask(stage, program, "copy/other.lock", &["generate-lockfile"]).assert_success();
        let read = |file: &str| std::fs::read_to_string(stage.project.path(file)).unwrap();
        assert_eq!(read("copy/Cargo.lock"), read("Cargo.lock"));
    }
}

#[test]
fn unstable_flags_are_refused_whatever_the_environment_says() {
    let stage = Stage::new(WORKSPACE);
    let refused = |flag: &str, bootstrap: &str, message: &str| {
        let outcome = stage.command(&["check", "-Z", flag]).env("RUSTC_BOOTSTRAP", bootstrap).run();
        assert!(outcome.assert_code(101).stderr.contains(message), "{outcome}");
    };
    refused("unstable-options", "0", "only accepted on the nightly channel");
    refused("build-std", "1", "Bulkhead follows stable Cargo and knows no `-Z build-std`");
}

/// A project in which a function comes from a proc macro, a constant from a build script, and an error will be made.
const EDITED: &str = r#"
//- /Cargo.toml
[package]
name = "edited"
version = "0.1.0"
edition = "2021"
[dependencies]
derive-it = "0.3"
native-sys = "1"
//- /build.rs
fn main() {
    println!("cargo::rustc-check-cfg=cfg(built)");
    println!("cargo::rustc-cfg=built");
}
//- /src/main.rs
#[derive(derive_it::Hello)]
struct Named;
#[cfg(built)]
const BUILT: u8 = native_sys::GENERATED;
fn main() {
    let _word = Named::hello();
    let _number = BUILT;
    let fine: u8 = 1;
}
"#;

/// rust-analyzer, which speaks its protocol over pipes.
struct Editor {
    server: Child,
    messages: Receiver<Value>,
    seen: Vec<Value>,
}

impl Editor {
    /// Starts it with a `cargo` that notes how it is called and becomes Bulkhead.
    fn start(program: &Path, home: &Home, root: &Path, calls: &Path) -> Editor {
        let bin = home.path().join("bin");
        std::fs::create_dir_all(bin.join("real")).unwrap();
        symlink(BULKHEAD, bin.join("real/cargo")).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n",
            calls.display(),
            bin.join("real/cargo").display()
        );
        std::fs::write(bin.join("cargo"), script).unwrap();
        std::fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let toolchain = toolchain_program("rustc").parent().unwrap().display().to_string();
        let mut server = Command::new(program)
            .env_clear()
            .env("HOME", home.path())
            .env("CARGO_HOME", home.cargo_home())
            .env("BULKHEAD_HOME", home.bulkhead_home())
            .env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1")
            .env("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE", "0")
            .env("PATH", format!("{}:{toolchain}:/usr/bin:/bin", bin.display()))
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || while receive(&mut output).is_some_and(|message| sender.send(message).is_ok()) {});
        Editor { server, messages, seen: Vec::new() }
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let input = self.server.stdin.as_mut().unwrap();
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        input.flush().unwrap();
    }

    fn notify(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks, and waits for the answer.
    fn ask(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait_for(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The first message, of those that came or will come, of which `wanted` is true. Questions are answered with nothing.
    #[track_caller]
    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.seen.iter().find(|message| wanted(message)) {
                return found.clone();
            }
            let message = self.messages.recv_timeout(Duration::from_secs(120));
            let message = message.unwrap_or_else(|error| panic!("{error}; so far: {:#?}", self.seen));
            if message.get("method").is_some() && message.get("id").is_some() {
                self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": null }));
            }
            self.seen.push(message);
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// One message with its header; nothing at the end.
fn receive(output: &mut impl std::io::BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            length = text.trim().parse().ok()?;
        } else if line.trim().is_empty() {
            break;
        }
    }
    let mut bytes = vec![0; length];
    output.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[test]
fn rust_analyzer_knows_generated_code_and_shows_errors_of_the_compiler() {
    let program = toolchain_program("rust-analyzer");
    if !program.is_file() {
        return skipped("the toolchain has no rust-analyzer (`rustup component add rust-analyzer`)");
    }
    let stage = Stage::new(EDITED);
    let calls = stage.home.path().join("calls");
    let mut editor = Editor::start(&program, &stage.home, stage.project.root(), &calls);
    let root = format!("file://{}", stage.project.root().display());
    let file = format!("{root}/src/main.rs");
    let capabilities = json!({ "experimental": { "serverStatusNotification": true } });
    let options = json!({ "cachePriming": { "enable": false }, "numThreads": 1 });
    let start = json!({ "rootUri": root, "capabilities": capabilities, "initializationOptions": options });
    editor.ask(1, "initialize", &start);
    editor.notify("initialized", &json!({}));
    let path = stage.project.path("src/main.rs");
    let text = std::fs::read_to_string(&path).unwrap();
    let document = json!({ "uri": file, "languageId": "rust", "version": 1, "text": text });
    editor.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    let ready = editor
        .wait_for(|message| message["method"] == "experimental/serverStatus" && message["params"]["quiescent"] == true);
    assert_eq!(ready["params"]["health"], "ok", "{ready}");
    // A mistake is made and saved.
    let text = text.replace("fine: u8 = 1", "fine: u8 = \"text\"");
    std::fs::write(&path, &text).unwrap();
    let version = json!({ "uri": file, "version": 2 });
    let changes = json!({ "textDocument": version, "contentChanges": [{ "text": text }] });
    editor.notify("textDocument/didChange", &changes);
    editor.notify("textDocument/didSave", &json!({ "textDocument": { "uri": file } }));
    // What rustc says, by way of `check --message-format=json`.
    let shown = editor.wait_for(|message| {
        message["method"] == "textDocument/publishDiagnostics" && message.to_string().contains("mismatched types")
    });
    assert!(shown["params"]["uri"].as_str().unwrap().ends_with("/src/main.rs"), "{shown}");
    // The type of what a proc macro has made, and a constant that is there because of what a build script has said.
    let mut hover = |id, line: u64, character: u64| {
        let position = json!({ "line": line, "character": character });
        editor
            .ask(id, "textDocument/hover", &json!({ "textDocument": { "uri": file }, "position": position }))
            .to_string()
    };
    let (word, number) = (hover(2, 5, 9), hover(3, 6, 20));
    assert!(word.contains("&'static str") || word.contains("&str"), "{word}");
    assert!(number.contains("const BUILT: u8"), "{number}");
    let calls = std::fs::read_to_string(&calls).unwrap();
    for part in ["metadata --format-version 1", "config get", "check --quiet --workspace --message-format=json"] {
        assert!(calls.contains(part), "{calls}");
    }
}
