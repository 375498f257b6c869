//! Build scripts are told what the scripts of direct dependencies with `links` said (`DEP_*`), so these run first.

use super::draft::{Draft, Edge, NodeIndex};
use super::edges::is_linkable;
use crate::CompileMode;

/// Adds, to each run of a build script, the runs of those packages with `links` that the units it runs for depend on.
pub(super) fn connect(draft: &mut Draft<'_>) {
    let mut added: Vec<Vec<Edge>> = draft.nodes.iter().map(|_| Vec::new()).collect();
    for node in &draft.nodes {
        let own_runs = node.dependencies.iter().filter(|edge| is_run(draft, edge.node));
        for own in own_runs {
            if node.key.mode == CompileMode::RunBuildScript || draft.is_given(own.node) {
                continue;
            }
            for edge in &node.dependencies {
                let other = &draft.nodes[edge.node];
                let links = other.package.summary.links.is_some() && is_linkable(&other.target);
                if !links || edge.development || other.key.package == node.key.package {
                    continue;
                }
                added[own.node].extend(other.dependencies.iter().filter(|edge| is_run(draft, edge.node)));
            }
        }
    }
    for (node, edges) in draft.nodes.iter_mut().zip(added) {
        for edge in edges {
            if node.dependencies.iter().all(|known| known.node != edge.node) {
                node.dependencies.push(edge);
            }
        }
    }
}

fn is_run(draft: &Draft<'_>, node: NodeIndex) -> bool {
    draft.nodes[node].key.mode == CompileMode::RunBuildScript
}
