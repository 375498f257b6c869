//! `sandbox show`, `shell` and `learn`, and programs under `--confined`.

use crate::stage::{Stage, assert_error, folder_outside_tmp};
use bulkhead_test_support::{Canaries, CrateBuilder};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
needy = "1"
//- /src/main.rs
fn main() {
    let mut words = std::env::args().skip(1);
    let secret = std::fs::read_to_string(words.next().unwrap()).unwrap_or("hidden".into());
    let port: u16 = words.next().unwrap().parse().unwrap();
    let limit = std::time::Duration::from_millis(300);
    let network = std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), limit).is_ok();
    let planted = std::fs::write(words.next().unwrap(), "x").is_ok();
    println!("{secret} {network} {planted} {}", needy::SEEN);
}
//- /tests/it.rs
#[test]
fn a_server_of_its_own() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    std::fs::write(env!("CARGO_TARGET_TMPDIR").to_owned() + "/mine", "x").unwrap();
    let secret = std::env::var("SECRET_FILE").ok().and_then(|path| std::fs::read_to_string(path).ok());
    println!("it saw {secret:?}");
}
"#;

/// A secret outside `/tmp`, of which confined processes have their own.
struct Scene {
    stage: Stage,
    secret: PathBuf,
    folder: TempDir,
}

impl Scene {
    /// `needy` looks for the secret and for a variable, and goes on without them.
    fn new() -> Scene {
        let stage = Stage::new(APP);
        let folder = folder_outside_tmp();
        let secret = folder.path().join("secret.txt");
        std::fs::write(&secret, "planted").unwrap();
        let script = format!(
            "fn main() {{ println!(\"cargo::rerun-if-env-changed=NEEDY_HOST\");\n\
             let seen = std::fs::read_to_string({:?}).unwrap_or(\"nothing\".into());\n\
             println!(\"cargo::rustc-env=SEEN={{seen}}\"); }}",
            secret.display().to_string()
        );
        let package = CrateBuilder::new("needy", "1.0.0").build_script(&script);
        stage.registry.publish(package.file("src/lib.rs", "pub const SEEN: &str = env!(\"SEEN\");"));
        Scene { stage, secret, folder }
    }

    fn user_policy(&self, text: &str) {
        let folder = self.stage.home.path().join(".config/bulkhead");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("policy.toml"), text).unwrap();
    }
}

