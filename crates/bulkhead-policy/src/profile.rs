//! What one process may do, as a value: which paths, variables, network and limits, and why each.
//!
//! [`compile`] turns facts into a [`Profile`]; it is the only way to one. The executor hands profiles to the sandbox, and
//! `bulkhead sandbox show` prints them, so that what is printed is what is enforced.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::policy::{NetworkRule, ProcessLimits};

/// What kind of process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessKind {
    /// The run of a build script.
    BuildScript,
    /// rustc, with the linker that it starts.
    Rustc,
    /// The linker. rustc starts it within its own confinement, so it has the profile of its rustc.
    Linker,
    /// rustdoc, with the doctests that it starts.
    Rustdoc,
    /// `rustfmt`.
    Rustfmt,
    /// A program under `run --confined`.
    Run,
    /// A test under `test --confined`.
    Test,
    /// `git`, as it fetches and reads repositories.
    Git,
    /// A program of the user's that hands out tokens or passwords.
    CredentialHelper,
}

impl ProcessKind {
    /// All, with their names on the command line.
    pub const ALL: [(&'static str, ProcessKind); 9] = [
        ("build-script", ProcessKind::BuildScript),
        ("rustc", ProcessKind::Rustc),
        ("linker", ProcessKind::Linker),
        ("rustdoc", ProcessKind::Rustdoc),
        ("rustfmt", ProcessKind::Rustfmt),
        ("run", ProcessKind::Run),
        ("test", ProcessKind::Test),
        ("git", ProcessKind::Git),
        ("credential-helper", ProcessKind::CredentialHelper),
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The table of a policy that holds the limits of such processes, and of no others.
    pub fn limits_table(self) -> &'static str {
        match self {
            Self::BuildScript => "limits.build-script",
            Self::Rustc | Self::Linker | Self::Rustdoc | Self::Rustfmt => "limits.rustc",
            Self::Run => "limits.run",
            Self::Test => "limits.test",
            Self::Git => "limits.git",
            // It has no limits that a policy could set.
            Self::CredentialHelper => "limits",
        }
    }

    /// Whether it is a program that the user starts, rather than a part of a build.
    pub fn is_program(self) -> bool {
        matches!(self, Self::Run | Self::Test)
    }

    /// Whether people may be asked something: it keeps the terminal.
    pub fn asks_people(self) -> bool {
        self == Self::CredentialHelper
    }
}

/// Why a process may do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Every process may.
    Default,
    /// It belongs to the compiler.
    Toolchain,
    /// It is the package's own, or was named by the command line that the plan gives the process.
    Package,
    /// The package is a member of the user's workspace.
    Workspace,
    /// A dependency left it for this package.
    Dependency,
    /// Trusted configuration named the program.
    Configuration,
    /// The list of variables that native builds need.
    AllowList,
    /// It is the user's, who named the program.
    User,
    /// It holds what is none of the program's business.
    Private,
    /// It names Bulkhead's proxy, which leads to the hosts that a grant names.
    Proxy,
    /// A policy grants it; the text names whose, and the reason that it gives.
    Grant(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "every process",
            Self::Toolchain => "toolchain",
            Self::Package => "its own",
            Self::Workspace => "workspace member",
            Self::Dependency => "dependency",
            Self::Configuration => "configuration",
            Self::AllowList => "allow-list of variables",
            Self::User => "the user's own",
            Self::Private => "none of its business",
            Self::Proxy => "proxy for the granted hosts",
            Self::Grant(text) => text,
        })
    }
}

/// Something that is allowed, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granted<T> {
    /// What.
    pub value: T,
    /// Why.
    pub origin: Origin,
}

impl<T> Granted<T> {
    /// `value`, because of `origin`.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// What is known about a process that is to be started. Lists may hold doubles; of two values for one variable the later
/// one counts.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What kind of process.
    pub kind: ProcessKind,
    /// The program.
    pub program: PathBuf,
    /// Its working folder.
    pub current_dir: PathBuf,
    /// What has to be readable, else it is not started.
    pub required: Vec<Granted<PathBuf>>,
    /// What it may read, where it exists.
    pub read: Vec<Granted<PathBuf>>,
    /// What it may write.
    pub write: Vec<Granted<PathBuf>>,
    /// What it may not even read, whatever it may read around it.
    pub hidden: Vec<Granted<PathBuf>>,
    /// Its environment, besides `HOME` and `PATH` for those that have none.
    pub environment: Vec<Granted<(String, String)>>,
    /// The network.
    pub network: Granted<NetworkRule>,
    /// The directives of its build script that a grant allows.
    pub directives: Vec<Granted<String>>,
    /// Limits; what is `None` has the sandbox's default.
    pub limits: ProcessLimits,
    /// Folders that no grant can make writable, nor a folder that holds them: toolchain, store, Bulkhead's home.
    pub protected: Vec<PathBuf>,
}

