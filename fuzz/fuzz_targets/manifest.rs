//! A manifest parses or is refused, whoever wrote it: no panic, no unbounded work.
#![no_main]

use bulkhead_schema::manifest::{Origin, parse};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let text: Arc<str> = text.into();
    for origin in [Origin::Local, Origin::Downloaded] {
        let _ = parse(Path::new("Cargo.toml"), &text, origin);
    }
});