#[test]
fn profiles_are_shown_with_the_reason_of_each_line() {
    let scene = Scene::new();
    let shown = scene.stage.bulkhead(&["sandbox", "show", "needy"]);
    for part in [
        "build script of `needy v1.0.0` (build script execution)",
        "rustc, macros in it, and the linker of `needy v1.0.0` (lib)",
        "/out  [its own]",
        "network    none  [every process]",
        "variable   OUT_DIR=",
        "limits     file-mib=32768",
        "enforced   namespaces, landlock, seccomp",
    ] {
        assert!(shown.assert_success().stdout.contains(part), "{part}\n{shown}");
    }
    let line = scene.stage.registry.index_lines("needy");
    let entry: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    let digest = entry["cksum"].as_str().unwrap();
    let grant = format!(
        "[[grant]]\npackage = 'needy'\nversion = '=1.0.0'\ndigest = 'sha256:{digest}'\nread = ['/opt/needy']\n\
         env = ['NEEDY_HOST']\nnetwork = ['example.com:443']\nreason = 'a mirror'\n"
    );
    scene.user_policy(&grant);
    let command = scene.stage.command(&["sandbox", "show", "needy", "--process", "build-script", "--json"]);
    let shown = command.env("NEEDY_HOST", "s3cr3t").run();
    let json: serde_json::Value = serde_json::from_str(&shown.assert_success().stdout).unwrap();
    let [profile] = json["profiles"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!(profile["process"], "build-script");
    assert_eq!(profile["network"]["reach"][0], "example.com:443");
    assert_eq!(profile["network"]["because"], "grant in the user's policy: a mirror");
    assert_eq!(profile["environment"]["NEEDY_HOST"]["value"], "(not shown)");
    assert!(profile["environment"]["https_proxy"]["value"].as_str().unwrap().starts_with("http://127.0.0.1"));
    assert!(!shown.output().contains("s3cr3t"));
    // Programs are shown for members, and nothing is for packages that there are not.
    let shown = scene.stage.bulkhead(&["sandbox", "show"]);
    assert!(shown.assert_success().stdout.contains("`run --confined` of `app v0.1.0"), "{shown}");
    assert!(shown.stdout.contains("`test --confined` of `app v0.1.0"), "{shown}");
    scene.stage.bulkhead(&["sandbox", "show", "app", "--process", "rustdoc"]).assert_success();
    let linker = scene.stage.bulkhead(&["sandbox", "show", "app", "--process", "linker"]);
    assert!(linker.assert_success().stdout.contains("linker of `app v0.1.0"), "{linker}");
    assert!(!linker.stdout.contains("rustc, macros"), "{linker}");
    assert_error(&scene.stage.bulkhead(&["sandbox", "show", "absent"]), 101, &["did not match any packages"]);
    assert_error(&scene.stage.bulkhead(&["sandbox", "show", "app", "--process", "build-script"]), 101, &["no process"]);
}

#[test]
fn git_and_credential_helpers_are_shown_too() {
    let scene = Scene::new();
    let show = |kind: &str| scene.stage.bulkhead(&["sandbox", "show", "--process", kind]);
    let git = show("git");
    if Path::new("/usr/bin/git").exists() {
        for part in [
            "git that fetches over https",
            "git that fetches over ssh",
            "git that reads what was fetched\n",
            "variable   GIT_ALLOW_PROTOCOL=ssh  [its own]",
            "/.ssh  [the user's own]",
            "network    none",
            "network    all  [its own]",
            "processes=64",
        ] {
            assert!(git.assert_success().stdout.contains(part), "{part}\n{git}");
        }
    }
    scene.stage.home.configure("[registry]\nglobal-credential-providers = [\"cargo:token\", \"/usr/bin/env --me\"]\n");
    let project = scene.stage.project.root().display().to_string();
    let helper = show("credential-helper");
    for part in [
        "credential helper `/usr/bin/env --me`",
        &format!("hidden     {project}  [none of its business]"),
        &format!("hidden     {}  [none", scene.stage.home.bulkhead_home().display()),
        &format!("write      {}  [the user's own]", scene.stage.home.path().display()),
        "/dev/tty",
        "network    all",
        "time-seconds=300",
        "kept by    ",
        "enforced   namespaces, landlock, seccomp",
    ] {
        assert!(helper.assert_success().stdout.contains(part), "{part}\n{helper}");
    }
    let free = scene.stage.command(&["sandbox", "show", "--process", "credential-helper"]);
    let free = free.env("BULKHEAD_CREDENTIAL_CONFINED", "false").run();
    assert!(free.assert_success().stdout.contains("enforced   nothing"), "{free}");
}

#[test]
fn a_shell_has_what_the_build_script_has() {
    let scene = Scene::new();
    let secret = scene.secret.display().to_string();
    let shell = |command: &[&str]| {
        let arguments = ["sandbox", "shell", "needy", "--"].iter().chain(command).copied().collect::<Vec<_>>();
        scene.stage.bulkhead(&arguments)
    };
    let denied = shell(&["cat", &secret]);
    assert!(denied.code() != Some(0) && !denied.output().contains("planted"), "{denied}");
    assert!(denied.stderr.contains(&format!("read {secret}")) && denied.stderr.contains("[[grant]]"), "{denied}");
    let allowed = shell(&["cat", "Cargo.toml"]);
    assert!(allowed.assert_success().stdout.contains("needy") && !allowed.stderr.contains("denied"), "{allowed}");
    assert_eq!(shell(&["sh", "-c", "exit 7"]).code(), Some(7));
    assert_error(&shell(&["../cat"]), 1, &["absolute path"]);
}

#[test]
fn denials_that_a_script_swallows_are_learnt_and_the_proposal_works() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let learn = |more: &[&str]| {
        let arguments = ["sandbox", "learn"].iter().chain(more).copied().collect::<Vec<_>>();
        stage.command(&arguments).env("NEEDY_HOST", "here").run()
    };
    let learnt = learn(&[]);
    let proposal = &learnt.assert_success().stdout;
    for part in [
        "package = \"needy\"",
        "version = \"=1.0.0\"",
        "digest = \"sha256:",
        "secret.txt",
        "NEEDY_HOST",
        "reason = \"\"",
    ] {
        assert!(proposal.contains(part), "{part}\n{learnt}");
    }
    assert!(!learnt.output().contains("planted"), "{learnt}");
    assert!(!stage.project.path("bulkhead.toml").exists());
    let left = std::fs::read_dir(stage.project.path("target")).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("learn-")));
    // Into a file, and into the policy, which then is a stranger's until it is trusted.
    learn(&["-o", "proposal.toml"]).assert_success();
    assert_eq!(stage.project.read("proposal.toml").trim_end(), proposal.trim_end());
    stage.project.write("bulkhead.toml", "# ours\n[limits]\nprocesses = 1000\n");
    learn(&["--write", "--reason", "it is a test"]).assert_success();
    let policy = stage.project.read("bulkhead.toml");
    assert!(policy.starts_with("# ours\n") && policy.contains("reason = \"it is a test\""), "{policy}");
    let secret = scene.secret.display().to_string();
    let run = || stage.command(&["run", "-q", "--", &secret, "1", "/nowhere/x"]).env("NEEDY_HOST", "here").run();
    assert!(run().assert_success().stdout.ends_with("nothing\n"));
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let granted = run();
    assert!(granted.assert_success().stdout.ends_with("planted\n"), "{granted}");
    let again = learn(&[]);
    assert!(again.assert_success().stdout.is_empty() && again.stderr.contains("nothing was denied"), "{again}");
}

