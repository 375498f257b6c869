//! Git dependencies: what cargo does with them, and what it does not refuse.

use bulkhead_test_support::{GitRepository, GitServer, Outcome};

use crate::confinement::proposed;
use crate::stage::{Stage, Twins, skipped};

/// A workspace with two members of which one needs the other, and a package that lies deep and alone.
pub(crate) const REPOSITORY: &str = r#"
//- /Cargo.toml
[workspace]
members = ["apple", "pear"]
resolver = "2"
[workspace.package]
version = "1.2.3"
edition = "2021"
[workspace.dependencies]
pear = { path = "pear" }
//- /apple/Cargo.toml
[package]
name = "apple"
version.workspace = true
edition.workspace = true
[dependencies]
pear.workspace = true
//- /apple/src/lib.rs
pub fn taste() -> String { format!("apple 1 and {}", pear::taste()) }
//- /pear/Cargo.toml
[package]
name = "pear"
version = "0.4.0"
edition = "2021"
//- /pear/src/lib.rs
pub fn taste() -> String { "pear 1".to_owned() }
//- /orchard/far/quince/Cargo.toml
[package]
name = "quince"
version = "0.1.0"
edition = "2021"
//- /orchard/far/quince/src/lib.rs
pub fn taste() -> &'static str { "quince 1" }
"#;

pub(crate) fn manifest(dependencies: &str) -> String {
    format!(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         {dependencies}\n"
    )
}

/// A program that uses `apple` of the repository at `url`.
pub(crate) fn app(url: &str, more: &str) -> String {
    let dependencies = manifest(&format!("apple = {{ git = \"{url}\"{more} }}"));
    format!("{dependencies}//- /src/main.rs\nfn main() {{ println!(\"{{}}\", apple::taste()); }}\n")
}

/// What both print, without the places where checkouts are.
fn without_checkouts(stage: &Stage, text: &str) -> String {
    let mut neutral = String::new();
    let text = stage.neutral(text);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("[HOME]/.") {
        let (before, found) = rest.split_at(at);
        let folders = if found.starts_with("[HOME]/.cargo/git/checkouts/") { 6 } else { 5 };
        let end = found.match_indices('/').nth(folders - 1).map_or(found.len(), |(end, _)| end);
        neutral.push_str(before);
        neutral.push_str("[CHECKOUT]");
        rest = &found[end..];
    }
    neutral + rest
}

#[track_caller]
fn same_metadata(twins: &Twins) {
    let (theirs, ours) = twins.run(&["metadata", "--format-version", "1"]);
    let (theirs, ours) =
        (without_checkouts(&twins.cargo, &theirs.stdout), without_checkouts(&twins.bulkhead, &ours.stdout));
    assert_eq!(ours, theirs);
}

#[test]
fn every_kind_of_reference_is_locked_as_cargo_locks_it() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let first = repository.head();
    repository.git(&["tag", "-a", "-m", "first", "v1"]);
    repository.git(&["branch", "feat/x+y&z=1"]);
    repository.commit("//- /orchard/far/quince/src/lib.rs\npub fn taste() -> &'static str { \"quince 2\" }\n");
    let (url, short) = (repository.url(), &first[..10]);
    let wishes = [
        ("", "q1"),
        (", branch = \"main\"", "q2"),
        (", tag = \"v1\"", "q3"),
        (&format!(", rev = \"{short}\""), "q4"),
        (", branch = \"feat/x+y&z=1\"", "q5"),
        (&format!(", rev = \"{first}\""), "q6"),
        (", rev = \"refs/heads/main\"", "q7"),
    ]
    .map(|(more, name)| format!("{name} = {{ package = \"quince\", git = \"{url}\"{more} }}\n"))
    .concat();
    let calls = (1..8).map(|n| format!("println!(\"{{}}\", q{n}::taste());")).collect::<String>();
    let twins = Twins::new(&format!("{}//- /src/main.rs\nfn main() {{ {calls} }}\n", manifest(&wishes)));
    twins.same_output(&["generate-lockfile"]);
    twins.same_output(&["tree"]);
    same_metadata(&twins);
    twins.same_output(&["run"]);
    // Older lockfiles write references as they are.
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.project.edit("Cargo.lock", "version = 4", "version = 3");
    }
    twins.run(&["metadata", "--format-version", "1"]);
}

#[test]
fn packages_are_found_anywhere_in_a_repository() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let url = repository.url();
    let wishes = format!(
        "apple = {{ git = \"{url}\", branch = \"main\" }}\nquince = {{ git = \"{url}\", branch = \"main\" }}\n\
         other = {{ package = \"pear\", git = \"{url}\", branch = \"main\", version = \"0.4\" }}\n"
    );
    let main = "fn main() { println!(\"{} {} {}\", apple::taste(), quince::taste(), other::taste()); }\n";
    let twins = Twins::new(&format!("{}//- /src/main.rs\n{main}", manifest(&wishes)));
    twins.same_output(&["fetch"]);
    twins.same_output(&["tree", "--invert", "pear"]);
    same_metadata(&twins);
    let outcome = twins.same_output(&["run"]);
    assert_eq!(outcome.stdout, "apple 1 and pear 1 quince 1 pear 1\n");
    twins.same_artifacts("debug");
    for arguments in [["check", "--offline"], ["check", "--locked"], ["check", "--frozen"], ["build", "-v"]] {
        twins.run(&arguments);
    }
}

