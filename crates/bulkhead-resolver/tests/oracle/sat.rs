//! Resolution as clauses. Written from the Cargo Book and the generator's own values, not from the resolver's types.
//!
//! Variables say that a version is in the graph, that a feature of it is on, that an optional dependency of it is
//! switched on, and that a dependency leads to a version. More than needed may be true in a model; since nothing ever
//! forbids a feature or a package but another one in its place, that changes nothing about whether there is a model.

use std::collections::{BTreeMap, BTreeSet};

use batsat::{BasicSolver, Lit, SolverInterface, lbool};
use bulkhead_test_support::{GeneratedDependency, GeneratedRegistry, GeneratedVersion};
use semver::{Version, VersionReq};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Chosen(usize),
    Feature(usize, String),
    SwitchedOn(usize, String),
    Leads(usize, usize, usize),
}

#[derive(Default)]
struct Clauses {
    solver: BasicSolver,
    literals: BTreeMap<Fact, Lit>,
}

impl Clauses {
    fn literal(&mut self, fact: Fact) -> Lit {
        let solver = &mut self.solver;
        *self.literals.entry(fact).or_insert_with(|| Lit::new(solver.new_var_default(), true))
    }

    /// If all of `given`, then one of `then`.
    fn imply(&mut self, given: &[&Fact], then: Vec<Fact>) {
        let mut clause: Vec<Lit> = given.iter().map(|&fact| !self.literal(fact.clone())).collect();
        clause.extend(then.into_iter().map(|fact| self.literal(fact)));
        self.solver.add_clause_reuse(&mut clause);
    }

    fn at_most_one(&mut self, versions: &[usize]) {
        for (place, &one) in versions.iter().enumerate() {
            for &other in &versions[place + 1..] {
                self.imply(&[&Fact::Chosen(one), &Fact::Chosen(other)], Vec::new());
            }
        }
    }
}

/// Whether the workspace can be resolved with all features and development dependencies of its members.
pub(crate) fn satisfiable(generated: &GeneratedRegistry) -> bool {
    let all: Vec<&GeneratedVersion> = generated.published.iter().chain(&generated.members).collect();
    let first_member = generated.published.len();
    let mut clauses = Clauses::default();
    for (member, version) in all.iter().enumerate().skip(first_member) {
        clauses.imply(&[], vec![Fact::Chosen(member)]);
        for feature in table(version).into_keys() {
            clauses.imply(&[], vec![Fact::Feature(member, feature)]);
        }
    }
    let mut ranges: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    let mut libraries: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, version) in all.iter().enumerate() {
        ranges.entry((&version.name, range(&version.version))).or_default().push(place);
        if let Some(links) = &version.links {
            libraries.entry(links).or_default().push(place);
        }
        add_version(&mut clauses, &all, first_member, place);
    }
    ranges.values().for_each(|versions| clauses.at_most_one(versions));
    libraries.values().for_each(|versions| clauses.at_most_one(versions));
    clauses.solver.solve_limited(&[]) == lbool::TRUE
}

fn add_version(clauses: &mut Clauses, all: &[&GeneratedVersion], first_member: usize, place: usize) {
    let version = all[place];
    let dependencies: Vec<(usize, &GeneratedDependency)> =
        version.dependencies.iter().enumerate().filter(|(_, it)| it.kind != "dev" || place >= first_member).collect();
    for &(number, dependency) in &dependencies {
        let needed = match dependency.optional {
            true => Fact::SwitchedOn(place, dependency.name().to_owned()),
            false => Fact::Chosen(place),
        };
        let fitting = fitting(all, first_member, dependency);
        clauses.imply(&[&needed], fitting.iter().map(|&to| Fact::Leads(place, number, to)).collect());
        for to in fitting {
            let leads = Fact::Leads(place, number, to);
            clauses.imply(&[&leads], vec![Fact::Chosen(to)]);
            for feature in &dependency.features {
                ask(clauses, &[&leads], all, to, feature);
            }
            if dependency.default_features && all[to].features.contains_key("default") {
                ask(clauses, &[&leads], all, to, "default");
            }
        }
    }
    for (feature, values) in table(version) {
        let on = Fact::Feature(place, feature);
        for value in values {
            if let Some((name, wanted)) = value.split_once('/') {
                let name = name.trim_end_matches('?');
                clauses.imply(&[&on], vec![Fact::SwitchedOn(place, name.to_owned())]);
                let implicit = !value.contains('?') && is_optional(version, name) && table(version).contains_key(name);
                if implicit {
                    clauses.imply(&[&on], vec![Fact::Feature(place, name.to_owned())]);
                }
                for &(number, dependency) in dependencies.iter().filter(|(_, it)| it.name() == name) {
                    for to in fitting(all, first_member, dependency) {
                        ask(clauses, &[&on, &Fact::Leads(place, number, to)], all, to, wanted);
                    }
                }
            } else if let Some(name) = value.strip_prefix("dep:") {
                clauses.imply(&[&on], vec![Fact::SwitchedOn(place, name.to_owned())]);
            } else {
                clauses.imply(&[&on], vec![Fact::Feature(place, value)]);
            }
        }
    }
}

/// `given` asks for a feature of a version, which may not have it.
fn ask(clauses: &mut Clauses, given: &[&Fact], all: &[&GeneratedVersion], of: usize, feature: &str) {
    let exists = table(all[of]).contains_key(feature);
    clauses.imply(given, exists.then(|| Fact::Feature(of, feature.to_owned())).into_iter().collect());
}

/// The versions that a dependency could lead to.
pub(crate) fn fitting(all: &[&GeneratedVersion], first_member: usize, dependency: &GeneratedDependency) -> Vec<usize> {
    let requirement = VersionReq::parse(&dependency.requirement).unwrap();
    let fits = |it: &GeneratedVersion| {
        !it.yanked && it.name == dependency.package && requirement.matches(&Version::parse(&it.version).unwrap())
    };
    (0..first_member).filter(|&place| fits(all[place])).collect()
}

fn is_optional(version: &GeneratedVersion, name: &str) -> bool {
    version.dependencies.iter().any(|it| it.optional && it.name() == name)
}

/// The feature table with the implicit features of optional dependencies that no `dep:` names.
pub(crate) fn table(version: &GeneratedVersion) -> BTreeMap<String, Vec<String>> {
    let mut table = version.features.clone();
    let explicit: BTreeSet<String> = version.features.values().flatten().cloned().collect();
    for dependency in version.dependencies.iter().filter(|it| it.optional) {
        let value = format!("dep:{}", dependency.name());
        if !explicit.contains(&value) {
            table.entry(dependency.name().to_owned()).or_insert_with(|| vec![value]);
        }
    }
    table
}

/// Versions with the same leftmost part that is not zero are compatible: only one of them can be chosen.
pub(crate) fn range(version: &str) -> String {
    let version = Version::parse(version).unwrap();
    match (version.major, version.minor) {
        (0, 0) => format!("0.0.{}", version.patch),
        (0, minor) => format!("0.{minor}"),
        (major, _) => major.to_string(),
    }
}
