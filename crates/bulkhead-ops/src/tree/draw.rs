//! Drawing a graph as a tree.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bulkhead_schema::{PackageId, Symbol};

use super::graph::{EdgeKind, Graph, NodeIndex, Subject};
use crate::Error;
use crate::error::Result;
use crate::packages::Sketch;

/// How lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    None,
    Depth,
    Indent,
}

/// How far it goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Unlimited,
    Levels(usize),
    /// Members of the workspace only.
    Workspace,
}

/// The style of a drawing.
pub(super) struct Drawing {
    format: Vec<Piece>,
    prefix: Prefix,
    depth: Depth,
    symbols: Symbols,
    no_dedupe: bool,
}

struct Symbols {
    down: &'static str,
    tee: &'static str,
    ell: &'static str,
    right: &'static str,
}

const UTF8: Symbols = Symbols { down: "│", tee: "├", ell: "└", right: "─" };
const ASCII: Symbols = Symbols { down: "|", tee: "|", ell: "`", right: "-" };

/// A piece of `--format`.
enum Piece {
    Text(String),
    Package,
    License,
    Repository,
    Features,
    Library,
}

/// What is to be done next.
enum Step {
    /// Draw a node and what is below it.
    Node(NodeIndex),
    /// Draw the title of a section.
    Title(&'static str),
    /// Go one level down; whether more siblings follow.
    In(bool),
    /// Go one level up.
    Out,
    /// All below a node is drawn.
    Leave(NodeIndex),
}

/// Packages at which a drawing may end.
pub(super) struct Limits<'a> {
    /// The members, for `--depth workspace`.
    pub(super) workspace: &'a BTreeSet<PackageId>,
    /// Those of `--prune`: they are not drawn below others.
    pub(super) pruned: &'a BTreeSet<PackageId>,
}

/// What is carried down the tree.
struct Pen<'a> {
    graph: &'a Graph<'a>,
    limits: &'a Limits<'a>,
    drawn: Nodes,
    /// For each level above: whether more siblings follow.
    levels: Vec<bool>,
    /// The columns of these levels.
    columns: String,
    path: Nodes,
    /// The line that is being written.
    line: String,
    paper: &'a mut Paper<'a>,
}

/// A set of nodes.
struct Nodes(Vec<bool>);

impl Nodes {
    fn none_of(graph: &Graph<'_>) -> Self {
        Self(vec![false; graph.size()])
    }

    fn contains(&self, node: NodeIndex) -> bool {
        self.0.get(node.number()).is_some_and(|is_in| *is_in)
    }

    /// Whether it was not there before.
    fn insert(&mut self, node: NodeIndex) -> bool {
        self.0.get_mut(node.number()).is_some_and(|is_in| !std::mem::replace(is_in, true))
    }

    fn remove(&mut self, node: NodeIndex) -> bool {
        self.0.get_mut(node.number()).is_some_and(|is_in| std::mem::replace(is_in, false))
    }
}

/// Takes line after line, as a drawing without deduplication can be longer than memory. Says whether it wants more.
pub type Paper<'p> = dyn FnMut(&str) -> bool + 'p;

impl Drawing {
    /// Understands `--format`.
    pub(super) fn new(format: &str, prefix: Prefix, depth: Depth, ascii: bool, no_dedupe: bool) -> Result<Self> {
        let symbols = if ascii { ASCII } else { UTF8 };
        Ok(Self { format: parse(format)?, prefix, depth, symbols, no_dedupe })
    }

