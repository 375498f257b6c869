//! Whatever files a package holds, a review of them ends, says little, and says the same again.
#![no_main]

use std::collections::BTreeSet;

use bulkhead_review::{File, Layout, Listing, changes, examine, sarif};
use bulkhead_schema::bulkhead_lock::BuildCodeKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first bytes of each part choose the name of its file.
    let names = ["build.rs", "src/lib.rs", "src/a.rs", "tests/t.rs", "src/b.c", "data.bin", "x/y.txt", "Cargo.toml.orig"];
    let mut listing = Listing::new();
    for part in bytes.split(|byte| *byte == 0x1e) {
        let Some((choice, content)) = part.split_first() else { continue };
        listing.insert(names[usize::from(*choice) % names.len()].to_owned(), File::new(content));
    }
    let layout = Layout {
        build_script: Some("build.rs".to_owned()),
        targets: vec!["src/lib.rs".to_owned()],
        ..Layout::default()
    };
    let kinds = BTreeSet::from([BuildCodeKind::BuildScript]);
    let found = examine(&layout, &kinds, &listing);
    assert_eq!(found, examine(&layout, &kinds, &listing));
    assert!(found.findings.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
    assert!(found.findings.iter().all(|it| it.detail.len() < 1000 && !it.detail.contains('\n')));
    assert_eq!(found.new_since(&found).count(), 0);
    let package = sarif::Reviewed { package: "a-1.0.0", findings: &found.findings };
    assert!(sarif::log("0", &[package])["runs"][0]["results"].as_array().is_some());
    let mut other = listing.clone();
    other.remove("src/lib.rs");
    let _ = changes(&other, &listing);
    let _ = bulkhead_review::build_code::digest(&layout, &kinds, &listing);
});
