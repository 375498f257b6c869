//! The limit that ended a process, in words: whose it is, how much it is, and which line raises it.

use std::fmt;

use bulkhead_policy::ProcessKind;
use bulkhead_sandbox::{Exit, LimitHit, Limits, Status};

/// A limit that ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    kind: ProcessKind,
    /// The key in a table of limits.
    key: &'static str,
    /// In the unit of the key.
    value: u64,
    /// Whether the kernel did not say so, but what happened is what happens then.
    likely: bool,
}

impl Reached {
    /// What ended a process of this kind, if it was one of its limits.
    pub fn by(exit: &Exit, limits: &Limits, kind: ProcessKind) -> Option<Reached> {
        let mebibytes = |bytes: Option<u64>| bytes.unwrap_or_default() >> 20;
        let (key, value) = match exit.limit {
            Some(LimitHit::WallTime) => ("time-seconds", limits.wall_time.unwrap_or_default().as_secs()),
            Some(LimitHit::CpuTime) => ("cpu-seconds", limits.cpu_time.unwrap_or_default().as_secs()),
            Some(LimitHit::Output) => ("output-mib", mebibytes(limits.output_bytes)),
            Some(LimitHit::FileSize) => ("file-mib", mebibytes(limits.file_size)),
            Some(LimitHit::TotalMemory) => ("total-memory-mib", mebibytes(limits.total_memory_bytes)),
            Some(LimitHit::Processes) => ("processes", limits.processes.unwrap_or_default()),
            None if !exit.status.success() && is_short_of_memory(exit, limits) => {
                ("memory-mib", mebibytes(limits.memory_bytes))
            }
            None => return None,
        };
        Some(Reached { kind, key, value, likely: exit.limit.is_none() })
    }

    /// How to raise it.
    pub fn help(&self) -> String {
        let Self { kind, key, .. } = self;
        let table = kind.limits_table();
        format!(
            "a larger `{key}` below `[{table}]` in `~/.config/bulkhead/policy.toml`, or in `bulkhead.toml` with \
             `bulkhead trust bulkhead.toml`, raises it; `bulkhead config explain {table}.{key}` tells who has set it"
        )
    }
}

/// A process that is refused memory is not ended by the system: it aborts, or gives up. One that came near to its limit, or
/// aborted, was.
fn is_short_of_memory(exit: &Exit, limits: &Limits) -> bool {
    let Some(limit) = limits.memory_bytes else { return false };
    let aborted = matches!(exit.status, Status::Signal(6 | 11)) || exit.status == Status::Code(134);
    aborted || exit.usage.max_rss_bytes >= limit / 4 * 3
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, value, likely } = self;
        let what = match *key {
            "time-seconds" => "it took too long",
            "cpu-seconds" => "it used too much processor time",
            "output-mib" => "it printed too much",
            "file-mib" => "it wrote too large a file",
            "processes" => "it or what it started was refused another process",
            _ if *likely => "it probably ran out of the memory that it may have",
            _ => "it and what it started used too much memory",
        };
        write!(f, "{what}: the limit `{}.{key}` is {value}", kind.limits_table())
    }
}

#[cfg(test)]
mod tests {
    use super::Reached;
    use bulkhead_policy::ProcessKind;
    use bulkhead_sandbox::{Exit, LimitHit, Limits, Status, Usage};
    use std::time::Duration;

    fn exit(status: Status, limit: Option<LimitHit>) -> Exit {
        Exit { status, denials: Vec::new(), limit, usage: Usage::default() }
    }

    #[test]
    fn a_limit_is_told_with_its_key_and_value() {
        let limits = Limits {
            wall_time: Some(Duration::from_secs(5)),
            memory_bytes: Some(64 << 20),
            total_memory_bytes: Some(100 << 20),
            ..Limits::default()
        };
        let told = |exit: &Exit| Reached::by(exit, &limits, ProcessKind::BuildScript).map(|it| it.to_string());
        let killed = Status::Signal(9);
        let time = told(&exit(killed, Some(LimitHit::WallTime))).unwrap();
        assert_eq!(time, "it took too long: the limit `limits.build-script.time-seconds` is 5");
        let memory = told(&exit(killed, Some(LimitHit::TotalMemory))).unwrap();
        assert!(memory.ends_with("the limit `limits.build-script.total-memory-mib` is 100"), "{memory}");
        let processes = told(&exit(Status::Code(2), Some(LimitHit::Processes))).unwrap();
        assert!(
            processes.ends_with("refused another process: the limit `limits.build-script.processes` is 4096"),
            "{processes}"
        );
        let memory = told(&exit(Status::Signal(6), None)).unwrap();
        assert!(memory.contains("probably") && memory.ends_with("`limits.build-script.memory-mib` is 64"), "{memory}");
        for (status, limits) in
            [(Status::Code(0), &limits), (Status::Code(1), &limits), (Status::Signal(6), &Limits::default())]
        {
            assert_eq!(Reached::by(&exit(status, None), limits, ProcessKind::Rustc), None);
        }
    }
}
