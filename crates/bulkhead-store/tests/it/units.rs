//! The cache of compiled units: what others do to it, what goes when there is too much, and what happens meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bulkhead_store::{Entry, UnitCache, UnitContent, UnitFile};
use bulkhead_trust::Digest;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Scene {
    scratch: tempfile::TempDir,
    cache: UnitCache,
}

fn key(number: u32) -> Digest {
    Digest::of(&number.to_le_bytes())
}

impl Scene {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let cache = UnitCache::open(&scratch.path().join("home"), "secret").unwrap();
        Self { scratch, cache }
    }

    fn path(&self, number: u32) -> PathBuf {
        self.scratch.path().join("home/cache").join(key(number).to_string())
    }

    /// Keeps one unit of one file under the key of `number`.
    fn put(&self, number: u32, content: &str) {
        put(&self.cache, self.scratch.path(), number, content);
    }

    /// The content of that file, taken out.
    fn take(&self, number: u32) -> std::io::Result<String> {
        let entry = self.cache.get(key(number)).map_err(|finding| std::io::Error::other(finding.problem))?;
        take_out(&entry.ok_or(std::io::ErrorKind::NotFound)?, &self.scratch.path().join("out"))
    }

    fn set_age(&self, number: u32, age: Duration) {
        let entry = fs::File::open(self.path(number).join("entry")).unwrap();
        entry.set_modified(SystemTime::now() - age).unwrap();
    }

    fn left(&self, numbers: std::ops::Range<u32>) -> Vec<u32> {
        numbers.filter(|number| self.path(*number).exists()).collect()
    }
}

fn put(cache: &UnitCache, scratch: &Path, number: u32, content: &str) {
    let place = scratch.join(format!("in-{number}-{:?}", std::thread::current().id()));
    fs::write(&place, content).unwrap();
    let digest = Digest::of(content.as_bytes()).to_string();
    let content = UnitContent::File { digest, length: content.len() as u64, executable: false };
    cache.put(key(number), &[(UnitFile { name: "lib".to_owned(), content }, place)], "note").unwrap();
}

fn take_out(entry: &Entry, place: &Path) -> std::io::Result<String> {
    let _ = fs::remove_file(place);
    entry.take_out(&entry.files[0], place)?;
    fs::read_to_string(place)
}

#[test]
fn what_is_taken_out_is_a_copy_that_may_be_written() {
    let scene = Scene::new();
    scene.put(1, "unit");
    assert_eq!(scene.take(1).unwrap(), "unit");
    let out = scene.scratch.path().join("out");
    let kept = scene.path(1).join("0");
    assert_ne!(out.metadata().unwrap().ino(), kept.metadata().unwrap().ino());
    assert_eq!((kept.metadata().unwrap().nlink(), kept.metadata().unwrap().mode() & 0o777), (1, 0o400));
    fs::write(&out, "changed").unwrap();
    assert_eq!(scene.take(1).unwrap(), "unit");
}

/// What somebody does to the entry of a unit, while `Path` is another entry's folder.
type Attack = fn(&Path, &Path);

