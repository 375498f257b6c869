//! Addresses of repositories: what is accepted stays what it was when it is printed and read again, and is safe to hand on.
#![no_main]

use bulkhead_schema::{SourceId, git};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(url) = git::parse_url(text) {
        let again = git::parse_url(url.as_str()).expect("what was accepted is accepted again");
        assert_eq!(again, url, "reading is stable");
        let host = url.host_str().unwrap_or_default();
        assert!(!host.starts_with('-') && !url.username().starts_with('-'), "{url} could be taken for an option");
        assert!(!url.as_str().contains(|c: char| c.is_control()), "{url:?} has control characters");
        assert_eq!(git::canonical_url(&url), git::canonical_url(&again));
    }
    if let Ok(source) = SourceId::parse(text) {
        let again = SourceId::parse(&source.encoded()).expect("what was written parses");
        assert_eq!(again.encoded(), source.encoded(), "writing is stable");
        assert_eq!(again, source, "a source is the same when it is read again");
    }
    if let Ok(modules) = git::parse_submodules(text) {
        let parent = "https://example.org/owner/name".parse().expect("a URL");
        for module in modules {
            let _ = git::submodule_url(&parent, &module.url);
        }
    }
});
