use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_store::{PackageTree, Store};
use bulkhead_trust::{CrateArchive, Digest, Expected, Verified, verify_archive};

use crate::archives::id;
use crate::tar::Tar;

pub(crate) fn package() -> Vec<u8> {
    Tar::new()
        .file("aa-1.0.0/src/lib.rs", b"pub fn a() {}\n")
        .edited(b"run", |block| block[100..108].copy_from_slice(b"0006777\0"))
        .entry(b'5', b"aa-1.0.0/empty/", b"")
        .gz()
}

fn verified(bytes: &[u8]) -> Verified<CrateArchive> {
    let digest = Digest::of(bytes).to_string();
    verify_archive(id(), bytes.to_vec(), &Expected { index: Some(&digest), lock: None }).unwrap()
}

pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) tree: PackageTree,
}

pub(crate) fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let tree = store.insert(&verified(&package())).unwrap();
    Home { folder, store, tree }
}

impl Home {
    fn get(&self) -> Result<Option<PackageTree>, bulkhead_schema::Diagnostic> {
        self.store.get(id(), Digest::of(&package()))
    }

    pub(crate) fn package_folder(&self) -> &Path {
        self.tree.root.parent().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        make_writable(self.folder.path());
    }
}

/// So that the temporary folder can be removed by an ordinary user.
fn make_writable(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            make_writable(&entry.path());
        }
    }
}

/// Writes `content` over a read-only file as its owner can, with the old size and times if they fit.
pub(crate) fn tamper(path: &Path, content: &[u8]) {
    let before = fs::metadata(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    fs::set_permissions(path, before.permissions()).unwrap();
}

fn in_writable_folder(folder: &Path, act: impl FnOnce()) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    act();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
}

#[test]
fn equal_files_whose_names_differ_in_case_are_kept_whole() {
    let home = home();
    let store = &home.store;
    let twins = Tar::new().file("aa-1.0.0/README.md", b"read").file("aa-1.0.0/readme.md", b"read").gz();
    let tree = store.insert(&verified(&twins)).unwrap();
    for name in ["README.md", "readme.md"] {
        assert_eq!(fs::read(tree.root.join(name)).unwrap(), b"read");
    }
    assert_eq!(store.get(id(), Digest::of(&twins)).unwrap(), Some(tree));
    assert!(store.verify_deep().unwrap().is_empty());
    let others = Tar::new().file("aa-1.0.0/README.md", b"read").file("aa-1.0.0/readme.md", b"run!").gz();
    let before = store.listing();
    assert_eq!(store.insert(&verified(&others)).unwrap_err().code, "archive-refused");
    assert_eq!(store.listing(), before);
}

#[test]
fn a_package_goes_in_and_comes_out_read_only() {
    let home = home();
    let tree = home.get().unwrap().unwrap();
    assert_eq!(tree, home.tree);
    assert_eq!(tree.root, home.folder.path().join("store").join(Digest::of(&package()).to_string()).join("aa-1.0.0"));
    assert_eq!(fs::read(tree.root.join("src/lib.rs")).unwrap(), b"pub fn a() {}\n");
    for (path, mode) in [("", 0o555), ("src", 0o555), ("empty", 0o555), ("src/lib.rs", 0o444), ("x", 0o555)] {
        let stat = fs::metadata(tree.root.join(path)).unwrap();
        assert_eq!(stat.mode() & 0o7777, mode, "{path}");
        assert!(stat.is_dir() || stat.mtime() == 1_153_704_088, "{path}");
    }
    assert_eq!(fs::metadata(home.folder.path().join("store")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(home.store.verify_deep().unwrap(), []);
    assert_eq!(home.store.insert(&verified(&package())).unwrap(), tree);
}

/// Attack 62.
#[test]
fn modes_do_not_follow_the_umask() {
    // The umask belongs to the process, so the test asks a copy of itself.
    if let Some(folder) = std::env::var_os("STORE_TEST_UMASK_HOME") {
        let tree = Store::open(Path::new(&folder)).unwrap().insert(&verified(&package())).unwrap();
        let mode = |path: &str| fs::metadata(tree.root.join(path)).unwrap().mode() & 0o7777;
        assert_eq!([mode(""), mode("src/lib.rs"), mode("x")], [0o555, 0o444, 0o555]);
        return;
    }
    for umask in ["000", "077"] {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" --exact stores::modes_do_not_follow_the_umask")]);
        let status =
            shell.arg(std::env::current_exe().unwrap()).env("STORE_TEST_UMASK_HOME", folder.path()).output().unwrap();
        make_writable(folder.path());
        assert!(status.status.success(), "{umask}: {}", String::from_utf8_lossy(&status.stdout));
    }
}