#[test]
fn programs_run_confined_where_it_is_asked_for_or_demanded() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let canaries = Canaries::start();
    let (secret, port) = (scene.secret.display().to_string(), canaries.tcp_port().to_string());
    let planted = scene.folder.path().join("planted").display().to_string();
    let run = |flags: &[&str]| {
        let words = ["--", &secret, &port, &planted];
        let arguments = ["run"].iter().chain(flags).chain(&words).copied();
        stage.bulkhead(&arguments.collect::<Vec<_>>())
    };
    let free = run(&[]);
    assert!(free.assert_success().stdout.starts_with("planted true true"), "it bites without: {free}");
    std::fs::remove_file(&planted).unwrap();
    let confined = run(&["--confined"]);
    assert!(confined.assert_success().stdout.starts_with("hidden false false"), "{confined}");
    assert_eq!(canaries.touched(), ["tcp"], "by the one that was free");
    for part in ["was denied under `--confined`", &secret, &planted, "[run]", "read = ["] {
        assert!(confined.stderr.contains(part), "{part}\n{confined}");
    }
    stage.project.write("bulkhead.toml", format!("[run]\nread = [{secret:?}]\n"));
    assert!(run(&["--confined"]).stdout.starts_with("hidden"), "it came with the project");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let granted = run(&["--confined"]);
    assert!(granted.assert_success().stdout.starts_with("planted false false"), "{granted}");
    scene.user_policy("[run]\nconfined = true\n");
    let demanded = run(&[]);
    assert!(demanded.assert_success().stdout.starts_with("planted false false"), "{demanded}");
    assert!(!Path::new(&planted).exists());
    let failing = stage.bulkhead(&["run", "--confined"]);
    assert_eq!(failing.code(), Some(101), "the program's own code: {failing}");
}

#[test]
fn tests_run_confined_and_start_servers() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let test = |flags: &[&str]| {
        let arguments = ["test", "--test", "it"].iter().chain(flags).chain(&["--", "--nocapture"]).copied();
        stage.command(&arguments.collect::<Vec<_>>()).env("SECRET_FILE", &scene.secret).run()
    };
    let free = test(&[]);
    assert!(free.assert_success().stdout.contains("it saw Some(\"planted\")"), "it bites without: {free}");
    let confined = test(&["--confined"]);
    assert!(confined.assert_success().stdout.contains("it saw None"), "{confined}");
    stage.project.write("bulkhead.toml", format!("[test]\nenv = ['SECRET_FILE']\nread = [{:?}]\n", scene.secret));
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let granted = test(&["--confined"]);
    assert!(granted.assert_success().stdout.contains("it saw Some(\"planted\")"), "{granted}");
}

