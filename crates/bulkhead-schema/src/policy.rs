//! `bulkhead.toml` and the policies of user and organisation, and the record of trusted files: parsing and printing.
//!
//! What the rules mean is decided in `bulkhead-policy`.

mod age;
mod build_code;
mod keys;
mod network;
mod packages;
mod processes;
mod review;
mod switches;
mod unit_cache;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::VersionReq;

use crate::Diagnostic;
use crate::config::{Data, Entry, Node, Table, parse};

pub use age::{AgeExemption, PublishAgeRules};
pub use build_code::{BuildCodeLevel, BuildCodeOverride, BuildCodeRules};
pub use keys::{POLICY_KEYS, PolicyKey, PolicyKind, find_policy_key};
pub use network::{Endpoint, NetworkRule};
pub use packages::{
    Bounds, GitLimits, Lookalikes, NamePattern, Reaction, Reservation, ResolveLimits, SourceRules, Withdrawn,
    canonical_name,
};
pub use processes::{Limits, Prefetch, ProcessLimits, ProgramRules};
pub use switches::Switch;
pub use unit_cache::UnitCacheRules;

pub use review::{ReviewRules, Weight};

/// One policy file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// `[[grant]]`, in the order of the file.
    pub grants: Vec<Grant>,
    /// `[limits]`
    pub limits: Limits,
    /// `[sandbox] level`
    pub sandbox_level: Option<SandboxLevel>,
    /// `[build-code]`
    pub build_code: BuildCodeRules,
    /// `[publish-age]`
    pub publish_age: PublishAgeRules,
    /// `[[reserve]]`, in the order of the file.
    pub reservations: Vec<Reservation>,
    /// `[sources]`
    pub sources: SourceRules,
    /// `[lookalikes]`
    pub lookalikes: Lookalikes,
    /// `[withdrawn]`
    pub withdrawn: Withdrawn,
    /// `[run]`: what `run --confined` may do.
    pub run: ProgramRules,
    /// `[test]`: what `test --confined` may do.
    pub test: ProgramRules,
    /// `[unit-cache]`
    pub unit_cache: UnitCacheRules,
    /// `[[prefetch]]`, in the order of the file.
    pub prefetch: Vec<Prefetch>,
    /// `[review]`
    pub review: ReviewRules,
    /// `forbidden-variables`: what the user's environment may not loosen.
    pub forbidden_variables: Vec<Switch>,
    /// `locked`: what lower layers may not loosen, such as `grant.network` or `limits`.
    pub locked: Vec<Lock>,
}

/// What the build code of one package may do beyond the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The package's name.
    pub package: String,
    /// Which versions; without a `version`, every one.
    pub version: VersionReq,
    /// Digest of the build code, in the form of [`Digest`]. Only a package of the user's own workspace may do without.
    pub digest: Option<Digest>,
    /// Files and folders that may be read.
    pub read: Vec<PathBuf>,
    /// Files and folders that may be written.
    pub write: Vec<PathBuf>,
    /// Folders of the package's own, relative to it, that its build script may write where the user works on the package.
    pub write_in_package: Vec<PathBuf>,
    /// Environment variables that are passed on.
    pub env: Vec<String>,
    /// The network that may be used.
    pub network: NetworkRule,
    /// Directives that are obeyed: `rustc-link-arg=…`, `rustc-link-search=PATH`, `rustc-env=NAME`.
    pub directives: Vec<String>,
    /// Why. For people, who have to say it.
    pub reason: String,
    /// Byte offsets of the table in the file.
    pub span: Range<usize>,
}

impl Grant {
    /// Whether it allows nothing but what only the user's own packages can be allowed.
    pub fn is_for_checkouts(&self) -> bool {
        let elsewhere = self.read.len() + self.write.len() + self.env.len() + self.directives.len();
        !self.write_in_package.is_empty() && elsewhere == 0 && self.network == NetworkRule::None
    }
}

