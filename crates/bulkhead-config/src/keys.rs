//! Every key of Cargo's configuration: its type, and what a project may do with it.

use bulkhead_schema::edit_distance::distance;

/// What a key can do in the hands of a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Acts at once, wherever it stands.
    Harmless,
    /// Chooses a program, its arguments or the code that is built: inert in a project's file until the user trusts it.
    ProgramChoosing,
    /// Says who the user is, whom to talk to, or where things are installed: user-level only, even in a trusted file.
    IdentityAndNetwork,
}

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// An integer.
    Integer,
    /// A boolean.
    Boolean,
    /// An integer or a string (`build.jobs`).
    IntegerOrString,
    /// An array of strings; layers are joined.
    List,
    /// An array of strings or one string that is split at spaces; layers are joined.
    StringOrList,
    /// A program with arguments, in either form; the highest layer replaces the others.
    Command,
    /// A table, or a value with rules of its own.
    Other,
}

/// What a value from a project must satisfy besides the class of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    None,
    /// Flags on the allow-list pass from an untrusted file, the others wait for trust.
    Rustflags,
    /// The same for rustdoc.
    Rustdocflags,
    /// A folder in the project, unless the file is trusted.
    InsideProject,
    /// A platform by name; a specification file names a linker, so that it waits for trust.
    Platform,
    /// A variable that chooses no program and no library, even from a trusted file.
    EnvironmentName,
    /// A name that is no built-in command, even from a trusted file.
    AliasName,
    /// A registry that the user has not defined otherwise.
    NewRegistry,
    /// A minimum age of versions that is not lower than what holds without it, unless the file is trusted.
    PublishAge,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted; `*` stands for one part of any name, `**` for any number of parts.
    pub pattern: &'static str,
    /// Type.
    pub kind: Kind,
    /// Trust class.
    pub class: Class,
    /// Extra rule.
    pub check: Check,
    /// What holds where nobody sets it, in Markdown.
    pub default: &'static str,
    /// What it means, in Markdown.
    pub about: &'static str,
}

impl Key {
    const fn about(mut self, default: &'static str, about: &'static str) -> Self {
        (self.default, self.about) = (default, about);
        self
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.pattern.ends_with(".token") || self.pattern.ends_with(".secret-key")
    }

    /// How the values of several layers come together, in a few words.
    pub fn precedence(&self) -> &'static str {
        match self.kind {
            List | StringOrList => "layers are joined, the highest last",
            Other => "the highest layer that sets a value; lists are joined, tables are merged",
            _ => "the highest layer that sets it",
        }
    }
}

const fn key(pattern: &'static str, kind: Kind, class: Class) -> Key {
    checked(pattern, kind, class, Check::None)
}

const fn checked(pattern: &'static str, kind: Kind, class: Class, check: Check) -> Key {
    Key { pattern, kind, class, check, default: "", about: "" }
}

use Class::{Harmless, IdentityAndNetwork, ProgramChoosing};
use Kind::{Boolean, Command, Integer, IntegerOrString, List, Other, String, StringOrList};