/// Attack 85.
#[test]
fn what_is_locked_stays_until_it_is_updated() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let first = repository.head();
    let twins = Twins::new(&app(&repository.url(), ", branch = \"main\""));
    assert_eq!(twins.same_output(&["run"]).stdout, "apple 1 and pear 1\n");
    let second = repository.commit("//- /apple/src/lib.rs\npub fn taste() -> String { \"apple 2\".to_owned() }\n");
    assert_eq!(twins.same_output(&["run", "--locked"]).stdout, "apple 1 and pear 1\n");
    // Packages of one repository move together.
    twins.same_output(&["update", "pear"]);
    assert!(twins.bulkhead.project.read("Cargo.lock").contains(&second));
    assert_eq!(twins.same_output(&["run"]).stdout, "apple 2\n");
    twins.same_output(&["update", "apple", "--precise", &first]);
    let (_, back) = twins.run(&["run"]);
    assert_eq!(back.stdout, "apple 1 and pear 1\n");
    assert!(back.stderr.contains("Reused 2 compiled units"), "{back}");
    twins.same_output(&["update"]);
    twins.same_output(&["update"]);
    assert_eq!(twins.run(&["run", "--offline"]).1.stdout, "apple 2\n");
    twins.run(&["update", "apple", "--precise", "0123456789012345678901234567890123456789"]);
}

#[test]
fn a_build_after_no_change_does_nothing_and_starts_no_git() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let stage = Stage::new(&app(&repository.url(), ""));
    stage.bulkhead(&["build"]).assert_success();
    // Neither the repository nor its database are looked at again.
    std::fs::remove_dir_all(repository.root()).unwrap();
    std::fs::remove_dir_all(stage.home.bulkhead_home().join("git")).unwrap();
    let again = stage.bulkhead(&["build"]);
    again.assert_success();
    assert!(!again.stderr.contains("Compiling") && !again.stderr.contains("Updating"), "{again}");
}

#[test]
fn a_lockfile_that_names_a_commit_is_enough_on_a_fresh_machine() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let twins = Twins::new(&app(&repository.url(), ", branch = \"main\""));
    twins.run(&["generate-lockfile"]);
    repository.commit("//- /apple/src/lib.rs\npub fn taste() -> String { \"apple 2\".to_owned() }\n");
    for stage in [&twins.cargo, &twins.bulkhead] {
        let _ = std::fs::remove_dir_all(stage.home.cargo_home().join("git"));
        let _ = std::fs::remove_dir_all(stage.home.bulkhead_home());
    }
    assert_eq!(twins.same_output(&["run", "--locked"]).stdout, "apple 1 and pear 1\n");
    let offline = Stage::new(&app(&repository.url(), ", branch = \"main\""));
    offline.bulkhead(&["check", "--offline"]).assert_code(101);
}

/// The error's code and that it names what is wrong.
#[track_caller]
pub(crate) fn refused(outcome: &Outcome, code: i32, words: &[&str]) {
    outcome.assert_code(code);
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in\n{outcome}");
    }
}

#[test]
fn what_does_not_exist_is_an_error_in_both() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let unreachable = Stage::new(&app("https://127.0.0.1:1/x", "")).bulkhead(&["check"]);
    refused(&unreachable, 101, &["https://127.0.0.1:1/x"]);
    assert_eq!(unreachable.stderr.matches("Updating git repository").count(), 1, "{unreachable}");
    for more in [", branch = \"none\"", ", tag = \"none\"", ", rev = \"none\"", ", rev = \"0123456\""] {
        let twins = Twins::new(&app(&repository.url(), more));
        let (_, ours) = twins.run(&["generate-lockfile"]);
        assert!(ours.stderr.contains("failed to find"), "{ours}");
    }
    let twins = Twins::new(&manifest(&format!("banana = {{ git = \"{}\" }}", repository.url())));
    twins.run(&["generate-lockfile"]);
}

/// A repository whose submodule is a package that the outer one uses by `path`.
fn with_submodule(server: &GitServer, outer: &GitRepository, url: &str) {
    outer.git(&["config", "protocol.http.allow", "always"]);
    outer.git(&["submodule", "add", "--quiet", "--name", "seed", &server.url("seed"), "vendor/seed"]);
    outer.git(&["config", "--file", ".gitmodules", "submodule.seed.url", url]);
    outer.commit("");
}

const SEED: &str = r#"
//- /Cargo.toml
[package]
name = "seed"
version = "0.1.0"
edition = "2021"
//- /src/lib.rs
pub fn taste() -> &'static str { "seed" }
"#;

const OUTER: &str = r#"
//- /Cargo.toml
[package]
name = "apple"
version = "1.0.0"
edition = "2021"
[dependencies]
seed = { path = "vendor/seed" }
//- /src/lib.rs
pub fn taste() -> String { format!("apple with {}", seed::taste()) }
"#;

/// Two repositories side by side, which a server can serve as `outer` and `seed`.
fn served(login: Option<&str>) -> Option<(GitRepository, GitServer)> {
    let outer = GitRepository::new("outer", OUTER);
    let seed = GitRepository::new("seed", SEED);
    seed.git(&["clone", "--quiet", "--bare", ".", &outer.outside().join("seed").to_string_lossy()]);
    let server = GitServer::start(outer.outside(), login);
    if server.is_none() {
        skipped("this git has no http-backend");
    }
    Some((outer, server?))
}

#[test]
fn submodules_are_part_of_a_checkout() {
    for relative in [false, true] {
        let Some((outer, server)) = served(None) else { return };
        let absolute = server.url("seed");
        with_submodule(&server, &outer, if relative { "../seed" } else { &absolute });
        let twins = Twins::new(&app(&server.url("outer/.git"), ""));
        if relative {
            // Relative to `outer/.git` that would be elsewhere.
            outer.git(&["clone", "--quiet", "--bare", ".", &outer.outside().join("whole").to_string_lossy()]);
            for stage in [&twins.cargo, &twins.bulkhead] {
                stage.project.edit("Cargo.toml", &server.url("outer/.git"), &server.url("whole"));
            }
        }
        assert_eq!(twins.same_output(&["run"]).stdout, "apple with seed\n");
        twins.same_output(&["tree"]);
        same_metadata(&twins);
    }
}

