//! The view: which steps build the child's root file system, what Landlock allows in it, and what it shows.
//!
//! The root is a private memory file system. What was named is bound into it, at its own path; the shells of folders that
//! lead there are empty otherwise.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::landlock::{self, Ruleset};
use crate::error::SandboxError;
use crate::process::{BaseView, Level, Network, Process};

/// The files of `/etc` that loaders, compilers and look-ups of the own user name need. Those that are missing are passed over.
const ETC: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
];
/// What look-ups of host names and the check of certificates need besides, where the network was granted.
const ETC_FOR_NETWORK: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
];
/// System folders; on most systems all but `/usr` are links into it. `/nix/store` is where NixOS and Guix keep theirs.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// The devices, all of which may be read and written.
pub(super) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// The controlling terminal, for those that keep it.
const TERMINAL: &str = "/dev/tty";
/// Links that programs expect beside the devices.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];
/// Where the new root is put together: over a folder that every host has and that nothing is bound from.
pub(super) const ROOT: &str = "/proc";

/// One step of building the root. Paths are those outside, below [`ROOT`], until the root is entered.
#[derive(Debug)]
pub(super) enum Step {
    /// Makes a folder, which may exist.
    Folder(CString),
    /// Makes an empty file to bind over.
    File(CString),
    /// Makes a symbolic link.
    Link { target: CString, path: CString },
    /// Binds a file or folder, with what is mounted below it.
    Bind { source: CString, path: CString, attributes: u64 },
    /// Covers a folder with an empty one that cannot be written.
    Cover(CString),
}

/// How a path can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Covered: there is nothing behind the name.
    Hidden,
    Read,
    Device,
    Write,
    /// A folder of the child's own that starts empty: what the host has at its path is hidden.
    Private,
}

/// A prepared view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) steps: Vec<Step>,
    pub(super) landlock: Ruleset,
    pub(super) shown: Shown,
}

/// What the view shows, for judging what was refused.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Files and folders with all they hold.
    entries: BTreeMap<PathBuf, Entry>,
    /// Symbolic links in the root's own shells.
    links: BTreeMap<PathBuf, PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    access: Access,
    is_folder: bool,
}

impl Shown {
    /// The access that the view gives to a normalised path, if it shows it.
    fn access(&self, path: &Path) -> Option<Access> {
        // Entries inside an entry were dropped unless they give more, so the nearest one above decides.
        path.ancestors().find_map(|above| self.entries.get(above)).map(|entry| entry.access)
    }

    /// Every entry with the access that it gives.
    pub(super) fn accesses(&self) -> impl Iterator<Item = (&Path, Access)> {
        self.entries.iter().map(|(path, entry)| (path.as_path(), entry.access))
    }

    /// The symbolic links of the root's own shells, and where they lead to.
    pub(super) fn links(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.links.iter().map(|(path, target)| (path.as_path(), target.as_path()))
    }

    /// The path with the root's own links followed.
    fn follow_links(&self, mut path: PathBuf) -> PathBuf {
        for _ in 0..8 {
            let Some((link, target)) = path.ancestors().find_map(|above| self.links.get_key_value(above)) else {
                return path;
            };
            let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
            path = if rest.as_os_str().is_empty() { target.clone() } else { target.join(rest) };
        }
        path
    }

    #[cfg(test)]
    pub(super) fn of(entries: &[(&str, Access)], links: &[(&str, &str)]) -> Shown {
        let folder =
            |(path, access): &(&str, Access)| (PathBuf::from(path), Entry { access: *access, is_folder: true });
        let link = |(path, target): &(&str, &str)| (PathBuf::from(path), PathBuf::from(target));
        Shown { entries: entries.iter().map(folder).collect(), links: links.iter().map(link).collect() }
    }

    fn insert(&mut self, path: PathBuf, access: Access, is_folder: bool) {
        let entry = self.entries.entry(path).or_insert(Entry { access, is_folder });
        entry.access = entry.access.max(access);
    }
}

