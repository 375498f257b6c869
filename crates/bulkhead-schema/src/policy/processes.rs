//! The parts of a policy about processes: their limits, what `run --confined` and `test --confined` may do, and files that
//! are fetched for build scripts.

use std::path::PathBuf;

use semver::VersionReq;

use super::{Bounds, Digest, GitLimits, NetworkRule, Reader, ResolveLimits};
use crate::config::{Data, Entry, Node};
use crate::{Diagnostic, PackageName};

/// `[limits]`. Missing values are the defaults of the executor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// What stands in `[limits]` itself: of every process.
    pub every: ProcessLimits,
    /// `[limits.build-script]`
    pub build_script: ProcessLimits,
    /// `[limits.rustc]`, for rustdoc too
    pub rustc: ProcessLimits,
    /// `[limits.run]`
    pub run: ProcessLimits,
    /// `[limits.test]`
    pub test: ProcessLimits,
    /// `[limits.resolve]`
    pub resolve: ResolveLimits,
    /// `[limits.git]`
    pub git: GitLimits,
}

impl Limits {
    /// The tables for kinds of processes, and their names in the file.
    pub fn kinds(&mut self) -> [(&'static str, &mut ProcessLimits); 4] {
        let Self { build_script, rustc, run, test, .. } = self;
        [("build-script", build_script), ("rustc", rustc), ("run", run), ("test", test)]
    }
}

/// What one process, with all that it starts, may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// `memory-mib`, of each process that it starts
    pub memory_mib: Option<u64>,
    /// `total-memory-mib`, of all of them together
    pub total_memory_mib: Option<u64>,
    /// `time-seconds`, on the clock
    pub time_seconds: Option<u64>,
    /// `cpu-seconds` of processor time, of each process that it starts
    pub cpu_seconds: Option<u64>,
    /// `output-mib`, on standard output and error together
    pub output_mib: Option<u64>,
    /// `processes` and threads at once
    pub processes: Option<u64>,
    /// `open-files` at once, of each process that it starts
    pub open_files: Option<u64>,
    /// `file-mib`: the largest file that may be written
    pub file_mib: Option<u64>,
    /// `files` and folders that a build script may leave in its `OUT_DIR`
    pub files: Option<u64>,
    /// `disk-mib`: what they may hold together
    pub disk_mib: Option<u64>,
}

impl Bounds for ProcessLimits {
    fn fields(&mut self) -> Vec<(&'static str, &mut Option<u64>)> {
        vec![
            ("memory-mib", &mut self.memory_mib),
            ("total-memory-mib", &mut self.total_memory_mib),
            ("time-seconds", &mut self.time_seconds),
            ("cpu-seconds", &mut self.cpu_seconds),
            ("output-mib", &mut self.output_mib),
            ("processes", &mut self.processes),
            ("open-files", &mut self.open_files),
            ("file-mib", &mut self.file_mib),
            ("files", &mut self.files),
            ("disk-mib", &mut self.disk_mib),
        ]
    }
}

impl ProcessLimits {
    /// These where they say something, else `general`.
    pub fn or(mut self, mut general: Self) -> Self {
        for ((_, own), (_, general)) in self.fields().into_iter().zip(general.fields()) {
            *own = own.or(*general);
        }
        self
    }
}

/// `[run]` or `[test]`: what a confined program may do beyond the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramRules {
    /// Whether programs have to be confined, be `--confined` said or not.
    pub confined: bool,
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files and folders that may be written.
    pub write: Vec<PathBuf>,
    /// Environment variables that are passed on.
    pub env: Vec<String>,
    /// The network that may be used.
    pub network: NetworkRule,
}

impl ProgramRules {
    /// Whether anything is allowed beyond the defaults.
    pub fn opens_something(&self) -> bool {
        *self != Self { confined: self.confined, ..Self::default() }
    }
}

/// `[[prefetch]]`: a file that Bulkhead fetches and verifies, and shows to a build script.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefetch {
    /// The package whose build script sees it.
    pub package: PackageName,
    /// Which versions; without a `version`, every one.
    pub version: VersionReq,
    /// Where it is fetched from, over HTTPS.
    pub url: String,
    /// What it has to be.
    pub sha256: Digest,
    /// The name under which the script finds it.
    pub file: String,
    /// The variable that holds its path.
    pub env: String,
    /// Why. For people.
    pub reason: Option<String>,
}

