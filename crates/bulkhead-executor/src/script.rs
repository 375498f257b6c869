//! One run of a build script: the process, what it printed, what it left in OUT_DIR.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_policy::ProcessKind;
use bulkhead_sandbox::Stream as Pipe;
use bulkhead_schema::Diagnostic;
use bulkhead_schema::build_script::{self, BuildScriptOutput, Speaker};
use bulkhead_schema::policy::ProcessLimits;
use bulkhead_trust::Digest;
use bulkhead_unit_graph::{Command, UnitIndex};
use bulkhead_workspace::{CrateType, Package, TargetKind};

use crate::content::{Source, digest_of_files, digest_of_names};
use crate::files::{self, Stamp, failed};
use crate::freshness::{Freshness, Reason};
use crate::process::{self, Ended, Observe, Reach};
use crate::record::OutputStamp;
use crate::reuse::Found;
use crate::reuse::contents::{self, Part};
use crate::reuse::key::Places;
use crate::run::Build;
use crate::schedule::End;
use crate::{Event, Failure, FailureKind, Options, folders, removal, reuse};

/// Largest stored output that is read again.
const MAX_OUTPUT: u64 = 1 << 30;

/// Runs the build script of the unit at `index`, or puts in place what a run of it left that was `found`.
pub(crate) fn run(build: &Build<'_>, index: UnitIndex, found: Option<&Found>) -> Result<End, Failure> {
    let other = |diagnostic| Failure { unit: index, kind: FailureKind::Other(diagnostic), denied: false };
    let folder = build.planner.script_folder(index);
    let out_dir = folder.join("out");
    let mut record = build.begin(index).map_err(other)?;
    build.invalidate(index).map_err(other)?;
    make_out_dir(build.options, &out_dir).map_err(other)?;
    let command = Arc::new(build.planner.command(index, &build.scripts()));
    let (keys, taken) = take(build, index, found, &command, &out_dir);
    let Ran { stdout, stderr, ended } = match taken {
        Some((stdout, stderr)) => {
            build.emit(Event::Reused { unit: index });
            Ran { stdout, stderr, ended: None }
        }
        None if found.is_some() => return Ok(End::Lost),
        None => start(build, index, &command, &out_dir)?,
    };
    let denied = ended.as_ref().is_some_and(|ended| ended.denied);
    keep(&folder, &stdout, &stderr, &out_dir).map_err(other)?;
    let output = judge(build, index, ended.as_ref(), &command, &stdout, &stderr)
        .and_then(|output| scan(build, index, &out_dir).map(|()| output).map_err(FailureKind::Other));
    let output = output.map_err(|kind| Failure { unit: index, kind, denied })?;
    if ended.is_some() && !denied {
        share(build, index, keys, &stdout, &stderr, &output);
    }

    let unit = build.unit(index);
    let stamp = OutputStamp::take_with_digest(&folder.join("output"))
        .map_err(|error| other(failed("read", &folder, &error)))?;
    record.outputs.push(stamp);
    record.whole_package = output.rerun_if_changed.is_empty() && output.rerun_if_env_changed.is_empty();
    let sources = output.rerun_if_changed.iter().map(|path| unit.package.root.join(path));
    record.sources = sources.map(|path| Source::take(path, record.started)).collect();
    if record.whole_package
        && unit.is_local
        && let Ok(mut files) = build.package_files(&unit.package)
    {
        record.names = Some(digest_of_names(&unit.package.root, &mut files));
        record.package = take_package(&unit.package.root, files, record.started);
    }
    record.left = contents::digest(build, index, Part::Everything).ok().map(|digest| digest.to_string());
    let variables = output.rerun_if_env_changed.iter();
    record.variables = variables.map(|name| (name.clone(), build.variable(unit, name))).collect();
    report_withheld(build, index, &output, &command);
    let path = &build.files(index).record;
    record.write(path, build.options.owner).map_err(|error| other(failed("write", path, &error)))?;
    build.set_record(index, record);
    build.add_script(index, Arc::new(output));
    report(build, index);
    Ok(End::Built)
}

