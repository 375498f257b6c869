//! The solver against a SAT solver: a graph is found if and only if there is one, and what is found is one.
//!
//! Thousands of generated registries, the same on every run. `BULKHEAD_ORACLE_SEEDS=FROM..TO` tries others; a seed that
//! fails is added to `COUNTEREXAMPLES` with the cause.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has to stop")]
#![allow(clippy::disallowed_methods, reason = "the solver is pure, its judge is not")]

mod sat;
mod validity;

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_resolver::{Outcome, Registry, Request, Resolve, ResolveErrorKind, VersionEntry, resolve};
use bulkhead_schema::index::{IndexFile, Validators};
use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId, Summary};
use bulkhead_test_support::{GeneratedRegistry, GeneratedVersion};

/// How many packages a registry has at most: small ones are solved in many ways, larger ones go wrong in more.
const SIZES: [usize; 3] = [4, 7, 12];

/// Registries on which the solver, or this test, was once wrong, with their sizes.
const COUNTEREXAMPLES: &[(u64, usize)] = &[
    // One dependency leads to two versions.
    (104_187, 4),
];

#[test]
fn a_graph_is_found_if_and_only_if_there_is_one() {
    let seeds = seeds();
    let (mut solved, mut total) = (0_usize, 0_usize);
    for (seed, size) in seeds {
        total += 1;
        solved += usize::from(check(seed, size));
    }
    // A generator that makes only easy or only hopeless registries would test nothing.
    assert!(solved * 10 > total * 2 && solved * 10 < total * 9, "{solved} of {total} have a solution");
}

#[test]
fn what_was_once_wrong_stays_right() {
    for &(seed, size) in COUNTEREXAMPLES {
        check(seed, size);
    }
}

fn seeds() -> Vec<(u64, usize)> {
    let range = std::env::var("BULKHEAD_ORACLE_SEEDS").unwrap_or_else(|_| "0..900".to_owned());
    let (from, to) = range.split_once("..").expect("FROM..TO");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    (from..to).flat_map(|seed| SIZES.map(|size| (seed, size))).collect()
}

/// Whether the registry of this seed has a solution, about which both have to agree.
fn check(seed: u64, size: usize) -> bool {
    let generated = GeneratedRegistry::new(seed, size);
    let satisfiable = sat::satisfiable(&generated);
    match solve(&generated) {
        Ok(resolve) => {
            let faults = validity::faults(&generated, &resolve);
            assert!(faults.is_empty(), "seed {seed}, size {size}: {faults:#?}\n{generated:#?}");
            assert!(satisfiable, "seed {seed}, size {size}: the SAT solver finds no graph\n{generated:#?}");
        }
        Err(error) => assert!(
            !satisfiable && !matches!(error.kind, ResolveErrorKind::Limit | ResolveErrorKind::Request),
            "seed {seed}, size {size}: there is a graph, but: {error}\n{generated:#?}"
        ),
    }
    satisfiable
}

fn solve(generated: &GeneratedRegistry) -> Result<Resolve, bulkhead_resolver::ResolveError> {
    let index = Index::new(generated);
    let members: Vec<Arc<Summary>> = generated.members.iter().map(member).collect();
    match resolve(&Request::for_lockfile(&members, &[], None), &index)? {
        Outcome::Resolved(resolve) => Ok(resolve),
        Outcome::Missing(missing) => panic!("everything is loaded, but {missing:?} is missing"),
    }
}

/// The generated packages, through the same parser as those of a real registry.
struct Index(BTreeMap<PackageName, IndexFile>);

impl Index {
    fn new(generated: &GeneratedRegistry) -> Self {
        let mut bodies: BTreeMap<PackageName, String> = BTreeMap::new();
        for version in &generated.published {
            let name = PackageName::registry(&version.name).unwrap();
            *bodies.entry(name).or_default() += &(version.index_line() + "\n");
        }
        Self(bodies.into_iter().map(|(name, body)| (name, index_file(name, body))).collect())
    }
}

fn index_file(name: PackageName, body: String) -> IndexFile {
    let file = IndexFile::parse(name, SourceId::crates_io(), body.into_bytes(), Validators::default()).unwrap();
    assert_eq!(file.rejected(), [], "the generator writes valid lines");
    for position in 0..file.versions().len() {
        file.summary(position).expect("the generator writes valid entries");
    }
    file
}

/// A member has the same shape as an index entry, but for where it is.
fn member(version: &GeneratedVersion) -> Arc<Summary> {
    let name = PackageName::registry(&version.name).unwrap();
    let published = index_file(name, version.index_line()).summary(0).unwrap();
    let place = SourceId::path(&std::path::Path::new("/w").join(&version.name)).unwrap();
    let id = PackageId::new(name, published.id.version().clone(), place);
    Arc::new(Summary { id, checksum: None, ..(*published).clone() })
}

impl Registry for Index {
    fn versions(&self, _: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        Some(self.0.get(&name).map_or(&[], IndexFile::versions))
    }
    fn summary(&self, id: PackageId) -> Result<Arc<Summary>, Diagnostic> {
        let file = &self.0[&id.name()];
        file.summary(file.position(id.version()).expect("a version that was listed"))
    }
}