/// What is done to a tree, and what is said about it then.
type Damage = (&'static str, &'static str, fn(&Home));

const DAMAGES: [Damage; 9] = [
    ("edited, same size and time", "changed", |home| tamper(&home.tree.root.join("src/lib.rs"), b"pub fn b() {}\n")),
    ("edited", "size", |home| tamper(&home.tree.root.join("src/lib.rs"), b"evil")),
    ("file added", "", |home| {
        in_writable_folder(&home.tree.root.join("src"), || fs::write(home.tree.root.join("src/main.rs"), "").unwrap());
    }),
    ("file removed", "", |home| {
        in_writable_folder(&home.tree.root.join("src"), || fs::remove_file(home.tree.root.join("src/lib.rs")).unwrap());
    }),
    ("file replaced by a link", "", |home| {
        in_writable_folder(&home.tree.root, || {
            fs::remove_file(home.tree.root.join("x")).unwrap();
            symlink("/etc/passwd", home.tree.root.join("x")).unwrap();
        });
    }),
    ("folder replaced by a link", "", |home| {
        in_writable_folder(&home.tree.root, || {
            fs::set_permissions(home.tree.root.join("src"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(home.tree.root.join("src"), home.tree.root.join("src2")).unwrap();
            symlink("src2", home.tree.root.join("src")).unwrap();
        });
    }),
    ("mode changed", "mode", |home| {
        fs::set_permissions(home.tree.root.join("x"), fs::Permissions::from_mode(0o777)).unwrap();
    }),
    ("record edited", "damaged", |home| {
        let record = home.package_folder().join("tree");
        let mut bytes = fs::read(&record).unwrap();
        bytes[100] ^= 1;
        tamper(&record, &bytes);
    }),
    ("record truncated", "damaged", |home| tamper(&home.package_folder().join("tree"), b"BHTREE")),
];

/// Attack 123.
#[test]
fn whatever_is_changed_is_found_and_healed() {
    for (what, expected, damage) in DAMAGES {
        let home = home();
        damage(&home);
        assert!(!home.store.verify_deep().unwrap().is_empty(), "{what}: verify_deep sees nothing");
        let healed = home.get().unwrap_or_else(|error| panic!("{what}: {error}")).unwrap();
        let finding = healed.healed.clone().unwrap_or_else(|| panic!("{what}: not noticed"));
        assert!(finding.problem.contains(expected), "{what}: {finding:?}");
        assert_eq!(healed.tree, home.tree.tree, "{what}");
        assert_eq!(home.get().unwrap().unwrap().healed, None, "{what}");
        assert_eq!(home.store.verify_deep().unwrap(), [], "{what}");
        assert_eq!(fs::read(home.tree.root.join("src/lib.rs")).unwrap(), b"pub fn a() {}\n", "{what}");
        assert!(!home.tree.root.join("src/main.rs").exists(), "{what}");
    }
}

#[test]
fn a_damaged_tree_with_a_changed_archive_is_an_error_until_it_is_inserted_again() {
    let home = home();
    let other = Tar::new().file("aa-1.0.0/evil.rs", b"evil").gz();
    tamper(&home.package_folder().join("archive.crate"), &other);
    // The tree is still whole: it may be used; the deep check names the archive.
    assert_eq!(home.get().unwrap().unwrap().healed, None);
    assert!(home.store.verify_deep().unwrap()[0].path.ends_with("archive.crate"));
    tamper(&home.tree.root.join("x"), b"RUN");
    let error = home.get().unwrap_err();
    assert_eq!(error.code, "store-damaged");
    assert!(error.message.contains("aa-1.0.0/x"), "{error}");
    assert!(home.store.insert(&verified(&package())).unwrap().healed.is_some());
    assert_eq!(home.store.verify_deep().unwrap(), []);
}

/// Attack 61.
#[test]
fn a_planted_marker_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let bytes = Tar::new().file("aa-1.0.0/.cargo-ok", b"{\"v\":1}").file("aa-1.0.0/tree", b"BHTREE").gz();
    let tree = store.insert(&verified(&bytes)).unwrap();
    tamper(&tree.root.join(".cargo-ok"), b"{\"v\":2}");
    assert!(store.get(id(), Digest::of(&bytes)).unwrap().unwrap().healed.is_some());
    make_writable(folder.path());
}

#[test]
fn one_archive_is_not_two_packages() {
    let home = home();
    let other = bulkhead_schema::PackageId::new(id().name(), semver::Version::new(2, 0, 0), id().source());
    assert_eq!(home.store.get(other, Digest::of(&package())).unwrap_err().code, "store-other-package");
    assert_eq!(home.store.get(id(), Digest::of(b"unknown")).unwrap(), None);
}

/// Attack 56.
#[test]
fn a_refused_archive_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    };
    let large = vec![b'x'; 300_000];
    let good = || Tar::new().file("aa-1.0.0/deep/er/x", &large).gz();
    let mut damaged = good();
    let last_of_checksum = damaged.len() - 5;
    damaged[last_of_checksum] ^= 1;
    let bad = Tar::new().file("aa-1.0.0/deep/x", &large).entry(b'2', b"aa-1.0.0/up", b"").gz();
    for archive in [bad, damaged] {
        assert_eq!(store.insert(&verified(&archive)).unwrap_err().code, "archive-refused");
        let store = folder.path().join("store");
        assert_eq!(names(&store), ["gate.lock", "tmp"]);
        let session = store.join("tmp").join(&names(&store.join("tmp"))[0]);
        assert_eq!(names(&session), ["lock"]);
    }
    assert!(store.insert(&verified(&good())).is_ok());
    drop(store);
    assert!(names(&folder.path().join("store/tmp")).is_empty());
    make_writable(folder.path());
}

