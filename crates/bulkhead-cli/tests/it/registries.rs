//! Registries beside the public one: names, identity, several in one graph, and which may be asked at all.

use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Home, Outcome, Registry, TempProject, project};

use crate::stage::BULKHEAD;

/// A home and a project for one of the two programs.
pub(crate) struct Side {
    pub(crate) program: &'static str,
    pub(crate) home: Home,
    pub(crate) project: TempProject,
}

impl Side {
    fn new(program: &'static str, fixture: &str) -> Side {
        Side { program, home: Home::new(), project: project(fixture) }
    }

    /// Runs the program in the project, with these variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let command = self.home.command(self.program).args(arguments).current_dir(self.project.root());
        variables.iter().fold(command, |command, (name, value)| command.env(name, value)).run()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    pub(crate) fn lockfile(&self) -> Option<String> {
        std::fs::read_to_string(self.project.path("Cargo.lock")).ok()
    }

    fn neutral(&self, text: &str) -> String {
        let text = text.replace(&*self.project.root().to_string_lossy(), "[ROOT]");
        // The source that replaces the public registry is named by Cargo.
        let text = text.replace("`loopback` index", "crates.io index").replace(" (registry `loopback`)", "");
        let lines = text.lines().map(|line| match line.split_once(" target(s) in ") {
            Some((head, _)) => format!("{head} target(s) in [TIME]\n"),
            None => format!("{line}\n"),
        });
        lines.collect()
    }
}

/// Three registries, of which `public` stands in the place of the public one, and both programs before the same project.
pub(crate) struct Shops {
    pub(crate) public: Registry,
    pub(crate) mine: Registry,
    pub(crate) other: Registry,
    pub(crate) cargo: Side,
    pub(crate) bulkhead: Side,
}

impl Shops {
    /// `configure` is told the registries and says what the users' configuration has besides the replacement. In the
    /// fixture, `[MINE]` and `[OTHER]` stand for the addresses of indexes.
    pub(crate) fn new(fixture: &str, configure: impl Fn(&Registry, &Registry) -> String) -> Shops {
        let (public, mine, other) = (Registry::start(), Registry::start(), Registry::start());
        let fixture = fixture.replace("[MINE]", &mine.index_url()).replace("[OTHER]", &other.index_url());
        let (cargo, bulkhead) = (Side::new("cargo", &fixture), Side::new(BULKHEAD, &fixture));
        for side in [&cargo, &bulkhead] {
            side.home.use_registry(&public);
            side.home.configure(&configure(&mine, &other));
        }
        publish(&public, &mine, &other);
        Shops { public, mine, other, cargo, bulkhead }
    }

