//! One run of git, confined.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_policy::profile::{Facts, Profile, compile};
use bulkhead_policy::{Granted, Origin, ProcessKind};
use bulkhead_sandbox::{Level, LimitHit, Process, Stdin, Stream, spawn};
use bulkhead_schema::git::Transport;
use bulkhead_schema::policy::{NetworkRule, ProcessLimits};
use url::Url;

use crate::fetching::Listener;
use crate::{GitError, GitErrorKind, Limits};

/// What is remembered of servers: one that was reached over https is never asked over plain http again.
pub trait Servers: std::fmt::Debug + Send + Sync {
    /// Whether the server of `url` may be asked.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, url: &Url) -> Result<(), String>;

    /// Remembers that the server of `url` answered.
    fn saw(&self, url: &Url);
}

/// How repositories are reached: the user's settings as values.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// `BULKHEAD_HOME`
    pub home: PathBuf,
    /// The program, absolute; `None` if there is none, which matters only when one is needed.
    pub program: Option<PathBuf>,
    /// Nothing is asked of the network.
    pub offline: bool,
    /// `http://` to a literal loopback address is allowed.
    pub allow_http_loopback: bool,
    /// What is remembered of servers.
    pub servers: Arc<dyn Servers>,
    /// Certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// `http.proxy` of the configuration.
    pub proxy: Option<String>,
    /// Proxy variables of the environment, by name.
    pub proxy_environment: Vec<(String, String)>,
    /// `net.ssh.known-hosts`: lines of an OpenSSH `known_hosts` file.
    pub known_hosts: Vec<String>,
    /// The user's home folder: for `~/.ssh` and for the user's credential helpers.
    pub user_home: Option<PathBuf>,
    /// The socket of the user's ssh agent.
    pub ssh_agent: Option<PathBuf>,
    /// How often a fetch over the network is tried again.
    pub retries: u32,
    /// Whom a server that asks for a password is answered by: `git credential fill`, as the user's helpers are run; `None` if
    /// nobody is.
    pub helper: Option<bulkhead_credential::Process>,
    /// How strong the confinement has to be.
    pub level: Level,
    /// How a profile is enforced.
    pub enforce: fn(&Profile, Level) -> Process,
    /// How much a repository may cost.
    pub limits: Limits,
}

/// The git of this machine: where systems keep it, before the `named` folders. A project can change neither.
pub fn find_program(named: Vec<PathBuf>) -> Option<PathBuf> {
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].into_iter().map(PathBuf::from);
    usual.chain(named).map(|folder| folder.join("git")).find(|program| program.is_file())
}

/// Configuration that every run gets. What stands here wins over what a database says; the user's and the system's files
/// are not read at all.
const CONFIGURATION: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.alternateRefsCommand=",
    "core.bigFileThreshold=64m",
    "credential.helper=",
    "diff.external=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.followRedirects=initial",
    "http.sslVerify=true",
    "http.lowSpeedLimit=10",
    "http.lowSpeedTime=30",
    "maintenance.auto=false",
    "protocol.version=2",
    "submodule.recurse=false",
    "transfer.fsckObjects=true",
];

/// Flaws of old histories that do no harm: many known repositories have one of them, and git itself only warns.
const FORGIVEN: &[&str] = &[
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badFilemode",
    "badTagName",
    "badTimezone",
    "gitattributesLarge",
    "gitattributesLineLength",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
];

/// What git may do, for those who want to see it: by how repositories are reached, and as their objects are read. The
/// database is that of `url`.
///
/// # Errors
/// There is no git.
pub fn profiles(options: &GitOptions, url: &Url) -> Result<Vec<(&'static str, Profile)>, GitError> {
    let ways = [
        ("git that fetches over https", Some(Transport::Https)),
        ("git that fetches over ssh", Some(Transport::Ssh)),
        ("git that fetches from a folder of this machine", Some(Transport::File)),
        ("git that reads what was fetched", None),
    ];
    let folder = crate::database::folder(options, url, "");
    let profile = |transport| {
        let run = Run {
            options,
            url,
            folder: &folder,
            transport,
            read: Vec::new(),
            configuration: Vec::new(),
            environment: Vec::new(),
            stdin: None,
        };
        run.profile()
    };
    ways.into_iter().map(|(what, transport)| Ok((what, profile(transport)?))).collect()
}

