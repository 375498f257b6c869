use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
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

fn cache_file(registry: &Registry) -> PathBuf {
    std::fs::read_dir(registry.cache.path()).unwrap().next().unwrap().unwrap().path().join("packages")
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa"]);
    let file = cache_file(&registry);
    let whole = std::fs::read(&file).unwrap();
    let cut = |length: usize| whole[..length].to_vec();
    for damaged in [cut(whole.len() / 2), cut(0), cut(8), cut(whole.len() - 1), b"BHCACHE0 and so on".to_vec()] {
        std::fs::write(&file, damaged).unwrap();
        let index = registry.index();
        assert!(index.cached(name("aa")).is_none());
        assert_eq!(versions(&fetch(&index, options(), &["aa"])[0]), ["1.0.0"]);
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
    assert!(registry.server.requests()[1..].iter().all(|request| request.header("if-none-match").is_none()));
}

/// An edited checksum in Cargo's cached index is believed as long as the registry says that nothing changed.
/// Attack 125.
#[test]
fn an_edited_cache_is_not_believed() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0")), ("2/bb", line("bb", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa", "bb"]);
    let file = cache_file(&registry);
    let whole = std::fs::read(&file).unwrap();
    let offline = || ClientOptions { offline: true, ..options() };
    for at in 0..whole.len() {
        let mut edited = whole.clone();
        edited[at] ^= 0x20;
        std::fs::write(&file, &edited).unwrap();
        for text in ["aa", "bb"] {
            let answers = fetch(&registry.index(), offline(), &[text]);
            let Ok(Some(index)) = &answers[0].index else { continue };
            // What is not refused at once says what the registry said, or is refused when it is looked at.
            assert_eq!(versions(&answers[0]), ["1.0.0"]);
            if let Ok(summary) = index.summary(0) {
                assert_eq!(summary.checksum.as_deref(), Some(SUM), "{at}");
                assert!(summary.dependencies.is_empty());
            }
        }
    }
}

#[test]
fn damage_that_is_found_late_is_healed_by_the_next_run() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa"]);
    let file = cache_file(&registry);
    let mut bytes = std::fs::read(&file).unwrap();
    let block = bytes.windows(7).position(|window| window == b"BHINDEX").unwrap();
    let head = u32::from_le_bytes(bytes[block + 16..block + 20].try_into().unwrap()) as usize;
    bytes[block + head] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let index = registry.index().cached(name("aa")).unwrap();
    assert!(index.summary(0).unwrap_err().message.contains("damaged"));
    assert!(registry.index().cached(name("aa")).is_none());
    let answers = fetch(&registry.index(), options(), &["aa"]);
    assert!(answers[0].index.as_ref().unwrap().as_ref().unwrap().summary(0).is_ok());
}

/// Attack 126.
#[test]
fn a_cache_that_others_could_have_written_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa"]);
    let file = cache_file(&registry);
    let whole = std::fs::read(&file).unwrap();
    let planted = registry.cache.path().join("planted");
    std::fs::write(&planted, &whole).unwrap();
    for plant in [&|| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap(), &|| {
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&planted, &file).unwrap();
    }] as [&dyn Fn(); 2]
    {
        plant();
        let index = registry.index();
        assert!(index.cached(name("aa")).is_none());
        fetch(&index, options(), &["aa"]);
        let metadata = std::fs::symlink_metadata(&file).unwrap();
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o022 == 0);
        assert!(registry.index().cached(name("aa")).is_some());
    }
    assert_eq!(std::fs::read(&planted).unwrap(), whole);
}

/// A process that is killed while it appends leaves bytes at the end of which nobody knows.
#[test]
fn what_a_killed_writer_left_is_passed_over() {
    let registry = Registry::new(&[("2/aa", line("aa", "1.0.0")), ("2/bb", line("bb", "1.0.0"))]);
    fetch(&registry.index(), options(), &["aa"]);
    let file = cache_file(&registry);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(b"BHINDEX3 half a block");
    std::fs::write(&file, &bytes).unwrap();
    assert!(registry.index().cached(name("aa")).is_some());
    fetch(&registry.index(), options(), &["bb"]);
    // And one that is killed while it writes the slot leaves the other slot.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8 + 40..8 + 60].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    let index = registry.index();
    assert!(index.cached(name("aa")).is_some() && index.cached(name("bb")).is_none());
    fetch(&registry.index(), options(), &["bb"]);
    let index = registry.index();
    assert!(index.cached(name("aa")).is_some() && index.cached(name("bb")).is_some());
}

#[test]
fn answers_that_say_the_same_are_not_written_again() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &[], line("aa", "1.0.0").as_bytes()));
    let cache = tempfile::tempdir().unwrap();
    let size = || {
        fetch(&at(&server.url(""), cache.path()), options(), &["aa"]);
        let folder = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::metadata(folder.join("packages")).unwrap().len()
    };
    assert_eq!(size(), size());
}

#[test]
fn many_writers_lose_nothing() {
    let names: Vec<String> = (0..40).map(|number| format!("n{number:02}x")).collect();
    let files: Vec<_> = names.iter().map(|name| (format!("n{}/{}/{name}", &name[1..2], &name[2..4]), name)).collect();
    let files: Vec<_> = files.iter().map(|(path, name)| (path.as_str(), line(name, "1.0.0"))).collect();
    let registry = Registry::new(&files);
    // The first makes the file; from then on each of many "processes" adds its share.
    fetch(&registry.index(), options(), &[&names[0]]);
    std::thread::scope(|scope| {
        for share in names.chunks(5) {
            let registry = &registry;
            scope.spawn(move || {
                for name in share {
                    fetch(&registry.index(), options(), &[name]);
                    assert!(registry.index().cached(self::name(name)).is_some());
                }
            });
        }
    });
    let index = registry.index();
    assert!(names.iter().all(|text| index.cached(name(text)).is_some()));
}

#[test]
fn waste_is_cleared_away() {
    let long = |number: usize| {
        let deps: Vec<String> =
            (0..2000).map(|dep| format!("{{\"name\":\"dep-{number}-{dep}\",\"req\":\"1\"}}")).collect();
        line("aa", "1.0.0").replace("[]", &format!("[{}]", deps.join(",")))
    };
    let registry = Registry::new(&[("2/aa", long(0)), ("2/bb", line("bb", "1.0.0"))]);
    fetch(&registry.index(), options(), &["bb"]);
    let mut sizes = Vec::new();
    for number in 0..150 {
        registry.set("2/aa", long(number));
        fetch(&registry.index(), options(), &["aa"]);
        sizes.push(std::fs::metadata(cache_file(&registry)).unwrap().len());
    }
    assert!(sizes.windows(2).any(|pair| pair[1] < pair[0]), "the file is written anew at times");
    assert!(sizes.iter().all(|size| *size < 8 << 20));
    let index = registry.index();
    assert_eq!(index.cached(name("aa")).unwrap().summary(0).unwrap().dependencies.len(), 2000);
    assert!(index.cached(name("bb")).is_some());
}

/// Attack 39.
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