#[test]
fn an_archive_may_come_back_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let large: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    let bytes = Tar::new()
        .file("aa-1.0.0/a/b/one", b"1")
        .file("aa-1.0.0/c", b"")
        .file("aa-1.0.0/a/b/two", &large)
        .entry(b'5', b"aa-1.0.0/a/b/", b"")
        .file("aa-1.0.0/a/three", b"3")
        .gz();
    let tree = store.insert(&verified(&bytes)).unwrap();
    assert_eq!(fs::read(tree.root.join("a/b/two")).unwrap(), large);
    assert_eq!(fs::metadata(tree.root.join("a/b")).unwrap().mode() & 0o7777, 0o555);
    assert_eq!(store.get(id(), Digest::of(&bytes)).unwrap().unwrap(), tree);
    assert_eq!(store.verify_deep().unwrap(), []);
    drop(store);
    make_writable(folder.path());
}

#[test]
fn leftovers_of_dead_processes_are_cleared_and_those_of_living_ones_kept() {
    let home = home();
    let temporary = home.folder.path().join("store/tmp");
    let living: Vec<PathBuf> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(living.len(), 1);
    let dead = temporary.join("4194999-0/7/aa-1.0.0");
    fs::create_dir_all(&dead).unwrap();
    fs::write(temporary.join("4194999-0/lock"), "").unwrap();
    fs::write(dead.join("half"), "half").unwrap();
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o555)).unwrap();
    let second = Store::open(home.folder.path()).unwrap();
    second.insert(&verified(&Tar::new().file("aa-1.0.0/z", b"").gz())).unwrap();
    assert!(!temporary.join("4194999-0").exists());
    assert!(living[0].exists());
    drop(second);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 1);
}

#[test]
fn many_insert_the_same_package_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [Store::open(folder.path()).unwrap(), Store::open(folder.path()).unwrap()];
    std::thread::scope(|scope| {
        let inserted: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let stores = &stores;
                    move || stores[n % 2].insert(&verified(&package()))
                })
            })
            .collect();
        for tree in inserted {
            assert_eq!(tree.join().unwrap().unwrap().healed, None);
        }
    });
    assert_eq!(stores[0].verify_deep().unwrap(), []);
    // And all heal it at once.
    let tree = stores[0].get(id(), Digest::of(&package())).unwrap().unwrap();
    tamper(&tree.root.join("x"), b"RUN");
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn({
                let stores = &stores;
                move || assert!(stores[n % 2].get(id(), Digest::of(&package())).unwrap().is_some())
            });
        }
    });
    assert_eq!(stores[0].verify_deep().unwrap(), []);
    drop(stores);
    make_writable(folder.path());
}

/// A store that keeps the package's archive alone, and where that is.
fn kept(bytes: &[u8]) -> (tempfile::TempDir, Store, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.keep(&verified(bytes)).unwrap();
    let archive = folder.path().join("store").join(Digest::of(bytes).to_string()).join("archive.crate");
    assert_eq!(fs::read_dir(archive.parent().unwrap()).unwrap().count(), 1);
    (folder, store, archive)
}

#[test]
fn a_kept_archive_is_unpacked_when_it_is_wanted() {
    let (folder, store, _) = kept(&package());
    let digest = Digest::of(&package());
    assert!(store.contains(digest) && store.keeps(id(), digest).unwrap());
    assert_eq!(store.verify_deep().unwrap(), []);
    let tree = store.get(id(), digest).unwrap().unwrap();
    assert_eq!(tree.healed, None);
    assert_eq!(fs::read(tree.root.join("src/lib.rs")).unwrap(), b"pub fn a() {}\n");
    // From now on it is like any other, whoever keeps its archive again.
    store.keep(&verified(&package())).unwrap();
    assert!(!store.keeps(id(), digest).unwrap());
    assert_eq!(store.get(id(), digest).unwrap(), Some(tree.clone()));
    tamper(&tree.root.join("x"), b"RUN");
    store.keep(&verified(&package())).unwrap();
    assert_eq!(store.get(id(), digest).unwrap().unwrap().healed, None, "what was damaged is gone");
    assert_eq!(store.verify_deep().unwrap(), []);
    make_writable(folder.path());
}

