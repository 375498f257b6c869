//! The most important tests of confinement again as an ordinary user, where the tests run as root: without capabilities, in
//! folders that belong to somebody else.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::stage::{BULKHEAD, folder_outside_tmp, skipped};

/// Nobody's number on most systems.
const USER: u32 = 65534;

/// Build code, macros, programs, tests and credential helpers, what is learnt of them, and what they leave or use up.
const TESTS: [&str; 12] = [
    "attacks::exhaustion::case_105_nothing_stays_however_it_detaches_itself",
    "attacks::exhaustion::case_112_a_crowd_ends_at_the_limit_and_with_the_script",
    "attacks::exhaustion::case_112_memory_of_many_ends_at_the_limit",
    "authentication::a_credential_helper_sees_nothing_of_the_project_and_of_other_tokens",
    "confinement::hostile_build_code_bites_under_cargo",
    "confinement::hostile_build_code_gets_nothing_and_everything_is_reported",
    "confinement::members_of_the_workspace_read_it_and_write_only_their_own_folder",
    "confinement::secrets_are_named_and_never_proposed",
    "confinement::the_proposed_grants_work_once_they_are_trusted_and_only_for_this_code",
    "sandboxing::denials_that_a_script_swallows_are_learnt_and_the_proposal_works",
    "sandboxing::programs_run_confined_where_it_is_asked_for_or_demanded",
    "sandboxing::tests_run_confined_and_start_servers",
];

/// What the user cannot reach is put where it can: the toolchain, which may lie in root's home, and a folder of the user's
/// own in the place of the one for temporary files outside `/tmp`. Nothing of this is seen outside.
const SCRIPT: &str = r#"set -e
mount --bind "$SYSROOT" "$TOOLCHAIN"
mount --bind "$FOLDER" "$PLACE"
export RUSTC="$TOOLCHAIN/bin/rustc" TMPDIR="$PLACE/tmp" PATH="$TOOLCHAIN/bin:/usr/bin:/bin"
exec setpriv --reuid="$USER" --regid="$USER" --clear-groups --inh-caps=-all --bounding-set=-all "$@"
"#;

#[test]
fn confinement_holds_for_an_ordinary_user() {
    let folder = folder_outside_tmp();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if std::fs::metadata(folder.path()).unwrap().uid() != 0 {
        return skipped("the tests run as an ordinary user anyway");
    }
    let as_user = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into(), "--".into()];
        command.args(user).arg(program).args(arguments);
        command.output()
    };
    if !as_user(BULKHEAD, &["--version"]).is_ok_and(|output| output.status.success()) {
        return skipped("this machine has no `setpriv`, or an ordinary user cannot reach the programs that were built");
    }
    // No compiler is taken from a target folder.
    let toolchain = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    for path in [folder.path(), &folder.path().join("tmp"), toolchain.path()] {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
    let mut again = Command::new("unshare");
    again.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(std::env::current_exe().unwrap());
    again.args(["--exact", "--test-threads=2"]).args(TESTS);
    again.env("SYSROOT", bulkhead_test_support::sysroot()).env("FOLDER", folder.path()).env("PLACE", place);
    again.env("TOOLCHAIN", toolchain.path());
    let output = again.env("USER", USER.to_string()).env_remove("HOME").output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if errors.contains("unshare failed") || errors.contains("mount: ") {
        return skipped("this machine lets nobody make a mount namespace");
    }
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains(&format!("{} passed", TESTS.len())), "a test has another name now: {said}");
}