fn rewrite(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Attacks 128, 129: nothing that somebody else has done to an entry is used. Each is refused, told and gone.
#[test]
fn no_poison_is_taken_out() {
    let attacks: &[(&str, Attack)] = &[
        ("a flipped byte", |entry, _| rewrite(&entry.join("0"), |bytes| bytes[0] ^= 1)),
        ("cut short", |entry, _| rewrite(&entry.join("0"), |bytes| bytes.truncate(2))),
        ("a byte more", |entry, _| rewrite(&entry.join("0"), |bytes| bytes.push(b'!'))),
        ("nothing left", |entry, _| fs::remove_file(entry.join("0")).unwrap()),
        ("another digest", |entry, _| {
            rewrite(&entry.join("entry"), |bytes| *bytes.last_mut().unwrap() ^= 1);
        }),
        ("a seal cut short", |entry, _| rewrite(&entry.join("entry"), |bytes| bytes.truncate(40))),
        ("no description", |entry, _| fs::remove_file(entry.join("entry")).unwrap()),
        ("a folder for a description", |entry, _| {
            fs::remove_file(entry.join("entry")).unwrap();
            fs::create_dir(entry.join("entry")).unwrap();
        }),
        ("another entry's file", |entry, other| {
            fs::remove_file(entry.join("0")).unwrap();
            fs::copy(other.join("0"), entry.join("0")).unwrap();
        }),
        ("another entry's description", |entry, other| {
            fs::remove_file(entry.join("entry")).unwrap();
            fs::copy(other.join("entry"), entry.join("entry")).unwrap();
        }),
        ("another entry", |entry, other| {
            fs::remove_dir_all(entry).unwrap();
            fs::rename(other, entry).unwrap();
        }),
        ("a link to the same content", |entry, other| {
            let place = other.join("elsewhere");
            fs::copy(entry.join("0"), &place).unwrap();
            fs::remove_file(entry.join("0")).unwrap();
            symlink(place, entry.join("0")).unwrap();
        }),
        ("a link for a folder", |entry, other| {
            let place = other.join("elsewhere");
            fs::rename(entry, &place).unwrap();
            symlink(place, entry).unwrap();
        }),
        ("a name of the file elsewhere, through which it is written", |entry, other| {
            fs::hard_link(entry.join("0"), other.join("elsewhere")).unwrap();
            rewrite(&other.join("elsewhere"), |bytes| bytes[0] ^= 1);
        }),
        ("a file in place of the folder", |entry, _| {
            fs::remove_dir_all(entry).unwrap();
            fs::write(entry, "unit").unwrap();
        }),
        ("a pipe that nobody writes", |entry, _| {
            fs::remove_file(entry.join("0")).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(entry.join("0")).status().unwrap().success());
        }),
        ("a folder that others may write", |entry, _| {
            fs::set_permissions(entry, fs::Permissions::from_mode(0o777)).unwrap();
        }),
    ];
    for (what, attack) in attacks {
        let scene = Scene::new();
        scene.put(1, "unit");
        scene.put(2, "evil");
        attack(&scene.path(1), &scene.path(2));
        let refused = match scene.cache.get(key(1)) {
            Err(finding) => finding.problem,
            Ok(None) => panic!("{what}: it is gone without a word"),
            Ok(Some(entry)) => {
                let place = scene.scratch.path().join("out");
                let error = take_out(&entry, &place).expect_err(what);
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{what}: {error}");
                assert!(!place.exists() && scene.cache.holds(key(1), &entry), "{what}");
                scene.cache.refuse(key(1), error.to_string()).problem
            }
        };
        assert!(!refused.is_empty() && scene.path(1).symlink_metadata().is_err(), "{what}: {refused}");
        // It is built and kept again.
        scene.put(1, "unit");
        assert_eq!(scene.take(1).unwrap(), "unit", "{what}");
    }
}

