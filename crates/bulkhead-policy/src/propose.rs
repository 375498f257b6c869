//! What was denied, and the lines for `bulkhead.toml` that would grant it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulkhead_schema::policy::{Digest, toml_string};
use semver::Version;

/// Something that the build code of a package asked for and did not get.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: Version,
    /// Digest of its build code, to which a grant is pinned. Only a package of the user's own may have none.
    pub digest: Option<Digest>,
    /// Whether it is the user's own, whose version says nothing about what it holds.
    pub own: bool,
    /// What it asked for.
    pub what: Denied,
}

/// What was asked for. Untrusted text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// To read or execute this path.
    Read(PathBuf),
    /// To write this path.
    Write(PathBuf),
    /// To see this environment variable.
    Environment(String),
    /// To use the network, for this address.
    Network(String),
    /// To reach this host and port through the proxy.
    Host(String),
    /// To have this directive obeyed, as in [`crate::Refusal::directive`].
    Directive(String),
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(path) => write!(f, "read {}", path.display()),
            Self::Write(path) => write!(f, "write {}", path.display()),
            Self::Environment(name) => write!(f, "see the variable {name}"),
            Self::Network(address) | Self::Host(address) => write!(f, "connect {address}"),
            Self::Directive(text) => write!(f, "say {text}"),
        }
    }
}

impl Denied {
    /// The path, if it was one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read(path) | Self::Write(path) => Some(path),
            Self::Environment(_) | Self::Network(_) | Self::Host(_) | Self::Directive(_) => None,
        }
    }
}

#[derive(Default)]
struct Lines {
    read: Vec<String>,
    write: Vec<String>,
    env: Vec<String>,
    network: Vec<String>,
    hosts: Vec<String>,
    directives: Vec<String>,
}

/// The `[[grant]]` tables that would allow all of `denials`: one for each package and digest, sorted, without doubles.
/// Nobody should paste them without a look, so that the reason is left to be filled in. What `is_secret` is left out (see
/// [`crate::Secrets`]), so that nobody hands one out for want of a look.
pub fn propose(denials: &[Denial], is_secret: impl Fn(&Denied) -> bool) -> String {
    let mut packages: BTreeMap<Key<'_>, Lines> = BTreeMap::new();
    for denial in denials.iter().filter(|denial| !is_secret(&denial.what)) {
        let key = (denial.package.as_str(), Some(&denial.version).filter(|_| !denial.own), denial.digest.as_ref());
        let lines = packages.entry(key).or_default();
        lines.add(&denial.what);
    }
    let tables: Vec<String> = packages.into_iter().map(|(key, lines)| table(key, lines)).collect();
    tables.join("\n")
}

/// The table of `bulkhead.toml` (`run` or `test`) that would allow what a confined program asked for; nothing where all of it
/// looks like secrets.
pub fn propose_program(table: &str, denied: &[Denied], is_secret: impl Fn(&Denied) -> bool) -> String {
    let mut lines = Lines::default();
    denied.iter().filter(|what| !is_secret(what)).for_each(|what| lines.add(what));
    lines.directives.clear();
    let text = lines.text();
    if text.is_empty() { text } else { format!("[{table}]\n{text}") }
}

impl Lines {
    fn add(&mut self, what: &Denied) {
        let (list, text) = match what {
            Denied::Read(path) => (&mut self.read, path.to_string_lossy().into_owned()),
            Denied::Write(path) => (&mut self.write, path.to_string_lossy().into_owned()),
            Denied::Environment(name) => (&mut self.env, name.clone()),
            Denied::Network(address) => (&mut self.network, address.clone()),
            Denied::Host(host) => (&mut self.hosts, host.clone()),
            Denied::Directive(text) => (&mut self.directives, text.clone()),
        };
        list.push(text);
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
        let lists = [
            ("read", &mut self.read),
            ("write", &mut self.write),
            ("env", &mut self.env),
            ("directives", &mut self.directives),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                line(key, array(list));
            }
        }
        // An address that was asked for past the proxy is only to be had with the whole network.
        if !self.network.is_empty() {
            line("network", "true".to_owned());
        } else if !self.hosts.is_empty() {
            line("network", array(&mut self.hosts));
        }
        text
    }
}

/// A package, the version that is meant, and the digest of its build code.
type Key<'a> = (&'a str, Option<&'a Version>, Option<&'a Digest>);

fn table((package, version, digest): Key<'_>, mut lines: Lines) -> String {
    let mut text = format!("[[grant]]\npackage = {}\n", toml_string(package));
    let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
    if let Some(version) = version {
        line("version", format!("\"={version}\""));
    }
    if let Some(digest) = digest {
        line("digest", format!("\"{digest}\""));
    }
    text.push_str(&lines.text());
    text.push_str("reason = \"\" # say why\n");
    text
}

fn array(list: &mut Vec<String>) -> String {
    list.sort();
    list.dedup();
    let items: Vec<String> = list.iter().map(|item| toml_string(item)).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{Denial, Denied, propose, propose_program};
    use crate::Secrets;
    use bulkhead_schema::policy::{Digest, parse_policy};
    use expect_test::expect;
    use semver::Version;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn proposals_are_valid_policies() {
        let denial = |package: &str, digest: Option<u8>, what| Denial {
            package: package.to_owned(),
            version: Version::new(1, 2, 3),
            digest: digest.map(|byte| Digest::from_sha256([byte; 32])),
            own: package == "a",
            what,
        };
        let secrets = Secrets::new(None, Path::new("/b"), Path::new("/c"));
        let denials = [
            denial("z", Some(1), Denied::Read("/home/x/\u{1b}[2J\"".into())),
            denial("z", Some(1), Denied::Network("127.0.0.1:80".to_owned())),
            denial("a", None, Denied::Environment("FOO".to_owned())),
            denial("z", Some(1), Denied::Read("/opt/z".into())),
            denial("z", Some(1), Denied::Read("/opt/z".into())),
            denial("z", Some(1), Denied::Read("/etc/shadow".into())),
            denial("only-secrets", Some(1), Denied::Environment("NPM_TOKEN".to_owned())),
            denial("z", Some(1), Denied::Directive("rustc-link-arg=-fuse-ld=x".to_owned())),
        ];
        let text = propose(&denials, |what| secrets.hold(what));
        expect![[r#"
            [[grant]]
            package = "a"
            env = ["FOO"]
            reason = "" # say why

            [[grant]]
            package = "z"
            version = "=1.2.3"
            digest = "sha256:0101010101010101010101010101010101010101010101010101010101010101"
            read = ["/home/x/\u001B[2J\"", "/opt/z"]
            directives = ["rustc-link-arg=-fuse-ld=x"]
            network = true
            reason = "" # say why
        "#]]
        .assert_eq(&text);
        let parse = |text: String| parse_policy(Path::new("bulkhead.toml"), &Arc::from(text));
        // A proposal is no grant before somebody has said why.
        assert!(parse(text.clone()).unwrap_err().to_string().contains("`reason`"));
        assert_eq!(parse(text.replace("reason = \"\"", "reason = \"x\"")).unwrap().grants.len(), 2);
        let asked = [Denied::Read("/opt/z".into()), Denied::Read("/etc/shadow".into())];
        assert_eq!(propose_program("run", &asked, |what| secrets.hold(what)), "[run]\nread = [\"/opt/z\"]\n");
        assert_eq!(propose_program("run", &asked[1..], |what| secrets.hold(what)), "");
    }
}
