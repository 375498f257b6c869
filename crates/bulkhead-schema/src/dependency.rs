//! What one package asks of another.

use semver::VersionReq;

use crate::platform::Platform;
use crate::{PackageName, SourceId, Symbol};

/// Which table of the manifest a dependency stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DependencyKind {
    /// `[dependencies]`
    Normal,
    /// `[dev-dependencies]`
    Development,
    /// `[build-dependencies]`
    Build,
}

/// One entry of a dependency table, after inheritance, or of an index entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The real name of the wanted package.
    pub package: PackageName,
    /// The key under which the manifest names it, where it also gives `package` (`alias = { package = "real" }`), even if
    /// the two are equal.
    pub rename: Option<Symbol>,
    /// Accepted versions.
    pub requirement: VersionReq,
    /// The table.
    pub kind: DependencyKind,
    /// Only on platforms that match (`[target.'cfg(…)'.dependencies]`).
    pub platform: Option<Platform>,
    /// Whether a feature must switch it on.
    pub optional: bool,
    /// Whether the `default` feature is asked for.
    pub default_features: bool,
    /// Features asked for, in manifest order.
    pub features: Vec<Symbol>,
    /// Where the package must come from.
    pub source: SourceId,
    /// The version requirement as it was written, for `metadata`; `None` where the dependency named no version.
    pub specified_requirement: bool,
}

impl Dependency {
    /// The name under which the depending package's manifest and features know it.
    pub fn name_in_manifest(&self) -> Symbol {
        self.rename.unwrap_or_else(|| self.package.symbol())
    }
}
