//! The files of the log: `audit/log.jsonl`, older ones beside it, and the head in `trust/audit-head`.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Result, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bulkhead_schema::audit::{Entry, Kind, MAX_LINE, Record};
use bulkhead_trust::Digest;
use bulkhead_trust::audit::{Head, Walk};

/// Size in bytes from which on a new file is begun.
const MAX_FILE: u64 = if cfg!(test) { 128 << 10 } else { 2 << 20 };

/// Most files that are kept besides the current one.
const MAX_KEPT: usize = 8;

fn folder(home: &Path) -> PathBuf {
    home.join("audit")
}

fn current(home: &Path) -> PathBuf {
    folder(home).join("log.jsonl")
}

fn head_path(home: &Path) -> PathBuf {
    home.join("trust/audit-head")
}

/// The files of the log, the oldest first, each with the number of its last entry (none for the current one).
pub(super) fn list(home: &Path) -> Result<Vec<(PathBuf, Option<u64>)>> {
    let number = |name: &str| name.strip_prefix("log-")?.strip_suffix(".jsonl")?.parse::<u64>().ok();
    let mut files = Vec::new();
    match std::fs::read_dir(folder(home)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        entries => {
            for entry in entries? {
                let entry = entry?;
                let last = entry.file_name().to_str().and_then(number);
                files.extend(last.map(|last| (entry.path(), Some(last))));
            }
        }
    }
    files.sort_by_key(|(_, last)| *last);
    files.push((current(home), None));
    Ok(files)
}

