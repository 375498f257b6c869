//! A `.crate` file → its files and folders, one after the other, or the reason why it is refused.
//!
//! The archive is inflated through a small buffer and never stands in memory whole. Whoever receives its files ([`Sink`])
//! must treat them as unproven until [`walk`] has returned: a rule may be broken, or the compressed data be damaged, at
//! the last byte. The rules are stricter than tar's: what two tar readers could understand differently, what is no portable
//! file name, and whatever is no regular file or folder refuses the whole archive. `docs/decisions/archives.md` lists
//! them with their reasons.

mod gzip;
mod tar;
mod twins;

use std::io;

use bulkhead_schema::{Diagnostic, PackageId};

use twins::Comparison;

/// What an archive may cost. The values are the limits of this program, not of any format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries.
    pub entries: usize,
    /// Most bytes after inflation, tar's own headers included.
    pub unpacked: u64,
    /// Most bytes after inflation per byte before, once `free` is exceeded.
    pub ratio: u64,
    /// Up to here any ratio is accepted, in bytes: small archives of repetitive files are common.
    pub free: u64,
    /// Most bytes of one helper record (long name, PAX).
    pub helper: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000, unpacked: 512 << 20, ratio: 20, free: 64 << 20, helper: 64 << 10 }
    }
}

/// Who receives the files of an archive as it is walked. Paths are below the top folder, `/`-separated, portable, and
/// never come twice. Two that some file systems take for one may come if the files are equal.
pub trait Sink {
    /// A folder that has an entry of its own.
    fn folder(&mut self, path: &str) -> io::Result<()>;

    /// A regular file of `size` bytes, whose content follows; `executable` if any execute bit is set.
    fn file(&mut self, path: &str, executable: bool, size: u64) -> io::Result<()>;

    /// The next part of the file's content, never empty. A file without content gets no call.
    fn content(&mut self, part: &[u8]) -> io::Result<()>;
}

/// Why a walk ended early.
#[derive(Debug)]
pub enum Failure {
    /// The archive breaks a rule (`archive-refused`).
    Refused(Diagnostic),
    /// The sink could not take what it got.
    Sink(io::Error),
}

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The entry, as it is written in the archive. Untrusted.
    entry: Option<String>,
    /// The broken rule.
    reason: String,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self { entry: None, reason: reason.into() }
    }

    fn of_entry(name: &[u8], reason: impl Into<String>) -> Self {
        let shown = name.get(..name.len().min(200)).unwrap_or_default();
        Self { entry: Some(shown.escape_ascii().to_string()), reason: reason.into() }
    }
}

/// [`Failure`] before the package is named.
enum Stop {
    Refused(Refusal),
    Sink(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Sink(error)
    }
}

/// The folder that must hold everything in the archive of `id`.
pub fn top_folder(id: PackageId) -> String {
    format!("{}-{}", id.name(), id.version())
}

/// Checks the archive of `id` from its first byte to its last, and hands its files to `sink` on the way.
///
/// # Errors
/// The archive is refused, with the entry and the rule, or `sink` failed; what `sink` got until then has to be thrown away.
pub fn walk(id: PackageId, bytes: &[u8], limits: &Limits, sink: &mut dyn Sink) -> Result<(), Failure> {
    let top = top_folder(id);
    let walk_into = |sink: &mut dyn Sink| tar::walk(&mut gzip::Stream::open(bytes, limits)?, &top, limits, sink);
    let walked = walk_into(sink).and_then(|twins| {
        if twins.is_empty() {
            return Ok(());
        }
        let mut comparison = Comparison::of(&twins);
        walk_into(&mut comparison)?;
        Ok(comparison.finish()?)
    });
    walked.map_err(|stop| match stop {
        Stop::Sink(error) => Failure::Sink(error),
        Stop::Refused(Refusal { entry, reason }) => {
            let entry = entry.map(|entry| format!("entry \"{entry}\": ")).unwrap_or_default();
            let message = format!("the archive of `{id}` is refused: {entry}{reason}");
            Failure::Refused(Diagnostic::error("archive-refused", message).help(
                "nothing was kept of it; such an archive was not made by `cargo package`, tell the registry's operator",
            ))
        }
    })
}

/// A checked archive in memory, for looking into one without a disk.
#[derive(Debug, Default)]
pub struct Archive {
    files: Vec<ArchivedFile>,
    folders: Vec<String>,
}

/// One regular file of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Path below the top folder.
    pub path: String,
    /// Whether any execute bit is set.
    pub executable: bool,
    content: Vec<u8>,
}

impl Archive {
    /// The regular files, in the order of the archive.
    pub fn files(&self) -> &[ArchivedFile] {
        &self.files
    }

    /// The folders that have an entry of their own, in the order of the archive.
    pub fn folders(&self) -> &[String] {
        &self.folders
    }

    /// The content of one of its files.
    pub fn content<'a>(&self, file: &'a ArchivedFile) -> &'a [u8] {
        &file.content
    }
}

impl Sink for Archive {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        self.folders.push(path.to_owned());
        Ok(())
    }

    fn file(&mut self, path: &str, executable: bool, _size: u64) -> io::Result<()> {
        self.files.push(ArchivedFile { path: path.to_owned(), executable, content: Vec::new() });
        Ok(())
    }

    fn content(&mut self, part: &[u8]) -> io::Result<()> {
        if let Some(file) = self.files.last_mut() {
            file.content.extend_from_slice(part);
        }
        Ok(())
    }
}

/// Like [`walk`], into memory.
///
/// # Errors
/// `archive-refused`, with the entry and the rule.
pub fn check(id: PackageId, bytes: &[u8], limits: &Limits) -> Result<Archive, Diagnostic> {
    let mut archive = Archive::default();
    match walk(id, bytes, limits, &mut archive) {
        Ok(()) => Ok(archive),
        Err(Failure::Refused(diagnostic)) => Err(diagnostic),
        Err(Failure::Sink(error)) => Err(Diagnostic::error("archive-refused", error.to_string())),
    }
}
