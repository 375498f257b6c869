//! Whatever a build script prints is understood or refused.
#![no_main]

use bulkhead_schema::build_script::{Speaker, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stdout: &[u8]| {
    let old = Speaker { package: "seed v1.0.0", rust_version: Some((1, 56)), ..Speaker::default() };
    let new =
        Speaker { package: "seed v1.0.0", bins: &["seed"], has_cdylib: true, has_tests: true, ..Speaker::default() };
    for speaker in [old, new] {
        if let Ok((output, _)) = parse(stdout, &speaker) {
            assert!(output.directives().count() <= stdout.len());
        }
    }
});
