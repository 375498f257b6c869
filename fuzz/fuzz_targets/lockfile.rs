//! A lockfile that parses prints to one that parses to the same.
#![no_main]

use bulkhead_schema::lockfile::parse;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let Ok(first) = parse(Path::new("Cargo.lock"), text) else { return };
    let printed = first.to_string();
    let again = parse(Path::new("Cargo.lock"), &printed).expect("what was printed parses");
    assert_eq!(again.to_string(), printed, "printing is stable");
});
