//! Tar archives written field by field, so that a test can write the ones that no honest tool would.

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;

/// What an archive entry claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A hard link to `link`.
    HardLink,
    /// A symbolic link to `link`.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
    /// Any other type flag.
    Other(u8),
}

/// One entry of a tar archive, as it will be written: nothing is checked or normalised.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The path as it stands in the header; longer than 100 bytes it becomes a GNU long-name entry.
    pub path: Vec<u8>,
    /// The type flag.
    pub kind: EntryKind,
    /// Permission bits, setuid and the like included.
    pub mode: u32,
    /// The target of a link.
    pub link: Vec<u8>,
    /// The content.
    pub content: Vec<u8>,
    /// The size that the header claims, where it should differ from the content's.
    pub claimed_size: Option<u64>,
}

impl Entry {
    /// A regular file of mode 0644.
    pub fn file(path: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Entry {
        Entry {
            path: path.into(),
            kind: EntryKind::File,
            mode: 0o644,
            link: Vec::new(),
            content: content.into(),
            claimed_size: None,
        }
    }

    /// A symbolic link.
    pub fn symlink(path: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Entry {
        Entry { kind: EntryKind::Symlink, mode: 0o777, link: target.into(), ..Entry::file(path, []) }
    }

    /// An entry of any other kind.
    pub fn of_kind(kind: EntryKind, path: impl Into<Vec<u8>>) -> Entry {
        Entry { kind, ..Entry::file(path, []) }
    }
}

/// The gzipped archive, as a `.crate` is.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(&tar_bytes(entries)).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// The archive before compression, with its two closing blocks.
pub fn tar_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if entry.path.len() > 100 {
            let mut name = entry.path.clone();
            name.push(0);
            let long_name = Entry { kind: EntryKind::Other(b'L'), ..Entry::file(&b"././@LongLink"[..], name) };
            append(&mut bytes, &long_name);
        }
        append(&mut bytes, entry);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn append(bytes: &mut Vec<u8>, entry: &Entry) {
    let mut header = [0_u8; 512];
    let name = &entry.path[..entry.path.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    octal(&mut header[100..108], u64::from(entry.mode));
    octal(&mut header[108..116], 0);
    octal(&mut header[116..124], 0);
    octal(&mut header[124..136], entry.claimed_size.unwrap_or(entry.content.len() as u64));
    octal(&mut header[136..148], 1_700_000_000);
    header[156] = match entry.kind {
        EntryKind::File => b'0',
        EntryKind::HardLink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharacterDevice => b'3',
        EntryKind::Folder => b'5',
        EntryKind::Fifo => b'6',
        EntryKind::Other(flag) => flag,
    };
    let link = &entry.link[..entry.link.len().min(100)];
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut header[148..155], sum);
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&entry.content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// Right-aligned octal digits with a closing NUL.
fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}");
    field[..width].copy_from_slice(&digits.as_bytes()[digits.len() - width..]);
    field[width] = 0;
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
