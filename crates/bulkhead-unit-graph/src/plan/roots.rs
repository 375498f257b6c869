//! Which targets the request is about.

use bulkhead_resolver::FeaturesFor;
use bulkhead_schema::Diagnostic;
use bulkhead_workspace::{Package, Target, TargetKind};

use super::draft::{Draft, Key, NodeIndex, Purpose, runs_on_host};
use super::required_features;
use crate::request::{Intent, NameFilter};
use crate::{CompileKind, CompileMode};

/// A target of a selected package, and what is done with it.
struct Proposal<'a> {
    package: &'a Package,
    /// Position in the package's list of targets.
    target: usize,
    mode: CompileMode,
    /// Whether missing `required-features` are an error rather than a reason to skip.
    named: bool,
}

/// Adds the nodes that the request is about, for each platform.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<Vec<NodeIndex>, Vec<Diagnostic>> {
    let input = draft.input;
    let mut packages: Vec<&Package> = Vec::new();
    for &id in &input.request.packages {
        packages.push(draft.package(id).map_err(|error| vec![error])?);
    }
    let proposals =
        if input.request.targets.is_default() { defaults(draft, &packages) } else { filtered(draft, &packages)? };
    let mut roots = Vec::new();
    for proposal in &proposals {
        let target = &proposal.package.targets[proposal.target];
        let missing = required_features::missing(draft, proposal.package.id, FeaturesFor::Target, target);
        if !target.is_lib() && !missing.is_empty() {
            if proposal.named {
                return Err(vec![lacks_features(proposal.package, target, &missing)]);
            }
            continue;
        }
        for &platform in &input.request.platforms {
            let root = draft.node(root_key(draft, proposal, platform)).map_err(|error| vec![error])?;
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
    }
    Ok(roots)
}

fn root_key(draft: &Draft<'_>, proposal: &Proposal<'_>, platform: CompileKind) -> Key {
    let target = &proposal.package.targets[proposal.target];
    let platform = match platform {
        _ if runs_on_host(target) => CompileKind::Host,
        CompileKind::Host => CompileKind::Target(draft.input.toolchain.host),
        CompileKind::Target(_) => platform,
    };
    let test = proposal.mode.is_test() || proposal.mode == CompileMode::Doctest;
    let purpose = Purpose { always_unwind: test || runs_on_host(target), ..Purpose::PROGRAM };
    Key { package: proposal.package.id, target: proposal.target, mode: proposal.mode, platform, purpose }
}

fn lacks_features(package: &Package, target: &Target, missing: &[bulkhead_schema::Symbol]) -> Diagnostic {
    let missing: Vec<&str> = missing.iter().map(|feature| feature.as_str()).collect();
    let message = format!(
        "target `{}` in package `{}` requires the features: {}",
        target.name,
        package.id.name(),
        missing.iter().map(|feature| format!("`{feature}`")).collect::<Vec<_>>().join(", ")
    );
    Diagnostic::error("target-requires-features", message)
        .help(format!("Consider enabling them by passing, e.g., `--features=\"{}\"`", missing.join(" ")))
}

/// What a target selected by the command's default, or by a kind, is built as.
fn mode(intent: Intent, target: &Target, by_default: bool) -> CompileMode {
    match (intent, &target.kind) {
        // Examples are only compiled to see that they do.
        (Intent::Test | Intent::Bench, TargetKind::Example(_)) if by_default && !target.test => CompileMode::Build,
        (Intent::Test | Intent::Bench, _) => CompileMode::Test,
        (Intent::Build, TargetKind::Test | TargetKind::Bench) => CompileMode::Test,
        (Intent::Build, _) => CompileMode::Build,
        (Intent::Check { test: true }, _) => CompileMode::CheckTest,
        (Intent::Check { .. }, TargetKind::Test | TargetKind::Bench) => CompileMode::CheckTest,
        (Intent::Check { .. }, _) => CompileMode::Check,
        (Intent::Doc { .. }, _) => CompileMode::Doc,
    }
}

