//! `cargo xtask release`: the binary that is shipped, made from exactly one commit, with its digest and a provenance
//! statement. `--verify` makes it twice, in folders of different names, and compares byte for byte.

use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_test_support::{sha256_hex, sysroot, toolchain_program};
use clap::ArgMatches;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::CommandResult;
use crate::arguments::{Given, path, switch, value};
use crate::tidy::repository_root;

/// What `buildType` names: docs/decisions/release.md says what it means.
const BUILD_TYPE: &str = "urn:bulkhead:release:v1";

struct Options {
    verify: bool,
    folder: PathBuf,
    builder: String,
}

pub(crate) fn command() -> clap::Command {
    let folder = repository_root().join("target/release-files");
    clap::Command::new("release")
        .about("Build what is shipped from the last commit, with its digest and a SLSA provenance statement")
        .arg(switch("verify").help("Build it twice in different folders and compare byte for byte"))
        .arg(path("dir").default_value(folder.into_os_string()).help("Where the files are written"))
        .arg(value("builder", "URI").default_value("urn:bulkhead:by-hand").help("Who builds, for the statement"))
}

/// Builds, compares if asked, and writes the three files.
pub(crate) fn run(arguments: &ArgMatches) -> CommandResult {
    let options = Options {
        verify: arguments.get_flag("verify"),
        folder: arguments.path_of("dir").unwrap_or_default(),
        builder: arguments.text_of("builder").unwrap_or_default(),
    };
    let root = repository_root();
    let commit = Commit::read(&root)?;
    let work = std::env::temp_dir().join(format!("bulkhead-release-{}", std::process::id()));
    let result = make(&options, &root, &commit, &work);
    let _ = std::fs::remove_dir_all(&work);
    result
}

fn make(options: &Options, root: &Path, commit: &Commit, work: &Path) -> CommandResult {
    let binary = build(root, commit, &work.join("a"))?;
    if options.verify {
        let again = build(root, commit, &work.join("a-folder-of-another-name"))?;
        if let Some(offset) = first_difference(&binary, &again) {
            let sizes = (binary.len(), again.len());
            println!("release: the two builds differ at byte {offset} (sizes {} and {})", sizes.0, sizes.1);
            write_program(&options.folder.join("differs"), &again)?;
            write_program(&options.folder.join("bulkhead"), &binary)?;
            return Ok(false);
        }
        println!("release: two builds in different folders are the same {} bytes", binary.len());
    }
    let digest = sha256_hex(&binary);
    let statement = statement(options, commit, &digest, &packages(root)?)?;
    write_program(&options.folder.join("bulkhead"), &binary)?;
    write(&options.folder.join("bulkhead.sha256"), format!("{digest}  bulkhead\n").as_bytes())?;
    write(&options.folder.join("bulkhead.intoto.json"), format!("{statement:#}\n").as_bytes())?;
    println!("release: sha256 {digest}, in {}", options.folder.display());
    Ok(true)
}

/// What is released: never the working folder, which nobody else has.
struct Commit {
    id: String,
    /// Seconds since 1970, for tools that would otherwise write the time of the build.
    time: String,
}

impl Commit {
    fn read(root: &Path) -> Result<Commit, String> {
        let text = output(Command::new("git").args(["show", "-s", "--format=%H %ct", "HEAD"]).current_dir(root))?;
        let (id, time) = text.trim().split_once(' ').ok_or("git named no commit")?;
        Ok(Commit { id: id.to_owned(), time: time.to_owned() })
    }

    fn unpack(&self, root: &Path, folder: &Path) -> Result<(), String> {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let archive = folder.with_extension("tar");
        let arguments = ["archive", "--format=tar", "-o"];
        output(Command::new("git").args(arguments).arg(&archive).arg(&self.id).current_dir(root))?;
        output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder))?;
        Ok(())
    }
}

