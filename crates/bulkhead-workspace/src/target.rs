//! Compilation targets of a package.

use std::path::PathBuf;

use bulkhead_schema::Symbol;

/// A language edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edition {
    /// 2015, the default of a manifest that names none.
    E2015,
    /// 2018
    E2018,
    /// 2021
    E2021,
    /// 2024
    E2024,
}

impl Edition {
    /// Every edition, oldest first.
    pub const ALL: [Self; 4] = [Self::E2015, Self::E2018, Self::E2021, Self::E2024];

    /// The edition that manifests and rustc call `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|edition| edition.as_str() == text)
    }

    /// The oldest Rust that knows it.
    pub fn first_version(self) -> semver::Version {
        match self {
            Self::E2015 => semver::Version::new(1, 0, 0),
            Self::E2018 => semver::Version::new(1, 31, 0),
            Self::E2021 => semver::Version::new(1, 56, 0),
            Self::E2024 => semver::Version::new(1, 85, 0),
        }
    }

    /// The form rustc and manifests use, such as `2024`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::E2015 => "2015",
            Self::E2018 => "2018",
            Self::E2021 => "2021",
            Self::E2024 => "2024",
        }
    }
}

/// What rustc's `--crate-type` accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CrateType {
    /// `bin`
    Bin,
    /// `lib`
    Lib,
    /// `rlib`
    Rlib,
    /// `dylib`
    Dylib,
    /// `cdylib`
    Cdylib,
    /// `staticlib`
    Staticlib,
    /// `proc-macro`
    ProcMacro,
}

impl CrateType {
    /// The crate type that a manifest's `word` means.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Bin, Self::Lib, Self::Rlib, Self::Dylib, Self::Cdylib, Self::Staticlib, Self::ProcMacro];
        all.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word of manifests and rustc.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bin => "bin",
            Self::Lib => "lib",
            Self::Rlib => "rlib",
            Self::Dylib => "dylib",
            Self::Cdylib => "cdylib",
            Self::Staticlib => "staticlib",
            Self::ProcMacro => "proc-macro",
        }
    }
}

/// The kind of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetKind {
    /// The library, with the crate types asked for, in manifest order.
    Lib(Vec<CrateType>),
    /// A program.
    Bin,
    /// An example; a program unless it names library crate types.
    Example(Vec<CrateType>),
    /// An integration test.
    Test,
    /// A benchmark.
    Bench,
    /// The build script.
    BuildScript,
}

impl TargetKind {
    /// The word of messages; the main one where manifests know several.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Lib(_) => "lib",
            Self::Bin => "bin",
            Self::Example(_) => "example",
            Self::Test => "test",
            Self::Bench => "bench",
            Self::BuildScript => "build script",
        }
    }
}

/// One thing that rustc can be asked to build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Its kind.
    pub kind: TargetKind,
    /// Its name as the manifest has it; see [`Target::crate_name`].
    pub name: Symbol,
    /// Absolute path of its root source file.
    pub path: PathBuf,
    /// Its edition.
    pub edition: Edition,
    /// Features without which it is skipped.
    pub required_features: Option<Vec<Symbol>>,
    /// Whether `test` builds it by default.
    pub test: bool,
    /// Whether doctests are run.
    pub doctest: bool,
    /// Whether `bench` builds it by default.
    pub bench: bool,
    /// Whether `doc` documents it by default.
    pub doc: bool,
    /// Whether the test harness is used.
    pub harness: bool,
}

impl Target {
    /// The name rustc gets: `-` becomes `_`.
    pub fn crate_name(&self) -> String {
        self.name.replace('-', "_")
    }

    /// What rustc is asked for with `--crate-type`, outside test mode.
    pub fn crate_types(&self) -> &[CrateType] {
        match &self.kind {
            TargetKind::Lib(types) | TargetKind::Example(types) => types,
            TargetKind::Bin | TargetKind::Test | TargetKind::Bench | TargetKind::BuildScript => &[CrateType::Bin],
        }
    }

    /// Whether it is a procedural macro.
    pub fn is_proc_macro(&self) -> bool {
        matches!(&self.kind, TargetKind::Lib(types) if types.contains(&CrateType::ProcMacro))
    }

    /// Whether it is the library, of whatever crate type.
    pub fn is_lib(&self) -> bool {
        matches!(self.kind, TargetKind::Lib(_))
    }

    /// Whether it is the build script.
    pub fn is_build_script(&self) -> bool {
        self.kind == TargetKind::BuildScript
    }
}