/// What stands for the build of a run whose output is given: the same while that is.
pub(crate) fn identity(output: &BuildScriptOutput) -> u64 {
    let digest = Digest::of(format!("{output:?}").as_bytes());
    digest.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What a run left, as it was `found` in the cache or is now; and under which keys it belongs there if it is not.
fn take(
    build: &Build<'_>,
    index: UnitIndex,
    found: Option<&Found>,
    command: &Command,
    out_dir: &Path,
) -> (reuse::Keyed, Option<reuse::Printed>) {
    if let Some(found) = found {
        return (Err(None), reuse::place_run(build, index, found, out_dir));
    }
    let keys = if is_vacant(out_dir) { reuse::keys(build, index, command) } else { Err(None) };
    let found = keys.as_ref().ok().and_then(|keys| reuse::find(build, index, *keys));
    (keys, found.and_then(|found| reuse::place_run(build, index, &found, out_dir)))
}

/// What a run came to.
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// `None` where it was known without a process.
    ended: Option<Ended>,
}

/// Runs the script's process.
fn start(build: &Build<'_>, index: UnitIndex, command: &Arc<Command>, out_dir: &Path) -> Result<Ran, Failure> {
    build.emit(Event::Started { unit: index, command: Arc::clone(command) });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let reach = Reach { read: vec![command.program.clone()], write: vec![out_dir.to_owned()] };
    let running = process::start(build, index, command, reach, None, Observe::ForeignCode);
    let ended = running.and_then(|running| {
        running.wait(build, |pipe, bytes| match pipe {
            Pipe::Stdout => stdout.extend_from_slice(bytes),
            Pipe::Stderr => stderr.extend_from_slice(bytes),
        })
    });
    match ended {
        Ok(ended) => Ok(Ran { stdout, stderr, ended: Some(ended) }),
        Err(error) => Err(Failure { unit: index, kind: FailureKind::Sandbox(Arc::new(error)), denied: false }),
    }
}

/// Whether there is no such folder, or nothing in it: what an earlier run left is something that a script could read.
pub(crate) fn is_vacant(folder: &Path) -> bool {
    match folder.read_dir() {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Hands the run in for other workspaces, where nothing speaks against it.
fn share(
    build: &Build<'_>,
    index: UnitIndex,
    keys: reuse::Keyed,
    stdout: &[u8],
    stderr: &[u8],
    output: &BuildScriptOutput,
) {
    let out_dir = build.planner.script_folder(index).join("out");
    let package = &build.unit(index).package.root;
    let note = keys.and_then(|keys| Ok((keys, reuse::ran(stdout, stderr, output, package, &out_dir).map_err(Some)?)));
    match note {
        Ok((keys, note)) => build.keeper.keep(reuse::Job { index, keys, note }),
        Err(Some(reason)) => build.emit(Event::NotShared { unit: index, reason }),
        Err(None) => {}
    }
}

/// Whether what the script left in OUT_DIR has this digest, and neither that nor what it said names one of `folders`.
pub(crate) fn names_none(build: &Build<'_>, index: UnitIndex, left: &str, folders: &[PathBuf]) -> bool {
    let (folder, places) = (build.planner.script_folder(index), Places::new(folders));
    let said = contents::file(&folder.join("output"), Some(&places));
    if !places.are_plain() || !said.is_ok_and(|(_, names)| !names) {
        return false;
    }
    contents::folder(&folder.join("out"), Some(&places)).is_ok_and(|(files, names)| {
        !names && contents::digest_of(files.iter().map(|(file, _)| file)).to_string() == left
    })
}

/// The digest of a package's files, if the script must have seen them so.
fn take_package(root: &Path, mut files: Vec<PathBuf>, started: Stamp) -> Option<String> {
    let is_old = |path: &PathBuf| files::newest(path).is_ok_and(|found| found.is_some_and(|it| it.changed <= started));
    if files.iter().all(is_old) { digest_of_files(root, &mut files) } else { None }
}

/// Takes up what a script said in an earlier run. It is judged again: policy may have changed since.
pub(crate) fn recall(build: &Build<'_>, index: UnitIndex) -> Freshness {
    let dirty = |reason: &str| Freshness::Dirty(Some(Reason::Request(reason.to_owned())));
    let path = build.planner.script_folder(index).join("output");
    let Ok(stdout) = files::read(&path, MAX_OUTPUT) else { return dirty("the output of the build script is lost") };
    match parse(build, index, &stdout) {
        Ok(output) => {
            build.add_script(index, Arc::new(output));
            Freshness::Fresh
        }
        Err(_) => dirty("what the build script said is not allowed"),
    }
}

/// Emits what the script said, be it now or in an earlier run.
pub(crate) fn report(build: &Build<'_>, index: UnitIndex) {
    let Some(output) = build.scripts().get(&index).cloned() else { return };
    for message in &output.warnings {
        build.emit(Event::ScriptWarning { unit: index, message: message.clone(), failed: false });
    }
    let out_dir = build.planner.script_folder(index).join("out");
    build.emit(Event::ScriptOutput { unit: index, output, out_dir });
}

fn judge(
    build: &Build<'_>,
    index: UnitIndex,
    ended: Option<&Ended>,
    command: &Arc<Command>,
    stdout: &[u8],
    stderr: &[u8],
) -> Result<BuildScriptOutput, FailureKind> {
    let parsed = parse(build, index, stdout);
    let Some(ended) = ended.filter(|ended| !ended.exit.status.success()) else {
        let output = parsed?;
        if output.errors.is_empty() {
            return Ok(output);
        }
        report_warnings(build, index, &output);
        return Err(FailureKind::ScriptErrors(output.errors));
    };
    if let Ok(output) = parsed {
        report_warnings(build, index, &output);
    }
    Err(FailureKind::Exit {
        command: Arc::clone(command),
        status: ended.exit.status.to_string(),
        limit: ended.limit.map(Box::new),
        output: (String::from_utf8_lossy(stdout).into_owned(), String::from_utf8_lossy(stderr).into_owned()),
        errors: 0,
        warnings: 0,
    })
}

fn report_warnings(build: &Build<'_>, index: UnitIndex, output: &BuildScriptOutput) {
    for message in &output.warnings {
        build.emit(Event::ScriptWarning { unit: index, message: message.clone(), failed: true });
    }
}

/// Reads the directives and asks for each whether it is allowed.
pub(crate) fn parse(build: &Build<'_>, index: UnitIndex, stdout: &[u8]) -> Result<BuildScriptOutput, FailureKind> {
    let unit = build.unit(index);
    let package = &unit.package;
    let name = package.id.to_string();
    let bins = names(package, &TargetKind::Bin);
    let has_cdylib = |kind: &TargetKind| matches!(kind, TargetKind::Lib(types) if types.contains(&CrateType::Cdylib));
    let speaker = Speaker {
        package: &name,
        rust_version: package.details.rust_version.as_deref().and_then(major_minor),
        bins: &bins,
        has_cdylib: package.targets.iter().any(|target| has_cdylib(&target.kind)),
        has_tests: !names(package, &TargetKind::Test).is_empty(),
        has_benches: !names(package, &TargetKind::Bench).is_empty(),
        has_examples: package.targets.iter().any(|target| matches!(target.kind, TargetKind::Example(_))),
    };
    let (mut output, warnings) = build_script::parse(stdout, &speaker).map_err(|error| FailureKind::Other(*error))?;
    output.warnings.extend(warnings.into_iter().map(|warning| warning.message));
    // All are judged, so that all are known to whoever proposes grants.
    let judged: Vec<_> = output.directives().map(|it| (build.options.check_directive)(unit, &it)).collect();
    match judged.into_iter().find_map(Result::err) {
        Some(refused) => Err(FailureKind::Denied(refused)),
        None => Ok(output),
    }
}

fn names<'a>(package: &'a Package, kind: &TargetKind) -> Vec<&'a str> {
    package.targets.iter().filter(|target| target.kind == *kind).map(|target| target.name.as_str()).collect()
}

