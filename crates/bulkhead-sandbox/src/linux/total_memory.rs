//! Memory of a process with all that it has started, which no resource limit of the kernel's covers: where there is no control
//! group to keep it, it is looked at now and then by the loop that waits.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::control_group::memory_limit;

/// How often, at most. What can be filled meanwhile is a small part of a machine's memory.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often, at least.
const LONGEST: Duration = Duration::from_secs(1);
/// No processor fills memory faster, in bytes for each millisecond: the kernel clears each page first.
const FASTEST: u64 = 8 << 20;
/// Of the time, at most this part is spent on looking.
const SHARE: u32 = 20;

/// Watches one process.
#[derive(Debug)]
pub(super) struct TotalMemory {
    limit: u64,
    next: Instant,
}

impl TotalMemory {
    pub(super) fn new(limit: u64) -> TotalMemory {
        TotalMemory { limit, next: Instant::now() + pause(limit) }
    }

    /// How long until it is worth looking again.
    pub(super) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Looks, if it is time to: whether `process` and its descendants hold more than is allowed.
    pub(super) fn is_exceeded(&mut self, process: i32) -> bool {
        let start = Instant::now();
        if start < self.next {
            return false;
        }
        let tree = tree(process);
        // What a fork shares is counted once for each by the quick sum; the slow one divides it.
        let held = sum(&tree, resident);
        let exceeded = held > self.limit && sum(&tree, proportional) > self.limit;
        self.next = Instant::now() + pause(self.limit.saturating_sub(held)).max(start.elapsed() * SHARE);
        exceeded
    }
}

/// How long it takes at least until so much is filled by all processors, within reason.
fn pause(left: u64) -> Duration {
    static PROCESSORS: OnceLock<u64> = OnceLock::new();
    let processors =
        *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, |count| count.get() as u64));
    Duration::from_millis(left / (FASTEST * processors)).clamp(INTERVAL, LONGEST)
}

fn sum(tree: &[i32], measure: fn(i32) -> Option<u64>) -> u64 {
    tree.iter().filter_map(|process| measure(*process)).fold(0, u64::saturating_add)
}

/// A process and its descendants. With namespaces all of them are below the first one, whatever they do.
fn tree(process: i32) -> Vec<i32> {
    let mut tree = vec![process];
    let mut index = 0;
    while let Some(&parent) = tree.get(index) {
        index += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            tree.extend(children.split_ascii_whitespace().filter_map(|number| number.parse::<i32>().ok()));
        }
    }
    tree
}

/// What is the process's own, in bytes: not the files that it has mapped, which can be dropped.
fn resident(process: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    Some(kibibytes(&text, &["RssAnon:", "RssShmem:", "VmSwap:"]))
}

/// The same with what is shared divided by those who share it.
fn proportional(process: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok();
    let text = rollup.filter(|text| text.contains("Pss_Anon:"));
    text.map(|text| kibibytes(&text, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"])).or_else(|| resident(process))
}

fn kibibytes(text: &str, names: &[&str]) -> u64 {
    let value = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        names.contains(&words.next()?).then(|| words.next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(value).fold(0, u64::saturating_add).saturating_mul(1024)
}

/// Memory and swap of the machine, in bytes.
pub(super) fn memory_and_swap() -> (u64, u64) {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    (kibibytes(&machine, &["MemTotal:"]), kibibytes(&machine, &["SwapTotal:"]))
}

/// Memory and swap that there are for us, in bytes: of the machine, or of the control groups that we are in.
pub(crate) fn available_memory() -> Option<u64> {
    static AVAILABLE: OnceLock<Option<u64>> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let (memory, swap) = memory_and_swap();
        memory_limit().into_iter().chain([memory.saturating_add(swap)]).min().filter(|bytes| *bytes > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::{available_memory, kibibytes, proportional, resident, tree};

    #[test]
    fn the_kernel_says_what_is_used() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(tree(own).contains(&own));
        assert!(resident(own).unwrap() > 1 << 16 && proportional(own).unwrap() > 1 << 16);
        assert!(available_memory().unwrap() > 1 << 28);
        assert_eq!(kibibytes("A: 2 kB\nB:\t3 kB\nC: x kB\n", &["A:", "B:", "C:"]), 5 << 10);
        assert_eq!(resident(i32::MAX), None);
    }
}
