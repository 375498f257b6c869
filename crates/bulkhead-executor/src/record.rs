//! What is remembered of a unit that was built: one file in its fingerprint folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use bulkhead_trust::Digest;

use crate::content::{self, Source};
use crate::files::{self, Stamp};
use crate::place::Place;

/// Changes whenever the meaning of a [`Record`] does: older ones are then not believed.
const FORMAT: u32 = 5;

/// What stands before the text of a record, in bytes.
const SEAL: usize = 64;

/// What only those can compute who know `owner`: neither a folder that came with a repository nor who has seen records of
/// this installation can make one. Of a digest over both at once a longer text's could be had.
fn sealed(owner: &str, json: &[u8]) -> String {
    Digest::of(format!("record {owner} {}", Digest::of(json)).as_bytes()).to_string()
}

/// Largest record that is read.
const MAX_RECORD: u64 = 64 << 20;

/// A build of one unit that succeeded. There is none while the unit is being built, or after it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    /// Where the unit was built.
    pub(crate) place: Place,
    /// What the package was granted, as text.
    pub(crate) grants: String,
    /// The planner's fingerprint, as text.
    pub(crate) fingerprint: String,
    /// Identifies this build of the unit.
    pub(crate) build: u64,
    /// The dependencies' [`Record::build`], in the order of the unit's dependencies.
    pub(crate) dependencies: Vec<u64>,
    /// When the process was started, by the file system's clock: a source newer than this has changed.
    pub(crate) started: Stamp,
    /// The files that were there afterwards.
    pub(crate) outputs: Vec<OutputStamp>,
    /// What the unit was built from.
    pub(crate) sources: Vec<Source>,
    /// Whether all files of the package are sources as well (a build script without `rerun-if`).
    pub(crate) whole_package: bool,
    /// Then: the digest of them all, if it is known.
    pub(crate) package: Option<String>,
    /// And the digest of their names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) names: Option<String>,
    /// Variables that were asked for, with the value the process saw.
    pub(crate) variables: Vec<(String, Option<String>)>,
    /// Whether messages were stored beside this record.
    pub(crate) has_messages: bool,
    /// The digest of what a build script left in OUT_DIR.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) left: Option<String>,
}

/// What is remembered of a unit.
#[derive(Debug)]
pub(crate) enum Remembered {
    /// Nothing that could be used.
    Nothing,
    /// Something that this installation has not written.
    Foreign,
    /// What it has written, with the paths as they are here and now.
    Own(Box<Record>),
}

/// An output file as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutputStamp {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its modification time.
    pub(crate) modified: Stamp,
    /// When anything about it was changed, which no program can set.
    changed: Stamp,
    /// SHA-256 of its content, if it is something that compilers load or link, or that is run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    digest: Option<String>,
}

/// What an output file is to the one that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The same, by its state.
    State,
    /// The same, by its content: something was done to it that shows.
    Content,
    /// Another.
    Nothing,
}

impl OutputStamp {
    /// A file of which only counts that it is there.
    pub(crate) fn any(path: &Path) -> Self {
        Self { path: path.to_owned(), length: 0, modified: 0, changed: 0, digest: None }
    }

    /// What `path` is like now.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        let (length, modified) = (metadata.len(), files::stamp(&metadata));
        Ok(Self { path: path.to_owned(), length, modified, changed: files::changed(&metadata), digest: None })
    }

    /// The same for a file whose digest is known, since it was written just now.
    pub(crate) fn take_known(path: &Path, digest: &str) -> io::Result<Self> {
        Ok(Self { digest: Some(digest.to_owned()), ..Self::take(path)? })
    }

    /// The same for what becomes part of other units: whoever exchanges it has to exchange its content for the same.
    pub(crate) fn take_with_digest(path: &Path) -> io::Result<Self> {
        Ok(Self { digest: Some(content::digest_of_file(path)?), ..Self::take(path)? })
    }

    /// SHA-256 of its content, where that was taken.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether the file is what it was, and by what. One of a folder that `was_moved` must be the very same, if its content is not known:
    /// times of a copy can be whatever somebody wants.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn holds(&self, was_moved: bool) -> io::Result<Held> {
        let now = Self::take(&self.path)?;
        if *self == Self::any(&self.path) {
            return Ok(Held::State);
        }
        if (now.length, now.modified) != (self.length, self.modified) {
            return Ok(Held::Nothing);
        }
        // A link or a copy of the whole folder changes the file's state as well: then its content decides.
        match &self.digest {
            _ if now.changed == self.changed => Ok(Held::State),
            Some(digest) if *digest == content::digest_of_file(&self.path)? => Ok(Held::Content),
            None if !was_moved => Ok(Held::State),
            _ => Ok(Held::Nothing),
        }
    }
}