fn major_minor(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split('.');
    let major = numbers.next()?.parse().ok()?;
    Some((major, numbers.next().map_or(Some(0), |minor| minor.parse().ok())?))
}

fn report_withheld(build: &Build<'_>, index: UnitIndex, output: &BuildScriptOutput, command: &Command) {
    let unit = build.unit(index);
    let is_withheld = |name: &&String| {
        !command.environment.iter().any(|(key, _)| key == *name)
            && build.variable(unit, name).is_none()
            && (build.options.has_variable)(name)
    };
    let variables: Vec<String> = output.rerun_if_env_changed.iter().filter(is_withheld).cloned().collect();
    if !variables.is_empty() {
        build.emit(Event::Withheld { unit: index, variables });
    }
}

/// OUT_DIR keeps what earlier runs left, as with Cargo.
fn make_out_dir(options: &Options<'_>, out_dir: &Path) -> Result<(), Diagnostic> {
    let make = || folders::make(options, out_dir).map_err(|error| failed("create", out_dir, &error));
    make()?;
    let prepared = match allow_writing(out_dir) {
        // Folders so deep that no path leads to them: with these nothing can begin.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            removal::remove_folder(out_dir).map_err(|error| failed("remove", out_dir, &error))?;
            return make();
        }
        prepared => prepared,
    };
    prepared.map_err(|error| failed("prepare", out_dir, &error))
}

