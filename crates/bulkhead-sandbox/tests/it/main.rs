//! Real processes under real confinement. Each attack first proves that it bites without confinement.
#![cfg(target_os = "linux")]
// The permission of clippy.toml covers test functions, not the functions they share.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod attacks;
mod benign;
mod control_group;
mod limits;
mod network;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_sandbox::{Level, Output, Process, spawn, support};

/// A folder with a planted secret, a package folder that may be read, and an OUT_DIR that may be written.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home/.ssh", "package", "out", "other"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("home/.ssh/id_x"), "canary-secret").unwrap();
        std::fs::write(folder.path().join("package/lib.rs"), "pub fn one() -> u32 { 1 }").unwrap();
        std::fs::write(folder.path().join("other/file"), "theirs").unwrap();
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `sh -c script` with the folders' paths in the variables SECRET, PACKAGE, OUT and OTHER.
    fn shell(&self, script: &str) -> Process {
        self.run("/bin/sh", &["-c", script])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Process {
        let mut process = Process::new(program);
        process.arguments = arguments.iter().map(Into::into).collect();
        let variables = [("SECRET", "home/.ssh/id_x"), ("PACKAGE", "package"), ("OUT", "out"), ("OTHER", "other")];
        process.environment = variables.map(|(name, path)| (name.into(), self.path(path).into_os_string())).into();
        process.environment.push(("HOME".into(), self.path("home").into_os_string()));
        process.environment.push(("PATH".into(), "/usr/bin:/bin".into()));
        process.read = vec![self.path("package")];
        process.write = vec![self.path("out")];
        process.current_dir = self.path("package");
        process.observe = true;
        process
    }
}

/// Runs it without confinement.
fn plain(process: &Process) -> std::process::Output {
    let mut command = Command::new(&process.program);
    command.args(&process.arguments).env_clear().envs(process.environment.iter().cloned());
    command.current_dir(&process.current_dir).stdin(Stdio::null()).output().unwrap()
}

fn confined(process: &Process) -> Output {
    spawn(process).unwrap().wait_with_output().unwrap()
}

/// The levels that this host offers. Without namespaces it takes a newer Landlock.
fn levels() -> Vec<Level> {
    let without_namespaces = Some(Level::LandlockOnly).filter(|_| support().landlock_abi >= 6);
    [Level::Full].into_iter().chain(without_namespaces).collect()
}

/// At both levels; the closure gets what the run left.
fn at_both_levels(process: &Process, check: impl Fn(Output)) {
    for level in levels() {
        check(confined(&Process { level, ..process.clone() }));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has(program: &str) -> bool {
    let here = Path::new(program).exists();
    if !here {
        eprintln!("skipped: this host has no {program}");
    }
    here
}

/// Everything again as an ordinary user, when the tests run as root.
#[test]
fn as_an_ordinary_user() {
    // SAFETY: takes nothing, cannot fail.
    if unsafe { libc::geteuid() } != 0 || !has("/usr/bin/setpriv") {
        return;
    }
    // Where others may read it: the build folder may lie in root's home.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("it");
    // Not by this process: a child that another test forks meanwhile would hold the program open for writing.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap();
    assert!(copied.success());
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--skip", "as_an_ordinary_user"])
        .env("TMPDIR", folder.path())
        .env_remove("HOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
