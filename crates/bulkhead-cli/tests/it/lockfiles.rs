//! `Cargo.lock` in every format, good and bad: read and written as `cargo` does (attacks 81 and 82).

use bulkhead_test_support::Outcome;

use crate::stage::{Stage, Twins, WORKSPACE, each};

/// The fixture's lockfile in a format, as cargo itself writes it.
fn lockfile(twins: &Twins) -> String {
    twins.run(&["generate-lockfile"]);
    twins.bulkhead.project.read("Cargo.lock")
}

/// Format 4 in the words of an older one. Checksums move, dependencies get their version and source.
fn in_format(text: &str, version: u8) -> String {
    match version {
        4 => text.to_owned(),
        3 => text.replace("version = 4\n", "version = 3\n"),
        2 => text.replace("version = 4\n\n", ""),
        _ => in_format_one(text),
    }
}

fn in_format_one(text: &str) -> String {
    let source = "(registry+https://github.com/rust-lang/crates.io-index)";
    let mut versions = std::collections::BTreeMap::new();
    let mut metadata = Vec::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("name = \"") {
            name = rest.trim_end_matches('"');
        } else if let Some(rest) = line.strip_prefix("version = \"") {
            versions.insert(name, (rest.trim_end_matches('"'), false));
        } else if line.starts_with("source = ") {
            versions.get_mut(name).unwrap().1 = true;
        } else if let Some(rest) = line.strip_prefix("checksum = ") {
            metadata.push(format!("\"checksum {name} {} {source}\" = {rest}", versions[name].0));
        }
    }
    metadata.sort();
    let mut old = String::new();
    for line in text.lines().filter(|line| *line != "version = 4" && !line.starts_with("checksum = ")) {
        let dependency = line.strip_prefix(" \"").and_then(|rest| rest.strip_suffix("\","));
        old += &match dependency.and_then(|name| Some((name, versions.get(name)?))) {
            Some((name, (version, true))) => format!(" \"{name} {version} {source}\",\n"),
            Some((name, (version, false))) => format!(" \"{name} {version}\",\n"),
            None => format!("{line}\n"),
        };
    }
    let old = old.replace("manual editing.\n\n\n", "manual editing.\n");
    format!("{}\n[metadata]\n{}\n", old.replace("manual editing.\n\n", "manual editing.\n"), metadata.join("\n"))
}

/// The entry of a package, up to the next one.
fn entry(lockfile: &str, name: &str) -> String {
    let start = lockfile.find(&format!("[[package]]\nname = \"{name}\"\n")).unwrap();
    let end = lockfile[start + 1..].find("[[package]]").map_or(lockfile.len(), |end| start + 1 + end);
    lockfile[start..end].to_owned()
}

#[test]
fn every_format_is_read_kept_and_brought_up_to_date_as_by_cargo() {
    let fixtures = [
        (WORKSPACE.to_owned(), &[1, 2, 3, 4][..]),
        // What a member promises to older Rust decides about the format of a new file.
        (
            WORKSPACE
                .replace("edition = \"2021\"\n", "edition = \"2021\"\nrust-version = \"1.60\"\n")
                .replace("edition.workspace = true\n", "edition.workspace = true\nrust-version.workspace = true\n"),
            &[2, 4],
        ),
    ];
    each(fixtures, |(fixture, formats)| {
        let twins = Twins::new(fixture);
        let newest = lockfile(&twins);
        let newest = newest.replace("version = 3\n", "version = 4\n");
        for &version in *formats {
            let text = in_format(&newest, version);
            twins.both(|stage| stage.project.write("Cargo.lock", &text));
            // Nothing to do: not a byte changes.
            twins.run(&["fetch", "--locked"]);
            twins.run(&["fetch"]);
            assert_eq!(twins.bulkhead.project.read("Cargo.lock"), text, "format {version} is kept");
            twins.run(&["update", "-w"]);
            twins.run(&["update", "-p", "plain", "--precise", "1.0.0"]);
            twins.run(&["update"]);
            twins.both(|stage| stage.project.write("Cargo.lock", &text));
            twins.both(|stage| {
                stage.project.edit(
                    "app/Cargo.toml",
                    "test-tool = \"0.5\"",
                    "test-tool = \"0.5\"\noptional-user = \"0.1\"",
                );
            });
            twins.run(&["fetch"]);
            twins.both(|stage| stage.project.edit("app/Cargo.toml", "\noptional-user = \"0.1\"", ""));
            twins.both(|stage| stage.project.write("Cargo.lock", &text));
            twins.run(&["generate-lockfile"]);
        }
    });
}

#[test]
fn what_is_beside_the_entries_is_kept_or_dropped_as_by_cargo() {
    let twins = Twins::new(WORKSPACE);
    let good = lockfile(&twins);
    each(
        [
            good.replace("version = 4", "# hand-written\nversion = 4"),
            format!("# a word at the top\n{good}"),
            good.replace('\n', "\r\n"),
            good.replace("version = 4\n", "version = 4\nunknown = 1\n"),
            format!("{good}\n[metadata]\nthings = \"kept\"\n"),
            good.trim_end().to_owned(),
            String::new(),
        ],
        |text| {
            twins.both(|stage| stage.project.write("Cargo.lock", text));
            twins.run(&["fetch"]);
            twins.run(&["update", "-p", "plain", "--precise", "1.0.0"]);
        },
    );
}

