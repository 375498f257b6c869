//! Build code that wants more than it should have, through the whole program. Each attack is first seen to bite under
//! stock `cargo`; under Bulkhead nothing gets through, what was asked for is reported with the lines that would grant
//! it, and those lines work.

use crate::stage::{Stage, folder_outside_tmp};
use bulkhead_test_support::{Canaries, CrateBuilder, Outcome, Snapshot};
use std::time::Duration;
use tempfile::TempDir;

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
hostile = "1"
//- /src/main.rs
fn main() { println!("{}", hostile::report!()); }
"#;

/// What both a build script and a procedural macro do: try everything, and return what came of it, one line each.
const ATTACKS: &str = r#"
fn attacks() -> String {
    use std::os::linux::net::SocketAddrExt as _;
    let mut report = String::new();
    let mut note = |name: &str, result: Option<String>| report.push_str(&format!("{name}: {}\n", result.unwrap_or_else(|| "nothing".into())));
    note("secret", std::fs::read_to_string("{SECRET}").ok());
    note("token", std::env::vars().find(|(_, value)| value.contains("s3cr3t")).map(|(name, _)| name));
    note("listing", std::fs::read_dir("{HOME}").ok().map(|entries| entries.flatten().map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name.contains("secret")).collect()));
    let limit = std::time::Duration::from_millis(300);
    note("tcp", std::net::TcpStream::connect_timeout(&"127.0.0.1:{TCP}".parse().unwrap(), limit).ok().map(|_| "reached".into()));
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", "127.0.0.1:{UDP}"));
    note("udp", udp.ok().map(|_| "sent".into()));
    let name = std::os::unix::net::SocketAddr::from_abstract_name("{ABSTRACT}").unwrap();
    note("abstract", std::os::unix::net::UnixStream::connect_addr(&name).ok().map(|_| "reached".into()));
    note("write", std::fs::write("{OUTSIDE}/{WHO}-was-here", "x").ok().map(|_| "written".into()));
    note("home", std::fs::write("{HOME}/{WHO}-was-here", "x").ok().map(|_| "written".into()));
    use std::os::unix::process::CommandExt as _;
    let mut daemon = std::process::Command::new("/bin/sh");
    daemon.args(["-c", "sleep 1.5; echo x > {OUTSIDE}/{WHO}-daemon"]).process_group(0).stdin(std::process::Stdio::null());
    let _ = daemon.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
    report
}
"#;

/// The packages, the listeners, and a HOME with a secret that is not below `/tmp`, of which build code has its own.
struct Scene {
    stage: Stage,
    canaries: Canaries,
    home: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let canaries = Canaries::start();
        let home = folder_outside_tmp();
        std::fs::create_dir(home.path().join("elsewhere")).unwrap();
        std::fs::write(home.path().join("secret.txt"), "the-planted-secret").unwrap();
        let scene = Scene { stage: Stage::new(APP), canaries, home };
        scene.stage.registry.publish(
            CrateBuilder::new("hostile", "1.0.0")
                .proc_macro()
                .build_script(&format!(
                    "{}\nfn main() {{ println!(\"cargo::rerun-if-env-changed=MY_API_TOKEN\"); \
                     println!(\"cargo::rerun-if-env-changed=MY_MIRROR\"); \
                     std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/report\", attacks()).unwrap() }}",
                    scene.attacks("script")
                ))
                .file(
                    "src/lib.rs",
                    format!(
                        "{}\n#[proc_macro]\npub fn report(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n    \
                         let script = include_str!(concat!(env!(\"OUT_DIR\"), \"/report\"));\n    \
                         format!(\"{{:?}}\", format!(\"{{script}}--\\n{{}}\", attacks())).parse().unwrap()\n}}\n",
                        scene.attacks("macro")
                    ),
                ),
        );
        scene
    }

    fn attacks(&self, who: &str) -> String {
        let home = self.home.path().display().to_string();
        ATTACKS
            .replace("{SECRET}", &format!("{home}/secret.txt"))
            .replace("{HOME}", &home)
            .replace("{TCP}", &self.canaries.tcp_port().to_string())
            .replace("{UDP}", &self.canaries.udp_port().to_string())
            .replace("{ABSTRACT}", self.canaries.abstract_name())
            .replace("{OUTSIDE}", &self.home.path().join("elsewhere").display().to_string())
            .replace("{WHO}", who)
    }

    fn run(&self, program: &str) -> Outcome {
        let command = self.stage.home.command(program).args(["run"]).current_dir(self.stage.project.root());
        let command = command.env("HOME", self.home.path());
        command.env("MY_API_TOKEN", "s3cr3t").env("MY_MIRROR", "s3cr3t").env("AWS_SECRET_ACCESS_KEY", "s3cr3t").run()
    }

    fn planted(&self) -> Vec<String> {
        std::thread::sleep(Duration::from_secs(2));
        let folders =
            [&self.home.path().join("elsewhere"), self.home.path()].map(|folder| std::fs::read_dir(folder).unwrap());
        let names = folders.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> =
            names.filter(|name| name.starts_with("script-") || name.starts_with("macro-")).collect();
        names.sort();
        names
    }
}