impl Facts {
    /// A process that may do what every process may, and nothing else.
    pub fn new(kind: ProcessKind, program: &Path, current_dir: &Path) -> Self {
        Self {
            kind,
            program: program.to_owned(),
            current_dir: current_dir.to_owned(),
            required: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            hidden: Vec::new(),
            environment: Vec::new(),
            network: Granted::new(NetworkRule::None, Origin::Default),
            directives: Vec::new(),
            limits: ProcessLimits::default(),
            protected: Vec::new(),
        }
    }
}

/// What one process may do. What it may read or write it may execute as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What kind of process.
    pub kind: ProcessKind,
    /// The program.
    pub program: PathBuf,
    /// Its working folder.
    pub current_dir: PathBuf,
    /// Readable, and needed.
    pub required: Vec<Granted<PathBuf>>,
    /// Readable, where it exists.
    pub read: Vec<Granted<PathBuf>>,
    /// Writable, where it exists.
    pub write: Vec<Granted<PathBuf>>,
    /// Out of sight, although it lies in what is readable.
    pub hidden: Vec<Granted<PathBuf>>,
    /// The whole environment.
    pub environment: BTreeMap<String, Granted<String>>,
    /// The network.
    pub network: Granted<NetworkRule>,
    /// The directives of its build script that a grant allows.
    pub directives: Vec<Granted<String>>,
    /// Limits; what is `None` has the sandbox's default.
    pub limits: ProcessLimits,
}

/// Where processes find an empty home: no such folder exists, so the sandbox makes one for each.
pub const HOME: &str = "/home/bulkhead";
/// Where a process with an allow-list of hosts finds the proxy, in a network of its own.
pub const PROXY: &str = "http://127.0.0.1:3128";
/// What every process may read, for those who look at a profile; the sandbox provides it.
pub const EVERYWHERE: [&str; 4] = ["/usr, /bin, /lib*", "some of /etc", "/proc (its own)", "/tmp (private, writable)"];
/// The devices of every process.
pub const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// A fact that no profile can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible(String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Impossible {}

/// Decides what a process may do. The result is the same whatever the order of facts of one kind, variables excepted.
///
/// # Errors
/// A path that is not absolute and plain; a writable folder that holds what has to stay what it is; a variable that no
/// process can have.
pub fn compile(facts: Facts) -> Result<Profile, Impossible> {
    for path in [&facts.program, &facts.current_dir] {
        check_path(path)?;
    }
    for entry in facts.required.iter().chain(&facts.read).chain(&facts.hidden) {
        check_path(&entry.value)?;
    }
    for entry in &facts.write {
        check_path(&entry.value)?;
        check_writable(entry, &facts.protected)?;
    }
    let environment = environment(facts.environment, &facts.network)?;
    Ok(Profile {
        kind: facts.kind,
        program: facts.program,
        current_dir: facts.current_dir,
        required: sorted(facts.required),
        read: sorted(facts.read),
        write: sorted(facts.write),
        hidden: sorted(facts.hidden),
        environment,
        network: facts.network,
        directives: sorted(facts.directives),
        limits: facts.limits,
    })
}

fn check_path(path: &Path) -> Result<(), Impossible> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let has_nul = path.as_os_str().as_encoded_bytes().contains(&0);
    if path.is_absolute() && plain && !has_nul {
        return Ok(());
    }
    Err(Impossible(format!("{path:?} is not an absolute path without `..`")))
}

/// Folders that are shared by all that runs on this machine.
const SYSTEM: &[&str] = &["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run"];

