//! What was reached over https stays so, and what must not be asked is not asked.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_test_support::{GitRepository, GitServer, Home, Outcome, TempProject, project};

use crate::git_servers::TlsServer;
use crate::stage::{BULKHEAD, assert_error, each, skipped};

const MANIFEST: &str = "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
    [dependencies]\napple = { version = \"1\", registry = \"mine\" }\n//- /src/lib.rs\n";

/// An https registry on the loopback interface, that has one package which nobody has downloaded yet.
struct Shop {
    server: TlsServer,
    home: Home,
    project: TempProject,
}

impl Shop {
    fn start() -> Option<Shop> {
        let server = TlsServer::start("IP:127.0.0.1", "30")?;
        let shop = Shop { server, home: Home::new(), project: project(MANIFEST) };
        let index = shop.server.folder().join("index");
        std::fs::create_dir_all(index.join("ap/pl")).unwrap();
        let line = format!(
            "{{\"name\":\"apple\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{}\",\"features\":{{}},\"yanked\":false}}\n",
            "0".repeat(64)
        );
        std::fs::write(index.join("ap/pl/apple"), line).unwrap();
        shop.serve_from(&format!("https://127.0.0.1:{}/dl", shop.server.port));
        shop.point_at(&format!("https://127.0.0.1:{}/index/", shop.server.port));
        Some(shop)
    }

    fn serve_from(&self, download: &str) {
        std::fs::write(self.server.folder().join("index/config.json"), format!("{{\"dl\":\"{download}\"}}")).unwrap();
    }

    fn point_at(&self, index: &str) {
        let configuration = format!("[registries.mine]\nindex = \"sparse+{index}\"\n");
        std::fs::create_dir_all(self.home.cargo_home()).unwrap();
        std::fs::write(self.home.cargo_home().join("config.toml"), configuration).unwrap();
    }

    fn run_in(&self, project: &TempProject, arguments: &[&str]) -> Outcome {
        let command = self.home.command(BULKHEAD).args(arguments).current_dir(project.root());
        let command = command.env("CARGO_HTTP_CAINFO", self.server.certificate()).env("CARGO_NET_RETRY", "0");
        command.env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1").run()
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_in(&self.project, arguments)
    }
}

/// Counts who connects, and hangs up.
fn listener(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || listener.incoming().for_each(|_| _ = seen.fetch_add(1, Ordering::Relaxed)));
    (port, count)
}