/// `sha256:` and 64 hexadecimal digits, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Reads the form that it is printed in.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let valid = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    /// From a SHA-256 that the caller has computed.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        let mut text = "sha256:".to_owned();
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        Self(text)
    }

    /// The text with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How strong the confinement has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SandboxLevel {
    /// `landlock`: Landlock and seccomp without namespaces, where the host refuses those.
    Landlock,
    /// `full`: namespaces as well.
    Full,
}

/// One word of `locked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// `grant`: no grants of lower layers at all.
    Grant,
    /// `grant.read`
    GrantRead,
    /// `grant.write`
    GrantWrite,
    /// `grant.env`
    GrantEnv,
    /// `grant.network`
    GrantNetwork,
    /// `grant.directives`
    GrantDirectives,
    /// `limits`
    Limits,
    /// `sandbox.level`
    SandboxLevel,
    /// `publish-age`
    PublishAge,
    /// `sources`
    Sources,
    /// `lookalikes`
    Lookalikes,
    /// `withdrawn`
    Withdrawn,
    /// `build-code`
    BuildCode,
    /// `run`
    Run,
    /// `test`
    Test,
    /// `prefetch`
    Prefetch,
}

const LOCKS: &[(&str, Lock)] = &[
    ("grant", Lock::Grant),
    ("grant.read", Lock::GrantRead),
    ("grant.write", Lock::GrantWrite),
    ("grant.env", Lock::GrantEnv),
    ("grant.network", Lock::GrantNetwork),
    ("grant.directives", Lock::GrantDirectives),
    ("limits", Lock::Limits),
    ("sandbox.level", Lock::SandboxLevel),
    ("publish-age", Lock::PublishAge),
    ("sources", Lock::Sources),
    ("lookalikes", Lock::Lookalikes),
    ("withdrawn", Lock::Withdrawn),
    ("build-code", Lock::BuildCode),
    ("run", Lock::Run),
    ("test", Lock::Test),
    ("prefetch", Lock::Prefetch),
];

/// Reads a policy file.
///
/// # Errors
/// Broken TOML, wrong types, and every unknown key: a rule that is not understood is not a rule that may be passed over.
pub fn parse_policy(path: &Path, text: &Arc<str>) -> Result<Policy, Diagnostic> {
    read_policy(&parse(path, text)?, path, text)
}

/// The same for a file that is parsed already, or for a part of it.
///
/// # Errors
/// As with [`parse_policy`].
pub fn read_policy(root: &Node, path: &Path, text: &Arc<str>) -> Result<Policy, Diagnostic> {
    read_shown(root, path, text).map_err(Diagnostic::without_secrets)
}

fn read_shown(root: &Node, path: &Path, text: &Arc<str>) -> Result<Policy, Diagnostic> {
    let reader = Reader { path, text };
    let mut policy = Policy::default();
    let Some(table) = root.as_table() else { return Ok(policy) };
    // A key that is read here has its row in `keys`.
    keys::check(table, path, text)?;
    for (key, entry) in table {
        match key.as_str() {
            "grant" => {
                let tables = entry.node.as_list().ok_or_else(|| reader.wrong(entry, key, "an array of tables"))?;
                policy.grants = tables.iter().map(|node| reader.grant(node)).collect::<Result<_, _>>()?;
            }
            "limits" => policy.limits = reader.limits(entry)?,
            "sandbox" => policy.sandbox_level = reader.sandbox(entry)?,
            "build-code" => policy.build_code = reader.build_code(entry)?,
            "publish-age" => policy.publish_age = reader.publish_age(entry)?,
            "reserve" => policy.reservations = reader.reservations(entry)?,
            "sources" => policy.sources = reader.source_rules(entry)?,
            "lookalikes" => policy.lookalikes = reader.lookalikes(entry)?,
            "withdrawn" => policy.withdrawn = reader.withdrawn(entry)?,
            "run" => policy.run = reader.program(entry, key)?,
            "test" => policy.test = reader.program(entry, key)?,
            "unit-cache" => policy.unit_cache = reader.unit_cache(entry)?,
            "prefetch" => policy.prefetch = reader.prefetches(entry, key)?,
            "review" => policy.review = reader.review(entry)?,
            "forbidden-variables" => policy.forbidden_variables = reader.forbidden_variables(entry)?,
            "locked" => policy.locked = reader.locked(entry)?,
            _ => return Err(reader.unknown(key, entry)),
        }
    }
    Ok(policy)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a Arc<str>,
}

