//! `check(fixture, expect)`: a fixture is a tiny registry and the members, one package per line:
//!
//! ```text
//! > x 0.1.0 | dep a ^1            a member
//! a 1.0.0 links=z rust=1.70 age=9 published, so many seconds ago
//! a 1.1.0 yanked | opt b ^1 +feature -default | dev c * | build d ^1 | feature f = dep:b c/g
//! ! a 1.0.0                       a patch of the registry
//! = a 1.0.0                       locked
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::{
    Dependency, DependencyKind, Diagnostic, FeatureValue, PackageId, PackageName, SourceId, Summary, Symbol,
};
use expect_test::{Expect, expect};
use semver::{Version, VersionReq};

use crate::lock::{self, Previous};
use crate::{Outcome, Patch, Registry, Request, Unlock, VersionEntry, resolve};

#[derive(Default)]
struct Fixture {
    members: Vec<Arc<Summary>>,
    patches: Vec<Patch>,
    locked: Vec<PackageId>,
    entries: BTreeMap<PackageName, Vec<VersionEntry>>,
    summaries: BTreeMap<PackageId, Arc<Summary>>,
}

fn name(text: &str) -> PackageName {
    PackageName::local(text).unwrap()
}

fn path(text: &str) -> SourceId {
    SourceId::path(&Path::new("/w").join(text)).unwrap()
}

fn fixture(text: &str) -> Fixture {
    let mut fixture = Fixture::default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let locals: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("> ")?.split(' ').next()).collect();
    for line in &lines {
        let (mark, rest) = match line.split_at(2) {
            ("> " | "! " | "= ", rest) => (&line[..1], rest),
            _ => ("", *line),
        };
        let summary = Arc::new(summary(rest, matches!(mark, ">" | "!"), &locals));
        match mark {
            ">" => fixture.members.push(summary),
            "!" => fixture.patches.push(Patch { patched: SourceId::crates_io(), summary }),
            "=" => fixture.locked.push(summary.id),
            _ => {
                let entries = fixture.entries.entry(summary.id.name()).or_default();
                entries.push(VersionEntry {
                    version: summary.id.version().clone(),
                    yanked: summary.yanked,
                    rust_version: summary.rust_version.clone(),
                    whole_rust_version: false,
                    pubtime: pubtime(rest),
                });
                entries.sort_by(|a, b| a.version.cmp(&b.version));
                fixture.summaries.insert(summary.id, summary);
            }
        }
    }
    fixture
}

/// `age=` seconds before [`NOW`].
fn pubtime(line: &str) -> Option<i64> {
    let age = line.split(' ').find_map(|word| word.strip_prefix("age="))?;
    Some(NOW - age.parse::<i64>().unwrap())
}

const NOW: i64 = 1_700_000_000;

fn summary(line: &str, local: bool, locals: &[&str]) -> Summary {
    let mut parts = line.split(" | ");
    let mut head = parts.next().unwrap().split(' ');
    let package = head.next().unwrap();
    let source = if local { path(package) } else { SourceId::crates_io() };
    let id = PackageId::new(name(package), head.next().unwrap().parse().unwrap(), source);
    let mut summary = Summary {
        id,
        dependencies: Vec::new(),
        features: Arc::default(),
        links: None,
        checksum: None,
        rust_version: None,
        yanked: false,
    };
    for flag in head {
        match flag.split_once('=') {
            Some(("links", links)) => summary.links = Some(links.into()),
            Some(("age", _)) => {}
            Some(("rust", rust)) => summary.rust_version = Some(format!("{rust}.0").parse().unwrap()),
            _ => summary.yanked = flag == "yanked",
        }
    }
    let mut features = bulkhead_schema::Features::new();
    for part in parts {
        let words: Vec<&str> = part.split(' ').collect();
        if words[0] == "feature" {
            features.insert(words[1].into(), words[3..].iter().map(|value| FeatureValue::parse(value)).collect());
            continue;
        }
        let source = if locals.contains(&words[1]) && local { path(words[1]) } else { SourceId::crates_io() };
        let values = |sign| words[3..].iter().filter_map(move |word| word.strip_prefix(sign));
        summary.dependencies.push(Dependency {
            package: name(words[1]),
            rename: None,
            requirement: VersionReq::parse(words[2]).unwrap(),
            kind: match words[0] {
                "dev" => DependencyKind::Development,
                "build" => DependencyKind::Build,
                _ => DependencyKind::Normal,
            },
            platform: None,
            optional: words[0] == "opt",
            default_features: values('-').next().is_none(),
            features: values('+').map(Symbol::new).collect(),
            source,
            specified_requirement: words[2] != "*",
        });
        let hidden = |feature: &Vec<FeatureValue>| feature.contains(&FeatureValue::Dependency(words[1].into()));
        if words[0] == "opt" && !features.values().any(hidden) && !line.contains(&format!("dep:{}", words[1])) {
            features.insert(words[1].into(), vec![FeatureValue::Dependency(words[1].into())]);
        }
    }
    summary.features = Arc::new(features);
    summary
}

