//! More than there is for everybody (case 112), through the whole program: whatever it is that keeps the limits on this host, a
//! control group or the kernel's limits and a look now and then, a build script that goes beyond them ends the build.

use bulkhead_test_support::CrateBuilder;

use super::arena::Arena;
use crate::stage::{each, skipped};

/// Starts as many processes as it may, up to `MANY`, and leaves them to themselves.
const CROWD: &str = r#"
fn main() {
    let mut started = 0;
    let start = || {
        let null = std::process::Stdio::null;
        std::process::Command::new("sleep").arg("20.{PORT}").stdin(null()).stdout(null()).stderr(null()).spawn()
    };
    let refused = (0..{MANY}).find_map(|_| match start() {
        Ok(_) => { started += 1; None }
        Err(error) => Some(error),
    });
    std::fs::write(std::env::var("OUT_DIR").unwrap() + "/started", format!("{started}\n")).unwrap();
    assert!(refused.is_none(), "the crowd ends at {started}: {refused:?}");
}
"#;

/// Starts itself `MANY` times; each fills 60 MiB, says so, and stays for `LINGER` milliseconds.
const FILLING: &str = r#"
use std::io::Write as _;
fn main() {
    let started = std::env::var("OUT_DIR").unwrap() + "/started";
    if std::env::args().nth(1).is_some() {
        let held = vec![1_u8; 60 << 20];
        let mut file = std::fs::File::options().create(true).append(true).open(started).unwrap();
        file.write_all(b"filled\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis({LINGER}));
        assert!(std::hint::black_box(&held)[held.len() / 2] == 1);
        return;
    }
    let again = || std::process::Command::new(std::env::current_exe().unwrap()).arg("again").spawn().unwrap();
    let mut all: Vec<_> = (0..{MANY}).map(|_| again()).collect();
    assert!(all.iter_mut().all(|one| one.wait().unwrap().success()));
}
"#;

/// The limits that a control group keeps here.
struct Groups {
    memory: bool,
    processes: bool,
}

impl Groups {
    /// As `sandbox show` says it, which has to say why where there is none.
    fn of(arena: &Arena) -> Groups {
        let shown = arena.bulkhead(&["sandbox", "show", "evil", "--process", "build-script", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&shown.assert_success().stdout).unwrap();
        let kept_by = json.pointer("/profiles/0/kept_by").and_then(serde_json::Value::as_str).unwrap();
        if kept_by == "a control group, resource limits" {
            return Groups { memory: true, processes: true };
        }
        let why = kept_by.strip_prefix("resource limits, looks at the memory (").expect(kept_by);
        let memory = why.starts_with("the control group here cannot limit processes");
        let processes = why.starts_with("the control group here cannot limit memory");
        let reason = why.strip_prefix("no control group: ").unwrap_or_default();
        assert!(memory || processes || reason.len() > 10, "{kept_by}");
        Groups { memory, processes }
    }
}

/// As many as may be started below a limit of `limit`, if something counts them. Where no group does, root's are counted by
/// their numbers, of which Linux gives out 300 more, from 6.14 on.
fn most(groups: &Groups, limit: u32) -> Option<u32> {
    if groups.processes || !rustix::process::geteuid().is_root() {
        return Some(limit);
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0_u32));
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (release >= (6, 14)).then_some(limit + 300)
}

fn arena(script: &str, many: u32, linger: u32) -> Arena {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    let script = script.replace("{MANY}", &many.to_string()).replace("{LINGER}", &linger.to_string());
    let script = script.replace("{PORT}", &arena.canaries.tcp_port().to_string());
    let package = CrateBuilder::new("evil", "1.0.0").file("src/lib.rs", "pub fn new() {}\n");
    arena.stage.registry.publish(package.build_script(&script));
    arena
}

/// The lines that the script has left in its `OUT_DIR`.
fn started(arena: &Arena) -> String {
    let files = super::storage::files(&arena.stage.project.path("target"), "started", "");
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// How many of the processes that the script has started still run.
fn left_behind(arena: &Arena) -> usize {
    let needle = format!("sleep\020.{}\0", arena.canaries.tcp_port());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|it| std::fs::read(it.path().join("cmdline")).is_ok_and(|it| it == needle.as_bytes())).count()
}

/// Variants of attack 105: processes that detach themselves by every means of the shell's, and of the kernel's.
#[test]
fn case_105_nothing_stays_however_it_detaches_itself() {
    let quiet = "</dev/null >/dev/null 2>&1";
    let ways = [
        format!("sleep 20.{{PORT}} {quiet} &"),
        format!("setsid sleep 20.{{PORT}} {quiet} &"),
        format!("(setsid sh -c '(sleep 20.{{PORT}} &) &' {quiet} &) &"),
        format!("(trap '' HUP INT TERM QUIT; exec setsid nohup sleep 20.{{PORT}} {quiet}) &"),
        format!("setsid unshare -rp --fork sleep 20.{{PORT}} {quiet} & setsid sleep 20.{{PORT}} {quiet} &"),
        // It holds the pipe on which what the script says is read.
        "setsid sleep 20.{PORT} </dev/null &".to_owned(),
    ];
    each(ways, |way| {
        let script = format!(
            "fn main() {{ let _ = std::process::Command::new(\"sh\").args([\"-c\", \"{way}\"]).status(); \
             std::thread::sleep(std::time::Duration::from_millis(200)); }}"
        );
        let arena = arena(&script, 0, 0);
        let ours = arena.bulkhead(&["build"]);
        arena.assert_unharmed(ours.assert_success());
        assert_eq!(left_behind(&arena), 0, "{ours}");
        arena.clear();
        let theirs = arena.cargo(&["build"]);
        let held = theirs.elapsed > std::time::Duration::from_secs(20);
        assert!(left_behind(&arena) > 0 || held, "it does not bite under cargo: {theirs}");
    });
    // The twin: a process that the script waits for does its work.
    let arena = arena("fn main() { assert!(std::process::Command::new(\"true\").status().unwrap().success()) }", 0, 0);
    arena.bulkhead(&["build"]).assert_success();
}

/// Variants of attack 112: folders within folders, until no path is long enough to name them: neither a build nor `clean` is kept from its work.
#[test]
fn case_112_folders_without_end_are_in_nobodys_way() {
    let dig = "fn main() { std::env::set_current_dir(std::env::var(\"OUT_DIR\").unwrap()).unwrap();\n    \
               for _ in 0..5000 { let _ = std::fs::create_dir(\"deep\"); std::env::set_current_dir(\"deep\").unwrap(); } }";
    let arena = Arena::new("", "fn main() {}");
    let dug = || {
        let folders = super::storage::folders(&arena.stage.project.path("target"), "deep");
        folders.iter().any(|path| path.as_os_str().len() > 3000)
    };
    // Who fails is not looked at, and leaves what it has made.
    let failing = dig.replace("deep\").unwrap(); } }", "deep\").unwrap(); } std::process::exit(1) }");
    for (script, command) in [(dig, "build"), (&failing, "build"), (&failing, "clean")] {
        arena.stage.project.write("build.rs", script);
        let refused = arena.bulkhead(&["build"]);
        arena.assert_unharmed(&refused);
        assert!(refused.code() == Some(101) && dug() == (script == failing), "{refused}");
        if command == "build" {
            // The twin, beside what the first one has left: a few folders are fine.
            arena.stage.project.write("build.rs", dig.replace("5000", "5"));
        }
        arena.bulkhead(&[command]).assert_success();
        assert!(!dug());
    }
    arena.stage.project.write("build.rs", dig);
    arena.cargo(&["build"]).assert_success();
    assert!(dug(), "it bites under cargo");
    arena.bulkhead(&["clean"]).assert_success();
}

/// Variants of attack 112: what is too much to be left is not found, and counted, by the next script.
#[test]
fn case_112_too_much_does_not_stay() {
    for key in ["disk-mib", "files"] {
        let script = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap(); for index in 0..30 { \
                      std::fs::write(format!(\"{out}/{index}\"), vec![1; 100 << 10]).unwrap(); } }";
        let arena = Arena::new("", "fn main() {}");
        arena.stage.project.write("build.rs", script);
        limit(&arena, key, 2);
        let refused = arena.bulkhead(&["build"]);
        arena.assert_stopped(&refused, 101, &["app v0.1.0", "in OUT_DIR", key]);
        arena.stage.project.write("build.rs", script.replace("30", "1"));
        arena.bulkhead(&["build"]).assert_success();
        // Without the limit it stays, as under cargo.
        std::fs::remove_file(arena.stage.project.path("bulkhead.toml")).unwrap();
        arena.stage.project.write("build.rs", script);
        arena.bulkhead(&["build"]).assert_success();
        assert!(super::storage::files(&arena.stage.project.path("target"), "29", "").len() == 1, "{key} bites");
    }
}

fn limit(arena: &Arena, key: &str, value: u32) {
    arena.stage.project.write("bulkhead.toml", format!("[limits.build-script]\n{key} = {value}\n"));
}

/// A crowd of processes.
#[test]
fn case_112_a_crowd_ends_at_the_limit_and_with_the_script() {
    let crowd = arena(CROWD, 600, 0);
    limit(&crowd, "processes", 40);
    let groups = Groups::of(&crowd);
    let Some(most) = most(&groups, 40) else {
        return skipped("neither a control group nor the kernel counts root's processes here");
    };
    let outcome = crowd.bulkhead(&["build"]);
    crowd.assert_stopped(&outcome, 101, &["evil v1.0.0", "the crowd ends at "]);
    let count: u32 = started(&crowd).trim().parse().unwrap();
    assert!((10..=most).contains(&count), "{count} {outcome}");
    // The group tells that it has refused something; what the kernel refuses otherwise it tells nobody but the process.
    let told = outcome.stderr.contains("the limit `limits.build-script.processes` is 40");
    assert_eq!(told, groups.processes, "{outcome}");
    // Without a limit that is so low, all of them start. They do not stay.
    std::fs::remove_file(crowd.stage.project.path("bulkhead.toml")).unwrap();
    let unlimited = crowd.bulkhead(&["build"]);
    crowd.assert_unharmed(unlimited.assert_success());
    assert_eq!((started(&crowd).as_str(), left_behind(&crowd)), ("600\n", 0), "{unlimited}");
    crowd.clear();
    let theirs = crowd.cargo(&["build"]);
    theirs.assert_success();
    assert_eq!((started(&crowd).as_str(), left_behind(&crowd)), ("600\n", 600), "it bites under cargo: {theirs}");
    // The twin: a few are no crowd.
    let few = arena(CROWD, 8, 0);
    limit(&few, "processes", 40);
    let outcome = few.bulkhead(&["build"]);
    few.assert_unharmed(outcome.assert_success());
    assert_eq!(started(&few), "8\n", "{outcome}");
}

/// Variants of attack 112: memory of many that no one of them has much of. A control group knows of it at once, and looking, as soon as it stays.
#[test]
fn case_112_memory_of_many_ends_at_the_limit() {
    let looked_at = 3000;
    let probe = arena(FILLING, 1, 0);
    let linger = if Groups::of(&probe).memory { 200 } else { looked_at };
    let filling = arena(FILLING, 5, linger);
    limit(&filling, "total-memory-mib", 150);
    let outcome = filling.bulkhead(&["build"]);
    let told = "the limit `limits.build-script.total-memory-mib` is 150";
    filling.assert_stopped(&outcome, 101, &["evil v1.0.0", told, "a larger `total-memory-mib`"]);
    if linger < looked_at {
        assert!(started(&filling).lines().count() < 3, "{outcome}");
    }
    std::fs::remove_file(filling.stage.project.path("bulkhead.toml")).unwrap();
    filling.clear();
    let unlimited = filling.bulkhead(&["build"]);
    filling.assert_unharmed(unlimited.assert_success());
    assert_eq!(started(&filling).lines().count(), 5, "{unlimited}");
    filling.clear();
    filling.cargo(&["build"]).assert_success();
    assert_eq!(started(&filling).lines().count(), 5, "it bites under cargo");
    // The twin: one of them is less than the limit.
    limit(&probe, "total-memory-mib", 150);
    let outcome = probe.bulkhead(&["build"]);
    probe.assert_unharmed(outcome.assert_success());
    assert_eq!(started(&probe).lines().count(), 1, "{outcome}");
}
