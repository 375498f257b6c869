//! Disks that are full or read-only, with the cache of compiled units in use: the error names the place, nothing that was begun
//! looks complete, and once there is room the next run makes what it should. Only root can mount such disks.

use crate::bad_input::Mounted;
use crate::killing::{left, stage, unfinished};
use crate::stage::{Stage, assert_error};

/// Changes what is mounted at a place. It is busy until the last compiler's sandbox, for which no build waits, has ended.
fn remount(place: &std::path::Path, options: &str) {
    let options = format!("remount,{options}");
    let mount = || std::process::Command::new("mount").args(["-o", &options]).arg(place).output().unwrap();
    let mut output = mount();
    for _ in 0..500 {
        if output.status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        output = mount();
    }
    panic!("mount -o {options}: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn assert_nothing_unfinished(stage: &Stage) {
    let mut found = Vec::new();
    unfinished(&stage.project.path("target"), &mut found);
    unfinished(&stage.home.bulkhead_home(), &mut found);
    assert!(found.is_empty(), "{found:?}");
    stage.bulkhead(&["cache", "verify"]).assert_success();
    stage.bulkhead(&["verify"]).assert_success();
}

#[test]
fn a_target_folder_without_room_is_named_and_what_fitted_is_no_wrong_result() {
    let stage = stage();
    let target = stage.project.path("target");
    // What is built, and what comes out of the cache.
    for round in 0..2 {
        for size in ["20k", "100k", "400k", "1m", "3m"] {
            if round == 0 {
                let _ = std::fs::remove_dir_all(stage.home.bulkhead_home().join("cache"));
            }
            let options = format!("size={size}");
            let Some(_mounted) = Mounted::new(&target, &["-t", "tmpfs", "-o", &options, "tmpfs"]) else { return };
            let outcome = stage.bulkhead(&["build"]);
            assert_error(&outcome, 101, &["pace"]);
            assert!(outcome.stderr.contains("target"), "{size}: {outcome}");
            remount(&target, "size=200m");
            left(&stage, 0);
            assert_nothing_unfinished(&stage);
            assert!(!stage.bulkhead(&["build"]).assert_success().stderr.contains("Compiling"));
        }
    }
}

#[test]
fn a_home_without_room_keeps_no_units_and_the_build_goes_on() {
    let stage = stage();
    let home = stage.home.bulkhead_home();
    let Some(_mounted) = Mounted::new(&home, &["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs"]) else { return };
    stage.bulkhead(&["fetch"]).assert_success();
    let used = used_space(&home);
    // Room for what is noted of the project, and not for units.
    remount(&home, &format!("size={}k", used + 64));
    let outcome = stage.bulkhead(&["build", "-v"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("it could not be kept: No space left"), "{outcome}");
    remount(&home, "size=64m");
    left(&stage, 0);
    assert_nothing_unfinished(&stage);
    std::fs::remove_dir_all(stage.project.path("target")).unwrap();
    left(&stage, 0);
    assert_nothing_unfinished(&stage);
}

/// KiB in use on a file system.
fn used_space(place: &std::path::Path) -> u64 {
    let output = std::process::Command::new("df").args(["-k", "--output=used"]).arg(place).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap()
}

#[test]
fn a_target_folder_that_is_read_only_is_named() {
    let stage = stage();
    let target = stage.project.path("target");
    {
        let Some(_mounted) = Mounted::new(&target, &["-t", "tmpfs", "-o", "ro", "tmpfs"]) else { return };
        let outcome = stage.bulkhead(&["build"]);
        assert_error(&outcome, 101, &["target", "ead-only"]);
        // What is built already is only looked at; what is not built stays so.
        remount(&target, "rw");
        left(&stage, 0);
        remount(&target, "ro");
        for program in ["cargo", crate::stage::BULKHEAD] {
            stage.project.write("leaf/src/lib.rs", "pub const VALUE: u32 = 1;\n");
            let command = stage.home.command(program).args(["build"]).current_dir(stage.project.root());
            assert_error(&command.run(), 101, &["target", "ead-only"]);
        }
        remount(&target, "rw");
        stage.project.write("scripted/value.txt", "1\n");
        left(&stage, 1);
        assert_nothing_unfinished(&stage);
    }
    left(&stage, 1);
}