/// Every `[[grant]]` that was proposed, as it would be pasted into `bulkhead.toml`.
pub(crate) fn proposed(stderr: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in stderr.lines() {
        inside = line == "  [[grant]]" || inside && line.starts_with("  ") && !line.starts_with("   ");
        if inside {
            text.push_str(&line.replace("reason = \"\" # say why", "reason = \"a test\""));
            text.push('\n');
        }
    }
    text
}

/// Attacks 98, 99, 101, 103, 105 and 116.
#[test]
fn hostile_build_code_bites_under_cargo() {
    let scene = Scene::new();
    let outcome = scene.run("cargo");
    let report = &outcome.assert_success().stdout;
    for line in ["secret: the-planted-secret", "tcp: reached", "udp: sent", "abstract: reached", "write: written"] {
        assert_eq!(report.matches(line).count(), 2, "{line}: {outcome}");
    }
    assert_eq!(report.matches("token: nothing").count(), 0, "{outcome}");
    assert_eq!(scene.canaries.touched(), ["abstract", "tcp", "udp"]);
    let planted = scene.planted();
    assert_eq!(
        planted,
        ["macro-daemon", "macro-was-here", "macro-was-here", "script-daemon", "script-was-here", "script-was-here"]
    );
}

/// Attacks 98, 99, 101, 103, 105 and 116.
#[test]
fn hostile_build_code_gets_nothing_and_everything_is_reported() {
    let scene = Scene::new();
    let home = scene.home.path().display().to_string();
    let outcome = scene.run(crate::stage::BULKHEAD);
    let report = &outcome.assert_success().stdout;
    for name in ["secret", "token", "listing", "tcp", "udp", "abstract", "write", "home"] {
        assert_eq!(report.matches(&format!("{name}: nothing")).count(), 2, "{name}: {outcome}");
    }
    assert_eq!(scene.canaries.touched(), Vec::<String>::new());
    assert_eq!(scene.planted(), Vec::<String>::new());
    // Package, process, and what was asked for.
    let stderr = &outcome.stderr;
    for part in [
        "the build script of `hostile v1.0.0` was denied",
        "rustc, or a macro that ran in it, of `",
        &format!("read {home}/secret.txt"),
        &format!("127.0.0.1:{}", scene.canaries.tcp_port()),
        &format!("127.0.0.1:{}", scene.canaries.udp_port()),
        &format!("unix:@{}", scene.canaries.abstract_name()),
        &format!("write {home}/elsewhere/script-was-here"),
        &format!("write {home}/macro-was-here"),
        "MY_API_TOKEN",
        "[[grant]]",
        "package = \"hostile\"",
        "digest = \"sha256:",
        "bulkhead trust",
    ] {
        assert!(stderr.contains(part), "{part:?} is missing: {outcome}");
    }
    assert!(!outcome.output().contains("s3cr3t") && !outcome.output().contains("planted-secret"), "{outcome}");
}

