//! The files of a package on disk, read for a look into them.

#![expect(
    clippy::disallowed_methods,
    reason = "trees of the store, whose records snapshots know; of other folders nothing is said that is kept"
)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bulkhead_review::{File, Layout, Listing, MAX_CONTENT, MAX_TOTAL};
use bulkhead_schema::DependencyKind;
use bulkhead_trust::{Digest, EntryKind, Hasher};
use bulkhead_workspace::Package;

use crate::Error;
use crate::error::Result;

/// Most files of one package: above what archives may hold.
const MAX_FILES: usize = 100_000;

/// Reads everything below `root`. In the user's own folders, what no package holds is left out: hidden folders, build
/// folders, packages within.
///
/// # Errors
/// The disk refuses, or there are too many files.
pub fn read(root: &Path, own: bool) -> Result<Listing> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Error::failure(format!("failed to read `{}`", path.display())).because(error)
    };
    let (mut listing, mut total) = (Listing::new(), 0);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| failed(&folder, &error))? {
            let path = entry.map_err(|error| failed(&folder, &error))?.path();
            let metadata = path.symlink_metadata().map_err(|error| failed(&path, &error))?;
            if metadata.is_dir() {
                if !(own && is_left_out(&path)) {
                    folders.push(path);
                }
                continue;
            }
            // A socket can be read by nobody, and is part of nothing.
            if metadata.file_type().is_socket() {
                continue;
            }
            let Some(name) = path.strip_prefix(root).ok().and_then(|name| name.to_str()) else { continue };
            let file = if metadata.is_symlink() {
                link(&path)
            } else {
                regular(&path, metadata.permissions().mode() & 0o111 != 0, MAX_TOTAL.saturating_sub(total))
            };
            let file = file.map_err(|error| failed(&path, &error))?;
            total += file.content.as_ref().map_or(0, |content| content.len() as u64);
            listing.insert(name.to_owned(), file);
            if listing.len() > MAX_FILES {
                return Err(Error::failure(format!("`{}` holds more than {MAX_FILES} files", root.display())));
            }
        }
    }
    Ok(listing)
}

fn is_left_out(folder: &Path) -> bool {
    let hidden = folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    hidden || folder.ends_with("target") || folder.join("Cargo.toml").exists()
}

/// A link counts as the text of its target, and is not followed.
fn link(path: &Path) -> std::io::Result<File> {
    let target = path.read_link()?;
    Ok(File { kind: EntryKind::Link, ..File::new(target.as_os_str().as_encoded_bytes()) })
}

fn regular(path: &Path, executable: bool, left: u64) -> std::io::Result<File> {
    // A pipe is opened at once then, instead of waited for; its content is nobody's to know.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let mut file = std::fs::File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is neither a file nor a folder"));
    }
    let size = metadata.len();
    let kind = if executable { EntryKind::Executable } else { EntryKind::File };
    if size <= MAX_CONTENT.min(left) {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.by_ref().take(MAX_CONTENT).read_to_end(&mut content)?;
        return Ok(File { kind, ..File::new(content) });
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    let digest: Digest = hasher.finish();
    Ok(File { kind, digest, size, content: None })
}

/// The folder in which everything lies that the build code of `package` may be made of: its own, or the whole checkout of
/// the repository that it comes from.
pub fn top(package: &Package, bulkhead_home: &Path) -> PathBuf {
    if package.id.source().is_git()
        && let Ok(below) = package.root.strip_prefix(bulkhead_home)
    {
        // `store/KEY/NAME`
        return bulkhead_home.join(below.components().take(3).collect::<PathBuf>());
    }
    package.root.clone()
}

/// What the manifest says of the package's build code, in paths below `top`.
pub fn layout(package: &Package, top: &Path) -> Layout {
    let below = |path: &Path| path.strip_prefix(top).ok().and_then(|path| path.to_str()).map(str::to_owned);
    let script = package.build_script();
    let targets =
        package.targets.iter().filter(|target| script.is_none_or(|script| !std::sync::Arc::ptr_eq(script, target)));
    let dependencies = package.summary.dependencies.iter().filter(|it| it.kind == DependencyKind::Build);
    let names = dependencies.map(|it| format!("{} = {} from {}", it.name_in_manifest(), it.package, it.source));
    Layout {
        build_script: script.and_then(|target| below(&target.path)),
        targets: targets.filter_map(|target| below(&target.path)).collect(),
        proc_macro: package.is_proc_macro(),
        links: package.summary.links.map(|links| links.to_string()),
        build_dependencies: names.collect::<BTreeSet<_>>().into_iter().collect(),
        metadata: package.details.metadata.as_ref().map(ToString::to_string),
    }
}