/// A copy of a package's file is as read-only as the file, which it is not with Cargo; the next run may want to write it
/// again. What cannot be changed is for that run to report.
fn allow_writing(out_dir: &Path) -> io::Result<()> {
    files::walk(out_dir, &|_| true, &mut |path, metadata| {
        let mut permissions = metadata.permissions();
        // A file with another name besides may be more than a part of OUT_DIR.
        if metadata.is_file() && metadata.nlink() == 1 && permissions.readonly() {
            permissions.set_mode(permissions.mode() | 0o200);
            let _ = std::fs::set_permissions(path, permissions);
        }
        Ok(())
    })
}

/// Stores what the script printed where Cargo does.
fn keep(folder: &Path, stdout: &[u8], stderr: &[u8], out_dir: &Path) -> Result<(), Diagnostic> {
    let root_output = out_dir.as_os_str().as_encoded_bytes();
    for (name, bytes) in [("output", stdout), ("stderr", stderr), ("root-output", root_output)] {
        let path = folder.join(name);
        files::write(&path, bytes).map_err(|error| failed("write", &path, &error))?;
    }
    Ok(())
}

/// Refuses what is neither a file nor a folder, and links that lead out of OUT_DIR to other places than the package and
/// the system: the compiler, or whoever packs the artifacts, would follow them. They are removed, and where it is all too much or too
/// deep, all of it is, since the next run of a script finds what the last one left, and would be blamed for it.
fn scan(build: &Build<'_>, index: UnitIndex, out_dir: &Path) -> Result<(), Diagnostic> {
    let package = &build.unit(index).package;
    let limits = (build.options.limits)(ProcessKind::BuildScript);
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let mut refused = None;
    let walked = files::walk(out_dir, &|_| true, &mut |path, metadata| {
        files += 1;
        bytes = bytes.saturating_add(metadata.len());
        if let Some(reason) = stray(path, metadata, out_dir, &package.root)? {
            std::fs::remove_file(path)?;
            refused.get_or_insert_with(|| (path.to_owned(), reason));
        }
        Ok(())
    });
    let walked = walked.map_err(|error| failed("scan", out_dir, &error));
    if let Err(excess) = walked.and_then(|()| check_size(files, bytes, &limits, package)) {
        let _ = removal::remove_folder(out_dir);
        return Err(excess);
    }
    let Some((path, reason)) = refused else { return Ok(()) };
    let message =
        format!("the build script of `{}` left `{}` in OUT_DIR, which is {reason}", package.id, path.display());
    Err(Diagnostic::error("out-dir-link", message))
}

/// What all may hold together that a script leaves, in MiB, if policy says nothing.
const MOST_DISK: u64 = 64 << 10;

fn check_size(files: u64, bytes: u64, limits: &ProcessLimits, package: &Package) -> Result<(), Diagnostic> {
    let disk = limits.disk_mib.unwrap_or(MOST_DISK);
    let excess = if limits.files.is_some_and(|most| files > most) {
        format!("{files} files and folders")
    } else if bytes > disk.saturating_mul(1 << 20) {
        format!("more than {disk} MiB")
    } else {
        return Ok(());
    };
    let message = format!("the build script of `{}` left {excess} in OUT_DIR", package.id);
    let help = "`[limits.build-script]` in a policy sets how much it may be (`files`, `disk-mib`)";
    Err(Diagnostic::error("out-dir-size", message).help(help))
}

/// What makes an entry of `out_dir` one that does not stay there; nothing does for files and folders, and for links that lead to a
/// place in it, in `package` or of the system.
pub(crate) fn stray(path: &Path, metadata: &Metadata, out_dir: &Path, package: &Path) -> io::Result<Option<String>> {
    if metadata.is_symlink() {
        let target = std::fs::read_link(path)?;
        let leads_outside = !is_inside(path, &target, out_dir, package)?;
        return Ok(leads_outside.then(|| format!("a link to `{}`", target.display())));
    }
    Ok((!metadata.is_file() && !metadata.is_dir()).then(|| "neither a file nor a folder".to_owned()))
}

fn is_inside(link: &Path, target: &Path, out_dir: &Path, package: &Path) -> io::Result<bool> {
    let allowed = |path: &Path| [out_dir, package, Path::new("/usr")].iter().any(|folder| path.starts_with(folder));
    match link.canonicalize() {
        Ok(resolved) => Ok(allowed(&resolved) || out_dir.canonicalize().is_ok_and(|out| resolved.starts_with(out))),
        // It dangles: what counts is where it would lead.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(allowed(&files::normalise(&link.parent().unwrap_or(Path::new("/")).join(target))))
        }
        Err(_) => Ok(false),
    }
}
