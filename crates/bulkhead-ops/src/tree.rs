//! `tree`: the dependency graph, drawn.

mod draw;
mod graph;

use std::collections::BTreeSet;
use std::sync::Arc;

use bulkhead_resolver::features::{self, FeatureOptions, FeaturePlatform};
use bulkhead_resolver::{MemberFeatures, Resolve};
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_unit_graph::CompileKind;
use bulkhead_workspace::Package;

use crate::client::project_client;
use crate::error::Result;
use crate::lock::{self, LockRequest};
use crate::options::{GlobalOptions, TreeOptions};
use crate::packages::Purpose;
use crate::project::Project;
use crate::{Error, ErrorKind, Event, compile, project, select, specs, status};

use self::draw::{Depth, Drawing, Limits, Prefix};
use self::graph::{Edges, Graph, Input, NodeIndex, Platforms};

pub use self::draw::Paper;

/// Draws the graph, line by line. Lines hold names from manifests: the caller escapes them.
///
/// # Errors
/// The project cannot be resolved or fetched; an option makes no sense.
pub fn tree(
    global: &GlobalOptions,
    options: &TreeOptions,
    events: &(dyn Fn(Event) + Sync),
    paper: &mut Paper<'_>,
) -> Result<()> {
    let (drawing, edges) = (drawing(options)?, edges(options)?);
    let project = project::open(global, events)?;
    let all_platforms = options.platforms.iter().any(|platform| platform == "all");
    let named = if all_platforms { Vec::new() } else { options.platforms.clone() };
    let toolchain = compile::platforms(global, &project, &named)?;
    let client = project_client(global, &project)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    let choice = choice(global, &project, options, &locked.resolve, events)?;
    let targets = match all_platforms {
        true => Vec::new(),
        false => compile::requested_platforms(&compile::platforms_of(&toolchain)),
    };
    let wanted = compile::Wanted {
        features: &options.features,
        development: edges.development,
        selected: &choice.selected,
        toolchain: &toolchain,
        targets: targets.clone(),
        purpose: Purpose::Look,
    };
    let (features, packages) = compile::activate(global, &project, &mut locked, &client, &wanted, events)?;
    let platforms: Platforms<'_> =
        toolchain.platforms.iter().map(|(kind, info)| (*kind, (info.triple.as_str(), info.cfg.as_slice()))).collect();
    let input = Input {
        resolve: &locked.resolve,
        features: &features,
        packages: &packages,
        edges,
        targets: if all_platforms { &[CompileKind::Host] } else { &targets },
        platforms: (!all_platforms).then_some(&platforms),
        members: &choice.requested,
    };
    let mut graph = Graph::build(&input);
    let roots = roots(&mut graph, &choice, options);
    let workspace = project.workspace.members.iter().map(|package| package.id).collect();
    if roots.is_empty() {
        events(Event::Warning("nothing to print.".to_owned()));
        let advice = if global.quiet { &[][..] } else { &NOTHING };
        advice.iter().for_each(|line| events(Event::Text((*line).to_owned())));
    }
    global.place.disk.may_repeat();
    drawing.draw(&graph, &roots, &Limits { workspace: &workspace, pruned: &choice.pruned }, paper);
    std::mem::forget(graph);
    // The process ends here: to take tens of thousands of small things apart is of use to nobody.
    std::mem::forget((locked, features, packages, project));
    Ok(())
}

const NOTHING: [&str; 2] = [
    "",
    "To find dependencies that require specific target platforms, try to use option `--target all` first, and then narrow \
     your search scope accordingly.",
];

/// What the options name.
struct Choice {
    /// The members that the graph is about.
    selected: Vec<Arc<Package>>,
    /// With which features.
    requested: Vec<(PackageId, MemberFeatures)>,
    /// Where the drawing starts, unless it is turned round.
    roots: BTreeSet<PackageId>,
    inverted: BTreeSet<PackageId>,
    pruned: BTreeSet<PackageId>,
}