#[test]
fn entries_that_nobody_needs_are_dropped_and_missing_ones_added() {
    let twins = Twins::new(WORKSPACE);
    let good = lockfile(&twins);
    let stray = "\n[[package]]\nname = \"stray\"\nversion = \"1.0.0\"\n";
    let entry = |name: &str| entry(&good, name);
    each(
        [
            good.clone() + stray,
            good.replace(&entry("plain"), ""),
            good.replace(&entry("uses-native"), ""),
            good.replace(&entry("library"), ""),
            good.replace(" \"native-sys\",\n", ""),
            good.replace("name = \"app\"\nversion = \"0.4.0\"", "name = \"app\"\nversion = \"0.3.0\""),
            // The order of entries is cargo's.
            {
                let moved = entry("app");
                good.replace(&moved, "") + "\n" + moved.trim_end() + "\n"
            },
        ],
        |text| {
            twins.both(|stage| stage.project.write("Cargo.lock", text));
            let (_, ours) = twins.run(&["fetch", "--locked"]);
            if ours.code() != Some(0) {
                assert!(ours.stderr.contains("because --locked was passed to prevent this"), "{ours}");
            }
            twins.run(&["fetch"]);
        },
    );
}

#[test]
fn broken_lockfiles_are_refused_and_left_alone() {
    let twins = Twins::new(WORKSPACE);
    let good = lockfile(&twins);
    let entry_of = |name: &str| entry(&good, name);
    let plain = "name = \"plain\"\nversion = \"1.1.0\"\n";
    let conflict = good.replace(
        plain,
        "name = \"plain\"\n<<<<<<< HEAD\nversion = \"1.1.0\"\n=======\nversion = \"1.0.0\"\n>>>>>>> other\n",
    );
    let checksum = good.lines().find(|line| line.starts_with("checksum")).unwrap();
    for (text, told) in [
        (conflict, &["merge-conflict markers", "either side", "Cargo.lock:"][..]),
        (good.replace("version = 4\n", "version = 99\n"), &["lock file version `99`", "newer"]),
        (good.replace("version = 4\n", "version = 0\n"), &["lock file version `0`"]),
        (format!("{}\n{}", good.trim_end(), entry_of("plain")), &["`plain`", "twice"]),
        (good.replace(plain, "name = \"plain\"\nversion = \"one\"\n"), &["version", "Cargo.lock:"]),
        (good.replace(plain, "name = \"pl\\u001b[2Jain\"\nversion = \"1.1.0\"\n"), &["pl"]),
        (good.replace(checksum, "checksum = \"1234\""), &["checksum"]),
        (good.replace("version = 4\n", "version = 4\nversion = 4\n"), &["Cargo.lock"]),
        ("[[package]]".to_owned(), &["name"]),
        ("\u{0}".to_owned(), &["Cargo.lock"]),
    ] {
        twins.both(|stage| stage.project.write("Cargo.lock", &text));
        let outcome = twins.bulkhead.bulkhead(&["fetch"]);
        refused(&outcome, told);
        assert_eq!(twins.bulkhead.project.read("Cargo.lock"), text, "it is left alone");
    }
}

#[track_caller]
fn refused(outcome: &Outcome, told: &[&str]) {
    outcome.assert_code(101);
    for word in told {
        assert!(outcome.stderr.contains(word), "{word}\n{outcome}");
    }
    assert!(!outcome.stderr.contains('\u{1b}'), "{outcome}");
}

/// Attack 81.
#[test]
fn a_lockfile_beyond_all_measure_costs_no_more_than_its_limit() {
    let stage = Stage::new(WORKSPACE);
    stage.bulkhead(&["generate-lockfile"]).assert_success();
    let good = stage.project.read("Cargo.lock");
    // A hundred thousand packages that nobody needs and that are nowhere.
    let mut text = good.clone();
    for place in 0..100_000 {
        text += &format!("\n[[package]]\nname = \"p{place}\"\nversion = \"1.0.0\"\n");
    }
    stage.project.write("Cargo.lock", &text);
    stage.bulkhead(&["fetch"]).assert_success();
    assert_eq!(stage.project.read("Cargo.lock"), good);
    // One that a stranger wants fetched from his own place.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    for scheme in ["git+ssh", "git+http", "registry+http", "sparse+http"] {
        let source = format!("{scheme}://{address}/x#0123456789012345678901234567890123456789");
        stage.project.write(
            "Cargo.lock",
            format!("{good}\n[[package]]\nname = \"p\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n"),
        );
        let outcome = stage.bulkhead(&["fetch", "--locked"]);
        assert!(matches!(outcome.code(), Some(101 | 102 | 104)), "{outcome}");
        assert!(outcome.stderr.contains("p v1.0.0") || outcome.stderr.contains(&address.to_string()), "{outcome}");
        assert!(listener.accept().is_err(), "the stranger is not asked");
    }
    let file = std::fs::File::create(stage.project.path("Cargo.lock")).unwrap();
    file.set_len(65 << 20).unwrap();
    refused(&stage.bulkhead(&["fetch"]), &["larger than 64 MiB"]);
}
