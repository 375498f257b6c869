//! Limits, and how an end is reported.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_sandbox::{Gate, Level, LimitHit, SandboxError, Status, spawn, support};

use crate::{Place, at_both_levels, confined, has, levels, text};

#[test]
fn this_host_offers_confinement() {
    let support = support();
    assert_eq!(
        (support.missing(Level::Full), support.missing(Level::LandlockOnly).is_some()),
        (None, levels().len() < 2)
    );
}

#[test]
fn exit_codes_and_signals() {
    let place = Place::new();
    at_both_levels(&place.shell("exit 7"), |output| assert_eq!(output.exit.status, Status::Code(7)));
    for (name, number) in [("ABRT", 6), ("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        at_both_levels(&place.shell(&format!("kill -{name} $$")), |output| {
            assert_eq!(output.exit.status, Status::Signal(number));
        });
    }
}

/// Attacks 112 and 119.
#[test]
fn time_on_the_clock() {
    let place = Place::new();
    let mut process = place.shell("echo first; sleep 60 & sleep 60");
    process.limits.wall_time = Some(Duration::from_secs(2));
    at_both_levels(&process, |output| {
        assert_eq!((output.exit.limit, output.exit.status), (Some(LimitHit::WallTime), Status::Signal(9)));
        assert_eq!(text(&output.stdout), "first\n");
    });
}

/// Attack 112.
#[test]
fn endless_output() {
    let place = Place::new();
    let mut process = place.shell("yes");
    process.limits.output_bytes = Some(100_000);
    at_both_levels(&process, |output| {
        assert_eq!(output.exit.limit, Some(LimitHit::Output));
        assert_eq!(output.stdout.len(), 100_000);
    });
}

/// Attack 112.
#[test]
fn too_many_processes() {
    let place = Place::new();
    let mut process = place.shell("for i in $(seq 600); do sleep 5 & done; echo all");
    process.limits.processes = Some(40);
    let output = confined(&process);
    assert_ne!(text(&output.stdout), "all\n");
    assert!(text(&output.stderr).to_lowercase().contains("fork"), "{}", text(&output.stderr));
}

/// Attack 112: no process holds much, all of them together do.
#[test]
fn memory_of_all_processes_together() {
    if !has("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    let hold = |mebibytes: u32| {
        let hold = format!("b = bytearray(b'x' * ({mebibytes} << 20)); import time; time.sleep(3)");
        // In sessions of their own, with parents that have ended.
        let script = format!("for i in 1 2 3 4 5; do setsid /usr/bin/python3 -c \"{hold}\" & done; wait");
        let mut process = place.shell(&script);
        process.limits.memory_bytes = Some(150 << 20);
        process.limits.total_memory_bytes = Some(200 << 20);
        confined(&process).exit
    };
    assert_eq!(hold(60).limit, Some(LimitHit::TotalMemory));
    let few = hold(10);
    assert_eq!((few.limit, few.status), (None, Status::Code(0)));
    // What forks share counts once.
    let fork = "import os, time\nb = bytearray(b'x' * (90 << 20))\nfor i in range(5):\n  os.fork() or time.sleep(1) or os._exit(0)\ntime.sleep(1)";
    let mut process = place.run("/usr/bin/python3", &["-c", fork]);
    process.limits.total_memory_bytes = Some(200 << 20);
    assert_eq!(confined(&process).exit.limit, None);
    // Files in its private /tmp are memory as well.
    let mut process = place.shell("dd if=/dev/zero of=/tmp/big bs=1M count=300 2>&1 || echo full");
    process.limits.total_memory_bytes = Some(100 << 20);
    assert!(text(&confined(&process).stdout).ends_with("full\n"));
}

