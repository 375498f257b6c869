//! Words of others on the user's terminal (cases 160 to 165): whatever it is that somebody else chose, no byte of it is obeyed
//! and no line of it can be taken for one of Bulkhead's own.

use bulkhead_test_support::{CrateBuilder, Fault, GitRepository, Invocation, Misbehaviour};

use crate::stage::Stage;

/// What a terminal obeys, or what makes people read something else than there is.
const PAYLOADS: [&str; 8] = [
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]52;c;b3duZWQ=\u{7}",
    "\u{1b}[2J\u{1b}[1;1H",
    "\u{1b}Pq\u{1b}\\",
    "\u{9b}2J\u{9d}0;owned\u{9c}",
    "\rerror: forged\u{8}\u{7f}",
    "\u{202e}\u{2066}\u{200d}\u{feff}",
    "\u{e0041}\u{ad}\u{3164}",
];

const APP: &str = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
    evil = \"1\"\n//- /src/lib.rs\n";

/// `text` as a string of TOML, JSON and, but for tags, Rust.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// `text` as the literal of a Rust program that prints it.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.escape_unicode())
}

/// Asserts that of what a terminal showed nothing but our own colours and progress lines is obeyed. `\r` comes before a
/// progress line is drawn anew, and after it.
#[track_caller]
fn assert_tame(command: Invocation, what: &str) -> String {
    let outcome = command.env("TERM", "xterm-256color").terminal().run();
    assert!(outcome.code().is_some() && !outcome.timed_out, "{what}: {outcome}");
    let shown = outcome.stdout.clone();
    let mut text = String::new();
    let mut rest = shown.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let sequence =
            rest.strip_prefix('[').map(|body| body.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        match sequence.and_then(|end| end.strip_prefix(['m', 'K'])) {
            Some(after) => rest = after,
            None => panic!("{what}: a sequence is obeyed: {rest:?}\n{shown:?}"),
        }
    }
    text.push_str(rest);
    assert!(!text.contains("\rerror: forged"), "{what}: a line is forged: {shown:?}");
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\r' || is_invisible(c);
    assert!(!text.contains(obeyed), "{what}: {shown:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{what}: a line is forged: {shown:?}");
    assert!(outcome.code() == Some(0) || !text.trim().is_empty(), "{what}: nothing is said");
    shown
}

fn is_invisible(c: char) -> bool {
    "\u{202e}\u{2066}\u{200d}\u{feff}\u{e0041}\u{ad}\u{3164}".contains(c)
}

/// The terminal obeys what cargo passes on, and the check notices it.
#[test]
fn case_160_cargo_passes_on_what_the_terminal_obeys() {
    let stage = Stage::new(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\n\"\\u001b]0;owned\\u0007\" = 1\n//- /src/lib.rs\n",
    );
    let theirs = stage.home.command("cargo").args(["check"]).current_dir(stage.project.root());
    let obeyed = std::panic::catch_unwind(|| assert_tame(theirs, "cargo"));
    assert!(obeyed.is_err(), "it bites under cargo");
    let shown = assert_tame(stage.command(&["check"]), "an unknown key");
    assert!(shown.contains("\\u{1b}]0;owned\\u{7}"), "{shown}");
}

/// Everything that a registry can say: descriptions, licences, authors, names, errors, headers, bodies.
#[test]
fn case_160_what_registries_say_is_shown_and_not_obeyed() {
    let payload = &*PAYLOADS.concat();
    let stage = Stage::new(APP);
    let text = quoted(payload);
    let package = CrateBuilder::new("evil", "1.0.0").file(
        "Cargo.toml",
        format!(
            "[package]\nname = \"evil\"\nversion = \"1.0.0\"\nedition = \"2021\"\ndescription = {text}\nauthors = [{text}]\n\
             license = {text}\nhomepage = {text}\nrepository = {text}\nkeywords = [{text}]\nunused = {text}\n{text} = 1\n"
        ),
    );
    stage.registry.publish(package);
    assert_tame(stage.command(&["info", "evil"]), "a description");
    assert_tame(stage.command(&["metadata", "--format-version", "1"]), "metadata");
    assert_tame(stage.command(&["tree", "--format", "{p} {l} {r}"]), "a licence in a tree");
    assert_tame(stage.command(&["build"]), "a build");
    // An index entry with everything wrong.
    let entry = format!(
        "{{\"name\":\"evil\",\"vers\":\"1.9.0\",\"cksum\":\"{}\",\"features\":{{{text}:[{text}]}},\"deps\":[{{\"name\":{text},\
         \"req\":{text},\"features\":[{text}],\"registry\":{text}}}],\"links\":{text}}}",
        "0".repeat(64)
    );
    for field in [&entry, &entry.replace("\"1.9.0\"", &text), &entry.replace("\"evil\"", &text)] {
        let stage = Stage::new(APP);
        stage.registry.publish_index_line("evil", field);
        assert_tame(stage.command(&["generate-lockfile"]), "an index entry");
    }
    let body = format!("{{\"errors\":[{{\"detail\":{text}}}]}}");
    let location = format!("http://127.0.0.1:9/{payload}").replace(['\r', '\n'], "");
    for misbehaviour in [
        Misbehaviour::Replace(payload.as_bytes().to_vec()),
        Misbehaviour::Replace(body.into_bytes()),
        Misbehaviour::StatusWithHeader(302, "location", location),
    ] {
        let stage = Stage::new(APP);
        stage.registry.fault(Fault::on("/", misbehaviour.clone()));
        assert_tame(stage.command(&["generate-lockfile"]), "an answer");
        assert_tame(stage.command(&["info", "evil"]), "an answer");
    }
}

