//! What a grant says about the network: nothing, everything, or a list of exact hosts.

use std::fmt;
use std::net::IpAddr;

use super::Reader;
use crate::Diagnostic;
use crate::config::{Data, Entry};

/// How much of the network is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetworkRule {
    /// None of it.
    #[default]
    None,
    /// Exactly these, through Bulkhead's own proxy, which looks their names up.
    Hosts(Vec<Endpoint>),
    /// All of it.
    All,
}

impl NetworkRule {
    /// What both together open.
    pub fn and(self, other: NetworkRule) -> NetworkRule {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, rule) | (rule, Self::None) => rule,
            (Self::Hosts(mut hosts), Self::Hosts(more)) => {
                hosts.extend(more);
                hosts.sort();
                hosts.dedup();
                Self::Hosts(hosts)
            }
        }
    }
}

/// One host and one port, such as `example.com:443`. No pattern: a host is named whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads `host:port`, where the host is a name in lower case, an IPv4 address, or an IPv6 address in brackets. `None` for
    /// anything else, patterns and the port 0 included.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let canonical = !port.starts_with(['0', '+']);
        let port = port.parse().ok().filter(|_| canonical)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None => is_host(host).then(|| host.to_owned())?,
        };
        Some(Self { host, port })
    }

    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A name as DNS has it, in the one spelling that is compared, or an IPv4 address in its usual form.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let is_name = host.len() <= 253 && host.split('.').all(label);
    // What ends in a number is an address, in whatever strange form; only the usual one is a host.
    let looks_like_address = host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    is_name && (!looks_like_address || host.parse::<IpAddr>().is_ok())
}

impl Reader<'_> {
    /// `true`, `false`, or a list of hosts.
    pub(super) fn network(&self, entry: &Entry, key: &str) -> Result<NetworkRule, Diagnostic> {
        match &entry.node.data {
            Data::Boolean(true) => Ok(NetworkRule::All),
            Data::Boolean(false) => Ok(NetworkRule::None),
            Data::List(_) => {
                let parse = |text: String| {
                    let wrong = format!(
                        "`{text}` is not a host and a port such as `example.com:443`, in lower case and without patterns"
                    );
                    Endpoint::parse(&text).ok_or_else(|| self.error(&entry.node.span, wrong))
                };
                let hosts = self.strings(entry, key)?.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
                Ok(if hosts.is_empty() { NetworkRule::None } else { NetworkRule::Hosts(hosts) })
            }
            _ => Err(self.wrong(entry, key, "a boolean or an array of hosts")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, NetworkRule};

    #[test]
    fn hosts_are_named_whole_and_in_one_spelling() {
        for text in ["example.com:443", "127.0.0.1:80", "[::1]:8080", "a_b.example:1", "localhost:65535"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "example.com",
            "example.com:0",
            "example.com:65536",
            "example.com:+1",
            "example.com:080",
            "*.example.com:443",
            "Example.com:443",
            "example.com.:443",
            "127.1:80",
            "0x7f.1:80",
            "2130706433:80",
            "::1:80",
            "[::1:80",
            "user@example.com:443",
            "https://example.com:443",
            "a b:1",
            "-a:1",
            ":443",
            "a..b:1",
            "",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_wider_of_two_rules_wins() {
        let hosts =
            |texts: &[&str]| NetworkRule::Hosts(texts.iter().filter_map(|text| Endpoint::parse(text)).collect());
        assert_eq!(hosts(&["a:1"]).and(hosts(&["b:1", "a:1"])), hosts(&["a:1", "b:1"]));
        assert_eq!(hosts(&["a:1"]).and(NetworkRule::All), NetworkRule::All);
        assert_eq!(NetworkRule::None.and(hosts(&["a:1"])), hosts(&["a:1"]));
    }
}
