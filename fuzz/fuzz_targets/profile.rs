//! What a policy and a plan say of a process becomes a profile or is refused, and no grant opens what has to stay closed.
//! The first part of the input is a policy; the lines after `---` are what the plan says: a word and a value each.
#![no_main]

use bulkhead_policy::profile::{Facts, PROXY, Profile, compile};
use bulkhead_policy::{
    Denial, Denied, Granted, Origin, PolicyLayer, PolicySource, ProcessKind, Secrets, effective, propose,
};
use bulkhead_schema::policy::{NetworkRule, parse_policy};
use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

const SYSTEM: [&str; 6] = ["/usr", "/etc", "/bin", "/lib", "/proc", "/dev"];

fuzz_target!(|text: &str| {
    let (policy, plan) = text.split_once("\n---\n").unwrap_or((text, ""));
    let mut facts = Facts::new(ProcessKind::BuildScript, Path::new("/target/build"), Path::new("/package"));
    granted(policy, &mut facts);
    let mut asked = Vec::new();
    for line in plan.lines() {
        planned(line, &mut facts, &mut asked);
    }
    let protected = facts.protected.clone();
    let mut reversed = facts.clone();
    for list in [&mut reversed.required, &mut reversed.read, &mut reversed.write] {
        list.reverse();
    }
    let profile = compile(facts);
    match (&profile, compile(reversed)) {
        (Ok(one), Ok(other)) => assert_eq!(*one, other, "the order of facts does not matter"),
        (Err(_), Err(_)) => {}
        _ => panic!("the order of facts decides whether there is a profile"),
    }
    if let Ok(profile) = profile {
        check(&profile, &protected);
    }
    check_proposal(asked);
});

/// What a trusted policy grants to the package.
fn granted(text: &str, facts: &mut Facts) {
    let Ok(policy) = parse_policy(Path::new("bulkhead.toml"), &Arc::from(text)) else { return };
    let effective = effective(&[PolicyLayer { source: PolicySource::User, policy }]);
    let version = semver::Version::new(1, 0, 0);
    let Ok(set) = effective.grants_for("x", &version, None, true) else { return };
    let absolute = |it: Granted<PathBuf>| Granted::new(Path::new("/workspace").join(it.value), it.origin);
    facts.read.extend(set.read.into_iter().map(absolute));
    facts.write.extend(set.write.into_iter().map(absolute));
    let variable = |it: Granted<String>| Granted::new((it.value, "value".to_owned()), it.origin);
    facts.environment.extend(set.env.into_iter().map(variable));
    facts.network = set.network.unwrap_or_else(|| facts.network.clone());
    facts.directives = set.directives;
    facts.limits = effective.process_limits(ProcessKind::BuildScript, facts.limits);
}

fn planned(line: &str, facts: &mut Facts, asked: &mut Vec<Denied>) {
    let (word, value) = line.split_once(' ').unwrap_or((line, ""));
    let path = PathBuf::from(value);
    match word {
        "required" => facts.required.push(Granted::new(path, Origin::Toolchain)),
        "read" => facts.read.push(Granted::new(path, Origin::Package)),
        "write" => facts.write.push(Granted::new(path, Origin::Package)),
        "grant" => facts.write.push(Granted::new(path, Origin::Grant("fuzz".into()))),
        "protect" => facts.protected.push(path),
        "folder" => facts.current_dir = path,
        "variable" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            facts.environment.push(Granted::new((name.to_owned(), value.to_owned()), Origin::AllowList));
        }
        "asks-read" => asked.push(Denied::Read(path)),
        "asks-write" => asked.push(Denied::Write(path)),
        "asks-variable" => asked.push(Denied::Environment(value.to_owned())),
        "asks-address" => asked.push(Denied::Network(value.to_owned())),
        "asks-host" => asked.push(Denied::Host(value.to_owned())),
        _ => {}
    }
}

fn check(profile: &Profile, protected: &[PathBuf]) {
    let paths = profile.required.iter().chain(&profile.read).chain(&profile.write).map(|entry| &entry.value);
    for path in paths.chain([&profile.program, &profile.current_dir]) {
        assert!(path.is_absolute() && !path.to_string_lossy().contains('\0'), "{path:?}");
        assert!(path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_))), "{path:?}");
    }
    for entry in profile.write.iter().filter(|entry| matches!(entry.origin, Origin::Grant(_))) {
        for kept in SYSTEM.iter().map(Path::new).chain(protected.iter().map(PathBuf::as_path)) {
            assert!(!entry.value.starts_with(kept) && !kept.starts_with(&entry.value), "{entry:?} opens {kept:?}");
        }
    }
    for (name, value) in &profile.environment {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.value.contains('\0'), "{name:?}");
    }
    if matches!(profile.network.value, NetworkRule::Hosts(_)) {
        assert_eq!(profile.environment["https_proxy"].value, PROXY);
        assert!(!profile.environment.contains_key("NO_PROXY"));
    }
}

/// What is proposed is a policy once somebody has said why, and leads nobody to hand out a secret.
fn check_proposal(asked: Vec<Denied>) {
    let secrets =
        Secrets::new(Some(Path::new("/home/me")), Path::new("/home/me/.bulkhead"), Path::new("/home/me/.cargo"));
    let denial = |what| Denial {
        package: "x".to_owned(),
        version: semver::Version::new(1, 0, 0),
        digest: None,
        own: true,
        what,
    };
    let denials: Vec<_> = asked.into_iter().map(denial).collect();
    let text = propose(&denials, |what| secrets.hold(what)).replace("reason = \"\" # say why", "reason = \"fuzz\"");
    let Ok(policy) = parse_policy(Path::new("bulkhead.toml"), &Arc::from(text.as_str())) else { return };
    for grant in policy.grants {
        for path in grant.read.into_iter().chain(grant.write) {
            assert!(!secrets.hold(&Denied::Read(path.clone())), "{path:?}");
        }
        for name in grant.env {
            assert!(!secrets.hold(&Denied::Environment(name.clone())), "{name:?}");
        }
    }
}
