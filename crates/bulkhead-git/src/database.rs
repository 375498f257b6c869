//! The database of one repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_schema::GitReference;
use bulkhead_schema::git::{ObjectId, Transport, canonical_url};
use bulkhead_trust::Digest;
use bulkhead_trust::git::GitEntryKind;
use url::Url;

use crate::program::{Ended, Run};
use crate::{GitError, GitErrorKind, GitOptions, credentials, leftovers, local, objects};

/// The folder of all databases below `BULKHEAD_HOME`.
const GIT: &str = "git";

/// What a database says of itself. Written again whenever it says something else.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// Where fetched branches, tags and `HEAD` are: a name space of our own, in which nothing is looked up by half a name.
const ALL: &[&str] =
    &["+refs/heads/*:refs/bulkhead/heads/*", "+refs/tags/*:refs/bulkhead/tags/*", "+HEAD:refs/bulkhead/HEAD"];

/// Most bytes of the list of a repository's tags.
const MAX_TAGS: u64 = 16 << 20;

/// Before another try.
const PAUSE: Duration = Duration::from_millis(500);

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// What a reference names.
    Reference(&'a GitReference),
    /// All branches and tags.
    Everything,
    /// This commit, even if no branch or tag leads to it.
    Commit(ObjectId),
    /// What `HEAD` is now, without any history.
    Tip,
}

/// The database of one repository, below `BULKHEAD_HOME/git/`.
#[derive(Debug)]
pub struct Database<'a> {
    options: &'a GitOptions,
    url: Url,
    transport: Transport,
    folder: PathBuf,
    /// Only what the newest commit lists is fetched, and nobody's password is used.
    outline: bool,
}

/// Where the database of a repository lies; `what` tells apart those that hold other parts of it.
pub(crate) fn folder(options: &GitOptions, url: &Url, what: &str) -> PathBuf {
    let name = Digest::of(format!("{what}{}", canonical_url(url)).as_bytes()).to_string();
    options.home.join(GIT).join(name)
}

impl<'a> Database<'a> {
    /// The database of the repository at `url`. Nothing is made or read yet.
    ///
    /// # Errors
    /// [`GitErrorKind::Transport`]: nothing protects the way to it; [`GitErrorKind::HttpsPinned`]: something did before.
    pub fn open(options: &'a GitOptions, url: &Url) -> Result<Self, GitError> {
        Self::named(options, url, "")
    }

