//! `cache`.

use std::time::Duration;

use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::unit_cache::{self, Stats};
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{print, print_json};
use crate::escape::escaped_line;
use crate::render::{plural_u64, size};
use crate::shell::Shell;

/// Runs `cache stats`, `cache gc` or `cache verify`.
pub(super) fn command(arguments: &ArgMatches, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let usage = || Error::new(ErrorKind::Usage, "`cache` needs `stats`, `gc` or `verify`");
    let (command, arguments) = arguments.subcommand().ok_or_else(usage)?;
    let json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    match command {
        "gc" => collect(arguments, json, global, shell),
        "verify" => verify(json, global, shell),
        _ => {
            let stats = unit_cache::stats(global)?;
            match json {
                true => print_json(shell, &as_json(stats).to_string()),
                false => print(shell, &format!("{} in {}", size(stats.bytes), plural_u64(stats.entries, "unit"))),
            }
        }
    }
}

fn collect(arguments: &ArgMatches, json: bool, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let bytes = arguments.get_one::<String>("max-size").map(|text| parse_size(text)).transpose()?;
    let age = arguments.get_one::<String>("max-age").map(|text| parse_days(text)).transpose()?;
    let collected = unit_cache::collect(global, bytes, age)?;
    if json {
        let answer = json!({ "removed": as_json(collected.removed), "left": as_json(collected.left) });
        return print_json(shell, &answer.to_string());
    }
    let (removed, left) = (collected.removed, collected.left);
    let units = plural_u64(removed.entries, "unit");
    shell.status("Removed", &format!("{units}, {}; {} left", size(removed.bytes), size(left.bytes)));
    Ok(())
}

fn verify(json: bool, global: &GlobalOptions, shell: &Shell) -> Result<(), Error> {
    let (left, findings) = unit_cache::verify(global)?;
    if json {
        let findings: Vec<Value> = findings
            .iter()
            .map(|finding| json!({ "path": finding.path.to_string_lossy(), "problem": finding.problem }))
            .collect();
        print_json(shell, &json!({ "whole": as_json(left), "removed": findings }).to_string())?;
    } else {
        for finding in &findings {
            let path = finding.path.display();
            shell.warning(&escaped_line(&format!("{path} was removed: {}", finding.problem)));
        }
        shell.status("Verified", &format!("{} of the cache, {}", plural_u64(left.entries, "unit"), size(left.bytes)));
    }
    match findings.len() as u64 {
        0 => Ok(()),
        count => {
            let message = format!("{} of the cache not what was put there", are(count));
            Err(Error::refusal(ErrorKind::Verification, "cache-damaged", message)
                .help("they were removed and will be built again; find out who else writes in Bulkhead's home folder"))
        }
    }
}

fn are(count: u64) -> String {
    format!("{} {}", plural_u64(count, "unit"), if count == 1 { "was" } else { "were" })
}

fn as_json(stats: Stats) -> Value {
    json!({ "units": stats.entries, "bytes": stats.bytes })
}

fn parse_size(text: &str) -> Result<u64, Error> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text.get(digits.len()..).unwrap_or_default().trim() {
        "" | "B" => Some(1),
        "KiB" | "K" => Some(1 << 10),
        "MiB" | "M" => Some(1 << 20),
        "GiB" | "G" => Some(1 << 30),
        _ => None,
    };
    let size = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{text}` is no size")).help("write for instance 500MiB or 10GiB")
    })
}

fn parse_days(text: &str) -> Result<Duration, Error> {
    let days: Option<u64> = text.parse().ok().filter(|days| *days <= 100_000);
    let seconds = days.map(|days| days * 24 * 60 * 60);
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`{text}` is no number of days")).help("write for instance 30")
    })
}

#[cfg(test)]
mod tests {
    use super::{parse_days, parse_size};

    #[test]
    fn sizes_and_days_are_read() {
        for (text, bytes) in [("0", 0), ("17", 17), ("2KiB", 2048), ("3 M", 3 << 20), ("10GiB", 10 << 30)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "GiB", "-1", "1.5G", "1TB", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_days("2").unwrap().as_secs(), 172_800);
        assert!(parse_days("x").is_err() && parse_days("-1").is_err() && parse_days("9999999999999999999").is_err());
    }
}