/// Attack 91.
#[test]
fn a_submodule_cannot_reach_this_machine() {
    let Some((outer, server)) = served(None) else { return };
    let mark = outer.outside().join("MARK");
    let secret = outer.outside().join("seed");
    with_submodule(&server, &outer, &format!("file://{}", secret.display()));
    let application = app(&server.url("outer/.git"), "");
    // Cargo copies a repository of this machine into the build.
    let stage = Stage::new(&application);
    assert_eq!(stage.cargo(&["run"]).stdout, "apple with seed\n");
    refused(&stage.bulkhead(&["run"]), 102, &["vendor/seed", "is on this machine"]);
    for bad in [
        "ext::sh -c touch% MARK",
        "--upload-pack=touch MARK",
        "-u",
        "git://127.0.0.1/x",
        "../../../../x",
        "ssh://-oProxyCommand=touch%20MARK/x",
        "-oProxyCommand=touch MARK:x",
        "git@-oProxyCommand=touch:x",
        "FILE:///etc",
        "/etc",
        "fd::3",
    ] {
        let bad = bad.replace("MARK", &mark.to_string_lossy());
        outer.git(&["config", "--file", ".gitmodules", "submodule.seed.url", &bad]);
        outer.commit("");
        let outcome = Stage::new(&application).bulkhead(&["check"]);
        assert!(matches!(outcome.code(), Some(102 | 104)), "{bad}: {outcome}");
        assert!(!mark.exists(), "{bad}");
    }
}

/// Attack 91.
#[test]
fn a_submodule_is_no_command_and_no_path_out() {
    let Some((outer, server)) = served(None) else { return };
    let mark = outer.outside().join("MARK");
    let own = server.url("outer/.git");
    for (name, more) in [("../../../x", String::new()), ("x", format!("\tupdate = !touch {}\n", mark.display()))] {
        let modules = format!("[submodule \"{name}\"]\n\tpath = seed\n\turl = {own}\n{more}");
        outer.commit(&format!("//- /.gitmodules\n{modules}"));
        let outcome = Stage::new(&app(&own, "")).bulkhead(&["check"]);
        refused(&outcome, 104, &["refused", "submodule"]);
        assert!(!mark.exists());
        outer.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    }
}

/// Attack 91.
#[test]
fn submodules_within_each_other_end_somewhere() {
    let Some((outer, server)) = served(None) else { return };
    let own = server.url("outer/.git");
    for depth in 0..12 {
        let head = outer.head();
        let modules = format!("[submodule \"again\"]\n\tpath = again\n\turl = {own}\n");
        outer.commit(&format!("//- /.gitmodules\n{modules}//- /depth\n{depth}\n"));
        outer.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},again")]);
        outer.git(&["commit", "--quiet", "--message=deeper"]);
    }
    let outcome = Stage::new(&app(&own, "")).bulkhead(&["check"]);
    refused(&outcome, 104, &["too many submodules"]);
}

/// Attack 92.
#[test]
fn a_dependency_cannot_name_a_repository_of_this_machine() {
    let inner = GitRepository::new("inner", SEED);
    let wish = format!("seed = {{ git = \"{}\" }}", inner.url());
    let fixture = format!(
        "//- /Cargo.toml\n[package]\nname = \"apple\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[dependencies]\n{wish}\n\
         //- /src/lib.rs\npub use seed::taste;\n"
    );
    let outer = GitRepository::new("outer", &fixture);
    let stage = Stage::new(&app(&outer.url(), ""));
    assert_eq!(stage.cargo(&["run"]).stdout, "seed\n", "cargo follows it");
    refused(&stage.bulkhead(&["run"]), 102, &["is on this machine"]);
    // The user may name it too, and then it is the user's wish.
    stage.project.edit("Cargo.toml", "[dependencies]", &format!("[dependencies]\n{wish}"));
    assert_eq!(stage.bulkhead(&["run"]).stdout, "seed\n");
}

/// Attack 1.
#[test]
fn options_in_the_place_of_names_reach_no_program() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let mark = repository.outside().join("MARK");
    let stage = Stage::new(&app("URL", ""));
    let touch = format!("touch {}", mark.display());
    let urls = [
        format!("--upload-pack={touch}"),
        format!("ext::sh -c {touch}"),
        "ssh://-oProxyCommand=touch%20MARK/x".to_owned(),
        "ssh://-oX@127.0.0.1/x".to_owned(),
        "https://127.0.0.1/-x".to_owned(),
        "https://127.0.0.1%0ahost=example.org/x".to_owned(),
    ];
    let references = ["--upload-pack=x", "a..b", "@{-1}", "a:b", "../x"];
    let url = repository.url();
    let wishes = urls.iter().map(|url| app(url, ""));
    let wishes = wishes.chain(references.iter().map(|name| app(&url, &format!(", branch = \"{name}\""))));
    for fixture in wishes {
        stage
            .project
            .write("Cargo.toml", fixture.split("//- /src").next().unwrap().replacen("//- /Cargo.toml\n", "", 1));
        let outcome = stage.bulkhead(&["check"]);
        refused(&outcome, 101, &["apple"]);
        assert!(!mark.exists() && !stage.home.bulkhead_home().join("git").exists(), "{outcome}");
    }
}

/// Attack 92.
#[test]
fn transports_that_nothing_protects_are_refused() {
    for url in ["http://example.org/x", "git://127.0.0.1/x", "ftp://127.0.0.1/x"] {
        let outcome = Stage::new(&app(url, "")).bulkhead(&["check"]);
        refused(&outcome, 102, &["https"]);
    }
    let Some((outer, server)) = served(None) else { return };
    let stage = Stage::new(&app(&server.url("outer/.git"), ""));
    let outcome = stage.command(&["generate-lockfile"]).env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "0").run();
    refused(&outcome, 102, &["plain `http`"]);
    drop(outer);
}

