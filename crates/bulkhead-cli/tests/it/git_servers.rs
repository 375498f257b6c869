//! Whom git believes: keys of ssh servers, certificates of https servers.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulkhead_test_support::{GitRepository, Home, Outcome, SshServer, project};

use crate::stage::{assert_error, skipped};

const APPLE: &str =
    "//- /Cargo.toml\n[package]\nname = \"apple\"\nversion = \"1.0.0\"\nedition = \"2021\"\n//- /src/lib.rs\n";

/// Locks a project that needs `apple` from `url`, for a user with this configuration and environment.
fn lock(url: &str, configuration: &str, environment: &[(&str, &Path)]) -> Outcome {
    let manifest = format!(
        "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         apple = {{ git = \"{url}\" }}\n//- /src/lib.rs\n"
    );
    let (home, project) = (Home::new(), project(&manifest));
    home.configure(configuration);
    let mut command = home.command(env!("CARGO_BIN_EXE_bulkhead")).env("CARGO_NET_RETRY", "0");
    for (name, value) in environment {
        command = command.env(name, value);
    }
    command.args(["generate-lockfile"]).current_dir(project.root()).run()
}

/// Attack 94, against a real `sshd`.
#[test]
fn attack_94_only_known_ssh_servers_are_asked() {
    let Some(server) = SshServer::start() else {
        return skipped("OpenSSH's server is not installed (`.ci/run` installs it)");
    };
    let repository = GitRepository::new("apple", APPLE);
    let url = server.url(&repository.root().join(".git"));
    let agent = server.agent();
    let known = |line: &str| format!("[net.ssh]\nknown-hosts = [\"{line}\"]\n");
    let ask = |configuration: &str| lock(&url, configuration, &[("SSH_AUTH_SOCK", &agent)]);
    for configuration in [String::new(), known(&server.other_known_host())] {
        let outcome = ask(&configuration);
        assert_error(&outcome, 104, &["error[git-host-key]", "127.0.0.1", "known_hosts"]);
        assert_eq!(server.logins(), 0, "no key was shown to a server that nobody knows");
    }
    ask(&known(&server.known_host())).assert_success();
    assert_eq!(server.logins(), 1);
    // A user whom the server does not let in is told so, and nobody is asked for a password.
    let stranger = lock(&url, &known(&server.known_host()), &[]);
    assert_error(&stranger, 101, &["127.0.0.1", "Permission denied"]);
}

/// `openssl s_server` with a certificate for `subject`; it knows nothing of git.
pub(crate) struct TlsServer {
    folder: Home,
    pub(crate) port: u16,
    program: Child,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl TlsServer {
    /// Lasts `days`; `None` without openssl. Files of its [folder](Self::folder) are served.
    pub(crate) fn start(subject: &str, days: &str) -> Option<TlsServer> {
        if !Path::new("/usr/bin/openssl").exists() {
            return None;
        }
        let folder = Home::new();
        std::fs::write(
            folder.path().join("extensions"),
            format!("subjectAltName={subject}\nbasicConstraints=CA:FALSE\n"),
        )
        .unwrap();
        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("/usr/bin/openssl");
            command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "key",
            "-out",
            "request",
        ];
        let request: Vec<&str> = ["req", "-new", "-subj", "/CN=test"].into_iter().chain(key).collect();
        assert!(openssl(&request).status().unwrap().success());
        let signed =
            ["x509", "-req", "-in", "request", "-signkey", "key", "-out", "certificate", "-extfile", "extensions"];
        let signed: Vec<&str> = signed.into_iter().chain(["-days", days]).collect();
        assert!(openssl(&signed).status().unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let accept = format!("127.0.0.1:{port}");
        let program =
            openssl(&["s_server", "-accept", &accept, "-cert", "certificate", "-key", "key", "-WWW"]).spawn().unwrap();
        let server = TlsServer { folder, port, program };
        for _ in 0..1000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("openssl does not listen");
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/apple", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("certificate")
    }
}

/// Attack 94: whoever cannot show a certificate for the name is not believed, and the user is told what to do.
#[test]
fn attack_94_a_server_with_a_wrong_certificate_is_refused() {
    for (subject, days, trusted, is_right) in [
        ("IP:127.0.0.1", "30", true, true),
        ("IP:127.0.0.1", "30", false, false),
        ("DNS:other.example", "30", true, false),
        ("IP:127.0.0.1", "-1", true, false),
    ] {
        let Some(server) = TlsServer::start(subject, days) else {
            return skipped("openssl is not installed (`.ci/run` installs it)");
        };
        let certificate = server.certificate();
        let environment: &[(&str, &Path)] = if trusted { &[("CARGO_HTTP_CAINFO", &certificate)] } else { &[] };
        let outcome = lock(&server.url(), "", environment);
        match is_right {
            // It is asked, and has no repository.
            true => {
                outcome.assert_code(101);
                assert!(!outcome.stderr.contains("git-certificate"), "{outcome}");
            }
            false => assert_error(&outcome, 104, &["error[git-certificate]", &server.url(), "`http.cainfo`"]),
        }
    }
}

/// The same for registries, with the reason, and without asking again and again.
#[test]
fn a_registry_with_a_wrong_certificate_is_refused_and_the_reason_explained() {
    for (subject, days, trusted, reason) in [
        ("IP:127.0.0.1", "30", true, None),
        ("IP:127.0.0.1", "30", false, Some("signed by nobody")),
        ("DNS:other.example", "30", true, Some("for another name")),
        ("IP:127.0.0.1", "-1", true, Some("expired")),
    ] {
        let Some(server) = TlsServer::start(subject, days) else {
            return skipped("openssl is not installed (`.ci/run` installs it)");
        };
        let index = format!("sparse+https://127.0.0.1:{}/", server.port);
        let project = project(&format!(
            "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
             apple = {{ version = \"1\", registry-index = \"{index}\" }}\n//- /src/lib.rs\n"
        ));
        let home = Home::new();
        let mut command = home.command(crate::stage::BULKHEAD).args(["generate-lockfile"]).current_dir(project.root());
        if trusted {
            command = command.env("CARGO_HTTP_CAINFO", server.certificate());
        }
        let outcome = command.run();
        match reason {
            None => assert!(!outcome.stderr.contains("certificate"), "{outcome}"),
            Some(reason) => {
                assert_error(&outcome, 104, &["error[registry-certificate]", reason, "`http.cainfo`"]);
                assert!(!outcome.stderr.contains("spurious") && !outcome.stderr.contains("{"), "{outcome}");
            }
        }
    }
}
