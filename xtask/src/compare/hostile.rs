//! `examples/hostile`, with a planted secret and listeners: `cargo` lets every attempt succeed (or they would prove
//! nothing), Bulkhead none. What was touched is judged from outside.

use super::Options;
use super::lock::last_lines;
use super::report::{Report, Verdict};
use crate::sides::{Side, Sides};
use crate::tidy::repository_root;
use bulkhead_test_support::{Canaries, Outcome, Snapshot};
use std::path::{Path, PathBuf};

/// How many attempts the example makes: eight by the build script, eight by the macro, two injections.
const ATTEMPTS: usize = 18;

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let folder = options.folder.join("hostile");
    let cargo = attack(&folder, &sides.cargo, &["run"])?;
    let succeeded = format!("{ATTEMPTS} attempts succeeded");
    let bites = cargo.outcome.stdout.contains(&succeeded) && cargo.touched.len() == 3 && cargo.written == 4;
    report.add("hostile", "every attempt succeeds under cargo", cargo.verdict(bites));

    let refused = attack(&folder, &sides.bulkhead, &["run"])?;
    let named = ["LD_PRELOAD", "link-arg"].iter().any(|directive| refused.outcome.stderr.contains(directive));
    let untouched = refused.touched.is_empty() && refused.written == 0;
    report.add(
        "hostile",
        "injected directives are refused",
        refused.verdict(refused.is_denial() && named && untouched),
    );
    report.add("hostile", "README shows that", shown("run", &refused.outcome.stderr, &folder)?);

    let confined = attack(&folder, &sides.bulkhead, &["run", "--no-default-features"])?;
    let failed = confined.outcome.stdout.contains("\n0 attempts succeeded");
    let untouched = confined.touched.is_empty() && confined.written == 0;
    report.add(
        "hostile",
        "no attempt succeeds",
        confined.verdict(confined.outcome.code() == Some(0) && failed && untouched),
    );
    report.add("hostile", "README shows that", shown("run --no-default-features", &confined.outcome.stdout, &folder)?);
    Ok(())
}

/// Whether the README's block for a command has the lines that the command printed, in whatever order jobs came to their end.
fn shown(command: &str, printed: &str, folder: &Path) -> Result<Verdict, String> {
    let readme =
        std::fs::read_to_string(repository_root().join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let head = format!("<!-- output of: cargo xtask compare hostile (bulkhead {command}) -->\n```text\n");
    let block = readme.split_once(&head).and_then(|(_, rest)| rest.split_once("```"));
    let (block, _) = block.ok_or_else(|| format!("README.md: no block under {head}"))?;
    let lines = |text: &str| {
        // Whether something else was running is a matter of luck.
        let kept = text.lines().filter(|line| !line.starts_with("warning: build failed, waiting"));
        let mut lines: Vec<String> = kept.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let neutral = neutral(printed, folder);
    if lines(&neutral) == lines(block) {
        return Ok(Verdict::Same);
    }
    println!("for README.md:\n{neutral}");
    Ok(Verdict::Different("it shows something else (above is what it should)".to_owned()))
}

/// What was printed, without folders, digests, and numbers of processes and ports.
fn neutral(printed: &str, folder: &Path) -> String {
    let text = printed.replace(&folder.join("project").display().to_string(), "…/hostile");
    let text = text.replace(&folder.display().to_string(), "…");
    let mut neutral = String::new();
    for line in text.lines() {
        let line = match (line.find("…/hostile/target/"), line.find("/out/")) {
            (Some(begin), Some(end)) if begin < end => format!("{}…{}", &line[..begin], &line[end..]),
            _ => line.to_owned(),
        };
        let line = match line.split_once("sha256:") {
            Some((head, digest)) if digest.len() > 64 => format!("{head}sha256:…{}", &digest[64..]),
            _ => line,
        };
        neutral.push_str(&without_numbers(&line));
        neutral.push('\n');
    }
    neutral
}

/// The line with `…` for each number of four digits or more.
fn without_numbers(line: &str) -> String {
    let mut rest = line;
    let mut result = String::new();
    while let Some(begin) = rest.find(|character: char| character.is_ascii_digit()) {
        let (head, tail) = rest.split_at(begin);
        let end = tail.find(|character: char| !character.is_ascii_digit()).unwrap_or(tail.len());
        result.push_str(head);
        result.push_str(if end < 4 || head.ends_with(|last: char| last.is_ascii_hexdigit()) {
            &tail[..end]
        } else {
            "…"
        });
        rest = &tail[end..];
    }
    result + rest
}

/// One build of the example and what it left behind.
struct Attack {
    outcome: Outcome,
    /// Which listeners were reached.
    touched: Vec<String>,
    /// How many files appeared in the home and beside the sources.
    written: usize,
}

impl Attack {
    fn is_denial(&self) -> bool {
        matches!(self.outcome.code(), Some(102 | 105))
    }

    fn verdict(&self, as_expected: bool) -> Verdict {
        println!("$ {} (exit status {:?})", self.outcome.command, self.outcome.code());
        for line in self.outcome.output().lines() {
            println!("    {line}");
        }
        if as_expected {
            return Verdict::Same;
        }
        Verdict::Different(format!(
            "exit status {:?}; listeners reached: {:?}; {} files written\n{}",
            self.outcome.code(),
            self.touched,
            self.written,
            last_lines(&self.outcome.output())
        ))
    }
}

fn attack(folder: &Path, side: &Side, arguments: &[&str]) -> Result<Attack, String> {
    let (project, home) = plant(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let canaries = Canaries::start();
    let targets = format!(
        "home {}\ntcp {}\nudp {}\nabstract {}\n",
        home.display(),
        canaries.tcp_port(),
        canaries.udp_port(),
        canaries.abstract_name()
    );
    let attempts = project.join("attempts");
    std::fs::write(attempts.join("targets.txt"), targets).map_err(|error| format!("targets.txt: {error}"))?;
    let before = (Snapshot::of(&home), Snapshot::of(&attempts));
    let outcome = side
        .invocation(&project, arguments)
        .env("HOME", &home)
        .env("PLANTED_TOKEN", "not a real one")
        .env("AWS_SECRET_ACCESS_KEY", "not a real one")
        .run();
    let changes =
        [Snapshot::of(&home).changes_since(&before.0), Snapshot::of(&attempts).changes_since(&before.1)].concat();
    let written = changes.iter().filter(|change| change.starts_with("added file")).count();
    Ok(Attack { outcome, touched: canaries.touched(), written })
}

/// A fresh copy of the example, and a home with a secret in it.
fn plant(folder: &Path) -> std::io::Result<(PathBuf, PathBuf)> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let home = folder.join("home");
    std::fs::create_dir_all(&home)?;
    std::fs::write(home.join(".planted-secret"), "not a real one")?;
    let project = folder.join("project");
    copy(&repository_root().join("examples/hostile"), &project)?;
    Ok((project, home))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                copy(&entry.path(), &target)?;
            }
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
