//! The targets of a package (Cargo Book, "Cargo Targets"): those that the manifest names, and those that are found.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::manifest::{BuildScript, Manifest, PackageTable, Spanned, TargetTable};
use bulkhead_schema::{Diagnostic, Symbol};

use super::Standing;
use super::discovery::{self, Found};
use crate::{CrateType, Edition, Files, Target, TargetKind, path};

/// What the targets of one package are found from.
pub(crate) struct Search<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) manifest: &'a Manifest,
    pub(crate) package: &'a PackageTable,
    pub(crate) name: &'a str,
    pub(crate) root: &'a Path,
    pub(crate) edition: Edition,
    pub(crate) standing: Standing<'a>,
}

/// The kinds of target that there may be several of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Many {
    Binary,
    Example,
    Test,
    Bench,
}

impl Many {
    /// The manifest's key.
    fn key(self) -> &'static str {
        match self {
            Self::Binary => "bin",
            Self::Example => "example",
            Self::Test => "test",
            Self::Bench => "bench",
        }
    }

    /// The word of messages.
    fn word(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            other => other.key(),
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Binary => "src/bin",
            Self::Example => "examples",
            Self::Test => "tests",
            Self::Bench => "benches",
        }
    }
}

/// The code of warnings that are errors to whoever compiles the package as part of his workspace.
pub(crate) const MISSING_FILE: &str = "target-file-missing";

/// Names of folders below `target/debug`, which a program of that name would clash with.
const RESERVED_BINARIES: &[&str] = &["build", "deps", "examples", "incremental"];

/// All targets, in the order of `cargo metadata`: library, binaries, examples, tests, benchmarks (each sorted by name),
/// build script.
pub(crate) fn targets(search: &Search<'_>, findings: &mut Vec<Diagnostic>) -> Vec<Arc<Target>> {
    let mut targets = Vec::new();
    targets.extend(search.library(findings));
    for kind in [Many::Binary, Many::Example, Many::Test, Many::Bench] {
        targets.extend(search.many(kind, findings));
    }
    targets.extend(search.build_script(findings));
    if targets.iter().all(Target::is_build_script) && !super::inherit::has_errors(findings) {
        let message = "no targets specified in the manifest: either src/lib.rs, src/main.rs, a [lib] section, or [[bin]] \
                       section must be present";
        findings.push(search.manifest.error("no-targets", message, search.package.span.clone()));
    }
    targets.into_iter().map(Arc::new).collect()
}

