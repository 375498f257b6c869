//! A script of edits on a generated workspace: after each, both programs must rebuild the same units; but Bulkhead none
//! for a file that was only touched.

use super::Options;
use super::apps::status_line;
use super::commands::hashless;
use super::lock::last_lines;
use super::report::{Report, Verdict};
use super::text_diff::same_lines;
use crate::sides::{Side, Sides};
use bulkhead_test_support::{Outcome, split_fixture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const FIXTURE: &str = include_str!("../../data/rebuild.fixture");
const BUILD: &[&str] = &["build", "--workspace"];

/// What one step does to the workspace.
enum Edit {
    Nothing,
    Touch(&'static str),
    Replace(&'static str, &'static str, &'static str),
    Write(&'static str, &'static str),
    Delete(&'static str),
    /// Deletes the files of a folder whose name starts so.
    DeleteMatching(&'static str, &'static str),
}

/// One step: its name, the edit, the command that follows, and the variables it sees.
type Step = (&'static str, Edit, &'static [&'static str], &'static [(&'static str, &'static str)]);

const MOOD: &[(&str, &str)] = &[("APP_MOOD", "glad")];
const COLOUR: &[(&str, &str)] = &[("APP_MOOD", "glad"), ("APP_COLOUR", "red")];

/// The script. A variable, once set, stays set, so that each step changes one thing.
const STEPS: &[Step] = &[
    ("first build", Edit::Nothing, BUILD, &[]),
    ("no change", Edit::Nothing, BUILD, &[]),
    ("touch a source file", Edit::Touch("app/src/inner.rs"), BUILD, &[]),
    ("edit a leaf crate", Edit::Replace("leaf/src/lib.rs", "let unused = 1;", "let unused = 2;"), BUILD, &[]),
    ("edit a comment in a path dependency", Edit::Replace("leaf/src/lib.rs", "A comment", "Another one"), BUILD, &[]),
    ("edit an included text", Edit::Write("app/src/text.txt", "included too\n"), BUILD, &[]),
    ("turn a feature on", Edit::Nothing, &["build", "--workspace", "--features", "app/extra"], &[]),
    ("turn it off", Edit::Nothing, BUILD, &[]),
    (
        "make a feature default",
        Edit::Replace("middle/Cargo.toml", "extra = []", "default = [\"extra\"]\nextra = []"),
        BUILD,
        &[],
    ),
    ("a build script's variable", Edit::Nothing, BUILD, MOOD),
    ("the same variable again", Edit::Nothing, BUILD, MOOD),
    ("a crate's variable", Edit::Nothing, BUILD, COLOUR),
    ("a file of rerun-if-changed", Edit::Write("app/data.txt", "two\n"), BUILD, COLOUR),
    ("touch build.rs", Edit::Touch("app/build.rs"), BUILD, COLOUR),
    ("a new file beside an undeclared build script", Edit::Write("scripted/notes.txt", "new\n"), BUILD, COLOUR),
    ("edit a proc macro", Edit::Replace("macros/src/lib.rs", "\"42\"", "\"43\""), BUILD, COLOUR),
    ("change a profile", Edit::Replace("Cargo.toml", "opt-level = 0", "opt-level = 1"), BUILD, COLOUR),
    ("change it back", Edit::Replace("Cargo.toml", "opt-level = 1", "opt-level = 0"), BUILD, COLOUR),
    ("change an edition", Edit::Replace("leaf/Cargo.toml", "2021", "2024"), BUILD, COLOUR),
    ("change a version", Edit::Replace("leaf/Cargo.toml", "version = \"0.1.0\"", "version = \"0.1.1\""), BUILD, COLOUR),
    ("edit a description", Edit::Replace("leaf/Cargo.toml", "edition", "description = \"x\"\nedition"), BUILD, COLOUR),
    ("delete the executable", Edit::Delete("target/debug/app"), BUILD, COLOUR),
    ("delete an rlib", Edit::DeleteMatching("target/debug/deps", "libleaf-"), BUILD, COLOUR),
    ("tests", Edit::Nothing, &["test", "--workspace", "--no-run"], COLOUR),
    ("tests again", Edit::Nothing, &["test", "--workspace", "--no-run"], COLOUR),
    (
        "add a test",
        Edit::Write("app/tests/two.rs", "#[test]\nfn two() {}\n"),
        &["test", "--workspace", "--no-run"],
        COLOUR,
    ),
    ("delete a test", Edit::Delete("app/tests/two.rs"), &["test", "--workspace", "--no-run"], COLOUR),
    ("check", Edit::Nothing, &["check", "--workspace"], COLOUR),
    ("check again", Edit::Nothing, &["check", "--workspace"], COLOUR),
    ("release", Edit::Nothing, &["build", "--workspace", "--release"], COLOUR),
    ("examples", Edit::Nothing, &["build", "--workspace", "--examples"], COLOUR),
    ("break a crate", Edit::Replace("middle/src/lib.rs", "leaf::name()", "leaf::nome()"), BUILD, COLOUR),
    ("mend it", Edit::Replace("middle/src/lib.rs", "leaf::nome()", "leaf::name()"), BUILD, COLOUR),
    ("one package", Edit::Replace("macros/src/lib.rs", "\"43\"", "\"44\""), &["build", "-p", "middle"], COLOUR),
    ("the rest", Edit::Nothing, BUILD, COLOUR),
    ("flags", Edit::Nothing, BUILD, &[("APP_MOOD", "glad"), ("APP_COLOUR", "red"), ("RUSTFLAGS", "--cfg flagged")]),
    ("no flags", Edit::Nothing, BUILD, COLOUR),
];

/// One side's copy of the workspace and what its build scripts said last.
struct Copy<'a> {
    side: &'a Side,
    root: PathBuf,
    stamps: BTreeMap<String, String>,
}

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let mut copies = Vec::new();
    for side in sides.both() {
        let root = options.folder.join("rebuild").join(side.name).join("workspace");
        let failed = |error: std::io::Error| format!("{}: {error}", root.display());
        if root.exists() {
            std::fs::remove_dir_all(&root).map_err(failed)?;
        }
        for (path, content) in split_fixture(FIXTURE) {
            write(&root.join(path), &content).map_err(failed)?;
        }
        enrol(side, &root)?;
        copies.push(Copy { side, root, stamps: BTreeMap::new() });
    }
    for (name, edit, command, environment) in STEPS {
        // A rebuild is decided by modification times: let the clock of the file system advance.
        std::thread::sleep(Duration::from_millis(30));
        for copy in &copies {
            apply(edit, &copy.root).map_err(|error| format!("{name}: {error}"))?;
        }
        let mut outcomes = Vec::new();
        for copy in &mut copies {
            let outcome = build(copy, command, environment);
            let rebuilt = rebuilt(&outcome, &mut copy.stamps, &copy.root);
            outcomes.push((outcome, rebuilt));
        }
        let [(cargo, cargo_rebuilt), (bulkhead, bulkhead_rebuilt)] = &outcomes[..] else { return Ok(()) };
        println!("   {name}: cargo reports {}, bulkhead {}", cargo_rebuilt.len(), bulkhead_rebuilt.len());
        let subject = format!("rebuild: {name}");
        if matches!(edit, Edit::Touch(_)) {
            report.add(&subject, "nothing rebuilt", judge(bulkhead, bulkhead, &[], bulkhead_rebuilt));
            continue;
        }
        report.add(&subject, "units rebuilt", judge(cargo, bulkhead, cargo_rebuilt, bulkhead_rebuilt));
        report.add(&subject, "compiler messages", same_lines(&messages(cargo), &messages(bulkhead)));
        let [of_cargo, of_bulkhead] = [&copies[0], &copies[1]].map(|copy| copy.root.to_string_lossy().into_owned());
        let said = [status_lines(cargo, &of_cargo), status_lines(bulkhead, &of_bulkhead)];
        report.add(&subject, "status lines", same_lines(&said[0], &said[1]));
    }
    Ok(())
}

/// Lets Bulkhead's side show the variables that the fixture's `bulkhead.toml` grants.
fn enrol(side: &Side, root: &Path) -> Result<(), String> {
    if side.name != "bulkhead" {
        return Ok(());
    }
    let outcome = side.run(root, &["trust", "--yes"]);
    if outcome.code() == Some(0) { Ok(()) } else { Err(format!("bulkhead trust: {}", outcome.stderr)) }
}

pub(super) fn judge(
    cargo: &Outcome,
    bulkhead: &Outcome,
    cargo_rebuilt: &[String],
    bulkhead_rebuilt: &[String],
) -> Verdict {
    let mut text = String::new();
    if cargo.code() != bulkhead.code() {
        let _ = writeln!(text, "exit status: cargo {:?}, bulkhead {:?}", cargo.code(), bulkhead.code());
        let _ = writeln!(text, "{}", last_lines(&bulkhead.stderr));
    }
    for unit in cargo_rebuilt.iter().filter(|unit| !bulkhead_rebuilt.contains(unit)) {
        let _ = writeln!(text, "not rebuilt: {unit}");
    }
    for unit in bulkhead_rebuilt.iter().filter(|unit| !cargo_rebuilt.contains(unit)) {
        let _ = writeln!(text, "rebuilt in excess: {unit}");
    }
    Verdict::from_differences(text)
}

fn build(copy: &Copy<'_>, command: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut arguments = command.to_vec();
    arguments.extend(["--offline", "--message-format=json"]);
    let mut invocation = copy.side.invocation(&copy.root, &arguments);
    for (name, value) in environment {
        invocation = invocation.env(name, value);
    }
    invocation.run()
}

/// What the compiler said, fresh or replayed.
pub(super) fn messages(outcome: &Outcome) -> Vec<String> {
    let parsed = outcome.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages = parsed.filter(|message| message["reason"] == "compiler-message");
    messages.map(|message| format!("{}: {}", message["target"]["name"], message["message"]["message"])).collect()
}

/// What is said of the progress, sorted by whoever compares: units end in any order.
pub(super) fn status_lines(outcome: &Outcome, root: &str) -> Vec<String> {
    outcome.stderr.lines().filter_map(|line| status_line(&hashless(&line.replace(root, "")))).collect()
}

/// The units that were not fresh, and the build scripts that ran (their stamp is new).
pub(super) fn rebuilt(outcome: &Outcome, stamps: &mut BTreeMap<String, String>, root: &Path) -> Vec<String> {
    let mut units = Vec::new();
    for line in outcome.stdout.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let package = message["package_id"].as_str().unwrap_or_default().replace(&*root.to_string_lossy(), "");
        let target = &message["target"];
        let named = format!("{package} {} {}", target["kind"], target["name"]);
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["fresh"] == false => {
                units.push(format!("{named} test={}", message["profile"]["test"]));
            }
            Some("build-script-executed") => {
                let stamp = message["env"].to_string();
                if stamps.insert(package.clone(), stamp.clone()) != Some(stamp) {
                    units.push(format!("{package} build script run"));
                }
            }
            _ => {}
        }
    }
    units.sort();
    units
}

fn apply(edit: &Edit, root: &Path) -> std::io::Result<()> {
    match *edit {
        Edit::Nothing => Ok(()),
        Edit::Touch(path) => {
            std::fs::File::options().append(true).open(root.join(path))?.set_modified(SystemTime::now())
        }
        Edit::Replace(path, from, to) => {
            let text = std::fs::read_to_string(root.join(path))?;
            if text.contains(from) {
                return std::fs::write(root.join(path), text.replacen(from, to, 1));
            }
            Err(std::io::Error::other(format!("{path} does not hold {from:?}")))
        }
        Edit::Write(path, text) => write(&root.join(path), text),
        Edit::Delete(path) => match std::fs::remove_file(root.join(path)) {
            // What a failed build left out is a difference already reported.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        },
        Edit::DeleteMatching(folder, prefix) => {
            for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        }
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}