/// Attack 124.
#[test]
fn a_kept_archive_that_was_changed_is_never_unpacked() {
    let evil = Tar::new().file("aa-1.0.0/src/lib.rs", b"pub fn evil() {}\n").gz();
    let (folder, store, archive) = kept(&package());
    let digest = Digest::of(&package());
    tamper(&archive, &evil);
    assert!(!store.keeps(id(), digest).unwrap());
    assert_eq!(store.verify_deep().unwrap()[0].path, archive);
    assert_eq!(store.get(id(), digest).unwrap_err().code, "store-damaged");
    store.keep(&verified(&package())).unwrap();
    assert!(store.keeps(id(), digest).unwrap());
    // The same if it is gone, or if something else stands beside it.
    fs::remove_file(&archive).unwrap();
    assert_eq!(store.get(id(), digest).unwrap_err().code, "store-damaged");
    store.keep(&verified(&package())).unwrap();
    fs::create_dir_all(archive.with_file_name("aa-1.0.0/src")).unwrap();
    fs::write(archive.with_file_name("aa-1.0.0/src/lib.rs"), "pub fn evil() {}\n").unwrap();
    assert!(!store.keeps(id(), digest).unwrap());
    let tree = store.get(id(), digest).unwrap().unwrap();
    assert!(tree.healed.is_some());
    assert_eq!(fs::read(tree.root.join("src/lib.rs")).unwrap(), b"pub fn a() {}\n");
    make_writable(folder.path());
}

#[test]
fn a_kept_archive_is_checked_before_it_is_unpacked() {
    let bad = Tar::new().entry(b'2', b"aa-1.0.0/up", b"").gz();
    let (folder, store, archive) = kept(&bad);
    assert_eq!(store.get(id(), Digest::of(&bad)).unwrap_err().code, "archive-refused");
    assert_eq!(fs::read_dir(archive.parent().unwrap()).unwrap().count(), 1);
    let other = bulkhead_schema::PackageId::new(id().name(), semver::Version::new(2, 0, 0), id().source());
    let (_folder, store, _) = kept(&package());
    assert_eq!(store.get(other, Digest::of(&package())).unwrap_err().code, "archive-refused");
    make_writable(folder.path());
}

#[test]
fn many_want_a_kept_archive_at_once() {
    for _ in 0..5 {
        let (folder, first, _) = kept(&package());
        let stores = [first, Store::open(folder.path()).unwrap()];
        std::thread::scope(|scope| {
            let wanted: Vec<_> = (0..8)
                .map(|n| {
                    let store = &stores[n % 2];
                    scope.spawn(move || match n {
                        0..6 => store.get(id(), Digest::of(&package())).map(Option::unwrap),
                        6 => store.insert(&verified(&package())),
                        _ => store.keep(&verified(&package())).and_then(|()| store.insert(&verified(&package()))),
                    })
                })
                .collect();
            for tree in wanted {
                assert_eq!(tree.join().unwrap().unwrap().healed, None);
            }
        });
        assert_eq!(stores[0].verify_deep().unwrap(), []);
        drop(stores);
        make_writable(folder.path());
    }
}

/// Attack 126.
#[test]
fn a_home_that_others_could_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    assert!(Store::open(&real.join("deep/home")).is_ok());
    assert_eq!(fs::metadata(real.join("deep/home")).unwrap().mode() & 0o777, 0o700);
    symlink(&real, folder.path().join("link")).unwrap();
    assert_eq!(Store::open(&folder.path().join("link")).unwrap_err().code, "store-home");
    for (path, mode) in [("deep/home", 0o777), ("deep/home", 0o720), ("deep/home/store", 0o702)] {
        fs::set_permissions(real.join(path), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Store::open(&real.join("deep/home")).unwrap_err().code, "store-home", "{path} {mode:o}");
        fs::set_permissions(real.join(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::rename(real.join("deep/home/store"), real.join("elsewhere")).unwrap();
    symlink(real.join("elsewhere"), real.join("deep/home/store")).unwrap();
    assert_eq!(Store::open(&real.join("deep/home")).unwrap_err().code, "store-home");
    fs::write(real.join("file"), "").unwrap();
    assert_eq!(Store::open(&real.join("file")).unwrap_err().code, "store-home");
}