impl Reader<'_> {
    fn error(&self, span: &Range<usize>, message: String) -> Diagnostic {
        Diagnostic::error("policy", message).at(self.path, self.text, span.clone())
    }

    fn wrong(&self, entry: &Entry, key: &str, expected: &str) -> Diagnostic {
        self.error(&entry.node.span, format!("`{key}` is {expected}, not a {}", entry.node.data.kind()))
    }

    fn unknown(&self, key: &str, entry: &Entry) -> Diagnostic {
        self.error(&entry.key_span, format!("unknown key `{key}`"))
    }

    fn table<'a>(&self, entry: &'a Entry, key: &str) -> Result<&'a Table, Diagnostic> {
        entry.node.as_table().ok_or_else(|| self.wrong(entry, key, "a table"))
    }

    fn string(&self, entry: &Entry, key: &str) -> Result<String, Diagnostic> {
        entry.node.as_str().map(str::to_owned).ok_or_else(|| self.wrong(entry, key, "a string"))
    }

    fn strings(&self, entry: &Entry, key: &str) -> Result<Vec<String>, Diagnostic> {
        let wrong = || self.wrong(entry, key, "an array of strings");
        let list = entry.node.as_list().ok_or_else(wrong)?;
        list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    fn paths(&self, entry: &Entry, key: &str) -> Result<Vec<PathBuf>, Diagnostic> {
        let paths: Vec<PathBuf> = self.strings(entry, key)?.into_iter().map(PathBuf::from).collect();
        match paths.iter().find(|path| path.components().any(|part| part == std::path::Component::ParentDir)) {
            Some(bad) => Err(self.error(&entry.node.span, format!("`{}` must not contain `..`", bad.display()))),
            None => Ok(paths),
        }
    }

    /// Folders in a package. What begins with a dot belongs to tools that do what is written there (`.git`, `.cargo`).
    fn inner_folders(&self, entry: &Entry, key: &str) -> Result<Vec<PathBuf>, Diagnostic> {
        let folders = self.strings(entry, key)?;
        let is_plain = |name: &str| !name.is_empty() && !name.starts_with('.');
        match folders.iter().find(|folder| !folder.split('/').all(is_plain)) {
            Some(bad) => {
                let rule = "it names folders in the package, relative to it, and none that begin with a dot";
                Err(self.error(&entry.node.span, format!("`{key}` must not contain `{bad}`: {rule}")))
            }
            None => Ok(folders.into_iter().map(PathBuf::from).collect()),
        }
    }

    fn grant(&self, node: &Node) -> Result<Grant, Diagnostic> {
        let table =
            node.as_table().ok_or_else(|| self.error(&node.span, "`grant` is an array of tables".to_owned()))?;
        let mut grant = Grant {
            package: String::new(),
            version: VersionReq::STAR,
            digest: None,
            read: Vec::new(),
            write: Vec::new(),
            write_in_package: Vec::new(),
            env: Vec::new(),
            network: NetworkRule::None,
            directives: Vec::new(),
            reason: String::new(),
            span: node.span.clone(),
        };
        for (key, entry) in table {
            match key.as_str() {
                "package" => grant.package = self.string(entry, key)?,
                "version" => grant.version = self.version(entry)?,
                "digest" => grant.digest = Some(self.digest(entry)?),
                "read" => grant.read = self.paths(entry, key)?,
                "write" => grant.write = self.paths(entry, key)?,
                "write-in-package" => grant.write_in_package = self.inner_folders(entry, key)?,
                "env" => grant.env = self.strings(entry, key)?,
                "network" => grant.network = self.network(entry, key)?,
                "directives" => grant.directives = self.strings(entry, key)?,
                "reason" => grant.reason = self.reason(entry)?,
                _ => return Err(self.unknown(key, entry)),
            }
        }
        if grant.package.is_empty() {
            return Err(self.error(&node.span, "a grant names its `package`".to_owned()));
        }
        if grant.reason.is_empty() {
            return Err(self.error(&node.span, "a grant has a `reason`: say why this package needs it".to_owned()));
        }
        Ok(grant)
    }

    /// A text that says something.
    fn reason(&self, entry: &Entry) -> Result<String, Diagnostic> {
        let text = self.string(entry, "reason")?;
        if text.chars().any(char::is_alphanumeric) {
            return Ok(text);
        }
        Err(self.error(&entry.node.span, "`reason` is empty: say why this package needs it".to_owned()))
    }

    fn version(&self, entry: &Entry) -> Result<VersionReq, Diagnostic> {
        let text = self.string(entry, "version")?;
        VersionReq::parse(&text)
            .map_err(|error| self.error(&entry.node.span, format!("`version` is no requirement: {error}")))
    }

    fn digest(&self, entry: &Entry) -> Result<Digest, Diagnostic> {
        let text = self.string(entry, "digest")?;
        let expected = "`digest` is `sha256:` and 64 hexadecimal digits in lower case";
        Digest::parse(&text).ok_or_else(|| self.error(&entry.node.span, expected.to_owned()))
    }

    fn sandbox(&self, entry: &Entry) -> Result<Option<SandboxLevel>, Diagnostic> {
        let mut level = None;
        for (key, entry) in self.table(entry, "sandbox")? {
            level = match (key.as_str(), entry.node.as_str()) {
                ("level", Some("full")) => Some(SandboxLevel::Full),
                ("level", Some("landlock")) => Some(SandboxLevel::Landlock),
                ("level", _) => return Err(self.error(&entry.node.span, "`level` is `full` or `landlock`".to_owned())),
                _ => return Err(self.unknown(key, entry)),
            };
        }
        Ok(level)
    }

    fn locked(&self, entry: &Entry) -> Result<Vec<Lock>, Diagnostic> {
        let words = self.strings(entry, "locked")?;
        let lock = |word: &String| LOCKS.iter().find(|(name, _)| name == word).map(|&(_, lock)| lock);
        words
            .iter()
            .map(|word| {
                lock(word).ok_or_else(|| self.error(&entry.node.span, format!("nothing called `{word}` can be locked")))
            })
            .collect()
    }
}

