//! Every key of Cargo's configuration: its type, and what a project may do with it.

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
}

const fn key(pattern: &'static str, kind: Kind, class: Class) -> Key {
    Key { pattern, kind, class, check: Check::None }
}

const fn checked(pattern: &'static str, kind: Kind, class: Class, check: Check) -> Key {
    Key { pattern, kind, class, check }
}

use Class::{Harmless, IdentityAndNetwork, ProgramChoosing};
use Kind::{Boolean, Command, Integer, IntegerOrString, List, Other, String, StringOrList};

/// The keys of the Cargo Book, chapter "Configuration". The first row that matches counts.
pub const KEYS: &[Key] = &[
    key("paths", List, ProgramChoosing),
    key("include", Other, Harmless), // Followed, with rules of its own, before layers are merged.
    checked("alias.*", StringOrList, ProgramChoosing, Check::AliasName),
    key("build.jobs", IntegerOrString, Harmless),
    key("build.rustc", String, ProgramChoosing),
    key("build.rustc-wrapper", String, ProgramChoosing),
    key("build.rustc-workspace-wrapper", String, ProgramChoosing),
    key("build.rustdoc", String, ProgramChoosing),
    checked("build.target", StringOrList, Harmless, Check::Platform),
    checked("build.target-dir", String, Harmless, Check::InsideProject),
    checked("build.build-dir", String, Harmless, Check::InsideProject),
    checked("build.rustflags", StringOrList, ProgramChoosing, Check::Rustflags),
    checked("build.rustdocflags", StringOrList, ProgramChoosing, Check::Rustdocflags),
    key("build.incremental", Boolean, Harmless),
    key("build.dep-info-basedir", String, Harmless),
    key("build.warnings", String, Harmless),
    key("credential-alias.*", Command, IdentityAndNetwork),
    key("doc.browser", Command, ProgramChoosing),
    checked("env.*", Other, ProgramChoosing, Check::EnvironmentName),
    key("future-incompat-report.frequency", String, Harmless),
    key("cache.auto-clean-frequency", String, IdentityAndNetwork),
    key("cargo-new.vcs", String, Harmless),
    // Superseded keys of `cargo new` that old files still carry.
    key("cargo-new.name", String, Harmless),
    key("cargo-new.email", String, Harmless),
    key("http.debug", Boolean, IdentityAndNetwork),
    key("http.proxy", String, IdentityAndNetwork),
    key("http.ssl-version", Other, IdentityAndNetwork),
    key("http.timeout", Integer, IdentityAndNetwork),
    key("http.low-speed-limit", Integer, IdentityAndNetwork),
    key("http.cainfo", String, IdentityAndNetwork),
    key("http.proxy-cainfo", String, IdentityAndNetwork),
    key("http.check-revoke", Boolean, IdentityAndNetwork),
    key("http.multiplexing", Boolean, IdentityAndNetwork),
    key("http.user-agent", String, IdentityAndNetwork),
    key("install.root", String, IdentityAndNetwork),
    key("net.retry", Integer, IdentityAndNetwork),
    key("net.git-fetch-with-cli", Boolean, IdentityAndNetwork),
    key("net.offline", Boolean, IdentityAndNetwork),
    key("net.ssh.known-hosts", List, IdentityAndNetwork),
    key("patch.*.*", Other, ProgramChoosing),
    checked("profile.**.rustflags", List, ProgramChoosing, Check::Rustflags),
    key("profile.**", Other, Harmless),
    key("resolver.incompatible-rust-versions", String, Harmless),
    checked("resolver.incompatible-publish-age", String, Harmless, Check::PublishAge),
    key("resolver.lockfile-path", String, ProgramChoosing),
    checked("registries.*.index", String, ProgramChoosing, Check::NewRegistry),
    checked("registries.*.min-publish-age", String, Harmless, Check::PublishAge),
    key("registries.*.token", String, IdentityAndNetwork),
    key("registries.*.secret-key", String, IdentityAndNetwork),
    key("registries.*.secret-key-subject", String, IdentityAndNetwork),
    key("registries.*.credential-provider", Command, IdentityAndNetwork),
    key("registries.*.protocol", String, IdentityAndNetwork),
    // Bulkhead's own: which other servers may see the token.
    key("registries.*.token-origins", List, IdentityAndNetwork),
    key("registry.index", String, IdentityAndNetwork),
    key("registry.default", String, IdentityAndNetwork),
    checked("registry.global-min-publish-age", String, Harmless, Check::PublishAge),
    key("registry.token", String, IdentityAndNetwork),
    key("registry.secret-key", String, IdentityAndNetwork),
    key("registry.secret-key-subject", String, IdentityAndNetwork),
    key("registry.credential-provider", Command, IdentityAndNetwork),
    key("registry.global-credential-providers", List, IdentityAndNetwork),
    key("source.*.*", String, ProgramChoosing),
    key("target.*.ar", String, ProgramChoosing),
    key("target.*.linker", String, ProgramChoosing),
    key("target.*.runner", Command, ProgramChoosing),
    checked("target.*.rustflags", StringOrList, ProgramChoosing, Check::Rustflags),
    checked("target.*.rustdocflags", StringOrList, ProgramChoosing, Check::Rustdocflags),
    key("target.*.*", Other, ProgramChoosing), // A `links` override.
    // What hides warnings hides those about the project too.
    key("term.quiet", Boolean, ProgramChoosing),
    key("term.verbose", Boolean, Harmless),
    key("term.color", String, Harmless),
    key("term.hyperlinks", Boolean, Harmless),
    key("term.unicode", Boolean, Harmless),
    key("term.progress", Other, Harmless),
    // Only nightly reads these; they are known so that no one is warned about them.
    key("unstable.**", Other, ProgramChoosing),
    key("host.**", Other, ProgramChoosing),
];

/// The row for a key path such as `["build", "jobs"]`.
pub fn find(path: &[&str]) -> Option<&'static Key> {
    KEYS.iter().find(|key| matches(&key.pattern.split('.').collect::<Vec<_>>(), path))
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
    "audit-log",
    "b",
    "bench",
    "build",
    "c",
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
    "rm",
    "run",
    "rustc",
    "rustdoc",
    "search",
    "t",
    "test",
    "tree",
    "approve",
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