/// Most `[[prefetch]]` tables of one file.
const MAX_PREFETCH: usize = 1000;
const MAX_URL: usize = 2048;

impl Reader<'_> {
    pub(super) fn limits(&self, entry: &Entry) -> Result<Limits, Diagnostic> {
        let mut limits = Limits::default();
        for (key, entry) in self.table(entry, "limits")? {
            if key == "resolve" {
                limits.resolve = self.bounds(entry, "limits.resolve")?;
            } else if key == "git" {
                limits.git = self.bounds(entry, "limits.git")?;
            } else if let Some((_, kind)) = limits.kinds().into_iter().find(|(name, _)| name == key) {
                *kind = self.bounds(entry, key)?;
            } else {
                self.bound(&mut limits.every, key, entry)?;
            }
        }
        Ok(limits)
    }

    pub(super) fn program(&self, entry: &Entry, key: &str) -> Result<ProgramRules, Diagnostic> {
        let mut rules = ProgramRules::default();
        for (key, entry) in self.table(entry, key)? {
            match key.as_str() {
                "confined" => match entry.node.data {
                    Data::Boolean(confined) => rules.confined = confined,
                    _ => return Err(self.wrong(entry, key, "a boolean")),
                },
                "read" => rules.read = self.paths(entry, key)?,
                "write" => rules.write = self.paths(entry, key)?,
                "env" => rules.env = self.strings(entry, key)?,
                "network" => rules.network = self.network(entry, key)?,
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(rules)
    }

    pub(super) fn prefetches(&self, entry: &Entry, key: &str) -> Result<Vec<Prefetch>, Diagnostic> {
        let tables = entry.node.as_list().ok_or_else(|| self.wrong(entry, key, "an array of tables"))?;
        if tables.len() > MAX_PREFETCH {
            return Err(self.error(&entry.key_span, format!("more than {MAX_PREFETCH} entries")));
        }
        let mut all: Vec<Prefetch> = Vec::new();
        for node in tables {
            let one = self.prefetch(node)?;
            let same = all
                .iter()
                .any(|other| other.package == one.package && (other.env == one.env || other.file == one.file));
            if same {
                let message = format!("two files for `{}` have the same `file` or `env`", one.package);
                return Err(self.error(&node.span, message));
            }
            all.push(one);
        }
        Ok(all)
    }

    fn prefetch(&self, node: &Node) -> Result<Prefetch, Diagnostic> {
        let table =
            node.as_table().ok_or_else(|| self.error(&node.span, "`prefetch` is an array of tables".to_owned()))?;
        let (mut package, mut version, mut url, mut sha256, mut file, mut env, mut reason) =
            (None, VersionReq::STAR, None, None, None, None, None);
        for (key, entry) in table {
            let refuse = |expected: String| self.error(&entry.node.span, expected);
            match key.as_str() {
                "package" => {
                    let name = PackageName::local(&self.string(entry, key)?);
                    package = Some(name.map_err(|error| refuse(format!("`package`: {error}")))?);
                }
                "version" => version = self.version(entry)?,
                "url" => url = Some(self.https(entry, key)?),
                "sha256" => {
                    let digest = Digest::parse(&format!("sha256:{}", self.string(entry, key)?));
                    let expected = "`sha256` is 64 hexadecimal digits in lower case";
                    sha256 = Some(digest.ok_or_else(|| refuse(expected.to_owned()))?);
                }
                "file" => {
                    let name = Some(self.string(entry, key)?).filter(|name| is_file_name(name));
                    let expected = "`file` is a plain name: letters, digits, `.`, `-`, `_`, `+`";
                    file = Some(name.ok_or_else(|| refuse(expected.to_owned()))?);
                }
                "env" => {
                    let name = Some(self.string(entry, key)?).filter(|name| is_own_variable(name));
                    let expected = "`env` is a name of capital letters, digits and `_` that no tool takes for its own";
                    env = Some(name.ok_or_else(|| refuse(expected.to_owned()))?);
                }
                "reason" => reason = Some(self.string(entry, key)?),
                _ => return Err(self.unknown(key, entry)),
            }
        }
        let missing = |what: &str| self.error(&node.span, format!("a file to fetch names its `{what}`"));
        let url = url.ok_or_else(|| missing("url"))?;
        Ok(Prefetch {
            package: package.ok_or_else(|| missing("package"))?,
            version,
            sha256: sha256.ok_or_else(|| missing("sha256"))?,
            file: file.ok_or_else(|| missing("file"))?,
            env: env.ok_or_else(|| missing("env"))?,
            reason,
            url,
        })
    }

    /// An address over HTTPS, without a password. Plain HTTP on this machine is decided by whoever fetches.
    fn https(&self, entry: &Entry, key: &str) -> Result<String, Diagnostic> {
        let text = self.string(entry, key)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://127.0.0.1:"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        let plain = text.len() <= MAX_URL && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || host.is_empty() || host.contains('@') {
            let message =
                format!("`{key}` is an address such as `https://example.com/file.tar.gz`, without a user name");
            return Err(self.error(&entry.node.span, message));
        }
        Ok(text)
    }
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    !name.is_empty() && name.len() <= 128 && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

fn is_own_variable(name: &str) -> bool {
    let plain = name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    let taken =
        super::chooses_programs(name) || name.starts_with("CARGO") || name.starts_with("DEP_") || name == "OUT_DIR";
    plain && name.len() <= 128 && name.starts_with(|c: char| c.is_ascii_uppercase()) && !taken
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, parse_policy};
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<Policy, String> {
        parse_policy(Path::new("bulkhead.toml"), &Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_those_of_the_kind_and_else_the_general_ones() {
        let text = "[limits]\nmemory-mib = 9\nprocesses = 3\n[limits.build-script]\nmemory-mib = 5\nfiles = 10\n[limits.test]\ncpu-seconds = 1";
        let limits = parsed(text).unwrap().limits;
        let script = limits.build_script.or(limits.every);
        assert_eq!((script.memory_mib, script.processes, script.files), (Some(5), Some(3), Some(10)));
        assert_eq!(limits.rustc.or(limits.every).memory_mib, Some(9));
        assert_eq!(limits.test.cpu_seconds, Some(1));
    }

    #[test]
    fn files_to_fetch_are_pinned_and_named_plainly() {
        let whole = |change: (&str, &str)| {
            let digest = "0a".repeat(32);
            let text = format!(
                "[[prefetch]]\npackage = 'x'\nurl = 'https://example.com/a?b'\nsha256 = '{digest}'\nfile = 'a.tar.gz'\nenv = 'X_FILE'"
            );
            parsed(&text.replace(change.0, change.1))
        };
        let policy = whole(("", "")).unwrap();
        assert_eq!((policy.prefetch[0].file.as_str(), policy.prefetch[0].env.as_str()), ("a.tar.gz", "X_FILE"));
        for (change, message) in [
            (("https://", "http://"), "`url` is an address"),
            (("https://", "https://user@"), "`url` is an address"),
            (("https://example.com", "file:///etc"), "`url` is an address"),
            (("a.tar.gz", "../a"), "`file` is a plain name"),
            (("a.tar.gz", ".a"), "`file` is a plain name"),
            (("X_FILE", "RUSTC_WRAPPER"), "`env` is a name"),
            (("X_FILE", "LD_PRELOAD"), "`env` is a name"),
            (("X_FILE", "CARGO_X"), "`env` is a name"),
            (("0a0a", "0A0A"), "64 hexadecimal digits"),
            (("env = 'X_FILE'", ""), "names its `env`"),
            (("package = 'x'", "package = '../x'"), "`package`"),
        ] {
            let error = whole(change).unwrap_err();
            assert!(error.contains(message), "{change:?}: {error}");
        }
    }

    #[test]
    fn programs_have_rules_of_their_own() {
        let policy =
            parsed("[run]\nread=['/data']\nnetwork=['a.example:1']\n[test]\nwrite=['snapshots']\nenv=['X']").unwrap();
        assert_eq!(policy.run.read, [Path::new("/data")]);
        assert_eq!(policy.test.env, ["X"]);
        assert!(parsed("[test]\nrun=1").unwrap_err().contains("unknown key `run`"));
        assert!(parsed("[run]\nnetwork=['*:1']").unwrap_err().contains("without patterns"));
    }
}