/// Prepares the view of a process.
///
/// # Errors
/// When a named path is relative, missing, or not to be had in a view.
pub(super) fn prepare(process: &Process, abi: u32) -> Result<View, SandboxError> {
    let mut shown = Shown::default();
    if process.base == BaseView::System {
        let base = system_base();
        shown.links.clone_from(&base.links);
        shown.entries.clone_from(&base.entries);
        if process.network == Network::Host {
            show_if_present(&mut shown, ETC_FOR_NETWORK.iter().map(Path::new))?;
        }
    }
    for path in &process.read {
        show(&mut shown, path, Access::Read)?;
    }
    show_if_present(&mut shown, process.read_if_present.iter().map(PathBuf::as_path))?;
    for path in &process.write {
        show(&mut shown, path, Access::Write)?;
    }
    drop_covered(&mut shown);
    let mut steps = Vec::new();
    if process.level != Level::Full && !process.hidden.is_empty() {
        return Err(SandboxError::Unsupported("without namespaces, nothing can be hidden in what may be read".into()));
    }
    if process.level == Level::Full {
        let private = private_folders(process, &shown);
        steps = self::steps(&shown, &private, process.terminal);
        cover(&mut steps, &mut shown, &process.hidden)?;
        for path in private {
            shown.insert(path, Access::Private, true);
        }
    }
    for device in DEVICES {
        shown.insert(PathBuf::from(device), Access::Device, false);
    }
    shown.insert(PathBuf::from("/proc"), Access::Read, true);
    let landlock = rules(process, abi, &shown);
    Ok(View { steps, landlock, shown })
}

fn show_if_present<'a>(shown: &mut Shown, paths: impl Iterator<Item = &'a Path>) -> Result<(), SandboxError> {
    for path in paths {
        match show(shown, path, Access::Read) {
            Err(SandboxError::Path { source, .. }) if is_missing(&source) => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// The system's part, looked up once: it does not change while this process runs.
fn system_base() -> &'static Shown {
    static BASE: OnceLock<Shown> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut shown = Shown::default();
        for path in SYSTEM.iter().chain(ETC) {
            // What a distribution does not have, its programs do not need.
            let _ = show(&mut shown, Path::new(path), Access::Read);
        }
        shown
    })
}

/// Adds a path to what is shown: the place it leads to, and the symbolic links on the way.
fn show(shown: &mut Shown, path: &Path, access: Access) -> Result<(), SandboxError> {
    let fault = |source| SandboxError::Path { path: path.to_path_buf(), source };
    let mut place = usable(path)?;
    for _ in 0..40 {
        match first_link(&place, shown).map_err(fault)? {
            None => {
                let metadata = fs::symlink_metadata(&place).map_err(fault)?;
                shown.insert(place, access, metadata.is_dir());
                return Ok(());
            }
            Some(link) if access == Access::Write && link == place => {
                let text = format!("{path:?} is to be writable and is a symbolic link; name the place it leads to");
                return Err(SandboxError::Invalid(text));
            }
            Some(link) => {
                let target = fs::read_link(&link).map_err(fault)?;
                let target = normalize(&link.parent().unwrap_or(Path::new("/")).join(target));
                let rest = place.strip_prefix(&link).unwrap_or(Path::new("")).to_path_buf();
                place = if rest.as_os_str().is_empty() { target.clone() } else { target.join(rest) };
                shown.links.insert(link, target);
            }
        }
    }
    Err(fault(std::io::Error::from_raw_os_error(libc::ELOOP)))
}

/// The first part of the path that is a symbolic link. One system call answers for the common case, that there is none.
fn first_link(path: &Path, shown: &Shown) -> std::io::Result<Option<PathBuf>> {
    if !has_link(path)? {
        return Ok(None);
    }
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if shown.links.contains_key(ancestor) || fs::symlink_metadata(ancestor)?.is_symlink() {
            return Ok(Some(ancestor.to_path_buf()));
        }
    }
    Ok(None)
}

fn has_link(path: &Path) -> std::io::Result<bool> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an all-zero `open_how` is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the name is NUL-terminated and the struct's size is passed.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, name.as_ptr(), &raw const how, size_of::<libc::open_how>())
    };
    if fd >= 0 {
        super::syscall::close(fd as i32);
        return Ok(false);
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ELOOP) { Ok(true) } else { Err(error) }
}

