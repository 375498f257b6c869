//! The organisation's policy cannot be loosened from below: by no flag, variable, file, link, home or spelling of a path.
//!
//! The tests put their own `/etc` in the place of the real one, in a mount namespace.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bulkhead_test_support::{CrateBuilder, Invocation, Outcome};

use crate::stage::{APP, BULKHEAD, Stage, assert_error, each, skipped};

/// Says whether namespaces can be made, mounts `$1` as `/etc` and becomes the rest of its arguments.
const ENTER: &str = "mount --bind \"$1\" /etc && shift && exec \"$@\"";

/// What programs need of `/etc`.
const NEEDED: &[&str] =
    &["passwd", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "ssl", "pki"];

/// A stage, and an `/etc` with a policy.
struct Machine {
    stage: Stage,
}

impl Machine {
    fn new(policy: &str) -> Machine {
        let machine = Machine { stage: Stage::new(APP) };
        let folder = machine.etc().join("bulkhead");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(machine.etc(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in NEEDED.iter().filter(|name| Path::new("/etc").join(name).exists()) {
            let mut copy = std::process::Command::new("cp");
            // What an ordinary user cannot read, nothing here needs.
            copy.arg("-a").arg(Path::new("/etc").join(name)).arg(machine.etc()).output().unwrap();
        }
        std::fs::write(machine.policy(), policy).unwrap();
        machine
    }

    fn etc(&self) -> std::path::PathBuf {
        self.stage.project.outside().join("etc")
    }

    fn policy(&self) -> std::path::PathBuf {
        self.etc().join("bulkhead/policy.toml")
    }

    fn user_policy(&self) -> std::path::PathBuf {
        let folder = self.stage.home.path().join(".config/bulkhead");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("policy.toml")
    }

    /// A command on this machine.
    fn command(&self, arguments: &[&str]) -> Invocation {
        let map: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-r", "-m"] };
        let etc = self.etc();
        let before = ["/bin/sh", "-c", ENTER, "sh", etc.to_str().unwrap(), BULKHEAD];
        let line = map.iter().chain(&before).chain(arguments).copied().collect::<Vec<_>>();
        self.stage.home.command("unshare").args(&line).current_dir(self.stage.project.root())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).run()
    }
}

/// Whether this host lets the tests make namespaces.
fn possible() -> bool {
    let machine = Machine::new("");
    let possible = machine.run(&["--version"]).code() == Some(0);
    if !possible {
        skipped("no mount namespace can be made here");
    }
    possible
}

const STRICT: &str = r#"
locked = ["grant", "limits", "sandbox.level", "publish-age", "sources", "lookalikes", "withdrawn", "build-code"]
[build-code]
level = "approve"
[limits]
time-seconds = 600
"#;

const LAX: &str = r#"
[build-code]
level = "allow"
[[build-code.override]]
package = "plain"
level = "allow"
[limits]
time-seconds = 999999
"#;

fn with_script(policy: &str) -> Machine {
    let machine = Machine::new(policy);
    let script = "fn main() { println!(\"cargo::warning=it says PAYLOAD\") }";
    machine.stage.registry.publish(CrateBuilder::new("plain", "1.3.0").build_script(script).file("src/lib.rs", ""));
    machine
}

#[track_caller]
fn assert_still_refused(outcome: &Outcome) {
    assert_error(outcome, 102, &["error[build-code-approval]", "plain v1.3.0"]);
    assert!(!outcome.output().contains("PAYLOAD"), "{outcome}");
}

#[test]
fn nothing_below_loosens_what_the_organisation_has_locked() {
    if !possible() {
        return;
    }
    let machine = with_script(STRICT);
    let stage = &machine.stage;
    assert_still_refused(&machine.run(&["build"]));
    // Files: the user's, and the project's that the user trusts.
    std::fs::write(machine.user_policy(), LAX).unwrap();
    stage.project.write("bulkhead.toml", LAX);
    assert_still_refused(&machine.run(&["build"]));
    machine.run(&["trust", "--yes"]).assert_success();
    assert_still_refused(&machine.run(&["build"]));
    let limit = machine.run(&["config", "explain", "limits.time-seconds"]);
    assert!(limit.assert_success().stdout.contains("counts       600\n"), "{limit}");
    // Flags.
    let lax = stage.project.outside().join("lax.toml");
    std::fs::write(&lax, LAX).unwrap();
    for flag in ["build-code.level=\"allow\"", "locked=[]", lax.to_str().unwrap()] {
        assert_still_refused(&machine.run(&["build", "--config", flag]));
    }
    // Variables, other homes among them.
    let other = stage.project.outside().join("other");
    std::fs::create_dir_all(other.join("bulkhead")).unwrap();
    std::fs::write(other.join("bulkhead/policy.toml"), LAX).unwrap();
    let other = other.to_str().unwrap();
    each(
        [
            ("BULKHEAD_POLICY", lax.to_str().unwrap()),
            ("BULKHEAD_BUILD_CODE_LEVEL", "allow"),
            ("CARGO_BUILD_CODE_LEVEL", "allow"),
            ("XDG_CONFIG_HOME", other),
            ("XDG_CONFIG_DIRS", other),
            ("HOME", other),
            ("BULKHEAD_HOME", other),
        ],
        |(name, value)| assert_still_refused(&machine.command(&["build"]).env(name, value).run()),
    );
    // Spellings of the place: a link to the workspace, and the kernel's own ways into it.
    let link = stage.project.outside().join("link");
    symlink(stage.project.root(), &link).unwrap();
    let through_proc = format!("/proc/self/root{}", stage.project.root().display());
    for folder in [link.to_str().unwrap(), "/proc/self/cwd", &through_proc] {
        assert_still_refused(&machine.run(&["-C", folder, "build"]));
        assert_still_refused(&machine.run(&["build", "--manifest-path", &format!("{folder}/Cargo.toml")]));
    }
    // Links in the place of the lower policies.
    std::fs::remove_file(machine.user_policy()).unwrap();
    symlink(&lax, machine.user_policy()).unwrap();
    std::fs::remove_file(stage.project.path("bulkhead.toml")).unwrap();
    symlink(&lax, stage.project.path("bulkhead.toml")).unwrap();
    assert_still_refused(&machine.run(&["build"]));
}

/// The same files act where nothing is locked above them.
#[test]
fn without_a_lock_lower_policies_act() {
    if !possible() {
        return;
    }
    let machine = with_script("");
    std::fs::write(machine.user_policy(), LAX).unwrap();
    let built = machine.run(&["build", "-vv"]);
    assert!(built.assert_success().stderr.contains("PAYLOAD"), "{built}");
}

/// A minimum age that the organisation has locked is not lowered through Cargo's own keys, either.
#[test]
fn a_locked_minimum_age_is_not_lowered_by_configuration() {
    if !possible() {
        return;
    }
    let machine = Machine::new("locked = [\"publish-age\"]\n[publish-age]\nminimum = \"30 days\"\n");
    let stage = &machine.stage;
    let (fresh, old) = (crate::ages::hours_ago(24 * 10), crate::ages::hours_ago(24 * 400));
    stage.registry.publish(CrateBuilder::new("plain", "1.8.0").published_at(&old).file("src/lib.rs", ""));
    stage.registry.publish(CrateBuilder::new("plain", "1.9.0").published_at(&fresh).file("src/lib.rs", ""));
    let chosen = |outcome: &Outcome| {
        outcome.assert_success();
        let lockfile = stage.project.read("Cargo.lock");
        std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
        lockfile.contains("1.9.0")
    };
    assert!(!chosen(&machine.run(&["generate-lockfile"])));
    let keys = [
        "resolver.incompatible-publish-age=\"allow\"",
        "registry.global-min-publish-age=\"0 seconds\"",
        "registries.crates-io.min-publish-age=\"0 seconds\"",
    ];
    each(keys, |key| assert!(!chosen(&machine.run(&["generate-lockfile", "--config", key]))));
    let variables = ["CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE", "CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE"];
    each(variables, |name| {
        let value = if name.contains("RESOLVER") { "allow" } else { "0 seconds" };
        assert!(!chosen(&machine.command(&["generate-lockfile"]).env(name, value).run()));
    });
    // The benign twin: without the policy, the user's own word counts.
    std::fs::write(machine.policy(), "").unwrap();
    assert!(chosen(&machine.run(&["generate-lockfile", "--config", keys[0]])));
}

/// A policy that is there and cannot be relied on stops every command; it is never passed over.
#[test]
fn a_policy_that_others_could_have_written_stops_everything() {
    if !possible() {
        return;
    }
    type Harm<'a> = (&'a str, &'a dyn Fn(&Machine));
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let harms: [Harm<'_>; 8] = [
        ("a link that leads nowhere", &|machine| {
            std::fs::remove_file(machine.policy()).unwrap();
            symlink("/nowhere", machine.policy()).unwrap();
        }),
        ("a folder that is a link that leads nowhere", &|machine| {
            std::fs::remove_dir_all(machine.etc().join("bulkhead")).unwrap();
            symlink("/nowhere", machine.etc().join("bulkhead")).unwrap();
        }),
        ("a link into a folder that others may write", &|machine| {
            let open = machine.stage.project.outside().join("open");
            std::fs::create_dir(&open).unwrap();
            std::fs::write(open.join("policy.toml"), LAX).unwrap();
            mode(&open, 0o777);
            std::fs::remove_file(machine.policy()).unwrap();
            symlink(open.join("policy.toml"), machine.policy()).unwrap();
        }),
        ("a file that others may write", &|machine| mode(&machine.policy(), 0o666)),
        ("a folder that others may write", &|machine| mode(&machine.etc().join("bulkhead"), 0o777)),
        ("a folder in its place", &|machine| {
            std::fs::remove_file(machine.policy()).unwrap();
            std::fs::create_dir(machine.policy()).unwrap();
        }),
        ("broken", &|machine| std::fs::write(machine.policy(), "locked = [").unwrap()),
        ("a key of tomorrow", &|machine| std::fs::write(machine.policy(), "forbid-everything = true").unwrap()),
    ];
    for (name, harm) in harms {
        let machine = with_script("");
        machine.run(&["metadata", "--format-version", "1"]).assert_success();
        harm(&machine);
        for arguments in [&["build"][..], &["metadata", "--format-version", "1"], &["update"]] {
            let outcome = machine.run(arguments);
            assert_eq!(outcome.code(), Some(102), "{name}: {outcome}");
            assert!(outcome.stderr.contains("/etc/bulkhead/policy.toml"), "{name}: {outcome}");
        }
    }
    let machine = with_script("");
    if std::os::unix::fs::chown(machine.policy(), Some(65533), None).is_ok() {
        let outcome = machine.run(&["build"]);
        assert_error(&outcome, 102, &["/etc/bulkhead/policy.toml", "uid 65533"]);
    } else {
        skipped("this user may not give files away");
    }
}

/// Loosens everything that a file of a lower layer, or a flag, could say of it.
const UNFORBIDDEN: &str = "forbidden-variables = []\nlocked = []\n";

/// Each variable that takes something from the protection can be forbidden, and nothing below takes that back.
#[test]
fn variables_that_loosen_are_forbidden_by_every_layer_for_good() {
    if !possible() {
        return;
    }
    let machine = Machine::new("");
    let stage = &machine.stage;
    std::fs::write(machine.user_policy(), UNFORBIDDEN).unwrap();
    stage.project.write("bulkhead.toml", UNFORBIDDEN);
    machine.run(&["trust", "--yes"]).assert_success();
    let lax = stage.project.outside().join("lax.toml");
    std::fs::write(&lax, UNFORBIDDEN).unwrap();
    let switches = [
        ("BULKHEAD_CREDENTIAL_CONFINED", "false", "true"),
        ("BULKHEAD_CREDENTIAL_ENV", "VAULT_TOKEN", ""),
        ("BULKHEAD_CREDENTIAL_TIMEOUT", "86400", "10"),
        ("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1", "0"),
        ("BULKHEAD_LIMIT_MEMORY_MIB", "65536", "4096"),
        ("BULKHEAD_LIMIT_PROCESSOR_SECONDS", "7200", "3600"),
        ("BULKHEAD_LIMIT_TIME_SECONDS", "100000", "3600"),
    ];
    let with = |name: &str, value: &str, flags: &[&str]| {
        let arguments = [&["metadata", "--no-deps", "--format-version", "1"], flags].concat();
        machine.command(&arguments).env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "0").env(name, value).run()
    };
    for (name, loose, strict) in switches {
        std::fs::write(machine.policy(), format!("forbidden-variables = [\"{name}\"]\n")).unwrap();
        for flags in [&[][..], &["--config", "forbidden-variables=[]"], &["--config", lax.to_str().unwrap()]] {
            let refused = with(name, loose, flags);
            let set = format!("`{name}={loose}` is set, and the organisation's policy forbids it");
            assert_error(&refused, 102, &["error[variable-forbidden]", &set]);
        }
        with(name, strict, &[]).assert_success();
        // What nobody forbids acts.
        std::fs::write(machine.policy(), "").unwrap();
        with(name, loose, &[]).assert_success();
    }
    // Also outside of projects, and by what the user or a project asks of everybody.
    let forbids = "forbidden-variables = [\"BULKHEAD_CREDENTIAL_CONFINED\"]\n";
    let unconfined = |arguments: &[&str]| machine.command(arguments).env("BULKHEAD_CREDENTIAL_CONFINED", "false").run();
    for path in [machine.policy(), machine.user_policy()] {
        std::fs::write(&path, forbids).unwrap();
        let outside = stage.project.outside().to_str().unwrap();
        for arguments in [&["build"][..], &["-C", outside, "login"], &["-C", outside, "search", "x"]] {
            assert_error(&unconfined(arguments), 102, &["error[variable-forbidden]", "policy forbids it"]);
        }
        std::fs::write(&path, "").unwrap();
    }
    stage.project.write("bulkhead.toml", forbids);
    assert_error(
        &unconfined(&["build"]),
        102,
        &["error[variable-forbidden]", "the project's `bulkhead.toml` forbids it"],
    );
    let explained = machine.run(&["config", "explain", "forbidden-variables"]);
    assert!(explained.assert_success().stdout.contains("BULKHEAD_CREDENTIAL_CONFINED"), "{explained}");
    // It is written down both that one was refused and that one acted.
    let log = machine.run(&["audit-log", "show"]);
    for part in ["variable-forbidden", "environment variable `BULKHEAD_CREDENTIAL_ENV`"] {
        assert!(log.assert_success().stdout.contains(part), "{part} {log}");
    }
    std::fs::write(machine.policy(), "forbidden-variables = [\"PATH\"]\n").unwrap();
    assert_error(
        &machine.run(&["build"]),
        102,
        &["no variable called `PATH` can be forbidden", "/etc/bulkhead/policy.toml"],
    );
}
