//! What makes a unit stale, except files and dependencies, which the executor looks at.

use std::path::PathBuf;

use bulkhead_workspace::Target;

use crate::hash::{profile_text, text_hash};
use crate::{CompileKind, CompileMode, Context, Unit, UnitIndex, rustdoc};

/// What a unit depends on besides files and other units, in named parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Name and value; long values are hashed.
    pub parts: Vec<(&'static str, String)>,
}

impl Fingerprint {
    /// The text that is stored: one `name=value` line each.
    pub fn to_text(&self) -> String {
        self.parts.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// The name of the first part in which `text`, written by [`Fingerprint::to_text`], differs.
    pub fn changed_part(&self, text: &str) -> Option<&'static str> {
        let mut lines = text.lines();
        let differs = |(name, value): &&(&'static str, String)| lines.next() != Some(&format!("{name}={value}"));
        self.parts.iter().find(differs).map(|(name, _)| *name)
    }
}

/// The fingerprints of all units, by [`UnitIndex`].
pub fn fingerprints(context: &Context<'_>) -> Vec<Fingerprint> {
    context.graph.iter().map(|(index, _)| Fingerprint { parts: fingerprint(context, index) }).collect()
}

/// Everything but files, environment read by the crate, and dependencies on which the unit's result depends, in named
/// parts: a comparison with an older one tells why the unit is dirty. It holds before anything has run; what a build
/// script says is known to be the same if the script did not run again.
pub fn fingerprint(context: &Context<'_>, index: UnitIndex) -> Vec<(&'static str, String)> {
    let unit = context.unit(index);
    let flags = context.options.flags.get(&unit.platform).cloned().unwrap_or_default();
    let features: Vec<&str> = unit.features.iter().map(|feature| feature.as_str()).collect();
    let declared: Vec<&str> = unit.package.summary.features.keys().map(|feature| feature.as_str()).collect();
    let platform = match unit.platform {
        CompileKind::Host => "host".to_owned(),
        CompileKind::Target(triple) => triple.to_string(),
    };
    let mut parts = vec![
        (
            "toolchain",
            text_hash([context.toolchain.verbose_version.as_str(), &context.toolchain.rustc.to_string_lossy()]),
        ),
        ("features", features.join(",")),
        ("list of declared features", text_hash(declared)),
        ("target configuration", target(unit)),
        ("path to the source", source(unit)),
        ("profile configuration", profile(context, index)),
        ("mode", format!("{:?}", unit.mode)),
        ("platform", platform),
        ("rustflags", text_hash(flags.rustflags.iter().map(String::as_str))),
        ("config settings", configuration(context, index)),
    ];
    if unit.mode == CompileMode::Doc {
        parts.push(("rustflags", text_hash(flags.rustdocflags.iter().map(String::as_str))));
    }
    parts
}

/// Everything about the target but where it lies.
fn target(unit: &Unit) -> String {
    text_hash([format!("{:?}", Target { path: PathBuf::new(), ..Target::clone(&unit.target) }).as_str()])
}

/// The source of the user's own is named below the package's folder, which may be moved. Where other packages lie says which
/// of them they are: two commits of a repository differ in nothing else.
fn source(unit: &Unit) -> String {
    let path = &unit.target.path;
    let path = path.strip_prefix(&unit.package.root).ok().filter(|_| unit.is_local).unwrap_or(path);
    text_hash([path.to_string_lossy().as_ref()])
}

/// The profile, and what Cargo counts among it: lints, and arguments that the command line adds.
fn profile(context: &Context<'_>, index: UnitIndex) -> String {
    let unit = context.unit(index);
    let profile = profile_text(&unit.profile, context.lto(index));
    let lints = unit.package.lint_flags.iter().chain(&unit.package.check_cfg).map(String::as_str);
    text_hash(std::iter::once(profile.as_str()).chain(lints).chain(rustdoc::added(context, index)))
}

/// Choices of the configuration and the command line that reach the process.
fn configuration(context: &Context<'_>, index: UnitIndex) -> String {
    let (unit, options) = (context.unit(index), context.options);
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let linker = options.flags.get(&unit.platform).map(|flags| path(&flags.linker)).unwrap_or_default();
    let mut texts = vec![linker];
    if options.members.contains(&unit.package.id) {
        texts.push(path(&options.rustc_workspace_wrapper));
        texts.extend(options.wrapper_environment.iter().map(|(name, value)| format!("{name}={value}")));
    }
    text_hash(texts.iter().map(String::as_str))
}
