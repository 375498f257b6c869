//! A sparse registry on the loopback interface.

use crate::archive::sha256_hex;
use crate::crates::CrateBuilder;
use crate::http::{Request, Response, serve};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A registry that answers as long as the value lives: `/index/…` (sparse, with ETags), `/dl/NAME/VERSION/download`, and
/// what a test makes it answer to searches at `/api/v1/crates`.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Index lines by package name in lower case.
    index: BTreeMap<String, Vec<String>>,
    archives: HashMap<(String, String), Archive>,
    config: Option<String>,
    /// The token that every request must carry.
    token: Option<String>,
    /// `WWW-Authenticate` of a refusal.
    challenge: Option<String>,
    /// Where archives are said to be, and the API; `None` for the registry's own address.
    download_origin: Option<SocketAddr>,
    search: Option<Vec<u8>>,
    log: Vec<Request>,
    faults: Vec<Fault>,
}

#[derive(Clone, Debug)]
enum Archive {
    Memory(Arc<[u8]>),
    File(PathBuf),
}

/// A misbehaviour, for the requests whose path contains a text.
#[derive(Clone, Debug)]
pub struct Fault {
    path: String,
    misbehaviour: Misbehaviour,
    times: usize,
}

/// How a registry can misbehave.
#[derive(Clone, Debug)]
pub enum Misbehaviour {
    /// Answer with this status and a short text.
    Status(u16),
    /// Answer with this status and header besides the ordinary ones (such as `retry-after`).
    StatusWithHeader(u16, &'static str, String),
    /// Announce the whole body, send so many bytes of it, hang up.
    Truncate(usize),
    /// Send bytes that are not HTTP.
    Garbage,
    /// Answer 200 with these bytes instead of the right ones.
    Replace(Vec<u8>),
    /// Answer late.
    Delay(Duration),
    /// Send the body slowly: wait so long before each KiB.
    Trickle(Duration),
    /// Send so many zero bytes after the right body, announced in the length.
    Oversize(u64),
    /// Hang up without an answer.
    HangUp,
}

impl Fault {
    /// Misbehave on every request whose path contains `path`.
    pub fn on(path: &str, misbehaviour: Misbehaviour) -> Fault {
        Fault { path: path.to_owned(), misbehaviour, times: usize::MAX }
    }

    /// Only on the first `times` such requests.
    pub fn times(mut self, times: usize) -> Fault {
        self.times = times;
        self
    }
}

impl Registry {
    /// Listens on a free port of 127.0.0.1.
    pub fn start() -> Registry {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let address = listener.local_addr().expect("the port just bound");
        let stop = Arc::new(AtomicBool::new(false));
        let state = Arc::new(Mutex::new(State::default()));
        let (thread_stop, thread_state) = (Arc::clone(&stop), Arc::clone(&state));
        std::thread::spawn(move || {
            serve(&listener, &thread_stop, move |request| answer(&thread_state, address, request));
        });
        Registry { address, stop, state }
    }

    /// Publishes a package, replacing the same version if it is there.
    #[expect(clippy::needless_pass_by_value, reason = "a chain of builder calls ends here")]
    pub fn publish(&self, package: CrateBuilder) -> &Registry {
        let (bytes, line) = package.finish();
        let line = match line {
            Value::String(text) => text,
            value => value.to_string(),
        };
        self.add(&package.name, &package.version, line, Archive::Memory(bytes.into()));
        self
    }

    /// Publishes a real `.crate` file, read when it is asked for, with its index line.
    pub fn publish_file(&self, name: &str, version: &str, index_line: &str, archive: PathBuf) {
        self.add(name, version, index_line.to_owned(), Archive::File(archive));
    }

    /// Adds an index line without an archive behind it.
    pub fn publish_index_line(&self, name: &str, line: &str) {
        self.state().index.entry(name.to_lowercase()).or_default().push(line.to_owned());
    }

    fn add(&self, name: &str, version: &str, line: String, archive: Archive) {
        let mut state = self.state();
        let lines = state.index.entry(name.to_lowercase()).or_default();
        let same = |line: &String| {
            serde_json::from_str::<Value>(line).is_ok_and(|value| value["vers"].as_str() == Some(version))
        };
        lines.retain(|line| !same(line));
        lines.push(line);
        state.archives.insert((name.to_owned(), version.to_owned()), archive);
    }

