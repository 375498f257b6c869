//! A package that is noted in few bytes is the same package when the notes are read. Input is a manifest, or, where its first
//! byte is that of the format, notes that somebody may have changed.
#![no_main]

use bulkhead_schema::manifest::MAX_MANIFEST_SIZE;
use bulkhead_schema::{Diagnostic, SourceId};
use bulkhead_workspace::{FileType, Files, Package, compact, load_package};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROOT: &str = "/store/seed-1.0.0";

/// A package with one manifest and the usual sources.
struct OnlyManifest(Arc<str>);

impl Files for OnlyManifest {
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, Diagnostic> {
        Ok(path.ends_with("Cargo.toml").then(|| Arc::clone(&self.0)))
    }

    fn is_file(&self, path: &Path) -> bool {
        ["src/lib.rs", "src/main.rs", "build.rs"].iter().any(|file| path == Path::new(ROOT).join(file))
    }

    fn is_dir(&self, path: &Path) -> bool {
        path == Path::new(ROOT).join("src")
    }

    fn list(&self, dir: &Path) -> Vec<(String, FileType)> {
        let names: &[&str] = if self.is_dir(dir) { &["lib.rs", "main.rs"] } else { &[] };
        names.iter().map(|name| ((*name).to_owned(), FileType::File)).collect()
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(package) = compact::decode(bytes, Path::new(ROOT), SourceId::crates_io()) {
        let paths = package.targets.iter().map(|target| &target.path);
        assert!(paths.clone().all(|path| path.starts_with(ROOT) && !path.iter().any(|part| part == "..")));
        check(&package);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > MAX_MANIFEST_SIZE {
        return;
    }
    let path = PathBuf::from(ROOT).join("Cargo.toml");
    if let Ok(package) = load_package(&OnlyManifest(text.into()), &path, SourceId::crates_io()) {
        check(&package);
    }
});

fn check(package: &Package) {
    let notes = compact::encode(package).expect("its paths lie in its folder");
    let again = compact::decode(&notes, Path::new(ROOT), SourceId::crates_io()).expect("our own notes");
    assert_eq!(again, *package);
    assert_eq!(compact::encode(&again), Some(notes), "writing is stable");
}