/// Attack 85.
#[test]
fn a_moved_branch_or_tag_is_told_when_it_loses_the_locked_commit() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let first = repository.head();
    repository.git(&["tag", "v1"]);
    let stage = Stage::new(&app(&repository.url(), ", tag = \"v1\""));
    stage.bulkhead(&["fetch"]).assert_success();
    repository.git(&["commit", "--quiet", "--amend", "--message=rewritten"]);
    repository.git(&["tag", "--force", "v1"]);
    stage.bulkhead(&["check", "--locked"]).assert_success();
    let update = stage.bulkhead(&["update"]);
    update.assert_success();
    let second = repository.head();
    assert!(
        update.stderr.contains(&first[..8]) && update.stderr.contains(&format!("-> #{}", &second[..8])),
        "{update}"
    );
    assert!(update.stderr.contains("was rewritten"), "{update}");
    // Rewritten and collected: the locked commit is gone, and nothing else is taken in its place.
    let lock = stage.project.read("Cargo.lock");
    stage.project.write("Cargo.lock", lock.replace(&second, &first));
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git(&["gc", "--quiet", "--prune=now"]);
    std::fs::remove_dir_all(stage.home.bulkhead_home().join("git")).unwrap();
    let clean = Stage::new(&app(&repository.url(), ", tag = \"v1\""));
    clean.project.write("Cargo.lock", stage.project.read("Cargo.lock"));
    refused(&clean.bulkhead(&["check", "--locked"]), 104, &[&first]);
    assert!(clean.project.read("Cargo.lock").contains(&first));
}

/// Attack 86.
#[test]
fn a_commit_that_no_branch_leads_to_is_refused() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let stage = Stage::new(&app(&repository.url(), ", branch = \"main\""));
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let good = repository.head();
    // What a server of forks does: the proposal's commit can be had by its id.
    let evil = repository.commit("//- /apple/src/lib.rs\npub fn taste() -> String { \"evil\".to_owned() }\n");
    repository.git(&["update-ref", "refs/pull/1/head", &evil]);
    repository.git(&["reset", "--quiet", "--hard", &good]);
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let lock = stage.project.read("Cargo.lock");
    stage.project.write("Cargo.lock", lock.replace(&good, &evil));
    assert_eq!(stage.cargo(&["run", "--locked"]).stdout, "evil\n", "cargo takes it from the fork");
    stage.cargo(&["clean"]).assert_success();
    let outcome = stage.bulkhead(&["check", "--locked"]);
    refused(&outcome, 104, &["on no branch or tag", &evil]);
    stage.project.write("Cargo.lock", &lock);
    refused(&stage.bulkhead(&["update", "apple", "--precise", &evil]), 101, &["failed to find"]);
    // Who means it says so, and is warned.
    stage.project.edit("Cargo.toml", "branch = \"main\"", &format!("rev = \"{evil}\""));
    let outcome = stage.bulkhead(&["check"]);
    outcome.assert_success();
    assert!(outcome.stderr.contains("is on no branch or tag"), "{outcome}");
}

/// Attack 87.
#[test]
fn a_reference_means_one_commit() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let first = repository.head();
    let second = repository.commit("//- /apple/src/lib.rs\npub fn taste() -> String { \"apple 2\".to_owned() }\n");
    // A branch that is called like a commit, and a tag like a shortened one.
    repository.git(&["update-ref", &format!("refs/heads/{first}"), &second]);
    repository.git(&["tag", &first[..8], &second]);
    let run = |more: String| Stage::new(&app(&repository.url(), &more)).bulkhead(&["run"]);
    assert_eq!(run(format!(", rev = \"{first}\"")).stdout, "apple 1 and pear 1\n");
    assert_eq!(run(format!(", branch = \"{first}\"")).stdout, "apple 2\n");
    refused(&run(format!(", rev = \"{}\"", &first[..8])), 101, &["ambiguous", &first, &second]);
    assert_eq!(run(format!(", rev = \"{}\"", &first[..9])).stdout, "apple 1 and pear 1\n");
    // The same name for a tag and a branch is no trouble: the manifest says which.
    repository.git(&["tag", "both", &first]);
    repository.git(&["branch", "both", &second]);
    assert_eq!(run(", tag = \"both\"".to_owned()).stdout, "apple 1 and pear 1\n");
    assert_eq!(run(", branch = \"both\"".to_owned()).stdout, "apple 2\n");
    // A lockfile pins a whole commit or nothing.
    let stage = Stage::new(&app(&repository.url(), ""));
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let lock = stage.project.read("Cargo.lock");
    stage.project.write("Cargo.lock", lock.replace(&second, &second[..10]));
    refused(&stage.bulkhead(&["check"]), 101, &["40 hexadecimal digits"]);
}

/// Mode, name and object.
type Entry<'a> = (&'a str, &'a str, &'a str);

/// Attack 88.
#[test]
fn trees_that_no_checkout_could_have_made_are_refused() {
    let repository = GitRepository::new("fruit", SEED);
    let blob = repository.blob("pub fn taste() {}\n");
    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    let outside = repository.blob("../../../../outside");
    let cases: &[(&str, &[Entry<'_>])] = &[
        ("dot-git", &[("40000", ".git", &tree)]),
        ("dot-git-upper", &[("40000", ".GIT", &tree)]),
        ("short-name", &[("40000", "GIT~1", &tree)]),
        ("stream", &[("40000", ".git::$INDEX_ALLOCATION", &tree)]),
        ("ignorable", &[("40000", ".g\u{200c}it", &tree)]),
        ("parent", &[("40000", "..", &tree)]),
        ("slash", &[("100644", "a/b", &blob)]),
        ("device", &[("100644", "con", &blob)]),
        ("twice", &[("100644", "a", &blob), ("100644", "a", &blob)]),
        ("case", &[("100644", "A", &blob), ("100644", "a", &blob)]),
        ("newline", &[("100644", "a\nb", &blob)]),
        ("modules", &[("120000", ".gitmodules", &blob)]),
        ("mode", &[("100000", "a", &blob)]),
        ("link-out", &[("120000", "a", &outside)]),
    ];
    for (branch, entries) in cases {
        let mut all = entries.to_vec();
        let own = repository.git(&["rev-parse", "HEAD:Cargo.toml"]);
        let source = repository.git(&["rev-parse", "HEAD:src"]);
        all.extend([("100644", "Cargo.toml", own.as_str()), ("40000", "src", source.as_str())]);
        all.sort_by_key(|(_, name, _)| *name);
        repository.commit_tree(branch, &all);
        let wish = format!("seed = {{ git = \"{}\", branch = \"{branch}\" }}", repository.url());
        let stage = Stage::new(&format!("{}//- /src/lib.rs\n", manifest(&wish)));
        let outcome = stage.bulkhead(&["check"]);
        refused(&outcome, 104, &["refused"]);
        let store = std::fs::read_dir(stage.home.bulkhead_home().join("store")).unwrap();
        let names: Vec<_> = store.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "tmp" || name == "gate.lock"), "{branch}: {names:?}");
    }
    // The twin that is only unusual.
    let inside = repository.blob("src/lib.rs");
    repository.git(&["checkout", "--quiet", "-b", "good"]);
    repository.commit("//- /.gitignore\ntarget\n//- /.git-blame-ignore\n");
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("120000,{inside},link.rs")]);
    repository.git(&["commit", "--quiet", "--message=link"]);
    let wish = format!("seed = {{ git = \"{}\", branch = \"good\" }}", repository.url());
    Stage::new(&format!("{}//- /src/lib.rs\n", manifest(&wish))).bulkhead(&["check"]).assert_success();
}