/// The targets that the command takes when no target option was given.
fn defaults<'a>(draft: &Draft<'_>, packages: &[&'a Package]) -> Vec<Proposal<'a>> {
    let intent = draft.input.request.intent;
    let mut proposals = Vec::new();
    for &package in packages {
        for (position, target) in package.targets.iter().enumerate() {
            let is_example = matches!(target.kind, TargetKind::Example(_));
            let wanted = match intent {
                Intent::Bench => target.bench,
                Intent::Test => target.test || is_example,
                Intent::Build | Intent::Check { .. } => target.is_lib() || target.kind == TargetKind::Bin,
                Intent::Doc { .. } => target.doc && !shadowed_by_library(package, target),
            };
            if wanted && !target.is_build_script() {
                let mode = mode(intent, target, true);
                proposals.push(Proposal { package, target: position, mode, named: false });
            }
        }
        if intent == Intent::Test && draft.input.request.doctests {
            proposals.extend(doctest(package, false));
        }
    }
    proposals
}

/// A program with the library's name would overwrite its documentation.
fn shadowed_by_library(package: &Package, target: &Target) -> bool {
    let library = package.library().map(|library| library.crate_name());
    target.kind == TargetKind::Bin && library == Some(target.crate_name())
}

/// Asked for by `--doc`, doctests run even where the manifest says `doctest = false`.
fn doctest(package: &Package, named: bool) -> Option<Proposal<'_>> {
    let position = package.targets.iter().position(|target| target.is_lib() && (named || target.doctest))?;
    let documentable = super::edges::is_linkable(&package.targets[position]);
    documentable.then_some(Proposal { package, target: position, mode: CompileMode::Doctest, named: false })
}

/// The targets that the target options name.
fn filtered<'a>(draft: &Draft<'_>, packages: &[&'a Package]) -> Result<Vec<Proposal<'a>>, Vec<Diagnostic>> {
    let request = draft.input.request;
    let filter = &request.targets;
    if filter.doctests {
        let proposals: Vec<_> = packages.iter().filter_map(|package| doctest(package, true)).collect();
        return if proposals.is_empty() { Err(vec![no_doctests(packages)]) } else { Ok(proposals) };
    }
    let mut selection = Selection { packages, proposals: Vec::new(), errors: Vec::new() };
    if filter.lib || filter.all_targets {
        selection.add_matching(request.intent, false, |target| target.is_lib());
        if selection.proposals.is_empty() && !filter.all_targets {
            selection.errors.push(no_library(packages));
        }
    }
    let all = |rule: &NameFilter| if filter.all_targets { NameFilter::All } else { rule.clone() };
    let test_intent = match request.intent {
        Intent::Build | Intent::Doc { .. } => Intent::Test,
        Intent::Check { .. } => Intent::Check { test: true },
        other => other,
    };
    selection.add(&all(&filter.bins), "bin", request.intent, |target, _| target.kind == TargetKind::Bin);
    let is_example = |target: &Target, _| matches!(target.kind, TargetKind::Example(_));
    selection.add(&all(&filter.examples), "example", request.intent, is_example);
    let is_test = |target: &Target, all| if all { target.test } else { target.kind == TargetKind::Test };
    selection.add(&all(&filter.tests), "test", test_intent, is_test);
    let is_bench = |target: &Target, all| if all { target.bench } else { target.kind == TargetKind::Bench };
    selection.add(&all(&filter.benches), "bench", test_intent, is_bench);
    if selection.errors.is_empty() { Ok(selection.proposals) } else { Err(selection.errors) }
}

struct Selection<'a, 'b> {
    packages: &'b [&'a Package],
    proposals: Vec<Proposal<'a>>,
    errors: Vec<Diagnostic>,
}

impl Selection<'_, '_> {
    /// `wanted` gets the target and whether all of the kind were asked for.
    fn add(&mut self, rule: &NameFilter, kind: &str, intent: Intent, wanted: impl Fn(&Target, bool) -> bool) {
        match rule {
            NameFilter::None => {}
            NameFilter::All => {
                self.add_matching(intent, false, |target| wanted(target, true));
            }
            NameFilter::Named(names) => {
                for name in names {
                    let is_pattern = name.contains(['*', '?', '[']);
                    let matches =
                        |target: &Target| if is_pattern { glob(name, &target.name) } else { *target.name == **name };
                    let found = self.add_matching(intent, !is_pattern, |t| wanted(t, false) && matches(t));
                    if !found {
                        let error = no_target(self.packages, kind, name, is_pattern, |target| wanted(target, false));
                        self.errors.push(error);
                    }
                }
            }
        }
    }

