//! Answers that were given before: what a command printed, together with everything that it depended on.
//!
//! A snapshot is found by the question (arguments, folder, environment, terminal, this program) and believed only if each
//! file, folder and absence that the command looked at is as it was then. It lies in `BULKHEAD_HOME/cache/snapshots`, and
//! what is not whole, not the user's own, or of another format is passed over. See `docs/decisions/snapshots.md`.
//!
//! ```text
//! magic (8) · question (32) · checksum of inputs (8) · of answer (8) · length of inputs (4) · of answer (8) · inputs · answer
//! inputs: number of locks, locks, number of looks, looks       look: kind · path, less what it shares with the one before ·
//!     what was seen
//! answer: pieces, each stream (1) · length (4) · bytes
//! ```

#![expect(clippy::disallowed_methods, reason = "these are the notes")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bulkhead_schema::index::index_checksum;
pub use bulkhead_trust::Digest;
use bulkhead_trust::Hasher;
use rustix::fs::{AtFlags, CWD};

use crate::error::Result;
use crate::observed::{self, Inputs, Look, Noted, State};
use crate::{Error, disk};

/// Changes with the format: older files are then passed over.
const MAGIC: &[u8; 8] = b"BHSNAP\x003";

/// Bytes before the inputs.
const HEAD: usize = 8 + 32 + 8 + 8 + 4 + 8;

/// Largest snapshot that is kept or read, in bytes.
pub const MAX_SIZE: usize = 64 << 20;

/// Most snapshots that are kept; the oldest go first.
const MAX_KEPT: usize = 64;

/// Longest path.
const MAX_PATH: usize = 1 << 15;

/// Variables that shells change from one command to the next, and that nothing here reads.
const PASSING_VARIABLES: &[&str] = &["_", "OLDPWD", "SHLVL"];

/// Where a piece of an answer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
    /// Standard error, where the time that the command took stood.
    Elapsed,
}

/// What a command printed, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pieces: Vec<u8>,
}

impl Answer {
    /// Adds a piece. One that does not fit makes the answer too large to be kept.
    pub fn push(&mut self, stream: Stream, text: &[u8]) {
        if self.pieces.len() > MAX_SIZE {
            return;
        }
        self.pieces.push(match stream {
            Stream::Output => 0,
            Stream::Error => 1,
            Stream::Elapsed => 2,
        });
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.pieces.extend_from_slice(&length.to_le_bytes());
        self.pieces.extend_from_slice(text);
    }

    /// The pieces.
    pub fn pieces(&self) -> impl Iterator<Item = (Stream, &[u8])> {
        let mut rest = Bytes(&self.pieces);
        std::iter::from_fn(move || {
            let stream = match rest.array::<1>()? {
                [0] => Stream::Output,
                [1] => Stream::Error,
                _ => Stream::Elapsed,
            };
            let length = u32::from_le_bytes(rest.array()?) as usize;
            Some((stream, rest.take(length)?))
        })
    }
}

/// What identifies a question.
pub struct Question<'a> {
    /// The arguments, the program's name first.
    pub arguments: &'a [std::ffi::OsString],
    /// Where it is asked, and by which program.
    pub place: &'a crate::options::Place,
    /// Whatever else decides how the answer looks: terminals, their width.
    pub surroundings: &'a str,
}

impl Question<'_> {
    /// The digest by which its answer is kept.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(env!("CARGO_PKG_VERSION").as_bytes());
        add(self.surroundings.as_bytes());
        for path in [&self.place.current_dir, &self.place.program, &self.place.cargo_home] {
            add(path.as_os_str().as_bytes());
        }
        add(&self.arguments.len().to_le_bytes());
        self.arguments.iter().for_each(|argument| add(argument.as_bytes()));
        let passing = |name: &&std::ffi::OsString| !PASSING_VARIABLES.iter().any(|passing| *name == passing);
        for name in self.place.environment.keys().filter(passing) {
            add(name.as_bytes());
            add(self.place.environment.get(name).map_or(b"", |value| value.as_bytes()));
        }
        hasher.finish()
    }
}

fn folder(home: &Path) -> PathBuf {
    home.join("cache/snapshots")
}

