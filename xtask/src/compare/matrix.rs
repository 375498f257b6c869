//! The rebuild matrix: edits × commands, over a workspace of twelve packages and over released ones. After each edit both
//! programs must rebuild the same units with the same words, or Bulkhead none where all contents are as they were; and then
//! nothing more.

use super::edits::{self, Copy, Step};
use super::rebuilt::{judge, messages, rebuilt, status_lines};
use super::report::{Report, Verdict};
use super::text_diff::same_lines;
use super::{Options, published, workspaces};
use crate::sides::{Side, Sides};
use bulkhead_test_support::{Outcome, split_fixture};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FIXTURE: &str = include_str!("../../data/matrix.fixture");
const EDITS: &str = include_str!("../../data/matrix.edits");
const REAL_EDITS: &str = include_str!("../../data/matrix-real.edits");

/// What is asked for after each edit: a word for it, and the command line.
type Commands = &'static [(&'static str, &'static [&'static str])];

const COMMANDS: Commands = &[
    ("build", &["build", "--workspace", "--offline"]),
    ("check", &["check", "--workspace", "--offline"]),
    ("test", &["test", "--workspace", "--no-run", "--offline"]),
    ("features", &["build", "--workspace", "--features", "app/extra,util/fast", "--offline"]),
];

const SMALL_COMMANDS: Commands = &[COMMANDS[0], COMMANDS[1]];

const REAL_COMMANDS: Commands = &[
    ("build", &["build"]),
    ("check", &["check"]),
    ("test", &["test", "--no-run"]),
    ("features", &["build", "--no-default-features", "--features", "{features}"]),
];

/// A project of published packages.
struct Project {
    name: &'static str,
    /// `package@version`; several make a workspace.
    packages: &'static [&'static str],
    /// What the edits call by these names.
    names: &'static [(&'static str, &'static str)],
    /// The features of the fourth command; those of dependencies where the project has none that change anything.
    features: &'static str,
}

const PROJECTS: [Project; 3] = [
    Project {
        name: "hexyl",
        packages: &["hexyl@0.17.0"],
        names: &[
            ("main", "src/main.rs"),
            ("manifest", "Cargo.toml"),
            ("folder", ""),
            ("package", "hexyl"),
            ("library", "libanstyle-"),
            ("update", "bitflags@2.9.0"),
        ],
        features: "clap/env,libc/extra_traits",
    },
    Project {
        name: "hyperfine",
        packages: &["hyperfine@1.20.0"],
        names: &[
            ("main", "src/main.rs"),
            ("manifest", "Cargo.toml"),
            ("folder", ""),
            ("package", "hyperfine"),
            ("library", "libitoa-"),
            ("update", "itoa@1.0.11"),
        ],
        features: "clap/env",
    },
    Project {
        name: "serde",
        packages: &["serde@1.0.229", "serde_core@1.0.229", "serde_derive@1.0.229", "serde_json@1.0.154"],
        names: &[
            ("main", "serde_json/src/lib.rs"),
            ("manifest", "serde_json/Cargo.toml"),
            ("folder", "serde_json/"),
            ("package", "serde_json"),
            ("library", "libitoa-"),
            ("update", "itoa@1.0.11"),
        ],
        features: "serde_json/alloc,serde/alloc",
    },
];

/// One workspace and what was asked of it.
struct Matrix<'a> {
    name: &'a str,
    commands: Vec<(&'static str, Vec<&'a str>)>,
    copies: Vec<Copy<'a>>,
    /// What build scripts said last, by side and command.
    stamps: BTreeMap<(&'static str, &'static str), BTreeMap<String, String>>,
}

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    if options.wants("twelve") {
        let steps = edits::parse(EDITS, &[]).into_iter().filter(|step| step.small || !options.small);
        let commands = if options.small { SMALL_COMMANDS } else { COMMANDS };
        let make = |_: &Side, root: &Path| {
            split_fixture(FIXTURE).iter().try_for_each(|(path, content)| edits::write(&root.join(path), content))
        };
        run("twelve", options, sides, (commands, ""), &make, &steps.collect::<Vec<_>>(), report)?;
    }
    for project in PROJECTS.iter().filter(|project| !options.small && options.wants(project.name)) {
        let source = source(project, options, sides)?;
        let make = |_: &Side, root: &Path| copy_folder(&source, root);
        let steps = edits::parse(REAL_EDITS, project.names);
        run(project.name, options, sides, (REAL_COMMANDS, project.features), &make, &steps, report)?;
    }
    Ok(())
}