/// The keys of the Cargo Book, chapter "Configuration". The first row that matches counts.
pub const KEYS: &[Key] = &[
    key("paths", List, ProgramChoosing).about("none", "Folders whose packages take the place of packages of the same name."),
    key("include", Other, Harmless).about("none", "Further configuration files, which count below the one that names them."), // Followed, with rules of its own, before layers are merged.
    checked("alias.*", StringOrList, ProgramChoosing, Check::AliasName).about("`b`, `c`, `d`, `t`, `r`, `rm`", "A command under another name: words, or one string that is split at spaces."),
    key("build.jobs", IntegerOrString, Harmless).about("number of CPUs", "Number of jobs at a time; a negative one is taken from the number of CPUs."),
    key("build.rustc", String, ProgramChoosing).about("`rustc`", "The compiler."),
    key("build.rustc-wrapper", String, ProgramChoosing).about("none", "A program that is run in the place of the compiler."),
    key("build.rustc-workspace-wrapper", String, ProgramChoosing).about("none", "The same, for members of the workspace only."),
    key("build.rustdoc", String, ProgramChoosing).about("`rustdoc`", "The documentation generator."),
    checked("build.target", StringOrList, Harmless, Check::Platform).about("the host's", "The platform, or platforms, to build for."),
    checked("build.target-dir", String, Harmless, Check::InsideProject).about("`target`", "Where artifacts are put."),
    checked("build.build-dir", String, Harmless, Check::InsideProject).about("`build.target-dir`", "Where what comes up on the way is put."),
    checked("build.rustflags", StringOrList, ProgramChoosing, Check::Rustflags).about("none", "Flags for every call of the compiler."),
    checked("build.rustdocflags", StringOrList, ProgramChoosing, Check::Rustdocflags).about("none", "Flags for every call of rustdoc."),
    key("build.incremental", Boolean, Harmless).about("the profile's", "Whether compilation is incremental."),
    key("build.dep-info-basedir", String, Harmless).about("none", "Folder to which paths in dep-info files are made relative."),
    key("build.pipelining", Boolean, Harmless).about("none", "Deprecated; not used."),
    key("build.warnings", String, Harmless).about("`warn`", "What becomes of warnings of the compiler: `warn`, `allow` or `deny`."),
    key("credential-alias.*", Command, IdentityAndNetwork).about("none", "A credential provider under a name."),
    key("doc.browser", Command, ProgramChoosing).about("the system's", "The browser that `doc --open` starts."),
    checked("env.*", Other, ProgramChoosing, Check::EnvironmentName).about("none", "A variable for build scripts, the compiler and `run`: text, or a table with `value`, `force`, `relative`."),
    key("future-incompat-report.frequency", String, Harmless).about("`always`", "When a report about future incompatibility is announced: `always` or `never`."),
    key("cache.auto-clean-frequency", String, IdentityAndNetwork).about("`1 day`", "How often what is not used any more is removed from Cargo's cache."),
    key("cargo-new.vcs", String, Harmless).about("`git`", "The version control system of new packages."),
    // Superseded keys of `cargo new` that old files still carry.
    key("cargo-new.name", String, Harmless).about("none", "Superseded; not used."),
    key("cargo-new.email", String, Harmless).about("none", "Superseded; not used."),
    key("http.debug", Boolean, IdentityAndNetwork).about("`false`", "Whether exchanges with servers are logged."),
    key("http.proxy", String, IdentityAndNetwork).about("none", "The proxy, in the format of libcurl."),
    key("http.ssl-version", Other, IdentityAndNetwork).about("TLS 1.2 and higher", "The TLS version, or a table with `min` and `max`."),
    key("http.timeout", Integer, IdentityAndNetwork).about("`30`", "Seconds without an answer after which a request fails."),
    key("http.low-speed-limit", Integer, IdentityAndNetwork).about("`10`", "Bytes per second below which a transfer counts as stuck."),
    key("http.cainfo", String, IdentityAndNetwork).about("the system's", "File of the certificate authorities that are accepted."),
    key("http.proxy-cainfo", String, IdentityAndNetwork).about("`http.cainfo`", "The same for the proxy."),
    key("http.check-revoke", Boolean, IdentityAndNetwork).about("`true` on Windows", "Whether the revocation of certificates is checked."),
    key("http.multiplexing", Boolean, IdentityAndNetwork).about("`true`", "Whether several requests share one connection."),
    key("http.user-agent", String, IdentityAndNetwork).about("Bulkhead's", "The `user-agent` header of requests."),
    key("install.root", String, IdentityAndNetwork).about("Cargo's home", "Where `install` puts programs."),
    key("net.retry", Integer, IdentityAndNetwork).about("`3`", "How often a failed request is repeated."),
    key("net.git-fetch-with-cli", Boolean, IdentityAndNetwork).about("`false`", "Whether the program `git` fetches, with the user's configuration."),
    key("net.offline", Boolean, IdentityAndNetwork).about("`false`", "Whether nothing may be fetched."),
    key("net.ssh.known-hosts", List, IdentityAndNetwork).about("none", "Keys of ssh hosts, in the format of `known_hosts`."),
    key("patch.*.*", Other, ProgramChoosing).about("none", "A package that takes the place of one of a source, as `[patch]` in a manifest."),
    checked("profile.**.rustflags", List, ProgramChoosing, Check::Rustflags).about("none", "Flags for the compiler in a profile (unstable)."),
    key("profile.**", Other, Harmless).about("the profile's", "A setting of a profile, as `[profile]` in a manifest."),
    key("resolver.incompatible-rust-versions", String, Harmless).about("the resolver's", "Whether versions are preferred that suit the `rust-version`: `allow` or `fallback`."),
    checked("resolver.incompatible-publish-age", String, Harmless, Check::PublishAge).about("`deny`", "Whether versions are taken that have not been public for long: `allow` or `deny`."),
    key("resolver.lockfile-path", String, ProgramChoosing).about("`Cargo.lock`", "Where the lockfile is (unstable)."),
    checked("registries.*.index", String, ProgramChoosing, Check::NewRegistry).about("none", "Address of a registry's index."),
    checked("registries.*.min-publish-age", String, Harmless, Check::PublishAge).about("`registry.global-min-publish-age`", "How long versions of a registry have to have been public."),
    key("registries.*.token", String, IdentityAndNetwork).about("none", "Token of a registry. A secret."),
    key("registries.*.secret-key", String, IdentityAndNetwork).about("none", "Key with which requests to a registry are signed. A secret."),
    key("registries.*.secret-key-subject", String, IdentityAndNetwork).about("none", "Name under which the key is known."),
    key("registries.*.credential-provider", Command, IdentityAndNetwork).about("`registry.global-credential-providers`", "Program that knows the token of a registry."),
    key("registries.*.protocol", String, IdentityAndNetwork).about("`sparse`", "Protocol of the public registry's index: `sparse` or `git`."),
    // Bulkhead's own: which other servers may see the token.
    key("registries.*.token-origins", List, IdentityAndNetwork).about("the index's", "Further servers that may see the token of a registry. Bulkhead's own key."),
    key("registry.index", String, IdentityAndNetwork).about("none", "Superseded; not used."),
    key("registry.default", String, IdentityAndNetwork).about("`crates-io`", "The registry that commands mean where none is named."),
    checked("registry.global-min-publish-age", String, Harmless, Check::PublishAge).about("`3 days`", "How long versions have to have been public."),
    key("registry.token", String, IdentityAndNetwork).about("none", "Token of the public registry. A secret."),
    key("registry.secret-key", String, IdentityAndNetwork).about("none", "Key with which requests to the public registry are signed. A secret."),
    key("registry.secret-key-subject", String, IdentityAndNetwork).about("none", "Name under which the key is known."),
    key("registry.credential-provider", Command, IdentityAndNetwork).about("`registry.global-credential-providers`", "Program that knows the token of the public registry."),
    key("registry.global-credential-providers", List, IdentityAndNetwork).about("`[\"cargo:token\"]`", "Programs that know tokens, the first with the least precedence."),
    key("source.*.*", String, ProgramChoosing).about("none", "Where packages of a source are read instead: `replace-with`, `directory`, `local-registry`, `registry`, `git` and its `branch`, `tag`, `rev`."),
    key("target.*.ar", String, ProgramChoosing).about("none", "Superseded; not used."),
    key("target.*.linker", String, ProgramChoosing).about("rustc's", "The linker for a platform."),
    key("target.*.runner", Command, ProgramChoosing).about("none", "A program that runs executables of a platform."),
    checked("target.*.rustflags", StringOrList, ProgramChoosing, Check::Rustflags).about("`build.rustflags`", "Flags for the compiler on a platform."),
    checked("target.*.rustdocflags", StringOrList, ProgramChoosing, Check::Rustdocflags).about("`build.rustdocflags`", "Flags for rustdoc on a platform."),
    key("target.*.*", Other, ProgramChoosing).about("none", "What the build script of the package with this `links` would have said."), // A `links` override.
    // What hides warnings hides those about the project too.
    key("term.quiet", Boolean, ProgramChoosing).about("`false`", "Whether status lines are left out."),
    key("term.verbose", Boolean, Harmless).about("`false`", "Whether command lines are shown."),
    key("term.color", String, Harmless).about("`auto`", "Whether output is coloured: `auto`, `always` or `never`."),
    key("term.hyperlinks", Boolean, Harmless).about("`auto`", "Whether links are written."),
    key("term.unicode", Boolean, Harmless).about("`auto`", "Whether characters beyond ASCII are written."),
    key("term.progress", Other, Harmless).about("see its keys", "The progress bar: a table."), // Taken whole; what follows describes what is in it.
    key("term.progress.when", String, Harmless).about("`auto`", "Whether the progress bar is shown: `auto`, `always` or `never`."),
    key("term.progress.width", Integer, Harmless).about("the terminal's", "Its width in columns; needed for `always`."),
    key("term.progress.term-integration", Boolean, Harmless).about("`auto`", "Whether the terminal shows progress as well; not used."),
    // Only nightly reads these; they are known so that no one is warned about them.
    key("unstable.**", Other, ProgramChoosing).about("none", "Flags of nightly Cargo; not used."),
    key("host.**", Other, ProgramChoosing).about("none", "Settings of nightly Cargo; not used."),
];

