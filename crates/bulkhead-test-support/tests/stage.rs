//! The stage itself, tried with the stock `cargo`: what holds there can be asked of Bulkhead.

use bulkhead_test_support::{
    Canaries, CrateBuilder, DependencyBuilder, Entry, Fault, Home, Misbehaviour, Registry, Snapshot, TempProject,
    project,
};

fn application() -> TempProject {
    project(
        r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2024"

[dependencies]
greet = { version = "1", features = ["loud"] }
//- /src/main.rs
fn main() {
    println!("{}", greet::hello());
}
"#,
    )
}

fn registry() -> Registry {
    let registry = Registry::start();
    registry
        .publish(CrateBuilder::new("shout", "0.2.0").proc_macro().file(
            "src/lib.rs",
            "use proc_macro::TokenStream;\n#[proc_macro]\npub fn shout(_: TokenStream) -> TokenStream { \"\\\"HELLO\\\"\".parse().unwrap() }\n",
        ))
        .publish(
            CrateBuilder::new("greet", "1.0.0")
                .file("src/lib.rs", "pub fn hello() -> &'static str { concat!(env!(\"MOOD\"), \" \", shout::shout!()) }")
                .build_script("fn main() { println!(\"cargo::rustc-env=MOOD=glad\"); }")
                .dependency_with(DependencyBuilder::new("shout", "0.2").optional())
                .feature("loud", &["dep:shout"]),
        );
    registry
}

#[test]
fn cargo_builds_from_the_loopback_registry_and_revalidates_it() {
    let (registry, home, project) = (registry(), Home::new(), application());
    home.use_registry(&registry);
    let outcome = home.command("cargo").args(["run", "--quiet"]).current_dir(project.root()).run();
    assert_eq!(outcome.assert_success().stdout, "glad HELLO\n");
    assert!(registry.requests().iter().any(|request| request.path == "/dl/greet/1.0.0/download"));

    registry.clear_requests();
    home.command("cargo").args(["update"]).current_dir(project.root()).run().assert_success();
    let requests = registry.requests();
    let index =
        requests.iter().find(|request| request.path == "/index/gr/ee/greet").expect("the entry is asked for again");
    assert!(index.header("if-none-match").is_some(), "{index:?}");
}

#[test]
fn faults_reach_the_client_and_pass() {
    let (registry, home, project) = (registry(), Home::new(), application());
    home.use_registry(&registry);
    home.configure("[net]\nretry = 0\n");
    let fetch = || home.command("cargo").args(["fetch"]).current_dir(project.root()).run();
    for misbehaviour in [
        Misbehaviour::Status(500),
        Misbehaviour::Truncate(20),
        Misbehaviour::Garbage,
        Misbehaviour::Replace(b"not an archive".to_vec()),
        Misbehaviour::HangUp,
    ] {
        registry.fault(Fault::on("/dl/greet", misbehaviour).times(1));
        fetch().assert_code(101);
    }
    fetch().assert_success();
}

#[test]
fn yanked_and_falsely_claimed_versions_behave_as_such() {
    let (registry, home, project) = (registry(), Home::new(), application());
    home.use_registry(&registry);
    registry.set_yanked("greet", "1.0.0", true);
    let outcome = home.command("cargo").args(["generate-lockfile"]).current_dir(project.root()).run();
    assert!(outcome.assert_code(101).stderr.contains("yanked"), "{outcome}");

    let claimed = "00".repeat(32);
    registry.publish(CrateBuilder::new("greet", "1.0.1").feature("loud", &[]).claim_checksum(&claimed));
    let outcome = home.command("cargo").args(["fetch"]).current_dir(project.root()).run();
    assert!(outcome.assert_code(101).stderr.contains("checksum"), "{outcome}");
}

#[test]
fn a_hostile_entry_arrives_as_written() {
    let bytes = bulkhead_test_support::tar_bytes(&[Entry::symlink("a-1.0.0/link", "/etc/passwd")]);
    assert_eq!(&bytes[..12], b"a-1.0.0/link");
    assert_eq!((bytes[156], &bytes[157..168]), (b'2', &b"/etc/passwd"[..]));
}

#[test]
fn snapshots_notice_every_kind_of_change() {
    let project = project("//- /kept\na\n//- /edited\nb\n//- /removed\nc\n");
    let before = Snapshot::of(project.root());
    assert!(Snapshot::of(project.root()).changes_since(&before).is_empty());
    project.edit("edited", "b", "d");
    std::fs::remove_file(project.path("removed")).unwrap();
    project.write("folder/added", "e");
    let changes =
        Snapshot::of(project.root()).changes_since(&before).join("\n").replace(&*project.root().to_string_lossy(), "");
    assert_eq!(
        changes,
        "added file /folder/added\nadded folder /folder\nchanged file /edited\nchanged folder \nremoved file /removed"
    );
}

#[test]
fn canaries_notice_who_comes() {
    let canaries = Canaries::start();
    assert!(canaries.touched().is_empty());
    std::net::TcpStream::connect(("127.0.0.1", canaries.tcp_port())).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"x", ("127.0.0.1", canaries.udp_port())).unwrap();
    assert_eq!(canaries.touched(), ["tcp", "udp"]);
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let outcome = Home::new().command("sleep").args(["60"]).timeout(std::time::Duration::from_millis(100)).run();
    assert!(outcome.timed_out && outcome.code().is_none());
}

#[test]
fn only_programs_that_ended_by_themselves_ended_alike() {
    let run = |script: &str| Home::new().command("sh").args(["-c", script]).run();
    assert!(run("exit 3").ends_as(&run("exit 3")));
    assert!(!run("exit 3").ends_as(&run("exit 4")));
    assert!(!run("kill -9 $$").ends_as(&run("kill -9 $$")));
    let late = || Home::new().command("sleep").args(["60"]).timeout(std::time::Duration::ZERO).run();
    assert!(!late().ends_as(&late()));
}