/// `-p` may name any package of the graph; if it names no member, the graph is that of all members.
fn choice(
    global: &GlobalOptions,
    project: &Project,
    options: &TreeOptions,
    resolve: &Resolve,
    events: &dyn Fn(Event),
) -> Result<Choice> {
    let select::Choice { members: selected, is_about_members, others: strangers } =
        select::packages(&project.workspace, &options.packages, events)?;
    let summaries: Vec<_> = selected.iter().map(|package| Arc::clone(&package.summary)).collect();
    let flags = &options.features;
    // Cargo goes through the members in this order, and features are drawn in the order in which it comes by packages.
    let mut requested = features::requested(&summaries, &flags.features, flags.all_features, flags.no_default_features)
        .map_err(|error| Error::from(Diagnostic::from(error)))?;
    requested.sort_by_key(|(id, _)| *id);
    let named = [&strangers, &options.invert, &options.prune].iter().any(|specs| !specs.is_empty());
    let known = if named { reachable(project, resolve, &requested)? } else { BTreeSet::new() };
    let find = |texts: &[String]| -> Result<BTreeSet<PackageId>> {
        texts.iter().map(|text| specs::one(text, &known, &global.place)).collect()
    };
    let mut roots = find(&strangers)?;
    if is_about_members {
        roots.extend(selected.iter().map(|package| package.id));
    }
    Ok(Choice { roots, inverted: find(&options.invert)?, pruned: find(&options.prune)?, selected, requested })
}

/// The packages that the requested features reach on any platform: those that specifications may name.
fn reachable(
    project: &Project,
    resolve: &Resolve,
    requested: &[(PackageId, MemberFeatures)],
) -> Result<BTreeSet<PackageId>> {
    let host = FeaturePlatform { triple: "", cfg: &[] };
    let options = FeatureOptions {
        resolver: compile::feature_resolver(project),
        host,
        targets: Vec::new(),
        development: true,
        is_proc_macro: &|_| false,
    };
    let activated =
        features::activate(resolve, requested, &options).map_err(|error| Error::from(Diagnostic::from(error)))?;
    Ok(activated.features.into_keys().map(|(id, _)| id).collect())
}

/// Where the drawing starts. `-i` and `-d` turn the graph round.
fn roots(graph: &mut Graph<'_>, choice: &Choice, options: &TreeOptions) -> Vec<NodeIndex> {
    if options.invert.is_empty() && !options.duplicates {
        return graph.nodes_of(&choice.roots);
    }
    graph.invert();
    let mut wanted = choice.inverted.clone();
    if options.duplicates {
        wanted.extend(graph.duplicates());
    }
    graph.nodes_of(&wanted)
}

fn drawing(options: &TreeOptions) -> Result<Drawing> {
    let depth = match options.depth.as_deref() {
        None => Depth::Unlimited,
        Some("workspace") => Depth::Workspace,
        Some(text) => Depth::Levels(text.parse().map_err(|_| {
            let supported = "supported values for --depth are non-negative integers and `workspace`";
            Error::new(ErrorKind::Usage, format!("{supported}, but `{text}` is unknown"))
        })?),
    };
    let prefix = match options.prefix.as_str() {
        "depth" => Prefix::Depth,
        "none" => Prefix::None,
        _ => Prefix::Indent,
    };
    Drawing::new(&options.format, prefix, depth, options.ascii, options.no_dedupe)
}

/// `-e`: a list of kinds, or of kinds to leave out; `features` and `no-proc-macro` go with either.
fn edges(options: &TreeOptions) -> Result<Edges> {
    let words: BTreeSet<&str> =
        options.edges.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty()).collect();
    let kinds: Vec<&str> = ["all", "normal", "build", "dev"].into_iter().filter(|kind| words.contains(kind)).collect();
    let without = |kind: &str| words.contains(format!("no-{kind}").as_str());
    let negative = ["normal", "build", "dev"].into_iter().any(without);
    if let (Some(kind), true) = (kinds.first(), negative) {
        let others = "\"no-normal\", \"no-build\", or \"no-dev\" dependency kinds";
        return Err(Error::failure(format!("`{kind}` dependency kind cannot be mixed with {others}")));
    }
    if words.contains("public") {
        return Err(Error::failure("`--edges public` requires `-Zunstable-options`"));
    }
    let everything = kinds.is_empty() || kinds.contains(&"all");
    let wants = |kind: &str| !without(kind) && (everything || kinds.contains(&kind));
    let edges = Edges {
        normal: wants("normal"),
        build: wants("build"),
        development: wants("dev"),
        features: words.contains("features") || kinds.contains(&"all"),
        macros: !words.contains("no-proc-macro"),
    };
    if edges.features && options.duplicates {
        return Err(Error::failure("the `-e features` flag does not support `--duplicates`"));
    }
    Ok(edges)
}