#[test]
fn the_proposed_grants_work_once_they_are_trusted_and_only_for_this_code() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let denied = scene.run(crate::stage::BULKHEAD);
    let grants = proposed(&denied.assert_success().stderr);
    assert!(grants.contains("[[grant]]"), "{denied}");
    stage.project.write("bulkhead.toml", &grants);
    // Not trusted yet: the repository cannot grant anything to itself.
    stage.bulkhead(&["clean"]).assert_success();
    let untrusted = scene.run(crate::stage::BULKHEAD);
    assert!(untrusted.assert_success().stdout.contains("secret: nothing"), "{untrusted}\n{grants}");
    assert!(untrusted.stderr.contains("bulkhead.toml"), "{untrusted}");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let granted = scene.run(crate::stage::BULKHEAD);
    let report = &granted.assert_success().stdout;
    for line in ["secret: the-planted-secret", "tcp: reached", "udp: sent"] {
        assert!(report.contains(line), "{line} is missing: {granted}\n{grants}");
    }
    // What looks like a secret was not proposed.
    assert!(report.contains("token: MY_MIRROR"), "{granted}\n{grants}");
    assert!(!grants.contains("MY_API_TOKEN"), "{granted}\n{grants}");
    // Another archive under the same version requirement is other code.
    let grants = grants.replace("version = \"=1.0.0\"", "version = \"1\"");
    stage.project.write("bulkhead.toml", &grants);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let update = CrateBuilder::new("hostile", "1.0.1").proc_macro().build_script(&format!(
        "{}\nfn main() {{ std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/report\", attacks()).unwrap() }}",
        scene.attacks("script")
    ));
    let library = "#[proc_macro]\npub fn report(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n    \
        format!(\"{:?}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/report\"))).parse().unwrap()\n}\n";
    stage.registry.publish(update.file("src/lib.rs", library));
    stage.bulkhead(&["update"]).assert_success();
    let other = scene.run(crate::stage::BULKHEAD);
    assert!(!other.stdout.contains("planted-secret"), "{other}");
    assert!(other.output().contains("hostile") && other.output().contains("digest"), "{other}");
}

