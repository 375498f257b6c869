//! Drawing a graph as a tree.

use std::collections::BTreeSet;

use bulkhead_schema::ids::ShownSource;
use bulkhead_schema::{DependencyKind, PackageId};

use super::graph::{Graph, Node, NodeIndex};
use crate::Error;
use crate::error::Result;

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
    Leave,
}

/// What is carried down the tree.
struct Pen<'a> {
    graph: &'a Graph<'a>,
    workspace: &'a BTreeSet<PackageId>,
    drawn: BTreeSet<NodeIndex>,
    lines: Vec<String>,
    /// For each level above: whether more siblings follow.
    levels: Vec<bool>,
    path: Vec<NodeIndex>,
}

impl Drawing {
    /// Understands `--format`.
    pub(super) fn new(format: &str, prefix: Prefix, depth: Depth, ascii: bool, no_dedupe: bool) -> Result<Self> {
        let symbols = if ascii { ASCII } else { UTF8 };
        Ok(Self { format: parse(format)?, prefix, depth, symbols, no_dedupe })
    }

    /// One tree below each root, separated by empty lines.
    pub(super) fn draw(&self, graph: &Graph<'_>, roots: &[NodeIndex], workspace: &BTreeSet<PackageId>) -> Vec<String> {
        let (drawn, lines, levels, path) = Default::default();
        let mut pen = Pen { graph, workspace, drawn, lines, levels, path };
        for (position, root) in roots.iter().enumerate() {
            if position > 0 {
                pen.lines.push(String::new());
            }
            self.node(*root, &mut pen);
        }
        pen.lines
    }

    /// Draws a node and all below it. The steps to come stand on a stack of their own: a graph may be deeper than the
    /// thread's stack.
    fn node(&self, root: NodeIndex, pen: &mut Pen<'_>) {
        let mut steps = vec![Step::Node(root)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Node(index) => {
                    if self.one(index, pen) {
                        pen.path.push(index);
                        steps.push(Step::Leave);
                        steps.extend(self.below(index, pen).into_iter().rev());
                    }
                }
                Step::Title(title) => {
                    let start: String = pen.levels.iter().map(|more| self.column(*more)).collect();
                    pen.lines.push(format!("{start}{title}"));
                }
                Step::In(more) => pen.levels.push(more),
                Step::Out => drop(pen.levels.pop()),
                Step::Leave => drop(pen.path.pop()),
            }
        }
    }

    /// Draws the line of one node; says whether what it depends on follows.
    fn one(&self, index: NodeIndex, pen: &mut Pen<'_>) -> bool {
        let node = pen.graph.get(index);
        // A cycle (through development dependencies) is cut even without deduplication.
        let again = pen.path.contains(&index) || (!pen.drawn.insert(index) && !self.no_dedupe);
        let mut line = self.line_start(&pen.levels);
        line.push_str(&self.text(node));
        if again && !node.edges.is_empty() {
            line.push_str(" (*)");
        }
        pen.lines.push(line);
        !again
    }

    fn below(&self, index: NodeIndex, pen: &Pen<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for kind in [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development] {
            let edges = pen.graph.get(index).edges.iter();
            let all: Vec<_> = edges.filter(|(edge, _)| *edge == kind).map(|(_, to)| *to).collect();
            let below: Vec<_> = all.iter().copied().filter(|to| self.shows(*to, pen)).collect();
            // `--depth workspace` keeps the title of a section that it empties, as `cargo tree` does.
            let titled = !below.is_empty() || (self.depth == Depth::Workspace && !all.is_empty());
            if let (Some(title), Prefix::Indent, true) = (title(kind), self.prefix, titled) {
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
        match self.depth {
            Depth::Unlimited => true,
            Depth::Levels(most) => pen.levels.len() < most,
            Depth::Workspace => pen.workspace.contains(&pen.graph.get(to).package.id),
        }
    }

    fn column(&self, more: bool) -> String {
        if more { format!("{}   ", self.symbols.down) } else { "    ".to_owned() }
    }

    fn line_start(&self, levels: &[bool]) -> String {
        match (self.prefix, levels.split_last()) {
            (Prefix::None, _) => String::new(),
            (Prefix::Depth, _) => levels.len().to_string(),
            (Prefix::Indent, None) => String::new(),
            (Prefix::Indent, Some((more, above))) => {
                let Symbols { tee, ell, right, .. } = self.symbols;
                let above: String = above.iter().map(|more| self.column(*more)).collect();
                format!("{above}{}{right}{right} ", if *more { tee } else { ell })
            }
        }
    }

    fn text(&self, node: &Node<'_>) -> String {
        let details = &node.package.details;
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Package => package_text(node),
            Piece::License => details.license.clone().unwrap_or_default(),
            Piece::Repository => details.repository.clone().unwrap_or_default(),
            Piece::Features => {
                let names: Vec<&str> = node.features.iter().map(|feature| feature.as_str()).collect();
                names.join(",")
            }
            Piece::Library => node.package.library().map(|target| target.crate_name()).unwrap_or_default(),
        };
        self.format.iter().map(piece).collect()
    }
}

fn package_text(node: &Node<'_>) -> String {
    let id = node.package.id;
    let mut text = format!("{} v{}", id.name(), id.version());
    if node.package.is_proc_macro() {
        text.push_str(" (proc-macro)");
    }
    match id.source().local_path() {
        Some(path) => text.push_str(&format!(" ({})", path.display())),
        None if id.source().is_crates_io() => {}
        None if id.source().is_registry() => {
            text.push_str(&format!(" (registry `{}`)", id.source().registry_name()));
        }
        None => text.push_str(&format!(" ({})", ShownSource(id.source()))),
    }
    text
}

fn title(kind: DependencyKind) -> Option<&'static str> {
    match kind {
        DependencyKind::Normal => None,
        DependencyKind::Build => Some("[build-dependencies]"),
        DependencyKind::Development => Some("[dev-dependencies]"),
    }
}

fn parse(format: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((text, after)) = rest.split_once('{') {
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let (word, after) = after.split_once('}').ok_or_else(|| {
            Error::failure(format!("tree format `{format}` not valid")).because("a `{` is not closed")
        })?;
        pieces.push(match word {
            "p" => Piece::Package,
            "l" => Piece::License,
            "r" => Piece::Repository,
            "f" => Piece::Features,
            "lib" => Piece::Library,
            other => {
                return Err(Error::failure(format!("tree format `{format}` not valid"))
                    .because(format!("unsupported pattern `{other}`: use p, l, r, f or lib")));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}