/// A file behind HTTP on this machine, which is what a registry has for a test: `dl` of a package.
#[test]
fn files_that_policy_pins_are_fetched_and_shown_to_the_script() {
    let stage = Stage::new(APP);
    let script = "fn main() { let file = std::env::var(\"NEEDY_FILE\").unwrap();\n\
        assert!(std::fs::write(&file, \"x\").is_err());\n\
        println!(\"cargo::rustc-env=SEEN={}\", std::fs::read(file).unwrap().len()); }";
    let package = CrateBuilder::new("needy", "1.0.0").build_script(script);
    stage.registry.publish(package.file("src/lib.rs", "pub const SEEN: &str = env!(\"SEEN\");"));
    let line = stage.registry.index_lines("plain");
    let entry: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let (digest, version) = (entry["cksum"].as_str().unwrap(), entry["vers"].as_str().unwrap());
    let url = format!("http://{}/dl/plain/{version}/download", stage.registry.address());
    let policy = |digest: &str| {
        format!(
            "[[prefetch]]\npackage = 'needy'\nurl = '{url}'\nsha256 = '{digest}'\nfile = 'data.bin'\nenv = 'NEEDY_FILE'\n"
        )
    };
    stage.project.write("bulkhead.toml", policy(digest));
    let build = || stage.bulkhead(&["build"]);
    assert_ne!(build().code(), Some(0), "the file came with the project");
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    let built = build();
    assert!(built.assert_success().stderr.contains("Fetching `data.bin` for `needy v1.0.0`"), "{built}");
    // It is kept, and looked at again; a damaged one is fetched anew.
    assert!(!build().assert_success().stderr.contains("Fetching"));
    let kept = stage.home.bulkhead_home().join("prefetch").join(digest).join("data.bin");
    std::fs::write(&kept, "damaged").unwrap();
    stage.bulkhead(&["clean"]).assert_success();
    assert!(build().assert_success().stderr.contains("Fetching"));
    // Another file than the promised one is not shown to anybody.
    stage.project.write("bulkhead.toml", policy(&"0a".repeat(32)));
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    assert_error(&build(), 104, &["prefetch-mismatch", "data.bin"]);
}

/// A server of this machine; the heads of the requests that reached it.
fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heads) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&heads);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            noted.lock().unwrap().push(String::from_utf8_lossy(&head[..count]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfile");
        }
    });
    (port, heads)
}