/// Attack 89.
#[test]
fn a_link_in_a_checkout_leads_nowhere_else() {
    let repository = GitRepository::new("fruit", SEED);
    let secret = repository.outside().join("secret");
    std::fs::write(&secret, "CANARY-89").unwrap();
    std::os::unix::fs::symlink(&secret, repository.root().join("src/secret")).unwrap();
    repository.commit("//- /src/lib.rs\npub fn taste() -> &'static str { include_str!(\"secret\") }\n");
    let wish = manifest(&format!("seed = {{ git = \"{}\" }}", repository.url()));
    let stage = Stage::new(&format!("{wish}//- /src/main.rs\nfn main() {{ println!(\"{{}}\", seed::taste()); }}\n"));
    assert_eq!(stage.cargo(&["run"]).stdout, "CANARY-89\n", "cargo compiles a file of the machine");
    stage.cargo(&["clean"]).assert_success();
    let outcome = stage.bulkhead(&["run"]);
    refused(&outcome, 104, &["src/secret", "leads out"]);
    // A link to a neighbour is fine.
    std::fs::remove_file(repository.root().join("src/secret")).unwrap();
    std::os::unix::fs::symlink("../inner", repository.root().join("src/secret")).unwrap();
    repository.commit("//- /inner\nneighbour\n");
    stage.bulkhead(&["update"]).assert_success();
    assert_eq!(stage.bulkhead(&["run"]).stdout, "neighbour\n\n");
}

/// The checkout's folder in the store.
fn checkout(stage: &Stage) -> std::path::PathBuf {
    let mut pending = vec![stage.home.bulkhead_home().join("store")];
    while let Some(folder) = pending.pop() {
        if folder.join("orchard").exists() {
            return folder;
        }
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        pending.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("there is no checkout");
}

/// Attack 96.
#[test]
fn a_changed_checkout_or_database_is_not_built() {
    use std::os::unix::fs::PermissionsExt as _;
    let repository = GitRepository::new("fruit", REPOSITORY);
    let stage = Stage::new(&app(&repository.url(), ""));
    assert_eq!(stage.bulkhead(&["run"]).stdout, "apple 1 and pear 1\n");
    let file = checkout(&stage).join("apple/src/lib.rs");
    let folder = file.parent().unwrap();
    for path in [folder, &file] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{}", path.display());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o200)).unwrap();
    }
    std::fs::write(&file, "pub fn taste() -> String { \"poison\".to_owned() }\n").unwrap();
    std::fs::remove_dir_all(stage.project.path("target")).unwrap();
    let outcome = stage.bulkhead(&["run"]);
    assert_eq!(outcome.stdout, "apple 1 and pear 1\n", "{outcome}");
    assert!(outcome.stderr.contains("is checked out again"), "{outcome}");
    // An object of the database that is another one under the same name.
    let database = std::fs::read_dir(stage.home.bulkhead_home().join("git")).unwrap();
    let database = database.map(|it| it.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let poison = repository.blob("pub fn taste() -> String { \"poison\".to_owned() }\n");
    let good = repository.git(&["rev-parse", "HEAD:apple/src/lib.rs"]);
    let loose = |root: &std::path::Path, id: &str| root.join("objects").join(&id[..2]).join(&id[2..]);
    let pack = database.join("objects/pack");
    for entry in std::fs::read_dir(&pack).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending == "pack") {
            let bytes = std::fs::read(&entry).unwrap();
            for entry in std::fs::read_dir(&pack).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
            let unpack = std::process::Command::new("git")
                .args(["unpack-objects", "-q"])
                .env("GIT_DIR", &database)
                .stdin(std::process::Stdio::piped())
                .spawn();
            let mut unpack = unpack.unwrap();
            std::io::Write::write_all(&mut unpack.stdin.take().unwrap(), &bytes).unwrap();
            assert!(unpack.wait().unwrap().success());
        }
    }
    let target = loose(&database, &good);
    std::fs::remove_file(&target).unwrap();
    std::fs::copy(loose(&repository.root().join(".git"), &poison), &target).unwrap();
    std::fs::remove_dir_all(stage.home.bulkhead_home().join("store")).ok();
    let outcome = stage.bulkhead(&["run", "--offline"]);
    refused(&outcome, 104, &["was changed"]);
}

/// Attack 96.
#[test]
fn cargo_builds_a_changed_checkout() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let stage = Stage::new(&app(&repository.url(), ""));
    stage.cargo(&["fetch"]).assert_success();
    let checkouts = stage.home.cargo_home().join("git/checkouts");
    let first = |path: &std::path::Path| std::fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    let file = first(&first(&checkouts)).join("apple/src/lib.rs");
    std::fs::write(file, "pub fn taste() -> String { \"poison\".to_owned() }\n").unwrap();
    assert_eq!(stage.cargo(&["run"]).stdout, "poison\n");
}