/// Attack 154: a registry that was seen over https is not asked over http, whoever edits the configuration, in which project.
#[test]
fn a_registry_once_seen_over_https_is_never_asked_over_http() {
    let Some(shop) = Shop::start() else { return skipped("openssl is not installed (`.ci/run` installs it)") };
    shop.run(&["generate-lockfile"]).assert_success();
    let port = shop.server.port;
    let fresh = project(MANIFEST);
    for spelling in [format!("http://127.0.0.1:{port}/index/"), format!("http://127.0.0.1:{port}/elsewhere/")] {
        shop.point_at(&spelling);
        let refused = shop.run_in(&fresh, &["generate-lockfile"]);
        assert_error(&refused, 104, &["error[https-pinned]", &spelling, "over https before", "trust/https"]);
        assert!(!fresh.path("Cargo.lock").exists());
        // By flag and by variable as well.
        shop.point_at(&format!("https://127.0.0.1:{port}/index/"));
        let flag = format!("registries.mine.index=\"sparse+{spelling}\"");
        assert_error(&shop.run_in(&fresh, &["fetch", "--config", &flag]), 104, &["error[https-pinned]"]);
    }
    // In the project that has used it, the registry's name stands for the address that it had, on every port and host.
    let (other, asked) = listener("127.0.0.1:0");
    for index in [format!("http://127.0.0.1:{other}/index/"), format!("http://[::1]:{other}/index/")] {
        shop.point_at(&index);
        assert_error(&shop.run(&["update"]), 104, &["error[registry-identity]", "+ index = \"sparse+http://"]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // The twin, which proves that it would have been asked: another server was never seen over https.
    shop.point_at(&format!("http://127.0.0.1:{other}/index/"));
    shop.run_in(&fresh, &["generate-lockfile"]).assert_code(101);
    assert!(asked.load(Ordering::Relaxed) > 0);
    shop.point_at(&format!("https://127.0.0.1:{port}/index/"));
    shop.run_in(&fresh, &["generate-lockfile"]).assert_success();
}

/// A project that needs `apple` of the repository at `url`.
fn with_repository(url: &str) -> TempProject {
    project(&MANIFEST.replace("version = \"1\", registry = \"mine\"", &format!("git = \"{url}\"")))
}

const APPLE: &str =
    "//- /Cargo.toml\n[package]\nname = \"apple\"\nversion = \"1.0.0\"\nedition = \"2021\"\n//- /src/lib.rs\n";

/// Attack 154: servers of git repositories and of registries are remembered together, and git is held to that as well.
#[test]
fn a_git_server_once_seen_over_https_is_never_asked_over_http() {
    let Some(shop) = Shop::start() else { return skipped("openssl is not installed (`.ci/run` installs it)") };
    let (repository, port) = (GitRepository::new("apple", APPLE), shop.server.port);
    // Git's oldest protocol needs nothing but files, one of them by this name.
    repository.git(&["update-server-info"]);
    let served = shop.server.folder().join("apple");
    let copied = std::process::Command::new("cp").arg("-a").args([&repository.root().join(".git"), &served]).status();
    assert!(copied.unwrap().success());
    std::fs::copy(served.join("info/refs"), served.join("info/refs?service=git-upload-pack")).unwrap();

    let plain = with_repository(&format!("http://127.0.0.1:{port}/apple"));
    // The twin: a server that nobody has seen over https is asked, and this one hangs up.
    let asked = shop.run_in(&plain, &["fetch"]);
    assert!(asked.code() == Some(101) && !asked.stderr.contains("https-pinned"), "{asked}");
    shop.run_in(&with_repository(&format!("https://127.0.0.1:{port}/apple")), &["fetch"]).assert_success();
    for arguments in [&["fetch"][..], &["fetch", "--offline"]] {
        let refused = shop.run_in(&plain, arguments);
        assert_error(&refused, 104, &["error[https-pinned]", "over https before", "trust/https", "help: "]);
    }
    shop.point_at(&format!("http://127.0.0.1:{port}/index/"));
    assert_error(&shop.run(&["fetch"]), 104, &["error[https-pinned]"]);
}

/// Answers whoever asks that everything has moved to `target`.
fn redirector(target: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {target}{path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// Attacks 53 and 154: over plain http, git goes where it was sent and nowhere else.
#[test]
fn git_follows_no_redirect_over_plain_http() {
    let repository = GitRepository::new("apple", APPLE);
    let Some(server) = GitServer::start(repository.outside(), None) else { return skipped("git has no http server") };
    let target = server.url("");
    let port = redirector(target.trim_end_matches('/').to_owned());
    let url = format!("http://127.0.0.1:{port}/apple/.git");
    let (home, project) = (Home::new(), with_repository(&url));
    let mut git = home.command("git").args(["ls-remote", &url]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        git = git.env_remove(name);
    }
    git.run().assert_success();
    let asked = server.logins().len();
    assert!(asked > 0, "git follows");
    let command = home.command(BULKHEAD).args(["fetch"]).current_dir(project.root()).env("CARGO_NET_RETRY", "0");
    let refused = command.env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1").run();
    assert_error(&refused, 101, &["failed to read the git repository", &url]);
    assert_eq!(server.logins().len(), asked, "{refused}");
    // The twin: without a detour.
    let project = with_repository(&server.url("apple/.git"));
    let command = home.command(BULKHEAD).args(["fetch"]).current_dir(project.root());
    command.env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1").run().assert_success();
}

/// Attack 154: a registry that is reached over https names no archives and no interface of plain http.
#[test]
fn an_https_registry_sends_nobody_to_http() {
    let Some(shop) = Shop::start() else { return skipped("openssl is not installed (`.ci/run` installs it)") };
    let (other, asked) = listener("127.0.0.1:0");
    let http = format!("http://127.0.0.1:{other}");
    shop.serve_from(&format!("{http}/dl"));
    assert_error(&shop.run(&["fetch"]), 104, &["error[registry-address]", "sends nobody to http", &http]);
    // A password in such an address is refused, and not shown.
    shop.serve_from(&format!("https://me:hunter2@127.0.0.1:{other}/dl"));
    let refused = shop.run(&["fetch"]);
    assert_error(&refused, 104, &["error[registry-address]"]);
    assert!(!refused.output().contains("hunter2"), "{refused}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    // The twin: over https it is asked, and does not have it.
    shop.serve_from(&format!("https://127.0.0.1:{}/dl", shop.server.port));
    let asked = shop.run(&["fetch"]);
    assert!(!asked.stderr.contains("error[registry-address]"), "{asked}");
}

/// Nobody was asked, so nobody answered: the error says what was refused and how to go on.
#[test]
fn an_address_that_is_not_asked_is_named_as_such() {
    let home = Home::new();
    let app = project(MANIFEST);
    let addresses =
        ["sparse+http://example.org/", "sparse+http://localhost:8000/index/", "sparse+http://127.0.0.1:1/index/"];
    each(addresses, |address| {
        let flag = format!("registries.mine.index=\"{address}\"");
        let command = home.command(BULKHEAD).args(["fetch", "--config", &flag]).current_dir(app.root());
        let refused = command.env_remove("BULKHEAD_ALLOW_HTTP_LOOPBACK").run();
        let shown = address.trim_start_matches("sparse+");
        assert_error(
            &refused,
            104,
            &["error[registry-address]: refused to ask `", shown, "only https is asked", "help: "],
        );
        assert!(!refused.stderr.contains("answered"), "{refused}");
    });
}