    /// The database of a registry's index, of which only the newest state is kept. Apart from the others, since in a
    /// database without history no question about history has an answer.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_index(options: &'a GitOptions, url: &Url) -> Result<Self, GitError> {
        Self::named(options, url, "index of ")
    }

    /// The database in which a release is looked at that nobody has chosen to depend on: of its commit, the names and ids of
    /// files are fetched and, where the server can do so, nothing else. No password is ever given to the server.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_outline(options: &'a GitOptions, url: &Url) -> Result<Self, GitError> {
        let database = Self { outline: true, ..Self::named(options, url, "outline of ")? };
        // What one such fetch leaves out, another one would miss.
        match std::fs::remove_dir_all(&database.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(database
                    .error(GitErrorKind::Program, &format!("cannot clear {}: {error}", database.folder.display())))
            }
            _ => Ok(database),
        }
    }

    fn named(options: &'a GitOptions, url: &Url, what: &str) -> Result<Self, GitError> {
        let refused = |message| GitError { kind: GitErrorKind::Transport, url: url.to_string(), message };
        let transport = Transport::of(url).map_err(refused)?;
        if transport == Transport::HttpLoopback && !options.allow_http_loopback {
            return Err(refused("git repositories are not read over plain `http`".to_owned()));
        }
        let pinned = |message| GitError { kind: GitErrorKind::HttpsPinned, url: url.to_string(), message };
        options.servers.check(url).map_err(pinned)?;
        Ok(Self { options, url: url.clone(), transport, folder: folder(options, url, what), outline: false })
    }

    /// How the repository is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Brings what is `wanted` into the database.
    ///
    /// # Errors
    /// The repository cannot be reached, has no such thing, or what arrives is refused.
    pub fn fetch(&self, wanted: Wanted<'_>) -> Result<(), GitError> {
        if self.options.offline {
            return Err(self.error(GitErrorKind::Offline, "it would have to be fetched, and this is offline mode"));
        }
        let _lock = self.prepare()?;
        let refspecs = refspecs(wanted);
        let mut arguments = vec!["--no-tags", "--force", "--no-write-fetch-head", "--no-recurse-submodules"];
        // How much is to come is heard from its progress, before it is there.
        arguments.extend(["--no-auto-maintenance", "--progress"]);
        if matches!(wanted, Wanted::Everything) || refspecs.len() > 1 {
            arguments.push("--prune");
        }
        if self.outline || matches!(wanted, Wanted::Tip) {
            arguments.push("--depth=1");
        }
        if self.outline {
            arguments.push("--filter=blob:none");
        }
        arguments.extend(["--", self.url.as_str()]);
        arguments.extend(refspecs.iter().map(String::as_str));
        let mut ended = self.run_fetch(&arguments, None)?;
        for _ in 0..self.options.retries {
            if ended.success || !is_passing(&ended) {
                break;
            }
            std::thread::sleep(PAUSE);
            ended = self.run_fetch(&arguments, None)?;
        }
        if ended.success {
            self.options.servers.saw(&self.url);
            return Ok(());
        }
        let error = self.explain(wanted, &ended);
        let over_http = matches!(self.transport, Transport::Https | Transport::HttpLoopback);
        if error.kind != GitErrorKind::Authentication || !over_http || self.outline {
            return Err(error);
        }
        let unasked = |problem| {
            let message = format!("the credential helpers of your git cannot be asked for a password: {problem}");
            self.error(GitErrorKind::Authentication, &message)
        };
        if let Some(answer) = credentials::ask(self.options, &self.url).map_err(unasked)? {
            let ended = self.run_fetch(&arguments, Some(&answer.path().join("credentials")))?;
            if ended.success {
                self.options.servers.saw(&self.url);
                return Ok(());
            }
            return Err(self.explain(wanted, &ended));
        }
        Err(error)
    }

    fn run_fetch(&self, arguments: &[&str], credentials: Option<&Path>) -> Result<Ended, GitError> {
        let mut run = self.run();
        run.transport = Some(self.transport);
        if let (Transport::File, Ok(path)) = (self.transport, self.url.to_file_path()) {
            run.read = local::folders(&path);
        }
        if let Some(file) = credentials {
            run.read.push(file.to_path_buf());
            run.configuration.push(format!("credential.helper=store --file={}", file.display()));
        }
        let known_hosts = tempfile::NamedTempFile::new();
        let mut file = known_hosts.map_err(|error| self.error(GitErrorKind::Program, &error.to_string()))?;
        if self.transport == Transport::Ssh {
            let lines: String = self.options.known_hosts.iter().map(|line| format!("{line}\n")).collect();
            file.write_all(lines.as_bytes()).map_err(|error| self.error(GitErrorKind::Program, &error.to_string()))?;
            run.read.push(file.path().to_path_buf());
            run.environment.push(("GIT_SSH_COMMAND".to_owned(), self.ssh(file.path()).into()));
            run.environment.push(("GIT_SSH_VARIANT".to_owned(), "ssh".into()));
            if let Some(agent) = &self.options.ssh_agent {
                run.environment.push(("SSH_AUTH_SOCK".to_owned(), agent.clone()));
            }
            if let Some(home) = &self.options.user_home {
                run.environment.push(("HOME".to_owned(), home.clone()));
            }
        }
        // All references or none: so none is written before all were counted.
        let ended = run.fetch(&[&["fetch", "--atomic"], arguments].concat())?;
        let signs = ["cannot lock ref", "unknown option"];
        let impossible = !ended.success && signs.iter().any(|sign| ended.stderr.contains(sign));
        // A branch `a` that became `a/b` is not to be had at once, nor anything from a git before 2.31.
        let ended = if impossible { run.fetch(&[&["fetch"], arguments].concat())? } else { ended };
        match leftovers::largest_pack(&self.folder) {
            Some(size) if !ended.success && size >= self.options.limits.pack => Err(run.beyond("pack-mib")),
            _ => Ok(ended),
        }
    }

    /// How ssh is started. Only keys of hosts that the user knows are accepted, and nobody is asked anything.
    fn ssh(&self, extra_known_hosts: &Path) -> String {
        let own = "~/.ssh/known_hosts ~/.ssh/known_hosts2";
        format!(
            "/usr/bin/ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o ForwardAgent=no \
             -o ForwardX11=no -o ClearAllForwardings=yes -o PermitLocalCommand=no -o ControlMaster=no -o ControlPath=none \
             -o 'UserKnownHostsFile={own} {}'",
            extra_known_hosts.display()
        )
    }

    /// The commit that `reference` named when it was last fetched; `None` if it named none.
    ///
    /// # Errors
    /// A revision that could mean several commits, or a git that cannot be run.
    pub fn resolve(&self, reference: &GitReference) -> Result<Option<ObjectId>, GitError> {
        match reference {
            GitReference::Rev(text) => self.resolve_revision(text.as_str()),
            other => self.commit(&own_name(other)),
        }
    }

    /// A revision is a whole or shortened commit id, a tag, or a full `refs/…`. If it can be read in two ways that lead to
    /// different commits, it means neither.
    fn resolve_revision(&self, text: &str) -> Result<Option<ObjectId>, GitError> {
        if ObjectId::parse(text).is_ok() {
            return self.commit(text);
        }
        if text.starts_with("refs/") {
            return self.commit(&own_name(&GitReference::Rev(text.into())));
        }
        let mut commits: Vec<ObjectId> = self.commit(&format!("refs/bulkhead/tags/{text}"))?.into_iter().collect();
        if (4..40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) && self.exists() {
            let prefix = format!("--disambiguate={text}");
            let (_, output) = self.run().collect(&["rev-parse", &prefix])?;
            for id in String::from_utf8_lossy(&output).lines().take(100) {
                commits.extend(self.commit(id)?);
            }
        }
        commits.sort_unstable();
        commits.dedup();
        match commits.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            many => {
                let names: Vec<String> = many.iter().map(|commit| format!("`{commit}`")).collect();
                let message = format!("revision `{text}` is ambiguous: it could mean {}", names.join(" or "));
                Err(self.error(GitErrorKind::Ambiguous, &message))
            }
        }
    }

    /// Whether `commit` is in the database.
    ///
    /// # Errors
    /// A git that cannot be run.
    pub fn contains(&self, commit: ObjectId) -> Result<bool, GitError> {
        Ok(self.commit(&commit.to_string())?.is_some())
    }

    /// Whether what `reference` named when it was last fetched has `commit` in its history.
    ///
    /// # Errors
    /// A git that cannot be run.
    pub fn leads_to(&self, reference: &GitReference, commit: ObjectId) -> Result<bool, GitError> {
        let Some(tip) = self.resolve(reference)? else { return Ok(false) };
        let (commit, tip) = (commit.to_string(), tip.to_string());
        let (ended, _) = self.run().collect(&["merge-base", "--is-ancestor", "--end-of-options", &commit, &tip])?;
        Ok(ended.success)
    }

    /// Whether any branch or tag that was fetched has `commit` in its history.
    ///
    /// # Errors
    /// A git that cannot be run.
    pub fn is_published(&self, commit: ObjectId) -> Result<bool, GitError> {
        if !self.exists() {
            return Ok(false);
        }
        let contains = format!("--contains={commit}");
        let spaces = ["refs/bulkhead/heads/", "refs/bulkhead/tags/", "refs/bulkhead/HEAD"];
        let mut arguments = vec!["for-each-ref", "--count=1", "--format=%(refname)", &contains, "--"];
        arguments.extend(spaces);
        let (ended, output) = self.run().collect(&arguments)?;
        Ok(ended.success && !output.is_empty())
    }

    /// Hands the objects of `commit` to `read`: the commit, its tree and what the trees name, depth first, as
    /// `git cat-file --batch` prints them.
    ///
    /// # Errors
    /// git failed; `read` has noticed that something is missing.
    pub fn objects<T>(
        &self,
        commit: ObjectId,
        read: impl FnOnce(&mut dyn std::io::BufRead) -> T,
    ) -> Result<T, GitError> {
        objects::stream(&self.run(), commit, |reader: &mut BufReader<_>| read(reader))
    }

    /// The files at `paths` in the tree of `commit`, each of at most `limit` bytes, in that order; `None` where there is
    /// none. No path may hold a line end.
    ///
    /// # Errors
    /// A git that cannot be run, or a file that is larger.
    pub fn files(&self, commit: ObjectId, paths: &[String], limit: u64) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        objects::files(&self.run(), commit, paths, limit)
    }

    /// The names of tags that the repository has now, and what they lead to.
    ///
    /// # Errors
    /// The repository cannot be reached, or has too many.
    pub fn remote_tags(&self) -> Result<BTreeMap<String, ObjectId>, GitError> {
        if self.options.offline {
            return Err(self.error(GitErrorKind::Offline, "it would have to be asked, and this is offline mode"));
        }
        let _lock = self.prepare()?;
        let mut run = self.run();
        run.transport = Some(self.transport);
        let (mut output, arguments) = (Vec::new(), ["ls-remote", "--quiet", "--tags", "--", self.url.as_str()]);
        let ended = run.stream(&arguments, Some(MAX_TAGS), |bytes| {
            output.extend_from_slice(bytes);
            true
        })?;
        if !ended.success {
            return Err(self.explain(Wanted::Everything, &ended));
        }
        let mut tags = BTreeMap::new();
        for line in String::from_utf8_lossy(&output).lines() {
            let Some((id, name)) = line.split_once("\trefs/tags/") else { continue };
            let Ok(id) = ObjectId::parse(id) else { continue };
            // An annotated tag is listed twice, and what it leads to comes second.
            tags.insert(name.strip_suffix("^{}").unwrap_or(name).to_owned(), id);
        }
        Ok(tags)
    }

    /// What the tree of `commit` lists, folders left out. Nothing is believed to be what its id says.
    ///
    /// # Errors
    /// A git that cannot be run, or a listing that is too long.
    pub fn listing(&self, commit: ObjectId) -> Result<Vec<(String, GitEntryKind, ObjectId)>, GitError> {
        objects::listing(&self.run(), commit)
    }

    /// The commit to which `name` (an id, or the full name of a reference of ours) peels.
    fn commit(&self, name: &str) -> Result<Option<ObjectId>, GitError> {
        if !self.exists() {
            return Ok(None);
        }
        let peeled = format!("{name}^{{commit}}");
        let (_, output) = self.run().collect(&["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled])?;
        Ok(std::str::from_utf8(&output).ok().and_then(|text| ObjectId::parse(text.trim()).ok()))
    }

    fn exists(&self) -> bool {
        self.folder.join("objects").is_dir()
    }

    fn run(&self) -> Run<'_> {
        Run {
            options: self.options,
            url: &self.url,
            folder: &self.folder,
            transport: None,
            read: Vec::new(),
            configuration: Vec::new(),
            environment: Vec::new(),
            stdin: None,
        }
    }

    /// Makes the database if there is none, mends what it says of itself, and locks it against other processes.
    fn prepare(&self) -> Result<File, GitError> {
        let made = || -> std::io::Result<File> {
            std::fs::create_dir_all(self.folder.join("objects"))?;
            std::fs::create_dir_all(self.folder.join("refs"))?;
            let lock = File::create(self.folder.with_extension("lock"))?;
            lock.lock()?;
            leftovers::remove(&self.folder)?;
            for (name, text) in [("HEAD", "ref: refs/heads/none\n"), ("config", CONFIG)] {
                let path = self.folder.join(name);
                if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
                    let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
                    file.write_all(text.as_bytes())?;
                    file.persist(&path).map_err(|error| error.error)?;
                }
            }
            Ok(lock)
        };
        made().map_err(|error| {
            self.error(GitErrorKind::Program, &format!("cannot prepare {}: {error}", self.folder.display()))
        })
    }

    fn error(&self, kind: GitErrorKind, message: &str) -> GitError {
        GitError { kind, url: self.url.to_string(), message: message.to_owned() }
    }

    /// What the end of a fetch means.
    fn explain(&self, wanted: Wanted<'_>, ended: &Ended) -> GitError {
        let said = ended.stderr.trim();
        let any = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
        if any(&["attempting to allocate"]) {
            return self.run().beyond("object-mib");
        }
        let kind = if any(&["couldn't find remote ref", "not our ref", "unadvertised object"]) {
            GitErrorKind::NotFound
        } else if any(&[
            "could not read Username",
            "Authentication failed",
            "terminal prompts disabled",
            "Permission denied (pub",
        ]) {
            GitErrorKind::Authentication
        } else if any(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            GitErrorKind::HostKey
        } else if any(&[
            // Git with GnuTLS, and with OpenSSL.
            "server certificate verification failed",
            "SSL certificate problem",
            "certificate subject name",
            "SSL: certificate",
        ]) {
            GitErrorKind::Certificate
        } else if any(&["fsck error", "fatal: fsck", "index-pack failed", "unpack-objects", "hasDot", "pack signature"])
        {
            GitErrorKind::Refused
        } else {
            GitErrorKind::Fetch
        };
        let what = match (kind, wanted) {
            (GitErrorKind::NotFound, Wanted::Reference(reference)) => match reference.key_and_name() {
                Some((key, name)) => format!("failed to find {key} `{name}`"),
                None => "failed to find its default branch".to_owned(),
            },
            (GitErrorKind::NotFound, Wanted::Commit(commit)) => format!("the commit {commit} is gone"),
            (GitErrorKind::Refused, _) => "what it sent was refused".to_owned(),
            _ => "it cannot be fetched".to_owned(),
        };
        self.error(kind, if said.is_empty() { what } else { format!("{what}\n{said}") }.as_str())
    }
}