/// An absolute path without `.` and `..` that may be shown.
fn usable(path: &Path) -> Result<PathBuf, SandboxError> {
    let place = normalize(path);
    let invalid = |why: &str| Err(SandboxError::Invalid(format!("{path:?} cannot be made visible: {why}")));
    if !path.is_absolute() {
        return invalid("the path is not absolute");
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return invalid("the path holds a NUL byte");
    }
    if place == Path::new("/") {
        return invalid("the whole file system is never shown");
    }
    if place.starts_with("/proc") || place.starts_with("/dev") {
        return invalid("/proc and /dev are made afresh for each process");
    }
    Ok(place)
}

/// Removes `.`, `..` and doubled slashes by their spelling.
fn normalize(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => result.push(name),
            std::path::Component::ParentDir => {
                result.pop();
            }
            _ => {}
        }
    }
    result
}

/// Drops entries that lie in another one that gives as much.
fn drop_covered(shown: &mut Shown) {
    let covered: Vec<PathBuf> = shown
        .entries
        .iter()
        .filter(|(path, entry)| {
            let above = path.ancestors().skip(1).filter_map(|above| shown.entries.get(above));
            above.into_iter().any(|above| above.access >= entry.access)
        })
        .map(|(path, _)| path.clone())
        .collect();
    for path in covered {
        shown.entries.remove(&path);
    }
    // A link that lies in a shown folder is there already.
    let entries = &shown.entries;
    shown.links.retain(|link, _| !link.ancestors().skip(1).any(|above| entries.contains_key(above)));
}

/// The folders that the child gets empty and to itself: `/tmp`, and `HOME` where it is not shown.
fn private_folders(process: &Process, shown: &Shown) -> Vec<PathBuf> {
    let home = process.environment.iter().find(|(name, _)| name == "HOME").map(|(_, value)| PathBuf::from(value));
    let home = home.filter(|home| home.is_absolute() && !home.as_os_str().as_bytes().contains(&0));
    let home = home.map(|home| shown.follow_links(normalize(&home))).filter(|home| {
        let outside = ["/proc", "/dev"].iter().all(|special| !home.starts_with(special)) && home != Path::new("/");
        // A home that something shown lies in stays a mere shell: writing beside it is refused like everywhere.
        outside && shown.access(home).is_none()
    });
    [PathBuf::from("/tmp")].into_iter().chain(home).filter(|path| shown.access(path).is_none()).collect()
}

const MOUNT_ATTR_RDONLY: u64 = 1;
const MOUNT_ATTR_NOSUID: u64 = 2;
const MOUNT_ATTR_NODEV: u64 = 4;

/// Puts what is hidden out of sight, wherever links lead to it from. Comes after everything else, so that it wins.
fn cover(steps: &mut Vec<Step>, shown: &mut Shown, hidden: &[PathBuf]) -> Result<(), SandboxError> {
    for path in hidden {
        let place = match fs::canonicalize(usable(path)?) {
            Ok(place) => place,
            Err(error) if is_missing(&error) => continue,
            Err(source) => return Err(SandboxError::Path { path: path.clone(), source }),
        };
        // What is not shown, or lies in an empty folder of the child's own, is hidden already.
        if !matches!(shown.access(&place), Some(Access::Read | Access::Write)) {
            continue;
        }
        let is_folder = place.is_dir();
        steps.push(if is_folder {
            Step::Cover(below_root(&place))
        } else {
            let attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
            Step::Bind { source: c"/dev/null".into(), path: below_root(&place), attributes }
        });
        shown.entries.insert(place, Entry { access: Access::Hidden, is_folder });
    }
    Ok(())
}

