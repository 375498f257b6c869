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

use crate::sides::Sides;
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
    "matrix",
    "hostile",
];

pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let options = parse(arguments)?;
    let sides = Sides::prepare(options.bin.as_deref(), &options.folder)?.without_shared_units();
    let mut report = Report::new(known::load()?);
    for part in PARTS.iter().filter(|part| options.parts.is_empty() || options.parts.iter().any(|name| name == *part)) {
        let begin = Instant::now();
        report.begin(part, !options.small && options.only.is_none());
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
            "hostile" => hostile::compare(&options, &sides, &mut report)?,
            _ => matrix::compare(&options, &sides, &mut report)?,
        }
        println!("== {part}: {:.0} s", begin.elapsed().as_secs_f64());
    }
    Ok(report.print_summary())
}

impl Options {
    fn wants(&self, subject: &str) -> bool {
        self.only.as_ref().is_none_or(|only| subject.contains(only.as_str()))
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        bin: None,
        small: false,
        folder: std::env::temp_dir().join("bulkhead-compare"),
        only: None,
        first_seed: 0,
        parts: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--bin" => options.bin = Some(PathBuf::from(value()?)),
            "--dir" => options.folder = PathBuf::from(value()?),
            "--only" => options.only = Some(value()?.clone()),
            "--seed" => {
                options.first_seed = value()?.parse().map_err(|_| "--seed needs a number".to_owned())?;
            }
            "--small" => options.small = true,
            part if PARTS.contains(&part) => options.parts.push(part.to_owned()),
            _ => return Err(format!("compare: unknown argument `{argument}`; parts are {}", PARTS.join(", "))),
        }
    }
    Ok(options)
}

/// The lines of a data file: words, without comments.
fn data_lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(|line| line.split(' ').collect())
}