/// The answer that was given to `question` before, if everything it depended on is as it was.
pub fn find(home: &Path, question: Digest) -> Option<Answer> {
    let path = folder(home).join(question.to_string());
    let file = File::options().read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0;
    if !metadata.is_file() || !is_ours || metadata.len() > (MAX_SIZE * 2) as u64 {
        return None;
    }
    let mut head = [0; HEAD];
    (&file).read_exact(&mut head).ok()?;
    let mut head = Bytes(&head);
    if head.array()? != *MAGIC || head.array()? != *question.as_bytes() {
        return None;
    }
    let [inputs_checksum, answer_checksum] = [head.array()?, head.array()?].map(u64::from_le_bytes);
    let inputs_length = u64::from(u32::from_le_bytes(head.array()?));
    let answer_length = u64::from_le_bytes(head.array()?);
    if metadata.len() != (HEAD as u64).checked_add(inputs_length)?.checked_add(answer_length)? {
        return None;
    }
    let read = |length: u64, checksum| {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        (&file).read_exact(&mut bytes).ok()?;
        (index_checksum(&bytes) == checksum).then_some(bytes)
    };
    let mut inputs = read(inputs_length, inputs_checksum)?;
    let mut renewed = Vec::new();
    let _locks = hold(&inputs, &mut renewed)?;
    let answer = Answer { pieces: read(answer_length, answer_checksum)? };
    if !renewed.is_empty() {
        for (position, state) in renewed {
            inputs.get_mut(position..position + state.len())?.copy_from_slice(&state);
        }
        // What was compared once need not be compared again; if this cannot be kept, it will be.
        let _ = write(home, question, &inputs, &answer);
    }
    Some(answer)
}

/// States that stand for the same content: where in the inputs the old one is, and the new one.
type Renewed = Vec<(usize, Vec<u8>)>;

/// Whether every input is as it was. Returns the locks, which nobody else has and which are held until this is dropped.
fn hold(inputs: &[u8], renewed: &mut Renewed) -> Option<Vec<File>> {
    let mut rest = Bytes(inputs);
    let mut locks = Vec::new();
    let mut path = Vec::new();
    for _ in 0..u32::from_le_bytes(rest.array()?) {
        rest.path(&mut path)?;
        // Where somebody put a pipe, opening must not wait for ever.
        let waits_not = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let place = Path::new(std::ffi::OsStr::from_bytes(&path));
        let lock = File::options().read(true).custom_flags(waits_not).open(place).ok()?;
        match lock.try_lock() {
            Ok(()) => locks.push(lock),
            Err(std::fs::TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(_) => return None,
        }
    }
    for _ in 0..u32::from_le_bytes(rest.array()?) {
        let [kind] = rest.array()?;
        rest.path(&mut path)?;
        let flags = if kind & FOLLOW == 0 { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
        let found = rustix::fs::statat(CWD, path.as_slice(), flags);
        let holds = match (kind & !FOLLOW, found) {
            (ABSENT, Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)) => true,
            (KIND, Ok(stat)) => {
                let (mode, owner) = (u32::from_le_bytes(rest.array()?), u32::from_le_bytes(rest.array()?));
                (stat.st_mode, stat.st_uid) == (mode, owner)
            }
            (SAME, Ok(stat)) => {
                let (device, inode) = (u64::from_le_bytes(rest.array()?), u64::from_le_bytes(rest.array()?));
                (stat.st_dev, stat.st_ino) == (device, inode)
            }
            (CONTENT, Ok(stat)) => rest.state()? == State::seen(&stat),
            (COMPARED, Ok(stat)) => {
                let position = inputs.len() - rest.0.len();
                let (then, now, digest) = (rest.state()?, State::seen(&stat), Digest::from_bytes(rest.array()?));
                then == now || compare(Path::new(std::ffi::OsStr::from_bytes(&path)), &now, digest, position, renewed)
            }
            _ => false,
        };
        if !holds {
            return None;
        }
    }
    rest.0.is_empty().then_some(locks)
}

/// Whether a file or folder in another state holds what it held.
fn compare(path: &Path, now: &State, digest: Digest, position: usize, renewed: &mut Renewed) -> bool {
    let clock = SystemTime::now();
    if observed::content(path) != Some(digest) {
        return false;
    }
    if observed::is_settled(now, clock) {
        let mut bytes = Vec::new();
        put_state(&mut bytes, now);
        renewed.push((position, bytes));
    }
    true
}

const ABSENT: u8 = 0;
const KIND: u8 = 1;
const CONTENT: u8 = 2;
const COMPARED: u8 = 3;
const SAME: u8 = 4;
/// Set if a symbolic link counts as what it leads to.
const FOLLOW: u8 = 0x80;

/// Keeps `answer` for the next time that `question` is asked.
///
/// # Errors
/// The disk refuses. Nothing is lost but time.
pub fn keep(home: &Path, question: Digest, inputs: &Inputs, answer: &Answer) -> Result<()> {
    match encode(inputs).filter(|inputs| inputs.len() + answer.pieces.len() <= MAX_SIZE) {
        Some(inputs) => write(home, question, &inputs, answer),
        None => Ok(()),
    }
}

fn write(home: &Path, question: Digest, inputs: &[u8], answer: &Answer) -> Result<()> {
    let folder = folder(home);
    let failed = |error: std::io::Error| Error::failure(format!("cannot write {}", folder.display())).because(error);
    disk::create_private(&folder)?;
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(question.as_bytes());
    // Against damage: the file is believed as its owner is, who could compute a digest as well.
    for checksum in [index_checksum(inputs), index_checksum(&answer.pieces)] {
        head.extend_from_slice(&checksum.to_le_bytes());
    }
    head.extend_from_slice(&u32::try_from(inputs.len()).unwrap_or_default().to_le_bytes());
    head.extend_from_slice(&(answer.pieces.len() as u64).to_le_bytes());
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&folder).map_err(failed)?;
    for part in [&head, inputs, &answer.pieces] {
        file.write_all(part).map_err(failed)?;
    }
    file.persist(folder.join(question.to_string())).map_err(|error| failed(error.error))?;
    prune(&folder).map_err(failed)
}