/// What build code says: scripts, macros, compilers that quote the source.
#[test]
fn cases_160_and_161_what_build_code_says_is_shown_and_not_obeyed() {
    let payload = &*PAYLOADS.concat();
    let literal = literal(payload);
    let says = format!(
        "fn main() {{ println!(\"cargo::warning={{}}\", {literal}); println!(\"cargo::error={{}}\", {literal}); \
         println!(\"{{}}\", {literal}); eprintln!(\"{{}}\", {literal}); }}"
    );
    let fails = format!("fn main() {{ println!(\"cargo::warning={{}}\", {literal}); panic!(\"{{}}\", {literal}) }}");
    let directive = format!("fn main() {{ println!(\"cargo::{{}}={{}}\", {literal}, {literal}) }}");
    for (index, script) in [says, fails, directive].into_iter().enumerate() {
        let stage = Stage::new(APP);
        stage.registry.publish(CrateBuilder::new("evil", "1.0.0").build_script(&script));
        let shown = assert_tame(stage.command(&["build", "-vv"]), &format!("build script {index}"));
        assert!(shown.contains("evil v1.0.0"), "{shown}");
        assert_tame(stage.command(&["build", "--message-format", "json"]), "messages as JSON");
    }
    let stage = Stage::new(&format!(
        "{APP}#[deprecated(note = {literal})]\npub fn old() {{}}\npub fn user() {{ old(); evil::fail!(); }}\n// {}\n",
        payload.replace(['\r', '\u{202e}', '\u{2066}'], "")
    ));
    let source = format!(
        "#[proc_macro]\npub fn fail(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ eprintln!(\"{{}}\", {literal}); \
         println!(\"{{}}\", {literal}); panic!(\"{{}}\", {literal}) }}"
    );
    stage.registry.publish(CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source));
    assert_tame(stage.command(&["check"]), "a macro");
    assert_tame(stage.command(&["check", "--message-format", "json"]), "a macro's messages as JSON");
    assert_tame(stage.command(&["check", "--message-format", "short"]), "a macro's short messages");
}

/// Variants of attack 161: lines of a macro that look like Bulkhead's own.
#[test]
fn case_161_what_a_macro_prints_does_not_pass_for_ours() {
    let lines =
        ["error: forged", "warning: forged", "   Compiling forged", "    Finished forged", "error[E0001]: forged"];
    let stage = Stage::new(&format!("{APP}evil::say!();\n"));
    let source = format!(
        "#[proc_macro]\npub fn say(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ for line in {lines:?} {{ \
         eprintln!(\"{{line}}\"); println!(\"{{line}}\"); }} proc_macro::TokenStream::new() }}"
    );
    stage.registry.publish(CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source));
    let forged = |line: &str| lines.contains(&line);
    let theirs = stage.cargo(&["check"]);
    assert!(theirs.assert_success().output().lines().any(forged), "it bites under cargo: {theirs}");
    for arguments in [&["check"][..], &["check", "-v"], &["check", "-vv"], &["build"]] {
        let _ = std::fs::remove_dir_all(stage.project.path("target"));
        let ours = stage.bulkhead(arguments);
        assert!(!ours.assert_success().output().lines().any(forged), "{arguments:?}: {ours}");
        assert!(ours.output().contains("forged"), "{arguments:?}: {ours}");
    }
}