/// Attacks 98 and 101: code that fails without a secret, so that somebody pastes what would hand it out.
#[test]
fn secrets_are_named_and_never_proposed() {
    let stage = Stage::new(&APP.replace("fn main() { println!(\"{}\", hostile::report!()); }", "fn main() {}"));
    let home = folder_outside_tmp();
    let asked = [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".cargo/credentials.toml",
        ".gnupg/secring.gpg",
        ".mine",
        "data/model.bin",
    ];
    for name in asked {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "planted").unwrap();
    }
    std::os::unix::fs::symlink(home.path().join(".ssh"), home.path().join("data/innocent")).unwrap();
    let home_folder = home.path().display().to_string();
    let script = format!(
        "fn main() {{ let mut got = 0;\n\
         for name in {asked:?} {{ got += std::fs::read(format!(\"{home_folder}/{{name}}\")).is_ok() as u32; }}\n\
         got += std::fs::read(\"{home_folder}/data/innocent/id_ed25519\").is_ok() as u32;\n\
         got += std::fs::read_dir(\"{home_folder}\").is_ok() as u32;\n\
         let _ = std::fs::read(\"/etc/shadow\");\n\
         for name in [\"NPM_TOKEN\", \"DB_PASSWORD\", \"MY_MIRROR\"] {{\n\
         println!(\"cargo::rerun-if-env-changed={{name}}\"); got += std::env::var(name).is_ok() as u32; }}\n\
         println!(\"cargo::warning=got {{got}}\"); }}"
    );
    stage.project.write("build.rs", &script);
    stage.project.edit("Cargo.toml", "hostile = \"1\"", "");
    let run = |program: &str, arguments: &[&str]| {
        let command = stage.home.command(program).args(arguments.iter().copied()).current_dir(stage.project.root());
        let command = command.env("HOME", home.path()).env("NPM_TOKEN", "x").env("DB_PASSWORD", "x");
        command.env("MY_MIRROR", "x").run()
    };
    let theirs = run("cargo", &["build"]);
    assert!(theirs.assert_success().stderr.contains("got 11"), "it bites under cargo: {theirs}");
    std::fs::remove_dir_all(stage.project.path("target")).unwrap();
    let ours = run(crate::stage::BULKHEAD, &["build"]);
    let stderr = &ours.assert_success().stderr;
    assert!(stderr.contains("got 0"), "{ours}");
    let secrets = [
        &format!("read {home_folder}/.ssh/id_ed25519"),
        &format!("read {home_folder}/.aws/credentials"),
        &format!("read {home_folder}/.cargo/credentials.toml"),
        &format!("read {home_folder}/.gnupg/secring.gpg"),
        &format!("read {home_folder}/data/innocent/id_ed25519"),
        &format!("read {home_folder}/.mine"),
        &format!("read {home_folder}"),
        "read /etc/shadow",
        "NPM_TOKEN",
        "DB_PASSWORD",
    ];
    for secret in secrets {
        assert!(stderr.contains(&format!("{secret} (this looks like a secret; not proposed)")), "{secret}: {ours}");
    }
    let check = |proposal: &str| {
        for part in [".ssh", ".mine", "innocent", ".aws", "credentials", ".gnupg", "shadow", "NPM_TOKEN", "DB_PASSWORD"]
        {
            assert!(!proposal.contains(part), "{part}: {proposal}");
        }
        // The benign twins.
        assert!(!proposal.contains(&format!("\"{home_folder}\"")), "{proposal}");
        assert!(proposal.contains(&format!("{home_folder}/data/model.bin")), "{proposal}");
        assert!(proposal.contains("MY_MIRROR") && proposal.contains("digest = \"sha256:"), "{proposal}");
    };
    check(&proposed(stderr));
    let learnt = run(crate::stage::BULKHEAD, &["sandbox", "learn"]);
    check(&learnt.assert_success().stdout);
    let told = "`app v0.1.0`: read /etc/shadow was denied; this looks like a secret; not proposed";
    assert!(learnt.stderr.contains(told), "{learnt}");
    // Where nothing else was asked for, nothing is proposed at all.
    stage.project.write("build.rs", "fn main() { let _ = std::fs::read(\"/etc/shadow\"); }");
    let learnt = run(crate::stage::BULKHEAD, &["sandbox", "learn"]);
    assert_eq!(learnt.assert_success().stdout, "", "{learnt}");
    let ours = run(crate::stage::BULKHEAD, &["build"]);
    assert!(ours.stderr.contains("granted by hand") && !ours.stderr.contains("[[grant]]"), "{ours}");
}

