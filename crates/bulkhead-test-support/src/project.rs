//! Projects on disk from one string.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with the files of a fixture, removed with the value.
#[derive(Debug)]
pub struct TempProject {
    folder: TempDir,
    root: PathBuf,
}

/// Writes the files of a fixture: each starts at a line `//- /path/from/the/root`.
pub fn project(fixture: &str) -> TempProject {
    let folder = tempfile::Builder::new().prefix("bulkhead-project-").tempdir().expect("a temporary folder");
    // Tools print canonical paths; a test that compares them wants the same.
    let root = folder.path().canonicalize().expect("the folder just made").join("project");
    std::fs::create_dir(&root).expect("a folder for the project");
    let project = TempProject { folder, root };
    for (path, content) in split_fixture(fixture) {
        project.write(&path, &content);
    }
    project
}

/// The paths (without the leading slash) and contents of a fixture.
pub fn split_fixture(fixture: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for line in fixture.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix("//- /") {
            files.push((path.trim_end().to_owned(), String::new()));
        } else if let Some((_, content)) = files.last_mut() {
            content.push_str(line);
        } else {
            assert!(line.trim().is_empty(), "text before the first `//- /path` line: {line:?}");
        }
    }
    files
}

impl TempProject {
    /// The project's folder, canonical.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The temporary folder around the project, where a test may put what the project must not reach.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        }
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Reads a file as text.
    pub fn read(&self, relative: &str) -> String {
        let path = self.path(relative);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Replaces the one occurrence of a text in a file.
    pub fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert_eq!(text.matches(from).count(), 1, "{relative} does not hold {from:?} exactly once");
        self.write(relative, text.replace(from, to));
    }

    /// Sets a file's modification time to now, content unchanged.
    pub fn touch(&self, relative: &str) {
        let path = self.path(relative);
        let file = std::fs::File::options().append(true).open(&path);
        file.and_then(|file| file.set_modified(std::time::SystemTime::now()))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