/// The head; `None` if there is none.
pub(super) fn head(home: &Path) -> Result<Option<Head>> {
    match read(&head_path(home), 1024) {
        Ok(text) => Head::parse(&text)
            .map(Some)
            .ok_or_else(|| Error::new(ErrorKind::InvalidData, "`trust/audit-head` is damaged")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A whole text file of the user's own.
pub(super) fn read(path: &Path, limit: u64) -> Result<String> {
    let file = options().read(true).open(path)?;
    check(&file)?;
    let mut text = String::new();
    file.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit { Err(Error::from(ErrorKind::FileTooLarge)) } else { Ok(text) }
}

/// The lines of one file of the log.
pub(super) fn lines(path: &Path) -> Result<Vec<String>> {
    match read(path, MAX_FILE + 2 * MAX_LINE as u64) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    options
}

fn check(file: &File) -> Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    crate::disk::check_owner(&metadata).map_err(|reason| Error::other(format!("the audit log {reason}")))
}

/// Appends `records`. Writers wait for each other.
pub(super) fn append(home: &Path, records: Vec<Record>, time: &str, durable: bool) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    for folder in [folder(home), home.join("trust")] {
        crate::disk::create_private(&folder).map_err(|error| Error::other(error.to_string()))?;
    }
    let lock = options().write(true).create(true).open(folder(home).join("lock"))?;
    match lock.lock() {
        // File systems without locks (some network mounts): the chain shows if two writers met.
        Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
        _ => {}
    }
    let mut file = open_current(home)?;
    let (mut head, loss) = end_of(home, &mut file)?;
    let mut length = file.metadata()?.len();
    let mut text = String::new();
    for record in loss.into_iter().chain(records) {
        let (entry, next) = head.append(record, time.to_owned());
        text.push_str(&entry.line());
        text.push('\n');
        head = next;
        if length + text.len() as u64 > MAX_FILE {
            file.write_all(std::mem::take(&mut text).as_bytes())?;
            rotate(home, &mut head)?;
            (file, length) = (open_current(home)?, 0);
        }
    }
    file.write_all(text.as_bytes())?;
    if durable {
        file.sync_data()?;
    }
    write_head(home, &head)
}

fn open_current(home: &Path) -> Result<File> {
    let file = options().read(true).append(true).create(true).open(current(home))?;
    check(&file)?;
    Ok(file)
}

fn write_head(home: &Path, head: &Head) -> Result<()> {
    crate::disk::write_private(&head_path(home), head.line().as_bytes())
        .map_err(|error| Error::other(error.to_string()))
}

/// Where the next entry goes, and what has to be said first if the log does not end where its head says.
fn end_of(home: &Path, file: &mut File) -> Result<(Head, Option<Record>)> {
    let last = last_entry(file)?;
    let head = match (head(home)?, &last) {
        (Some(head), _) => head,
        (None, None) => return Ok((Head::default(), None)),
        (None, Some(entry)) => {
            let head = head_of(home, entry)?;
            return Ok((head, Some(damage("the head of the log was missing".to_owned()))));
        }
    };
    let ends =
        last.as_ref().map_or_else(|| last_of_older(home, &head), |entry| Ok((entry.sequence, entry.hash.clone())))?;
    if ends == (head.sequence, head.hash.to_string()) {
        return Ok((head, None));
    }
    // A writer that was killed left lines that the head does not know yet.
    match followers(home, head)? {
        Some(end) => Ok((end, None)),
        None => {
            let message =
                format!("entry {} had been written last, but the log ends with entry {}", head.sequence, ends.0);
            Ok((head, Some(damage(message))))
        }
    }
}

fn damage(message: String) -> Record {
    Record {
        kind: Kind::LogDamaged,
        subject: "audit log".to_owned(),
        details: [("message".to_owned(), message)].into(),
    }
}

/// Number and hash of the last entry, when the current file is empty.
fn last_of_older(home: &Path, head: &Head) -> Result<(u64, String)> {
    let older = list(home)?.into_iter().rev().find(|(_, last)| last.is_some());
    let Some((path, _)) = older else { return Ok((head.base, head.base_hash.to_string())) };
    let entry = lines(&path)?.last().and_then(|line| Entry::parse(line).ok());
    Ok(entry.map_or((0, String::new()), |entry| (entry.sequence, entry.hash)))
}

/// The end of the log, if it is whole up to `head` and goes on behind it.
fn followers(home: &Path, head: Head) -> Result<Option<Head>> {
    let mut walk = Walk::new(head);
    for (path, _) in list(home)? {
        for line in lines(&path)? {
            if walk.step(&line).is_err() {
                return Ok(None);
            }
        }
    }
    let end = walk.end();
    Ok((end.sequence > head.sequence).then_some(end))
}

/// A head for a log that has lost its own.
fn head_of(home: &Path, last: &Entry) -> Result<Head> {
    let oldest = list(home)?.into_iter().next().map(|(path, _)| lines(&path)).transpose()?.unwrap_or_default();
    let first = oldest.first().and_then(|line| Entry::parse(line).ok());
    let hash = |text: &str| Digest::parse(text).map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()));
    let (base, base_hash) = match &first {
        Some(first) => (first.sequence.saturating_sub(1), hash(&first.previous)?),
        None => (0, Head::default().hash),
    };
    Ok(Head { sequence: last.sequence, hash: hash(&last.hash)?, base, base_hash })
}

/// The last whole line. What a killed writer left of another one is cut off: nobody was told that it was written.
fn last_entry(file: &mut File) -> Result<Option<Entry>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * MAX_LINE as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(2 * MAX_LINE as u64).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(from + whole as u64)?;
    }
    let text = String::from_utf8_lossy(tail.get(..whole).unwrap_or_default()).into_owned();
    let Some(line) = text.lines().next_back() else { return Ok(None) };
    // What is no entry counts as one that nobody wrote: the head will not agree.
    let nobodys = || Head::default().append(damage(String::new()), String::new()).0;
    Ok(Some(Entry::parse(line).unwrap_or_else(|_| nobodys())))
}