/// A grant does not outlive a change of the code that it was given to, and there is none without a reason.
#[test]
fn grants_of_members_expire_with_their_build_code() {
    let app = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        //- /src/main.rs\nfn main() {}\n//- /helper.rs\npub fn path() -> &'static str { \"{SECRET}\" }\n\
        //- /build.rs\nmod helper;\nfn main() { println!(\"cargo::warning=got {:?}\", std::fs::read(helper::path()).ok()); }\n";
    let folder = folder_outside_tmp();
    let file = folder.path().join("model.bin");
    std::fs::write(&file, "x").unwrap();
    let stage = Stage::new(&app.replace("{SECRET}", &file.display().to_string()));
    let build = || stage.bulkhead(&["build"]);
    let learn = |more: &[&str]| stage.bulkhead(&[&["sandbox", "learn", "-o", "proposal.toml"], more].concat());
    assert!(build().assert_success().stderr.contains("got None"));
    // Without a reason it is none, and the message says where.
    learn(&[]).assert_success();
    let proposal = stage.project.read("proposal.toml");
    assert!(proposal.contains("digest = \"sha256:") && !proposal.contains("version"), "{proposal}");
    stage.project.write("bulkhead.toml", &proposal);
    let line = 1 + proposal.lines().position(|line| line.starts_with("reason")).unwrap();
    crate::stage::assert_error(&build(), 102, &[&format!("bulkhead.toml:{line}:"), "`reason` is empty"]);
    stage
        .project
        .write("bulkhead.toml", proposal.lines().filter(|it| !it.starts_with("reason")).collect::<Vec<_>>().join("\n"));
    crate::stage::assert_error(&build(), 102, &["bulkhead.toml:1:1", "a grant has a `reason`"]);
    std::fs::remove_file(stage.project.path("bulkhead.toml")).unwrap();
    assert_eq!(stage.bulkhead(&["sandbox", "learn", "--write"]).code(), Some(1), "a reason has to be given");
    stage.bulkhead(&["sandbox", "learn", "--write", "--reason", "our model"]).assert_success();
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    assert!(build().assert_success().stderr.contains("got Some"));
    // Ordinary work goes on; the code of the script does not change unseen.
    stage.project.write("src/main.rs", "fn main() { println!(\"more\"); }");
    build().assert_success();
    let helper = stage.project.read("helper.rs");
    stage.project.write("helper.rs", format!("{helper}// changed\n"));
    for expired in [build(), stage.bulkhead(&["build", "--verify-reproducible"])] {
        crate::stage::assert_error(&expired, 102, &["grant-digest", "`app` 0.1.0", "is not the one that was granted"]);
        assert!(!expired.stderr.contains("got Some"), "{expired}");
    }
    stage.project.write("helper.rs", helper);
    build().assert_success();
}

/// Attacks 107 and 108.
#[test]
fn directives_that_reach_into_the_linker_or_the_loader_need_a_grant() {
    for (directive, proof) in [
        ("cargo::rustc-link-arg=-Wl,--defsym=injected=0", "-Wl,--defsym=injected=0"),
        ("cargo::rustc-env=LD_PRELOAD=/nowhere.so", ""),
        ("cargo::rustc-flags=-L /planted", "/planted"),
        ("cargo::rustc-link-search=/planted", "/planted"),
    ] {
        let app = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
            [dependencies]\nhostile = \"1\"\n//- /src/main.rs\nfn main() { hostile::nothing() }\n";
        let stage = Stage::new(app);
        let package = CrateBuilder::new("hostile", "1.0.0")
            .build_script(&format!("fn main() {{ println!(\"{directive}\") }}"))
            .file("src/lib.rs", "pub fn nothing() {}");
        stage.registry.publish(package);
        let theirs = stage.cargo(&["build", "-v"]);
        assert!(theirs.assert_success().stderr.contains(proof), "it bites under cargo: {theirs}");
        std::fs::remove_dir_all(stage.project.path("target")).unwrap();
        let ours = stage.bulkhead(&["build", "-v"]);
        ours.assert_code(102);
        let key = directive.trim_start_matches("cargo::").split('=').next().unwrap();
        // `-L` in flags is a search path like any other.
        let key = if key == "rustc-flags" { "rustc-link-search" } else { key };
        for part in ["hostile v1.0.0", key] {
            assert!(ours.stderr.contains(part), "{part:?} is missing: {ours}");
        }
        let grants = proposed(&ours.stderr);
        if grants.is_empty() {
            continue;
        }
        stage.project.write("bulkhead.toml", &grants);
        stage.bulkhead(&["build"]).assert_code(102);
        stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
        let granted = stage.bulkhead(&["build", "-v"]);
        assert!(granted.assert_success().stderr.contains(proof), "{granted}\n{grants}");
    }
}