impl Registry for Fixture {
    fn versions(&self, _: SourceId, name: PackageName) -> Option<&[VersionEntry]> {
        if name.as_str() == "unloaded" { None } else { Some(self.entries.get(&name).map_or(&[], Vec::as_slice)) }
    }
    fn summary(&self, id: PackageId) -> Result<Arc<Summary>, Diagnostic> {
        Ok(Arc::clone(&self.summaries[&id]))
    }
}

fn outcome(fixture: &Fixture, adjust: impl FnOnce(&mut Request<'_>)) -> String {
    let mut previous = Previous::default();
    for &id in &fixture.locked {
        previous.packages.insert(id, std::collections::BTreeSet::new());
    }
    let mut request = Request::for_lockfile(&fixture.members, &[], (!fixture.locked.is_empty()).then_some(&previous));
    request.patches = &fixture.patches;
    adjust(&mut request);
    match resolve(&request, fixture) {
        Ok(Outcome::Resolved(resolve)) => {
            let lockfile = lock::encode(&resolve, 4);
            let describe = |it: &bulkhead_schema::lockfile::LockedPackage| {
                let place = if it.source.is_none() { " (local)" } else { "" };
                format!("{} {}{place}", it.name, it.version)
            };
            let unused = lockfile.unused_patches.iter().map(|it| format!("unused {}", describe(it)));
            lockfile.packages.iter().map(describe).chain(unused).collect::<Vec<_>>().join("\n")
        }
        Ok(Outcome::Missing(missing)) => format!("missing {missing:?}"),
        Err(error) => {
            let help = error.help.iter().map(|line| format!("\nhelp: {line}"));
            format!("{error}{}", help.collect::<String>())
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! reads best by value")]
fn check(text: &str, expect: Expect) {
    expect.assert_eq(&outcome(&fixture(text), |_| {}));
}

#[test]
fn highest_compatible_versions_one_per_range() {
    check(
        "> x 0.1.0 | dep a ^1 | dep b ^1
        a 1.0.0
        a 1.2.0 | dep c ^0.3
        a 1.3.0 yanked
        a 2.0.0
        b 1.0.0 | dep c ^0.2
        c 0.2.1
        c 0.3.0
        c 0.3.1-beta.1",
        expect![[r#"
            a 1.2.0
            b 1.0.0
            c 0.2.1
            c 0.3.0
            x 0.1.0 (local)"#]],
    );
}

#[test]
fn older_versions_are_taken_where_newer_ones_conflict() {
    check(
        "> x 0.1.0 | dep a ^1 | dep b =1.0.0
        a 1.0.0
        a 1.1.0 | dep b =1.1.0
        b 1.0.0
        b 1.1.0",
        expect![[r#"
            a 1.0.0
            b 1.0.0
            x 0.1.0 (local)"#]],
    );
}

#[test]
fn weak_features_lock_the_dependency_and_dev_dependencies_of_others_do_not_count() {
    check(
        "> x 0.1.0 | dep a ^1 +f | dev y *
        > y 0.1.0 | dep x ^0.1
        a 1.0.0 | opt b ^1 | opt c ^1 | dev d ^1 | feature f = b?/std
        b 1.0.0 | feature std =
        c 1.0.0
        d 1.0.0",
        expect![[r#"
            a 1.0.0
            b 1.0.0
            x 0.1.0 (local)
            y 0.1.0 (local)"#]],
    );
}

#[test]
fn patches_replace_and_unused_ones_are_named() {
    check(
        "> x 0.1.0 | dep a ^1 | dep b ^1
        ! a 1.5.0
        ! b 2.0.0
        a 1.9.0
        b 1.0.0 | dep a ^1.2",
        expect![[r#"
            a 1.5.0 (local)
            b 1.0.0
            x 0.1.0 (local)
            unused b 2.0.0 (local)"#]],
    );
}

#[test]
fn locked_versions_stay_even_if_yanked() {
    let text = "> x 0.1.0 | dep a ^1 | dep b ^1
        a 1.0.0 yanked
        a 1.1.0
        b 1.0.0
        b 1.1.0
        = a 1.0.0
        = b 1.0.0
        = x 0.1.0";
    check(
        text,
        expect![[r#"
            a 1.0.0
            b 1.0.0
            x 0.1.0 (local)"#]],
    );
    let fixture = fixture(text);
    let unlock = |precise: Option<Version>| {
        let packages = [PackageId::new(name("b"), Version::new(1, 0, 0), SourceId::crates_io())].into();
        outcome(&fixture, |request| request.unlock = Unlock::Packages { packages, recursive: false, precise })
    };
    expect![[r#"
        a 1.0.0
        b 1.1.0
        x 0.1.0 (local)"#]]
    .assert_eq(&unlock(None));
    assert!(unlock(Some(Version::new(1, 7, 0))).starts_with("failed to select a version for the requirement `b"));
    expect![[r#"
        a 1.1.0
        b 1.1.0
        x 0.1.0 (local)"#]]
    .assert_eq(&outcome(&fixture, |request| request.unlock = Unlock::All));
}

#[test]
fn versions_for_the_workspaces_rust_come_first() {
    let fixture = fixture(
        "> x 0.1.0 | dep a ^1 | dep b ^1
        a 1.0.0 rust=1.60
        a 1.1.0 rust=1.80
        b 1.1.0 rust=1.80",
    );
    expect![[r#"
        a 1.0.0
        b 1.1.0
        x 0.1.0 (local)"#]]
    .assert_eq(&outcome(&fixture, |request| request.rust_versions = vec![Version::new(1, 70, 0)]));
}

#[test]
fn what_is_not_loaded_is_asked_for_at_once() {
    check(
        "> x 0.1.0 | dep unloaded ^1 | dep a ^1\na 1.0.0",
        expect!["missing {(registry+https://github.com/rust-lang/crates.io-index, PackageName(\"unloaded\"))}"],
    );
}

#[test]
fn failures_are_explained() {
    check(
        "> x 0.1.0 | dep nowhere ^1",
        expect![[r#"
        no matching package named `nowhere` found
        location searched: crates.io index
            required by package `x v0.1.0 (/w/x)`"#]],
    );
    check(
        "> x 0.1.0 | dep a ^1\na 1.0.0 | dep b ^2\nb 1.0.0\nb 2.0.0-rc.1\nb 2.1.0 yanked",
        expect![[r#"
        failed to select a version for the requirement `b = "^2"`
        versions that match were yanked: 2.1.0
        candidate versions found which didn't match: 2.0.0-rc.1, 1.0.0
        location searched: crates.io index
            required by package `a v1.0.0`
            ... which satisfies dependency `a = "^1"` of package `x v0.1.0 (/w/x)`
        help: A pre-release has to be asked for explicitly: `b = "2.0.0-rc.1"`."#]],
    );
    check(
        "> x 0.1.0 | dep a ^1 +derve\na 1.0.0 | feature derive =",
        expect![[r#"
        package `x` depends on `a` with feature `derve` but `a` does not have that feature
        versions that meet the requirement `^1`: 1.0.0
            required by package `x v0.1.0 (/w/x)`
        help: A feature with a similar name exists: `derive`."#]],
    );
    check(
        "> x 0.1.0 | dep a ^1 | dep b ^1\na 1.0.0 | dep c =1.0.0\nb 1.0.0 | dep c =1.1.0\nc 1.0.0\nc 1.1.0",
        expect![[r#"
            failed to select a version for `c`
            versions that meet the requirement `c = "=1.1.0"`: 1.1.0
                required by package `b v1.0.0`
                ... which satisfies dependency `b = "^1"` of package `x v0.1.0 (/w/x)`
            c v1.0.0 is already selected, and only one of several compatible versions can be:
                ... which satisfies dependency `c = "=1.0.0"` of package `a v1.0.0`
                ... which satisfies dependency `a = "^1"` of package `x v0.1.0 (/w/x)`"#]],
    );
    check(
        "> x 0.1.0 | dep a ^1 | dep b ^1\na 1.0.0 links=z\nb 1.0.0 links=z",
        expect![[r#"
        failed to select a version for `b`
        versions that meet the requirement `b = "^1"`: 1.0.0
            required by package `x v0.1.0 (/w/x)`
        a v1.0.0 is already selected, and only one package may link to the native library `z`:
            ... which satisfies dependency `a = "^1"` of package `x v0.1.0 (/w/x)`
        help: Bring all packages that link `z` to requirements that one version meets."#]],
    );
    check(
        "> x 0.1.0 | dep y *\n> y 0.1.0 | dep x ^0.1",
        expect![[r#"
        cyclic package dependency: package `x v0.1.0 (/w/x)` depends on itself
        x v0.1.0 (/w/x) depends on y v0.1.0 (/w/y) (`y = "*"`)
        y v0.1.0 (/w/y) depends on x v0.1.0 (/w/x) (`x = "^0.1"`)"#]],
    );
}

#[test]
fn hopeless_searches_end() {
    // Every choice for a, b, c … fails at the very end: only jumping back over all of them ends in time.
    let mut text = String::from("> x 0.1.0 | dep z ^1");
    for letter in 'a'..='p' {
        text += &format!(" | dep {letter} ^1");
    }
    for letter in 'a'..='p' {
        (0..20).for_each(|patch| text += &format!("\n{letter} 1.0.{patch}"));
    }
    (0..30).for_each(|patch| text += &format!("\nz 1.0.{patch} | dep p =1.5.0"));
    let fixture = fixture(&text);
    let outcome = outcome(&fixture, |request| request.limits.steps = 1000);
    assert!(outcome.starts_with("failed to select a version for the requirement `p = \"=1.5.0\"`"), "{outcome}");
}

/// Attack 42.
#[test]
fn a_search_that_cannot_end_is_given_up_and_names_a_conflict() {
    // Attack 42, as hard as it gets: thirteen packages, each of which claims one of twelve native libraries.
    let mut text = String::from("> x 0.1.0");
    for package in 0..13 {
        text += &format!(" | dep p{package} ^1");
    }
    for package in 0..13 {
        for version in 0..12 {
            text += &format!("\np{package} 1.0.{version} links=z{version}");
        }
    }
    let fixture = fixture(&text);
    let steps = outcome(&fixture, |request| request.limits.steps = 20_000);
    assert!(steps.starts_with("gave up after 20000 steps without finding versions that fit together"), "{steps}");
    for expected in ["only one package may link to the native library", "`p12 = \"^1\"`", "limits.resolve.steps"] {
        assert!(steps.contains(expected), "{steps}");
    }
    let time = outcome(&fixture, |request| request.deadline = Some(crate::Deadline(&|| true)));
    assert!(time.starts_with("gave up when the time was over"), "{time}");
}

/// Attack 39.
#[test]
fn graphs_beyond_all_measure_are_refused() {
    let mut chain = String::from("> x 0.1.0 | dep p0 ^1");
    for place in 0..60 {
        chain += &format!("\np{place} 1.0.0 | dep p{} ^1 +f | feature f = g | feature g =", place + 1);
    }
    chain += "\np60 1.0.0 | feature f =";
    let chain = fixture(&chain);
    type Adjust = fn(&mut crate::Limits);
    let limits: [(Adjust, &str); 4] = [
        (|it| it.packages = 20, "the dependency graph has more than 20 packages"),
        (|it| it.depth = 30, "a chain of dependencies is longer than 30 packages"),
        (|it| it.edges = 40, "the dependency graph has more than 40 dependencies"),
        (|it| it.features = 50, "the packages of the graph have more than 50 features switched on"),
    ];
    for (adjust, message) in limits {
        let outcome = outcome(&chain, |request| adjust(&mut request.limits));
        assert!(outcome.starts_with(message) && outcome.contains("raise `limits.resolve."), "{outcome}");
    }
    assert!(outcome(&chain, |_| {}).contains("p60 1.0.0"));
    // A longer way than the one on which a package was found first.
    let wide = fixture(
        "> x 0.1.0 | dep d =1.0.0 | dep a ^1\na 1.0.0 | dep b ^1\nb 1.0.0 | dep c ^1\nc 1.0.0 | dep d ^1\nd 1.0.0\nd 1.0.1",
    );
    assert!(outcome(&wide, |request| request.limits.depth = 4).starts_with("a chain of dependencies"));
    assert!(outcome(&wide, |request| request.limits.depth = 5).starts_with("a 1.0.0"));
}

/// Attack 40.
#[test]
fn diamonds_and_cycles_of_features_cost_no_time() {
    // Attack 40: 2^60 ways through the features, cycles, and ten thousand optional dependencies.
    let mut text = String::from("> x 0.1.0 | dep a ^1 +f0\na 1.0.0");
    for level in 0..60 {
        text += &format!(" | feature f{level} = l{level} r{level}");
        text += &format!(" | feature l{level} = f{0} | feature r{level} = f{0}", level + 1);
    }
    text += " | feature f60 = f0 f30";
    for place in 0..500 {
        text += &format!(" | opt o{place} ^1");
    }
    // One way at a time, it would never end.
    check(
        &text,
        expect![[r#"
        a 1.0.0
        x 0.1.0 (local)"#]],
    );
}

fn aged(text: &str, adjust: impl FnOnce(&mut crate::PublishAge)) -> String {
    let mut age = crate::PublishAge { now: NOW, minimum: 1000, ..crate::PublishAge::default() };
    adjust(&mut age);
    outcome(&fixture(text), |request| request.publish_age = Some(Box::leak(Box::new(age))))
}

#[test]
fn fresh_versions_are_passed_over_unless_locked_or_exempt() {
    let text = "> x 0.1.0 | dep a ^1\na 1.0.0 age=5000\na 1.0.1 age=999\na 1.0.2 age=-60";
    assert!(aged(text, |_| {}).starts_with("a 1.0.0"));
    assert!(aged(text, |age| age.minimum = 0).starts_with("a 1.0.2"));
    assert!(aged(text, |age| age.minimum = 999).starts_with("a 1.0.1"));
    assert!(aged(text, |age| age.by_registry = [(SourceId::crates_io(), 5001)].into()).starts_with("failed"));
    let exempt = (name("a"), Version::new(1, 0, 1));
    assert!(aged(text, |age| age.exempt = [exempt].into()).starts_with("a 1.0.1"));
    // Only that version, and only of that package.
    let other = (name("b"), Version::new(1, 0, 1));
    assert!(aged(text, |age| age.exempt = [other].into()).starts_with("a 1.0.0"));
    let locked = format!("{text}\n= a 1.0.1\n= x 0.1.0");
    assert!(aged(&locked, |_| {}).starts_with("a 1.0.1"));
    let precise = |version: &str| {
        let fixture = fixture(&locked);
        let age = crate::PublishAge { now: NOW, minimum: 1000, ..crate::PublishAge::default() };
        let packages = [PackageId::new(name("a"), Version::new(1, 0, 1), SourceId::crates_io())].into();
        let precise = Some(version.parse().unwrap());
        outcome(&fixture, |request| {
            request.publish_age = Some(Box::leak(Box::new(age)));
            request.unlock = Unlock::Packages { packages, recursive: false, precise };
        })
    };
    assert!(precise("1.0.0").starts_with("a 1.0.0"));
    assert!(precise("1.0.2").starts_with("failed to select a version for the requirement `a = \"^1\"`"));
}

#[test]
fn undated_versions_are_old_only_where_nothing_is_dated_or_something_higher_is_old() {
    assert!(aged("> x 0.1.0 | dep a ^1\na 1.0.0\na 1.0.1", |_| {}).starts_with("a 1.0.1"));
    assert!(aged("> x 0.1.0 | dep a ^1\na 1.0.0 age=5000\na 1.0.1", |_| {}).starts_with("a 1.0.0"));
    let before = "> x 0.1.0 | dep a =1.0.0\na 1.0.0\na 1.0.1 age=5000\na 1.0.2 age=5";
    assert!(aged(before, |_| {}).starts_with("a 1.0.0"));
    assert!(aged("> x 0.1.0 | dep a ^1\na 1.0.0\na 1.0.2 age=5", |_| {}).starts_with("failed to select"));
}

#[test]
fn that_nothing_is_old_enough_is_told() {
    let told = aged("> x 0.1.0 | dep a ^1.1\na 1.0.0 age=99999\na 1.1.0 age=120\na 1.1.1 age=-5", |_| {});
    expect![[r#"
        failed to select a version for the requirement `a = "^1.1"`
        version 1.1.1 is too new (the registry says that it was published in the future)
        version 1.1.0 is too new (published 2 minutes ago, minimum age 16 minutes)
        candidate versions found which didn't match: 1.0.0
        location searched: crates.io index
            required by package `x v0.1.0 (/w/x)`
        help: To take it all the same, add to `bulkhead.toml`:
        [[publish-age.exempt]]
        package = "a"
        version = "1.1.1"
        help: `CARGO_RESOLVER_INCOMPATIBLE_PUBLISH_AGE=allow` lets all fresh versions through, for one command."#]]
    .assert_eq(&told);
}

#[test]
fn of_countless_ways_to_a_package_the_shortest_are_told() {
    let mut text = String::from("> x 0.1.0 | dep l0 ^1 | dep r0 ^1");
    for level in 0..40 {
        for side in ["l", "r"] {
            text += &format!("\n{side}{level} 1.0.0 | dep l{0} ^1 | dep r{0} ^1", level + 1);
        }
    }
    text += "\nl40 1.0.0 | dep end ^1\nr40 1.0.0\nend 1.0.0\nl39 1.0.1 | dep end ^1 | dep l40 ^1 | dep r40 ^1";
    let fixture = fixture(&text);
    let request = Request::for_lockfile(&fixture.members, &[], None);
    let Ok(Outcome::Resolved(resolve)) = resolve(&request, &fixture) else { panic!("no graph") };
    let members: Vec<PackageId> = fixture.members.iter().map(|member| member.id).collect();
    let facts = crate::why::Facts {
        resolve: &resolve,
        features: &crate::ActivatedFeatures::default(),
        selected: &[],
        members: &members,
        registry: &fixture,
        previous: None,
        rust_versions: &[],
        age: None,
        max_paths: 3,
    };
    let end = PackageId::new(name("end"), Version::new(1, 0, 0), SourceId::crates_io());
    let explanation = crate::why::explain(&facts, end).unwrap();
    // Ways grow from the package: the two levels at the end are told apart, the rest is beyond counting.
    assert!(explanation.more_paths && !explanation.active);
    assert_eq!(explanation.required_by.len(), 2);
    let near = PackageId::new(name("l1"), Version::new(1, 0, 0), SourceId::crates_io());
    let explanation = crate::why::explain(&facts, near).unwrap();
    assert_eq!(explanation.paths.len(), 2);
    assert!(!explanation.more_paths && explanation.paths.iter().all(|path| path.len() == 3));
}
