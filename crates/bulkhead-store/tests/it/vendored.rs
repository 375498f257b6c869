use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_schema::file_list::FileList;
use bulkhead_store::{Store, Vendored, VendoredPackage};
use bulkhead_trust::{Digest, Expected, verify_archive};

use crate::archives::id;
use crate::tar::Tar;

/// A vendored package and a home beside it.
struct Stage {
    folder: tempfile::TempDir,
    root: PathBuf,
    store: Store,
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    let root = folder.path().join("vendor/aa");
    fs::create_dir_all(root.join("src/inner")).unwrap();
    for (path, content) in [("Cargo.toml", "x"), ("src/lib.rs", "pub fn a() {}\n"), ("src/inner/b.rs", "")] {
        fs::write(root.join(path), content).unwrap();
    }
    let stage = Stage { folder, root, store };
    stage.list(&["Cargo.toml", "src/lib.rs", "src/inner/b.rs"], None);
    stage
}

impl Stage {
    /// Writes the list of what is there.
    fn list(&self, paths: &[&str], package: Option<String>) {
        let entry = |path: &&str| {
            let content = fs::read(self.root.join(path)).unwrap_or_default();
            ((*path).to_owned(), Digest::of(&content).to_string())
        };
        let list = FileList { files: paths.iter().map(entry).collect(), package };
        fs::write(self.root.join(".cargo-checksum.json"), list.to_string()).unwrap();
    }

    fn check(&self, deep: bool) -> Result<(), &'static str> {
        let bytes = fs::read(self.root.join(".cargo-checksum.json")).unwrap();
        let list = FileList::parse(&bytes).unwrap();
        let vendored = Vendored::open(&self.folder.path().join("home"), &self.store).unwrap();
        let package = VendoredPackage { id: id(), root: &self.root, list: (&bytes, &list) };
        vendored.check(package, deep).map_err(|error| error.code)
    }

    fn records(&self) -> usize {
        fs::read_dir(self.folder.path().join("home/vendored")).unwrap().count()
    }

    /// Lets the clock of the file system move on, so that what was read is recorded.
    fn settle(&self) {
        std::thread::sleep(std::time::Duration::from_millis(2100));
    }
}

#[test]
fn the_folder_holds_what_the_list_says_and_no_more() {
    type Change = fn(&Path);
    let cases: [(&str, Change); 7] = [
        ("vendored-changed", |root| fs::write(root.join("src/lib.rs"), "pub fn b() {}\n").unwrap()),
        ("vendored-missing", |root| fs::remove_file(root.join("src/inner/b.rs")).unwrap()),
        ("vendored-unlisted", |root| fs::write(root.join("build.rs"), "fn main() {}").unwrap()),
        ("vendored-unlisted", |root| fs::write(root.join("src/.cargo-checksum.json"), "{}").unwrap()),
        ("vendored-link", |root| symlink("lib.rs", root.join("src/link.rs")).unwrap()),
        ("vendored-link", |root| {
            fs::remove_dir_all(root.join("src/inner")).unwrap();
            symlink("/etc", root.join("src/inner")).unwrap();
        }),
        ("vendored-link", |root| {
            assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
        }),
    ];
    for (code, change) in cases {
        let stage = stage();
        assert_eq!(stage.check(false), Ok(()));
        change(&stage.root);
        assert_eq!(stage.check(false), Err(code));
    }
    // The benign twin: what tools for version control leave there.
    let stage = stage();
    fs::write(stage.root.join(".gitattributes"), "* text").unwrap();
    fs::write(stage.root.join("src/.gitignore"), "x").unwrap();
    assert_eq!(stage.check(false), Ok(()));
}

/// Attack 83.
#[test]
fn an_empty_list_vouches_for_nothing() {
    let stage = stage();
    stage.list(&[], None);
    assert_eq!(stage.check(false), Err("vendored-unlisted"));
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let stage = stage();
    let real = stage.folder.path().join("elsewhere");
    fs::rename(&stage.root, &real).unwrap();
    symlink(&real, &stage.root).unwrap();
    assert_eq!(stage.check(false), Err("vendored-link"));
}

#[test]
fn nothing_is_read_twice_and_every_change_is_seen() {
    let stage = stage();
    assert_eq!((stage.check(false), stage.records()), (Ok(()), 0), "what was written just now may change unseen");
    stage.settle();
    assert_eq!((stage.check(false), stage.records()), (Ok(()), 1));
    let lib = stage.root.join("src/lib.rs");
    let modified = fs::metadata(&lib).unwrap().modified().unwrap();
    // Same size, same modification time.
    fs::write(&lib, "pub fn z() {}\n").unwrap();
    fs::File::options().append(true).open(&lib).unwrap().set_modified(modified).unwrap();
    assert_eq!(stage.check(false), Err("vendored-changed"));
    fs::write(&lib, "pub fn a() {}\n").unwrap();
    assert_eq!((stage.check(false), stage.check(true)), (Ok(()), Ok(())));
}

#[test]
fn the_archive_knows_better_than_the_list() {
    let stage = stage();
    let bytes = Tar::new().file("aa-1.0.0/src/lib.rs", b"pub fn a() {}\n").file("aa-1.0.0/src/inner/b.rs", b"").gz();
    let digest = Digest::of(&bytes).to_string();
    let files = ["Cargo.toml", "src/lib.rs", "src/inner/b.rs"];
    let verified = verify_archive(id(), bytes, &Expected { index: Some(&digest), lock: None }).unwrap();
    let manifest = {
        let tree = stage.store.insert(&verified).unwrap();
        fs::read(tree.root.join("Cargo.toml")).unwrap()
    };
    fs::write(stage.root.join("Cargo.toml"), manifest).unwrap();
    stage.list(&files, Some(digest.clone()));
    assert_eq!(stage.check(false), Ok(()));
    // Consistent, and yet not what was published.
    fs::write(stage.root.join("src/lib.rs"), "pub fn evil() {}\n").unwrap();
    stage.list(&files, Some(digest.clone()));
    assert_eq!(stage.check(false), Err("vendored-forged"));
    // Without the archive there is nothing to compare with but the list.
    stage.list(&files, None);
    assert_eq!(stage.check(false), Ok(()));
    let store = stage.folder.path().join("home/store");
    assert!(Command::new("chmod").args(["-R", "u+w"]).arg(&store).status().unwrap().success());
    // An archive that nobody unpacked yet knows as much.
    fs::remove_dir_all(store.join(&digest)).unwrap();
    stage.list(&files, Some(digest));
    assert_eq!(stage.check(false), Ok(()));
    stage.store.keep(&verified).unwrap();
    assert_eq!(stage.check(false), Err("vendored-forged"));
    assert!(Command::new("chmod").args(["-R", "u+w"]).arg(store).status().unwrap().success());
}
