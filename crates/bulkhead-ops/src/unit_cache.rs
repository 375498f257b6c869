//! The cache of compiled units: opened for a build, and what there is to say and do about it.
#![expect(clippy::disallowed_methods, reason = "no answer depends on whether something is in the cache")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_schema::policy::UnitCacheRules;
use bulkhead_store::UnitCache;
pub use bulkhead_store::{Collected, Finding, Stats};
use bulkhead_trust::Digest;
use bulkhead_unit_graph::Toolchain;

use crate::build::installation_secret;
use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::{Event, policy};

/// The variable that switches the cache off with `0`.
const SWITCH: &str = "BULKHEAD_UNIT_CACHE";

/// How much stays in the cache, in bytes.
const MOST_BYTES: u64 = 20 << 30;

/// How long what is not used stays in the cache.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often it is looked whether there is too much.
const COLLECT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Programs that build scripts and rustc start: another one is another input.
const PROGRAMS: &[&str] = &[
    "ar",
    "as",
    "c++",
    "cc",
    "clang",
    "clang++",
    "cmake",
    "g++",
    "gcc",
    "ld",
    "ld.gold",
    "ld.lld",
    "lld",
    "make",
    "mold",
    "nasm",
    "ninja",
    "perl",
    "pkg-config",
    "protoc",
    "python3",
];

/// Folders in which every installation of a library leaves its trace.
const FOLDERS: &[&str] = &[
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/bin",
    "/usr/local/include",
    "/usr/local/lib",
    "/usr/local/lib/pkgconfig",
    "/usr/lib/pkgconfig",
    "/usr/share/pkgconfig",
];

/// An open cache, and what identifies this machine in its keys.
pub struct Opened {
    /// The cache; `None` if it is switched off, or cannot be used.
    pub units: Option<UnitCache>,
    /// How much stays in it.
    pub rules: UnitCacheRules,
    /// The compiler. Only known where there is a cache.
    pub toolchain: String,
    /// The system's programs and libraries. Only known where there is a cache.
    pub system: String,
}

impl Opened {
    fn without(rules: UnitCacheRules) -> Self {
        Self { units: None, rules, toolchain: String::new(), system: String::new() }
    }
}

/// Opens the cache for a build, unless it is switched off. One that cannot be used is named, and done without.
///
/// # Errors
/// It belongs to someone else, or others may write it.
pub fn open(
    global: &GlobalOptions,
    rules: UnitCacheRules,
    toolchain: &Toolchain,
    events: &dyn Fn(Event),
) -> Result<Opened> {
    let place = &global.place;
    if place.variable(SWITCH) == Some("0") || rules.enabled == Some(false) {
        return Ok(Opened::without(rules));
    }
    let secret = installation_secret(&place.disk, &place.bulkhead_home)?;
    match UnitCache::open(&place.bulkhead_home, &secret) {
        Ok(units) => Ok(Opened {
            units: Some(units),
            rules,
            toolchain: toolchain_identity(toolchain),
            system: system_identity(place.variable("PATH").unwrap_or_default(), toolchain.host.as_str()),
        }),
        Err(error) if error.code == "store-home" => Err(error.into()),
        Err(error) => {
            events(Event::Warning(format!("compiled units are not shared: {}", error.message)));
            Ok(Opened::without(rules))
        }
    }
}

fn open_cache(place: &Place) -> Result<UnitCache> {
    let secret = installation_secret(&place.disk, &place.bulkhead_home)?;
    Ok(UnitCache::open(&place.bulkhead_home, &secret)?)
}

/// What rustc says of itself, and which files it is.
fn toolchain_identity(toolchain: &Toolchain) -> String {
    let library = toolchain.sysroot.join("lib/rustlib").join(toolchain.host.as_str()).join("lib");
    let files = [toolchain.rustc.clone(), toolchain.sysroot.join("lib"), library];
    format!("{}\n{}\n{}", toolchain.verbose_version, toolchain.sysroot.display(), states(&files))
}

/// Which linkers, compilers and libraries there are, and what the processor can do. What is installed or removed changes one
/// of the files and folders; then build scripts run again, and what they leave tells whether anything else has to.
fn system_identity(search_path: &str, host: &str) -> String {
    let folders: Vec<&str> = search_path.split(':').filter(|folder| folder.starts_with('/')).collect();
    let find = |name: &&str| folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    let mut paths: Vec<PathBuf> = PROGRAMS.iter().filter_map(find).collect();
    paths.extend(FOLDERS.iter().map(PathBuf::from));
    let multiarch = host.replace("-unknown", "");
    paths.extend(["", "/pkgconfig"].map(|rest| PathBuf::from(format!("/usr/lib/{multiarch}{rest}"))));
    paths.push(PathBuf::from(format!("/usr/include/{multiarch}")));
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let abilities = processor.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    format!("{}\n{}", states(&paths), abilities.unwrap_or_default())
}

/// One line for each: where a file is, and by what a change of it shows.
fn states(paths: &[PathBuf]) -> String {
    let line = |path: &PathBuf| match path.metadata() {
        Ok(found) => {
            format!("{} {} {} {}.{}\n", path.display(), found.ino(), found.len(), found.mtime(), found.mtime_nsec())
        }
        Err(_) => format!("{} is not there\n", path.display()),
    };
    paths.iter().map(line).collect()
}

/// `cache stats`
///
/// # Errors
/// The cache cannot be read.
pub fn stats(global: &GlobalOptions) -> Result<Stats> {
    Ok(open_cache(&global.place)?.stats()?)
}

/// `cache verify`: what is left, and what was damaged and is gone.
///
/// # Errors
/// The cache cannot be read.
pub fn verify(global: &GlobalOptions) -> Result<(Stats, Vec<Finding>)> {
    Ok(open_cache(&global.place)?.verify()?)
}

/// `cache gc`, with other limits than the usual ones if some are given.
///
/// # Errors
/// The cache cannot be read or written.
pub fn collect(global: &GlobalOptions, bytes: Option<u64>, age: Option<Duration>) -> Result<Collected> {
    let rules = policy::of_user(&global.place)?.unit_cache;
    let (most, longest) = limits(rules);
    Ok(open_cache(&global.place)?.collect(bytes.unwrap_or(most), age.unwrap_or(longest))?)
}

/// How many bytes stay, and for how long.
fn limits(rules: UnitCacheRules) -> (u64, Duration) {
    let bytes = rules.max_mib.map_or(MOST_BYTES, |mib| mib.saturating_mul(1 << 20));
    let age = rules.max_days.map_or(LONGEST, |days| Duration::from_secs(days.saturating_mul(24 * 60 * 60)));
    (bytes, age)
}

/// Looks once a day whether there is too much. Called when a build has ended, whose result it does not touch.
pub fn collect_now_and_then(global: &GlobalOptions, opened: &Opened) {
    let Some(units) = &opened.units else { return };
    let stamp = global.place.bulkhead_home.join("cache/collected");
    let is_recent = stamp
        .metadata()
        .and_then(|found| found.modified())
        .is_ok_and(|time| time.elapsed().is_ok_and(|since| since < COLLECT_EVERY));
    if is_recent {
        return;
    }
    // Whatever goes wrong here is tried again with the next build.
    let _ = crate::disk::write_atomically(&stamp, Digest::of(b"").to_string().as_bytes());
    let (bytes, age) = limits(opened.rules);
    let _ = units.collect(bytes, age);
}