/// Whether another try might do better: the connection was lost, or the server had a bad moment.
fn is_passing(ended: &Ended) -> bool {
    let signs = [
        "Connection reset",
        "Connection timed out",
        "Operation timed out",
        "Operation too slow",
        "The requested URL returned error: 5",
        "The requested URL returned error: 429",
        "early EOF",
        "unexpected disconnect",
        "remote end hung up unexpectedly",
        "transfer closed with",
    ];
    signs.iter().any(|sign| ended.stderr.contains(sign))
}

/// What has to be fetched for it.
fn refspecs(wanted: Wanted<'_>) -> Vec<String> {
    let all = || ALL.iter().map(|&spec| spec.to_owned()).collect();
    match wanted {
        Wanted::Everything => all(),
        Wanted::Tip => vec![format!("+HEAD:{}", own_name(&GitReference::DefaultBranch))],
        Wanted::Commit(commit) => vec![format!("+{commit}:refs/bulkhead/commit/{commit}")],
        Wanted::Reference(reference) => match reference {
            GitReference::DefaultBranch => vec![format!("+HEAD:{}", own_name(reference))],
            GitReference::Branch(name) => vec![format!("+refs/heads/{name}:{}", own_name(reference))],
            GitReference::Tag(name) => vec![format!("+refs/tags/{name}:{}", own_name(reference))],
            GitReference::Rev(name) if name.as_str().starts_with("refs/") => {
                vec![format!("+{name}:{}", own_name(reference))]
            }
            GitReference::Rev(_) => all(),
        },
    }
}

/// The name under which what one reference names is kept: a digest, since names could be in each other's way.
fn own_name(reference: &GitReference) -> String {
    let text = reference.key_and_name().map_or_else(|| "HEAD".to_owned(), |(key, name)| format!("{key} {name}"));
    let digest = Digest::of(text.as_bytes()).to_string();
    format!("refs/bulkhead/one/{}", digest.get(..32).unwrap_or(&digest))
}
