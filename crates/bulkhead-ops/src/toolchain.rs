//! Finding the Rust toolchain, without running anything that the project chose.
//!
//! rustup's shims read the project's `rust-toolchain` file and may start whatever it names, and they fail without a
//! home; so the shim is recognised and resolved here, by rustup's own documented order: `RUSTUP_TOOLCHAIN`, a folder
//! override, the nearest `rust-toolchain[.toml]`, the default toolchain.

use std::path::{Path, PathBuf};

use bulkhead_schema::Diagnostic;
use bulkhead_workspace::Files as _;

use crate::observed::Disk;
use crate::options::Place;
use crate::programs::find_program;
use crate::{Error, ErrorKind};

/// Largest file of rustup's settings that is read, in bytes.
const MAX_SETTINGS: u64 = 1024 * 1024;

/// The real `rustc`: `configured` (from `RUSTC` or trusted configuration) or the one on `PATH`, seen through rustup.
///
/// # Errors
/// There is none, or the project's `rust-toolchain` file asks for something that is not installed or not allowed.
pub fn find_rustc(place: &Place, configured: Option<&Path>, workspace_root: &Path) -> crate::error::Result<PathBuf> {
    let found = match configured {
        Some(path) if path.is_absolute() => Some(path.to_path_buf()),
        Some(path) => find_program(place, &path.to_string_lossy(), workspace_root),
        None => find_program(place, "rustc", workspace_root),
    };
    let rustc = found.ok_or_else(|| {
        Error::failure("no Rust compiler was found")
            .because("no absolute folder of PATH outside the workspace, of target folders and of the current folder holds a program `rustc`")
            .help("install a toolchain with rustup, or set RUSTC to the absolute path of rustc")
    })?;
    if !is_rustup_shim(&place.disk, &rustc) {
        return Ok(in_real_folder(&place.disk, &rustc));
    }
    let toolchain = rustup_toolchain(place, workspace_root)?;
    let real = toolchain.join("bin/rustc");
    if place.disk.is_executable(&real) {
        return Ok(in_real_folder(&place.disk, &real));
    }
    let name = toolchain.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(Error::failure(format!("the Rust toolchain `{name}` is not installed"))
        .because(format!("{} does not exist", real.display()))
        .help(format!("run `rustup toolchain install {name}`")))
}

/// The compiler without the links that lead to its folder (`rustup toolchain link` makes one): confined processes are
/// shown the toolchain where it is, and two names of one toolchain share what they compiled.
fn in_real_folder(disk: &Disk, rustc: &Path) -> PathBuf {
    match (rustc.parent().map(|folder| disk.canonicalize(folder)), rustc.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => rustc.to_path_buf(),
    }
}

/// A shim is a link to `rustup`, or a copy of it with `rustup` beside it.
fn is_rustup_shim(disk: &Disk, rustc: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    if disk.canonicalize(rustc).is_ok_and(|real| real.file_name().is_some_and(|name| name == "rustup")) {
        return true;
    }
    let Some(folder) = rustc.parent() else { return false };
    match (disk.metadata(rustc), disk.metadata(&folder.join("rustup"))) {
        (Ok(shim), Ok(rustup)) => {
            (shim.dev(), shim.ino()) == (rustup.dev(), rustup.ino()) || shim.len() == rustup.len()
        }
        _ => false,
    }
}

fn rustup_toolchain(place: &Place, workspace_root: &Path) -> crate::error::Result<PathBuf> {
    let rustup_home = match place.variable("RUSTUP_HOME") {
        Some(home) => PathBuf::from(home),
        None => place
            .home
            .as_ref()
            .map(|home| home.join(".rustup"))
            .ok_or_else(|| Error::failure("rustup's folder is unknown").help("set HOME or RUSTUP_HOME"))?,
    };
    let settings = rustup_settings(&place.disk, &rustup_home);
    let name = match place.variable("RUSTUP_TOOLCHAIN") {
        Some(name) => name.to_owned(),
        None => match settings.override_for(&place.current_dir) {
            Some(name) => name,
            None => match toolchain_file(&place.disk, &place.current_dir, workspace_root)? {
                Some(name) => name,
                None => settings.default.clone().ok_or_else(|| {
                    Error::failure("rustup has no default toolchain").help("run `rustup default stable`")
                })?,
            },
        },
    };
    // Only the user's own variable or override can be a path: a toolchain file's channel has been checked.
    if Path::new(&name).is_absolute() {
        return Ok(PathBuf::from(name));
    }
    check_channel(&name).map_err(Error::from)?;
    let toolchains = rustup_home.join("toolchains");
    let exact = toolchains.join(&name);
    if place.disk.is_dir(&exact) {
        return Ok(exact);
    }
    Ok(toolchains.join(format!("{name}-{}", settings.host)))
}

