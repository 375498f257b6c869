//! `cargo xtask bench`: what `cargo` and Bulkhead cost on the same work, alternately, in the same run.
//!
//! Start with [`run`]; a row is a [`rows::Row`], what one process cost is a [`measure::Sample`].

mod confinement;
mod measure;
mod rows;
mod workloads;

use crate::arguments::{Given, bin, dir, switch, value, words};
use crate::sides::{Side, Sides};
use clap::{ArgMatches, value_parser};
use measure::Sample;
use rows::{Row, Stage};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The hidden command with which this program measures one child.
pub(crate) const MEASURE: &str = "measure-one-child";

/// A row that takes less than this is run more often, for its spread is larger.
const SHORT: Duration = Duration::from_millis(500);
const RUNS_WHEN_SHORT: usize = 15;

struct Options {
    bin: Option<PathBuf>,
    runs: usize,
    syscalls: bool,
    folder: PathBuf,
    rows: Vec<String>,
}

pub(crate) fn measure(arguments: &[String]) -> Result<bool, String> {
    measure::measure_here(arguments)
}

pub(crate) fn command() -> clap::Command {
    let runs = value("runs", "N").default_value("5").value_parser(value_parser!(u64).range(1..));
    clap::Command::new("bench")
        .about("Time cargo and Bulkhead alternately on the same work, and print a Markdown table")
        .args([bin(), dir("bulkhead-bench")])
        .arg(runs.help("Of each row and program; rows that take less than half a second are run 15 times at least"))
        .arg(switch("syscalls").help("Count system calls too, by strace, in a run apart"))
        .arg(
            words("ROW")
                .value_parser(known_row)
                .help(format!("The usual ones, unless some are named: {}", row_names())),
        )
        .subcommand(confinement::command())
        .args_conflicts_with_subcommands(true)
}

fn known_row(name: &str) -> Result<String, String> {
    let is_known = all_rows().any(|row| row.is_called(name));
    is_known.then(|| name.to_owned()).ok_or_else(|| "there is no such row".to_owned())
}

fn all_rows() -> impl Iterator<Item = Row> {
    Row::ALL.iter().chain(Row::ON_REQUEST).copied()
}

fn row_names() -> String {
    all_rows().map(Row::name).collect::<Vec<_>>().join(", ")
}

pub(crate) fn run(arguments: &ArgMatches) -> Result<bool, String> {
    if let Some((confinement::NAME, rest)) = arguments.subcommand() {
        return confinement::run(rest);
    }
    let options = Options {
        bin: arguments.path_of("bin"),
        runs: usize::try_from(arguments.number_of::<u64>("runs")).unwrap_or(usize::MAX),
        syscalls: arguments.get_flag("syscalls"),
        folder: arguments.path_of("dir").unwrap_or_default(),
        rows: arguments.all_words(),
    };
    let sides = Sides::prepare(options.bin.as_deref(), &options.folder)?;
    let stage = Stage::prepare(&options.folder, &sides)?;
    let mut table = String::from(
        "| work | cargo wall | bulkhead wall | × | cargo CPU | bulkhead CPU | × | cores busy | cargo peak | bulkhead peak \
         | cargo calls | bulkhead calls | runs |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in all_rows() {
        let is_usual = options.rows.is_empty() && Row::ALL.contains(&row);
        if is_usual || options.rows.iter().any(|name| row.is_called(name)) {
            let line = measure_row(row, &options, &sides, &stage)?;
            println!("{line}");
            table.push_str(&line);
            table.push('\n');
        }
    }
    println!(
        "\n{table}\nMedians (least–most); × is cargo divided by Bulkhead; cores busy is CPU divided by wall, of cargo and of \
         Bulkhead; peak is the largest single process in MiB, calls are system calls."
    );
    Ok(true)
}

fn measure_row(row: Row, options: &Options, sides: &Sides, stage: &Stage) -> Result<String, String> {
    let both = sides.both();
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for side in both {
        // Fills caches and builds what the row needs; not counted.
        row.warm_up(side, stage)?;
    }
    let mut runs = options.runs;
    let mut run = 0;
    while run < runs {
        // Each goes first in half of the runs.
        let order = if run % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let command = row.prepare(both[index], stage)?;
            samples[index].push(measure::run(&command)?);
        }
        if run == 0 && samples.iter().flatten().all(|sample| sample.wall < SHORT) {
            runs = runs.max(RUNS_WHEN_SHORT);
        }
        run += 1;
    }
    let mut line = format!("| {} ", row.title());
    let seconds = |value: fn(&Sample) -> Duration| samples.each_ref().map(|samples| spread(samples, value));
    let (wall, processor) = (seconds(|sample| sample.wall), seconds(|sample| sample.processor));
    for [cargo, bulkhead] in [wall, processor] {
        line += &format!("| {} | {} | {:.2} ", show(cargo), show(bulkhead), cargo[1] / bulkhead[1].max(1e-6));
    }
    let busy = |side: usize| processor[side][1] / wall[side][1].max(1e-6);
    line += &format!("| {:.2} / {:.2} ", busy(0), busy(1));
    for samples in &samples {
        let mut peaks: Vec<u64> = samples.iter().map(|sample| sample.peak_kib).collect();
        peaks.sort_unstable();
        line += &format!("| {:.0} ", peaks[peaks.len() / 2] as f64 / 1024.0);
    }
    for side in both {
        let counted = options.syscalls && row.is_own_work();
        let count = counted.then(|| system_calls(row, side, stage, options)).transpose()?;
        line += &count.map_or_else(|| "| – ".to_owned(), |count| format!("| {count} "));
    }
    line += &format!("| {runs} |");
    Ok(line)
}

/// Least, median and most, in seconds.
fn spread(samples: &[Sample], value: fn(&Sample) -> Duration) -> [f64; 3] {
    let mut values: Vec<f64> = samples.iter().map(|sample| value(sample).as_secs_f64()).collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn show([least, median, most]: [f64; 3]) -> String {
    if most < 1.0 {
        return format!("{:.1} ms ({:.1}–{:.1})", median * 1e3, least * 1e3, most * 1e3);
    }
    format!("{median:.2} s ({least:.2}–{most:.2})")
}

/// Counts system calls with strace, in a run of its own because counting slows everything down.
fn system_calls(row: Row, side: &Side, stage: &Stage, options: &Options) -> Result<u64, String> {
    let command = row.prepare(side, stage)?;
    let summary = options.folder.join("strace");
    let mut traced = Command::new("strace");
    traced.arg("-f").arg("-c").arg("-o").arg(&summary).arg(command.get_program()).args(command.get_args()).env_clear();
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    traced.output().map_err(|error| format!("strace: {error}"))?;
    let text = std::fs::read_to_string(&summary).map_err(|error| format!("strace: {error}"))?;
    let total = text.lines().rev().find(|line| line.trim_end().ends_with("total"));
    total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).ok_or_else(|| "no total".to_owned())
}
