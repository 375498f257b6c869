//! The way out for a process that may reach a list of hosts: an HTTP proxy in a network namespace that holds nothing else.
//!
//! Bulkhead listens on a socket that lies inside the namespace; the connections onwards are made outside, by threads of this
//! process. A host counts only in exactly the words of the list, and its name is looked up here, once, for the connection
//! that is then made: what a name leads to on this machine or in a private network is refused unless the list names an
//! address, or `localhost`. What travels through an allowed tunnel is the process's own business.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::namespaces::{self, Shared};
use crate::denial::{Denial, DenialKind, Target};
use crate::process::Endpoint;

/// Where the process finds it.
pub(super) const PORT: u16 = 3128;
const MOST_CONNECTIONS: usize = 64;
const LONGEST_HEAD: usize = 16 << 10;
/// Bytes in both directions, over the whole life of the process.
const MOST_BYTES: u64 = 8 << 30;
const MOST_DENIALS: usize = 1000;
const TIME_FOR_HEAD: Duration = Duration::from_secs(30);
const TIME_TO_CONNECT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(120);

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) namespaces: Shared,
    listener: Arc<TcpListener>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    hosts: Vec<Endpoint>,
    connections: AtomicUsize,
    bytes: AtomicU64,
    denied: Mutex<BTreeMap<String, u32>>,
}

impl Proxy {
    /// Makes the namespaces and listens in them.
    pub(super) fn start(hosts: &[Endpoint]) -> io::Result<Proxy> {
        let (namespaces, socket) = namespaces::with_loopback(Some(PORT))?;
        let socket = socket.ok_or_else(|| io::Error::other("no socket"))?;
        let listener = Arc::new(TcpListener::from(socket));
        let state = Arc::new(State {
            hosts: hosts.to_vec(),
            connections: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            denied: Mutex::default(),
        });
        let (accepting, shared) = (Arc::clone(&listener), Arc::clone(&state));
        std::thread::Builder::new().name("sandbox-proxy".to_owned()).spawn(move || accept(&accepting, &shared))?;
        Ok(Proxy { namespaces, listener, state })
    }