/// Puts the full file aside and removes those that are too many; `head` learns where the log begins then.
fn rotate(home: &Path, head: &mut Head) -> Result<()> {
    std::fs::rename(current(home), folder(home).join(format!("log-{:020}.jsonl", head.sequence)))?;
    let older: Vec<_> = list(home)?.into_iter().filter(|(_, last)| last.is_some()).collect();
    let surplus = older.len().saturating_sub(MAX_KEPT);
    for (path, _) in older.iter().take(surplus) {
        std::fs::remove_file(path)?;
    }
    let first = older.get(surplus).map(|(path, _)| lines(path)).transpose()?.unwrap_or_default();
    if let Some(first) = first.first().and_then(|line| Entry::parse(line).ok()).filter(|_| surplus > 0) {
        head.base = first.sequence.saturating_sub(1);
        head.base_hash =
            Digest::parse(&first.previous).map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE, MAX_KEPT, append, current, head_path, list};
    use crate::audit::show::verify_in;
    use bulkhead_schema::audit::{Kind, Record};
    use std::path::Path;

    fn write(home: &Path, subject: &str) {
        let record = Record { kind: Kind::Trust, subject: subject.to_owned(), details: Default::default() };
        append(home, vec![record], "2026-11-26T00:00:00Z", false).unwrap();
    }

    fn verified(home: &Path) -> Result<u64, String> {
        verify_in(home).map(|verified| verified.last).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_appended_and_whole() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(verified(home.path()), Ok(0));
        (0..5).for_each(|number| write(home.path(), &number.to_string()));
        assert_eq!(verified(home.path()), Ok(5));
        // Killed between line and head, or in the middle of a line: nothing is lost and nothing is damaged.
        let head = std::fs::read(head_path(home.path())).unwrap();
        write(home.path(), "5");
        std::fs::write(head_path(home.path()), head).unwrap();
        let log = std::fs::read_to_string(current(home.path())).unwrap();
        std::fs::write(current(home.path()), log + "{\"sequence\":7,\"ti").unwrap();
        write(home.path(), "6");
        assert_eq!(verified(home.path()), Ok(7));
    }

    #[test]
    fn loss_is_noticed_and_stays_noticed() {
        let truncate = |home: &Path| {
            let log = std::fs::read_to_string(current(home)).unwrap();
            let first = log.lines().next().unwrap().to_owned();
            std::fs::write(current(home), first + "\n").unwrap();
        };
        let empty = |home: &Path| std::fs::write(current(home), "").unwrap();
        let remove = |home: &Path| std::fs::remove_file(current(home)).unwrap();
        let remove_head = |home: &Path| std::fs::remove_file(head_path(home)).unwrap();
        let change = |home: &Path| {
            let log = std::fs::read_to_string(current(home)).unwrap();
            std::fs::write(current(home), log.replace("\"1\"", "\"x\"")).unwrap();
        };
        for harm in [&truncate as &dyn Fn(&Path), &empty, &remove, &remove_head, &change] {
            let home = tempfile::tempdir().unwrap();
            (0..3).for_each(|number| write(home.path(), &number.to_string()));
            harm(home.path());
            assert!(verified(home.path()).is_err());
            write(home.path(), "later");
            assert!(verified(home.path()).is_err(), "it cannot be covered up by going on");
        }
    }

    #[test]
    fn old_files_go_and_the_chain_stays() {
        let home = tempfile::tempdir().unwrap();
        let long = "x".repeat(4000);
        let each = usize::try_from(MAX_FILE).unwrap() / 4200;
        let record = || Record { kind: Kind::Grant, subject: long.clone(), details: Default::default() };
        let records = (0..(MAX_KEPT + 3) * each).map(|_| record()).collect();
        append(home.path(), records, "2026-11-26T00:00:00Z", false).unwrap();
        let files = list(home.path()).unwrap();
        assert_eq!(files.len(), MAX_KEPT + 1);
        assert!(verified(home.path()).is_ok(), "{:?}", verified(home.path()));
        std::fs::remove_file(&files[0].0).unwrap();
        assert!(verified(home.path()).is_err(), "but not those that nobody rotated out");
    }

    #[test]
    fn writers_wait_for_each_other() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let home = home.path();
                scope.spawn(move || (0..20).for_each(|number| write(home, &format!("{writer} {number}"))));
            }
        });
        assert_eq!(verified(home.path()), Ok(160));
    }
}