/// What one run needs.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a GitOptions,
    /// The repository, for messages.
    pub(crate) url: &'a Url,
    /// The database.
    pub(crate) folder: &'a Path,
    /// `Some` for a fetch: then the network is there, and the database may be written.
    pub(crate) transport: Option<Transport>,
    /// More files that git may read.
    pub(crate) read: Vec<PathBuf>,
    /// More configuration.
    pub(crate) configuration: Vec<String>,
    /// More environment.
    pub(crate) environment: Vec<(String, PathBuf)>,
    pub(crate) stdin: Option<&'a File>,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stderr: String,
}

impl Run<'_> {
    /// Runs git and collects what it prints, which is bounded.
    pub(crate) fn collect(&self, arguments: &[&str]) -> Result<(Ended, Vec<u8>), GitError> {
        let mut stdout = Vec::new();
        let ended = self.stream(arguments, Some(256 << 20), |bytes| {
            stdout.extend_from_slice(bytes);
            true
        })?;
        Ok((ended, stdout))
    }

    /// Runs `git fetch`, and ends it when it announces more than is allowed.
    pub(crate) fn fetch(&self, arguments: &[&str]) -> Result<Ended, GitError> {
        let mut listener = Listener::new(&self.options.limits);
        let mut passed = None;
        let success = self.listen(arguments, Some(256 << 20), |stream, bytes| {
            if stream == Stream::Stderr && passed.is_none() {
                passed = listener.take(bytes).err();
            }
            passed.is_none()
        })?;
        match passed {
            Some(limit) => Err(self.beyond(limit)),
            None => Ok(Ended { success, stderr: listener.finish() }),
        }
    }

    /// Runs git and hands over what it prints as it comes, until `output` says that it has enough.
    pub(crate) fn stream(
        &self,
        arguments: &[&str],
        output_bytes: Option<u64>,
        mut output: impl FnMut(&[u8]) -> bool,
    ) -> Result<Ended, GitError> {
        let mut stderr = Vec::new();
        let success = self.listen(arguments, output_bytes, |stream, bytes| match stream {
            Stream::Stdout => output(bytes),
            Stream::Stderr => {
                if stderr.len() < 64 << 10 {
                    stderr.extend_from_slice(bytes);
                }
                true
            }
        })?;
        Ok(Ended { success, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }

    /// Runs git and hands over all that it says as it comes, until `output` says that it has enough. Whether it succeeded.
    fn listen(
        &self,
        arguments: &[&str],
        output_bytes: Option<u64>,
        mut output: impl FnMut(Stream, &[u8]) -> bool,
    ) -> Result<bool, GitError> {
        let process = self.process(arguments, output_bytes)?;
        let failed =
            |error: &dyn std::fmt::Display| self.error(GitErrorKind::Program, format!("cannot run git: {error}"));
        let child = spawn(&process).map_err(|error| failed(&error))?;
        let killer = child.killer().map_err(|error| failed(&error))?;
        let exit = child
            .wait_with(|stream, bytes| {
                if !output(stream, bytes) {
                    killer.kill();
                }
            })
            .map_err(|error| failed(&error))?;
        match exit.limit {
            None => Ok(exit.status.success()),
            Some(LimitHit::WallTime | LimitHit::CpuTime) => Err(self.beyond("time-seconds")),
            Some(LimitHit::FileSize) => Err(self.beyond("pack-mib")),
            Some(LimitHit::TotalMemory) => {
                Err(self.error(GitErrorKind::Refused, "it takes too much memory".to_owned()))
            }
            Some(LimitHit::Processes) => {
                Err(self.error(GitErrorKind::Refused, "it starts too many processes".to_owned()))
            }
            Some(LimitHit::Output) => Err(self.error(GitErrorKind::Refused, "it prints too much".to_owned())),
        }
    }

    /// The error for a limit that was passed, by its key.
    pub(crate) fn beyond(&self, limit: &'static str) -> GitError {
        let limits = &self.options.limits;
        let what = match limit {
            "objects" => format!("what it sends has more than {} objects", limits.objects),
            "object-mib" => format!("it has an object of more than {} MiB", limits.object >> 20),
            "references" => format!("it has more than {} branches and tags", limits.references),
            "checkout-entries" => format!("it has more than {} files and folders", limits.entries),
            "pack-mib" => format!("what it sends has more than {} MiB", limits.pack >> 20),
            _ => format!("it takes more than {} s", limits.time.as_secs()),
        };
        self.error(GitErrorKind::Limit(limit), what)
    }

    pub(crate) fn error(&self, kind: GitErrorKind, message: String) -> GitError {
        GitError { kind, url: self.url.to_string(), message }
    }

    fn process(&self, arguments: &[&str], output_bytes: Option<u64>) -> Result<Process, GitError> {
        let mut process = (self.options.enforce)(&self.profile()?, self.options.level);
        process.arguments = self.arguments(arguments);
        process.limits.output_bytes = output_bytes;
        if let Some(file) = self.stdin {
            process.stdin = Stdin::From(file.as_raw_fd());
        }
        Ok(process)
    }

    /// What this run may do.
    pub(crate) fn profile(&self) -> Result<Profile, GitError> {
        let Some(program) = &self.options.program else {
            let message = "there is no `git` in the usual places or in PATH; install it to use git dependencies";
            return Err(self.error(GitErrorKind::Program, message.to_owned()));
        };
        let own = |path: &Path| Granted::new(path.to_path_buf(), Origin::Package);
        let users = |path: PathBuf| Granted::new(path, Origin::User);
        let mut facts = Facts::new(ProcessKind::Git, program, Path::new("/"));
        facts.required.extend(self.read.iter().map(|path| own(path)));
        match self.transport {
            None => facts.required.push(own(self.folder)),
            Some(transport) => {
                facts.write.push(own(self.folder));
                facts.read.extend(self.options.ca_bundle.clone().map(users));
                if transport != Transport::File {
                    facts.network = Granted::new(NetworkRule::All, Origin::Package);
                }
                if transport == Transport::Ssh {
                    facts.read.extend(self.options.user_home.iter().map(|home| users(home.join(".ssh"))));
                    facts.read.extend(self.options.ssh_agent.clone().map(users));
                    facts.read.push(Granted::new(PathBuf::from("/etc/ssh"), Origin::Default));
                }
            }
        }
        facts.environment = self.environment()?;
        let limits = &self.options.limits;
        facts.limits = ProcessLimits {
            time_seconds: Some(limits.time.as_secs()),
            memory_mib: Some(4 << 10),
            processes: Some(64),
            file_mib: Some(limits.pack >> 20),
            ..ProcessLimits::default()
        };
        compile(facts).map_err(|error| self.error(GitErrorKind::Program, error.to_string()))
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<OsString> {
        let mut all: Vec<OsString> = Vec::new();
        let mut git_dir = OsString::from("--git-dir=");
        git_dir.push(self.folder);
        all.push(git_dir);
        all.push("--no-pager".into());
        let forgiven = FORGIVEN.iter().map(|flaw| format!("fetch.fsck.{flaw}=ignore"));
        let fixed = CONFIGURATION.iter().map(|&setting| setting.to_owned());
        let certificates = self.options.ca_bundle.as_ref().map(|bundle| format!("http.sslCAInfo={}", bundle.display()));
        let proxy = self.options.proxy.as_ref().map(|proxy| format!("http.proxy={proxy}"));
        // Git would not ask whether the next server may be asked over plain http.
        let still = self.transport == Some(Transport::HttpLoopback);
        let still = still.then(|| "http.followRedirects=false".to_owned());
        let settings = fixed
            .chain(forgiven)
            .chain(certificates)
            .chain(still)
            .chain(proxy)
            .chain(self.configuration.iter().cloned());
        for setting in settings {
            all.extend(["-c".into(), setting.into()]);
        }
        all.extend(arguments.iter().map(OsString::from));
        all
    }

    fn environment(&self) -> Result<Vec<Granted<(String, String)>>, GitError> {
        let protocols = match self.transport {
            None => "",
            Some(Transport::Https) => "https",
            Some(Transport::HttpLoopback) => "http",
            Some(Transport::Ssh) => "ssh",
            Some(Transport::File) => "file",
        };
        // Git refuses to ask for more memory than this at once.
        let largest = self.options.limits.object.to_string();
        let fixed = [
            ("GIT_ALLOC_LIMIT", largest.as_str()),
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS", "/bin/false"),
            ("GIT_ALLOW_PROTOCOL", protocols),
        ];
        let variable = |name: &str, value: &str, origin| Granted::new((name.to_owned(), value.to_owned()), origin);
        let mut all: Vec<_> = fixed.iter().map(|(name, value)| variable(name, value, Origin::Package)).collect();
        if self.transport == Some(Transport::Https) {
            let proxies = self.options.proxy_environment.iter();
            all.extend(proxies.map(|(name, value)| variable(name, value, Origin::User)));
        }
        for (name, value) in &self.environment {
            let Some(text) = value.to_str() else {
                let message = format!("{} is no text that git could be told", value.display());
                return Err(self.error(GitErrorKind::Program, message));
            };
            all.push(variable(name, text, Origin::Package));
        }
        Ok(all)
    }
}
