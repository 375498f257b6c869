//! `cargo xtask compare`: the judge of compatibility. Each part gives `cargo` and Bulkhead the same input, in the same
//! minute and the same environment, and reports what came out different.
//!
//! Start with [`run`]; a part is one module, an invocation of either program is a [`Side`](crate::sides::Side).

mod applications;
mod apps;
mod commands;
mod edits;
mod generated;
mod graph;
mod hostile;
mod install;
mod known;
mod lock;
mod manifests;
mod matrix;
mod metadata;
mod profiles;
mod published;
mod rebuilt;
mod report;
mod sources;
mod text_diff;
mod units;
mod vendor;
mod workspaces;

pub(crate) use lock::{index_entry, last_lines};
pub(crate) use published::{downloaded, unpack};
pub(crate) use workspaces::published_workspace;

use crate::arguments::{Given, bin, dir, only, switch, value, words};
use crate::sides::Sides;
use clap::{ArgMatches, Command, value_parser};
use report::Report;
use std::path::PathBuf;
use std::time::Instant;

/// What the command line asks for.
pub(crate) struct Options {
    /// The program under test; built from this repository when absent.
    bin: Option<PathBuf>,
    /// Only the quick cases.
    small: bool,
    /// Where homes, downloads and builds are kept from run to run.
    folder: PathBuf,
    /// Only subjects whose name contains this.
    only: Option<String>,
    /// The edit of a matrix to begin with: those before it are made, and nothing is compared after them.
    from: Option<String>,
    /// The first generated registry.
    first_seed: u64,
    parts: Vec<String>,
}

const PARTS: &[&str] = &[
    "lock",
    "generated",
    "applications",
    "workspaces",
    "sources",
    "vendor",
    "manifests",
    "apps",
    "profiles",
    "install",
    "matrix",
    "hostile",
];

pub(crate) fn command() -> Command {
    let from = value("from", "EDIT");
    let seed = value("seed", "N").default_value("0").value_parser(value_parser!(u64));
    Command::new("compare")
        .about(
            "Resolve, describe, build and plan the same input with cargo and with Bulkhead, and print every difference; what \
             differs on purpose is recorded in xtask/data/known-differences.toml",
        )
        .args([bin(), dir("bulkhead-compare"), only()])
        .arg(switch("small").help("Only what is quick, as CI runs it"))
        .arg(from.help("Begins the matrix at this edit; those before it are made, and what they leave is built once"))
        .arg(seed.help("The first of the generated registries"))
        .arg(words("PART").value_parser(PARTS.to_vec()).help("Everything, unless parts are named"))
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<bool, String> {
    let options = Options::of(arguments);
    let sides = Sides::prepare(options.bin.as_deref(), &options.folder)?.without_shared_units();
    let mut report = Report::new(known::load()?);
    for part in PARTS.iter().filter(|part| options.parts.is_empty() || options.parts.iter().any(|name| name == *part)) {
        let begin = Instant::now();
        report.begin(part, options.is_whole());
        println!("== {part}");
        match *part {
            "lock" => lock::compare(&options, &sides, &mut report)?,
            "applications" => applications::compare(&options, &sides, &mut report)?,
            "workspaces" => workspaces::compare(&options, &sides, &mut report)?,
            "sources" => sources::compare(&options, &sides, &mut report)?,
            "vendor" => vendor::compare(&options, &sides, &mut report)?,
            "manifests" => manifests::compare(&options, &sides, &mut report)?,
            "generated" => generated::compare(&options, &sides, &mut report)?,
            "apps" => apps::compare(&options, &sides, &mut report)?,
            "profiles" => profiles::compare(&options, &sides, &mut report)?,
            "install" => install::compare(&options, &sides, &mut report)?,
            "hostile" => hostile::compare(&options, &sides, &mut report)?,
            _ => matrix::compare(&options, &sides, &mut report)?,
        }
        println!("== {part}: {:.0} s", begin.elapsed().as_secs_f64());
    }
    Ok(report.print_summary())
}

impl Options {
    fn of(arguments: &ArgMatches) -> Options {
        Options {
            bin: arguments.path_of("bin"),
            small: arguments.get_flag("small"),
            folder: arguments.path_of("dir").unwrap_or_default(),
            only: arguments.text_of("only"),
            from: arguments.text_of("from"),
            first_seed: arguments.number_of("seed"),
            parts: arguments.all_words(),
        }
    }

    fn is_whole(&self) -> bool {
        !self.small && self.only.is_none() && self.from.is_none()
    }

    fn wants(&self, subject: &str) -> bool {
        self.only.as_ref().is_none_or(|only| subject.contains(only.as_str()))
    }
}

/// The lines of a data file: words, without comments.
fn data_lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(|line| line.split(' ').collect())
}