/// The binary as it comes out of a fresh folder. Everything that could tell one machine from another is mapped away or fixed.
fn build(root: &Path, commit: &Commit, folder: &Path) -> Result<Vec<u8>, String> {
    commit.unpack(root, folder)?;
    let home = cargo_home()?;
    let mapped = [(folder, "/bulkhead"), (home.as_path(), "/cargo"), (Path::new(sysroot()), "/toolchain")];
    let rust = mapped.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).join("\u{1f}");
    let c = mapped.map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).join(" ");
    let arguments = ["build", "--profile", "dist", "--locked", "--package", "bulkhead-cli", "--target-dir"];
    let target = folder.join("target");
    let mut cargo = Command::new(toolchain_program("cargo"));
    cargo.args(arguments).arg(&target).current_dir(folder);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust).env("CFLAGS", c).env("SOURCE_DATE_EPOCH", &commit.time);
    cargo.env("CARGO_HOME", &home).env("CARGO_INCREMENTAL", "0").env_remove("RUSTFLAGS");
    let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", sysroot().display());
    cargo.env("PATH", path);
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the release does not build".to_owned());
    }
    let path = target.join("dist/bulkhead");
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn cargo_home() -> Result<PathBuf, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"))).ok_or("no HOME".to_owned())
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    let common = left.iter().zip(right).position(|(left, right)| left != right);
    common.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))
}

#[derive(Deserialize)]
struct Lockfile {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// What the lockfile pins by digest.
fn packages(root: &Path) -> Result<Vec<Package>, String> {
    let text = std::fs::read_to_string(root.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    let lockfile: Lockfile = toml::from_str(&text).map_err(|error| format!("Cargo.lock: {error}"))?;
    Ok(lockfile.package.into_iter().filter(|package| package.checksum.is_some()).collect())
}

/// An in-toto Statement v1 with a SLSA Provenance v1 predicate. It holds no time, so that it reproduces like the binary.
fn statement(options: &Options, commit: &Commit, digest: &str, packages: &[Package]) -> Result<Value, String> {
    let compiler = output(Command::new(toolchain_program("rustc")).arg("-vV"))?;
    let field = |name: &str| compiler.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let source = json!({ "uri": "git+urn:bulkhead:source", "digest": { "gitCommit": commit.id } });
    let toolchain =
        json!({ "uri": format!("urn:rustc:{}", field("release:")), "digest": { "gitCommit": field("commit-hash:") } });
    let pinned = packages.iter().map(|package| {
        let uri = format!("pkg:cargo/{}@{}", package.name, package.version);
        json!({ "uri": uri, "digest": { "sha256": package.checksum } })
    });
    let dependencies: Vec<Value> = [source, toolchain].into_iter().chain(pinned).collect();
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "bulkhead", "digest": { "sha256": digest } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "package": "bulkhead-cli", "profile": "dist", "platform": field("host:") },
                "internalParameters": { "sourceDateEpoch": commit.time },
                "resolvedDependencies": dependencies,
            },
            "runDetails": { "builder": { "id": options.builder } },
        },
    }))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// The program among the files can be started.
fn write_program(path: &Path, bytes: &[u8]) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, bytes)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, executable).map_err(|error| format!("{}: {error}", path.display()))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed: {said}", command.get_program().display()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Commit, Options, Package, first_difference, statement};
    use std::path::PathBuf;

    #[test]
    fn differences_are_found_wherever_they_are() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"abc", b"abcd"), Some(3));
    }

    #[test]
    fn a_statement_names_the_subject_and_what_went_in() {
        let options = Options { verify: false, folder: PathBuf::new(), builder: "urn:test".to_owned() };
        let commit = Commit { id: "c0ffee".to_owned(), time: "1".to_owned() };
        let package = Package { name: "one".into(), version: "1.0.0".into(), checksum: Some("ab".into()) };
        let statement = statement(&options, &commit, "12", &[package]).unwrap();
        assert_eq!(statement["subject"][0]["digest"]["sha256"], "12");
        let definition = &statement["predicate"]["buildDefinition"];
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "c0ffee");
        assert_eq!(definition["resolvedDependencies"][2]["uri"], "pkg:cargo/one@1.0.0");
        assert_ne!(definition["externalParameters"]["platform"], "");
    }
}
