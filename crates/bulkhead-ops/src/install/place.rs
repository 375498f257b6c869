//! Where programs are put, and which names they may bear.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bulkhead_schema::PackageId;
use bulkhead_trust::Digest;

use super::InstallOptions;
use super::record::{Installed, Records};
use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::{Error, disk, programs};

/// Longest name of a program.
const MAX_NAME: usize = 64;

/// Largest program, in bytes.
const MAX_PROGRAM: u64 = 4 << 30;

/// # Errors
/// The name could be taken for a path, an option, or is too long.
pub(super) fn check_name(name: &str) -> Result<()> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    {
        return Ok(());
    }
    Err(Error::failure(format!("`{name}` cannot be the name of an installed program"))
        .because("names are made of letters, digits, `-` and `_`, and begin with a letter or a digit"))
}

/// # Errors
/// Another package, or somebody else, has put a program there; a program of that name is on `PATH` already.
pub(super) fn check_free(
    global: &GlobalOptions,
    options: &InstallOptions,
    root: &Path,
    name: &str,
    records: &Records,
    id: PackageId,
) -> Result<()> {
    let destination = root.join("bin").join(name);
    let owner = records.owner(name);
    let is_own = owner.as_deref().is_some_and(|owner| Records::is_of(owner, id));
    if destination.symlink_metadata().is_ok() && !options.force && !is_own {
        let part = owner.map(|owner| format!(" as part of `{}`", super::shown(&owner))).unwrap_or_default();
        let message = format!("binary `{name}` already exists in destination{part}\nAdd --force to overwrite");
        return Err(Error::failure(message));
    }
    let shadowed = programs_on_path(&global.place, name).find(|path| path.parent() != destination.parent());
    match shadowed {
        Some(path) if !options.shadow.iter().any(|allowed| allowed == name) && !is_own => {
            Err(Error::failure(format!("the program `{name}` of `{id}` would stand beside {}", path.display()))
                .because(
                    "which of the two a shell starts depends on PATH; a package must not take another program's place",
                )
                .help(format!("if you want that, add `--shadow {name}`")))
        }
        _ => Ok(()),
    }
}

fn programs_on_path<'a>(place: &'a Place, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let folders = programs::on_path(place).into_iter().filter(|folder| folder.is_absolute());
    folders.map(move |folder| folder.join(name)).filter(|program| place.disk.is_executable(program))
}

/// Whether a shell finds programs in `folder`.
pub(super) fn is_on_path(place: &Place, folder: &Path) -> bool {
    programs::on_path(place).iter().any(|known| known == folder)
}

/// Puts a copy of `program` in place of whatever is at `destination`, in one step; returns its digest.
///
/// # Errors
/// It cannot be read or written.
pub(super) fn put(program: &Path, destination: &Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed =
        |error: std::io::Error| Error::failure(format!("failed to install `{}`", destination.display())).because(error);
    let folder = destination.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".bulkhead-").tempfile_in(folder).map_err(failed)?;
    std::io::copy(&mut File::open(program).map_err(failed)?.take(MAX_PROGRAM), file.as_file_mut()).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let digest = digest(file.path()).map_err(failed)?;
    file.persist(destination).map_err(|error| failed(error.error))?;
    Ok(digest)
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_PROGRAM).read_to_end(&mut bytes)?;
    Ok(Digest::of(&bytes).to_string())
}

/// The file of an installed program, if it is there: what a record names is removed only if it is what was installed.
///
/// # Errors
/// It is not, or its name is no name.
pub(super) fn removable(root: &Path, name: &str, installed: &Installed) -> Result<Option<PathBuf>> {
    check_name(name)?;
    let path = root.join("bin").join(name);
    let Ok(metadata) = path.symlink_metadata() else { return Ok(None) };
    let changed = || {
        Error::failure(format!("`{}` is not the program that was installed, and is kept", path.display()))
            .help("remove it by hand, then run this again")
    };
    if !metadata.is_file() {
        return Err(changed());
    }
    // What Cargo has installed has no digest.
    if let Some(expected) = installed.digests.get(name)
        && digest(&path).map_or(true, |found| found != *expected)
    {
        return Err(changed());
    }
    Ok(Some(path))
}

/// Holds back other installations of this user.
///
/// # Errors
/// The lock cannot be had.
pub(super) fn lock(global: &GlobalOptions) -> Result<File> {
    let home = &global.place.bulkhead_home;
    disk::create_private(home)?;
    let path = home.join("install.lock");
    let failed = |error: std::io::Error| Error::failure(format!("failed to lock `{}`", path.display())).because(error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