/// Attack 97.
#[test]
fn modes_are_normal_whatever_the_mask() {
    use std::os::unix::fs::PermissionsExt as _;
    let repository = GitRepository::new("fruit", REPOSITORY);
    let script = repository.root().join("script.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o4777)).unwrap();
    repository.commit("");
    let stage = Stage::new(&app(&repository.url(), ""));
    stage.bulkhead(&["fetch"]).assert_success();
    let root = checkout(&stage);
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("script.sh"), mode("Cargo.toml"), mode("apple")), (0o555, 0o444, 0o555));
}

/// Attack 93.
#[test]
fn nothing_in_a_repository_or_in_its_configuration_runs() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let mark = repository.outside().join("MARK");
    let program = repository.outside().join("program");
    std::fs::write(&program, format!("#!/bin/sh\necho \"$0 $@\" >> {}\ncat\n", mark.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_string_lossy();
    repository.commit("//- /.gitattributes\n*.rs filter=evil diff=evil merge=evil\n* text=auto\n");
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "uploadpack.packObjectsHook",
        "filter.evil.smudge",
        "core.editor",
    ] {
        repository.git(&["config", key, &program]);
    }
    for hook in ["post-checkout", "pre-receive", "post-update", "reference-transaction", "post-index-change"] {
        std::fs::copy(&*program, repository.root().join(".git/hooks").join(hook)).unwrap();
    }
    let stage = Stage::new(&app(&repository.url(), ""));
    // The project's own repository and the user's configuration of git have programs too.
    stage.project.write(".git/config", format!("[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n"));
    std::fs::write(
        stage.home.path().join(".gitconfig"),
        format!("[core]\n\tfsmonitor = {program}\n[url \"ext::{program}\"]\n\tinsteadOf = file\n"),
    )
    .unwrap();
    std::fs::remove_file(&mark).ok();
    assert_eq!(stage.bulkhead(&["run"]).stdout, "apple 1 and pear 1\n");
    stage.bulkhead(&["metadata", "--format-version", "1"]).assert_success();
    assert!(!mark.exists(), "{}", std::fs::read_to_string(&mark).unwrap_or_default());
}

/// Attack 94.
#[test]
fn a_password_goes_to_its_host_only() {
    // user:right
    let Some((outer, server)) = served(Some("dXNlcjpyaWdodA==")) else { return };
    let other = GitServer::start(outer.outside(), Some("bm9uZQ==")).unwrap();
    outer.commit(
        "//- /Cargo.toml\n[package]\nname = \"apple\"\nversion = \"1.0.0\"\nedition = \"2021\"\n//- /src/lib.rs\n",
    );
    let stage = Stage::new(&app(&server.url("outer/.git"), "").replace("println!(\"{}\", apple::taste());", ""));
    refused(&stage.bulkhead(&["check"]), 101, &["credential helper"]);
    let host = server.url("").trim_end_matches('/').trim_start_matches("http://").to_owned();
    std::fs::write(stage.home.path().join("known"), format!("http://user:right@{host}\n")).unwrap();
    let file = stage.home.path().join("known");
    let text = format!("[credential]\n\thelper = store --file={}\n", file.display());
    std::fs::write(stage.home.path().join(".gitconfig"), &text).unwrap();
    stage.bulkhead(&["check"]).assert_success();
    assert!(server.logins().contains(&Some("Basic dXNlcjpyaWdodA==".to_owned())));
    // A helper of the user's own works, and sees nothing of the project.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] || exit 0\ncat '{}/Cargo.toml' > \"$HOME/seen\" 2>/dev/null\n\
         echo username=user; echo password=right\n",
        stage.project.root().display()
    );
    let helper = stage.home.path().join("helper");
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(stage.home.path().join(".gitconfig"), format!("[credential]\n\thelper = {}\n", helper.display()))
        .unwrap();
    let seen = |confined: &str| {
        let update = stage.command(&["update"]).env("BULKHEAD_CREDENTIAL_CONFINED", confined).run();
        update.assert_success();
        std::fs::read_to_string(stage.home.path().join("seen")).unwrap()
    };
    assert!(seen("false").contains("[package]"), "it bites without");
    assert_eq!(seen("true"), "");
    std::fs::write(stage.home.path().join(".gitconfig"), text).unwrap();
    let wrong = Stage::new(&app(&other.url("outer/.git"), ""));
    std::fs::copy(stage.home.path().join(".gitconfig"), wrong.home.path().join(".gitconfig")).unwrap();
    refused(&wrong.bulkhead(&["check"]), 101, &["credential helper"]);
    assert!(other.logins().iter().all(Option::is_none), "{:?}", other.logins());
}

/// Attacks 98 and 99.
#[test]
fn build_code_of_a_git_package_is_confined() {
    let repository = GitRepository::new(
        "fruit",
        r#"
//- /Cargo.toml
[package]
name = "apple"
version = "1.0.0"
edition = "2021"
//- /build.rs
fn main() {
    println!("cargo::rustc-env=SECRET={}", std::fs::read_to_string("SECRETFILE").unwrap_or("hidden".to_owned()));
}
//- /src/lib.rs
pub fn taste() -> &'static str { env!("SECRET") }
"#,
    );
    let secret = repository.outside().join("secret");
    std::fs::write(&secret, "CANARY").unwrap();
    let script = std::fs::read_to_string(repository.root().join("build.rs")).unwrap();
    std::fs::write(repository.root().join("build.rs"), script.replace("SECRETFILE", &secret.to_string_lossy()))
        .unwrap();
    repository.commit("");
    let stage = Stage::new(&app(&repository.url(), ""));
    assert_eq!(stage.cargo(&["run"]).stdout, "CANARY\n");
    stage.cargo(&["clean"]).assert_success();
    let outcome = stage.bulkhead(&["run"]);
    assert_eq!(outcome.stdout, "hidden\n", "{outcome}");
    // A grant is for the code that was looked at: the checkout with this digest.
    let grants = proposed(&outcome.stderr);
    assert!(grants.contains("digest = \"sha256:"), "{outcome}");
    stage.project.write("bulkhead.toml", grants.replace("=1.0.0", "1"));
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["clean"]).assert_success();
    assert_eq!(stage.bulkhead(&["run"]).stdout, "CANARY\n");
    repository.commit("//- /src/other.rs\n");
    stage.bulkhead(&["update"]).assert_success();
    let other = stage.bulkhead(&["run"]);
    assert!(!other.stdout.contains("CANARY") && other.stderr.contains("digest"), "{other}");
}

