//! Requirements, package specifications and spans of time: reading never panics, and printing is stable.
#![no_main]

use bulkhead_schema::{PackageId, PackageName, PackageSpec, SourceId, publish_age};
use libfuzzer_sys::fuzz_target;
use semver::{Version, VersionReq};

fuzz_target!(|text: &str| {
    let (requirement, version) = text.split_once('\n').unwrap_or((text, "1.2.3-rc.1+b"));
    let version = Version::parse(version).unwrap_or_else(|_| Version::new(0, 0, u64::MAX));
    if let Ok(parsed) = VersionReq::parse(requirement) {
        let again = VersionReq::parse(&parsed.to_string()).expect("what was printed parses");
        assert_eq!(again.to_string(), parsed.to_string(), "printing is stable");
        assert_eq!(again.matches(&version), parsed.matches(&version), "and means the same");
    }
    if let Ok(spec) = PackageSpec::parse(requirement) {
        let again = PackageSpec::parse(&spec.to_string()).expect("what was printed parses");
        assert_eq!(again, spec, "printing is stable");
        let name = spec.name().unwrap_or_else(|| PackageName::local("a").expect("a name"));
        spec.matches(PackageId::new(name, version, SourceId::crates_io()));
    }
    if let Some(seconds) = publish_age::parse(requirement) {
        assert!(!publish_age::describe(seconds).is_empty());
    }
});
