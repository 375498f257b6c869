//! A snapshot is a file that somebody may have changed: it gives an answer, or none, whatever it says of what the answer
//! depends on. The input is the file after its head, whose checksums are made right, so that what they guard is read: the
//! length of the inputs (2 bytes), these, and the answer.
#![no_main]

use bulkhead_ops::snapshot::{Answer, Digest, find};
use bulkhead_schema::index::index_checksum;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

const MAGIC: &[u8; 8] = b"BHSNAP\x003";

/// No locks, and nothing that was looked at.
const NOTHING: &[u8] = &[0; 8];

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let question = Digest::of(b"question");
    let Some((inputs, answer)) = split(bytes) else { return };
    if let Some(given) = ask(folder.path(), question, inputs, answer) {
        check(&given, answer);
        // An input in another state may have been compared with what it held, which is written down.
        let again = find(folder.path(), question);
        assert_eq!(again.as_ref(), Some(&given), "nothing has changed since");
    }
    let given = ask(folder.path(), question, NOTHING, answer).expect("an answer that depends on nothing");
    check(&given, answer);
    assert_eq!(find(folder.path(), Digest::of(b"another question")), None);
});

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

/// Writes the snapshot and asks for it.
fn ask(home: &Path, question: Digest, inputs: &[u8], answer: &[u8]) -> Option<Answer> {
    let folder = home.join("cache/snapshots");
    std::fs::create_dir_all(&folder).expect("a folder is made");
    let checksums = [index_checksum(inputs), index_checksum(answer)].map(u64::to_le_bytes);
    let lengths = (u32::try_from(inputs.len()).expect("few bytes"), answer.len() as u64);
    let head = [MAGIC.as_slice(), question.as_bytes(), checksums.as_flattened(), &lengths.0.to_le_bytes()].concat();
    let file = [head.as_slice(), &lengths.1.to_le_bytes(), inputs, answer].concat();
    std::fs::write(folder.join(question.to_string()), file).expect("a file is written");
    find(home, question)
}

/// The pieces are no more than was there, and pushed again they are the same answer, as far as they were whole.
fn check(given: &Answer, written: &[u8]) {
    let mut again = Answer::default();
    given.pieces().for_each(|(stream, text)| again.push(stream, text));
    let pieces: Vec<_> = given.pieces().collect();
    assert!(pieces.iter().map(|(_, text)| text.len() + 5).sum::<usize>() <= written.len());
    assert_eq!(again.pieces().collect::<Vec<_>>(), pieces);
}
