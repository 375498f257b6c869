//! Whatever a registry's `config.json` says, archives are asked for over https, without a user's name, or not at all.
//! The first line is the `config.json`, the second one the checksum that the index tells.
#![no_main]

use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_source::{Client, ClientOptions, RegistryConfig, SparseIndex};
use libfuzzer_sys::fuzz_target;
use url::Url;

const ROOT: &str = "https://example.org/index/";

fuzz_target!(|text: &str| {
    let (config, checksum) = text.split_once('\n').unwrap_or((text, "00"));
    let Ok(config) = RegistryConfig::parse(ROOT, config.as_bytes()) else { return };
    let name = PackageName::registry("seed").expect("a good name");
    let source = SourceId::parse("sparse+https://example.org/index/").expect("a good source");
    let id = PackageId::new(name, semver::Version::new(1, 0, 0), source);
    let named = SparseIndex::download_url(&config, id, checksum);
    // A marker has at least seven letters, and the longest that takes its place is the checksum.
    assert!(named.len() <= (config.dl.len() + 32) * (checksum.len() + 8), "{named}");
    let client = Client::new(ClientOptions::default());
    let root = ROOT.parse().expect("a good address");
    let Ok(request) = config.download(&client, source, &root, id, checksum) else { return };
    let url = Url::parse(&request.url).expect("what is asked for is an address");
    assert_eq!(url.scheme(), "https", "{url}");
    assert!(
        url.has_host() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
        "{url}"
    );
    assert!(!request.url.contains(|c: char| c.is_control() || c.is_whitespace()), "{url}");
});
