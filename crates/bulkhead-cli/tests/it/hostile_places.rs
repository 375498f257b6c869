//! Lying entries and archives that do not come over HTTP from a sparse index: from a local registry, and from an index in a
//! git repository. They are read as strictly.

use bulkhead_test_support::{GitRepository, Outcome};

use crate::stage::{APP, Stage, assert_error};

const SUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where an index stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    LocalRegistry,
    GitIndex,
}

/// A stage whose `plain` comes from `place`, with these lines in its index besides (or, with the flag, instead of) its own.
fn stage_at(place: Place, lines: &[String], instead: bool) -> (Stage, GitRepository) {
    let wish = match place {
        Place::LocalRegistry => APP.to_owned(),
        Place::GitIndex => APP.replace("plain = \"1\"", "plain = { version = \"1\", registry = \"mine\" }"),
    };
    let stage = Stage::new(&wish);
    let own = if instead { String::new() } else { stage.registry.index_lines("plain") };
    let index: String = own.lines().chain(lines.iter().map(String::as_str)).map(|line| format!("{line}\n")).collect();
    let config = format!("//- /config.json\n{{\"dl\": \"http://{}/dl\"}}\n", stage.registry.address());
    let repository = GitRepository::new("index", &config);
    std::fs::create_dir_all(repository.root().join("pl/ai")).unwrap();
    std::fs::write(repository.root().join("pl/ai/plain"), &index).unwrap();
    repository.commit("");
    match place {
        Place::GitIndex => stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n", repository.url())),
        Place::LocalRegistry => {
            // Stock cargo fetches the archives that the folder holds.
            stage.cargo(&["fetch"]).assert_success();
            std::fs::remove_file(stage.project.path("Cargo.lock")).unwrap();
            let cache = std::fs::read_dir(stage.home.cargo_home().join("registry/cache")).unwrap().next().unwrap();
            let archive = std::fs::read(cache.unwrap().path().join("plain-1.1.0.crate")).unwrap();
            stage.project.write("reg/plain-1.1.0.crate", archive);
            stage.project.write("reg/index/pl/ai/plain", &index);
            let here = "[source.crates-io]\nreplace-with = \"here\"\n[source.here]\nlocal-registry = \"reg\"\n";
            stage.project.write(".cargo/config.toml", here);
            stage.bulkhead(&["trust", "--yes"]).assert_success();
        }
    }
    stage.registry.clear_requests();
    (stage, repository)
}

fn run(place: Place, lines: &[String], instead: bool, command: &str) -> (Stage, Outcome) {
    let (stage, _repository) = stage_at(place, lines, instead);
    let outcome = stage.bulkhead(&[command]);
    assert!(!outcome.stderr.contains("panicked"), "{outcome}");
    (stage, outcome)
}

/// Attacks 33, 35 to 38 and 43, from a folder and from a repository.
#[test]
fn entries_of_folders_and_repositories_are_read_as_strictly() {
    let entry = |fields: &str| format!(r#"{{"name":"plain","cksum":"{SUM}","features":{{}},{fields}}}"#);
    let needs = |name: &str| entry(&format!(r#""vers":"1.6.0","deps":[{{"name":"{name}","req":"1"}}]"#));
    let twice = entry(r#""vers":"1.6.0","deps":[]"#);
    for place in [Place::LocalRegistry, Place::GitIndex] {
        for (lines, reason) in [
            (vec![needs("../../../../esc")], "invalid dependency name"),
            (vec![needs("é€漢字")], "invalid dependency name"),
            (vec![needs("")], "invalid dependency name"),
            (vec![entry(r#""vers":"1.6.0","deps":[],"vers":"1.7.0""#)], "duplicate field `vers`"),
            (vec![entry(r#""vers":"1.6.0","deps":[],"v":99"#)], "schema version 99"),
            (vec![twice.clone(), twice.replace(SUM, &"1".repeat(64))], "more than once"),
        ] {
            let (stage, outcome) = run(place, &lines, false, "generate-lockfile");
            assert_eq!(outcome.code(), Some(0), "{place:?} {reason}: {outcome}");
            assert!(stage.project.read("Cargo.lock").contains("version = \"1.1.0\""), "{place:?}: {outcome}");
            assert!(outcome.stderr.contains(reason), "{place:?}: {reason:?} is missing: {outcome}");
        }
        for other in ["serde", "PLAIN"] {
            let lines = [twice.replace("\"plain\"", &format!("\"{other}\""))];
            let (stage, outcome) = run(place, &lines, false, "generate-lockfile");
            assert_error(&outcome, outcome.code().unwrap(), &["plain", other]);
            assert!(!stage.project.path("Cargo.lock").exists(), "{place:?}: {outcome}");
        }
    }
}

/// Attacks 45 and 73, from a folder and from a repository.
#[test]
fn packages_of_folders_and_repositories_are_compared_with_their_entries() {
    for place in [Place::LocalRegistry, Place::GitIndex] {
        let honest = Stage::new(APP).registry.index_lines("plain");
        let change = |from: &str, to: &str| -> Vec<String> {
            assert!(honest.contains(from), "{honest}");
            honest.lines().map(|line| line.replacen(from, to, 1)).collect()
        };
        let (_, outcome) = run(place, &change("\"features\":{", "\"features\":{\"extra\":[],"), true, "check");
        assert_error(&outcome, 104, &["error[manifest-mismatch]", "plain v1.1.0", "features.extra"]);
        let sum = honest.lines().find(|line| line.contains("\"1.1.0\"")).unwrap();
        let sum = sum.split("\"cksum\":\"").nth(1).unwrap().split('"').next().unwrap();
        let (_, outcome) = run(place, &change(sum, SUM), true, "check");
        assert_error(&outcome, 104, &["error[checksum-mismatch]", "plain v1.1.0"]);
        // The benign twin.
        let lines: Vec<String> = honest.lines().map(str::to_owned).collect();
        let (_, outcome) = run(place, &lines, true, "check");
        assert_eq!(outcome.code(), Some(0), "{place:?}: {outcome}");
    }
}
