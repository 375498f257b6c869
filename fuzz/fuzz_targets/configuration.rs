//! The three files that a project can bring besides its manifest: configuration, policy, pins. Each is understood or refused,
//! and what Bulkhead prints it understands.
#![no_main]

use bulkhead_schema::bulkhead_lock::BulkheadLock;
use bulkhead_schema::policy::{TrustRecord, parse_policy, toml_string};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let (path, shared) = (Path::new("file.toml"), Arc::from(text));
    let _ = bulkhead_schema::config::parse(path, &shared);
    let _ = parse_policy(path, &shared);
    if let Ok(lock) = BulkheadLock::parse(path, &shared) {
        let printed = lock.to_string();
        let again = BulkheadLock::parse(path, &Arc::from(printed.as_str())).expect("what was printed parses");
        assert_eq!(again.to_string(), printed, "printing is stable");
    }
    if let Ok(record) = TrustRecord::parse(path, &shared) {
        let again = TrustRecord::parse(path, &Arc::from(record.to_string())).expect("what was printed parses");
        assert_eq!(again, record);
    }
    let line: Arc<str> = Arc::from(format!("key = {}", toml_string(text)));
    if line.len() < 1 << 20 {
        bulkhead_schema::config::parse(path, &line).expect("any text can be quoted");
    }
});
