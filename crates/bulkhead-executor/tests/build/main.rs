//! Builds a small project with the real rustc, through the sandbox, and looks at what is built again after which edit.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where its surroundings fail")]

mod fixture;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use bulkhead_executor::{BuildError, Event, FailureKind};
use bulkhead_unit_graph::UnitIndex;
use fixture::{Built, LIBRARY, PROGRAM, Project, RUN, SCRIPT};

#[test]
fn edits_rebuild_what_cargo_would_rebuild() {
    let mut project = Project::new();
    let built = project.build_ok();
    assert_eq!(built.started(), [SCRIPT, RUN, LIBRARY, PROGRAM]);
    assert_eq!(project.run(), "42");
    assert!(built.rendered().contains("function `unused` is never used"));
    let rule = std::fs::read_to_string(project.path("target/debug/app.d")).unwrap();
    for source in ["base/build.rs", "base/input.txt", "base/src/lib.rs", "app/src/main.rs"] {
        assert!(rule.contains(project.path(source).to_str().unwrap()), "{rule}");
    }

    let fresh = project.build_ok();
    assert_eq!(fresh.started(), []);
    assert!(fresh.rendered().contains("function `unused` is never used"), "warnings are replayed");
    assert!(
        fresh.events.iter().any(|event| matches!(event, Event::ScriptWarning { message, .. } if message == "careful"))
    );

    project.edit("app/src/main.rs");
    let built = project.build_ok();
    assert_eq!(built.started(), [PROGRAM]);
    assert!(built.reason(PROGRAM).unwrap().starts_with("the file `app/src/main.rs` has changed ("));
    project.edit("base/src/lib.rs");
    let built = project.build_ok();
    assert_eq!(built.started(), [LIBRARY, PROGRAM]);
    assert_eq!(built.reason(PROGRAM).unwrap(), "the dependency `base` was rebuilt");
    project.write("base/input.txt", "7");
    assert_eq!(project.build_ok().started(), [RUN, LIBRARY, PROGRAM]);
    assert_eq!(project.run(), "7");
    project.edit("base/build.rs");
    assert_eq!(project.build_ok().started(), [SCRIPT, RUN, LIBRARY, PROGRAM]);
    project.write("base/other.txt", "");
    assert_eq!(project.build_ok().started(), []);
    project.environment.push(("GREETING".to_owned(), "hello".to_owned()));
    let built = project.build_ok();
    assert_eq!(built.started(), [RUN, LIBRARY, PROGRAM]);
    assert_eq!(built.reason(RUN).unwrap(), "the env variable GREETING changed");
    assert_eq!(project.run(), "7 hello");
    std::fs::remove_file(project.path("target/debug/deps/libbase-0.rlib")).unwrap();
    assert_eq!(project.build_ok().started(), [LIBRARY, PROGRAM]);
    std::fs::remove_file(project.path("target/debug/app")).unwrap();
    assert_eq!(project.build_ok().started(), []);
    assert_eq!(project.run(), "7 hello");
    project.owner = "somebody else".to_owned();
    assert_eq!(project.build_ok().started(), [SCRIPT, RUN, LIBRARY, PROGRAM]);
}

/// Whether sources are what they should be matters for what is built from them, and is asked before anything runs.
#[test]
fn sources_are_verified_before_they_are_used() {
    let mut project = Project::new();
    project.unsound = Some("base");
    let built = project.build();
    assert!(matches!(&built.result, Err(BuildError::Fatal(found)) if found.code == "unsound"), "{:?}", built.result);
    assert_eq!(built.started(), []);
    project.unsound = Some("app");
    assert!(project.build().result.is_err());
    project.unsound = None;
    assert_eq!(project.build_ok().started(), [SCRIPT, RUN, LIBRARY, PROGRAM]);
    project.unsound = Some("base");
    project.edit("app/src/main.rs");
    assert_eq!(project.build_ok().started(), [PROGRAM], "nothing of the other one is compiled");
    project.edit("base/src/lib.rs");
    assert!(project.build().result.is_err());
}

