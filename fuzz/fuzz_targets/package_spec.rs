//! Package specs of the command line are understood or refused, and printed ones mean the same.
#![no_main]

use bulkhead_schema::package_spec::PackageSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = PackageSpec::parse(text) {
        let printed = spec.to_string();
        let again = PackageSpec::parse(&printed).expect("what was printed parses");
        assert_eq!(again.to_string(), printed);
    }
});