    /// What was asked for in vain.
    pub(super) fn denials(&self) -> Vec<Denial> {
        let denied = self.state.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let denial = |(host, count): (&String, &u32)| Denial {
            kind: DenialKind::Connect,
            target: Target::Host(host.clone()),
            count: *count,
        };
        denied.iter().map(denial).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SAFETY: numbers only. It wakes the thread that accepts, which then ends.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    while let Ok((client, _)) = listener.accept() {
        if state.connections.fetch_add(1, Ordering::AcqRel) >= MOST_CONNECTIONS {
            state.connections.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let shared = Arc::clone(state);
        let started = std::thread::Builder::new().name("sandbox-proxy".to_owned()).spawn(move || {
            // A connection that breaks is the client's to notice.
            let _ = serve(client, &shared);
            shared.connections.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            state.connections.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(mut client: TcpStream, state: &State) -> io::Result<()> {
    client.set_write_timeout(Some(IDLE))?;
    let (head, rest) = read_head(&mut client)?;
    let Some(request) = Request::parse(&head) else {
        return refuse(&mut client, "400 Bad Request", "this is no request that a proxy can carry out");
    };
    let name = request.target.to_string();
    let address = match state.permit(&request.target) {
        Ok(addresses) => addresses,
        Err(reason) => {
            state.deny(name.clone());
            return refuse(&mut client, "403 Forbidden", &format!("bulkhead: `{name}` {reason}"));
        }
    };
    let connected = address.iter().find_map(|address| TcpStream::connect_timeout(address, TIME_TO_CONNECT).ok());
    let Some(mut server) = connected else {
        return refuse(&mut client, "502 Bad Gateway", &format!("bulkhead: `{name}` cannot be reached"));
    };
    server.set_write_timeout(Some(IDLE))?;
    match request.forward {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
        Some(head) => server.write_all(&head)?,
    }
    server.write_all(&rest)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::scope(|scope| {
        scope.spawn(|| copy(&mut from_client, &mut to_server, &state.bytes));
        copy(&mut server, &mut client, &state.bytes);
    });
    Ok(())
}

fn refuse(client: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let length = text.len() + 1;
    write!(
        client,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}\n"
    )
}

/// Copies until one side ends, is silent for too long, or the limit on bytes is reached.
fn copy(from: &mut TcpStream, to: &mut TcpStream, bytes: &AtomicU64) {
    let mut buffer = [0; 16 << 10];
    let _ = from.set_read_timeout(Some(IDLE));
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let allowed = bytes.fetch_add(count as u64, Ordering::Relaxed) < MOST_BYTES;
        if !allowed || to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The head of a request, and what came after it.
fn read_head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let until = Instant::now() + TIME_FOR_HEAD;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((bytes, rest));
        }
        let left = until.saturating_duration_since(Instant::now());
        if bytes.len() > LONGEST_HEAD || left.is_zero() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// What a client asks of a proxy.
struct Request {
    target: Endpoint,
    /// The head that the server gets; `None` for a tunnel.
    forward: Option<Vec<u8>>,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Request> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, address, version) = (words.next()?, words.next()?, words.next()?);
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if words.next().is_some() || !plain(method) || !plain(address) || !version.starts_with("HTTP/1.") {
            return None;
        }
        if method == "CONNECT" {
            return Some(Request { target: endpoint(address, None)?, forward: None });
        }
        let rest = address.strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let target = endpoint(authority, Some(80))?;
        // One request for each connection: the next could be for another host.
        let mut forward = format!("{method} {path} {version}\r\nHost: {authority}\r\nConnection: close\r\n");
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            // What servers read differently (a space before the colon, a folded line, a lone line feed) could be a second
            // `Host`.
            let is_token =
                !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
            if !is_token || value.contains(['\r', '\n', '\0']) {
                return None;
            }
            let name = name.to_ascii_lowercase();
            if !matches!(name.as_str(), "connection" | "host" | "keep-alive") && !name.starts_with("proxy-") {
                forward.push_str(line);
                forward.push_str("\r\n");
            }
        }
        forward.push_str("\r\n");
        Some(Request { target, forward: Some(forward.into_bytes()) })
    }
}

/// `host:port`; user names are not understood, so that nothing before an `@` can pass for a host.
fn endpoint(text: &str, default_port: Option<u16>) -> Option<Endpoint> {
    let bracket = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text.get(bracket..)?.rfind(':') {
        Some(colon) => (text.get(..bracket + colon)?, text.get(bracket + colon + 1..)?.parse().ok()?),
        None => (text, default_port?),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_ascii_lowercase();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(is_host)).then_some(Endpoint { host, port })
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Endpoint { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

impl State {
    /// The addresses of a host of the list; none if it has none today, which no permission would change.
    fn permit(&self, target: &Endpoint) -> Result<Vec<SocketAddr>, &'static str> {
        if !self.hosts.contains(target) {
            return Err("is not among the hosts that this package may reach");
        }
        let Ok(found) = (target.host.as_str(), target.port).to_socket_addrs() else { return Ok(Vec::new()) };
        let is_named = target.host.parse::<IpAddr>().is_ok() || target.host == "localhost";
        let addresses: Vec<_> = found.filter(|address| is_named || is_public(address.ip())).collect();
        if addresses.is_empty() { Err("leads to this machine or a private network") } else { Ok(addresses) }
    }

    fn deny(&self, host: String) {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.len() < MOST_DENIALS || denied.contains_key(&host) {
            let count = denied.entry(host).or_default();
            *count = count.saturating_add(1);
        }
    }
}

/// Whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            // Global unicast, without what embeds IPv4 (NAT64 lies outside, 6to4 inside) and documentation.
            None => {
                let [first, second, ..] = address.segments();
                first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && matches!(second, 0 | 0xdb8))
            }
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || first == 0
        || first >= 224
        || first == 100 && (64..128).contains(&second)
        || first == 192 && second == 0 && third == 0
        || first == 198 && (second == 18 || second == 19);
    !special
}

#[cfg(test)]
mod tests {
    use super::{Request, endpoint, is_public};

    fn target(head: &str) -> Option<String> {
        Request::parse(head.as_bytes()).map(|request| request.target.to_string())
    }

    #[test]
    fn requests_name_one_host() {
        assert_eq!(target("CONNECT a.example:443 HTTP/1.1\r\n\r\n").as_deref(), Some("a.example:443"));
        assert_eq!(target("CONNECT [::1]:443 HTTP/1.1\r\n\r\n").as_deref(), Some("[::1]:443"));
        assert_eq!(target("GET http://A.example/x HTTP/1.1\r\nHost: b\r\n\r\n").as_deref(), Some("a.example:80"));
        for head in [
            "CONNECT a.example HTTP/1.1\r\n\r\n",
            "CONNECT a.example@b.example:443 HTTP/1.1\r\n\r\n",
            "GET http://a.example:80@b.example/ HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "GET https://a.example/ HTTP/1.1\r\n\r\n",
            "GET  http://a.example/ HTTP/1.1\r\n\r\n",
            "CONNECT a.example:99999 HTTP/1.1\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nHost : b\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nA: c\r\n Host: b\r\n\r\n",
            "GET http://a.example/ HTTP/1.1\r\nA: c\nHost: b\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(target(head), None, "{head}");
        }
        let request =
            Request::parse(b"GET http://a.example/x HTTP/1.1\r\nHost: b\r\nProxy-X: y\r\nA: c\r\n\r\n").unwrap();
        let forward = String::from_utf8(request.forward.unwrap()).unwrap();
        assert_eq!(forward, "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nA: c\r\n\r\n");
        assert_eq!(endpoint("a.example", None), None);
    }

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "ff02::1",
            "198.18.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["1.1.1.1", "93.184.216.34", "2606:4700::1111"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
