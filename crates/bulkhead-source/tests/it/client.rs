use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_source::{Authorization, Client, ClientOptions, DownloadRequest, ErrorKind, Progress, Proxy, SourceError};

use crate::server::{Request, Server, reply};

pub(crate) fn options() -> ClientOptions {
    ClientOptions {
        proxy: Proxy::Direct,
        allow_http_loopback: true,
        timeout: Duration::from_secs(5),
        retries: 2,
        retry_delay: Duration::from_millis(1),
        ..ClientOptions::default()
    }
}

fn id() -> PackageId {
    PackageId::new(PackageName::registry("aa").unwrap(), semver::Version::new(1, 0, 0), SourceId::crates_io())
}

fn download(options: ClientOptions, url: &str) -> Result<Vec<u8>, SourceError> {
    let client = Client::new(options);
    let request = DownloadRequest { id: id(), url: url.to_owned(), authorization: Authorization::Public };
    let mut downloads = client.download(vec![request], &Arc::new(Progress::default()));
    let (found, result) = downloads.next().unwrap();
    assert_eq!(found, id());
    assert!(downloads.next().is_none());
    result
}

/// Downloads from a server that answers like this, and returns what happened and how often it was asked.
fn answered(
    options: ClientOptions,
    answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static,
) -> (Result<Vec<u8>, SourceError>, usize) {
    let server = Server::start(answer);
    let result = download(options, &server.url("aa.crate"));
    (result, server.requests().len())
}

#[track_caller]
fn fails(result: (Result<Vec<u8>, SourceError>, usize), kind: ErrorKind, text: &str, asked: usize) {
    let error = result.0.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(result.1, asked, "{error}");
}

#[test]
fn a_download_arrives_and_says_who_asks() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &[], b"archive"));
    assert_eq!(download(options(), &server.url("aa.crate")).unwrap(), b"archive");
    let request = server.requests().remove(0);
    assert!(request.header("user-agent").unwrap().starts_with("bulkhead/"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
}

#[test]
fn failures_that_may_pass_are_tried_again() {
    for status in ["500 Oops", "503 Busy", "429 Slow down"] {
        let asked = AtomicUsize::new(0);
        let (result, count) = answered(options(), move |_, stream| match asked.fetch_add(1, Ordering::SeqCst) {
            2 => reply(stream, "200 OK", &[], b"archive"),
            _ => reply(stream, status, &["retry-after: 0"], b""),
        });
        assert_eq!((result.unwrap(), count), (b"archive".to_vec(), 3), "{status}");
        fails(
            answered(options(), move |_, s| reply(s, status, &["retry-after: 0"], b"")),
            ErrorKind::Network,
            "tried 3 times",
            3,
        );
    }
    // A body that ends early is a failed transfer, and never a short archive.
    let short = |_: &Request, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort");
    };
    fails(answered(options(), short), ErrorKind::Network, "transfer failed", 3);
    // Nobody listens.
    let closed = Server::start(|_, _| {});
    let url = closed.url("x").replace(&closed.port.to_string(), "1");
    assert_eq!(download(options(), &url).unwrap_err().kind, ErrorKind::Network);
}

#[test]
fn failures_that_will_not_pass_are_not_tried_again() {
    let status = |status: &'static str| answered(options(), move |_, stream| reply(stream, status, &[], b"<html>"));
    fails(status("404 Not Found"), ErrorKind::NotFound, "aa.crate", 1);
    fails(status("410 Gone"), ErrorKind::NotFound, "aa.crate", 1);
    fails(status("401 Unauthorized"), ErrorKind::Unauthorized, "401", 1);
    fails(status("403 Forbidden"), ErrorKind::Unauthorized, "403", 1);
    fails(status("400 Bad"), ErrorKind::Protocol, "400", 1);
    fails(status("206 Partial Content"), ErrorKind::Protocol, "206", 1);
    fails(status("304 Not Modified"), ErrorKind::Protocol, "304", 1);
    let gzip = |_: &Request, stream: &mut TcpStream| reply(stream, "200 OK", &["content-encoding: gzip"], b"\x1f\x8b");
    fails(answered(options(), gzip), ErrorKind::Protocol, "encoding", 1);
}

/// Attacks 39 and 73.
#[test]
fn a_flood_is_stopped_at_the_limit() {
    let limited = || ClientOptions { max_crate_size: 1 << 20, ..options() };
    let announced = |_: &Request, stream: &mut TcpStream| reply(stream, "200 OK", &[], &vec![0; (1 << 20) + 1]);
    fails(answered(limited(), announced), ErrorKind::TooLarge, "1048576 bytes", 1);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let endless = move |_: &Request, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 4096]).is_ok() {
            counter.fetch_add(4096, Ordering::SeqCst);
        }
    };
    fails(answered(limited(), endless), ErrorKind::TooLarge, "larger", 1);
    // What lies in the buffers of the two sockets does not count.
    assert!(sent.load(Ordering::SeqCst) < 12 << 20);
    let (exact, _) = answered(limited(), |_, stream| reply(stream, "200 OK", &[], &vec![7; 1 << 20]));
    assert_eq!(exact.unwrap().len(), 1 << 20);
}