    fn add_matching(&mut self, intent: Intent, named: bool, wanted: impl Fn(&Target) -> bool) -> bool {
        let before = self.proposals.len();
        for &package in self.packages {
            for (position, target) in package.targets.iter().enumerate() {
                if wanted(target) && !target.is_build_script() {
                    let mode = mode(intent, target, false);
                    self.proposals.push(Proposal { package, target: position, mode, named });
                }
            }
        }
        self.proposals.len() > before
    }
}

fn no_library(packages: &[&Package]) -> Diagnostic {
    let names = package_names(packages);
    let message = match packages {
        [_] => format!("no library targets found in package {names}"),
        _ => format!("no library targets found in packages: {}", names.replace('`', "")),
    };
    Diagnostic::error("no-such-target", message)
}

fn no_doctests(packages: &[&Package]) -> Diagnostic {
    let mut error = no_library(packages);
    for package in packages {
        if let Some(library) = package.library() {
            let types: Vec<_> = library.crate_types().iter().map(|each| format!("`{}`", each.as_str())).collect();
            let name = package.id.name();
            let types = types.join(", ");
            error = error.help(format!("doc tests are not supported for crate type(s) {types} in package `{name}`"));
        }
    }
    error
}

fn package_names(packages: &[&Package]) -> String {
    packages.iter().map(|package| format!("`{}`", package.id.name())).collect::<Vec<_>>().join(", ")
}

fn no_target(
    packages: &[&Package],
    kind: &str,
    name: &str,
    is_pattern: bool,
    of_kind: impl Fn(&Target) -> bool,
) -> Diagnostic {
    let what = if is_pattern { format!("matches pattern `{name}`") } else { format!("named `{name}`") };
    let place = match packages {
        [package] => format!("`{}` package", package.id.name()),
        _ => "default-run packages".to_owned(),
    };
    let error = Diagnostic::error("no-such-target", format!("no {kind} target {what} in {place}"));
    let names = packages.iter().flat_map(|package| &package.targets).filter(|t| of_kind(t)).map(|t| t.name.as_str());
    let names: std::collections::BTreeSet<&str> = names.collect();
    if names.is_empty() {
        return error;
    }
    let names = names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    error.help(format!("available {kind} targets: {names}"))
}

/// Whether `text` matches a shell pattern with `*`, `?` and `[…]`; in time linear in `pattern` × `text`.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut states = std::collections::BTreeSet::from([0]);
    skip_stars(&pattern, &mut states);
    for character in text.chars() {
        let mut next = std::collections::BTreeSet::new();
        for state in states {
            match pattern.get(state) {
                Some('*') => {
                    next.insert(state);
                }
                Some('?') => {
                    next.insert(state + 1);
                }
                Some('[') => {
                    next.extend(class(&pattern[state + 1..], character).map(|length| state + 1 + length));
                }
                Some(&literal) if literal == character => {
                    next.insert(state + 1);
                }
                _ => {}
            }
        }
        skip_stars(&pattern, &mut next);
        states = next;
    }
    states.contains(&pattern.len())
}

fn skip_stars(pattern: &[char], states: &mut std::collections::BTreeSet<usize>) {
    for (state, &character) in pattern.iter().enumerate() {
        if character == '*' && states.contains(&state) {
            states.insert(state + 1);
        }
    }
}

/// If `character` belongs to the class that begins behind `[`, the length of the class with its `]`.
fn class(pattern: &[char], character: char) -> Option<usize> {
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let start = usize::from(negated);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&c| c == ']')?;
    let mut members = &pattern[start..end];
    let mut found = false;
    while let [first, rest @ ..] = members {
        members = rest;
        found |= match rest {
            ['-', last, after @ ..] => {
                members = after;
                (*first..=*last).contains(&character)
            }
            _ => *first == character,
        };
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_match_like_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcb", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "[", false),
            ("x", "xy", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
