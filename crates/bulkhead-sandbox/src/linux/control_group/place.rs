//! Where this process lies among the control groups, from what `/proc` says about it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// A group, as a folder that can be reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the hierarchy is mounted, or the part of it that is seen here.
    pub(crate) mount: PathBuf,
    /// The group's folder, in it.
    pub(crate) folder: PathBuf,
}

/// A hierarchy of groups that can be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// Version 2, of which there is one.
    Unified,
    /// That of version 1 to which memory is bound.
    Memory,
}

/// This process's place in a hierarchy; `None` where that is not mounted, or does not show the group.
pub(crate) fn own(hierarchy: Hierarchy) -> Option<Place> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    // Most hosts have one kind or the other: the longer file need not be read for what cannot be in it.
    let group = group_in(hierarchy, &groups)?;
    // Names of mount points need not be text.
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    place(hierarchy, group, &mounts)
}

/// The memory that the groups leave to this process, in bytes: the least of the limits from its own group upwards.
pub(crate) fn memory_limit() -> Option<u64> {
    let limits = [(Hierarchy::Unified, "memory.max"), (Hierarchy::Memory, "memory.limit_in_bytes")];
    let limits = limits.into_iter().filter_map(|(hierarchy, file)| Some((own(hierarchy)?, file)));
    limits.filter_map(|(place, file)| place.least(file)).min()
}

impl Place {
    fn least(&self, file: &str) -> Option<u64> {
        let upwards = self.folder.ancestors().take_while(|folder| folder.starts_with(&self.mount));
        // In a group without a limit of its own it says `max`, or there is no such file.
        upwards.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()).min()
    }
}

/// The line of `/proc/self/cgroup` for a hierarchy is `NUMBER:CONTROLLERS:PATH`; version 2 has number 0 and no controllers.
fn group_in(hierarchy: Hierarchy, groups: &str) -> Option<&Path> {
    let path = |line: &'_ str| -> Option<usize> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match hierarchy {
            Hierarchy::Unified => number == "0" && controllers.is_empty(),
            Hierarchy::Memory => controllers.split(',').any(|name| name == "memory"),
        };
        is_it.then_some(line.len() - path.len())
    };
    groups.lines().find_map(|line| Some(Path::new(&line[path(line)?..])))
}

fn place(hierarchy: Hierarchy, group: &Path, mounts: &[u8]) -> Option<Place> {
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let (root, mount) = mount_of(hierarchy, line)?;
        let below = group.strip_prefix(root).ok()?;
        // A group beside the part that is mounted is shown as `/..`.
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| Place { folder: mount.join(below), mount })
    })
}

/// What is mounted, and where, if a line of `/proc/self/mountinfo` is about a hierarchy: `NUMBER PARENT DEVICE ROOT POINT
/// OPTIONS … - TYPE SOURCE OPTIONS`.
fn mount_of(hierarchy: Hierarchy, line: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    let mut about = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, options) = (about.next()?, about.nth(1)?);
    let is_it = match hierarchy {
        Hierarchy::Unified => kind == b"cgroup2",
        Hierarchy::Memory => kind == b"cgroup" && options.split(|byte| *byte == b',').any(|name| name == b"memory"),
    };
    is_it.then(|| (unescaped(root), unescaped(point)))
}

/// A path in which spaces, tabulators, line ends and backslashes are written as `\` with three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..3).filter(|_| *first == b'\\').and_then(octal);
        path.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(path).into()
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::{Hierarchy, Place, group_in, place};
    use std::path::Path;

    fn found(hierarchy: Hierarchy, groups: &str, mounts: &str) -> Option<(String, String)> {
        let place = place(hierarchy, group_in(hierarchy, groups)?, mounts.as_bytes())?;
        Some((place.mount.to_str().unwrap().to_owned(), place.folder.to_str().unwrap().to_owned()))
    }

    fn both(mount: &str, folder: &str) -> Option<(String, String)> {
        Some((mount.to_owned(), folder.to_owned()))
    }

    const SESSION: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n";

    #[test]
    fn where_there_is_only_version_2() {
        let mounts = "22 27 0:21 / /proc rw - proc proc rw\n\
                      34 24 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let folder = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope";
        assert_eq!(found(Hierarchy::Unified, SESSION, mounts), both("/sys/fs/cgroup", folder));
        assert_eq!(found(Hierarchy::Memory, SESSION, mounts), None);
        assert_eq!(found(Hierarchy::Unified, "0::/\n", mounts), both("/sys/fs/cgroup", "/sys/fs/cgroup/"));
    }

    #[test]
    fn where_both_versions_are_mounted() {
        let groups = "9:name=systemd:/\n8:pids:/\n4:memory,hugetlb:/jobs/7:a\n1:cpu:/\n0::/jobs\n";
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory,hugetlb\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let unified = both("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/jobs");
        assert_eq!(found(Hierarchy::Unified, groups, mounts), unified);
        let memory = both("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/jobs/7:a");
        assert_eq!(found(Hierarchy::Memory, groups, mounts), memory);
    }

    #[test]
    fn in_a_container_a_part_is_mounted() {
        // Without a namespace for groups, its own part of the hierarchy is mounted, and named from the host's root on.
        let mounts = "41 31 0:38 /docker/4f /sys/fs/cgroup ro,nosuid master:11 - cgroup2 cgroup rw\n";
        assert_eq!(found(Hierarchy::Unified, "0::/docker/4f/x\n", mounts), both("/sys/fs/cgroup", "/sys/fs/cgroup/x"));
        assert_eq!(found(Hierarchy::Unified, "0::/docker/4f2\n", mounts), None);
        // With one, a process that was started from outside lies beside what it sees.
        let mounts = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(found(Hierarchy::Unified, "0::/../../user.slice\n", mounts), None);
        let mounts = "41 31 0:38 /.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        assert_eq!(found(Hierarchy::Unified, "0::/\n", mounts), None);
    }

    #[test]
    fn names_with_spaces_and_what_is_not_understood() {
        let mounts = "41 31 0:38 / /mnt/my\\040groups\\134 rw - cgroup2 cgroup rw\n";
        assert_eq!(found(Hierarchy::Unified, "0::/a\n", mounts), both("/mnt/my groups\\", "/mnt/my groups\\/a"));
        for (groups, mounts) in
            [("", mounts), ("0:/a\n1\n", mounts), ("0::/a\n", "41 31 - cgroup2\n\n"), ("0::/a\n", "")]
        {
            assert_eq!(found(Hierarchy::Unified, groups, mounts), None);
        }
    }

    #[test]
    fn the_least_limit_upwards_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (mount, group) = (folder.path().join("mount"), folder.path().join("mount/a/b"));
        std::fs::create_dir_all(&group).unwrap();
        let place = |folder: &Path| Place { mount: mount.clone(), folder: folder.to_owned() };
        assert_eq!(place(&group).least("memory.max"), None);
        for (path, text) in [("memory.max", "1"), ("mount/a/memory.max", "5000\n"), ("mount/a/b/memory.max", "max\n")] {
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        assert_eq!(place(&group).least("memory.max"), Some(5000));
        assert_eq!(place(&mount).least("memory.max"), None);
    }
}
