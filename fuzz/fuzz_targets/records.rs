//! What Bulkhead writes down for itself and believes later: the record beside each tree of the store, and lines of the audit
//! log. Somebody may have changed them; what is read is no larger than what was there, and is written as it was read.
#![no_main]

use bulkhead_schema::audit::{Entry, MAX_LINE, Record as Event};
use bulkhead_store::record::Record;
use bulkhead_trust::Digest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The digest at the end is made right, so that what it guards is read.
    let whole = [bytes, Digest::of(bytes).as_bytes()].concat();
    for bytes in [bytes, &whole] {
        let Some(record) = Record::from_bytes(bytes) else { continue };
        assert!(record.entries.len() <= bytes.len() / 80, "an entry takes its room");
        let written = record.to_bytes();
        assert_eq!(written.len(), bytes.len());
        assert_eq!(Record::from_bytes(&written).as_ref(), Some(&record), "what was written reads back");
    }
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let Ok(entry) = Entry::parse(line) else { return };
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "no viewer can be made to show it otherwise: {line}");
    assert!(line.starts_with(entry.body().trim_end_matches('}')), "what is hashed is what stands there");
    let event = Event { kind: entry.kind, subject: entry.subject.clone(), details: entry.details.clone() };
    let again = Entry::new(event, entry.sequence, entry.time, entry.previous);
    assert!(again.body().len() <= MAX_LINE, "what is written can be read");
});