/// The files that the user has looked at and trusts, each exactly as it was: a changed file is a stranger again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustRecord {
    /// Sorted by path; one entry for each.
    files: std::collections::BTreeMap<String, Digest>,
}

impl TrustRecord {
    /// Reads the record.
    ///
    /// # Errors
    /// Anything but the form that [`TrustRecord`] prints: it is written by no one else.
    pub fn parse(path: &Path, text: &Arc<str>) -> Result<Self, Diagnostic> {
        let root = parse(path, text)?;
        let reader = Reader { path, text };
        let mut record = Self::default();
        for (key, entry) in root.as_table().into_iter().flatten() {
            match (key.as_str(), &entry.node.data) {
                ("version", Data::Integer(1)) => {}
                ("files", Data::Table(files)) => {
                    for (file, entry) in files {
                        record.files.insert(file.clone(), reader.digest(entry)?);
                    }
                }
                _ => return Err(reader.unknown(key, entry)),
            }
        }
        Ok(record)
    }

    /// Whether exactly this content of `file` (absolute) is trusted.
    pub fn contains(&self, file: &Path, digest: &Digest) -> bool {
        file.to_str().and_then(|file| self.files.get(file)) == Some(digest)
    }

    /// Trusts this content of `file`, instead of any earlier one. `false` if the path is not UTF-8, and so not recorded.
    pub fn insert(&mut self, file: &Path, digest: Digest) -> bool {
        file.to_str().map(|file| self.files.insert(file.to_owned(), digest)).is_some()
    }

