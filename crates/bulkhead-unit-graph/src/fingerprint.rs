//! What makes a unit stale, except the content of files, which the executor looks at.

use crate::hash::text_hash;
use crate::{Command, CompileKind, CompileMode, Context, ScriptOutputs, UnitIndex, compile_command};

/// 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub String);

/// Everything but file contents on which a unit's result depends, in named parts, so that a comparison with an older
/// one tells why the unit is dirty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Name and value; values are short (digests where the text would be long) and hold no line break.
    pub parts: Vec<(&'static str, String)>,
}

impl Fingerprint {
    /// One digest over all parts.
    pub fn digest(&self) -> Digest {
        Digest(text_hash(self.parts.iter().flat_map(|(name, value)| [*name, value.as_str()])))
    }

    /// The text that is stored: one `name=value` line each.
    pub fn to_text(&self) -> String {
        self.parts.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// The name of the first part in which `text`, written by [`Fingerprint::to_text`], differs.
    pub fn changed_part(&self, text: &str) -> Option<&'static str> {
        let mut lines = text.lines();
        let changed = self.parts.iter().find(|(name, value)| {
            let expected = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix('='));
            expected != Some(value)
        });
        changed.map(|(name, _)| *name).or_else(|| lines.next().map(|_| "parts"))
    }
}

/// The fingerprints of all units, by [`UnitIndex`]. They hold before anything has run: what a build script says is
/// tracked by the executor, which rebuilds dependents when a script ran.
pub fn fingerprints(context: &Context<'_>) -> Vec<Fingerprint> {
    let mut found = Vec::with_capacity(context.graph.units.len());
    let mut digests: Vec<Digest> = Vec::with_capacity(context.graph.units.len());
    for (index, _) in context.graph.iter() {
        let fingerprint = fingerprint(context, index, &digests);
        digests.push(fingerprint.digest());
        found.push(fingerprint);
    }
    found
}

/// The fingerprint of one unit, given the digests of all units before it.
pub fn fingerprint(context: &Context<'_>, index: UnitIndex, before: &[Digest]) -> Fingerprint {
    let unit = context.unit(index);
    let flags = context.options.flags.get(&unit.platform).cloned().unwrap_or_default();
    let features: Vec<&str> = unit.features.iter().map(|feature| feature.as_str()).collect();
    let declared: Vec<&str> = unit.package.summary.features.keys().map(|feature| feature.as_str()).collect();
    let platform = match unit.platform {
        CompileKind::Host => "host".to_owned(),
        CompileKind::Target(triple) => triple.to_string(),
    };
    let is_run = unit.mode == CompileMode::RunBuildScript;
    let mut parts = vec![
        ("rustc", text_hash([context.toolchain.verbose_version.as_str(), &context.toolchain.rustc.to_string_lossy()])),
        ("features", features.join(",")),
        ("declared features", text_hash(declared)),
        ("target", text_hash([format!("{:?}", unit.target).as_str()])),
        ("profile", text_hash([format!("{:?} {:?}", unit.profile, context.lto(index)).as_str()])),
        ("mode", format!("{:?}", unit.mode)),
        ("platform", platform),
        ("RUSTFLAGS", text_hash(flags.rustflags.iter().map(String::as_str))),
        ("lints", text_hash(unit.package.lint_flags.iter().map(String::as_str))),
        ("package metadata", text_hash(package_metadata(context, index).iter().map(String::as_str))),
    ];
    if unit.mode == CompileMode::Doc {
        parts.push(("RUSTDOCFLAGS", text_hash(flags.rustdocflags.iter().map(String::as_str))));
    }
    if !is_run {
        parts.push(("command line", command_line_hash(&compile_command(context, index, &ScriptOutputs::new()))));
    }
    let dependencies = unit.dependencies.iter().flat_map(|dependency| {
        let digest = before.get(dependency.unit.0 as usize).map_or("", |digest| digest.0.as_str());
        [dependency.extern_crate_name.as_str(), digest]
    });
    parts.push(("dependencies", text_hash(dependencies)));
    Fingerprint { parts }
}

/// What the environment says of the package (`CARGO_PKG_*`), which crates may compile in.
fn package_metadata(context: &Context<'_>, index: UnitIndex) -> Vec<String> {
    let package = &context.unit(index).package;
    let mut variables = crate::environment::Variables::new();
    crate::environment::package_variables(package, std::path::Path::new(""), &mut variables);
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The arguments, except how messages look.
fn command_line_hash(command: &Command) -> String {
    let about_messages = |argument: &&str| {
        ["--error-format", "--json", "--diagnostic-width"].iter().any(|option| argument.starts_with(option))
    };
    text_hash(command.arguments.iter().map(String::as_str).filter(|argument| !about_messages(argument)))
}
