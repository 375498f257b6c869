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

    let confined = attack(&folder, &sides.bulkhead, &["run", "--no-default-features"])?;
    let failed = confined.outcome.stdout.contains("\n0 attempts succeeded");
    let untouched = confined.touched.is_empty() && confined.written == 0;
    report.add(
        "hostile",
        "no attempt succeeds",
        confined.verdict(confined.outcome.code() == Some(0) && failed && untouched),
    );
    Ok(())
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