/// The row for a key path such as `["build", "jobs"]`.
pub fn find(path: &[&str]) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches(&key.pattern.split('.').collect::<Vec<_>>(), path))
}

/// The row for a key path, or for the table that is taken whole in which it lies, such as `env.NAME` for `env.NAME.force`.
pub fn find_around(path: &[&str]) -> Option<&'static Key> {
    let around = || path.split_last().and_then(|(_, rest)| find_around(rest)).filter(|key| key.kind == Other);
    find(path).or_else(around)
}

/// The key that was probably meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(name, KEYS.iter().map(|key| key.pattern))
}

/// The same among `known`.
pub(crate) fn nearest_of(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let (apart, near) = known.map(|known| (distance(name, known), known)).min()?;
    (apart <= name.len() / 3 + 1).then_some(near)
}

fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (1..=path.len()).any(|taken| matches(rest, &path[taken..])),
        (["*", rest @ ..], [_, path @ ..]) => matches(rest, path),
        ([part, rest @ ..], [first, path @ ..]) => part == first && matches(rest, path),
        _ => false,
    }
}

/// Whether some key begins with these parts, so that a table is expected there.
pub fn is_prefix(path: &[&str]) -> bool {
    KEYS.iter().any(|key| {
        let pattern: Vec<&str> = key.pattern.split('.').collect();
        pattern.len() > path.len() && pattern.iter().zip(path).all(|(part, name)| part.starts_with('*') || part == name)
    })
}