    /// One tree below each root, separated by empty lines.
    pub(super) fn draw<'a>(
        &self,
        graph: &'a Graph<'a>,
        roots: &[NodeIndex],
        limits: &'a Limits<'a>,
        paper: &'a mut Paper<'a>,
    ) {
        let (drawn, path) = (Nodes::none_of(graph), Nodes::none_of(graph));
        let (levels, columns, line) = Default::default();
        let mut pen = Pen { graph, limits, drawn, levels, columns, path, line, paper };
        for (position, root) in roots.iter().enumerate() {
            if (position > 0 && !(pen.paper)("")) || !self.node(*root, &mut pen) {
                return;
            }
        }
    }

    /// Draws a node and all below it; says whether more is wanted. The steps to come stand on a stack of their own: a
    /// graph may be deeper than the thread's stack.
    fn node(&self, root: NodeIndex, pen: &mut Pen<'_>) -> bool {
        let mut steps = vec![Step::Node(root)];
        while let Some(step) = steps.pop() {
            let more = match step {
                Step::Node(index) => {
                    let (more, below) = self.one(index, pen);
                    if below {
                        pen.path.insert(index);
                        steps.push(Step::Leave(index));
                        steps.extend(self.below(index, pen).into_iter().rev());
                    }
                    more
                }
                Step::Title(title) => {
                    pen.line.clear();
                    pen.line.extend([pen.columns.as_str(), title]);
                    (pen.paper)(&pen.line)
                }
                Step::In(more) => {
                    pen.levels.push(more);
                    pen.columns.extend(self.column(more));
                    true
                }
                Step::Out => {
                    let left = pen.levels.pop();
                    let kept = left.map_or(0, |more| pen.columns.len() - self.column_length(more));
                    pen.columns.truncate(kept);
                    left.is_some()
                }
                Step::Leave(index) => pen.path.remove(index),
            };
            if !more {
                return false;
            }
        }
        true
    }

    /// Draws the line of one node; says whether more is wanted, and whether what it depends on follows.
    fn one(&self, index: NodeIndex, pen: &mut Pen<'_>) -> (bool, bool) {
        // A cycle (through development dependencies) is cut even without deduplication.
        let again = pen.path.contains(index) || (!pen.drawn.insert(index) && !self.no_dedupe);
        pen.line.clear();
        self.begin_line(pen);
        self.text(index, pen.graph, &mut pen.line);
        if again && !pen.graph.get(index).edges.is_empty() {
            pen.line.push_str(" (*)");
        }
        ((pen.paper)(&pen.line), !again)
    }

    fn below(&self, index: NodeIndex, pen: &Pen<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for kind in [EdgeKind::Normal, EdgeKind::Build, EdgeKind::Development, EdgeKind::Feature] {
            let edges = pen.graph.get(index).edges.iter();
            let all: Vec<_> = edges.filter(|(edge, _)| *edge == kind).map(|(_, to)| *to).collect();
            let below: Vec<_> = all.iter().copied().filter(|to| self.shows(*to, pen)).collect();
            // `--depth` and `--prune` keep the title of a section that they empty, as `cargo tree` does.
            if let (Some(title), Prefix::Indent, false) = (title(kind), self.prefix, all.is_empty()) {
                steps.push(Step::Title(title));
            }
            let last = below.len().saturating_sub(1);
            for (position, to) in below.into_iter().enumerate() {
                steps.extend([Step::In(position < last), Step::Node(to), Step::Out]);
            }
        }
        steps
    }

    fn shows(&self, to: NodeIndex, pen: &Pen<'_>) -> bool {
        let package = pen.graph.package(to);
        if package.is_some_and(|package| pen.limits.pruned.contains(&package.id)) {
            return false;
        }
        match self.depth {
            Depth::Unlimited => true,
            Depth::Levels(most) => pen.levels.len() < most,
            Depth::Workspace => package.is_none_or(|package| pen.limits.workspace.contains(&package.id)),
        }
    }

    fn column(&self, more: bool) -> [&'static str; 2] {
        if more { [self.symbols.down, "   "] } else { ["", "    "] }
    }

    fn column_length(&self, more: bool) -> usize {
        self.column(more).map(str::len).iter().sum()
    }

    fn begin_line(&self, pen: &mut Pen<'_>) {
        match (self.prefix, pen.levels.last()) {
            (Prefix::None, _) | (Prefix::Indent, None) => {}
            (Prefix::Depth, _) => put(&mut pen.line, pen.levels.len()),
            (Prefix::Indent, Some(&more)) => {
                let Symbols { tee, ell, right, .. } = self.symbols;
                let above = pen.columns.len() - self.column_length(more);
                pen.line.extend([&pen.columns[..above], if more { tee } else { ell }, right, right, " "]);
            }
        }
    }

    fn text(&self, index: NodeIndex, graph: &Graph<'_>, line: &mut String) {
        match &graph.get(index).subject {
            Subject::Package { package, features, .. } => {
                self.format.iter().for_each(|piece| piece.write(package.sketch, features, line));
            }
            Subject::Feature { of, name, by_command_line } => {
                let package = graph.package(*of).map(|package| package.id.name().as_str()).unwrap_or_default();
                let mark = if *by_command_line { "\" (command-line)" } else { "\"" };
                line.extend([package, " feature \"", name.as_str(), mark]);
            }
        }
    }
}

/// Writing to a string cannot fail.
fn put(line: &mut String, value: impl std::fmt::Display) {
    let _ = write!(line, "{value}");
}

impl Piece {
    fn write(&self, package: &Sketch, features: &BTreeSet<Symbol>, line: &mut String) {
        match self {
            Self::Text(text) => line.push_str(text),
            Self::Package => put_package(package, line),
            Self::License => line.extend(package.license.as_deref()),
            Self::Repository => line.extend(package.repository.as_deref()),
            Self::Features => {
                for (position, feature) in features.iter().enumerate() {
                    line.extend([if position == 0 { "" } else { "," }, feature.as_str()]);
                }
            }
            Self::Library => line.extend(package.library.as_deref()),
        }
    }
}

fn put_package(package: &Sketch, line: &mut String) {
    let (name, version) = (package.id.name(), package.id.version());
    line.extend([name.as_str(), " v"]);
    put(line, version);
    if package.is_proc_macro {
        line.push_str(" (proc-macro)");
    }
    // Of packages of the public registry nothing is said but this.
    if !package.id.source().is_crates_io() {
        let text = package.id.to_string();
        line.extend(text.strip_prefix(&format!("{name} v{version}")));
    }
}

fn title(kind: EdgeKind) -> Option<&'static str> {
    match kind {
        EdgeKind::Normal | EdgeKind::Feature => None,
        EdgeKind::Build => Some("[build-dependencies]"),
        EdgeKind::Development => Some("[dev-dependencies]"),
    }
}

/// Reads `--format`: `{p}` and the like stand for what is known of a package, `{{` and `}}` for braces.
fn parse(format: &str) -> Result<Vec<Piece>> {
    let invalid = |reason: String| Error::failure(format!("tree format `{format}` not valid")).because(reason);
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), format);
    while let Some(brace) = rest.find(['{', '}']) {
        text.push_str(&rest[..brace]);
        rest = &rest[brace..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            text.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let Some(inside) = rest.strip_prefix('{') else { return Err(invalid("unexpected '}'".to_owned())) };
        let length = inside.find(|c: char| !c.is_alphanumeric()).unwrap_or(inside.len());
        let (word, after) = inside.split_at(length);
        let after = after.strip_prefix('}').ok_or_else(|| invalid("expected '}'".to_owned()))?;
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(match word {
            "p" | "package" => Piece::Package,
            "l" | "license" => Piece::License,
            "r" | "repository" => Piece::Repository,
            "f" | "features" => Piece::Features,
            "lib" => Piece::Library,
            other => return Err(invalid(format!("unsupported pattern `{other}`"))),
        });
        rest = after;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    Ok(pieces)
}
