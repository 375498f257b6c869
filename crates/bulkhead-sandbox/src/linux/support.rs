//! What this host offers, found by trying, and what to tell the user where it offers too little.

use std::io;
use std::sync::OnceLock;

use super::landlock;
use crate::error::SandboxError;
use crate::process::{BaseView, Level, Process};
use crate::support::Support;

/// Landlock keeps abstract sockets and signals inside from this version on (Linux 6.12).
pub(super) const ABI_WITH_SCOPES: u32 = 6;

/// What this host offers. Tried once per process: each level is set up for a program that does not exist.
pub fn support() -> Support {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    SUPPORT
        .get_or_init(|| Support {
            full: attempt(Level::Full),
            landlock_only: attempt(Level::LandlockOnly),
            landlock_abi: landlock::abi(),
        })
        .clone()
}

/// Confines down to the point where the program would start. That it is then not found means that all of it worked.
fn attempt(level: Level) -> Option<String> {
    let mut process = Process::new("/nonexistent/bulkhead-probe");
    process.base = BaseView::None;
    process.level = level;
    match super::spawn(&process) {
        Ok(_) | Err(SandboxError::Execute { .. }) => None,
        Err(SandboxError::Unsupported(text)) => Some(text),
        Err(error) => Some(error.to_string()),
    }
}

/// Why Landlock here is not enough for a level.
pub(super) fn missing_landlock(abi: u32, level: Level) -> Option<String> {
    match level {
        _ if abi == 0 => Some(
            "the kernel has no Landlock (Linux 5.13 or later, with `landlock` in the boot parameter `lsm=`)".to_owned(),
        ),
        Level::LandlockOnly if abi < ABI_WITH_SCOPES => Some(format!(
            "without namespaces, Landlock has to keep sockets and signals inside, which needs its version \
             {ABI_WITH_SCOPES} (Linux 6.12 or later); this kernel has version {abi}"
        )),
        _ => None,
    }
}

/// The error for namespaces that could not be made, with the settings that commonly forbid them.
pub(super) fn namespaces_refused(error: io::Error) -> SandboxError {
    if error.raw_os_error() == Some(libc::EAGAIN) || error.raw_os_error() == Some(libc::ENOMEM) {
        return SandboxError::Setup { step: "making namespaces".into(), source: error };
    }
    let setting = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).is_some_and(|text| text == value);
    let why = if is("/proc/sys/user/max_user_namespaces", "0") {
        "user namespaces are switched off; `sysctl user.max_user_namespaces=15000` as root switches them on"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "user namespaces are for root only here; `sysctl kernel.unprivileged_userns_clone=1` as root allows them"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor restricts user namespaces; allow them for this program with a profile that says `userns,`, or for all \
         with `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root"
    } else {
        "the host refuses user namespaces; inside a container, its system call filter or missing rights are the usual \
         cause (for Docker: `--security-opt seccomp=unconfined`, or a profile that allows clone, mount and pivot_root)"
    };
    SandboxError::Unsupported(format!("namespaces: {error}: {why}"))
}

/// The error for a `/proc` that could not be mounted.
pub(super) fn proc_refused(error: &io::Error) -> SandboxError {
    SandboxError::Unsupported(format!(
        "a fresh /proc: {error}: containers that hide parts of /proc forbid it (for Docker: `--security-opt \
         systempaths=unconfined`; for Kubernetes: `procMount: Unmasked`)"
    ))
}