/// Attack 99: a build script with a list of hosts reaches these and nothing else, whatever it says to the proxy.
#[test]
fn a_script_with_a_list_of_hosts_reaches_only_these_through_the_proxy() {
    let stage = Stage::new(APP);
    let ((granted, heads), (other, strangers)) = (server(), server());
    let script = r#"
use std::io::{Read, Write};
fn ask(text: String) -> String {
    let proxy = std::env::var("http_proxy").unwrap_or("http://127.0.0.1:3128".into());
    let mut answer = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(proxy.trim_start_matches("http://")) {
        let _ = stream.write_all(text.replace('|', "\r\n").as_bytes());
        let _ = stream.read_to_string(&mut answer);
    }
    format!("{} {}", answer.lines().next().unwrap_or("nothing"), answer.lines().last().unwrap_or_default())
}
fn main() {
    let (granted, other) = ({GRANTED}, {OTHER});
    let mut number = 0;
    for request in [
        format!("GET http://127.0.0.1:{granted}/file HTTP/1.1|Host: evil.example||"),
        format!("CONNECT 127.0.0.1:{granted} HTTP/1.1||GET /tunnel HTTP/1.1|Host: x||"),
        format!("CONNECT 127.0.0.1:{other} HTTP/1.1||"),
        format!("GET http://127.0.0.1:{other}/ HTTP/1.1|Host: 127.0.0.1:{granted}||"),
        format!("GET http://[::ffff:127.0.0.1]:{granted}/ HTTP/1.1||"),
        format!("CONNECT localhost:{granted} HTTP/1.1||"),
        format!("CONNECT localhost.:{granted} HTTP/1.1||"),
        format!("CONNECT 2130706433:{granted} HTTP/1.1||"),
        format!("CONNECT 0.0.0.0:{granted} HTTP/1.1||"),
        format!("CONNECT 127.0.0.1.:{granted} HTTP/1.1||"),
        "CONNECT 192.0.2.1:443 HTTP/1.1||".to_string(),
        "CONNECT not-granted.example:443 HTTP/1.1||".to_string(),
        format!("CONNECT 127.0.0.1:{granted}@127.0.0.1:{other} HTTP/1.1||"),
        format!("GET http://127.0.0.1:{granted}/ HTTP/1.1|Host : evil.example||"),
        format!("GET / HTTP/1.1|Host: 127.0.0.1:{granted}||"),
    ] {
        println!("cargo::warning={number}: {}", ask(request));
        number += 1;
    }
    let past = std::net::TcpStream::connect(("127.0.0.1", granted)).is_ok();
    println!("cargo::warning=past the proxy: {past}");
    println!("cargo::rustc-env=SEEN=x");
}
"#;
    let script = script.replace("{GRANTED}", &format!("{granted}_u16")).replace("{OTHER}", &format!("{other}_u16"));
    let package = CrateBuilder::new("needy", "1.0.0").build_script(&script);
    stage.registry.publish(package.file("src/lib.rs", "pub const SEEN: &str = env!(\"SEEN\");"));
    let build = || stage.bulkhead(&["build", "-vv"]);
    // Without a grant there is no proxy.
    let closed = build();
    assert!(closed.assert_success().stderr.contains("needy@1.0.0: 0: nothing"), "{closed}");
    let line = stage.registry.index_lines("needy");
    let entry: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    let digest = entry["cksum"].as_str().unwrap();
    let grant = format!(
        "[[grant]]\npackage = 'needy'\nversion = '1'\ndigest = 'sha256:{digest}'\n\
         network = ['127.0.0.1:{granted}']\nreason = 'a mirror'\n"
    );
    stage.project.write("bulkhead.toml", grant);
    stage.bulkhead(&["trust", "--yes", "bulkhead.toml"]).assert_success();
    stage.bulkhead(&["clean"]).assert_success();
    let built = build();
    let stderr = &built.assert_success().stderr;
    let answer = |number: usize, text: &str| {
        assert!(stderr.contains(&format!("needy@1.0.0: {number}: HTTP/1.1 {text}")), "{number}: {text}\n{built}");
    };
    answer(0, "200 OK file");
    answer(1, "200 Connection established file");
    (2..12).for_each(|number| answer(number, "403 Forbidden"));
    (12..15).for_each(|number| answer(number, "400 Bad Request"));
    assert!(stderr.contains("past the proxy: false"), "{built}");
    // The server is told whom the proxy has judged, not what the script claims.
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(heads[0].contains(&format!("Host: 127.0.0.1:{granted}\r\n")) && !heads[0].contains("evil"), "{heads:?}");
    assert!(heads[1].starts_with("GET /tunnel") && strangers.lock().unwrap().is_empty(), "{heads:?}");
    for denied in [
        &format!("connect 127.0.0.1:{other}"),
        &format!("connect [::ffff:127.0.0.1]:{granted}"),
        &format!("connect localhost:{granted}"),
        "connect 192.0.2.1:443",
        "connect not-granted.example:443",
    ] {
        assert!(stderr.contains(denied), "{denied}\n{built}");
    }
}

#[test]
fn what_a_script_leaves_is_limited() {
    let stage = Stage::new(APP);
    let script = "fn main() { let out = std::env::var(\"OUT_DIR\").unwrap(); println!(\"cargo::rustc-env=SEEN=x\");\n\
        for number in 0..20 { std::fs::write(format!(\"{out}/{number}\"), vec![0; 1 << 18]).unwrap(); } }";
    let package = CrateBuilder::new("needy", "1.0.0").build_script(script);
    stage.registry.publish(package.file("src/lib.rs", "pub const SEEN: &str = env!(\"SEEN\");"));
    stage.cargo(&["build"]).assert_success();
    stage.cargo(&["clean"]).assert_success();
    for (limit, excess) in [("files = 10", "left 20 files and folders"), ("disk-mib = 3", "left more than 3 MiB")] {
        stage.project.write("bulkhead.toml", format!("[limits.build-script]\n{limit}\n"));
        assert_error(&stage.bulkhead(&["build"]), 101, &["needy v1.0.0", excess, "limits.build-script"]);
    }
    stage.project.write("bulkhead.toml", "[limits.build-script]\nfiles = 20\ndisk-mib = 5\n");
    stage.bulkhead(&["build"]).assert_success();
}