/// What is taken out later is what was found, or nothing: another entry under the same key is not it.
#[test]
fn a_closed_entry_is_opened_only_while_it_is_the_same() {
    let scene = Scene::new();
    scene.put(1, "unit");
    let close = || scene.cache.get(key(1)).unwrap().unwrap().close(key(1)).unwrap();
    let (closed, place) = (close(), scene.scratch.path().join("out"));
    assert_eq!(take_out(&scene.cache.reopen(&closed).unwrap(), &place).unwrap(), "unit");
    // So that its number cannot be given to the new one.
    let kept = scene.scratch.path().join("kept");
    fs::rename(scene.path(1), &kept).unwrap();
    assert_eq!(scene.cache.reopen(&closed).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    scene.put(1, "evil");
    assert_eq!(scene.cache.reopen(&closed).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(take_out(&scene.cache.reopen(&close()).unwrap(), &place).unwrap(), "evil");
    fs::remove_dir_all(scene.path(1)).unwrap();
    fs::rename(&kept, scene.path(1)).unwrap();
    rewrite(&scene.path(1).join("0"), |bytes| bytes[0] ^= 1);
    let error = take_out(&scene.cache.reopen(&closed).unwrap(), &place).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn an_entry_of_somebody_else_is_refused() {
    let scene = Scene::new();
    scene.put(1, "unit");
    if !rustix::process::geteuid().is_root() {
        return; // Nobody else can give a folder away.
    }
    std::os::unix::fs::chown(scene.path(1), Some(12345), None).unwrap();
    assert!(scene.cache.get(key(1)).unwrap_err().problem.contains("someone else"));
    assert!(!scene.path(1).exists());
}

/// Another installation's secret, or none.
#[test]
fn a_cache_that_comes_from_elsewhere_is_not_believed() {
    let scene = Scene::new();
    scene.put(1, "unit");
    let other = UnitCache::open(&scene.scratch.path().join("home"), "another").unwrap();
    assert!(other.get(key(1)).is_err() && !scene.path(1).exists());
}

#[test]
fn what_others_may_write_is_no_cache() {
    let scene = Scene::new();
    let home = scene.scratch.path().join("home");
    fs::set_permissions(home.join("cache"), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(UnitCache::open(&home, "secret").unwrap_err().code, "store-home");
    fs::remove_dir_all(home.join("cache")).unwrap();
    symlink(scene.scratch.path(), home.join("cache")).unwrap();
    assert_eq!(UnitCache::open(&home, "secret").unwrap_err().code, "store-home");
}

#[test]
fn what_was_not_used_for_long_goes_and_then_the_oldest_until_it_fits() {
    let scene = Scene::new();
    for number in 0..6 {
        scene.put(number, &"x".repeat(1000));
        scene.set_age(number, DAY * (10 * number + 5));
    }
    let all = scene.cache.stats().unwrap();
    assert_eq!(all.entries, 6);
    // Use keeps the oldest.
    scene.cache.touch(&scene.cache.get(key(5)).unwrap().unwrap());
    let collected = scene.cache.collect(u64::MAX, DAY * 30).unwrap();
    assert_eq!((collected.removed.entries, scene.left(0..6)), (2, vec![0, 1, 2, 5]));
    // Two fit, and a half.
    let collected = scene.cache.collect(all.bytes * 5 / 12, DAY * 30).unwrap();
    assert_eq!((collected.left.entries, scene.left(0..6)), (2, vec![0, 5]));
    assert_eq!(collected.left, scene.cache.stats().unwrap());
    assert_eq!(scene.cache.collect(u64::MAX, DAY * 30).unwrap().removed.entries, 0);
}

/// Somebody who collects makes no entry look damaged to those who use it, and takes no half of one.
#[test]
fn units_are_collected_while_others_use_them() {
    let scene = Scene::new();
    let (done, home) = (AtomicBool::new(false), scene.scratch.path().join("home"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let collector = UnitCache::open(&home, "secret").unwrap();
            while !done.load(Ordering::Relaxed) {
                collector.collect(0, Duration::ZERO).unwrap();
            }
        });
        let users: Vec<_> = (0..2)
            .map(|user| {
                let (home, scratch) = (&home, scene.scratch.path());
                scope.spawn(move || {
                    let cache = UnitCache::open(home, "secret").unwrap();
                    let place = scratch.join(format!("out-{user}"));
                    for number in 0..300 {
                        put(&cache, scratch, number % 7, "unit");
                        let Some(entry) = cache.get(key(number % 7)).unwrap() else { continue };
                        match take_out(&entry, &place) {
                            Ok(text) => assert_eq!(text, "unit"),
                            Err(error) => assert!(!cache.holds(key(number % 7), &entry), "{error}"),
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = users.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert!(scene.cache.verify().unwrap().1.is_empty());
}

/// Where no file can be cloned, be it for the file system or since two of them are concerned, it is copied.
#[test]
fn units_travel_between_file_systems() {
    let scene = Scene::new();
    // Where there is no other file system, there is nothing to travel between.
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    put(&scene.cache, other.path(), 1, "unit");
    let entry = scene.cache.get(key(1)).unwrap().unwrap();
    assert_eq!(take_out(&entry, &other.path().join("out")).unwrap(), "unit");
}
