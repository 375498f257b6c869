//! The objects of a commit, as a stream.

use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bulkhead_schema::git::ObjectId;
use bulkhead_trust::git::GitEntryKind;

use crate::program::Run;
use crate::{GitError, GitErrorKind};

/// Most bytes of the listing of a commit's tree.
const MAX_LISTING: u64 = 128 << 20;

/// Hands the commit, its tree and what the trees name, depth first, to `read`, as `git cat-file --batch` prints them.
///
/// # Errors
/// git failed. What it printed until then was handed over, and `read` has noticed that something is missing.
pub(crate) fn stream<T>(
    run: &Run<'_>,
    commit: ObjectId,
    read: impl FnOnce(&mut BufReader<Pipe>) -> T,
) -> Result<T, GitError> {
    print(run, &list(run, commit)?, read)
}

/// Hands what `git cat-file --batch` prints, asked for the objects that `list` names, one a line, to `read`.
fn print<T>(run: &Run<'_>, list: &str, read: impl FnOnce(&mut BufReader<Pipe>) -> T) -> Result<T, GitError> {
    let failed = |error: std::io::Error| run.error(GitErrorKind::Program, format!("cannot list objects: {error}"));
    let mut file = tempfile::tempfile().map_err(failed)?;
    file.write_all(list.as_bytes()).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(failed)?;
    let run = Run {
        stdin: Some(&file),
        options: run.options,
        url: run.url,
        folder: run.folder,
        transport: None,
        read: Vec::new(),
        configuration: Vec::new(),
        environment: Vec::new(),
    };
    let (sender, receiver) = sync_channel(16);
    std::thread::scope(|scope| {
        let git = scope.spawn(|| {
            let sender: SyncSender<Vec<u8>> = sender;
            run.stream(&["cat-file", "--batch"], None, |bytes| sender.send(bytes.to_vec()).is_ok())
        });
        let mut reader = BufReader::with_capacity(64 << 10, Pipe { receiver, part: Vec::new(), place: 0 });
        let answer = read(&mut reader);
        drop(reader);
        match git.join() {
            Ok(Ok(_)) => Ok(answer),
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The files at `paths` in the tree of `commit`, in that order.
pub(crate) fn files(
    run: &Run<'_>,
    commit: ObjectId,
    paths: &[String],
    limit: u64,
) -> Result<Vec<Option<Vec<u8>>>, GitError> {
    let list: String = paths.iter().map(|path| format!("{commit}:{path}\n")).collect();
    let read =
        |reader: &mut BufReader<Pipe>| paths.iter().map(|_| file(reader, limit)).collect::<std::io::Result<Vec<_>>>();
    let failed =
        |error| run.error(GitErrorKind::Refused, format!("a file of the commit {commit} cannot be read: {error}"));
    print(run, &list, read)?.map_err(failed)
}

/// One answer of `git cat-file --batch`: a blob, or that there is none.
fn file(reader: &mut BufReader<Pipe>, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(4096).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.trim_end_matches('\n').rsplit(' ');
    let (last, kind) = (words.next().unwrap_or_default(), words.next());
    if last == "missing" {
        return Ok(None);
    }
    let size: u64 = last.parse().map_err(|_| std::io::ErrorKind::InvalidData)?;
    if kind != Some("blob") || size > limit {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
    reader.read_exact(&mut content)?;
    reader.read_exact(&mut [0])?;
    Ok(Some(content))
}

/// The ids, one a line, in the order in which they are wanted. Nothing here is believed: the reader expects what the
/// objects themselves name.
fn list(run: &Run<'_>, commit: ObjectId) -> Result<String, GitError> {
    let id = commit.to_string();
    let refused = |message: &str| run.error(GitErrorKind::Refused, format!("the commit {id} {message}"));
    let tree = format!("{id}^{{tree}}");
    let (ended, root) = run.collect(&["rev-parse", "--verify", "--quiet", "--end-of-options", &tree])?;
    let root = std::str::from_utf8(&root).ok().and_then(|text| ObjectId::parse(text.trim()).ok());
    let (true, Some(root)) = (ended.success, root) else {
        return Err(run.error(GitErrorKind::NotFound, format!("the commit {id} is missing")));
    };
    let mut list = format!("{id}\n{root}\n");
    let listing = ls_tree(run, commit)?;
    for entry in listing.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
        // `<mode> <kind> <id>\t<path>`
        let head = entry.split(|&byte| byte == b'\t').next().unwrap_or_default();
        let head = std::str::from_utf8(head).unwrap_or_default();
        let mut words = head.split(' ').skip(1);
        let (Some(kind), Some(Ok(id))) = (words.next(), words.next().map(ObjectId::parse)) else {
            return Err(refused("is listed in a way that is not understood"));
        };
        if kind != "commit" {
            list.push_str(&format!("{id}\n"));
        }
    }
    Ok(list)
}

/// What `git ls-tree` prints of all that is in the tree of `commit`: `<mode> <kind> <id>\t<path>` and a zero, each.
fn ls_tree(run: &Run<'_>, commit: ObjectId) -> Result<Vec<u8>, GitError> {
    let (id, mut listing, mut entries) = (commit.to_string(), Vec::new(), 0);
    let most = run.options.limits.entries;
    let arguments = ["ls-tree", "-r", "-t", "-z", "--full-tree", &id];
    let ended = run.stream(&arguments, Some(MAX_LISTING), |bytes| {
        listing.extend_from_slice(bytes);
        entries += bytes.iter().filter(|&&byte| byte == 0).count();
        entries <= most
    })?;
    if entries > most {
        return Err(run.beyond("checkout-entries"));
    }
    if ended.success {
        return Ok(listing);
    }
    Err(run.error(GitErrorKind::Refused, format!("the commit {id} cannot be listed: {}", ended.stderr.trim())))
}

/// The files, links and submodules in the tree of `commit`. Paths that are no text are left out.
pub(crate) fn listing(run: &Run<'_>, commit: ObjectId) -> Result<Vec<(String, GitEntryKind, ObjectId)>, GitError> {
    let listing = ls_tree(run, commit)?;
    let entry = |entry: &[u8]| {
        let (head, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
        let mut words = head.split(' ');
        let kind = match (words.next()?, words.next()?) {
            ("120000", _) => GitEntryKind::Link,
            ("160000", _) => GitEntryKind::Submodule,
            (mode, "blob") => GitEntryKind::File { executable: mode == "100755" },
            _ => return None,
        };
        Some((path.to_owned(), kind, ObjectId::parse(words.next()?).ok()?))
    };
    Ok(listing.split(|&byte| byte == 0).filter_map(entry).collect())
}

/// What git printed, read from another thread.
pub(crate) struct Pipe {
    receiver: Receiver<Vec<u8>>,
    part: Vec<u8>,
    place: usize,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.place >= self.part.len() {
            // The sender is gone when git has ended.
            let Ok(part) = self.receiver.recv() else { return Ok(0) };
            (self.part, self.place) = (part, 0);
        }
        let rest = self.part.get(self.place..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        let (Some(target), Some(source)) = (buffer.get_mut(..length), rest.get(..length)) else { return Ok(0) };
        target.copy_from_slice(source);
        self.place += length;
        Ok(length)
    }
}
