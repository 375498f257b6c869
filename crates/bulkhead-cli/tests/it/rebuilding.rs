//! What is built again, and why, beside `cargo`.

use crate::stage::{Stage, Twins};

const PACKAGES: &str = r#"
//- /Cargo.toml
[workspace]
resolver = "3"
members = ["app", "leaf", "scripted"]
//- /app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2024"
[dependencies]
leaf = { path = "../leaf" }
scripted = { path = "../scripted" }
//- /app/src/main.rs
fn main() { println!("{}", leaf::f()) }
//- /leaf/Cargo.toml
[package]
name = "leaf"
version = "0.1.0"
edition = "2021"
//- /leaf/src/lib.rs
mod a;
pub fn f() -> u8 { a::g() }
//- /leaf/src/a.rs
pub fn g() -> u8 { 1 }
//- /scripted/Cargo.toml
[package]
name = "scripted"
version = "0.1.0"
edition = "2021"
//- /scripted/src/lib.rs
//- /scripted/build.rs
fn main() {
    println!("cargo::rerun-if-changed=in.txt");
    println!("cargo::rerun-if-changed=folder");
}
//- /scripted/in.txt
//- /scripted/folder/x
"#;

/// The reasons that were told, without the times in them.
fn reasons(stage: &Stage, text: &str) -> Vec<String> {
    let text = stage.neutral(text);
    let told = text.lines().filter(|line| line.trim_start().starts_with("Dirty"));
    let mut told: Vec<_> =
        told.map(|line| line.split(" has changed (").next().unwrap_or_default().to_owned()).collect();
    told.sort();
    told
}

#[test]
fn reasons_are_told_in_cargos_words() {
    let twins = Twins::new(PACKAGES);
    twins.both(|stage| stage.project.write("scripted/folder/x", "1"));
    twins.run(&["build"]);
    let edits: &[fn(&Stage)] = &[
        |stage| stage.project.edit("leaf/src/a.rs", "1", "2"),
        |stage| stage.project.write("scripted/in.txt", "new"),
        |stage| std::fs::remove_file(stage.project.path("scripted/in.txt")).unwrap(),
        |stage| stage.project.write("scripted/in.txt", "again"),
        |stage| stage.project.edit("leaf/Cargo.toml", "2021", "2024"),
        |stage| stage.project.edit("leaf/Cargo.toml", "2024\"", "2024\"\n[features]\nextra = []"),
        |stage| stage.project.edit("leaf/Cargo.toml", "0.1.0", "0.1.1"),
        |stage| stage.project.edit("scripted/build.rs", "=folder", "=in.txt"),
        |stage| std::fs::remove_dir_all(stage.project.path("target/debug/.fingerprint")).unwrap(),
    ];
    for (number, edit) in edits.iter().enumerate() {
        std::thread::sleep(std::time::Duration::from_millis(30));
        twins.both(edit);
        let (cargo, bulkhead) = twins.run(&["build", "-v"]);
        let of = |stage: &Stage, told: &str| reasons(stage, told);
        assert_eq!(of(&twins.bulkhead, &bulkhead.stderr), of(&twins.cargo, &cargo.stderr), "edit {number}");
    }
}
