use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_source::{Client, ClientOptions, ErrorKind, Fetched, RegistryConfig, SparseIndex};

use crate::client::options;
use crate::server::{Server, reply};

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn line(name: &str, version: &str) -> String {
    format!("{{\"name\":\"{name}\",\"vers\":\"{version}\",\"deps\":[],\"cksum\":\"{SUM}\"}}\n")
}

fn name(text: &str) -> PackageName {
    PackageName::registry(text).unwrap()
}

/// A registry with an `ETag` per body, whose files the test may change.
struct Registry {
    server: Server,
    files: Arc<Mutex<BTreeMap<String, String>>>,
    cache: tempfile::TempDir,
}

impl Registry {
    fn new(files: &[(&str, String)]) -> Self {
        let files: BTreeMap<String, String> =
            files.iter().map(|(path, body)| (format!("/{path}"), body.clone())).collect();
        let files = Arc::new(Mutex::new(files));
        let served = Arc::clone(&files);
        let server = Server::start(move |request, stream| {
            let Some(body) = served.lock().unwrap().get(&request.path).cloned() else {
                return reply(stream, "404 Not Found", &[], b"");
            };
            let etag = format!("\"{}-{}\"", body.len(), body.bytes().map(u64::from).sum::<u64>());
            if request.header("if-none-match") == Some(&etag) {
                return reply(stream, "304 Not Modified", &[], b"");
            }
            reply(stream, "200 OK", &[&format!("etag: {etag}"), "last-modified: yesterday"], body.as_bytes());
        });
        Self { server, files, cache: tempfile::tempdir().unwrap() }
    }

    fn index(&self) -> SparseIndex {
        at(&self.server.url(""), self.cache.path())
    }

    fn set(&self, path: &str, body: String) {
        self.files.lock().unwrap().insert(format!("/{path}"), body);
    }

    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.server.requests().into_iter().map(|request| request.path).collect();
        paths.sort();
        paths
    }
}

fn at(url: &str, cache: &Path) -> SparseIndex {
    SparseIndex::at(SourceId::parse(&format!("sparse+{url}")).unwrap(), url, cache, true).unwrap()
}

fn fetch(index: &SparseIndex, options: ClientOptions, names: &[&str]) -> Vec<Fetched> {
    let names: Vec<PackageName> = names.iter().map(|text| PackageName::local(text).unwrap()).collect();
    index.fetch(&Client::new(options), &names, &mut |_, _| {})
}

fn versions(fetched: &Fetched) -> Vec<String> {
    let index = fetched.index.as_ref().unwrap().as_ref().unwrap();
    index.versions().iter().map(|entry| entry.version.to_string()).collect()
}

#[test]
fn answers_are_kept_and_asked_again_only_if_they_changed() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0")), ("3/b/bbb", line("bbb", "1.0.0"))]);
    let index = registry.index();
    let answers = fetch(&index, options(), &["bbb", "aa", "cccc", "aa", "ünï"]);
    let names: Vec<&str> = answers.iter().map(|fetched| fetched.name.as_str()).collect();
    assert_eq!(names, ["bbb", "aa", "cccc", "aa", "ünï"]);
    assert_eq!(versions(&answers[1]), ["1.0.0"]);
    assert!(answers[2].index.as_ref().unwrap().is_none() && answers[4].index.as_ref().unwrap().is_none());
    assert_eq!(registry.paths(), ["/2/aa", "/3/b/bbb", "/cc/cc/cccc"]);
    // The same run does not ask again.
    fetch(&index, options(), &["aa", "cccc"]);
    assert_eq!(registry.paths(), [""; 0]);
    // The next run asks whether it changed.
    registry.set("2/aa", line("aa", "1.0.0") + &line("aa", "1.1.0"));
    let index = registry.index();
    assert_eq!(index.cached(name("aa")).unwrap().versions().len(), 1);
    let answers = fetch(&index, options(), &["aa", "bbb"]);
    assert_eq!((versions(&answers[0]).len(), versions(&answers[1]).len()), (2, 1));
    assert!(
        registry
            .server
            .requests()
            .iter()
            .all(|request| request.header("if-none-match").is_some() && request.header("if-modified-since").is_none())
    );
    // Offline, the cache answers.
    let offline = || ClientOptions { offline: true, ..options() };
    let answers = fetch(&registry.index(), offline(), &["aa", "zzzz"]);
    assert_eq!(versions(&answers[0]), ["1.0.0", "1.1.0"]);
    assert_eq!(answers[1].index.as_ref().unwrap_err().kind, ErrorKind::Offline);
    assert_eq!(registry.paths(), [""; 0]);
}