impl Record {
    /// A record that says nothing else yet.
    pub(crate) fn new(place: Place, grants: String) -> Self {
        Self {
            format: FORMAT,
            place,
            grants,
            fingerprint: String::new(),
            build: 0,
            dependencies: Vec::new(),
            started: 0,
            outputs: Vec::new(),
            sources: Vec::new(),
            whole_package: false,
            package: None,
            names: None,
            variables: Vec::new(),
            has_messages: false,
            left: None,
        }
    }

    /// Reads what is remembered at `path`, written by whoever knows `owner`.
    pub(crate) fn read(path: &Path, owner: &str) -> Remembered {
        let bytes = files::read(path, MAX_RECORD).unwrap_or_default();
        let Some((seal, json)) = bytes.split_at_checked(SEAL) else { return Remembered::Nothing };
        if *seal != *sealed(owner, json).as_bytes() {
            return Remembered::Foreign;
        }
        match serde_json::from_slice::<Self>(json) {
            Ok(record) if record.format == FORMAT => Remembered::Own(Box::new(record)),
            _ => Remembered::Nothing,
        }
    }

    /// Stores the record at `path`.
    pub(crate) fn write(&self, path: &Path, owner: &str) -> io::Result<()> {
        let json = serde_json::to_vec(self)?;
        files::write(path, &[sealed(owner, &json).as_bytes(), &*json].concat())
    }

    /// The same record where everything in its place was moved to `place`.
    pub(crate) fn moved_to(&self, place: &Place) -> Self {
        let mut moved = self.clone();
        let paths = moved.outputs.iter_mut().map(|output| &mut output.path);
        for path in paths.chain(moved.sources.iter_mut().map(|source| &mut source.path)) {
            *path = self.place.moved(path, place);
        }
        moved
    }

    /// Takes note that the unit is fresh at `place`, so that it is looked at no closer than others from now on.
    pub(crate) fn settle_at(&mut self, place: &Place) -> io::Result<()> {
        self.place = place.clone();
        for output in self.outputs.iter_mut().filter(|output| **output != OutputStamp::any(&output.path)) {
            *output = OutputStamp { digest: output.digest.take(), ..OutputStamp::take(&output.path)? };
        }
        Ok(())
    }
}

/// What Cargo writes into the file whose time counts.
const TIMESTAMP: &[u8] = b"This file has an mtime of when this was started.";

/// Files of one unit in its fingerprint folder.
#[derive(Debug, Clone)]
pub(crate) struct RecordFiles {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The [`Record`].
    pub(crate) record: PathBuf,
    /// rustc's messages, one JSON object in each line.
    pub(crate) messages: PathBuf,
    /// Written when the process starts, for the file system's idea of the time.
    pub(crate) timestamp: PathBuf,
}

impl RecordFiles {
    /// The files called `name…` in `folder`.
    pub(crate) fn new(folder: PathBuf, name: &str) -> Self {
        Self {
            record: folder.join(format!("{name}.bulkhead.json")),
            messages: folder.join(format!("output-{name}")),
            timestamp: folder.join("invoked.timestamp"),
            folder,
        }
    }

    /// Notes the time before the unit's process starts.
    pub(crate) fn begin(&self) -> io::Result<Stamp> {
        files::write(&self.timestamp, TIMESTAMP)?;
        Ok(files::stamp(&self.timestamp.metadata()?))
    }

    /// Notes the time again, when a process that stood ready starts. Zero if that fails.
    pub(crate) fn touch(&self) -> Stamp {
        let touch = || -> io::Result<Stamp> {
            let file = std::fs::File::options().write(true).open(&self.timestamp)?;
            // A write, and not a time of ours: sources bear the file system's own.
            std::os::unix::fs::FileExt::write_all_at(&file, &TIMESTAMP[..1], 0)?;
            Ok(files::stamp(&file.metadata()?))
        };
        touch().unwrap_or(0)
    }

    /// Forgets the unit: whatever happens to its process, it does not look fresh.
    pub(crate) fn invalidate(&self) -> io::Result<()> {
        files::remove(&self.record)?;
        files::remove(&self.messages)
    }
}
