//! What starting and ending a process costs by the mechanism that confines it, and what it costs to look at the memory of
//! one that runs. `cargo xtask bench confinement` runs this, built with optimisations, and makes a table of it.
//!
//! `confinement_cost RUNS PROGRAM [ARGUMENT]…`, with the profile on standard input, a line for each of its parts:
//! `required PATH`, `read PATH`, `write PATH`, `folder PATH`, `variable NAME=VALUE`. A line of the answer is a mechanism and
//! three numbers in microseconds: median and tenth percentile on the clock, median of processor time.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_sandbox::{Level, Network, Process, spawn};

/// The memory of the parent, on which a confined start must not depend.
const PARENT: usize = 200 << 20;
/// How long the process runs whose memory is looked at.
const WATCHED: Duration = Duration::from_secs(2);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().and_then(|text| text.parse().ok()).expect("how many runs");
    let mut process = described();
    process.program = arguments.next().expect("a program").into();
    process.arguments = arguments.map(Into::into).collect();
    let ballast = vec![1_u8; PARENT];
    compare(&process, runs.max(1));
    drop(ballast);
    watch(&process);
}

fn described() -> Process {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a profile");
    let mut process = Process::new("/usr/bin/true");
    for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let path = PathBuf::from(value);
        match key {
            "required" => process.read.push(path),
            "read" => process.read_if_present.push(path),
            "write" => process.write.push(path),
            "folder" => process.current_dir = path,
            "variable" => {
                process.environment.extend(value.split_once('=').map(|(name, value)| (name.into(), value.into())));
            }
            _ => {}
        }
    }
    process
}

/// Each mechanism in turn, so that what else the machine does meets all of them.
fn compare(process: &Process, runs: usize) {
    let shipped = Process { observe: true, ..process.clone() };
    let own_network = Process { network: Network::Loopback, ..shipped.clone() };
    let weaker = Process { level: Level::LandlockOnly, ..shipped.clone() };
    let unobserved = process.clone();
    // What a control group keeps where there is one: without these limits none is taken.
    let mut ungrouped = shipped.clone();
    (ungrouped.limits.total_memory_bytes, ungrouped.limits.processes) = (None, None);
    // A process that does nothing, whose namespaces others join.
    let holder = Process { program: "/usr/bin/sleep".into(), arguments: vec!["3600".into()], ..process.clone() };
    let holder = spawn(&holder).expect("a prepared namespace");
    let prepared = pidfd(holder.id());
    let mechanisms: [(&str, &dyn Fn()); 8] = [
        ("plain", &|| plain(process, None)),
        ("forked", &|| plain(process, Some(None))),
        ("joined", &|| plain(process, Some(Some(prepared)))),
        ("shipped", &|| confined(&shipped)),
        ("unobserved", &|| confined(&unobserved)),
        ("ungrouped", &|| confined(&ungrouped)),
        ("all-namespaces", &|| confined(&own_network)),
        ("landlock-and-seccomp", &|| confined(&weaker)),
    ];
    let mut times = mechanisms.map(|_| Vec::with_capacity(runs));
    for run in 0..=runs {
        for (times, (_, start)) in times.iter_mut().zip(&mechanisms) {
            let cost = time(start);
            // The first one of each fills caches.
            if run > 0 {
                times.push(cost);
            }
        }
    }
    for ((name, _), times) in mechanisms.iter().zip(times) {
        let (mut clock, mut processor): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        clock.sort_unstable();
        processor.sort_unstable();
        let of = |times: &[Duration], index: usize| times[index].as_micros();
        println!("{name} {} {} {}", of(&clock, runs / 2), of(&clock, runs / 10), of(&processor, runs / 2));
    }
    holder.kill();
}

/// The processor time that the parent spends for each second in which one process runs, or sixteen: with a limit on their
/// memory, and without.
fn watch(process: &Process) {
    let seconds = WATCHED.as_secs();
    let one = format!("exec sleep {seconds}");
    let many = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep {seconds} & done; {one}");
    let mut process = Process { program: "/bin/sh".into(), ..process.clone() };
    let usual = process.limits.total_memory_bytes;
    for (name, limit, script) in [
        ("one-unwatched", None, &one),
        ("one-watched", usual, &one),
        ("sixteen-unwatched", None, &many),
        ("sixteen-watched", usual, &many),
    ] {
        process.arguments = vec!["-c".into(), script.into()];
        process.limits.total_memory_bytes = limit;
        let before = used(libc::RUSAGE_SELF);
        confined(&process);
        let spent = (used(libc::RUSAGE_SELF) - before).as_micros() / u128::from(seconds);
        println!("{name} {spent} {spent} {spent}");
    }
}

/// Time on the clock, and processor time of this process and of those it waited for.
fn time(run: &dyn Fn()) -> (Duration, Duration) {
    let all = || used(libc::RUSAGE_SELF) + used(libc::RUSAGE_CHILDREN);
    let (start, before) = (Instant::now(), all());
    run();
    (start.elapsed(), all() - before)
}

fn used(who: i32) -> Duration {
    // SAFETY: an all-zero struct is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn pidfd(process: u32) -> i32 {
    // SAFETY: numbers only.
    i32::try_from(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) }).expect("a descriptor")
}

/// Without confinement; `joining` starts it the way that lets it enter namespaces first, and enters those if there are any.
fn plain(process: &Process, joining: Option<Option<i32>>) {
    const PREPARED: i32 =
        libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let mut command = Command::new(&process.program);
    command.args(&process.arguments).env_clear().stdin(Stdio::null());
    command.envs(process.environment.iter().map(|(name, value)| (name, value)));
    if let Some(prepared) = joining {
        let join = move || match prepared.map(|prepared| {
            // SAFETY: numbers only.
            unsafe { libc::setns(prepared, PREPARED) }
        }) {
            Some(-1) => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        };
        // SAFETY: one system call, which neither allocates nor locks.
        unsafe { command.pre_exec(join) };
    }
    let output = command.output().expect("plain run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn confined(process: &Process) {
    let output = spawn(process).expect("spawn").wait_with_output().expect("wait");
    assert!(output.exit.status.success(), "{:?} {}", output.exit, String::from_utf8_lossy(&output.stderr));
}