#[test]
fn what_was_only_touched_rebuilds_nothing() {
    let project = Project::new();
    project.build_ok();
    for name in ["app/src/main.rs", "base/src/lib.rs", "base/build.rs", "base/input.txt"] {
        project.touch(name);
        assert_eq!(project.build_ok().started(), [], "{name}");
    }
    project.write("base/input.txt", "7");
    project.write("base/input.txt", "42");
    assert_eq!(project.build_ok().started(), [], "changed and changed back");
}

/// Backups and profilers link files, which shows in their state. What such a file holds is looked at once, and not in each
/// build from then on.
#[test]
fn a_library_that_was_linked_is_read_once() {
    let project = Project::new();
    project.build_ok();
    let remembered = || {
        let folder = project.path("target/debug/.fingerprint");
        let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        files.map(|file| (std::fs::read(&file).unwrap(), file)).collect::<BTreeSet<_>>()
    };
    let before = remembered();
    let library = project.path("target/debug/deps/libbase-0.rlib");
    std::fs::hard_link(&library, project.path("backup")).unwrap();
    assert_eq!(project.build_ok().started(), []);
    let after = remembered();
    assert_eq!(after.difference(&before).count(), 1, "it is remembered as it is now");
    assert_eq!(project.build_ok().started(), []);
    assert_eq!(remembered(), after);
    // As long, and as old.
    let (mut bytes, metadata) = (std::fs::read(&library).unwrap(), library.metadata().unwrap());
    bytes.iter_mut().for_each(|byte| *byte = 0);
    std::fs::write(&library, bytes).unwrap();
    std::fs::File::options().append(true).open(&library).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
    assert_eq!(project.build_ok().started(), [LIBRARY, PROGRAM]);
}

#[test]
fn an_edit_that_keeps_the_time_is_noticed() {
    let project = Project::new();
    project.build_ok();
    let path = project.path("base/input.txt");
    let before = path.metadata().unwrap().modified().unwrap();
    project.write("base/input.txt", "43");
    std::fs::File::options().append(true).open(path).unwrap().set_modified(before).unwrap();
    assert_eq!(project.build_ok().started(), [RUN, LIBRARY, PROGRAM]);
    assert_eq!(project.run(), "43");
}

#[test]
fn a_failed_unit_is_never_fresh() {
    let project = Project::new();
    project.build_ok();
    project.write("app/src/main.rs", "fn main() { nonsense }");
    for _ in 0..2 {
        let built = project.build();
        assert_eq!(built.started(), [PROGRAM]);
        assert!(matches!(built.failure().kind, FailureKind::Exit { errors: 1, .. }), "{:?}", built.failure());
        assert!(built.rendered().contains("cannot find value `nonsense`"));
    }
    project.write("app/src/main.rs", "fn main() { println!(\"fixed\") }");
    project.build_ok();
    assert_eq!(project.run(), "fixed");
}

/// Attack 119.
#[test]
fn a_compiler_that_wrote_nothing_has_failed() {
    let mut project = Project::new();
    project.build_ok();
    project.edit("app/src/main.rs");
    project.rustc = "/usr/bin/true".into();
    let failure = project.build().failure();
    assert!(matches!(&failure.kind, FailureKind::Other(error) if error.code == "missing-output"), "{failure:?}");
}

/// Attacks 98, 99, 101 and 103.
#[test]
fn build_scripts_reach_only_what_they_were_given() {
    let project = Project::new();
    project.write("secret.txt", "secret");
    let secret = project.path("secret.txt");
    project.write("base/build.rs", &format!("fn main() {{ std::fs::read({secret:?}).unwrap(); }}"));
    let built = project.build();
    assert!(built.failure().denied, "{:?}", built.events);
    let denied = |event: &Event| match event {
        Event::Denied { unit: RUN, denials } => format!("{denials:?}").contains("secret.txt"),
        _ => false,
    };
    assert!(built.events.iter().any(denied), "{:?}", built.events);

    let mut granted = project;
    granted.grants.read.push(fixture::granted(secret));
    let built = granted.build();
    assert!(matches!(&built.failure().kind, FailureKind::Exit { .. }), "lib.rs lacks its generated file");
    assert_eq!(built.failure().unit, LIBRARY);
}