#[test]
fn a_failure_that_a_denial_explains_has_its_own_exit_code_and_a_plain_error_has_not() {
    let app = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
        [dependencies]\nneedy = \"1\"\n//- /src/main.rs\nfn main() { needy::nothing() }\n";
    let stage = Stage::new(app);
    let secret = stage.home.path().join("secret.txt");
    std::fs::write(&secret, "x").unwrap();
    let script = format!("fn main() {{ std::fs::read_to_string({:?}).unwrap(); }}", secret.display().to_string());
    let package = CrateBuilder::new("needy", "1.0.0").build_script(&script);
    stage.registry.publish(package.file("src/lib.rs", "pub fn nothing() {}"));
    let outcome = stage.bulkhead(&["build"]);
    outcome.assert_code(105);
    assert!(outcome.stderr.contains("custom build command for `needy v1.0.0`"), "{outcome}");
    assert!(outcome.stderr.contains("was denied") && outcome.stderr.contains("secret.txt"), "{outcome}");
    // The same denial, overcome by the script, and an error of the user's own.
    let script = format!("fn main() {{ let _ = std::fs::read_to_string({:?}); }}", secret.display().to_string());
    let package = CrateBuilder::new("needy", "1.0.1").build_script(&script);
    stage.registry.publish(package.file("src/lib.rs", "pub fn nothing() {}"));
    stage.project.edit("src/main.rs", "needy::nothing()", "needy::nothing(1)");
    stage.bulkhead(&["update"]).assert_success();
    let outcome = stage.bulkhead(&["build"]);
    outcome.assert_code(101);
    assert!(outcome.stderr.contains("was denied"), "it is reported all the same: {outcome}");
}

/// Attack 103.
#[test]
fn members_of_the_workspace_read_it_and_write_only_their_own_folder() {
    let stage = Stage::new(
        r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
//- /build.rs
fn main() {
    let text = std::fs::read_to_string("data/input.txt").expect("a file of the project");
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(out + "/value.rs", format!("{:?}", text.trim())).unwrap();
    println!("cargo::rerun-if-changed=data/input.txt");
    let temporary = std::env::temp_dir().join("scratch");
    std::fs::write(&temporary, "x").expect("a temporary folder of its own");
    assert!(std::fs::write("src/injected.rs", "x").is_err(), "sources are not to be written");
}
//- /data/input.txt
forty-two
//- /src/main.rs
fn main() { println!("{}", include!(concat!(env!("OUT_DIR"), "/value.rs"))); }
"#,
    );
    let before = Snapshot::of(stage.project.path("src"));
    let outcome = stage.bulkhead(&["run", "-q"]);
    assert_eq!(outcome.assert_success().stdout, "forty-two\n");
    assert_eq!(Snapshot::of(stage.project.path("src")).changes_since(&before), Vec::<String>::new());
    assert!(!std::env::temp_dir().join("scratch").exists());
    stage.project.write("data/input.txt", "forty-three\n");
    assert_eq!(stage.bulkhead(&["run", "-q"]).assert_success().stdout, "forty-three\n");
}

