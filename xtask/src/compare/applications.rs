//! The graphs of released applications: their committed lockfile is agreed with, a fresh one is the same, and both say
//! the same about it. Nothing is compiled; that is what the part `apps` is for.

use super::graph::{self, Depth};
use super::report::{Report, Verdict};
use super::{Options, data_lines, published};
use crate::sides::Sides;
use std::path::Path;

const APPLICATIONS: &str = include_str!("../../data/applications.txt");

pub(super) fn compare(options: &Options, sides: &Sides, report: &mut Report) -> Result<(), String> {
    let count = if options.small { 1 } else { usize::MAX };
    for words in data_lines(APPLICATIONS).filter(|words| options.wants(words[0])).take(count) {
        let [package, version] = words[..] else { return Err(format!("xtask/data/applications.txt: {words:?}")) };
        println!("-- {package} {version}");
        let root = published::unpack(&options.folder.join("applications"), package, version, &sides.cargo)?;
        compare_committed(package, &root, options, sides, report)?;
        let remove = |project: &Path| std::fs::remove_file(project.join("Cargo.lock"));
        let subject = format!("{package} (fresh)");
        graph::compare_locks(&subject, &root, &["generate-lockfile"], &remove, sides, report)?;
    }
    Ok(())
}

/// Both must agree with `--locked`, and leave the file as it is.
fn compare_committed(
    package: &str,
    root: &Path,
    options: &Options,
    sides: &Sides,
    report: &mut Report,
) -> Result<(), String> {
    let path = root.join("Cargo.lock");
    let read = || std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()));
    let committed = read()?;
    let mut codes = Vec::new();
    for side in sides.both() {
        codes.push(side.run(root, &["metadata", "--format-version", "1", "--locked", "--no-deps"]).code());
        codes.push(side.run(root, &["fetch", "--locked"]).code());
    }
    report.add(package, "--locked agrees", Verdict::of_values(&codes[..2].to_vec(), &codes[2..].to_vec()));
    report.add(package, "Cargo.lock untouched", Verdict::of_values(&committed.len(), &read()?.len()));
    if codes[..2] == codes[2..] && codes[1] == Some(0) {
        let depth = if options.small { Depth::Brief } else { Depth::Thorough };
        graph::compare_answers(package, root, "libc", depth, sides, report);
    }
    Ok(())
}
