//! Landlock: the second lock on the file system, and the one on abstract sockets, signals and TCP.
//!
//! Under [`Level::Full`](crate::Level) the view holds nothing that may not be read, so one rule on the view's root allows
//! reading and a rule per writable folder allows writing; the host's own root is another inode and stays refused even if
//! the mount namespace failed. The rules are few, so the three system calls are made directly: the crate for them
//! allocates, which the child must not.

use std::ffi::CString;

use super::syscall::{Errno, check, close, open};
use crate::process::Network;

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// Reading, listing, executing.
pub(super) const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
/// All that may be done in a writable folder; device nodes cannot be made anywhere.
pub(super) const WRITE: u64 = READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE;
/// Reading and writing a device, without executing it.
pub(super) const DEVICE: u64 = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV;
/// What a rule on a file (not a folder) may hold.
const ON_A_FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// The rules, prepared by the parent and applied by the child.
#[derive(Debug)]
pub(super) struct Ruleset {
    attributes: Attributes,
    rules: Vec<Rule>,
}

/// `struct landlock_ruleset_attr`. Kernels that know fewer fields accept the whole as long as the rest is zero.
#[repr(C)]
#[derive(Debug)]
struct Attributes {
    handled_fs: u64,
    handled_net: u64,
    scoped: u64,
}

#[derive(Debug)]
struct Rule {
    path: CString,
    access: u64,
}

impl Ruleset {
    /// A ruleset that refuses everything that this kernel's Landlock can refuse.
    pub(super) fn new(abi: u32, network: Network) -> Ruleset {
        let fs_rights = match abi {
            0 | 1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        let tcp = if abi >= 4 && network == Network::None { 0b11 } else { 0 };
        let scoped = if abi >= 6 { 0b11 } else { 0 };
        let attributes = Attributes { handled_fs: (1 << fs_rights) - 1, handled_net: tcp, scoped };
        Ruleset { attributes, rules: Vec::new() }
    }

    /// Allows `access` on a folder and what is below it, or on a file. The path is the one the *child* sees.
    pub(super) fn allow(&mut self, path: CString, access: u64, is_folder: bool) {
        let possible = if is_folder { self.attributes.handled_fs } else { self.attributes.handled_fs & ON_A_FILE };
        self.rules.push(Rule { path, access: access & possible });
    }

    /// Restricts the calling thread, which needs no-new-privileges. Runs in the child.
    pub(super) fn restrict(&self) -> Result<(), Errno> {
        // SAFETY: the struct has the kernel's layout and its size is passed; the call returns a descriptor.
        let ruleset = check(unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const self.attributes, size_of::<Attributes>(), 0_u32)
        })? as i32;
        let result = self.rules.iter().try_for_each(|rule| rule.add(ruleset)).and_then(|()| {
            // SAFETY: numbers only.
            check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0_u32) }).map(|_| ())
        });
        close(ruleset);
        result
    }
}

impl Rule {
    fn add(&self, ruleset: i32) -> Result<(), Errno> {
        #[repr(C, packed)]
        struct PathBeneath {
            access: u64,
            parent: i32,
        }
        const RULE_PATH_BENEATH: u32 = 1;
        let parent = open(&self.path, libc::O_PATH)?;
        let rule = PathBeneath { access: self.access, parent };
        // SAFETY: the struct has the kernel's (packed) layout and outlives the call.
        let result = check(unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &raw const rule, 0_u32)
        });
        close(parent);
        result.map(|_| ())
    }
}

/// The version of Landlock's interface; 0 when the kernel has none or it is switched off.
pub(super) fn abi() -> u32 {
    const CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: this form of the call takes a null pointer and answers a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<Attributes>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}
