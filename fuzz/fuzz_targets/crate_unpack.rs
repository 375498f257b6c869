//! An archive is refused, or every file in it has a plain path below the package's folder. Input that is not gzip is
//! taken for a tar archive and compressed first, so that the walk below the inflation is reached.
#![no_main]

use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_store::archive::{Limits, check};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    let name = PackageName::registry("seed").expect("a good name");
    let id = PackageId::new(name, semver::Version::new(1, 0, 0), SourceId::crates_io());
    let limits = Limits { unpacked: 4 << 20, free: 1 << 20, ..Limits::default() };
    let compressed;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        bytes
    } else {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(bytes).expect("writing to memory");
        compressed = encoder.finish().expect("writing to memory");
        &compressed
    };
    let Ok(archive) = check(id, bytes, &limits) else { return };
    let mut seen = HashSet::new();
    for file in archive.files() {
        assert!(file.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{:?}", file.path);
        assert!(!file.path.contains(['\0', '\\', '\n']), "{:?}", file.path);
        assert!(seen.insert(file.path.to_lowercase()), "twice: {:?}", file.path);
        let _ = archive.content(file);
    }
});