    /// The index file of a package, as it stands.
    pub fn index_lines(&self, name: &str) -> String {
        let state = self.state();
        let lines = state.index.get(&name.to_lowercase()).expect("a published package");
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Marks a published version as yanked, or not.
    pub fn set_yanked(&self, name: &str, version: &str, yanked: bool) {
        let mut state = self.state();
        for line in state.index.get_mut(&name.to_lowercase()).expect("a published package") {
            let mut value: Value = serde_json::from_str(line).expect("a line of JSON");
            if value["vers"].as_str() == Some(version) {
                value["yanked"] = Value::Bool(yanked);
                *line = value.to_string();
            }
        }
    }

    /// Removes a version as if it had never been.
    pub fn remove(&self, name: &str, version: &str) {
        let mut state = self.state();
        let same = |line: &String| {
            serde_json::from_str::<Value>(line).is_ok_and(|value| value["vers"].as_str() == Some(version))
        };
        if let Some(lines) = state.index.get_mut(&name.to_lowercase()) {
            lines.retain(|line| !same(line));
        }
        state.archives.remove(&(name.to_owned(), version.to_owned()));
    }

    /// Replaces `config.json`.
    pub fn set_config(&self, text: &str) {
        self.state().config = Some(text.to_owned());
    }

    /// From now on every request needs this `Authorization`, and `config.json` says so.
    pub fn require_token(&self, token: &str) {
        let mut state = self.state();
        state.token = Some(token.to_owned());
        state.challenge = Some(format!("Cargo login_url=\"http://{}/me\"", self.address));
    }

    /// The `WWW-Authenticate` of refusals from now on; `None` for a refusal without one.
    pub fn set_challenge(&self, challenge: Option<&str>) {
        self.state().challenge = challenge.map(str::to_owned);
    }

    /// Says that archives are to be fetched from another server, which is to have them.
    pub fn set_download_origin(&self, origin: &Registry) {
        self.state().download_origin = Some(origin.address);
    }

    /// Has an API from now on, which answers every search with this text.
    pub fn set_search_answer(&self, answer: impl Into<Vec<u8>>) {
        self.state().search = Some(answer.into());
    }

    /// The tokens that came with requests so far, with the paths.
    pub fn tokens(&self) -> Vec<(String, String)> {
        let carried = |request: &Request| Some((request.path.clone(), request.header("authorization")?.to_owned()));
        self.state().log.iter().filter_map(carried).collect()
    }

    /// Misbehaves from now on; of several that match a request, the first with something left applies.
    pub fn fault(&self, fault: Fault) -> &Registry {
        self.state().faults.push(fault);
        self
    }

    /// Behaves again.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.state().log.clear();
    }

