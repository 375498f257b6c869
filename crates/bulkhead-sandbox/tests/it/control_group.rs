//! Limits that a control group keeps. Where this process can make none, what is left is to say why; `cargo xtask vm` runs
//! these where it can.

use std::os::fd::AsRawFd;

use bulkhead_sandbox::{ControlGroup, LimitHit, Process, Status, Stdin, control_group, spawn};

use crate::{Place, confined, has, levels, plain, text};

/// Set where a host without control groups would be a mistake.
const DEMANDED: &str = "BULKHEAD_TEST_CONTROL_GROUPS";

/// Whether a control group keeps what a test is about.
fn keeps(what: fn(ControlGroup) -> bool) -> bool {
    let host = control_group();
    let demanded = std::env::var_os(DEMANDED).is_some();
    assert!(host.is_ok() || !demanded, "there should be control groups: {host:?}");
    assert_ne!(host.as_ref().err().map(String::as_str), Some(""));
    let keeps = host.clone().is_ok_and(what);
    if !keeps {
        eprintln!("skipped: {host:?}");
    }
    keeps
}

/// Takes memory, and says after each mebibyte how much it has.
fn hold(place: &Place, mebibytes: u32) -> Process {
    let script = format!(
        "import sys\nheld = []\nfor i in range({mebibytes}):\n  held.append(bytearray(b'x' * (1 << 20)))\n  print(i, flush=True)"
    );
    place.run("/usr/bin/python3", &["-c", &script])
}

/// Attack 112: memory that is filled faster than anybody could look. What runs beside it does not suffer.
#[test]
fn memory_ends_at_its_limit() {
    if !keeps(|host| host.memory) || !has("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    for level in levels() {
        let with_limit = |process: Process, bytes| {
            let mut process = Process { level, ..process };
            process.limits.total_memory_bytes = Some(bytes);
            process
        };
        let (end, go_on) = std::io::pipe().unwrap();
        let mut beside = with_limit(place.shell("read line; echo done"), 60 << 20);
        beside.stdin = Stdin::From(end.as_raw_fd());
        let beside = spawn(&beside).unwrap();
        let attack = confined(&with_limit(hold(&place, 200), 60 << 20));
        drop(go_on);
        assert_eq!((attack.exit.limit, attack.exit.status), (Some(LimitHit::TotalMemory), Status::Signal(9)));
        let held = text(&attack.stdout).lines().count();
        assert!((10..60).contains(&held), "{held}");
        let beside = beside.wait_with_output().unwrap();
        assert_eq!((beside.exit.limit, text(&beside.stdout).as_str()), (None, "done\n"));
        let benign = confined(&with_limit(hold(&place, 200), 400 << 20));
        assert_eq!((benign.exit.limit, benign.exit.status), (None, Status::Code(0)));
    }
}

/// Attack 112: one process after the other dies of it, and the script does not mind.
#[test]
fn the_whole_run_ends_with_the_process_that_takes_too_much() {
    if !keeps(|host| host.memory) || !has("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    let take = "/usr/bin/python3 -c 'b = bytearray(b\"x\" * (200 << 20))'";
    let mut process = place.shell(&format!("{take} || {take} || echo survived"));
    process.limits.total_memory_bytes = Some(60 << 20);
    let output = confined(&process);
    assert_eq!((output.exit.limit, text(&output.stdout).as_str()), (Some(LimitHit::TotalMemory), ""));
}

/// Attack 112.
#[test]
fn processes_end_at_their_limit() {
    if !keeps(|host| host.processes) {
        return;
    }
    let place = Place::new();
    for level in levels() {
        let many = |processes: u64| {
            let script = "for i in $(seq 60); do sleep 5 & done; kill $(jobs -p); echo all";
            let mut process = Process { level, ..place.shell(script) };
            process.limits.processes = Some(processes);
            confined(&process)
        };
        let attack = many(30);
        assert_eq!(attack.exit.limit, Some(LimitHit::Processes), "{:?}", attack.exit.status);
        assert!(text(&attack.stderr).to_lowercase().contains("fork"), "{}", text(&attack.stderr));
        let benign = many(300);
        assert_eq!((benign.exit.limit, text(&benign.stdout).as_str()), (None, "all\n"));
    }
}

/// Attack 112: a process that leaves its group leaves its limits.
#[test]
fn nothing_leaves_its_group() {
    if !keeps(|host| host.processes) {
        return;
    }
    let place = Place::new();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let script = "for group in /sys/fs/cgroup/unified /sys/fs/cgroup; do \
                  echo 0 2>/dev/null > $group\"$OWN\"/cgroup.procs && echo left; done; cat /proc/self/cgroup";
    for level in levels() {
        let mut attack = Process { level, ..place.shell(script) };
        attack.environment.push(("OWN".into(), own.into()));
        let output = confined(&attack);
        let stdout = text(&output.stdout);
        assert!(!stdout.contains("left") && stdout.contains("/bulkhead-"), "{stdout}");
        assert!(text(&plain(&attack).stdout).contains("left"));
    }
}

/// One run after the other is in the same group, or in that of the run before the last.
#[test]
fn groups_are_used_again() {
    if !keeps(|host| host.processes) {
        return;
    }
    let place = Place::new();
    let mut process = place.shell("cat /proc/self/cgroup");
    process.limits.processes = Some(123);
    let runs = (0..12).map(|_| text(&confined(&process).stdout));
    let groups: std::collections::BTreeSet<String> = runs.collect();
    assert!(groups.iter().all(|group| group.contains("/bulkhead-")) && groups.len() < 6, "{groups:?}");
}