/// What `settings.toml` of rustup says, as far as it matters here.
struct RustupSettings {
    default: Option<String>,
    overrides: Vec<(PathBuf, String)>,
    host: String,
}

impl RustupSettings {
    fn override_for(&self, folder: &Path) -> Option<String> {
        folder
            .ancestors()
            .find_map(|ancestor| self.overrides.iter().find(|(path, _)| path == ancestor).map(|(_, name)| name.clone()))
    }
}

fn rustup_settings(disk: &Disk, rustup_home: &Path) -> RustupSettings {
    let text = disk.read_text(&rustup_home.join("settings.toml"), MAX_SETTINGS).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let string = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let overrides = table.get("overrides").and_then(toml::Value::as_table).into_iter().flatten();
    RustupSettings {
        default: string("default_toolchain"),
        overrides: overrides
            .filter_map(|(path, name)| Some((PathBuf::from(path), name.as_str()?.to_owned())))
            .collect(),
        host: string("default_host_triple").unwrap_or_else(|| format!("{}-unknown-linux-gnu", std::env::consts::ARCH)),
    }
}

/// The channel named by the nearest toolchain file, looked for up to the workspace root and no further.
fn toolchain_file(disk: &Disk, current_dir: &Path, workspace_root: &Path) -> crate::error::Result<Option<String>> {
    for folder in current_dir.ancestors() {
        for name in ["rust-toolchain", "rust-toolchain.toml"] {
            let path = folder.join(name);
            if let Ok(text) = disk.read_text(&path, MAX_SETTINGS) {
                return channel_of(&path, &text).map(Some);
            }
        }
        if folder == workspace_root {
            break;
        }
    }
    Ok(None)
}

fn channel_of(path: &Path, text: &str) -> crate::error::Result<String> {
    if text.len() > 64 * 1024 {
        return Err(Error::failure(format!("{} is larger than 64 KiB", path.display())));
    }
    let channel = match text.parse::<toml::Table>() {
        Ok(table) => {
            let toolchain = table.get("toolchain").and_then(toml::Value::as_table);
            let field = |key: &str| toolchain.and_then(|t| t.get(key)).and_then(toml::Value::as_str);
            if let Some(folder) = field("path") {
                return Err(Error::refusal(
                    ErrorKind::UntrustedConfiguration,
                    "toolchain-path",
                    format!("{} asks for the toolchain in `{folder}`", path.display()),
                )
                .because("a project may name an official channel, not a folder of programs")
                .help("if you trust that toolchain, set RUSTUP_TOOLCHAIN to its absolute path"));
            }
            field("channel").map(str::to_owned)
        }
        Err(_) => Some(text.trim().to_owned()),
    };
    let channel = channel.ok_or_else(|| Error::failure(format!("{} names no channel", path.display())))?;
    check_channel(&channel).map_err(|diagnostic| Error::from(diagnostic).while_doing(format!("{}", path.display())))?;
    Ok(channel)
}

/// An official name: `stable`, `beta`, `nightly`, a version, each with an optional date and host; never a path or URL.
fn check_channel(name: &str) -> Result<(), Diagnostic> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !name.is_empty() && name.len() <= 100 && name.chars().all(allowed) && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    Err(Diagnostic::error("toolchain-name", format!("`{name}` is not the name of a Rust toolchain"))
        .help("use a channel such as `stable`, `1.95` or `nightly-2026-01-01`"))
}

#[cfg(test)]
mod tests {
    use super::{channel_of, check_channel};
    use std::path::Path;

    #[test]
    fn a_toolchain_file_may_name_a_channel_and_nothing_else() {
        let read = |text: &str| channel_of(Path::new("rust-toolchain.toml"), text).map_err(|error| error.to_string());
        assert_eq!(read("[toolchain]\nchannel = \"1.95\"\ncomponents = []").unwrap(), "1.95");
        assert_eq!(read("nightly-2026-01-01\n").unwrap(), "nightly-2026-01-01");
        assert!(read("[toolchain]\npath = \"/tmp/evil\"").unwrap_err().contains("folder of programs"));
        assert!(read("[toolchain]\nchannel = \"https://example.org/x\"").is_err());
        assert!(read("../evil\n").is_err());
        assert!(check_channel("-x").is_err());
    }
}