/// A repository with the index of a registry that has the packages of `stage`'s.
pub(crate) fn index_repository(stage: &Stage) -> GitRepository {
    let config = format!("//- /config.json\n{{\"dl\": \"http://{}/dl\"}}\n", stage.registry.address());
    let plain = stage.registry.index_lines("plain");
    GitRepository::new("index", &format!("{config}//- /pl/ai/plain\n{plain}"))
}

#[test]
fn an_index_may_be_a_git_repository() {
    let wish = manifest("plain = { version = \"1\", registry = \"mine\" }");
    let main = "fn main() { println!(\"{}\", plain::say()); }\n";
    let twins = Twins::new(&format!("{wish}//- /src/main.rs\n{main}"));
    let index = index_repository(&twins.cargo);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n", index.url()));
    }
    assert_eq!(twins.same_output(&["run"]).stdout, "plain 1.1.0\n");
    twins.same_output(&["tree"]);
    twins.run(&["metadata", "--format-version", "1", "--offline"]);
    twins.same_output(&["check", "--locked"]);
    // A new version is seen when somebody asks.
    let newer =
        bulkhead_test_support::CrateBuilder::new("plain", "1.2.0").file("src/lib.rs", "pub fn say() -> u8 { 2 }");
    twins.cargo.registry.publish(newer);
    index.commit(&format!("//- /pl/ai/plain\n{}", twins.cargo.registry.index_lines("plain")));
    twins.same_output(&["check", "--offline"]);
    twins.same_output(&["update"]);
    twins.run(&["fetch"]); // `update` has looked at the new version already (docs/differences.md)
    assert_eq!(twins.same_output(&["run"]).stdout, "2\n");
    let outcome = twins.bulkhead.bulkhead(&["metadata", "--format-version", "1", "--offline"]);
    assert!(outcome.stdout.contains(&format!("registry+{}", index.url())), "{outcome}");
    // What is not in the index does not exist; what is not an index is refused.
    let wish = manifest("absent = { version = \"1\", registry = \"mine\" }");
    let stage = Stage::new(&format!("{wish}//- /src/lib.rs\n"));
    stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n", index.url()));
    refused(&stage.bulkhead(&["generate-lockfile"]), 101, &["absent"]);
    index.commit("//- /pl/ai/plain\nnot json\n");
    stage.project.edit("Cargo.toml", "absent", "plain");
    assert_ne!(stage.bulkhead(&["generate-lockfile"]).code(), Some(0));
}

#[test]
fn a_registry_with_such_an_index_is_searched_and_described() {
    let twins = Twins::new(&format!("{}//- /src/main.rs\nfn main() {{}}\n", manifest("")));
    let index = index_repository(&twins.cargo);
    for stage in [&twins.cargo, &twins.bulkhead] {
        stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n", index.url()));
    }
    let refused = twins.bulkhead.bulkhead(&["search", "plain", "--registry", "mine"]);
    assert!(refused.stderr.contains("`mine` has no web API"), "{refused}");
    let address = twins.cargo.registry.address();
    index.commit(&format!("//- /config.json\n{{\"dl\": \"http://{address}/dl\", \"api\": \"http://{address}\"}}\n"));
    twins.cargo.registry.set_search_answer(
        r#"{"crates":[{"name":"plain","max_version":"1.1.0","description":"Plain"}],"meta":{"total":1}}"#,
    );
    twins.same_output(&["info", "plain", "--registry", "mine"]);
    let found = twins.same_output(&["search", "plain", "--registry", "mine"]);
    assert!(found.stdout.contains("plain = \"1.1.0\""), "{found}");
    // Cargo shows this address as a path.
    twins.run(&["info", "plain", "--index", &index.url()]);
    let (theirs, ours) = twins.run(&["search", "plain", "--index", &index.url()]);
    assert_eq!(ours.stdout, theirs.stdout, "{theirs}{ours}");
    // Out of a workspace.
    std::fs::remove_file(twins.bulkhead.project.path("Cargo.toml")).unwrap();
    std::fs::remove_file(twins.cargo.project.path("Cargo.toml")).unwrap();
    twins.same_output(&["info", "plain", "--registry", "mine"]);
    twins.same_output(&["search", "plain", "--registry", "mine"]);
}

/// Whoever may write into the index would name the server that gets the token.
#[test]
fn a_token_is_not_sent_to_whatever_api_an_index_repository_names() {
    let [server, stage] = [(); 2].map(|()| Stage::new(&format!("{}//- /src/lib.rs\n", manifest(""))));
    let address = server.registry.address();
    server.registry.set_search_answer(r#"{"crates":[],"meta":{"total":0}}"#);
    let config = format!("{{\"dl\": \"http://{address}/dl\", \"api\": \"http://{address}\", \"auth-required\": true}}");
    let index = GitRepository::new("index", &format!("//- /config.json\n{config}\n"));
    let configure = |stage: &Stage, more: &str| {
        stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n{more}", index.url()));
    };
    configure(&stage, "");
    let search = ["search", "plain", "--registry", "mine"];
    let token = ("CARGO_REGISTRIES_MINE_TOKEN", "secret");
    let theirs = stage.home.command("cargo").args(search).current_dir(stage.project.root()).env(token.0, token.1).run();
    theirs.assert_success();
    assert_eq!(server.registry.tokens().len(), 1, "cargo sends it");
    server.registry.clear_requests();
    stage.command(&search).env(token.0, token.1).run().assert_success();
    assert_eq!((server.registry.requests().len(), server.registry.tokens().len()), (1, 0));
    // The twin: the user says that the server is the registry's.
    let twin = Stage::new(&format!("{}//- /src/lib.rs\n", manifest("")));
    configure(&twin, &format!("token-origins = [\"http://{address}\"]\n"));
    twin.command(&search).env(token.0, token.1).run().assert_success();
    assert_eq!(server.registry.tokens().len(), 1);
}

#[test]
fn packages_of_a_repository_can_be_added() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let fixture = format!("{}//- /src/main.rs\nfn main() {{}}\n", manifest(""));
    let twins = Twins::new(&fixture);
    twins.run(&["add", "pear", "--git", &repository.url(), "--branch", "main"]);
    assert_eq!(twins.bulkhead.project.read("Cargo.toml"), twins.cargo.project.read("Cargo.toml"));
    twins.run(&["add", "--git", &repository.url()]);
    let alone = GitRepository::new("seed", SEED);
    twins.run(&["add", "--git", &alone.url()]);
    assert_eq!(twins.bulkhead.project.read("Cargo.toml"), twins.cargo.project.read("Cargo.toml"));
    twins.same_output(&["tree"]);
}

