//! The index cache is a file that somebody may have changed: it tells of a package, or nothing, and holds what is put into it
//! whatever it was before. The input is the file after its checksums, which are made right, so that what they guard is read:
//! a byte that chooses a slot's flaw, the offset of the directory, its entries' number, and the rest of the file.
#![no_main]

use bulkhead_schema::index::{IndexFile, Validators, index_checksum};
use bulkhead_schema::{PackageName, SourceId};
use bulkhead_source::index_cache::IndexCache;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"BHCACHE1";
const HEADER: usize = 8 + 2 * 40;
const ENTRY: usize = 24;
const ANSWER: &[u8] = br#"{"name":"seed","vers":"1.0.0","deps":[],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"yanked":false}"#;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    std::fs::write(&path, cache_file(bytes).as_deref().unwrap_or(bytes)).expect("a file is written");
    let (name, source) = (PackageName::registry("seed").expect("a good name"), SourceId::crates_io());
    let read = |file: &IndexFile| {
        assert_eq!(file.name(), name);
        (0..file.versions().len()).for_each(|position| drop(file.summary(position)));
    };
    let cache = IndexCache::at(path.clone());
    cache.get(name, source).iter().for_each(read);
    let new = IndexFile::parse(name, source, ANSWER.to_vec(), Validators::default()).expect("a good answer");
    cache.put(&[Arc::new(new)]).expect("the cache takes what is put into it");
    for cache in [cache, IndexCache::at(path)] {
        let found = cache.get(name, source).expect("what was put is there");
        assert_eq!(found.versions().len(), 1);
        assert!(found.summary(0).is_ok());
    }
});

/// The file with checksums that are right; `None` if there is too little of it.
fn cache_file(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&[flaw], rest) = bytes.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (&[entries], rest) = rest.split_first_chunk()?;
    let offset = HEADER + usize::from(u16::from_le_bytes(*offset));
    let length = usize::from(entries) * ENTRY;
    let mut file = vec![0; HEADER];
    file.extend_from_slice(rest);
    // Keys in any order are refused at once, so the first entry is that of the name that is asked for.
    let key = index_checksum(b"seed").to_le_bytes();
    file.get_mut(offset..offset + 8).filter(|_| entries > 0)?.copy_from_slice(&key);
    let directory = index_checksum(file.get(offset..offset + length)?);
    let slot = |sequence: u64| {
        let words = [sequence, offset as u64, length as u64, directory ^ u64::from(flaw == 1)].map(u64::to_le_bytes);
        let content = words.as_flattened();
        [content, &(index_checksum(content) ^ u64::from(flaw == 2)).to_le_bytes()].concat()
    };
    let header = [MAGIC.as_slice(), &slot(1), &slot(u64::from(flaw))].concat();
    file.get_mut(..HEADER)?.copy_from_slice(&header);
    Some(file)
}
