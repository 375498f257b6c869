//! Git repositories on disk, and a loopback server for them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

use crate::project::split_fixture;

/// A repository with a working copy, removed with the value. Its branch is `main`; who commits, and when, is fixed, so that
/// the same content has the same ids.
#[derive(Debug)]
pub struct GitRepository {
    folder: TempDir,
    root: PathBuf,
}

impl GitRepository {
    /// A repository called `name` with one commit of the fixture's files.
    pub fn new(name: &str, fixture: &str) -> GitRepository {
        let folder = tempfile::Builder::new().prefix("bulkhead-git-").tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("the folder just made").join(name);
        std::fs::create_dir(&root).expect("a folder for the repository");
        let repository = GitRepository { folder, root };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(fixture);
        repository
    }

    /// Its folder, canonical.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The temporary folder around it.
    pub fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// `file://…`
    pub fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }

    /// Writes the fixture's files and commits everything. Returns the commit's id.
    pub fn commit(&self, fixture: &str) -> String {
        for (path, content) in split_fixture(fixture) {
            let path = self.root.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder to write to");
            std::fs::write(&path, content).expect("a file to write");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.head()
    }

    /// The id of the commit that is checked out.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git ARGUMENTS` in the working copy; returns what it prints, without the last line end.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with_input(arguments, b"")
    }

    /// The same, with `input` on its standard input.
    pub fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> String {
        String::from_utf8_lossy(&self.git_bytes(arguments, input)).trim_end().to_owned()
    }

    /// A pack of everything in the repository.
    pub fn pack(&self) -> Vec<u8> {
        self.git_bytes(&["pack-objects", "--all", "--stdout", "--quiet"], b"")
    }

    fn git_bytes(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = git(&self.root);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("git runs");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads");
        let output = child.wait_with_output().expect("git ends");
        assert!(output.status.success(), "git {arguments:?}: {}", output.status);
        output.stdout
    }

    /// Commits a tree whose entries no checkout could have made, on a branch of its own. Each entry is a mode, a name and
    /// the id of an object.
    pub fn commit_tree(&self, branch: &str, entries: &[(&str, &str, &str)]) -> String {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            let digits = |at: usize| u8::from_str_radix(&id[at..at + 2], 16).expect("an id");
            tree.extend((0..40).step_by(2).map(digits));
        }
        let tree = self.git_with_input(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &tree);
        let commit = self.git(&["commit-tree", &tree, "-m", "made by hand"]);
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    /// The id of a new blob.
    pub fn blob(&self, content: &str) -> String {
        self.git_with_input(&["hash-object", "-w", "--stdin"], content.as_bytes())
    }
}

/// `git` with an environment of the test's own.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/usr/local/bin:/bin").env("HOME", "/nonexistent");
    command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "test").env(format!("GIT_{role}_EMAIL"), "test@example.org");
        command.env(format!("GIT_{role}_DATE"), "2024-01-01T00:00:00Z");
    }
    command
}

/// Serves the repositories in a folder over `http://127.0.0.1`, through git's own CGI program.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    logins: Arc<Mutex<Vec<Option<String>>>>,
    pack: Arc<Mutex<Option<Vec<u8>>>>,
}

impl GitServer {
    /// Serves the repositories in `folder`; `None` if this machine's git has no such program. With `login`, only who sends
    /// `Authorization: Basic LOGIN` is answered.
    pub fn start(folder: &Path, login: Option<&str>) -> Option<GitServer> {
        let backend = ["/usr/lib/git-core/git-http-backend", "/usr/libexec/git-core/git-http-backend"];
        let backend = backend.into_iter().map(Path::new).find(|path| path.exists())?;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let (stop, logins) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let pack = Arc::new(Mutex::new(None));
        let server =
            GitServer { address, stop: Arc::clone(&stop), logins: Arc::clone(&logins), pack: Arc::clone(&pack) };
        let (folder, login) = (folder.to_owned(), login.map(|login| format!("Basic {login}")));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (folder, login, logins) = (folder.clone(), login.clone(), Arc::clone(&logins));
                let pack = pack.lock().unwrap_or_else(PoisonError::into_inner).clone();
                std::thread::spawn(move || {
                    // A client that hangs up is the client's business.
                    let _ = connection
                        .and_then(|it| answer(&it, backend, &folder, login.as_deref(), &logins, pack.as_deref()));
                });
            }
        });
        Some(server)
    }

    /// The URL of the repository in the folder `name`.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// From now on sends this to whoever fetches, in the place of the pack that was asked for.
    pub fn send_pack(&self, bytes: Option<Vec<u8>>) {
        *self.pack.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// The `Authorization` header of each request so far.
    pub fn logins(&self) -> Vec<Option<String>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request per connection.
fn answer(
    connection: &TcpStream,
    backend: &Path,
    folder: &Path,
    login: Option<&str>,
    logins: &Mutex<Vec<Option<String>>>,
    pack: Option<&[u8]>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new(backend);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_PROJECT_ROOT", folder).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    let (mut length, mut chunked, mut sent) = (0, false, None);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim_end().is_empty() {
            break;
        }
        let Some((name, value)) = header.trim_end().split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "content-type" => drop(command.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(command.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(command.env("GIT_PROTOCOL", value)),
            "transfer-encoding" => chunked = value == "chunked",
            "authorization" => sent = Some(value.to_owned()),
            _ => {}
        }
    }
    logins.lock().unwrap_or_else(PoisonError::into_inner).push(sent.clone());
    let mut writer = connection;
    if login.is_some() && sent.as_deref() != login {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n";
        return write!(writer, "{head}Connection: close\r\n\r\n");
    }
    let body = if chunked { read_chunks(&mut reader)? } else { read_exactly(&mut reader, length)? };
    if let Some(pack) = pack.filter(|_| body.windows(13).any(|part| part == b"command=fetch")) {
        return send_pack(connection, pack);
    }
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeding = std::thread::spawn(move || stdin.write_all(&body));
    let mut output = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut output)?;
    child.wait()?;
    let _ = feeding.join();
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = output.get(end + 4..).unwrap_or_default();
    write!(writer, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    writer.write_all(body)
}

/// The answer to `fetch` of git's protocol 2 (gitprotocol-v2): a section that holds the pack, in side band 1.
fn send_pack(mut writer: impl Write, pack: &[u8]) -> std::io::Result<()> {
    let line = |bytes: &[u8]| [format!("{:04x}", bytes.len() + 4).as_bytes(), bytes].concat();
    let mut body = line(b"packfile\n");
    pack.chunks(60_000).for_each(|part| body.extend(line(&[b"\x01", part].concat())));
    body.extend(b"0000");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\nConnection: close";
    write!(writer, "{head}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    writer.write_all(&body)
}

fn read_exactly(reader: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; length.min(64 << 20)];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
        body.extend(read_exactly(reader, length)?);
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(body);
        }
    }
}
