//! Limits that the kernel keeps for all processes of a run together, by a control group of version 2, where this process may
//! make some.
//!
//! A group serves one run after the other: making and removing one costs more than starting a process in it. One in which a
//! limit was reached or that was killed is not used again, so that its counters always speak of one run.

mod base;
mod folder;
mod place;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::{Base, Controllers};
use folder::Folder;
pub(super) use place::memory_limit;

use super::spawn::{on_a_new_stack, reap};
use super::total_memory::memory_and_swap;
use crate::child::LimitHit;
use crate::process::Limits;
use crate::support::ControlGroup;

/// Processes of Bulkhead's own that are in the group for a moment, besides those of the run: two that start the program, and
/// the last of the run before.
const OWN_PROCESSES: u64 = 3;

/// What a group holds its processes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bounds {
    memory: Option<u64>,
    processes: Option<u64>,
}

/// A group that was made.
#[derive(Debug)]
struct Made {
    folder: Folder,
    bounds: Bounds,
    /// Whether a run is in it.
    taken: AtomicBool,
    /// Whether it was killed. Kernels with a number for each killing (6.14, and older ones that it was brought to) compare that
    /// of the group with that of the starting process's group, and end whatever is started in the group later.
    killed: AtomicBool,
    /// Says whether a process is in it.
    events: File,
    memory_events: Option<File>,
    process_events: Option<File>,
}

/// The group of one run.
#[derive(Debug)]
pub(super) struct Group(Arc<Made>);

/// Everything about groups that this process has.
#[derive(Debug)]
struct Host {
    base: Base,
    made: Mutex<Vec<Arc<Made>>>,
}

/// What a control group keeps on this host. The first call finds out.
///
/// # Errors
/// Why there are none for this process, as a part of a sentence.
pub fn control_group() -> Result<ControlGroup, String> {
    let Controllers { memory, processes } = host().as_ref().map_err(Clone::clone)?.base.controllers;
    Ok(ControlGroup { memory, processes })
}

fn host() -> &'static Result<Host, String> {
    static HOST: OnceLock<Result<Host, String>> = OnceLock::new();
    HOST.get_or_init(|| {
        let host = Host { base: Base::find()?, made: Mutex::default() };
        if let Err(error) = host.attempt() {
            host.leave();
            return Err(format!("no process can be started in a control group: {error}"));
        }
        // SAFETY: the function may be called at any time, and does not unwind.
        unsafe { libc::atexit(leave) };
        Ok(host)
    })
}

/// At the end of this process.
extern "C" fn leave() {
    if let Ok(host) = host() {
        host.leave();
    }
}

impl Host {
    /// Starts a process in a group that ends at once: filters of containers, and kernels before 5.7, refuse that.
    fn attempt(&self) -> io::Result<()> {
        extern "C" fn end(_: *mut libc::c_void) -> libc::c_int {
            0
        }
        let Controllers { memory, processes } = self.base.controllers;
        let bounds = Bounds { memory: memory.then_some(1 << 30), processes: processes.then_some(16) };
        let group = self.group(bounds)?;
        let process = on_a_new_stack(0, Some(group.descriptor()), end, std::ptr::null_mut())?;
        reap(process);
        Ok(())
    }

    /// A group with these bounds in which no process is.
    fn group(&self, bounds: Bounds) -> io::Result<Group> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let free =
            |group: &&Arc<Made>| group.bounds == bounds && !group.taken.load(Ordering::Acquire) && group.is_empty();
        if let Some(group) = made.iter().find(free) {
            group.taken.store(true, Ordering::Release);
            return Ok(Group(Arc::clone(group)));
        }
        let group = Arc::new(Made::new(&self.base, bounds)?);
        made.push(Arc::clone(&group));
        Ok(Group(group))
    }

    /// Ends what still runs in groups, removes them, and leaves the hierarchy as it was found.
    fn leave(&self) {
        for group in self.made.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            group.remove();
        }
        self.base.leave();
    }
}

