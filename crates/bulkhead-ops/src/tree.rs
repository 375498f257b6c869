//! `tree`: the dependency graph, drawn.

mod draw;
mod graph;

use std::collections::BTreeSet;

use bulkhead_schema::{PackageId, PackageSpec};
use bulkhead_unit_graph::CompileKind;

use crate::client::client;
use crate::error::Result;
use crate::lock::{self, LockRequest};
use crate::options::{GlobalOptions, TreeOptions};
use crate::{Error, Event, compile, project, select, status};

use self::draw::{Depth, Drawing, Prefix};
use self::graph::{Edges, Graph, NodeIndex};

/// The drawing, line by line. Holds names from manifests: the caller escapes it.
///
/// # Errors
/// The project cannot be resolved or fetched; an option makes no sense.
pub fn tree(global: &GlobalOptions, options: &TreeOptions, events: &(dyn Fn(Event) + Sync)) -> Result<Vec<String>> {
    let drawing = drawing(options)?;
    let edges = edges(options)?;
    let project = project::open(global, events)?;
    let selected = select::members(&project.workspace, &options.packages, events)?;
    let all_platforms = options.platforms.iter().any(|platform| platform == "all");
    let named = if all_platforms { Vec::new() } else { options.platforms.clone() };
    let toolchain = compile::platforms(global, &project, &named)?;
    let client = client(global, &project.configuration)?;
    let request = LockRequest { rustc: Some(toolchain.release.clone()), ..LockRequest::keep() };
    let mut locked = lock::resolve(global, &project, &client, &request, events)?;
    status::report_changes(&locked, events);
    let targets = match all_platforms {
        true => Vec::new(),
        false => compile::requested_platforms(&compile::platforms_of(&toolchain)),
    };
    let wanted = compile::Wanted {
        features: &options.features,
        development: edges.development,
        selected: &selected,
        toolchain: &toolchain,
        targets: targets.clone(),
    };
    let (features, packages) = compile::activate(global, &project, &mut locked, &client, &wanted, events)?;
    let platforms: Vec<_> = targets
        .iter()
        .chain([&CompileKind::Host])
        .filter_map(|kind| toolchain.platforms.get(kind))
        .map(|info| (info.triple.as_str(), info.cfg.as_slice()))
        .collect();
    let platforms = if all_platforms { None } else { Some(platforms.as_slice()) };
    let members: Vec<PackageId> = selected.iter().map(|package| package.id).collect();
    let mut graph = Graph::build(&members, &locked.resolve, &features, &packages, &edges, platforms);
    let prune = specs(&options.prune)?;
    graph.prune(&|id| prune.iter().any(|spec| spec.matches(id)));
    let roots = roots(&mut graph, &members, options)?;
    let workspace = project.workspace.members.iter().map(|package| package.id).collect();
    if roots.is_empty() {
        events(Event::Warning(NOTHING.to_owned()));
    }
    global.place.disk.may_repeat();
    Ok(drawing.draw(&graph, &roots, &workspace))
}

const NOTHING: &str = "nothing to print.

To find dependencies that require specific target platforms, try to use option `--target all` first, and then narrow \
your search scope accordingly.";

/// Where the drawing starts. `-i` and `-d` turn the graph round.
fn roots(graph: &mut Graph<'_>, members: &[PackageId], options: &TreeOptions) -> Result<Vec<NodeIndex>> {
    if options.invert.is_empty() && !options.duplicates {
        return Ok(graph.nodes_of(&members.iter().copied().collect()));
    }
    graph.invert();
    let mut wanted: BTreeSet<PackageId> = BTreeSet::new();
    for spec in specs(&options.invert)? {
        let found: Vec<_> = graph.packages().filter(|id| spec.matches(*id)).collect();
        if found.is_empty() {
            return Err(Error::failure(format!("package ID specification `{spec}` did not match any packages")));
        }
        wanted.extend(found);
    }
    if options.duplicates {
        wanted.extend(graph.duplicates());
    }
    Ok(graph.nodes_of(&wanted))
}

fn specs(texts: &[String]) -> Result<Vec<PackageSpec>> {
    let parse = |text: &String| {
        PackageSpec::parse(text)
            .map_err(|error| Error::failure(format!("invalid package ID specification: `{text}`")).because(error))
    };
    texts.iter().map(parse).collect()
}

fn drawing(options: &TreeOptions) -> Result<Drawing> {
    let depth = match options.depth.as_deref() {
        None => Depth::Unlimited,
        Some("workspace") => Depth::Workspace,
        Some(text) => Depth::Levels(text.parse().map_err(|_| {
            Error::new(crate::ErrorKind::Usage, format!("invalid depth `{text}`: a number or `workspace` is expected"))
        })?),
    };
    let prefix = match options.prefix.as_str() {
        "depth" => Prefix::Depth,
        "none" => Prefix::None,
        _ => Prefix::Indent,
    };
    Drawing::new(&options.format, prefix, depth, options.ascii, options.no_dedupe)
}

/// `-e`: a list of kinds, or of kinds to leave out.
fn edges(options: &TreeOptions) -> Result<Edges> {
    let words: Vec<&str> =
        options.edges.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty()).collect();
    let all = Edges { normal: true, build: true, development: true };
    if words.is_empty() {
        return Ok(all);
    }
    let negative = words.iter().all(|word| word.starts_with("no-"));
    let mut edges = if negative { all } else { Edges::default() };
    for word in words {
        match word {
            "all" => edges = all,
            "normal" => edges.normal = true,
            "build" => edges.build = true,
            "dev" => edges.development = true,
            "no-normal" => edges.normal = false,
            "no-build" => edges.build = false,
            "no-dev" => edges.development = false,
            "no-proc-macro" => return Err(Error::failure("`-e no-proc-macro` is not supported yet")),
            "features" => return Err(Error::failure("`-e features` is not supported yet")),
            other => return Err(Error::new(crate::ErrorKind::Usage, format!("unknown edge kind `{other}`"))),
        }
    }
    Ok(edges)
}