#[test]
fn a_granted_variable_matters_to_those_who_asked_for_it() {
    let mut project = Project::new();
    let greet = |greeting: Option<&str>| vec![fixture::granted(("GREETING".to_owned(), greeting.map(str::to_owned)))];
    project.grants.environment = greet(None);
    project.build_ok();
    project.grants.environment = greet(Some("hello"));
    assert_eq!(project.build().started(), [RUN, LIBRARY, PROGRAM], "and the script is not compiled again");
    assert_eq!(project.run(), "42 hello");
    assert_eq!(project.build().started(), []);
    project.grants.environment.push(fixture::granted(("UNUSED".to_owned(), None)));
    assert_eq!(project.build().started()[..2], [SCRIPT, RUN], "what is granted changed");
}

/// Attacks 110 and 113.
#[test]
fn what_a_script_says_and_leaves_is_judged() {
    let project = Project::new();
    let honest = std::fs::read_to_string(project.path("base/build.rs")).unwrap();
    let script = |body: &str| project.write("base/build.rs", &format!("fn main() {{ {body} }}"));
    script(r#"println!("cargo::rustc-link-arg=-fuse-ld=/tmp/evil");"#);
    assert!(matches!(project.build().failure().kind, FailureKind::Denied(_)));
    script(r#"println!("cargo::nonsense=1");"#);
    assert!(
        matches!(&project.build().failure().kind, FailureKind::Other(error) if error.code == "build-script-output")
    );
    script(r#"println!("cargo::error=no");"#);
    assert!(matches!(&project.build().failure().kind, FailureKind::ScriptErrors(errors) if errors == &["no"]));
    script(r#"std::os::unix::fs::symlink("/root/.ssh", std::env::var("OUT_DIR").unwrap() + "/s").unwrap();"#);
    let failure = project.build().failure();
    assert!(matches!(&failure.kind, FailureKind::Other(error) if error.code == "out-dir-link"), "{failure:?}");
    // What was refused is not in the way of the next script.
    project.write("base/build.rs", &honest);
    project.build_ok();
}

#[test]
fn a_wish_to_stop_ends_running_processes() {
    let project = Project::new();
    project.write("base/build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }");
    std::thread::scope(|scope| {
        let build = scope.spawn(|| project.build());
        while !project.path("target/debug/build/base-1/out").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        project.stop.store(true, Ordering::Relaxed);
        let built = build.join().unwrap();
        assert!(matches!(built.result, Err(BuildError::Interrupted)), "{:?}", built.result);
    });
    project.stop.store(false, Ordering::Relaxed);
    project.write("base/build.rs", "fn main() {}");
    assert_eq!(project.build().started()[..2], [SCRIPT, RUN]);
}

/// A compiler that runs nobody's code is not observed, until it complains.
#[test]
fn what_kept_a_plain_compiler_from_a_file_is_told() {
    let project = Project::new();
    project.write("outside.txt", "outside");
    let outside = project.path("outside.txt");
    project.write("app/src/main.rs", &format!("fn main() {{ println!(\"{{}}\", include_str!({outside:?})) }}"));
    let told = |built: &Built| {
        let told = |event: &Event| match event {
            Event::Denied { unit: PROGRAM, denials } => format!("{denials:?}").contains("outside.txt"),
            _ => false,
        };
        built.events.iter().filter(|event| told(event)).count()
    };
    let built = project.build();
    assert!(built.failure().denied && told(&built) == 1, "{:?}", built.events);
    assert_eq!(built.rendered().matches("couldn't read").count(), 1, "the second run says nothing");
    // What is not there at all was not refused, and an error about something else is no reason to look.
    for source in ["include_str!(\"nowhere.txt\")", "nonsense"] {
        project.write("app/src/main.rs", &format!("fn main() {{ println!(\"{{}}\", {source}) }}"));
        let built = project.build();
        assert!(!built.failure().denied && told(&built) == 0, "{:?}", built.events);
    }
    let mut granted = project;
    granted.grants.read.push(fixture::granted(outside.clone()));
    granted.write("app/src/main.rs", &format!("fn main() {{ println!(\"{{}}\", include_str!({outside:?})) }}"));
    granted.build_ok();
    assert_eq!(granted.run(), "outside");
}

/// What was put in place of a process, in the order of the graph.
fn reused(built: &Built) -> Vec<UnitIndex> {
    let reused = built.events.iter().filter_map(|event| match event {
        Event::Reused { unit } => Some(*unit),
        _ => None,
    });
    reused.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What became of units, and what they said, that was told more than once.
fn told_twice(built: &Built) -> Vec<String> {
    let (mut seen, mut twice) = (BTreeSet::new(), Vec::new());
    for event in &built.events {
        let told = match event {
            Event::Artifact { unit, .. } => format!("artifact of {unit:?}"),
            Event::ScriptOutput { unit, .. } => format!("output of {unit:?}"),
            Event::ScriptWarning { unit, message, .. } => format!("{message} of {unit:?}"),
            Event::Message { unit, json, .. } => format!("{json} of {unit:?}"),
            Event::Counts { unit, .. } => format!("counts of {unit:?}"),
            _ => continue,
        };
        twice.extend(seen.replace(told));
    }
    twice
}

/// A project without a target folder, all packages of which but its own were built before.
fn second_workspace() -> Project {
    let project = Project::sharing();
    assert_eq!(project.build_ok().started(), [SCRIPT, RUN, LIBRARY, PROGRAM]);
    assert_eq!(project.entries().len(), 3);
    std::fs::remove_dir_all(project.path("target")).unwrap();
    project
}

#[test]
fn what_no_compiler_waits_for_is_put_in_place_beside_them() {
    let mut project = second_workspace();
    project.jobs = 1;
    let built = project.build_ok();
    assert_eq!((built.started(), reused(&built)), (vec![PROGRAM], vec![SCRIPT, RUN, LIBRARY]));
    let started = built.position(|event| matches!(event, Event::Started { unit: PROGRAM, .. }));
    assert!(built.position(|event| matches!(event, Event::Reused { unit: LIBRARY })) < started);
    assert!(started < built.position(|event| matches!(event, Event::Reused { unit: SCRIPT })));
    assert_eq!(project.run(), "42");
    assert_eq!(project.build_ok().started(), []);
}

/// Between the moment when a unit is found and the one when its files are wanted, somebody else may collect it.
#[test]
fn what_was_foreseen_and_then_collected_is_built() {
    let mut project = second_workspace();
    project.jobs = 1;
    project.meddle = |project, event| {
        if matches!(event, Event::Reused { unit: RUN }) {
            project.entries().iter().for_each(|entry| std::fs::remove_dir_all(entry).unwrap());
        }
    };
    let built = project.build_ok();
    assert_eq!((built.started(), reused(&built)), (vec![SCRIPT, RUN, LIBRARY, PROGRAM], vec![RUN]));
    assert!(!built.events.iter().any(|event| matches!(event, Event::CacheDamaged { .. })), "{:#?}", built.events);
    // What RUN said was told when it was put in place, and RUN has run since.
    assert_eq!(told_twice(&built), Vec::<String>::new());
    assert_eq!(built.count(|event| matches!(event, Event::ScriptOutput { unit: RUN, .. })), 1);
    assert_eq!(project.run(), "42");
    assert_eq!(project.build_ok().started(), []);
}

/// Attacks 128, 129: what a unit is made of is known before its files are looked at, which does not make them right.
#[test]
fn what_was_foreseen_and_then_changed_is_not_used() {
    let mut project = second_workspace();
    project.jobs = 1;
    project.meddle = |project, event| {
        if matches!(event, Event::Reused { unit: RUN }) {
            for entry in project.entries().iter().filter(|entry| entry.join("1").exists()) {
                std::fs::set_permissions(entry.join("1"), PermissionsExt::from_mode(0o600)).unwrap();
                let mut metadata = std::fs::read(entry.join("1")).unwrap();
                metadata.reverse();
                std::fs::write(entry.join("1"), metadata).unwrap();
            }
        }
    };
    let built = project.build_ok();
    // Of the units that were foreseen together with it nothing is left that is not looked at again.
    assert_eq!(built.started(), [RUN, LIBRARY, PROGRAM]);
    let damaged = built.position(|event| matches!(event, Event::CacheDamaged { unit: LIBRARY, .. }));
    assert!(damaged < built.position(|event| matches!(event, Event::Started { .. })));
    assert_eq!(told_twice(&built), Vec::<String>::new());
    assert_eq!(project.run(), "42");
    assert_eq!(project.build_ok().started(), []);
}