impl Made {
    fn new(base: &Base, bounds: Bounds) -> io::Result<Made> {
        let folder = Folder::make(&base.folder)?;
        let open = |name: &str| File::open(folder.path.join(name));
        let open_if = |wanted: bool, name: &str| wanted.then(|| open(name)).transpose();
        let events = bounds.set(&folder).and_then(|()| {
            let memory = open_if(bounds.memory.is_some(), "memory.events")?;
            Ok((open("cgroup.events")?, memory, open_if(bounds.processes.is_some(), "pids.events")?))
        });
        match events {
            Ok((events, memory_events, process_events)) => {
                let (taken, killed) = (AtomicBool::new(true), AtomicBool::new(false));
                Ok(Made { folder, bounds, taken, killed, events, memory_events, process_events })
            }
            Err(error) => {
                folder.remove();
                Err(error)
            }
        }
    }

    fn is_empty(&self) -> bool {
        counter(&self.events, "populated") == Some(0)
    }

    /// Removes the group. What runs in it is ended; that takes its time.
    fn remove(&self) {
        for _ in 0..2 {
            if self.folder.remove() {
                return;
            }
            let _ = self.folder.set("cgroup.kill", 1);
            if !self.is_empty() {
                let mut change = libc::pollfd { fd: self.events.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
                // SAFETY: one valid struct. The answer does not matter: the next attempt shows.
                unsafe { libc::poll(&raw mut change, 1, 100) };
            }
        }
    }
}

impl Bounds {
    fn set(self, folder: &Folder) -> io::Result<()> {
        if let Some(bytes) = self.memory {
            folder.set("memory.max", bytes)?;
            // One that is ended for it ends with all that belongs to it.
            folder.set("memory.oom.group", 1)?;
            // Of the bytes that no memory is there for, and of these alone, so that the sum is what was asked for.
            let (memory, swap) = memory_and_swap();
            match folder.set("memory.swap.max", bytes.saturating_sub(memory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && swap == 0 => {}
                other => other?,
            }
        }
        match self.processes {
            Some(processes) => folder.set("pids.max", processes.saturating_add(OWN_PROCESSES)),
            None => Ok(()),
        }
    }
}

impl Group {
    /// The group for a run with these limits. `None` where there are no groups, or none of the limits can be kept by one; the
    /// limits are then kept as far as that goes without.
    pub(super) fn take(limits: &Limits) -> Option<Group> {
        let host = host().as_ref().ok()?;
        let Controllers { memory, processes } = host.base.controllers;
        let bounds = Bounds {
            memory: limits.total_memory_bytes.filter(|_| memory),
            processes: limits.processes.filter(|_| processes),
        };
        if bounds == Bounds::default() {
            return None;
        }
        host.group(bounds).ok()
    }

    /// The descriptor that a process is started with.
    pub(super) fn descriptor(&self) -> RawFd {
        self.0.folder.handle.as_raw_fd()
    }

    pub(super) fn holds_memory(&self) -> bool {
        self.0.bounds.memory.is_some()
    }

    pub(super) fn holds_processes(&self) -> bool {
        self.0.bounds.processes.is_some()
    }

    /// Ends all processes in it (from Linux 5.14 on).
    pub(super) fn kill(&self) {
        self.0.killed.store(true, Ordering::Release);
        let _ = self.0.folder.set("cgroup.kill", 1);
    }

    /// The limit that its processes have reached.
    pub(super) fn reached(&self) -> Option<LimitHit> {
        let counted = |file: &Option<File>, name| file.as_ref().and_then(|file| counter(file, name)).unwrap_or(0) > 0;
        if counted(&self.0.memory_events, "oom") {
            Some(LimitHit::TotalMemory)
        } else if counted(&self.0.process_events, "max") {
            Some(LimitHit::Processes)
        } else {
            None
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is not given back stays until this process ends.
        if self.reached().is_none() && !self.0.killed.load(Ordering::Acquire) {
            self.0.taken.store(false, Ordering::Release);
        }
    }
}

/// The number after a name in a file of lines `NAME NUMBER`.
fn counter(file: &File, name: &str) -> Option<u64> {
    let mut bytes = [0; 512];
    let length = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"low 0\nmax 12\noom 1\noom_kill 7\nx y\n").unwrap();
        let found = ["oom", "oom_kill", "max", "om", "x", ""].map(|name| counter(&file, name));
        assert_eq!(found, [Some(1), Some(7), Some(12), None, None, None]);
    }
}
