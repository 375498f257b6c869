//! An explanation in words, for people and as JSON.

use bulkhead_resolver::why::{Cause, Explanation, HeldBack, Newer, Requirement};
use bulkhead_schema::{DependencyKind, PackageId};
use serde::Serialize;

use super::Lines;

/// Everything about one package. Holds names from manifests and index entries: the caller escapes it.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from, as `Cargo.lock` has it; `null` for local packages.
    pub source: Option<String>,
    /// The package as status lines have it. Not part of the JSON.
    #[serde(skip)]
    pub shown: String,
    /// Whether it is part of what would be built with these features for this platform.
    pub active: bool,
    /// Who requires it directly.
    pub required_by: Vec<RequiredBy>,
    /// Ways from a member of the workspace to it, the shortest first.
    pub paths: Vec<Vec<String>>,
    /// Whether there are more ways.
    pub more_paths: bool,
    /// Newer versions that were not taken.
    pub newer: Vec<NotTaken>,
    /// Active features with the chain of who switches each on, the nearest first.
    pub features: Vec<ActiveFeature>,
}

/// A package that requires the one in question.
#[derive(Debug, Clone, Serialize)]
pub struct RequiredBy {
    /// Who.
    pub package: String,
    /// Which versions it accepts.
    pub requirement: String,
    /// `normal`, `build` or `dev`.
    pub kind: &'static str,
    /// The name under which it knows the package, if another.
    pub rename: Option<String>,
    /// Whether a feature has to switch it on.
    pub optional: bool,
    /// The platforms it is for, if not all.
    pub target: Option<String>,
    /// File and line of a local manifest.
    pub at: Option<String>,
}

/// A version that was not taken.
#[derive(Debug, Clone, Serialize)]
pub struct NotTaken {
    /// Which.
    pub version: String,
    /// Whether it is compatible with the chosen one.
    pub compatible: bool,
    /// Why not.
    pub held_back: Vec<Reason>,
}

/// Why a version was not taken.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// `requirement`, `yanked`, `pre-release`, `rust-version`, `publish-age`, `lock` or `conflict`.
    pub rule: &'static str,
    /// A clause.
    pub message: String,
}

/// A feature that is on.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveFeature {
    /// Which.
    pub name: String,
    /// Why, the nearest cause first.
    pub because: Vec<String>,
}

pub(super) fn answer(explanation: &Explanation, lines: &mut Lines<'_>) -> Answer {
    let id = explanation.package;
    Answer {
        name: id.name().to_string(),
        version: id.version().to_string(),
        source: (!id.source().is_path()).then(|| id.source().to_string()),
        shown: id.to_string(),
        active: explanation.active,
        required_by: explanation.required_by.iter().map(|it| required_by(it, lines)).collect(),
        paths: explanation.paths.iter().map(|path| path.iter().map(ToString::to_string).collect()).collect(),
        more_paths: explanation.more_paths,
        newer: explanation.newer.iter().map(|newer| not_taken(explanation, newer, lines)).collect(),
        features: explanation
            .features
            .iter()
            .map(|(name, causes)| ActiveFeature {
                name: name.to_string(),
                because: causes.iter().map(|cause| told(id, *cause)).collect(),
            })
            .collect(),
    }
}

fn required_by(Requirement { by, dependency }: &Requirement, lines: &mut Lines<'_>) -> RequiredBy {
    RequiredBy {
        package: by.to_string(),
        requirement: dependency.requirement.to_string(),
        kind: match dependency.kind {
            DependencyKind::Normal => "normal",
            DependencyKind::Build => "build",
            DependencyKind::Development => "dev",
        },
        rename: dependency.rename.map(|name| name.to_string()),
        optional: dependency.optional,
        target: dependency.platform.as_ref().map(ToString::to_string),
        at: lines.place(*by, dependency),
    }
}