/// What a repository says: manifests, lockfiles, configuration, names of files and folders, references of git.
#[test]
fn cases_160_and_162_what_a_repository_says_is_shown_and_not_obeyed() {
    let payload = &*PAYLOADS.concat();
    let text = quoted(payload);
    let commands: [&[&str]; 4] = [&["check"], &["metadata", "--format-version", "1"], &["tree"], &["verify-project"]];
    for (what, file, content) in [
        ("an unknown key", "Cargo.toml", format!("[package]\nname = \"app\"\nversion = \"0.1.0\"\n{text} = {text}\n")),
        (
            "an unknown table",
            "Cargo.toml",
            format!("[package]\nname = \"app\"\nversion = \"0.1.0\"\n[{text}]\nx = 1\n"),
        ),
        ("a name", "Cargo.toml", format!("[package]\nname = {text}\nversion = \"0.1.0\"\n")),
        ("a version", "Cargo.toml", format!("[package]\nname = \"app\"\nversion = {text}\nedition = {text}\n")),
        ("a feature", "Cargo.toml", format!("[package]\nname = \"app\"\n[features]\n{text} = [{text}]\n")),
        ("a dependency", "Cargo.toml", format!("[package]\nname = \"app\"\n[dependencies]\n{text} = {text}\n")),
        ("a git address", "Cargo.toml", format!("[package]\nname = \"app\"\n[dependencies]\na = {{ git = {text} }}\n")),
        ("a path", "Cargo.toml", format!("[package]\nname = \"app\"\n[dependencies]\na = {{ path = {text} }}\n")),
        ("a member", "Cargo.toml", format!("[workspace]\nmembers = [{text}]\n")),
        ("a target", "Cargo.toml", format!("[package]\nname = \"app\"\n[[bin]]\nname = {text}\npath = {text}\n")),
        ("a broken line", "Cargo.toml", format!("[package]\nname = \"app\" {payload}\n")),
        ("a comment", "Cargo.toml", format!("[package]\nname = \"app\"\nversion = \"1\" # {payload}\n")),
        (
            "a lockfile",
            "Cargo.lock",
            format!("version = 4\n[[package]]\nname = {text}\nversion = {text}\nsource = {text}\n"),
        ),
        (
            "a configuration",
            ".cargo/config.toml",
            format!("[build]\nrustc = {text}\n[alias]\n{text} = {text}\n[{text}]\n"),
        ),
        ("a toolchain", "rust-toolchain.toml", format!("[toolchain]\nchannel = {text}\n")),
        ("a toolchain's folder", "rust-toolchain.toml", format!("[toolchain]\npath = {text}\n")),
        ("a policy", "bulkhead.toml", format!("[[grant]]\npackage = {text}\nreason = {text}\n[{text}]\n")),
        ("pins", "bulkhead.lock", format!("version = 1\n[[registry]]\nindex = {text}\nnames = [{text}]\n")),
    ] {
        let stage = Stage::new(&APP.replace("evil = \"1\"\n", ""));
        stage.project.write(file, content);
        for command in commands {
            assert_tame(stage.command(command), what);
        }
    }
}

/// Names of files and folders, and what is typed.
#[test]
fn cases_160_and_162_names_and_arguments_are_shown_and_not_obeyed() {
    let payload = &*PAYLOADS.concat();
    let stage = Stage::new(&APP.replace("evil = \"1\"\n", ""));
    let name = payload.replace('/', "_");
    stage.project.write(&format!("src/bin/{name}.rs"), "fn main() { let unused = 1; }");
    stage.project.write(&format!("{name}/Cargo.toml"), "[package]\nname = \"inner\"\nversion = 1\n[workspace]\n");
    for command in [&["check"][..], &["metadata", "--format-version", "1"], &["tree"]] {
        assert_tame(stage.command(command), "a file's name");
        let inner = stage.command(command).current_dir(stage.project.path(&name));
        assert_tame(inner, "the workspace's folder");
    }
    for arguments in [
        &[payload][..],
        &["build", payload],
        &["build", "-p", payload],
        &["build", "--features", payload],
        &["build", "--profile", payload],
        &["build", "--target", payload],
        &["build", "--manifest-path", payload],
        &["build", "--config", payload],
        &["build", &format!("--{payload}")],
        &["add", payload],
        &["add", "a", "--git", payload],
        &["add", "a", "--registry", payload],
        &["remove", payload],
        &["update", payload],
        &["explain", payload],
        &["help", payload],
        &["new", payload],
        &["tree", "--format", payload],
        &["config", "get", payload],
        &["completions", payload],
        &["trust", payload],
    ] {
        assert_tame(stage.command(arguments), &format!("{arguments:?}"));
    }
    let variable = stage.command(&["check"]).env("CARGO_BUILD_JOBS", payload).env("RUSTFLAGS", payload);
    assert_tame(variable, "variables");
}

/// What a git server and a repository's references say.
#[test]
fn case_160_what_git_says_is_shown_and_not_obeyed() {
    let manifest = "//- /Cargo.toml\n[package]\nname = \"evil\"\nversion = \"1.0.0\"\n//- /src/lib.rs\n";
    let repository = GitRepository::new("evil", manifest);
    let payload = &*PAYLOADS.concat();
    let text = quoted(payload);
    let fields = ["branch", "tag", "rev"].map(|key| format!("git = \"{}\", {key} = {text}", repository.url()));
    let address = format!("git = {}", quoted(&format!("{}/{payload}", repository.url())));
    for fields in fields.iter().chain([&address]) {
        let stage = Stage::new(APP);
        stage.project.edit("Cargo.toml", "\"1\"", &format!("{{ {fields} }}"));
        assert_tame(stage.command(&["generate-lockfile"]), fields);
    }
}
