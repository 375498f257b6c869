//! Hashes that keep the files of different units apart and the symbols of different crates.

use std::path::Path;

use bulkhead_schema::Symbol;
use bulkhead_workspace::Profile;
use sha2::{Digest as _, Sha256};

use crate::lto::LtoRole;
use crate::{BuildOptions, CompileKind, CompileMode, Toolchain, Unit, UnitDependency, UnitGraph};

/// Both hashes of a unit, each 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitHash {
    /// For file and folder names.
    pub(crate) file: String,
    /// For `-C metadata`, and so for symbols: as `file`, but without RUSTFLAGS, so that flags that change no code leave
    /// the code the same.
    pub(crate) symbols: String,
}

/// The hashes of all units, by index.
pub(crate) fn hashes(
    graph: &UnitGraph,
    roles: &[LtoRole],
    toolchain: &Toolchain,
    options: &BuildOptions,
) -> Vec<UnitHash> {
    let mut hashes: Vec<UnitHash> = Vec::with_capacity(graph.units.len());
    for ((index, unit), role) in graph.iter().zip(roles) {
        let is_root = graph.roots.contains(&index);
        let own = own_parts(unit, *role, is_root, toolchain, options);
        let (mut symbols, mut file) = (Parts::new(&own), Parts::new(&own));
        // A page has one place, whether or not dependencies are documented as well.
        let is_beside = |dependency: &&UnitDependency| {
            unit.mode == CompileMode::Doc && graph.unit(dependency.unit).mode == CompileMode::Doc
        };
        for dependency in unit.dependencies.iter().filter(|dependency| !is_beside(dependency)) {
            let known = &hashes[dependency.unit.0 as usize];
            symbols.add(&known.symbols);
            file.add(&known.file);
        }
        let flags = options.flags.get(&unit.platform);
        for flag in flags.map(|flags| &flags.rustflags).into_iter().flatten() {
            file.add(flag);
        }
        hashes.push(UnitHash { file: file.finish(), symbols: symbols.finish() });
    }
    hashes
}

fn own_parts(unit: &Unit, role: LtoRole, is_root: bool, toolchain: &Toolchain, options: &BuildOptions) -> Vec<String> {
    let id = unit.package.id;
    let mut parts = vec![
        // Raised when the meaning of the parts below changes.
        String::from("1"),
        id.name().to_string(),
        id.version().to_string(),
        source(unit, &options.workspace_root),
        format!("{:?} {:?} {}", unit.mode, unit.target.kind, unit.target.name),
        profile_text(&unit.profile, role),
        match unit.platform {
            CompileKind::Host => String::from("host"),
            CompileKind::Target(triple) => format!("target {triple}"),
        },
        toolchain.verbose_version.clone(),
        unit.features.len().to_string(),
    ];
    parts.extend(unit.features.iter().map(|feature| feature.to_string()));
    if options.rustc_workspace_wrapper.is_some() && options.members.contains(&id) {
        parts.push(format!("wrapped by {:?}", options.rustc_workspace_wrapper));
    }
    // Documentation has one place, however it is made.
    if is_root && unit.mode != CompileMode::Doc {
        parts.extend(options.extra_arguments.iter().cloned());
    }
    parts
}

/// The settings of a profile and not its name, so that `build` and `test` share what `dev` and `test` compile alike.
pub(crate) fn profile_text(profile: &Profile, role: LtoRole) -> String {
    format!("{:?} {role:?}", Profile { name: Symbol::from(""), ..profile.clone() })
}

/// The package's source; below the workspace's root relative to it, so that a moved workspace keeps its hashes. A git
/// package takes the place of the one of an earlier commit, which its path tells apart.
fn source(unit: &Unit, workspace_root: &Path) -> String {
    let source = unit.package.id.source();
    match source.local_path() {
        Some(path) => match path.strip_prefix(workspace_root) {
            Ok(relative) => format!("path {}", relative.display()),
            Err(_) => source.to_string(),
        },
        None => source.without_commit().to_string(),
    }
}

struct Parts(Sha256);

impl Parts {
    fn new(parts: &[String]) -> Self {
        let mut new = Self(Sha256::new());
        for part in parts {
            new.add(part);
        }
        new
    }

    /// Lengths keep `["ab"]` and `["a", "b"]` apart.
    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn finish(self) -> String {
        short_hex(&self.0.finalize())
    }
}

/// The first eight bytes in hexadecimal.
fn short_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A hash of a text that would be too long to store.
pub(crate) fn text_hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut parts = Parts(Sha256::new());
    for text in texts {
        parts.add(text);
    }
    parts.finish()
}