    /// The index's address as configuration names it: `sparse+http://127.0.0.1:PORT/index/`.
    pub fn index_url(&self) -> String {
        format!("sparse+http://{}/index/", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user-level configuration that puts this registry in the place of the public one.
    pub fn source_replacement(&self) -> String {
        format!(
            "[source.crates-io]\nreplace-with = \"loopback\"\n\n[source.loopback]\nregistry = \"{}\"\n",
            self.index_url()
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn answer(state: &Mutex<State>, address: SocketAddr, request: Request) -> Response {
    let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let response = ordinary_answer(&state, address, &request);
    let fault = state.faults.iter_mut().find(|fault| fault.times > 0 && request.path.contains(&fault.path));
    let misbehaviour = fault.map(|fault| {
        fault.times = fault.times.saturating_sub(usize::from(fault.times != usize::MAX));
        fault.misbehaviour.clone()
    });
    state.log.push(request);
    drop(state);
    match misbehaviour {
        Some(misbehaviour) => misbehave(response, misbehaviour),
        None => response,
    }
}

fn misbehave(mut response: Response, misbehaviour: Misbehaviour) -> Response {
    match misbehaviour {
        Misbehaviour::Status(status) => {
            Response { status, body: b"as the test asked"[..].into(), ..Response::default() }
        }
        Misbehaviour::StatusWithHeader(status, name, value) => {
            Response { status, headers: vec![(name, value)], ..Response::default() }
        }
        Misbehaviour::Truncate(length) => {
            response.cut_after = Some(length);
            response
        }
        Misbehaviour::Garbage => Response { raw: true, body: b"\x00\xff\x16\x03garbage\r\n"[..].into(), ..response },
        Misbehaviour::Replace(bytes) => Response { status: 200, body: bytes.into(), ..Response::default() },
        Misbehaviour::Delay(delay) => {
            response.delay = delay;
            response
        }
        Misbehaviour::Trickle(trickle) => {
            response.trickle = trickle;
            response
        }
        Misbehaviour::Oversize(padding) => {
            response.padding = padding;
            response
        }
        Misbehaviour::HangUp => Response { raw: true, body: Arc::default(), ..response },
    }
}

fn ordinary_answer(state: &State, address: SocketAddr, request: &Request) -> Response {
    let not_found = Response { status: 404, ..Response::default() };
    if state.token.is_some() && request.header("authorization") != state.token.as_deref() {
        let headers = state.challenge.iter().map(|challenge| ("www-authenticate", challenge.clone())).collect();
        return Response { status: 401, headers, body: b"no valid token"[..].into(), ..Response::default() };
    }
    if request.path.starts_with("/api/v1/crates?") {
        return match &state.search {
            Some(answer) => Response { status: 200, body: answer.as_slice().into(), ..Response::default() },
            None => not_found,
        };
    }
    if let Some(path) = request.path.strip_prefix("/index/") {
        let body = if path == "config.json" {
            state.config.clone().unwrap_or_else(|| ordinary_config(state, address))
        } else {
            match state.index.get(path.rsplit('/').next().unwrap_or_default()) {
                Some(lines) if index_path(path.rsplit('/').next().unwrap_or_default()) == path => {
                    lines.iter().map(|line| format!("{line}\n")).collect()
                }
                _ => return not_found,
            }
        };
        return with_etag(body.into_bytes(), request);
    }
    let archive = request.path.strip_prefix("/dl/").and_then(|path| path.strip_suffix("/download"));
    let Some((name, version)) = archive.and_then(|path| path.split_once('/')) else { return not_found };
    // The version's `+` may come percent-encoded.
    let version = version.replace("%2B", "+").replace("%2b", "+");
    match state.archives.get(&(name.to_owned(), version)) {
        Some(Archive::Memory(bytes)) => Response { status: 200, body: Arc::clone(bytes), ..Response::default() },
        Some(Archive::File(path)) => match std::fs::read(path) {
            Ok(bytes) => Response { status: 200, body: bytes.into(), ..Response::default() },
            Err(_) => not_found,
        },
        None => not_found,
    }
}

fn ordinary_config(state: &State, address: SocketAddr) -> String {
    let mut config = serde_json::json!({
        "dl": format!("http://{}/dl", state.download_origin.unwrap_or(address)),
        "api": state.search.as_ref().map(|_| format!("http://{address}")),
    });
    if state.token.is_some() {
        config["auth-required"] = Value::Bool(true);
    }
    config.to_string()
}

fn with_etag(body: Vec<u8>, request: &Request) -> Response {
    let etag = format!("\"{}\"", &sha256_hex(&body)[..32]);
    if request.header("if-none-match") == Some(&etag) {
        return Response { status: 304, headers: vec![("etag", etag)], ..Response::default() };
    }
    Response { status: 200, headers: vec![("etag", etag)], body: body.into(), ..Response::default() }
}

/// Where the index keeps a package, by the Cargo Book's rule: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcd`.
fn index_path(name: &str) -> String {
    match name.len() {
        1 => format!("1/{name}"),
        2 => format!("2/{name}"),
        3 => format!("3/{}/{name}", &name[..1]),
        _ if name.is_char_boundary(2) && name.is_char_boundary(4) => format!("{}/{}/{name}", &name[..2], &name[2..4]),
        _ => String::new(),
    }
}
