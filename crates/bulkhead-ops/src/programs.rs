//! Where programs are looked for: the folders of `PATH` that no project fills.

use std::path::{Component, Path, PathBuf};

use bulkhead_executor::TARGET_MARKER;
use bulkhead_workspace::Files as _;

use crate::observed::Disk;
use crate::options::Place;

/// Longest name of a program, in bytes.
const MAX_NAME: usize = 255;

/// How many folders above one of `PATH` can be the target folder that it belongs to: `target/PLATFORM/PROFILE/deps`.
const TARGET_DEPTH: usize = 4;

/// Finds a program as a shell would, but only in absolute folders of `PATH` outside of `forbidden` (the workspace), of every
/// target folder and of the folder where the command runs: nobody must be able to plant a `cc` or `rustc` there.
pub fn find_program(place: &Place, name: &str, forbidden: &Path) -> Option<PathBuf> {
    let one_name = matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !one_name || name.len() > MAX_NAME || name.starts_with('-') {
        return None;
    }
    searched(place, forbidden)
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|candidate| place.disk.is_executable(candidate))
}

/// The folders in which [`find_program`] looks.
pub fn searched(place: &Place, forbidden: &Path) -> Vec<PathBuf> {
    let mut folders = folders(place, forbidden);
    folders.retain(|folder| !same(&place.disk, folder, &place.current_dir));
    folders
}

/// The absolute folders of `PATH` that lie, links followed, outside of `forbidden` and of every target folder.
pub fn folders(place: &Place, forbidden: &Path) -> Vec<PathBuf> {
    let outside = outside_and_real(place, &[forbidden.to_path_buf()]).into_iter();
    outside.filter(|(_, real)| !is_target(&place.disk, real)).map(|(folder, _)| folder).collect()
}

/// The absolute folders of `PATH`, spelled without `..`, that lie, links followed, in none of `projects`.
pub fn outside(place: &Place, projects: &[PathBuf]) -> Vec<PathBuf> {
    outside_and_real(place, projects).into_iter().map(|(folder, _)| folder).collect()
}

/// The same, each with where it really is.
fn outside_and_real(place: &Place, projects: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let real = |path: &Path| place.disk.canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let projects: Vec<PathBuf> = projects.iter().flat_map(|project| [project.clone(), real(project)]).collect();
    let is_plain =
        |folder: &PathBuf| folder.is_absolute() && !folder.components().any(|part| part == Component::ParentDir);
    let plain = on_path(place).into_iter().filter(is_plain).map(|folder| (real(&folder), folder));
    let lies_in = |folder: &Path| projects.iter().any(|project| folder.starts_with(project));
    plain.filter(|(real, folder)| !lies_in(folder) && !lies_in(real)).map(|(real, folder)| (folder, real)).collect()
}

/// What `PATH` names, in its order.
pub fn on_path(place: &Place) -> Vec<PathBuf> {
    let path = place.environment.get(std::ffi::OsStr::new("PATH"));
    path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
}

/// Whether a folder belongs to a target folder, by the mark of Bulkhead or Cargo.
fn is_target(disk: &Disk, folder: &Path) -> bool {
    let marked = |folder: &Path| [TARGET_MARKER, "CACHEDIR.TAG"].iter().any(|name| disk.is_file(&folder.join(name)));
    folder.ancestors().take(TARGET_DEPTH).any(marked)
}

fn same(disk: &Disk, left: &Path, right: &Path) -> bool {
    left == right
        || matches!((disk.canonicalize(left), disk.canonicalize(right)), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use super::find_program;
    use crate::options::Place;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    fn place(path: &str, current_dir: &Path) -> Place {
        Place {
            bulkhead_home: PathBuf::from("/nowhere"),
            cargo_home: PathBuf::from("/nowhere"),
            program: PathBuf::from("/nowhere"),
            current_dir: current_dir.to_path_buf(),
            now: 0,
            home: None,
            environment: [("PATH".into(), path.into())].into(),
            disk: Default::default(),
        }
    }

    /// Attack 4: variants of where the project's folder comes in.
    #[test]
    fn no_spelling_of_a_projects_folder_is_searched() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["project/bin", "elsewhere/debug/deps", "good", "here"] {
            std::fs::create_dir_all(at(name)).unwrap();
            let program = at(name).join("cc");
            std::fs::write(&program, "#!/bin/true\n").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(at("elsewhere/CACHEDIR.TAG"), "").unwrap();
        std::os::unix::fs::symlink(at("project/bin"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("project"), at("alias")).unwrap();
        let find = |path: &str, name: &str| {
            find_program(&place(path, &at("here")), name, &at("project")).map(|found| found.display().to_string())
        };
        let shown = |name: &str| at(name).display().to_string();
        let dotted = format!("{}/../project/bin", shown("good"));
        let bad =
            [shown("project/bin"), shown("link"), shown("alias/bin"), shown("elsewhere/debug/deps"), shown("here")];
        for path in bad.iter().map(String::as_str).chain(["", ".", "project/bin", &dotted]) {
            assert_eq!(find(path, "cc"), None, "{path}");
            assert_eq!(find(&format!("{path}:{}", shown("good")), "cc"), Some(shown("good/cc")), "{path}");
        }
        for name in ["../project/bin/cc", "/bin/sh", "", ".", "..", "-cc", "good/../cc"] {
            assert_eq!(find(&shown("good"), name), None, "{name}");
        }
        // The alias of the project, when the project is known by it.
        let other = find_program(&place(&shown("project/bin"), &at("here")), "cc", &at("alias"));
        assert_eq!(other, None);
    }
}
