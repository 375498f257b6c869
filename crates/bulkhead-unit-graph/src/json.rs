//! The unit graph in the form of `cargo build --unit-graph`.

use crate::UnitGraph;

/// Version 1 of Cargo's `--unit-graph` output.
pub fn unit_graph_json(graph: &UnitGraph) -> serde_json::Value {
    let _ = graph;
    serde_json::Value::Null
}
