//! From packages, features and profiles to the graph of units.
//!
//! In four steps: the targets that the request names ([`roots`]), everything they need, each platform and purpose
//! apart ([`draft`], [`edges`]), the folding of what turns out to be the same ([`share`]), and the choice of what is
//! documented ([`documentation`]).

mod documentation;
mod draft;
mod edges;
mod links;
mod required_features;
mod roots;
mod share;

use bulkhead_schema::Diagnostic;

use crate::{PlanInput, UnitGraph};

/// The units that `input.request` asks for and everything they need, with Cargo's edges.
///
/// # Errors
/// Targets that do not exist, patterns that match nothing, `required-features` that are missing where the target was
/// named, an unknown profile, a platform that the toolchain was not asked about, and packages that `input` lacks.
pub fn plan(input: &PlanInput<'_>) -> Result<UnitGraph, Vec<Diagnostic>> {
    let mut draft = draft::Draft::new(*input);
    let roots = roots::add(&mut draft)?;
    edges::complete(&mut draft).map_err(|error| vec![error])?;
    links::connect(&mut draft);
    let mut graph = share::finish(&draft, &roots).map_err(|error| vec![error])?;
    documentation::settle(&mut graph);
    Ok(graph)
}