/// The steps, parents before children.
fn steps(shown: &Shown, private: &[PathBuf], terminal: bool) -> Vec<Step> {
    let mut plan = Plan { steps: Vec::new(), made: BTreeMap::new() };
    for path in private {
        plan.folder(path);
    }
    for (path, target) in &shown.links {
        plan.above(path);
        plan.steps.push(Step::Link { target: text(target.as_os_str()), path: below_root(path) });
    }
    for (path, entry) in &shown.entries {
        if !shown.entries.keys().any(|other| other != path && path.starts_with(other)) {
            if entry.is_folder {
                plan.folder(path);
            } else {
                plan.above(path);
                plan.steps.push(Step::File(below_root(path)));
            }
        }
        let read_only = if entry.access == Access::Read { MOUNT_ATTR_RDONLY } else { 0 };
        let attributes = read_only | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        plan.steps.push(Step::Bind { source: text(path.as_os_str()), path: below_root(path), attributes });
    }
    let terminal = terminal.then_some(TERMINAL).filter(|path| Path::new(path).exists());
    for device in DEVICES.iter().copied().chain(terminal) {
        plan.above(Path::new(device));
        let path = below_root(Path::new(device));
        plan.steps.push(Step::File(path.clone()));
        plan.steps.push(Step::Bind { source: text(OsStr::new(device)), path, attributes: MOUNT_ATTR_NOSUID });
    }
    for (link, target) in DEVICE_LINKS {
        plan.steps.push(Step::Link { target: text(OsStr::new(target)), path: below_root(Path::new(link)) });
    }
    plan.folder(Path::new("/proc"));
    plan.steps
}

struct Plan {
    steps: Vec<Step>,
    made: BTreeMap<PathBuf, ()>,
}

impl Plan {
    /// Makes a folder and those above it, each once.
    fn folder(&mut self, path: &Path) {
        if path == Path::new("/") || self.made.contains_key(path) {
            return;
        }
        self.above(path);
        self.made.insert(path.to_path_buf(), ());
        self.steps.push(Step::Folder(below_root(path)));
    }

    fn above(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.folder(parent);
        }
    }
}

/// What Landlock allows.
fn rules(process: &Process, abi: u32, shown: &Shown) -> Ruleset {
    let mut rules = Ruleset::new(abi, process.network);
    if process.level == Level::Full {
        rules.allow(c"/".into(), landlock::READ, true);
        rules.allow(c"/dev".into(), landlock::DEVICE, true);
    }
    for (path, entry) in &shown.entries {
        let access = match entry.access {
            Access::Hidden => continue,
            Access::Read if process.level == Level::Full => continue,
            Access::Device if process.level == Level::Full => continue,
            Access::Read => landlock::READ,
            Access::Device => landlock::DEVICE,
            Access::Write | Access::Private => landlock::WRITE,
        };
        rules.allow(text(path.as_os_str()), access, entry.is_folder);
    }
    rules
}

/// A path without NUL (such paths were refused on entry) as the kernel takes it.
fn text(path: &OsStr) -> CString {
    CString::new(path.as_bytes()).unwrap_or_default()
}

fn below_root(path: &Path) -> CString {
    let mut bytes = Vec::with_capacity(ROOT.len() + path.as_os_str().len() + 1);
    bytes.extend_from_slice(ROOT.as_bytes());
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Access, Shown, drop_covered, normalize};

    #[test]
    fn paths_are_normalised_by_their_spelling() {
        for (path, expected) in [("/a/./b//c/../d", "/a/b/d"), ("/../..", "/"), ("/a/..", "/")] {
            assert_eq!(normalize(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn the_nearest_entry_above_decides() {
        let entries = [
            ("/ws", Access::Read),
            ("/ws/src", Access::Read),
            ("/ws/target/out", Access::Write),
            ("/ws/target/out/inner", Access::Read),
        ];
        let mut shown = Shown::of(&entries, &[("/lib", "/usr/lib")]);
        drop_covered(&mut shown);
        assert_eq!(shown.entries.keys().collect::<Vec<_>>(), [Path::new("/ws"), Path::new("/ws/target/out")]);
        assert_eq!(shown.access(Path::new("/ws/src/lib.rs")), Some(Access::Read));
        assert_eq!(shown.access(Path::new("/ws/target/out/inner/x")), Some(Access::Write));
        assert_eq!(shown.access(Path::new("/wsx")), None);
        assert_eq!(shown.follow_links("/lib/x".into()), PathBuf::from("/usr/lib/x"));
    }
}