#[test]
fn a_patch_may_be_a_git_package() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let twins = Twins::new(&app(&repository.url(), ", branch = \"main\""));
    let other = GitRepository::new("other", &REPOSITORY.replace("pear 1", "patched pear"));
    let patch = format!("\n[patch.\"{}\"]\npear = {{ git = \"{}\" }}\n", repository.url(), other.url());
    for stage in [&twins.cargo, &twins.bulkhead] {
        let manifest = stage.project.read("Cargo.toml");
        stage.project.write("Cargo.toml", manifest + &patch);
    }
    assert_eq!(twins.same_output(&["run"]).stdout, "apple 1 and patched pear\n");
    twins.same_output(&["tree"]);
    same_metadata(&twins);
    twins.same_output(&["run", "--locked"]);
}

/// Attack 95.
#[test]
fn a_broken_repository_is_a_clean_error() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let blob = repository.git(&["rev-parse", "HEAD:apple/src/lib.rs"]);
    let object = repository.root().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    let bytes = std::fs::read(&object).unwrap();
    let other = repository.blob("something else\n");
    let other = repository.root().join(".git/objects").join(&other[..2]).join(&other[2..]);
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for hostile in [None, Some(flipped), Some(bytes[..10].to_vec()), Some(std::fs::read(other).unwrap())] {
        std::fs::remove_file(&object).unwrap();
        if let Some(hostile) = hostile {
            std::fs::write(&object, hostile).unwrap();
        } else {
            let outcome = Stage::new(&app(&repository.url(), "")).bulkhead(&["check"]);
            refused(&outcome, 101, &["failed to read the git repository"]);
            std::fs::write(&object, &bytes).unwrap();
            continue;
        }
        let outcome = Stage::new(&app(&repository.url(), "")).bulkhead(&["check"]);
        assert!(matches!(outcome.code(), Some(101 | 104)), "{outcome}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    }
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, &bytes).unwrap();
    Stage::new(&app(&repository.url(), "")).bulkhead(&["check"]).assert_success();
}

#[test]
fn a_local_repository_may_borrow_and_share() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let place = |name: &str| repository.outside().join(name).to_string_lossy().into_owned();
    repository.git(&["worktree", "add", "--quiet", "-b", "side", &place("tree")]);
    repository.git(&["clone", "--quiet", "--shared", ".", &place("borrowed")]);
    for name in ["tree", "borrowed"] {
        let stage = Stage::new(&app(&format!("file://{}", place(name)), ""));
        assert_eq!(stage.bulkhead(&["run"]).stdout, "apple 1 and pear 1\n", "{name}");
        assert_eq!(stage.bulkhead(&["verify"]).code(), Some(0));
    }
}

/// Attack 156: an address is shown, written into lockfiles and given to git where everybody can read it, so it holds no secret.
#[test]
fn no_address_of_a_repository_holds_a_password() {
    const ADDRESS: &str = "https://me:hunter2@127.0.0.1:9/x";
    let member = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let lock = format!(
        "version = 4\n\n[[package]]\nname = \"evil\"\nversion = \"1.0.0\"\nsource = \"git+{ADDRESS}#{}\"\n",
        "0".repeat(40)
    );
    let stage = || Stage::new(&format!("//- /Cargo.toml\n{member}//- /src/lib.rs\n"));
    let cases: [(&str, String, &[&str]); 7] = [
        ("Cargo.toml", format!("{member}[dependencies]\nevil = {{ git = \"{ADDRESS}\" }}\n"), &["check"]),
        ("Cargo.toml", format!("{member}[patch.\"{ADDRESS}\"]\nevil = {{ path = \"x\" }}\n"), &["check"]),
        ("Cargo.toml", format!("{member}[patch.crates-io]\nevil = {{ git = \"{ADDRESS}\" }}\n"), &["check"]),
        ("Cargo.lock", lock, &["check"]),
        (".cargo/config.toml", format!("[source.loopback]\ngit = \"{ADDRESS}\"\nbranch = \"x\"\n"), &["check"]),
        ("unused", String::new(), &["add", "--git", ADDRESS]),
        ("unused", String::new(), &["install", "--git", ADDRESS]),
    ];
    let mut bites = 0;
    for (file, content, arguments) in &cases {
        let (ours, theirs) = (stage(), stage());
        ours.project.write(file, content);
        let outcome = ours.command(arguments).env("CARGO_NET_RETRY", "0").run();
        assert!(!outcome.output().contains("hunter2"), "{file} {arguments:?}: {outcome}");
        assert!(
            outcome.stderr.contains("password") || outcome.stderr.contains("secret"),
            "{file} {arguments:?}: {outcome}"
        );
        assert!(
            *file == "Cargo.lock" || !ours.project.path("Cargo.lock").exists() || outcome.code() == Some(0),
            "{outcome}"
        );
        theirs.project.write(file, content);
        let outcome = theirs.home.command("cargo").args(*arguments).current_dir(theirs.project.root());
        bites += usize::from(outcome.env("CARGO_NET_RETRY", "0").run().output().contains("hunter2"));
    }
    assert!(bites >= 3, "it is shown under cargo: {bites}");
}
