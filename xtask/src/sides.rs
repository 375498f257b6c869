//! The two programs, in the same environment.

use crate::tidy::repository_root;
use bulkhead_test_support::{Invocation, Outcome, sysroot, toolchain_program};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One of the two programs.
pub(crate) struct Side {
    /// `cargo` or `bulkhead`, for folders and messages.
    pub(crate) name: &'static str,
    program: PathBuf,
    homes: PathBuf,
    /// Whether compiled units of other workspaces are used and kept.
    shares_units: bool,
}

/// The oracle and the program under test.
pub(crate) struct Sides {
    pub(crate) cargo: Side,
    pub(crate) bulkhead: Side,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl Sides {
    /// Finds or builds the programs and makes their homes below `folder`.
    pub(crate) fn prepare(bin: Option<&Path>, folder: &Path) -> Result<Sides, String> {
        let bin = match bin {
            Some(path) => path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?,
            None => build_release()?,
        };
        let lock = lock(folder)?;
        let homes = folder.join("homes");
        let cargo_home = homes.join("cargo");
        std::fs::create_dir_all(&cargo_home).map_err(|error| format!("{}: {error}", cargo_home.display()))?;
        std::fs::create_dir_all(homes.join("home")).map_err(|error| format!("{}: {error}", homes.display()))?;
        adopt_user_configuration(&cargo_home)?;
        let side = |name, program| Side { name, program, homes: homes.clone(), shares_units: true };
        Ok(Sides { cargo: side("cargo", toolchain_program("cargo")), bulkhead: side("bulkhead", bin), _lock: lock })
    }

    /// The same, where each build starts from nothing: what is reused runs no compiler whose command could be compared.
    pub(crate) fn without_shared_units(mut self) -> Sides {
        self.bulkhead.shares_units = false;
        self
    }

    pub(crate) fn both(&self) -> [&Side; 2] {
        [&self.cargo, &self.bulkhead]
    }
}

impl Side {
    /// The program in the common environment, to be run to its end.
    pub(crate) fn invocation(&self, folder: &Path, arguments: &[&str]) -> Invocation {
        let invocation = Invocation::new(&self.program).args(arguments).current_dir(folder);
        let invocation = self.environment().into_iter().fold(invocation, |run, (name, value)| run.env(&name, value));
        invocation.timeout(Duration::from_secs(1800))
    }

    /// The same as a [`Command`], to be measured.
    pub(crate) fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(folder).env_clear().envs(self.environment());
        command
    }

    /// The caller's environment, less everything that would make the two sides differ.
    fn environment(&self) -> Vec<(String, OsString)> {
        let ours =
            |name: &str| ["CARGO", "RUST", "LD_LIBRARY_PATH", "BULKHEAD"].iter().any(|prefix| name.starts_with(prefix));
        let inherited = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut environment: Vec<_> = inherited.filter(|(name, _)| !ours(name) && name != "PATH").collect();
        environment.extend([
            ("PATH".to_owned(), search_path().into()),
            ("HOME".to_owned(), self.homes.join("home").into()),
            ("CARGO_HOME".to_owned(), self.homes.join("cargo").into()),
            ("BULKHEAD_HOME".to_owned(), self.homes.join("bulkhead").into()),
            ("BULKHEAD_ALLOW_HTTP_LOOPBACK".to_owned(), "1".into()),
            ("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE".to_owned(), "0".into()),
            ("CARGO_TERM_COLOR".to_owned(), "never".into()),
            ("CARGO_TERM_PROGRESS_WHEN".to_owned(), "never".into()),
        ]);
        if !self.shares_units {
            environment.push(("BULKHEAD_UNIT_CACHE".to_owned(), "0".into()));
        }
        environment
    }

    /// The program itself, to be run in another home.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The same program with homes of its own, which hold nothing but what is done with them.
    pub(crate) fn at_home_in(&self, name: &str) -> Result<Side, String> {
        let homes = self.homes.join("apart").join(name);
        let side = Side { program: self.program.clone(), homes, ..*self };
        for home in [side.cargo_home(), side.homes.join("home")] {
            std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        }
        adopt_user_configuration(&side.cargo_home())?;
        Ok(side)
    }

    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> Outcome {
        self.invocation(folder, arguments).run()
    }

    /// The unit graph as JSON. Stock cargo wants to be told that it is a nightly for this.
    pub(crate) fn unit_graph(&self, folder: &Path, arguments: &[&str]) -> Outcome {
        self.unit_graph_with(folder, arguments, &[])
    }

    /// The same with variables of one's own.
    pub(crate) fn unit_graph_with(&self, folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let unstable: &[&str] =
            if self.is_stock() { &["-Z", "unstable-options", "--unit-graph"] } else { &["--unit-graph"] };
        let invocation = self.invocation(folder, arguments).args(unstable);
        let invocation = environment.iter().fold(invocation, |run, (name, value)| run.env(name, value));
        let invocation = if self.is_stock() { invocation.env("RUSTC_BOOTSTRAP", "1") } else { invocation };
        invocation.run()
    }

    fn is_stock(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "cargo")
    }

    /// Forgets compiled units of earlier builds, and keeps what was downloaded. Cargo has none.
    pub(crate) fn forget_units(&self) -> Result<(), String> {
        if self.is_stock() {
            return Ok(());
        }
        let cache = self.homes.join("bulkhead/cache");
        for entry in std::fs::read_dir(&cache).into_iter().flatten().flatten() {
            if entry.file_name().len() == 64 {
                let failed = |error: std::io::Error| format!("{}: {error}", entry.path().display());
                std::fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// `CARGO_HOME` of both sides.
    pub(crate) fn cargo_home(&self) -> PathBuf {
        self.homes.join("cargo")
    }
}

/// Two runs in one folder would spoil each other's results.
fn lock(folder: &Path) -> Result<File, String> {
    let failed = |why: String| format!("{}: {why}", folder.display());
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    let file = File::create(folder.join(".in-use")).map_err(|error| failed(error.to_string()))?;
    file.try_lock().map_err(|_| failed("in use by another run; name another folder with --dir".to_owned()))?;
    Ok(file)
}

/// The toolchain's real programs first, so that neither side pays for or depends on rustup's proxies.
fn search_path() -> String {
    format!("{}/bin:/usr/local/bin:/usr/bin:/bin", sysroot().display())
}

/// The proxy or mirror that the user has configured is needed here too.
fn adopt_user_configuration(cargo_home: &Path) -> Result<(), String> {
    let users = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    for name in ["config.toml", "config"] {
        if let Some(path) = users.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file()) {
            std::fs::copy(&path, cargo_home.join(name)).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Builds the release binary and returns its path.
pub(crate) fn build_release() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments =
        ["build", "--release", "--locked", "-p", "bulkhead-cli", "--message-format=json-render-diagnostics"];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(repository_root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("Bulkhead does not build".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.ok_or_else(|| "cargo built no executable".to_owned())
}
