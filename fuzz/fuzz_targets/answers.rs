//! What other programs and servers answer in JSON: credential providers, the search of a registry, lists of vendored files.
#![no_main]

use bulkhead_schema::api::parse_found;
use bulkhead_schema::credential::{Action, Answer, parse_answer, speaks_our_version};
use bulkhead_schema::file_list::FileList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_found(bytes);
    if let Ok(list) = FileList::parse(bytes) {
        let again = FileList::parse(list.to_string().as_bytes()).expect("what was printed parses");
        assert_eq!(again.to_string(), list.to_string());
    }
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let _ = speaks_our_version(line);
    if let Ok(Answer::Token { token, .. }) = parse_answer(line, Action::Logout) {
        assert!(token.expose().bytes().all(|byte| (0x20..0x7f).contains(&byte)), "no line of a header can end in it");
    }
});
