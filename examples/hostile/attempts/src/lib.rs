//! What hostile build code would try, made harmless: one planted file is read, names (not values) of variables are
//! listed, connections go to this machine only, and marker files are written.
//!
//! The file `targets.txt` in this package's folder may name the victims, a `name value` pair a line: `home`, `tcp`, `udp`,
//! `abstract`. Otherwise they are the home of the environment and some unlikely addresses. It is compiled in: who is confined
//! could not read it.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

type Outcome = Result<String, Box<dyn std::error::Error>>;

/// Tries everything; returns each attempt's name with `succeeded…`, `failed…`, or `file:PATH` where only the existence
/// of a file, later and from outside, can tell. `out_dir` is where the one who tries may write anyway.
pub fn all(who: &str, out_dir: Option<&str>) -> Vec<(String, String)> {
    let targets = targets();
    let target = |name: &str, otherwise: &str| targets.get(name).cloned().unwrap_or_else(|| otherwise.to_owned());
    let home = PathBuf::from(target("home", &std::env::var("HOME").unwrap_or_default()));
    // A name of its own for each build, so that what an earlier one wrote is not taken for this one's.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis());
    let marker = format!(".bulkhead-example-{}-{now}", who.replace(' ', "-"));
    let alive = out_dir.map_or_else(std::env::temp_dir, PathBuf::from).join(format!("{marker}-alive"));
    [
        ("read a secret in HOME", read_secret(&home)),
        ("find tokens in variables", find_tokens()),
        ("connect over TCP", connect_tcp(&target("tcp", "1"))),
        ("send over UDP", send_udp(&target("udp", "9"))),
        ("abstract socket", connect_abstract(&target("abstract", "bulkhead-example"))),
        ("write into HOME", write(&home.join(&marker))),
        ("write beside the sources", write(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&marker))),
        ("leave a process behind", leave_process(&alive)),
    ]
    .map(|(name, outcome)| {
        let outcome = match outcome {
            Ok(text) if text.starts_with("file:") => text,
            Ok(text) => format!("succeeded: {text}"),
            Err(error) => format!("failed: {error}"),
        };
        (name.to_owned(), outcome)
    })
    .into()
}

fn targets() -> BTreeMap<String, String> {
    include_str!("../targets.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read_secret(home: &Path) -> Outcome {
    let planted = home.join(".planted-secret");
    if let Ok(secret) = std::fs::read(&planted) {
        return Ok(format!("{} bytes", secret.len()));
    }
    // Nothing planted: whether the folder's names can be seen tells as much. Only their number is reported.
    let count = std::fs::read_dir(home)?.count();
    if count == 0 { Err("the folder is empty".into()) } else { Ok(format!("{count} names to see")) }
}

fn find_tokens() -> Outcome {
    let suspicious =
        |name: &String| ["TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"].iter().any(|part| name.contains(part));
    let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let found: Vec<String> = names.into_iter().filter(suspicious).collect();
    if found.is_empty() { Err("there are none".into()) } else { Ok(format!("{} variables", found.len())) }
}

fn connect_tcp(port: &str) -> Outcome {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.write_all(b"hello")?;
    Ok("connected".to_owned())
}

fn send_udp(port: &str) -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"hello", format!("127.0.0.1:{port}"))?;
    Ok("sent".to_owned())
}

fn connect_abstract(name: &str) -> Outcome {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    Ok("connected".to_owned())
}

/// The writer may be shown a folder that is thrown away, so what it sees itself proves nothing.
fn write(path: &Path) -> Outcome {
    std::fs::write(path, "written while building\n")?;
    Ok(format!("file:{}", path.display()))
}

/// Starts a shell that outlives us by a second and then says so in a file.
fn leave_process(alive: &Path) -> Outcome {
    let script = format!("sleep 1; echo alive > '{}'", alive.display());
    Command::new("/bin/sh")
        .args(["-c", &script])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(format!("file:{}", alive.display()))
}