    /// Trusts no content of `file` any more; says whether it was trusted.
    pub fn remove(&mut self, file: &Path) -> bool {
        file.to_str().is_some_and(|file| self.files.remove(file).is_some())
    }

    /// The files and their digests.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.files.iter().map(|(file, digest)| (file.as_str(), digest))
    }
}

/// The content of the record's file.
impl fmt::Display for TrustRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `bulkhead trust`.\nversion = 1\n\n[files]")?;
        self.files.iter().try_for_each(|(file, digest)| writeln!(f, "{} = \"{digest}\"", toml_string(file)))
    }
}

/// `text` as a TOML string in quotes. Everything that could hide or forge something on a terminal is escaped too.
pub fn toml_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c > '\u{FFFF}' && hides_text(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c if c.is_control() || hides_text(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character changes how the text around it is shown without being seen itself: bidirectional controls,
/// zero-width characters, line and paragraph separators.
pub fn hides_text(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
        // Letters without a shape, annotations, and tags, in which whole sentences can be hidden.
        || matches!(c, '\u{00AD}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{3164}' | '\u{FFA0}')
        || matches!(c, '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Variables of which each chooses programs, libraries or places by itself.
const CHOOSING: &[&str] = &[
    "BASH_ENV",
    "CARGO",
    "CARGO_HOME",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "COMPILER_PATH",
    "DEPENDENCIES_OUTPUT",
    "ENV",
    "GCC_EXEC_PREFIX",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOME",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "MAKEFLAGS",
    "NODE_OPTIONS",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "RUST_TARGET_PATH",
    "SHELL",
    "SSH_ASKPASS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SUNPRO_DEPENDENCIES",
    "TMPDIR",
];

/// How the names of others begin that do.
const CHOOSING_PREFIXES: &[&str] = &[
    "BULKHEAD_",
    "CARGO_ALIAS_",
    "CARGO_BUILD_",
    "CARGO_ENCODED_",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_TARGET_",
    "DYLD_",
    "GIT_ASKPASS",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PROXY",
    "GIT_SSH",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "LD_",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_",
];

/// Banners such as `RUSTC_VERSION` are data that programs show; rustc reads none of them.
const BANNERS: &[&str] =
    &["RUSTC_CHANNEL", "RUSTC_COMMIT", "RUSTC_HOST", "RUSTC_SEMVER", "RUSTC_TARGET", "RUSTC_VERSION"];

/// Whether an environment variable decides which programs or libraries other programs load, or where they connect: not
/// to be set by a project's `[env]` nor by a build script.
pub fn chooses_programs(variable: &str) -> bool {
    let name = variable.to_ascii_uppercase();
    if BANNERS.iter().any(|banner| name.starts_with(banner)) {
        return false;
    }
    CHOOSING.contains(&name.as_str())
        || CHOOSING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with("_PROXY")
        || name.ends_with("_LINKER")
        || name.contains(['\0', '=', '\n'])
        || name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{Digest, TrustRecord, chooses_programs, parse_policy, toml_string};
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<super::Policy, String> {
        parse_policy(Path::new("bulkhead.toml"), &Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_is_read_whole() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let text = format!(
            r#"
            locked = ["grant.network", "sandbox.level"]
            [sandbox]
            level = "landlock"
            [limits]
            memory-mib = 100
            [[grant]]
            package = "x"
            version = "=1.2.3"
            digest = "{digest}"
            read = ["/etc/x"]
            env = ["X"]
            network = true
            directives = ["rustc-link-arg=-s"]
            reason = "because"
            "#
        );
        let policy = parsed(&text).unwrap();
        assert_eq!(policy.grants[0].digest, Digest::parse(&digest));
        assert!(
            policy.grants[0].network == super::NetworkRule::All
                && policy.locked.len() == 2
                && policy.limits.every.memory_mib == Some(100)
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, message) in [
            ("[[grant]]\npackage='x'\nnetwrk=true", "bulkhead.toml:3:1: unknown key `netwrk`"),
            ("[[grant]]\nnetwork=true", "a grant names its `package`"),
            ("[[grant]]\npackage='x'\nnetwork=true", "bulkhead.toml:1:1: a grant has a `reason`"),
            ("[[grant]]\npackage='x'\nreason=' - '", "bulkhead.toml:3:8: `reason` is empty"),
            ("[[grant]]\npackage='x'\nread=['/a/../b']", "must not contain `..`"),
            (
                "[[grant]]\npackage='x'\nwrite-in-package=['man', '../x']",
                "must not contain `../x`: it names folders in",
            ),
            ("[[grant]]\npackage='x'\nwrite-in-package=['/man']", "must not contain `/man`"),
            ("[[grant]]\npackage='x'\nwrite-in-package=['.']", "must not contain `.`"),
            ("[[grant]]\npackage='x'\nwrite-in-package=['']", "must not contain ``"),
            ("[[grant]]\npackage='x'\nwrite-in-package=['docs/.git']", "must not contain `docs/.git`"),
            ("[[grant]]\npackage='x'\ndigest='sha256:AB'", "64 hexadecimal digits"),
            ("[sandbox]\nlevel='none'", "`full` or `landlock`"),
            ("[limits]\nmemory-mib=0", "positive integer"),
            ("locked=['all']", "nothing called `all`"),
            ("publish-age.minimum='3'", "a number and a unit such as `3 days`"),
            ("publish-age.minimum=3", "`minimum` is a string"),
            ("[[publish-age.exempt]]\npackage='x'", "names its `package` and its `version`"),
            ("[[publish-age.exempt]]\npackage='x'\nversion='^1.2'", "one whole version"),
            ("[[publish-age.exempt]]\npackage='x'\nversion='1.2.3'\nuntil='2027'", "unknown key `until`"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn trust_binds_path_and_content() {
        let (one, two) = (Digest::from_sha256([1; 32]), Digest::from_sha256([2; 32]));
        let mut record = TrustRecord::default();
        assert!(record.insert(Path::new("/a b\"\u{202e}/.cargo/config.toml"), one.clone()));
        let text: Arc<str> = Arc::from(record.to_string());
        assert!(text.contains("\\u202E"));
        let read = TrustRecord::parse(Path::new("trust.toml"), &text).unwrap();
        assert_eq!(read, record);
        assert!(read.contains(Path::new("/a b\"\u{202e}/.cargo/config.toml"), &one));
        assert!(!read.contains(Path::new("/a b\"\u{202e}/.cargo/config.toml"), &two));
        assert!(!read.contains(Path::new("/other"), &one));
    }

    /// Attacks 21 and 107.
    #[test]
    fn loader_and_tool_variables_are_known() {
        for name in [
            "LD_PRELOAD",
            "RUSTC",
            "Path",
            "RUSTC_WRAPPER",
            "https_proxy",
            "GIT_SSH_COMMAND",
            "CARGO",
            "",
            "A=B",
            "GCC_EXEC_PREFIX",
            "Compiler_Path",
            "CCC_OVERRIDE_OPTIONS",
            "RUST_TARGET_PATH",
            "DEPENDENCIES_OUTPUT",
        ] {
            assert!(chooses_programs(name), "{name}");
        }
        for name in
            ["FOO", "GIT_HASH", "RUSTC_VERSION", "CARGO_PKG_VERSION", "CARGO_WORKSPACE_DIR", "OPENSSL_DIR", "CC"]
        {
            assert!(!chooses_programs(name), "{name}");
        }
    }

    #[test]
    fn quoted_text_reads_back() {
        let text = "a\"\\\n\t\u{1b}[2J\u{202e}\u{e0041}é";
        let quoted = toml_string(text);
        assert_eq!(toml::from_str::<toml::Table>(&format!("x = {quoted}")).unwrap()["x"].as_str(), Some(text));
    }
}