/// Attack 112: what uses too much is ended, and the message has process, package, limit, value and the line that raises it.
#[test]
fn a_limit_that_ends_a_process_is_told_with_the_line_that_raises_it() {
    let stage = Stage::new(crate::stage::APP);
    let hold = "let held = vec![1u8; 150 << 20]; std::thread::sleep(std::time::Duration::from_secs(1)); assert!(held[7] == 1);";
    for (key, value, script) in [
        ("time-seconds", 1, "std::thread::sleep(std::time::Duration::from_secs(20));"),
        ("cpu-seconds", 1, "let mut n = 0u64; loop { n = std::hint::black_box(n + 1); if n == u64::MAX { break } }"),
        ("total-memory-mib", 100, hold),
        ("memory-mib", 100, hold),
        ("output-mib", 1, "for _ in 0..100000 { println!(\"cargo::metadata=a={}\", \"x\".repeat(100)); }"),
        ("file-mib", 1, "std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/x\", vec![0; 2 << 20]).unwrap();"),
    ] {
        stage.project.write("build.rs", format!("fn main() {{ {script} }}"));
        stage.project.write("bulkhead.toml", format!("[limits.build-script]\n{key} = {value}\n"));
        let outcome = stage.bulkhead(&["build"]);
        let told = format!("the limit `limits.build-script.{key}` is {value}");
        let line = format!("a larger `{key}` below `[limits.build-script]`");
        let failed = "failed to run custom build command for `app v";
        crate::stage::assert_error(&outcome, 101, &[failed, &told, &line, "bulkhead config explain"]);
    }
    // The benign twin: the same code below its limits. A limit of scripts is none of compilers.
    stage.project.write("build.rs", format!("fn main() {{ {hold} }}"));
    stage
        .project
        .write("bulkhead.toml", "[limits.build-script]\ntotal-memory-mib = 300\nmemory-mib = 300\ntime-seconds = 50\n");
    stage.bulkhead(&["build"]).assert_success();
    stage.project.write("bulkhead.toml", "[limits.rustc]\ntime-seconds = 2\n");
    let endless =
        "const N: u64 = { let mut n = 0; while n < u64::MAX { n += 1; } n };\nfn main() { println!(\"{N}\") }\n";
    stage.project.write("src/main.rs", format!("#![allow(long_running_const_eval)]\n{endless}"));
    let outcome = stage.bulkhead(&["build"]);
    crate::stage::assert_error(&outcome, 101, &["could not compile `app`", "`limits.rustc.time-seconds` is 2"]);
}

/// Bulkhead's own limits are about itself: what it builds with, and what it runs, has those of the user.
#[test]
fn limits_of_bulkhead_itself_hold_for_nothing_else() {
    const SHOW: &str = "fn main() { let text = std::fs::read_to_string(\"/proc/self/limits\").unwrap(); \
        for line in text.lines().filter(|line| line.starts_with(\"Max data size\") || line.starts_with(\"Max cpu time\")) \
        { println!(\"cargo::warning={line}\") } }";
    let stage = Stage::new(crate::stage::APP);
    stage.project.write("build.rs", SHOW);
    stage.project.write("src/main.rs", SHOW);
    let outcome = stage.command(&["run"]).env("BULKHEAD_LIMIT_MEMORY_MIB", "1000").run();
    let lines: Vec<_> = outcome.assert_success().stderr.lines().chain(outcome.stdout.lines()).collect();
    let shown: Vec<_> = lines.iter().filter(|line| line.contains("Max ")).collect();
    assert_eq!(shown.len(), 4, "{outcome}");
    assert!(!outcome.output().contains("1048576000") && !outcome.output().contains(" 3600 "), "{outcome}");
    // They do hold for Bulkhead.
    let outcome = stage.command(&["metadata"]).env("BULKHEAD_LIMIT_MEMORY_MIB", "1").run();
    assert_ne!(outcome.code(), Some(0), "{outcome}");
    // And it says so when it ends by one.
    assert!(outcome.stderr.contains("Bulkhead itself may use 1 MiB; `BULKHEAD_LIMIT_MEMORY_MIB`"), "{outcome}");
    stage.project.write("build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(30)) }");
    let outcome = stage.command(&["build"]).env("BULKHEAD_LIMIT_TIME_SECONDS", "1").run();
    let told = "error: Bulkhead itself ran for 1 s, its limit, and ends\nhelp: `BULKHEAD_LIMIT_TIME_SECONDS`";
    assert!(outcome.assert_code(101).stderr.contains(told), "{outcome}");
    stage.project.write("build.rs", "fn main() {}");
    stage.project.write("src/main.rs", "fn main() { std::thread::sleep(std::time::Duration::from_millis(1500)) }");
    stage.bulkhead(&["build"]).assert_success();
    stage.command(&["run"]).env("BULKHEAD_LIMIT_TIME_SECONDS", "1").run().assert_success();
    for value in ["0", "-1", "much"] {
        let outcome = stage.command(&["metadata"]).env("BULKHEAD_LIMIT_MEMORY_MIB", value).run();
        assert!(outcome.assert_code(1).stderr.contains("BULKHEAD_LIMIT_MEMORY_MIB"), "{outcome}");
    }
}
