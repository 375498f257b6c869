//! Drawing a graph as a tree.

use std::collections::BTreeSet;

use bulkhead_schema::{PackageId, Symbol};
use bulkhead_workspace::Package;

use super::graph::{EdgeKind, Graph, NodeIndex, Subject};
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
    Leave(NodeIndex),
}

/// What is carried down the tree.
struct Pen<'a> {
    graph: &'a Graph<'a>,
    workspace: &'a BTreeSet<PackageId>,
    drawn: BTreeSet<NodeIndex>,
    /// For each level above: whether more siblings follow.
    levels: Vec<bool>,
    path: BTreeSet<NodeIndex>,
    paper: &'a mut Paper<'a>,
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
        workspace: &'a BTreeSet<PackageId>,
        paper: &'a mut Paper<'a>,
    ) {
        let (drawn, levels, path) = Default::default();
        let mut pen = Pen { graph, workspace, drawn, levels, path, paper };
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
                    let start: String = pen.levels.iter().map(|more| self.column(*more)).collect();
                    (pen.paper)(&format!("{start}{title}"))
                }
                Step::In(more) => {
                    pen.levels.push(more);
                    true
                }
                Step::Out => pen.levels.pop().is_some(),
                Step::Leave(index) => pen.path.remove(&index),
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
        let again = pen.path.contains(&index) || (!pen.drawn.insert(index) && !self.no_dedupe);
        let mut line = self.line_start(&pen.levels);
        line.push_str(&self.text(index, pen.graph));
        if again && !pen.graph.get(index).edges.is_empty() {
            line.push_str(" (*)");
        }
        ((pen.paper)(&line), !again)
    }

    fn below(&self, index: NodeIndex, pen: &Pen<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for kind in [EdgeKind::Normal, EdgeKind::Build, EdgeKind::Development, EdgeKind::Feature] {
            let edges = pen.graph.get(index).edges.iter();
            let all: Vec<_> = edges.filter(|(edge, _)| *edge == kind).map(|(_, to)| *to).collect();
            let below: Vec<_> = all.iter().copied().filter(|to| self.shows(*to, pen)).collect();
            // `--depth` keeps the title of a section that it empties, as `cargo tree` does.
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
        match self.depth {
            Depth::Unlimited => true,
            Depth::Levels(most) => pen.levels.len() < most,
            Depth::Workspace => pen.graph.package(to).is_none_or(|package| pen.workspace.contains(&package.id)),
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

    fn text(&self, index: NodeIndex, graph: &Graph<'_>) -> String {
        let (package, features) = match &graph.get(index).subject {
            Subject::Package { package, features, .. } => (*package, *features),
            Subject::Feature { of, name, by_command_line } => {
                let package = graph.package(*of).map(|package| package.id.name().as_str()).unwrap_or_default();
                let mark = if *by_command_line { " (command-line)" } else { "" };
                return format!("{package} feature \"{name}\"{mark}");
            }
        };
        self.format.iter().map(|piece| piece_text(piece, package, features)).collect()
    }
}

fn piece_text(piece: &Piece, package: &Package, features: &BTreeSet<Symbol>) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Package => package_text(package),
        Piece::License => package.details.license.clone().unwrap_or_default(),
        Piece::Repository => package.details.repository.clone().unwrap_or_default(),
        Piece::Features => features.iter().map(|feature| feature.as_str()).collect::<Vec<_>>().join(","),
        Piece::Library => package.library().map(|target| target.crate_name()).unwrap_or_default(),
    }
}

fn package_text(package: &Package) -> String {
    let text = package.id.to_string();
    let named = format!("{} v{}", package.id.name(), package.id.version());
    match text.strip_prefix(&named) {
        Some(source) if package.is_proc_macro() => format!("{named} (proc-macro){source}"),
        _ => text,
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
