//! A project's notebook is a file that somebody may have changed: it tells of packages, or of none, and what is written anew
//! from it reads back. The input is the file after its head, whose checksums are made right, so that what they guard is read:
//! the length of table and briefs (2 bytes), these, and the texts.
#![no_main]

use bulkhead_schema::index::index_checksum;
use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_store::Store;
use bulkhead_trust::Digest;
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"BHBOOK\x001";
const WRITER: u64 = 7;
const PROJECT: &str = "/project";

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let file = notebook(folder.path());
    std::fs::write(&file, whole(bytes).as_deref().unwrap_or(bytes)).expect("a file is written");
    let open = |writer| store.notebook(Path::new(PROJECT), writer);
    assert!(open(WRITER + 1).is_empty(), "another program's notes are not read");
    let id = PackageId::new(
        PackageName::registry("seed").expect("a good name"),
        semver::Version::new(1, 0, 0),
        SourceId::crates_io(),
    );
    let rewritten = || {
        store.bind(&open(WRITER), &[]);
        std::fs::read(&file).expect("a notebook is written")
    };
    let first = open(WRITER);
    for archive in bytes.windows(32).step_by(4).take(64) {
        let archive = Digest::from_bytes(archive.try_into().expect("as many as asked for"));
        assert!(store.notes(&first, id, archive).is_none(), "without a tree there are no notes on it");
    }
    let once = rewritten();
    assert_eq!(once.get(..8), Some(MAGIC.as_slice()));
    assert!(rewritten() == once, "writing is stable");
});

/// Where the notebook is, whose folder is made.
fn notebook(home: &Path) -> PathBuf {
    let folder = home.join("cache/notebooks");
    std::fs::create_dir_all(&folder).expect("a folder is made");
    folder.join(Digest::of(PROJECT.as_bytes()).to_string())
}

/// The file with a head that is right; `None` if there is too little of it.
fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (first, texts) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let numbers = [WRITER, first.len() as u64, texts.len() as u64, index_checksum(first), index_checksum(texts)];
    Some([MAGIC.as_slice(), numbers.map(u64::to_le_bytes).as_flattened(), first, texts].concat())
}
