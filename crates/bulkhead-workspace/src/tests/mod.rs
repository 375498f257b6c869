//! Fixtures are one string: `//- /path` opens a file. What comes out is printed as text, to be compared.

mod normalized;
mod packages;
mod profiles;
mod repositories;
mod workspaces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::{Diagnostic, SourceId};

use crate::{FileType, Files, LoadOptions, Package, Workspace, load, load_package, target::TargetKind};

/// A tree of files in memory.
pub(super) struct Tree(BTreeMap<PathBuf, Arc<str>>);

impl Tree {
    pub(super) fn parse(fixture: &str) -> Self {
        let mut files = BTreeMap::new();
        for part in fixture.split("//- ").skip(1) {
            let (path, text) = part.split_once('\n').unwrap();
            files.insert(PathBuf::from(path.trim()), text.into());
        }
        Self(files)
    }
}

impl Files for Tree {
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, Diagnostic> {
        Ok(self.0.get(path).cloned())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.0.keys().any(|file| file != path && file.starts_with(path))
    }

    fn list(&self, dir: &Path) -> Vec<(String, FileType)> {
        let below = self.0.keys().filter_map(|file| file.strip_prefix(dir).ok());
        let names: BTreeSet<_> = below
            .filter_map(|rest| {
                let mut parts = rest.components();
                let name = parts.next()?.as_os_str().to_str()?.to_owned();
                let kind = if parts.next().is_some() { "directory" } else { "file" };
                Some((name, kind))
            })
            .collect();
        let kind = |kind| if kind == "file" { FileType::File } else { FileType::Directory };
        // Backwards, so that whoever relies on the order of a listing fails.
        names.into_iter().rev().map(|(name, word)| (name, kind(word))).collect()
    }
}

/// Loads the workspace of the first manifest in `fixture`, or all that is wrong with it.
pub(super) fn load_fixture(fixture: &str) -> Result<(Workspace, Vec<Diagnostic>), Vec<Diagnostic>> {
    let first = fixture.split("//- ").nth(1).unwrap().lines().next().unwrap();
    let registry =
        |name: &str| Ok((name == "mine").then(|| SourceId::parse("sparse+https://example.org/index/").unwrap()));
    let options = LoadOptions {
        manifest_path: first.into(),
        ceilings: vec!["/home".into()],
        registry: &registry,
        profiles: BTreeMap::new(),
        patches: Vec::new(),
        overrides: Vec::new(),
    };
    load(&Tree::parse(fixture), &options)
}

pub(super) fn check(fixture: &str, expect: &expect_test::Expect) {
    let text = match load_fixture(fixture) {
        Ok((workspace, warnings)) => {
            let mut text = show(&workspace);
            for warning in warnings {
                writeln!(text, "warning: {warning}").unwrap();
            }
            text
        }
        Err(errors) => show_errors(&errors),
    };
    expect.assert_eq(&text);
}

/// The same for one downloaded package.
pub(super) fn check_downloaded(fixture: &str, expect: &expect_test::Expect) {
    expect.assert_eq(&downloaded(fixture));
}

pub(super) fn downloaded(fixture: &str) -> String {
    match load_package(&Tree::parse(fixture), Path::new("/store/x/Cargo.toml"), SourceId::crates_io()) {
        Ok(package) => {
            let mut text = "downloaded\n".to_owned();
            show_package(&mut text, &package);
            text
        }
        Err(errors) => show_errors(&errors),
    }
}

fn show_errors(errors: &[Diagnostic]) -> String {
    errors.iter().fold(String::new(), |text, error| {
        let help: String = error.help.iter().map(|help| format!("  help: {help}\n")).collect();
        format!("{text}{:?}: {error}\n{help}", error.level)
    })
}

fn show(workspace: &Workspace) -> String {
    let mut text = String::new();
    writeln!(text, "root {} resolver {:?}", workspace.root.display(), workspace.resolver).unwrap();
    for member in &workspace.members {
        let default = if workspace.default_members.contains(&member.id) { " default" } else { "" };
        let current = if workspace.current == Some(member.id) { " current" } else { "" };
        writeln!(text, "member{default}{current}").unwrap();
        show_package(&mut text, member);
    }
    for package in workspace.path_packages.values() {
        writeln!(text, "path package {}", package.id).unwrap();
    }
    for finding in workspace.unloaded.iter().chain(&workspace.missing_targets) {
        writeln!(text, "later: {finding}").unwrap();
    }
    text
}

fn show_package(text: &mut String, package: &Package) {
    writeln!(text, "  {} edition {}", package.id, package.edition.as_str()).unwrap();
    for target in &package.targets {
        let kind = match &target.kind {
            TargetKind::Lib(types) => format!("lib {types:?}"),
            TargetKind::Example(types) => format!("example {types:?}"),
            other => format!("{other:?}").to_lowercase(),
        };
        let path = target.path.strip_prefix(&package.root).unwrap_or(&target.path);
        let flags = [("test", target.test), ("doctest", target.doctest), ("bench", target.bench), ("doc", target.doc)];
        let flags: Vec<_> = flags.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        writeln!(text, "    {kind} {} {} [{}]", target.name, path.display(), flags.join(" ")).unwrap();
    }
    for dependency in &package.summary.dependencies {
        let name = dependency.name_in_manifest();
        let features = dependency.features.iter().map(|feature| format!(" +{feature}")).collect::<String>();
        let optional = if dependency.optional { " optional" } else { "" };
        let bare = if dependency.default_features { "" } else { " -default" };
        let (kind, source) = (dependency.kind, dependency.source);
        writeln!(text, "    {kind:?} {name} {}{bare}{features}{optional} {source}", dependency.requirement).unwrap();
    }
    for (name, values) in package.summary.features.iter() {
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        writeln!(text, "    feature {name} = [{}]", values.join(", ")).unwrap();
    }
}
