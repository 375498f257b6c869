//! Asking rustc about itself, once: two processes of 15 ms each are most of what a no-op command would cost.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_trust::Digest;
use bulkhead_unit_graph::toolchain::{Probe, probe_arguments};
use bulkhead_unit_graph::{CompileKind, Toolchain};

use crate::error::Result;
use crate::options::Place;
use crate::{Error, disk};

/// Largest file of answers that is read, in bytes.
const MAX_ANSWERS: u64 = 16 << 20;

/// What rustc printed, as it is kept on disk.
#[derive(serde::Serialize, serde::Deserialize)]
struct Answers {
    version: String,
    /// `(stdout, stderr)` by platform, in the order asked.
    probes: Vec<(String, String)>,
}

/// What the toolchain of `rustc` says about `platforms`, each with the flags in force there.
///
/// The answers are cached by the identity (path, inode, size, change time) of rustc and the arguments.
///
/// # Errors
/// rustc cannot be run, refuses the flags or the platform, or prints what is not understood.
pub fn toolchain(
    place: &Place,
    rustc: &Path,
    rustdoc: Option<PathBuf>,
    platforms: &BTreeMap<CompileKind, Vec<String>>,
) -> Result<Toolchain> {
    let requests: Vec<Vec<String>> = platforms.iter().map(|(kind, flags)| arguments(*kind, flags)).collect();
    let cache = cache_file(place, rustc, &requests)?;
    let cached =
        place.disk.read(&cache, MAX_ANSWERS).ok().and_then(|bytes| serde_json::from_slice::<Answers>(&bytes).ok());
    let answers = match cached.filter(|answers| answers.probes.len() == requests.len()) {
        Some(answers) => answers,
        None => {
            let answers = ask(place, rustc, &requests)?;
            // A cache that cannot be written costs time, not correctness.
            let _ = save(&cache, &answers);
            answers
        }
    };
    let probes =
        platforms.keys().zip(&answers.probes).map(|(&platform, (stdout, stderr))| Probe { platform, stdout, stderr });
    let rustdoc = rustdoc.unwrap_or_else(|| rustc.with_file_name("rustdoc"));
    Ok(Toolchain::parse(rustc.to_path_buf(), rustdoc, &answers.version, &probes.collect::<Vec<_>>())?)
}

fn arguments(kind: CompileKind, flags: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = probe_arguments().into_iter().map(str::to_owned).collect();
    arguments.extend_from_slice(flags);
    if let CompileKind::Target(triple) = kind {
        arguments.extend(["--target".to_owned(), triple.to_string()]);
    }
    arguments
}

fn cache_file(place: &Place, rustc: &Path, requests: &[Vec<String>]) -> Result<PathBuf> {
    let metadata = place
        .disk
        .metadata(rustc)
        .map_err(|error| Error::failure(format!("cannot examine `{}`", rustc.display())).because(error))?;
    let identity = format!(
        "1\n{}\n{} {} {} {}\n{requests:?}",
        rustc.display(),
        metadata.ino(),
        metadata.len(),
        metadata.ctime(),
        metadata.ctime_nsec()
    );
    let name = Digest::of(identity.as_bytes()).to_string();
    Ok(place.bulkhead_home.join("cache/toolchains").join(&name[..32]))
}

/// All questions at once: each is a start of rustc, which is most of what it takes.
fn ask(place: &Place, rustc: &Path, requests: &[Vec<String>]) -> Result<Answers> {
    std::thread::scope(|scope| {
        let probes: Vec<_> =
            requests.iter().map(|arguments| scope.spawn(move || run(place, rustc, arguments))).collect();
        let (version, _) = run(place, rustc, &["-vV".to_owned()])?;
        let answers = probes.into_iter().map(|probe| probe.join().unwrap_or_else(|panic| resume_unwind(panic)));
        Ok(Answers { version, probes: answers.collect::<Result<_>>()? })
    })
}

/// rustc compiles nothing here and reads no project file, so it needs no confinement; it gets no environment but what
/// a compiler needs.
fn run(place: &Place, rustc: &Path, arguments: &[String]) -> Result<(String, String)> {
    let failed =
        || Error::failure(format!("failed to run `{}` to learn about target-specific information", rustc.display()));
    let mut command = Command::new(rustc);
    command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null());
    for name in ["PATH", "HOME", "RUSTUP_HOME", "TMPDIR"] {
        if let Some(value) = place.variable(name) {
            command.env(name, value);
        }
    }
    let output = command.output().map_err(|error| failed().because(error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        return Err(failed().because(format!("{}: {}", output.status, text(&output.stderr).trim())));
    }
    Ok((text(&output.stdout), text(&output.stderr)))
}

fn save(path: &Path, answers: &Answers) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| Error::failure(error.to_string()))?;
    let bytes = serde_json::to_vec(answers).map_err(|error| Error::failure(error.to_string()))?;
    disk::write_atomically(path, &bytes)
}
