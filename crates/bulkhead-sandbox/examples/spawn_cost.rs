//! Prints what starting and ending a process costs: plain, confined, confined and observed. Run it with `--release`.
//!
//! `spawn_cost [RUNS] [PARENT_MB]`; the parent's memory is filled to PARENT_MB first, since a confined start must not depend
//! on it.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_sandbox::{Level, Process, spawn, support};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let runs = arguments.next().unwrap_or(200);
    let ballast = vec![1_u8; arguments.next().unwrap_or(200) << 20];
    println!("{:?}", support());
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc").stdout;
    let sysroot = PathBuf::from(String::from_utf8(sysroot).expect("UTF-8").trim());
    let folder = std::env::temp_dir().join(format!("spawn-cost-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("src")).expect("a temporary folder");
    std::fs::create_dir_all(folder.join("out")).expect("a temporary folder");
    std::fs::write(folder.join("src/lib.rs"), "pub fn one() -> u32 { 1 }").expect("a source file");

    let mut process = Process::new("/usr/bin/true");
    process.read = vec![sysroot.clone(), folder.join("src")];
    process.write = vec![folder.join("out")];
    compare("true", &process, runs);

    process.program = sysroot.join("bin/rustc");
    process.arguments = vec!["-vV".into()];
    compare("rustc -vV", &process, runs / 4);

    process.arguments = ["--crate-type=lib", "--emit=metadata", "--edition=2024", "--out-dir"].map(Into::into).into();
    process.arguments.extend([folder.join("out").into_os_string(), folder.join("src/lib.rs").into_os_string()]);
    compare("rustc --emit=metadata", &process, runs / 8);
    drop(ballast);
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

fn compare(name: &str, process: &Process, runs: usize) {
    let observed = Process { observe: true, ..process.clone() };
    let weaker = Process { level: Level::LandlockOnly, ..process.clone() };
    let mut times: [Vec<(Duration, Duration)>; 4] = Default::default();
    for _ in 0..runs {
        times[0].push(time(|| plain(process)));
        times[1].push(time(|| confined(process)));
        times[2].push(time(|| confined(&observed)));
        times[3].push(time(|| confined(&weaker)));
    }
    for (mode, times) in ["plain", "confined", "confined, observed", "Landlock only"].into_iter().zip(times) {
        let (mut clock, mut processor): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        clock.sort_unstable();
        processor.sort_unstable();
        let (median, tenth) = (clock[runs / 2].as_micros(), clock[runs / 10].as_micros());
        let processor = processor[runs / 2].as_micros();
        println!("{name:24} {mode:20} median {median:6} µs, 10% {tenth:6} µs; processor time {processor:6} µs");
    }
}

/// Time on the clock, and processor time of this process and of those it waited for.
fn time(run: impl FnOnce()) -> (Duration, Duration) {
    let (start, used) = (Instant::now(), processor_time());
    run();
    (start.elapsed(), processor_time() - used)
}

fn processor_time() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| {
            // SAFETY: an all-zero struct is valid, and the call fills it.
            let usage = unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                libc::getrusage(who, &raw mut usage);
                usage
            };
            let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
            time(usage.ru_utime) + time(usage.ru_stime)
        })
        .sum()
}

fn plain(process: &Process) {
    let mut command = Command::new(&process.program);
    command.args(&process.arguments).env_clear().stdin(Stdio::null());
    assert!(command.output().expect("plain run").status.success());
}

fn confined(process: &Process) {
    let output = spawn(process).expect("spawn").wait_with_output().expect("wait");
    assert!(output.exit.status.success(), "{:?} {}", output.exit, String::from_utf8_lossy(&output.stderr));
}