#[test]
fn versions_that_vanish_are_told() {
    let registry =
        Registry::new(&[("2/aa", line("aa", "1.0.0") + &line("aa", "1.0.1")), ("2/bb", line("bb", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa", "bb"]);
    registry.set("2/aa", line("aa", "1.0.0"));
    registry.files.lock().unwrap().remove("/2/bb");
    let answers = fetch(&registry.index(), options(), &["aa", "bb"]);
    let vanished = |fetched: &Fetched| fetched.vanished.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((vanished(&answers[0]), vanished(&answers[1])), (vec!["1.0.1".to_owned()], vec!["1.0.0".to_owned()]));
    assert!(answers[1].index.as_ref().unwrap().is_none());
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa"]);
    let folder = std::fs::read_dir(registry.cache.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(folder.join("2/aa")).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"BHINDEX0 and so on"] {
        std::fs::write(folder.join("2/aa"), damaged).unwrap();
        let index = registry.index();
        assert!(index.cached(name("aa")).is_none());
        assert_eq!(versions(&fetch(&index, options(), &["aa"])[0]), ["1.0.0"]);
        assert_eq!(std::fs::read(folder.join("2/aa")).unwrap(), whole);
    }
    assert!(registry.server.requests()[1..].iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn hostile_bodies_are_refused_and_not_kept() {
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..64).for_each(|_| encoder.write_all(&[b' '; 1 << 20]).unwrap());
        encoder.finish().unwrap()
    };
    let small = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(line("dd", "1.0.0").as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/2/aa" => reply(stream, "200 OK", &["content-encoding: gzip"], &bomb),
        "/2/bb" => reply(stream, "200 OK", &[], line("serde", "1.0.0").as_bytes()),
        "/2/cc" => reply(stream, "200 OK", &["content-encoding: gzip"], b"\x1f\x8bgarbage"),
        "/2/dd" => reply(stream, "200 OK", &["content-encoding: gzip"], &small),
        "/2/ee" => reply(stream, "200 OK", &[], &vec![b'\n'; (16 << 20) + 1]),
        _ => reply(stream, "200 OK", &[], b"<html>log in to this network</html>"),
    });
    let cache = tempfile::tempdir().unwrap();
    let answers = fetch(&at(&server.url(""), cache.path()), options(), &["aa", "bb", "cc", "dd", "ee", "ff"]);
    let kinds: Vec<_> = answers.iter().map(|fetched| fetched.index.as_ref().err().map(|error| error.kind)).collect();
    let (protocol, too_large) = (Some(ErrorKind::Protocol), Some(ErrorKind::TooLarge));
    assert_eq!(kinds, [too_large, protocol, protocol, None, too_large, None]);
    assert!(answers[1].index.as_ref().unwrap_err().to_string().contains("serde"));
    assert_eq!(versions(&answers[3]), ["1.0.0"]);
    let page = answers[5].index.as_ref().unwrap().as_ref().unwrap();
    assert_eq!((page.versions().len(), page.rejected().len()), (0, 1));
    let again = at(&server.url(""), cache.path());
    assert!(["aa", "bb", "cc", "ee"].iter().all(|text| again.cached(name(text)).is_none()));
}

#[test]
fn the_configuration_is_asked_once_and_kept() {
    let registry = Registry::new(&[("config.json", r#"{"dl":"https://example.org/dl","api":null}"#.to_owned())]);
    let client = Client::new(options());
    let index = registry.index();
    assert_eq!(index.config(&client).unwrap().dl, "https://example.org/dl");
    index.config(&client).unwrap();
    assert_eq!(registry.paths(), ["/config.json"]);
    let offline = Client::new(ClientOptions { offline: true, ..options() });
    assert_eq!(registry.index().config(&offline).unwrap().dl, "https://example.org/dl");
    registry.set("config.json", "<html>".to_owned());
    assert_eq!(registry.index().config(&client).unwrap_err().kind, ErrorKind::Protocol);
    let nothing = Registry::new(&[]);
    assert_eq!(nothing.index().config(&client).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(nothing.index().config(&offline).unwrap_err().kind, ErrorKind::Offline);
}

#[test]
fn download_addresses_follow_the_template() {
    let id = PackageId::new(name("MyCrate"), semver::Version::parse("1.0.0-a+b").unwrap(), SourceId::crates_io());
    for (dl, url) in [
        ("https://x/dl", "https://x/dl/MyCrate/1.0.0-a+b/download".to_owned()),
        ("https://x/{crate}-{version}.crate", "https://x/MyCrate-1.0.0-a+b.crate".to_owned()),
        ("https://x/{prefix}/{lowerprefix}/{crate}", "https://x/My/Cr/my/cr/MyCrate".to_owned()),
        ("https://x/{sha256-checksum}", format!("https://x/{SUM}")),
    ] {
        let config = RegistryConfig { dl: dl.to_owned(), api: None, auth_required: false };
        assert_eq!(SparseIndex::download_url(&config, id, SUM), url);
    }
}