/// Removes the oldest files, as many as there are too many.
fn prune(folder: &Path) -> std::io::Result<()> {
    let mut files: Vec<_> = folder.read_dir()?.flatten().map(|entry| entry.path()).collect();
    if files.len() <= MAX_KEPT {
        return Ok(());
    }
    files.sort_by_cached_key(|path| path.symlink_metadata().and_then(|metadata| metadata.modified()).ok());
    let surplus = files.len() - MAX_KEPT;
    // Another process may have been faster.
    files.into_iter().take(surplus).for_each(|path| drop(std::fs::remove_file(path)));
    Ok(())
}

fn encode(inputs: &Inputs) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64 * inputs.looks.len());
    let mut before: Vec<u8> = Vec::new();
    out.extend_from_slice(&u32::try_from(inputs.locks.len()).ok()?.to_le_bytes());
    for path in &inputs.locks {
        put_path(&mut out, &mut before, path)?;
    }
    out.extend_from_slice(&u32::try_from(inputs.looks.len()).ok()?.to_le_bytes());
    for Noted { path, follow, look } in &inputs.looks {
        let kind = match look {
            Look::Absent => ABSENT,
            Look::Kind { .. } => KIND,
            Look::Same { .. } => SAME,
            Look::Content(_, None) => CONTENT,
            Look::Content(_, Some(_)) => COMPARED,
        };
        out.push(kind | if *follow { FOLLOW } else { 0 });
        put_path(&mut out, &mut before, path)?;
        match look {
            Look::Absent => {}
            Look::Kind { mode, owner } => {
                out.extend_from_slice(&mode.to_le_bytes());
                out.extend_from_slice(&owner.to_le_bytes());
            }
            Look::Same { device, inode } => {
                out.extend_from_slice(&device.to_le_bytes());
                out.extend_from_slice(&inode.to_le_bytes());
            }
            Look::Content(state, digest) => {
                put_state(&mut out, state);
                digest.iter().for_each(|digest| out.extend_from_slice(digest.as_bytes()));
            }
        }
    }
    Some(out)
}

/// How much is shared with the path before (2), the length of the rest (2), the rest. Relative paths and those with NUL
/// bytes cannot be kept.
fn put_path(out: &mut Vec<u8>, before: &mut Vec<u8>, path: &Path) -> Option<()> {
    let path = path.as_os_str().as_bytes();
    if path.len() >= MAX_PATH || path.first() != Some(&b'/') || path.contains(&0) {
        return None;
    }
    let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
    let rest = path.get(shared..)?;
    out.extend_from_slice(&u16::try_from(shared).ok()?.to_le_bytes());
    out.extend_from_slice(&u16::try_from(rest.len()).ok()?.to_le_bytes());
    out.extend_from_slice(rest);
    before.clear();
    before.extend_from_slice(path);
    Some(())
}

fn put_state(out: &mut Vec<u8>, state: &State) {
    let State { device, inode, size, modified, changed } = state;
    for number in [device, inode, size] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for (seconds, nanoseconds) in [modified, changed] {
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanoseconds.to_le_bytes());
    }
}

/// What remains to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Turns the path before into this one.
    fn path(&mut self, path: &mut Vec<u8>) -> Option<()> {
        let shared = usize::from(u16::from_le_bytes(self.array()?));
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if shared > path.len() || shared + length >= MAX_PATH {
            return None;
        }
        path.truncate(shared);
        path.extend_from_slice(self.take(length)?);
        Some(())
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        Some((i64::from_le_bytes(self.array()?), u32::from_le_bytes(self.array()?)))
    }

    fn state(&mut self) -> Option<State> {
        Some(State {
            device: u64::from_le_bytes(self.array()?),
            inode: u64::from_le_bytes(self.array()?),
            size: u64::from_le_bytes(self.array()?),
            modified: self.time()?,
            changed: self.time()?,
        })
    }
}