/// The project as it was published, with a lockfile.
fn source(project: &Project, options: &Options, sides: &Sides) -> Result<PathBuf, String> {
    let folder = options.folder.join("matrix").join("sources");
    let root = match project.packages {
        [package] => {
            let (name, version) = package.split_once('@').unwrap_or((package, ""));
            published::unpack(&folder, name, version, &sides.cargo)?
        }
        members => workspaces::assemble(&folder.join(project.name), members, sides)?,
    };
    if !root.join("Cargo.lock").exists() {
        let outcome = sides.cargo.run(&root, &["generate-lockfile"]);
        if outcome.code() != Some(0) {
            return Err(format!("{}: {}", project.name, outcome.stderr));
        }
    }
    Ok(root)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Makes a project in the folder of one side.
type Make<'a> = &'a dyn Fn(&Side, &Path) -> std::io::Result<()>;

fn run(
    name: &str,
    options: &Options,
    sides: &Sides,
    (commands, features): (Commands, &str),
    make: Make<'_>,
    steps: &[Step],
    report: &mut Report,
) -> Result<(), String> {
    let mut copies = Vec::new();
    for side in sides.both() {
        let folder = options.folder.join("matrix").join(name).join(side.name);
        let root = folder.join("workspace");
        let prepared = prepare(&folder, &root, &|| make(side, &root));
        prepared.map_err(|error| format!("{}: {error}", root.display()))?;
        let copy = Copy { side, root, environment: BTreeMap::new() };
        copy.trust().map_err(|error| format!("{name}: {error}"))?;
        copies.push(copy);
    }
    let fill = |words: &[&'static str]| {
        words.iter().map(|word| if *word == "{features}" { features } else { *word }).collect()
    };
    let commands = commands.iter().map(|(word, line)| (*word, fill(line))).collect();
    let mut matrix = Matrix { name, commands, copies, stamps: BTreeMap::new() };
    let first = first_step(name, options, steps)?;
    println!("-- {name}: {} edits, {} commands", steps.len() - first, matrix.commands.len());
    matrix.skip(&steps[..first])?;
    steps[first..].iter().try_for_each(|step| matrix.step(step, report))
}

/// The position of the step to begin with.
fn first_step(name: &str, options: &Options, steps: &[Step]) -> Result<usize, String> {
    let Some(from) = &options.from else { return Ok(0) };
    let found = steps.iter().position(|step| step.name == *from);
    found.ok_or_else(|| format!("{name} has no edit `{from}`; the files of edits are xtask/data/matrix*.edits"))
}

fn prepare(folder: &Path, root: &Path, make: &dyn Fn() -> std::io::Result<()>) -> std::io::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(root)?;
    make()?;
    // What is built is no part of it.
    edits::write(&root.join(".gitignore"), "/target\n")?;
    edits::git_init(root)
}

impl Matrix<'_> {
    /// Makes these edits, and builds what they leave.
    fn skip(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            self.copies.iter_mut().try_for_each(|copy| copy.apply(step))?;
        }
        let sides = if steps.is_empty() { 0..0 } else { 0..self.copies.len() };
        for side in sides {
            (0..self.commands.len()).for_each(|number| drop(self.build(side, number)));
        }
        Ok(())
    }

    /// One edit, all commands, and all again.
    fn step(&mut self, step: &Step, report: &mut Report) -> Result<(), String> {
        // A rebuild is decided by modification times: let the clock of the file system advance.
        std::thread::sleep(Duration::from_millis(30));
        for copy in &mut self.copies {
            copy.apply(step)?;
        }
        let subject = format!("{}: {}", self.name, step.name);
        let mut cells = String::new();
        for number in 0..self.commands.len() {
            let [(cargo, cargo_units), (bulkhead, bulkhead_units)] = [self.build(0, number), self.build(1, number)];
            let word = self.commands[number].0;
            let verdict = match step.nothing {
                true => judge(&bulkhead, &bulkhead, &[], &bulkhead_units),
                false => judge(&cargo, &bulkhead, &cargo_units, &bulkhead_units),
            };
            report.add(&subject, &format!("units rebuilt ({word})"), verdict);
            let said = same_lines(&messages(&cargo), &messages(&bulkhead));
            report.add(&subject, &format!("compiler messages ({word})"), said);
            if !step.nothing {
                let verdict = self.compare_status(&cargo, &bulkhead, &cargo_units);
                report.add(&subject, &format!("status lines ({word})"), verdict);
            }
            let _ = write!(cells, " {}→{} |", cargo_units.len(), bulkhead_units.len());
        }
        println!("| {} |{cells}{}", step.name, if step.nothing { " same contents" } else { "" });
        self.again(&subject, report);
        Ok(())
    }

    /// Whatever was built is fresh now, unless it is not for Cargo either: a build script whose file is missing is run each
    /// time.
    fn again(&mut self, subject: &str, report: &mut Report) {
        let mut differences = String::new();
        for number in 0..self.commands.len() {
            let (bulkhead, units) = self.build(1, number);
            if units.is_empty() || bulkhead.code() != Some(0) {
                continue;
            }
            let (_, of_cargo) = self.build(0, number);
            for unit in units.iter().filter(|unit| !of_cargo.contains(unit)) {
                let _ = writeln!(differences, "rebuilt again: {unit}");
            }
        }
        report.add(subject, "nothing rebuilt afterwards", Verdict::from_differences(differences));
    }

    /// Runs a command on one side, and says what was not fresh.
    fn build(&mut self, side: usize, number: usize) -> (Outcome, Vec<String>) {
        let (word, line) = &self.commands[number];
        let copy = &self.copies[side];
        let arguments: Vec<&str> = line.iter().copied().chain(["--message-format=json"]).collect();
        let invocation = copy.side.invocation(&copy.root, &arguments);
        let invocation = copy.environment.iter().fold(invocation, |run, (name, value)| run.env(name, value));
        let outcome = invocation.run();
        let stamps = self.stamps.entry((copy.side.name, word)).or_default();
        let units = rebuilt(&outcome, stamps, &copy.root);
        (outcome, units)
    }

    /// Cargo names a package once, by what starts first: of a macro that is checked and also built, that is chance.
    fn compare_status(&self, cargo: &Outcome, bulkhead: &Outcome, units: &[String]) -> Verdict {
        let several = |line: &str| {
            let folder = line.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
            units.iter().filter(|unit| unit.starts_with(&format!("path+file://{folder}#"))).nth(1).is_some()
        };
        let said = |side: usize, outcome: &Outcome| -> Vec<String> {
            let lines = status_lines(outcome, &self.copies[side].root.to_string_lossy());
            let worded = lines.into_iter().map(|line| match line.strip_prefix("Checking ") {
                Some(rest) if several(&line) => format!("Compiling {rest}"),
                _ => line,
            });
            worded.collect()
        };
        same_lines(&said(0, cargo), &said(1, bulkhead))
    }
}