/// Attack 112.
#[test]
fn open_files_are_those_of_the_user_and_never_without_end() {
    let place = Place::new();
    let output =
        confined(&place.shell("ulimit -Sn; ulimit -Hn; ulimit -Hn 2>&1; ulimit -n 70000 2>/dev/null && echo raised"));
    let lines: Vec<u64> = text(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    assert!(lines[0] <= lines[1] && lines[1] <= 65536, "{lines:?}");
    assert!(!text(&output.stdout).contains("raised"));
    let mut process = place.shell("ulimit -Sn");
    process.limits.open_files = Some(100);
    assert_eq!(text(&confined(&process).stdout), "100\n");
}

/// Attack 112.
#[test]
fn processor_time_file_size_and_memory() {
    let place = Place::new();
    let mut process = place.shell("while :; do :; done");
    process.limits.cpu_time = Some(Duration::from_secs(1));
    assert_eq!(confined(&process).exit.limit, Some(LimitHit::CpuTime));
    let mut process = place.shell("exec dd if=/dev/zero of=\"$OUT/big\" bs=64k count=100");
    process.limits.file_size = Some(1 << 20);
    assert_eq!(confined(&process).exit.limit, Some(LimitHit::FileSize));
    assert!(std::fs::metadata(place.path("out/big")).unwrap().len() <= 1 << 20);
    if has("/usr/bin/python3") {
        let mut process = place.run("/usr/bin/python3", &["-c", "b = bytearray(1 << 30); print('had it')"]);
        process.limits.memory_bytes = Some(256 << 20);
        assert!(text(&confined(&process).stderr).contains("MemoryError"));
    }
}

#[test]
fn killing_from_another_thread() {
    let place = Place::new();
    let child = spawn(&place.shell("sleep 60")).unwrap();
    let killer = child.killer().unwrap();
    std::thread::spawn(move || killer.kill());
    assert_eq!(child.wait().unwrap().status, Status::Signal(9));
}

#[test]
fn usage_counts_what_the_program_started() {
    let place = Place::new();
    let usage = confined(&place.shell("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'")).exit.usage;
    assert!(usage.user + usage.system > Duration::from_millis(10), "{usage:?}");
    assert!(usage.max_rss_bytes > 100_000, "{usage:?}");
}

#[test]
fn a_program_that_cannot_be_executed() {
    let place = Place::new();
    let mut process = place.shell("true");
    process.program = place.path("package/lib.rs");
    assert!(matches!(spawn(&process), Err(SandboxError::Execute { .. })));
    process.program = "/usr/bin/true".into();
    process.current_dir = place.path("other");
    assert!(matches!(spawn(&process), Err(SandboxError::Path { .. })));
}

#[test]
fn many_threads_start_processes_at_once() {
    let rounds = std::env::var("BULKHEAD_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                let place = Place::new();
                for round in 0..rounds {
                    let mut process =
                        place.shell(&format!("echo {thread}.{round}; cat \"$SECRET\" 2>/dev/null; exit 3"));
                    process.observe = (thread + round) % 2 == 0;
                    let output = confined(&process);
                    assert_eq!(text(&output.stdout), format!("{thread}.{round}\n"));
                    assert_eq!(output.exit.status, Status::Code(3));
                    assert_eq!(output.exit.denials.len(), usize::from(process.observe));
                }
            });
        }
    });
    // Nothing stays open: each run used some ten descriptors.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 200, "{open} descriptors are open");
}

#[test]
fn a_closed_gate_keeps_a_ready_process_from_its_program() {
    for level in levels() {
        let place = Place::new();
        let gate = Arc::new(Gate::new().unwrap());
        let mut process = place.shell("echo ran > $OUT/mark; echo done");
        process.level = level;
        process.gate = Some(Arc::clone(&gate));
        let mark = place.path("out/mark");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| spawn(&process).unwrap().wait_with_output().unwrap());
            // Another child that starts and ends meanwhile has its pipes to itself.
            let other = place.shell("echo other");
            let start = Instant::now();
            assert_eq!(text(&confined(&other).stdout), "other\n");
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!mark.exists());
            gate.open();
            assert_eq!(text(&waiting.join().unwrap().stdout), "done\n");
        });
        assert!(mark.exists());
    }
}

#[test]
fn a_process_whose_gate_never_opens_never_runs() {
    for level in levels() {
        let place = Place::new();
        let gate = Arc::new(Gate::new().unwrap());
        let mut process = place.shell("echo ran > $OUT/mark");
        process.level = level;
        process.gate = Some(Arc::clone(&gate));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| spawn(&process));
            std::thread::sleep(Duration::from_millis(30));
            gate.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(SandboxError::Cancelled)));
        });
        assert!(!place.path("out/mark").exists());
    }
}
