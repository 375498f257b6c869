//! A real ssh server on a loopback port, with keys of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// `sshd`, as whoever runs the tests; only that user can log in, with the key that an agent of the server's own holds. Both
/// programs end with the value.
#[derive(Debug)]
pub struct SshServer {
    folder: TempDir,
    port: u16,
    programs: Vec<Child>,
}

impl SshServer {
    /// Starts it; `None` where OpenSSH's server, client or agent is not installed.
    pub fn start() -> Option<SshServer> {
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().map(Path::new).find(|path| path.exists())?;
        if !["ssh", "ssh-keygen", "ssh-agent", "ssh-add"].iter().all(|name| Path::new("/usr/bin").join(name).exists()) {
            return None;
        }
        if rustix::process::geteuid().is_root() {
            // What the system's own service makes when it starts.
            let _ = std::fs::create_dir_all("/run/sshd");
        }
        let folder = tempfile::Builder::new().prefix("bulkhead-ssh-").tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a loopback port").local_addr().expect("an address").port();
        let mut server = SshServer { folder, port, programs: Vec::new() };
        for name in ["host", "other-host", "user"] {
            keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", &server.path(name)]);
        }
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
             LogLevel VERBOSE\n",
            server.folder.path().display()
        );
        std::fs::write(server.path("config"), configuration).expect("a file to write");
        server.run(Command::new(sshd).args(["-D", "-f", &server.path("config"), "-E", &server.path("log")]));
        server.run(Command::new("/usr/bin/ssh-agent").args(["-D", "-a", &server.path("agent")]));
        server.wait_for("agent", "");
        server.add_key();
        server.wait_for("log", "Server listening");
        Some(server)
    }

    /// Gives the agent the user's key. The agent's socket is there a moment before anybody listens to it.
    fn add_key(&self) {
        let added = (0..1000).any(|_| {
            let mut add = Command::new("/usr/bin/ssh-add");
            add.args(["-q", &self.path("user")]).env("SSH_AUTH_SOCK", self.agent()).stderr(Stdio::null());
            let added = add.status().expect("ssh-add runs").success();
            if !added {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            added
        });
        assert!(added, "the agent takes no key");
    }

    /// `ssh://…` of the repository in the folder `path`.
    pub fn url(&self, path: &Path) -> String {
        let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
        format!("ssh://{}@127.0.0.1:{}{}", String::from_utf8_lossy(&user).trim(), self.port, path.display())
    }

    /// The line of a `known_hosts` file by which a user knows the server.
    pub fn known_host(&self) -> String {
        self.line("host")
    }

    /// The line of a user who knows another key for this place.
    pub fn other_known_host(&self) -> String {
        self.line("other-host")
    }

    /// The socket of the agent that holds the key for this server.
    pub fn agent(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// How often somebody has tried to log in.
    pub fn logins(&self) -> usize {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.matches("Accepted publickey").count() + log.matches("Failed publickey").count()
    }

    fn line(&self, key: &str) -> String {
        let key = std::fs::read_to_string(self.path(&format!("{key}.pub"))).expect("a key");
        format!("[127.0.0.1]:{} {}", self.port, key.trim())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn run(&mut self, command: &mut Command) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.programs.push(command.spawn().expect("the program starts"));
    }

    fn wait_for(&self, file: &str, content: &str) {
        for _ in 0..1000 {
            let there = Path::new(&self.path(file)).exists();
            if there
                && (content.is_empty() || std::fs::read_to_string(self.path(file)).is_ok_and(|it| it.contains(content)))
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        panic!("no {content:?} in `{file}`; sshd says:\n{log}");
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn keygen(arguments: &[&str]) {
    let status = Command::new("/usr/bin/ssh-keygen").args(arguments).stdin(Stdio::null()).status();
    assert!(status.expect("ssh-keygen runs").success());
}
