//! An index answer is read or refused, and its cached form reads back the same.
#![no_main]

use bulkhead_schema::index::{IndexFile, Validators};
use bulkhead_schema::{PackageName, SourceId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let name = PackageName::registry("seed").expect("a good name");
    let source = SourceId::crates_io();
    // The cache is a file that somebody may have changed.
    if let Some(file) = IndexFile::from_cache(name, source, body.to_vec()) {
        (0..file.versions().len()).for_each(|position| drop(file.summary(position)));
    }
    let Ok(file) = IndexFile::parse(name, source, body.to_vec(), Validators::default()) else { return };
    let cached = IndexFile::from_cache(name, source, file.to_cache().expect("a whole block").to_vec()).expect("our own cache form");
    assert_eq!(file.versions().len(), cached.versions().len());
    for position in 0..file.versions().len() {
        assert_eq!(file.summary(position).is_ok(), cached.summary(position).is_ok());
    }
});
