//! What the virtual machine boots from: the tests, and those of this machine's programs that they start.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::Archive;

/// Programs that scenarios and tests start.
const PROGRAMS: &[&str] = &[
    "bash", "cat", "chmod", "chown", "chroot", "cp", "cut", "dd", "dirname", "echo", "env", "false", "find", "grep",
    "head", "hostname", "id", "install", "ln", "ls", "mkdir", "mknod", "mount", "mv", "printf", "ps", "python3",
    "readlink", "rm", "rmdir", "sed", "seq", "setpriv", "setsid", "sh", "sleep", "sort", "stat", "tail", "test",
    "touch", "tr", "true", "umount", "uname", "wc", "yes",
];

const USERS: &str =
    "root:x:0:0::/root:/bin/sh\nbuilder:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nbuilder:x:1000:\nnogroup:x:65534:\n";

/// Writes the image, with `test` as `/test`.
pub(super) fn write(path: &Path, test: &Path) -> Result<(), String> {
    let files = files(test)?;
    let fault = |error: io::Error| format!("{}: {error}", path.display());
    let output = File::create(path).map_err(fault)?;
    let mut image = Image { archive: Archive::new(BufWriter::new(output)), folders: BTreeSet::new() };
    image.system().and_then(|()| image.archive.file("test", 0o755, &fs::read(test)?)).map_err(fault)?;
    for file in &files {
        image.copy(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    image.archive.finish().map_err(fault)
}

/// Everything that is copied: the programs, what Python is made of, and the libraries of all.
fn files(test: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let folders = [Path::new("/usr/bin"), Path::new("/usr/sbin")];
    let programs = folders.iter().flat_map(|folder| PROGRAMS.iter().map(|name| folder.join(name)));
    let mut files: BTreeSet<PathBuf> = programs.filter(|path| path.exists()).collect();
    let python = fs::canonicalize("/usr/bin/python3").map_err(|error| format!("/usr/bin/python3: {error}"))?;
    let modules = Path::new("/usr/lib").join(python.file_name().unwrap_or_default());
    collect(&modules, &mut files).map_err(|error| format!("{}: {error}", modules.display()))?;
    files.insert(python);
    let is_loaded = |path: &&PathBuf| {
        PROGRAMS.iter().any(|name| path.ends_with(name)) || path.extension().is_some_and(|it| it == "so")
    };
    let loaded: Vec<PathBuf> = files.iter().filter(is_loaded).cloned().chain([test.to_owned()]).collect();
    files.extend(libraries(&loaded)?);
    Ok(files)
}

/// The files below a folder, without Python's own tests and what it makes again.
fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() && !["__pycache__", "test", "idlelib", "lib2to3"].iter().any(|left_out| name == *left_out) {
            collect(&path, files)?;
        } else if path.is_file() {
            files.insert(path);
        }
    }
    Ok(())
}

/// What `ldd` names: `NAME => PATH (ADDRESS)`, and the loader as `PATH (ADDRESS)`.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>, String> {
    // It fails as a whole where one of the files, a script, has no libraries.
    let output = Command::new("/usr/bin/ldd").args(programs).output().map_err(|error| format!("ldd: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter(|line| line.contains(" (0x")).filter_map(|line| {
        let path = line.rsplit("=> ").next()?.trim().split(" (0x").next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    let real = |path: PathBuf| {
        // `/lib` is a link on most systems, and one in the image.
        let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        folder.zip(path.file_name()).map_or(path.clone(), |(folder, name)| folder.join(name))
    };
    Ok(paths.map(real).collect())
}

struct Image<W> {
    archive: Archive<W>,
    folders: BTreeSet<PathBuf>,
}

impl<W: io::Write> Image<W> {
    fn system(&mut self) -> io::Result<()> {
        for folder in ["dev", "proc", "sys", "root", "mnt", "etc", "usr"] {
            self.folder(Path::new(folder))?;
        }
        self.archive.folder("tmp", 0o1777)?;
        for name in ["bin", "sbin", "lib", "lib64"] {
            self.folder(&Path::new("usr").join(name))?;
            self.archive.link(name, &format!("usr/{name}"))?;
        }
        self.archive.file("init", 0o755, include_bytes!("init.sh"))?;
        self.archive.file("scenarios", 0o755, include_bytes!("scenarios.sh"))?;
        self.archive.file("etc/passwd", 0o644, USERS.as_bytes())?;
        self.archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n")?;
        self.archive.file("etc/group", 0o644, GROUPS.as_bytes())
    }

    /// Copies a file of this machine to the same place; what is a link becomes what it leads to.
    fn copy(&mut self, file: &Path) -> io::Result<()> {
        let path = file.strip_prefix("/").unwrap_or(file);
        path.parent().map_or(Ok(()), |folder| self.folder(folder))?;
        let mode = fs::metadata(file)?.permissions().mode() & 0o755;
        self.archive.file(&path.to_string_lossy(), mode, &fs::read(file)?)
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || !self.folders.insert(path.to_owned()) {
            return Ok(());
        }
        path.parent().map_or(Ok(()), |above| self.folder(above))?;
        self.archive.folder(&path.to_string_lossy(), 0o755)
    }
}