/// Attack 39.
#[test]
fn a_drip_and_a_silence_are_given_up() {
    let impatient =
        || ClientOptions { timeout: Duration::from_millis(300), low_speed_limit: 1000, retries: 0, ..options() };
    let drip = |_: &Request, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let start = Instant::now();
    fails(answered(impatient(), drip), ErrorKind::Network, "slower than 1000 bytes", 1);
    let silence = |_: &Request, _: &mut TcpStream| std::thread::sleep(Duration::from_secs(20));
    fails(answered(impatient(), silence), ErrorKind::Network, "timed out", 1);
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Attack 53.
#[test]
fn redirects_are_few_and_never_leave_https() {
    let redirect = |to: &str| {
        let header = format!("location: {to}");
        answered(options(), move |_, stream| reply(stream, "302 Found", &[&header], b""))
    };
    for to in
        ["file:///etc/hostname", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http://example.org/", "http://localhost/"]
    {
        let result = redirect(to);
        let scheme = to.split(':').next().unwrap();
        fails(result, ErrorKind::RefusedRedirect, &format!("`{scheme}`"), 1);
    }
    fails(redirect("http://u:p@127.0.0.1/"), ErrorKind::RefusedRedirect, "password", 1);
    fails(redirect("https://127.0.0.1:1/"), ErrorKind::RefusedRedirect, "from `http` to `https`", 1);
    fails(redirect("HTTPS://127.0.0.1:1/"), ErrorKind::RefusedRedirect, "from `http` to `https`", 1);
    fails(redirect("//example.org/"), ErrorKind::RefusedRedirect, "`http` is refused", 1);
    fails(redirect("/again"), ErrorKind::RefusedRedirect, "more than 5 redirects", 6);
    let hops = |request: &Request, stream: &mut TcpStream| match request.path.as_str() {
        "/aa.crate" => reply(stream, "302 Found", &["location: /1"], b""),
        "/5" => reply(stream, "200 OK", &[], b"archive"),
        path => {
            let next: u32 = path[1..].parse::<u32>().unwrap() + 1;
            reply(stream, "307 Temporary Redirect", &[&format!("location: /{next}")], b"");
        }
    };
    assert_eq!(answered(options(), hops).0.unwrap(), b"archive");
}

/// Attacks 53 and 154: a server that was reached over https is not reached over plain http by way of another one.
#[test]
fn no_redirect_leads_to_plain_http_of_a_server_that_has_https() {
    let target = Server::start(|_, stream| reply(stream, "200 OK", &[], b"archive"));
    let location = format!("location: {}", target.url("x"));
    let led = |options| {
        let location = location.clone();
        answered(options, move |_, stream| reply(stream, "302 Found", &[&location], b""))
    };
    let pinned = options();
    pinned.https_pins.saw(&url::Url::parse(&target.url("").replace("http:", "https:")).unwrap());
    fails(led(pinned), ErrorKind::RefusedRedirect, "reached over https before", 1);
    assert_eq!(target.requests().len(), 0);
    // The twin: one that was not.
    assert_eq!(led(options()).0.unwrap(), b"archive");
}

/// Attack 150: the address that led there may hold what the next server should not know.
#[test]
fn a_redirect_does_not_tell_where_it_comes_from() {
    let target = Server::start(|_, stream| reply(stream, "200 OK", &[], b"archive"));
    let header = format!("location: {}", target.url("x"));
    let result = answered(options(), move |_, stream| reply(stream, "302 Found", &[&header], b""));
    assert_eq!(result.0.unwrap(), b"archive");
    let requests = target.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests.iter().all(|request| request.header("referer").is_none()), "{requests:?}");
}

#[test]
fn addresses_are_checked_before_anyone_is_asked() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &[], b"x"));
    let strict = ClientOptions { allow_http_loopback: false, ..options() };
    assert_eq!(download(strict, &server.url("x")).unwrap_err().kind, ErrorKind::RefusedAddress);
    let offline = ClientOptions { offline: true, ..options() };
    assert_eq!(download(offline, &server.url("x")).unwrap_err().kind, ErrorKind::Offline);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn many_downloads_arrive_and_can_be_dropped() {
    let server = Server::start(|request, stream| reply(stream, "200 OK", &[], request.path.as_bytes()));
    let client = Client::new(options());
    let requests: Vec<DownloadRequest> = (0..200)
        .map(|n| DownloadRequest {
            id: PackageId::new(id().name(), semver::Version::new(n, 0, 0), SourceId::crates_io()),
            url: server.url(&format!("{n}")),
            authorization: Authorization::Public,
        })
        .collect();
    let progress = Arc::new(Progress::default());
    let mut seen = 0;
    for (id, bytes) in client.download(requests.clone(), &progress) {
        assert_eq!(bytes.unwrap(), format!("/{}", id.version().major).as_bytes());
        seen += 1;
    }
    assert_eq!((seen, progress.finished.load(Ordering::Relaxed)), (200, 200));
    assert_eq!(progress.received.load(Ordering::Relaxed), progress.expected.load(Ordering::Relaxed));
    server.requests();
    drop(client.download(requests, &progress));
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.requests().len() < 200);
    assert_eq!(client.download(Vec::new(), &progress).count(), 0);
}

#[test]
fn a_missing_or_empty_ca_bundle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let with_bundle = || download(ClientOptions { ca_bundle: Some(path.clone()), ..options() }, "https://127.0.0.1:1/");
    let missing = with_bundle().unwrap_err();
    assert!(missing.kind == ErrorKind::File && missing.url.ends_with("ca.pem"), "{missing}");
    std::fs::write(&path, "no certificate here").unwrap();
    assert_eq!(with_bundle().unwrap_err().kind, ErrorKind::File);
}