    /// Runs both, which have to say and do the same.
    #[track_caller]
    pub(crate) fn same(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let (theirs, ours) = self.both(arguments, variables);
        let lines = |side: &Side, text: &str| {
            let text = side.neutral(text);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (left, right) = (lines(&self.bulkhead, &ours.stderr), lines(&self.cargo, &theirs.stderr));
        assert_eq!(left, right, "standard error of {arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
        assert_eq!(self.bulkhead.neutral(&ours.stdout), self.cargo.neutral(&theirs.stdout), "output of {arguments:?}");
        ours
    }

    /// Runs both, which have to end alike and leave the same lockfile.
    #[track_caller]
    pub(crate) fn both(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Outcome, Outcome) {
        let theirs = self.cargo.run_with(arguments, variables);
        let ours = self.bulkhead.run_with(arguments, variables);
        assert!(ours.ends_as(&theirs), "exit codes of {arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
        assert_eq!(self.bulkhead.lockfile(), self.cargo.lockfile(), "lockfiles after {arguments:?}");
        (theirs, ours)
    }
}

/// `same` is a package of all three; `tool` of `mine` wants it from all three.
fn publish(public: &Registry, mine: &Registry, other: &Registry) {
    let same = |version: &str, says: &str| {
        CrateBuilder::new("same", version).file("src/lib.rs", format!("pub const FROM: &str = {says:?};\n"))
    };
    public.publish(same("1.0.0", "public")).publish(same("3.0.0", "public"));
    mine.publish(same("1.0.0", "mine"));
    other.publish(same("2.0.0", "other"));
    mine.publish(
        CrateBuilder::new("tool", "1.0.0")
            .dependency_with(
                DependencyBuilder::new("same", "^1")
                    .renamed("theirs")
                    .registry("https://github.com/rust-lang/crates.io-index"),
            )
            .dependency_with(DependencyBuilder::new("same", "^1"))
            .dependency_with(DependencyBuilder::new("same", "^2").renamed("another").registry(&other.index_url()))
            .file(
                "Cargo.toml",
                format!(
                    "[package]\nname = \"tool\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[dependencies]\n\
                 theirs = {{ package = \"same\", version = \"1\" }}\n\
                 same = {{ version = \"1\", registry-index = {:?} }}\n\
                 another = {{ package = \"same\", version = \"2\", registry-index = {:?} }}\n",
                    mine.index_url(),
                    other.index_url(),
                ),
            )
            .file("src/lib.rs", "pub fn all() -> String { [theirs::FROM, same::FROM, another::FROM].join(\" \") }\n"),
    );
}

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
tool = { version = "1", registry = "mine" }
same = "1"
//- /src/main.rs
fn main() { println!("{} {}", tool::all(), same::FROM) }
"#;

fn both_named(mine: &Registry, other: &Registry) -> String {
    format!("[registries.mine]\nindex = {:?}\n[registries.other]\nindex = {:?}\n", mine.index_url(), other.index_url())
}

#[test]
fn one_name_in_three_registries_is_three_packages() {
    let shops = Shops::new(APP, both_named);
    let fetched = shops.same(&["fetch"], &[]);
    assert!(fetched.stderr.contains("Downloaded tool v1.0.0 (registry `mine`)"), "{fetched}");
    let ran = shops.same(&["run"], &[]);
    assert_eq!(ran.stdout, "public mine other public\n");
    for arguments in [
        &["tree"][..],
        &["tree", "-i", "same@2.0.0"],
        &["tree", "--depth", "1"],
        &["fetch"],
        &["fetch", "--offline"],
        &["build", "--locked"],
        &["update", "--dry-run"],
    ] {
        shops.same(arguments, &[]);
    }
    let (theirs, ours) = shops.both(&["metadata", "--format-version", "1"], &[]);
    let read = |side: &Side, outcome: &Outcome| {
        let mut value: serde_json::Value = serde_json::from_str(&side.neutral(&outcome.stdout)).unwrap();
        for package in value["packages"].as_array_mut().unwrap() {
            package.as_object_mut().unwrap().remove("manifest_path");
            package.as_object_mut().unwrap().remove("targets");
        }
        value
    };
    assert_eq!(read(&shops.bulkhead, &ours), read(&shops.cargo, &theirs));
}

#[test]
fn a_registry_is_named_by_variable_or_by_address() {
    let fixture = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
tool = { version = "1", registry = "my-shop" }
same = { version = "2", registry-index = "[OTHER]" }
//- /src/lib.rs
"#;
    let shops = Shops::new(fixture, |_, _| String::new());
    let index = shops.mine.index_url();
    let variables = [("CARGO_REGISTRIES_MY_SHOP_INDEX", index.as_str())];
    shops.same(&["generate-lockfile"], &variables);
    shops.same(&["tree"], &variables);
    let (theirs, ours) = shops.both(&["tree"], &[]);
    for outcome in [theirs, ours] {
        assert!(outcome.stderr.contains("registry index was not found in any configuration: `my-shop`"), "{outcome}");
    }
}

#[test]
fn a_missing_package_is_reported_where_it_was_searched() {
    let fixture = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
absent = { version = "1", registry = "mine" }
//- /src/lib.rs
"#;
    let shops = Shops::new(fixture, both_named);
    let (_, ours) = shops.both(&["fetch"], &[]);
    assert!(ours.stderr.contains("no matching package named `absent` found"), "{ours}");
    assert!(ours.stderr.contains("location searched: `mine` index"), "{ours}");
}

/// Attacks 152 and 153 in configuration: cargo takes several spellings for one registry, or sends passwords along.
#[test]
fn addresses_have_one_spelling() {
    let fixture = APP.replace("same = \"1\"\n", "");
    for (spelling, says) in [
        ("sparse+http://[ADDRESS]/index", "must end in a slash"),
        ("sparse+http://[ADDRESS]/x/../index/", "write `sparse+http://[ADDRESS]/index/`"),
        ("sparse+HTTP://[ADDRESS]/index/", "not written canonically"),
        ("sparse+http://user@[ADDRESS]/index/", "may not contain user names or passwords"),
        ("sparse+http://user:secret@[ADDRESS]/index/", "it holds a password or a token"),
        ("sparse+http://[ADDRESS]/index/?q", "query"),
        ("not an address", "not an address"),
    ] {
        let shops = Shops::new(&fixture, |mine, _| {
            format!("[registries.mine]\nindex = {:?}\n", spelling.replace("[ADDRESS]", &mine.address().to_string()))
        });
        let refused = shops.bulkhead.run(&["fetch"]);
        refused.assert_code(101);
        let says = says.replace("[ADDRESS]", &shops.mine.address().to_string());
        assert!(refused.stderr.contains(&says) && refused.stderr.contains("config.toml"), "{spelling}: {refused}");
        assert!(shops.mine.requests().is_empty(), "{spelling}");
    }
}

/// Attack 154, and its twin: only literal loopback addresses, and those only in tests.
#[test]
fn plain_http_is_refused_but_on_loopback() {
    let shops = Shops::new(APP, both_named);
    let command = shops.bulkhead.home.command(BULKHEAD).args(["fetch"]).current_dir(shops.bulkhead.project.root());
    let refused = command.env_remove("BULKHEAD_ALLOW_HTTP_LOOPBACK").run();
    refused.assert_code(104);
    assert!(refused.stderr.contains("only https is asked"), "{refused}");
    assert!(shops.mine.requests().is_empty() && shops.public.requests().is_empty());
    let named = Shops::new(APP, |mine, other| both_named(mine, other).replace("127.0.0.1", "localhost"));
    named.bulkhead.run(&["fetch"]).assert_code(104);
    assert!(named.mine.requests().is_empty());
    named.cargo.run(&["fetch"]);
    assert!(!named.mine.requests().is_empty(), "cargo asks any host over http");
    shops.bulkhead.run(&["fetch"]).assert_success();
}

/// Attack 44: an index entry sends its users to a registry that they never heard of.
#[test]
fn only_registries_that_somebody_named_are_asked() {
    let only_mine = |mine: &Registry, _: &Registry| format!("[registries.mine]\nindex = {:?}\n", mine.index_url());
    let shops = Shops::new(APP, only_mine);
    shops.cargo.run(&["fetch"]).assert_success();
    assert!(!shops.other.requests().is_empty(), "cargo asks whomever an entry names");
    shops.other.clear_requests();
    let refused = shops.bulkhead.run(&["fetch"]);
    refused.assert_code(102);
    assert!(refused.stderr.contains("`same` would come from a registry that nobody named"), "{refused}");
    assert!(refused.stderr.contains("app v0.1.0 → tool v1.0.0 → same"), "{refused}");
    assert!(refused.stderr.contains(&format!("[registries.NAME] index = {:?}", shops.other.index_url())), "{refused}");
    assert!(shops.other.requests().is_empty());
    assert_eq!(shops.bulkhead.lockfile(), None);
    // A lockfile that names it opens no door either.
    std::fs::copy(shops.cargo.project.path("Cargo.lock"), shops.bulkhead.project.path("Cargo.lock")).unwrap();
    let refused = shops.bulkhead.run(&["fetch", "--locked"]);
    assert!([Some(102), Some(104)].contains(&refused.code()), "{refused}");
    assert!(shops.other.requests().is_empty());
    // The twin: the user names it.
    shops.bulkhead.home.configure(&format!("[registries.other]\nindex = {:?}\n", shops.other.index_url()));
    shops.bulkhead.run(&["fetch"]).assert_success();
}