fn not_taken(explanation: &Explanation, newer: &Newer, lines: &mut Lines<'_>) -> NotTaken {
    let (package, Newer { version, compatible, held_back }) = (explanation.package, newer);
    let name = package.name();
    let mut reason = |held: &HeldBack| match held {
        HeldBack::Requirement { by, requirement } => {
            let same = |it: &&Requirement| it.by == *by && it.dependency.requirement == *requirement;
            let declared = explanation.required_by.iter().find(same);
            let place = declared.and_then(|it| lines.place(*by, &it.dependency));
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            Reason { rule: "requirement", message: format!("{by} requires `{name} = \"{requirement}\"`{place}") }
        }
        HeldBack::Yanked => Reason { rule: "yanked", message: "its author withdrew it".to_owned() },
        HeldBack::PreRelease => {
            Reason { rule: "pre-release", message: "a pre-release has to be asked for by name".to_owned() }
        }
        HeldBack::Rust(needed) => Reason {
            rule: "rust-version",
            message: format!("it needs Rust {needed}, newer than the workspace supports"),
        },
        HeldBack::Youth(youth) => Reason { rule: "publish-age", message: format!("it is too new: {youth}") },
        HeldBack::Lock => {
            let command = format!("bulkhead update {name}@{}", package.version());
            Reason { rule: "lock", message: format!("Cargo.lock keeps {}; `{command}` moves it", package.version()) }
        }
        HeldBack::Conflict => Reason {
            rule: "conflict",
            message: format!(
                "what it requires did not fit the rest of the graph; `bulkhead update {name}@{} --precise {version}` \
                 tells what",
                package.version()
            ),
        },
    };
    NotTaken {
        version: version.to_string(),
        compatible: *compatible,
        held_back: held_back.iter().map(&mut reason).collect(),
    }
}

fn told(package: PackageId, cause: Cause) -> String {
    match cause {
        Cause::Own(id, feature) if id == package => format!("its feature `{feature}`"),
        Cause::Own(id, feature) => format!("feature `{feature}` of {id}"),
        Cause::PassedOn(id, feature) => format!("feature `{feature}` of {id}"),
        Cause::Listed(id) => format!("{id} asks for it in its dependency"),
        Cause::Default(id) => format!("{id} leaves default features on"),
        Cause::CommandLine => "this command's own choice of features".to_owned(),
    }
}

impl Answer {
    /// The answer for people, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.shown.clone()];
        if !self.active {
            lines.push("  in Cargo.lock only: other features, platforms or members need it".to_owned());
        }
        lines.push("  required by".to_owned());
        if self.required_by.is_empty() {
            lines.push("    nobody: it is a member of the workspace".to_owned());
        }
        lines.extend(self.required_by.iter().map(|it| format!("    {}", it.line(&self.name))));
        if !self.paths.is_empty() {
            lines.push("  ways from the workspace, the shortest first".to_owned());
            lines.extend(self.paths.iter().map(|path| format!("    {}", path.join(" → "))));
            if self.more_paths {
                lines.push("    … and more, with -v".to_owned());
            }
        }
        self.version_lines(&mut lines);
        if !self.features.is_empty() {
            lines.push("  features".to_owned());
            let line = |it: &ActiveFeature| format!("    {} ← {}", it.name, it.because.join(" ← "));
            lines.extend(self.features.iter().map(line));
        }
        lines
    }

    fn version_lines(&self, lines: &mut Vec<String>) {
        if self.source.is_none() {
            return;
        }
        lines.push("  version".to_owned());
        if self.newer.is_empty() {
            lines.push(format!("    {} is the newest", self.version));
        }
        for NotTaken { version, compatible, held_back } in &self.newer {
            let which = if *compatible { "newest compatible" } else { "newest" };
            for reason in held_back {
                lines.push(format!("    {version} is the {which}, but {}", reason.message));
            }
        }
    }
}

impl RequiredBy {
    fn line(&self, name: &str) -> String {
        let mut line = format!("{} requires `{name} = \"{}\"`", self.package, self.requirement);
        if let Some(rename) = &self.rename {
            line.push_str(&format!(" as `{rename}`"));
        }
        match self.kind {
            "build" => line.push_str(" to build"),
            "dev" => line.push_str(" for development"),
            _ => {}
        }
        if self.optional {
            line.push_str(", optionally");
        }
        if let Some(target) = &self.target {
            line.push_str(&format!(", on `{target}`"));
        }
        if let Some(at) = &self.at {
            line.push_str(&format!(" ({at})"));
        }
        line
    }
}