/// The commands that an alias of a project may not take over, Cargo's built-in aliases among them.
pub const BUILT_IN_COMMANDS: &[&str] = &[
    "add",
    "approve",
    "audit-log",
    "b",
    "bench",
    "build",
    "c",
    "cache",
    "check",
    "clean",
    "clippy",
    "completions",
    "config",
    "d",
    "doc",
    "explain",
    "fetch",
    "fix",
    "fmt",
    "generate-lockfile",
    "grants",
    "help",
    "info",
    "init",
    "install",
    "locate-project",
    "login",
    "logout",
    "metadata",
    "miri",
    "new",
    "owner",
    "package",
    "pkgid",
    "publish",
    "r",
    "read-manifest",
    "remove",
    "report",
    "review",
    "rm",
    "run",
    "rustc",
    "rustdoc",
    "sandbox",
    "search",
    "t",
    "test",
    "tree",
    "trust",
    "uninstall",
    "update",
    "vendor",
    "verify",
    "verify-project",
    "version",
    "yank",
];

#[cfg(test)]
mod tests {
    use super::{BUILT_IN_COMMANDS, Class, find, is_prefix};

    #[test]
    fn patterns_match_by_parts() {
        assert_eq!(find(&["build", "rustc"]).unwrap().class, Class::ProgramChoosing);
        assert_eq!(find(&["profile", "dev", "package", "a.b", "rustflags"]).unwrap().class, Class::ProgramChoosing);
        assert_eq!(find(&["profile", "dev", "opt-level"]).unwrap().class, Class::Harmless);
        assert_eq!(find(&["target", "cfg(unix)", "foo"]).unwrap().class, Class::ProgramChoosing);
        assert!(find(&["build", "unknown"]).is_none());
        assert!(is_prefix(&["net", "ssh"]) && is_prefix(&["registries", "x"]) && !is_prefix(&["bogus"]));
    }

    #[test]
    fn the_list_of_commands_is_sorted() {
        assert!(BUILT_IN_COMMANDS.is_sorted());
    }
}