fn check_writable(entry: &Granted<PathBuf>, protected: &[PathBuf]) -> Result<(), Impossible> {
    // The plan's own folders lie where the user has put them.
    if !matches!(entry.origin, Origin::Grant(_)) {
        return Ok(());
    }
    let path = &entry.value;
    let system = SYSTEM.iter().map(Path::new).find(|system| path.starts_with(system) || system.starts_with(path));
    let own = protected.iter().map(PathBuf::as_path).find(|own| path.starts_with(own) || own.starts_with(path));
    match system.or(own) {
        Some(kept) => Err(Impossible(format!(
            "`{}` cannot be made writable: `{}` has to stay what it is",
            path.display(),
            kept.display()
        ))),
        None => Ok(()),
    }
}

fn environment(
    facts: Vec<Granted<(String, String)>>,
    network: &Granted<NetworkRule>,
) -> Result<BTreeMap<String, Granted<String>>, Impossible> {
    let given = |text: &str| Granted::new(text.to_owned(), Origin::Default);
    let mut all =
        BTreeMap::from([("HOME".to_owned(), given(HOME)), ("PATH".to_owned(), given("/usr/local/bin:/usr/bin:/bin"))]);
    for Granted { value: (name, value), origin } in facts {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Impossible(format!("{name:?} cannot be a variable with the value that it has")));
        }
        all.insert(name, Granted::new(value, origin));
    }
    if matches!(network.value, NetworkRule::Hosts(_)) {
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            all.insert(name.to_owned(), Granted::new(PROXY.to_owned(), Origin::Proxy));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            all.remove(name);
        }
    }
    Ok(all)
}

/// Sorted, one entry for each value: the first of its reasons.
fn sorted<T: Ord>(mut entries: Vec<Granted<T>>) -> Vec<Granted<T>> {
    entries.sort();
    entries.dedup_by(|later, first| later.value == first.value);
    entries
}

#[cfg(test)]
mod tests {
    use super::{Facts, Granted, Origin, ProcessKind, compile};
    use bulkhead_schema::policy::{Endpoint, NetworkRule};
    use std::path::{Path, PathBuf};

    fn facts() -> Facts {
        Facts::new(ProcessKind::BuildScript, Path::new("/target/build"), Path::new("/package"))
    }

    fn path(text: &str, origin: Origin) -> Granted<PathBuf> {
        Granted::new(PathBuf::from(text), origin)
    }

    fn grant() -> Origin {
        Origin::Grant("a grant".into())
    }

    #[test]
    fn the_order_of_facts_does_not_matter() {
        let (one, other) = (path("/a", Origin::Package), path("/b", grant()));
        let forth = Facts { read: vec![one.clone(), other.clone(), one.clone()], ..facts() };
        let back = Facts { read: vec![other, one], ..facts() };
        assert_eq!(compile(forth), compile(back));
    }

    #[test]
    fn no_grant_opens_what_has_to_stay_what_it_is() {
        for (text, message) in [
            ("/", "has to stay"),
            ("/usr/local/lib", "`/usr`"),
            ("/etc", "`/etc`"),
            ("/home/user", "`/home/user/.toolchain`"),
            ("/home/user/.toolchain/lib", "`/home/user/.toolchain`"),
            ("relative", "not an absolute path"),
            ("/a/../usr", "not an absolute path"),
        ] {
            let protected = vec![PathBuf::from("/home/user/.toolchain")];
            let error = compile(Facts { write: vec![path(text, grant())], protected, ..facts() }).unwrap_err();
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
        assert!(compile(Facts { write: vec![path("/home/user/data", grant())], ..facts() }).is_ok());
    }

    #[test]
    fn a_list_of_hosts_is_reached_by_the_proxy_and_later_variables_win() {
        let variable = |name: &str, value: &str| Granted::new((name.to_owned(), value.to_owned()), Origin::AllowList);
        let hosts = NetworkRule::Hosts(Endpoint::parse("example.com:443").into_iter().collect());
        let network = Granted::new(hosts, grant());
        let environment = vec![variable("NO_PROXY", "*"), variable("A", "1"), variable("A", "2")];
        let profile = compile(Facts { network, environment, ..facts() }).unwrap();
        assert_eq!(profile.environment["https_proxy"].value, super::PROXY);
        assert!(!profile.environment.contains_key("NO_PROXY"));
        assert_eq!(profile.environment["A"].value, "2");
        assert!(compile(Facts { environment: vec![variable("A=B", "")], ..facts() }).is_err());
        assert!(compile(Facts { environment: vec![variable("A", "\0")], ..facts() }).is_err());
    }
}
