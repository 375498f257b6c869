//! The solver against a SAT solver: a graph is found if and only if there is one, and what is found is one.
//!
//! Thousands of generated registries, the same on every run. `BULKHEAD_ORACLE_SEEDS=FROM..TO` tries others; a seed that
//! fails is added to `COUNTEREXAMPLES` with the cause. What is printed of it was made as small as it can be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has to stop")]
#![allow(clippy::disallowed_methods, reason = "the solver is pure, its judge is not")]

mod sat;
mod shrink;
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
    match verdict(&generated, &sat::satisfiable) {
        Ok(satisfiable) => satisfiable,
        Err(_) => {
            let smallest = shrink::shrink(&generated, &|it| verdict(it, &sat::satisfiable).is_err());
            let why = verdict(&smallest, &sat::satisfiable).unwrap_err();
            panic!("seed {seed}, size {size}: {why}\n{}", told(&smallest));
        }
    }
}

/// Whether there is a graph, if the solver and `judge` agree about it; else what is wrong.
fn verdict(generated: &GeneratedRegistry, judge: &dyn Fn(&GeneratedRegistry) -> bool) -> Result<bool, String> {
    let satisfiable = judge(generated);
    match solve(generated) {
        Ok(resolve) => {
            let faults = validity::faults(generated, &resolve);
            match (faults.is_empty(), satisfiable) {
                (false, _) => Err(format!("{faults:#?}")),
                (true, false) => Err("the SAT solver finds no graph".to_owned()),
                (true, true) => Ok(true),
            }
        }
        Err(error) if satisfiable || matches!(error.kind, ResolveErrorKind::Limit | ResolveErrorKind::Request) => {
            Err(format!("there is a graph ({satisfiable}), but: {error}"))
        }
        Err(_) => Ok(false),
    }
}

/// A registry as its index would have it, and the members' manifests.
fn told(generated: &GeneratedRegistry) -> String {
    let lines = generated.published.iter().map(GeneratedVersion::index_line);
    lines.chain(generated.members.iter().map(GeneratedVersion::manifest)).map(|it| it + "\n").collect()
}

/// Judges that are wrong in one thing, each on some registries, which are made so small that one sees why.
#[test]
fn a_counterexample_is_made_small() {
    // What the judge doesn't see, and how many packages it takes at most to show that.
    for (what, most) in [("yanked", 1), ("links", 3), ("features", 2)] {
        let blind = |version: &mut GeneratedVersion| match what {
            "yanked" => version.yanked = false,
            "links" => version.links = None,
            _ => version.dependencies.iter_mut().for_each(|it| it.features.clear()),
        };
        let judge = |generated: &GeneratedRegistry| {
            let mut seen = generated.clone();
            seen.published.iter_mut().chain(&mut seen.members).for_each(blind);
            sat::satisfiable(&seen)
        };
        let wrong = |generated: &GeneratedRegistry| verdict(generated, &judge).is_err();
        let mut seeds = (0..300).map(|seed| GeneratedRegistry::new(seed, 12));
        let found = seeds.find(|it| wrong(it)).expect(what);
        let smallest = shrink::shrink(&found, &wrong);
        let text = told(&smallest);
        assert!(wrong(&smallest), "{what}: {text}");
        assert!(smallest.members.len() <= 2, "{what}: {text}");
        assert!(smallest.published.len() <= most, "{what}: {text}");
        let all = || smallest.published.iter().chain(&smallest.members);
        assert!(all().map(|it| it.dependencies.len()).sum::<usize>() <= most, "{what}: {text}");
        assert!(all().all(|it| it.features.is_empty()), "{what}: {text}");
    }
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
