//! What is noted of packages is believed as long as their trees are those that were verified, and no longer.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use bulkhead_store::Notebook;

use crate::archives::id;
use crate::stores::{Home, home, tamper};

const WRITER: u64 = 7;

impl Home {
    fn notebook(&self) -> Notebook {
        self.store.notebook(Path::new("/project"), WRITER)
    }

    /// Brief and text as the notebook has them, and whether they are from there.
    fn noted(&self, notebook: &Notebook) -> Option<(Vec<u8>, Option<Vec<u8>>, bool)> {
        let (root, noted) = self.store.notes(notebook, id(), self.tree.archive)?;
        assert_eq!(root, self.tree.root);
        Some((noted.brief().to_vec(), noted.text().map(<[u8]>::to_vec), noted.is_bound()))
    }

    fn beside(&self) -> PathBuf {
        self.package_folder().join("notes")
    }

    fn file(&self) -> PathBuf {
        let folder = self.folder.path().join("cache/notebooks");
        folder.read_dir().unwrap().next().unwrap().unwrap().path()
    }
}

/// A home with a notebook, and nothing beside the tree to fall back on.
fn bound() -> Home {
    let home = home();
    let notebook = home.notebook();
    assert!(notebook.is_empty());
    home.store.note(&notebook, &home.tree, b"brief", b"a long text");
    assert_eq!(home.noted(&notebook), Some((b"brief".to_vec(), Some(b"a long text".to_vec()), false)));
    home.store.bind(&notebook, &[(id(), home.tree.archive)]);
    fs::remove_file(home.beside()).unwrap();
    assert_eq!(home.noted(&home.notebook()), Some((b"brief".to_vec(), Some(b"a long text".to_vec()), true)));
    home
}

#[test]
fn a_notebook_belongs_to_one_project_and_one_program() {
    let home = bound();
    assert_eq!(home.noted(&home.store.notebook(Path::new("/project"), WRITER + 1)), None);
    assert_eq!(home.noted(&home.store.notebook(Path::new("/other"), WRITER)), None);
}

#[test]
fn what_was_written_before_stays() {
    let home = bound();
    home.store.bind(&home.notebook(), &[]);
    assert_eq!(home.noted(&home.notebook()), Some((b"brief".to_vec(), Some(b"a long text".to_vec()), true)));
}

#[test]
fn a_tree_that_was_changed_is_not_known_again() {
    type Change = fn(&Home);
    let changes: &[(&str, Change)] = &[
        ("the record", |home| tamper(&home.package_folder().join("tree"), b"BHTREE")),
        ("the manifest", |home| {
            let manifest = home.tree.root.join("Cargo.toml");
            tamper(&manifest, &fs::read(&manifest).unwrap());
        }),
        ("the folder's mode", |home| {
            fs::set_permissions(&home.tree.root, fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a file in the folder", |home| {
            fs::set_permissions(&home.tree.root, fs::Permissions::from_mode(0o755)).unwrap();
            fs::write(home.tree.root.join("build.rs"), "").unwrap();
            fs::set_permissions(&home.tree.root, fs::Permissions::from_mode(0o555)).unwrap();
        }),
        ("the tree", |home| fs::rename(&home.tree.root, home.package_folder().join("away")).unwrap()),
    ];
    for (what, change) in changes {
        let home = bound();
        change(&home);
        assert_eq!(home.noted(&home.notebook()), None, "{what}");
    }
}

#[test]
fn a_damaged_notebook_is_passed_over_and_written_anew() {
    let home = bound();
    let whole = fs::read(home.file()).unwrap();
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        fs::write(home.file(), damaged).unwrap();
        let noted = home.noted(&home.notebook());
        // Its texts have a checksum of their own, and are looked at when they are wanted.
        assert!(noted.is_none_or(|(brief, text, _)| brief == b"brief" && text.is_none()), "byte {position}");
    }
    for length in 0..whole.len() {
        fs::write(home.file(), &whole[..length]).unwrap();
        assert_eq!(home.noted(&home.notebook()), None, "{length} bytes");
    }
    home.store.note(&home.notebook(), &home.tree, b"new", b"text");
    home.store.bind(&home.notebook(), &[(id(), home.tree.archive)]);
    assert_eq!(home.noted(&home.notebook()), Some((b"new".to_vec(), Some(b"text".to_vec()), true)));
}

#[test]
fn a_notebook_that_others_could_write_is_passed_over() {
    let home = bound();
    let file = home.file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
    assert_eq!(home.noted(&home.notebook()), None);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(home.noted(&home.notebook()).is_some());
    let elsewhere = home.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(home.noted(&home.notebook()), None);
}