impl Search<'_> {
    fn library(&self, findings: &mut Vec<Diagnostic>) -> Option<Target> {
        let usual = PathBuf::from("src/lib.rs");
        let found = self.files.is_file(&self.root.join(&usual));
        let empty = TargetTable::default();
        let table = match &self.manifest.library {
            Some(table) => table,
            None if found && self.package.autolib != Some(false) => &empty,
            None => return None,
        };
        let name = match &table.name {
            Some(name) => name.get_ref().clone(),
            None => self.name.replace('-', "_"),
        };
        let name_span = table.name.as_ref().map_or(table.span.clone(), Spanned::span);
        if name.contains('-') {
            let message = format!("library target names cannot contain hyphens: {name}");
            findings.push(self.manifest.error("target-name", message, name_span.clone()));
        }
        self.check_name("library", &name, name_span, findings);
        // Edition 2015 also looked for `src/NAME.rs`.
        let legacy = PathBuf::from(format!("src/{name}.rs"));
        let file = match &table.path {
            Some(path) => self.inside("lib.path", path.get_ref(), path.span(), findings)?,
            None if found => usual,
            None if self.edition == Edition::E2015 && self.files.is_file(&self.root.join(&legacy)) => legacy,
            None => {
                let message = format!("can't find library `{name}`, rename file to `src/lib.rs` or specify lib.path");
                findings.push(self.manifest.error("target-missing", message, table.span.clone()));
                return None;
            }
        };
        let types = self.library_types(table, findings);
        let doctestable =
            types.iter().any(|kind| matches!(kind, CrateType::Lib | CrateType::Rlib | CrateType::ProcMacro));
        let defaults = Defaults { test: true, bench: true, doc: true, doctest: doctestable };
        let mut target = self.target(table, TargetKind::Lib(types), &name, &file, defaults, findings);
        target.doctest &= doctestable;
        target.required_features = None;
        Some(target)
    }

    fn library_types(&self, table: &TargetTable, findings: &mut Vec<Diagnostic>) -> Vec<CrateType> {
        if table.proc_macro == Some(true) && table.crate_types.is_none() {
            return vec![CrateType::ProcMacro];
        }
        let types = self.crate_types(table, findings);
        if types.len() > 1 && types.contains(&CrateType::ProcMacro) {
            let message = "cannot mix `proc-macro` crate type with others";
            findings.push(self.manifest.error("crate-type", message, table.span.clone()));
        }
        if types.is_empty() { vec![CrateType::Lib] } else { types }
    }

    fn crate_types(&self, table: &TargetTable, findings: &mut Vec<Diagnostic>) -> Vec<CrateType> {
        let mut types = Vec::new();
        for word in table.crate_types.iter().flatten() {
            match CrateType::parse(word.get_ref()) {
                Some(kind) => types.push(kind),
                None => {
                    let message = format!("unknown crate type `{}`", word.get_ref());
                    findings.push(self.manifest.error("crate-type", message, word.span()));
                }
            }
        }
        types
    }

    /// The targets of one kind: the manifest's, then found ones whose name and path it doesn't claim.
    fn many(&self, kind: Many, findings: &mut Vec<Diagnostic>) -> Vec<Target> {
        let (tables, auto) = self.declared(kind);
        let found = match kind {
            Many::Binary => discovery::binaries(self.files, self.root, self.name),
            _ => discovery::in_folder(self.files, self.root, Path::new(kind.folder())),
        };
        let mut targets = Vec::new();
        for table in tables.unwrap_or_default() {
            targets.extend(self.declared_target(kind, table, &found, findings));
        }
        // Edition 2015 stops looking as soon as one target of the kind is named.
        if auto.unwrap_or(self.edition != Edition::E2015 || tables.is_none()) {
            let claimed: BTreeSet<_> = targets.iter().flat_map(|t| [t.path.clone(), PathBuf::from(&*t.name)]).collect();
            for Found { name, path } in found {
                if !claimed.contains(Path::new(&name)) && !claimed.contains(&self.root.join(&path)) {
                    let empty = TargetTable::default();
                    targets.push(self.one(kind, &empty, &name, &path, findings));
                }
            }
        }
        // A manifest that leaves nothing to find, as `cargo publish` writes it, keeps its order.
        let complete = |table: &TargetTable| table.name.is_some() && table.path.is_some();
        if auto != Some(false) || !tables.unwrap_or_default().iter().all(complete) {
            targets.sort_by_key(|target| target.name);
        }
        let mut names = BTreeSet::new();
        for name in targets.iter().map(|target| target.name).filter(|name| !names.insert(*name)) {
            let word = kind.word();
            let message = format!("found duplicate {word} name {name}, but all {word} targets must have a unique name");
            findings.push(self.manifest.error("target-duplicate", message, self.package.span.clone()));
        }
        targets
    }

    fn declared(&self, kind: Many) -> (Option<&[TargetTable]>, Option<bool>) {
        let (tables, auto) = match kind {
            Many::Binary => (&self.manifest.binaries, self.package.autobins),
            Many::Example => (&self.manifest.examples, self.package.autoexamples),
            Many::Test => (&self.manifest.tests, self.package.autotests),
            Many::Bench => (&self.manifest.benches, self.package.autobenches),
        };
        (tables.as_deref(), auto)
    }

    fn declared_target(
        &self,
        kind: Many,
        table: &TargetTable,
        found: &[Found],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Target> {
        let Some(name) = &table.name else {
            let message = format!("{} target {}.name is required", kind.word(), kind.key());
            findings.push(self.manifest.error("target-name", message, table.span.clone()));
            return None;
        };
        let file = match &table.path {
            // Packages of one repository share tests in a folder beside theirs, and are published without them.
            Some(path) if !matches!(kind, Many::Binary) && !self.is_inside(path.get_ref()) => return None,
            Some(path) => self.inside(&format!("{}.path", kind.key()), path.get_ref(), path.span(), findings)?,
            None => self.usual_path(kind, name, found, findings)?,
        };
        Some(self.one(kind, table, name.get_ref(), &file, findings))
    }

    /// Where a named target without `path` is.
    fn usual_path(
        &self,
        kind: Many,
        name: &Spanned<String>,
        found: &[Found],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<PathBuf> {
        let text = name.get_ref().as_str();
        let mut matching = found.iter().filter(|candidate| candidate.name == text);
        let (key, folder) = (kind.key(), kind.folder());
        let message = match (matching.next(), matching.next()) {
            (Some(only), None) => return Some(only.path.clone()),
            (Some(one), Some(other)) => format!(
                "cannot infer path for `{text}` {key}: multiple target files found at `{}` and `{}`",
                one.path.display(),
                other.path.display()
            ),
            _ => {
                if let Some(path) = self.legacy_path(kind, text) {
                    return Some(path);
                }
                format!(
                    "can't find `{text}` {key} at `{folder}/{text}.rs` or `{folder}/{text}/main.rs`. Please specify \
                     {key}.path if you want to use a non-default path."
                )
            }
        };
        findings.push(match kind {
            Many::Binary => self.manifest.error("target-missing", message, name.span()),
            // Published packages often leave these files out: only compiling the package itself fails.
            _ => self.manifest.warning(MISSING_FILE, message, name.span()),
        });
        None
    }

    fn has_library(&self) -> bool {
        self.manifest.library.is_some() || self.files.is_file(&self.root.join("src/lib.rs"))
    }

    /// Places in which edition 2015 looks too.
    fn legacy_path(&self, kind: Many, name: &str) -> Option<PathBuf> {
        if self.edition != Edition::E2015 {
            return None;
        }
        let candidates = match kind {
            Many::Binary if self.has_library() => vec!["src/main.rs".to_owned(), "src/bin/main.rs".to_owned()],
            Many::Binary => vec![format!("src/{name}.rs"), "src/main.rs".to_owned(), "src/bin/main.rs".to_owned()],
            Many::Bench => vec!["src/bench.rs".to_owned()],
            Many::Example | Many::Test => Vec::new(),
        };
        candidates.into_iter().map(PathBuf::from).find(|path| self.files.is_file(&self.root.join(path)))
    }

    fn one(&self, kind: Many, table: &TargetTable, name: &str, file: &Path, findings: &mut Vec<Diagnostic>) -> Target {
        let span = table.name.as_ref().map_or(self.package.span.clone(), Spanned::span);
        self.check_name(kind.word(), name, span.clone(), findings);
        let off = Defaults { test: false, bench: false, doc: false, doctest: false };
        let (target_kind, defaults) = match kind {
            Many::Binary => (TargetKind::Bin, Defaults { test: true, bench: true, doc: true, ..off }),
            Many::Example => {
                let types = self.crate_types(table, findings);
                let types = if types.is_empty() { vec![CrateType::Bin] } else { types };
                (TargetKind::Example(types), off)
            }
            Many::Test => (TargetKind::Test, Defaults { test: true, ..off }),
            Many::Bench => (TargetKind::Bench, Defaults { bench: true, ..off }),
        };
        if kind == Many::Binary && RESERVED_BINARIES.contains(&name) {
            let message = format!(
                "the binary target name `{name}` is forbidden, it conflicts with cargo's build directory names"
            );
            findings.push(self.manifest.error("target-name", message, span));
        }
        let mut target = self.target(table, target_kind, name, file, defaults, findings);
        target.doctest = false;
        target
    }

    fn target(
        &self,
        table: &TargetTable,
        kind: TargetKind,
        name: &str,
        file: &Path,
        defaults: Defaults,
        findings: &mut Vec<Diagnostic>,
    ) -> Target {
        let edition = match &table.edition {
            Some(edition) => super::edition(self.manifest, edition.get_ref(), edition.span(), findings),
            None => self.edition,
        };
        Target {
            kind,
            name: name.into(),
            path: path::join(self.root, file),
            edition,
            required_features: table
                .required_features
                .as_ref()
                .map(|names| names.iter().map(|name| Symbol::new(name.get_ref())).collect()),
            test: table.test.unwrap_or(defaults.test),
            doctest: table.doctest.unwrap_or(defaults.doctest),
            bench: table.bench.unwrap_or(defaults.bench),
            doc: table.doc.unwrap_or(defaults.doc),
            harness: table.harness.unwrap_or(true),
        }
    }

    fn build_script(&self, findings: &mut Vec<Diagnostic>) -> Option<Target> {
        let usual = || PathBuf::from("build.rs");
        let file = match self.package.build.as_ref().map(|build| (build.get_ref(), build.span())) {
            None => Some(usual()).filter(|path| self.files.is_file(&self.root.join(path)))?,
            Some((BuildScript::Flag(false), _)) => return None,
            Some((BuildScript::Flag(true), _)) => usual(),
            Some((BuildScript::Path(path), span)) => self.inside("package.build", path, span, findings)?,
        };
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let defaults = Defaults { test: false, bench: false, doc: false, doctest: false };
        let name = format!("build-script-{stem}");
        Some(self.target(&TargetTable::default(), TargetKind::BuildScript, &name, &file, defaults, findings))
    }

    /// The path of a target. A downloaded package must not name files of this machine.
    fn inside(&self, key: &str, file: &str, span: Range<usize>, findings: &mut Vec<Diagnostic>) -> Option<PathBuf> {
        if !self.is_inside(file) {
            let message = format!("`{key}` of the downloaded package `{}` leads out of the package", self.name);
            findings.push(self.manifest.error("target-outside-package", message, span));
            return None;
        }
        Some(PathBuf::from(file))
    }

    fn is_inside(&self, file: &str) -> bool {
        self.standing.allows(self.root, Path::new(file))
    }

    /// A target's name becomes a file's name below `target/`, so it must not be able to lead elsewhere.
    fn check_name(&self, word: &str, name: &str, span: Range<usize>, findings: &mut Vec<Diagnostic>) {
        let problem = if name.trim().is_empty() {
            format!("{word} target names cannot be empty")
        } else if name.len() > bulkhead_schema::ids::MAX_NAME_LENGTH {
            format!("{word} target names cannot be longer than {} bytes", bulkhead_schema::ids::MAX_NAME_LENGTH)
        } else if name.chars().any(|c| matches!(c, '/' | '\\' | ':') || c.is_control()) || matches!(name, "." | "..") {
            format!("invalid character in {word} target name {name:?}: it could not name a file")
        } else {
            return;
        };
        findings.push(self.manifest.error("target-name", problem, span));
    }
}

/// What a target does where its table doesn't say.
#[derive(Clone, Copy)]
struct Defaults {
    test: bool,
    bench: bool,
    doc: bool,
    doctest: bool,
}
