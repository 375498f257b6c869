//! A `.crate` file → the list of files in it, or the reason why it is refused.
//!
//! Everything is checked in memory before anyone writes anything. The rules are stricter than tar's: what two tar readers
//! could understand differently, what is no portable file name, and whatever is no regular file or folder refuses the whole
//! archive. `docs/decisions/archives.md` lists them with their reasons.

mod gzip;
mod names;
mod tar;

use std::ops::Range;

use bulkhead_schema::{Diagnostic, PackageId};

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

/// A checked archive.
pub struct Archive {
    /// The inflated tar stream.
    data: Vec<u8>,
    /// Regular files below the top folder, in the order of the archive.
    files: Vec<ArchivedFile>,
    /// Folders that the archive names itself, for those that hold nothing.
    folders: Vec<String>,
}

/// One regular file of an [`Archive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedFile {
    /// Path below the top folder, `/`-separated, portable.
    pub path: String,
    /// Whether any execute bit is set.
    pub executable: bool,
    range: Range<usize>,
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
    pub fn content(&self, file: &ArchivedFile) -> &[u8] {
        self.data.get(file.range.clone()).unwrap_or_default()
    }
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

/// The folder that must hold everything in the archive of `id`.
pub fn top_folder(id: PackageId) -> String {
    format!("{}-{}", id.name(), id.version())
}

/// Checks the archive of `id` from its first byte to its last.
///
/// # Errors
/// `archive-refused`, with the entry and the rule. Nothing has been written then.
pub fn check(id: PackageId, bytes: &[u8], limits: &Limits) -> Result<Archive, Diagnostic> {
    let refuse = |refusal: Refusal| {
        let entry = refusal.entry.map(|entry| format!("entry \"{entry}\": ")).unwrap_or_default();
        Diagnostic::error("archive-refused", format!("the archive of `{id}` is refused: {entry}{}", refusal.reason))
            .help("nothing was unpacked; such an archive was not made by `cargo package`, tell the registry's operator")
    };
    let data = gzip::inflate(bytes, limits).map_err(refuse)?;
    let (files, folders) = tar::walk(&data, &top_folder(id), limits).map_err(refuse)?;
    if !files.iter().any(|file| file.path == "Cargo.toml") {
        return Err(refuse(Refusal::new("it holds no `Cargo.toml`")));
    }
    Ok(Archive { data, files, folders })
}
