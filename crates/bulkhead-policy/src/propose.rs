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
    /// Digest of its build code, to which a grant is pinned; `None` for members of the workspace.
    pub digest: Option<Digest>,
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
/// Nobody should paste them without a look, so that the reason is left to be filled in.
pub fn propose(denials: &[Denial]) -> String {
    let mut packages: BTreeMap<(&str, &Version, Option<&Digest>), Lines> = BTreeMap::new();
    for denial in denials {
        let key = (denial.package.as_str(), &denial.version, denial.digest.as_ref());
        let lines = packages.entry(key).or_default();
        lines.add(&denial.what);
    }
    let tables: Vec<String> = packages.into_iter().map(|(key, lines)| table(key, lines)).collect();
    tables.join("\n")
}

/// The table of `bulkhead.toml` (`run` or `test`) that would allow what a confined program asked for.
pub fn propose_program(table: &str, denied: &[Denied]) -> String {
    let mut lines = Lines::default();
    denied.iter().for_each(|what| lines.add(what));
    lines.directives.clear();
    format!("[{table}]\n{}", lines.text())
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

fn table((package, version, digest): (&str, &Version, Option<&Digest>), mut lines: Lines) -> String {
    let mut text = format!("[[grant]]\npackage = {}\n", toml_string(package));
    let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
    if let Some(digest) = digest {
        line("version", format!("\"={version}\""));
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
    use super::{Denial, Denied, propose};
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
            what,
        };
        let text = propose(&[
            denial("z", Some(1), Denied::Read("/home/x/\u{1b}[2J\"".into())),
            denial("z", Some(1), Denied::Network("127.0.0.1:80".to_owned())),
            denial("a", None, Denied::Environment("FOO".to_owned())),
            denial("z", Some(1), Denied::Read("/etc/shadow".into())),
            denial("z", Some(1), Denied::Read("/etc/shadow".into())),
            denial("z", Some(1), Denied::Directive("rustc-link-arg=-fuse-ld=x".to_owned())),
        ]);
        expect![[r#"
            [[grant]]
            package = "a"
            env = ["FOO"]
            reason = "" # say why

            [[grant]]
            package = "z"
            version = "=1.2.3"
            digest = "sha256:0101010101010101010101010101010101010101010101010101010101010101"
            read = ["/etc/shadow", "/home/x/\u001B[2J\""]
            directives = ["rustc-link-arg=-fuse-ld=x"]
            network = true
            reason = "" # say why
        "#]]
        .assert_eq(&text);
        assert_eq!(parse_policy(Path::new("bulkhead.toml"), &Arc::from(text)).unwrap().grants.len(), 2);
    }
}
