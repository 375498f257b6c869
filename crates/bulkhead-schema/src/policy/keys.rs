//! Every key of a policy file: its type, what holds without it, and how layers come together.
//!
//! The reader refuses what does not stand here, so that documentation, JSON Schema and `config explain` cannot fall behind.

use std::path::Path;
use std::sync::Arc;

use super::switches::SWITCH_NAMES;
use crate::Diagnostic;
use crate::config::{Data, Node, Table};
use crate::edit_distance::distance;
use crate::secrets::is_secret_value;

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// An integer above zero.
    Count,
    /// An array of strings.
    Texts,
    /// `true`, `false`, or an array of hosts with ports.
    Network,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An array of these words.
    Choices(&'static [&'static str]),
}

impl PolicyKind {
    /// The words for it.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Flag => "boolean".to_owned(),
            Self::Count => "positive integer".to_owned(),
            Self::Texts => "array of strings".to_owned(),
            Self::Network => "boolean or array of `host:port`".to_owned(),
            Self::Choice(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
            Self::Choices(_) => "array of words".to_owned(),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct PolicyKey {
    /// Dotted; `[]` behind a part stands for an array of tables.
    pub pattern: &'static str,
    /// Type.
    pub kind: PolicyKind,
    /// What holds where nobody sets it, in Markdown.
    pub default: &'static str,
    /// How the values of several layers come together.
    pub layers: &'static str,
    /// What it means.
    pub about: &'static str,
}

const LOWER: &str = "the lower layer's; only a stricter one if locked or untrusted";
const TOGETHER: &str = "all that act, together; none if locked or untrusted";
const EVERY: &str = "every layer's hold";
const LIST: &str = "the lower layer's; if locked or untrusted, both have to agree";

const STRICTEST: &str = "the strictest of all layers; laxer than the default only if not locked, and trusted";

const SMALLEST: &str = "the smallest of the organisation's and the user's; a project's does not count";

const REACTIONS: &[&str] = &["allow", "warn", "deny"];
const WEIGHTS: &[&str] = &["note", "low", "medium", "high"];
const BUILD_CODE: &[&str] = &["allow", "confined", "approve"];

const fn key(
    pattern: &'static str,
    kind: PolicyKind,
    default: &'static str,
    layers: &'static str,
    about: &'static str,
) -> PolicyKey {
    PolicyKey { pattern, kind, default, layers, about }
}

use PolicyKind::{Choice, Choices, Count, Flag, Network, Text, Texts};

/// The words of `locked`.
const LOCK_WORDS: &[&str] = &[
    "grant",
    "grant.read",
    "grant.write",
    "grant.env",
    "grant.network",
    "grant.directives",
    "limits",
    "sandbox.level",
    "publish-age",
    "sources",
    "lookalikes",
    "withdrawn",
    "build-code",
    "run",
    "test",
    "prefetch",
];

/// The limits of one kind of process.
macro_rules! limits {
    ($table:literal, $default:literal) => {
        [
            key(concat!($table, ".memory-mib"), Count, "none", LOWER, "Memory of each process, in MiB."),
            key(
                concat!($table, ".total-memory-mib"),
                Count,
                "nine tenths of what there is",
                LOWER,
                "Memory of all processes of a run, in MiB.",
            ),
            key(concat!($table, ".time-seconds"), Count, $default, LOWER, "Time on the clock, in seconds."),
            key(concat!($table, ".cpu-seconds"), Count, "none", LOWER, "Processor time, in seconds."),
            key(concat!($table, ".output-mib"), Count, "128", LOWER, "What may be printed, in MiB."),
            key(concat!($table, ".processes"), Count, "4096", LOWER, "Processes and threads at once."),
            key(concat!($table, ".open-files"), Count, "the system's", LOWER, "Open files of each process."),
            key(concat!($table, ".file-mib"), Count, "32768", LOWER, "The largest file that may be written, in MiB."),
            key(concat!($table, ".files"), Count, "1000000", LOWER, "Files that a build script may leave."),
            key(concat!($table, ".disk-mib"), Count, "65536", LOWER, "What they may hold together, in MiB."),
        ]
    };
}

/// What programs under `--confined` may do.
macro_rules! programs {
    ($command:literal) => {
        [
            key(concat!($command, ".confined"), Flag, "`false`", EVERY, "Whether `--confined` is demanded."),
            key(
                concat!($command, ".read"),
                Texts,
                "`[]`",
                TOGETHER,
                "Files and folders that a confined program may read.",
            ),
            key(concat!($command, ".write"), Texts, "`[]`", TOGETHER, "Files and folders that it may write."),
            key(concat!($command, ".env"), Texts, "`[]`", TOGETHER, "Environment variables that are passed on."),
            key(concat!($command, ".network"), Network, "`false`", TOGETHER, "The network that it may use."),
        ]
    };
}

const PREFETCH: [PolicyKey; 7] = [
    key("prefetch[].package", Text, "required", TOGETHER, "Package whose build script sees the file."),
    key("prefetch[].version", Text, "every one", TOGETHER, "Requirement on its version."),
    key("prefetch[].url", Text, "required", TOGETHER, "Where Bulkhead fetches the file, over HTTPS."),
    key("prefetch[].sha256", Text, "required", TOGETHER, "What it has to be: 64 hexadecimal digits."),
    key("prefetch[].file", Text, "required", TOGETHER, "The name that it has for the script."),
    key("prefetch[].env", Text, "required", TOGETHER, "The variable that holds its path."),
    key("prefetch[].reason", Text, "none", TOGETHER, "Why. For people."),
];

const OF_PROCESSES: &[&[PolicyKey]] = &[
    &limits!("limits", "3600"),
    &limits!("limits.build-script", "3600"),
    &limits!("limits.rustc", "3600"),
    &limits!("limits.run", "none"),
    &limits!("limits.test", "none"),
    &programs!("run"),
    &programs!("test"),
    &PREFETCH,
];

/// Every key.
pub const POLICY_KEYS: &[PolicyKey] = &joined::<{ count(&[OTHERS]) + count(OF_PROCESSES) }>();

const fn count(parts: &[&[PolicyKey]]) -> usize {
    let (mut sum, mut part) = (0, 0);
    while part < parts.len() {
        sum += parts[part].len();
        part += 1;
    }
    sum
}

/// All rows in one array.
const fn joined<const N: usize>() -> [PolicyKey; N] {
    let mut all = [OTHERS[0]; N];
    let mut place = 0;
    while place < OTHERS.len() {
        all[place] = OTHERS[place];
        place += 1;
    }
    let mut part = 0;
    while part < OF_PROCESSES.len() {
        let mut row = 0;
        while row < OF_PROCESSES[part].len() {
            all[place] = OF_PROCESSES[part][row];
            place += 1;
            row += 1;
        }
        part += 1;
    }
    all
}

const OTHERS: &[PolicyKey] = &[
    key("locked", Choices(LOCK_WORDS), "`[]`", "together, for the layers below", "What lower layers may not loosen."),
    key(
        "forbidden-variables",
        Choices(SWITCH_NAMES),
        "`[]`",
        EVERY,
        "Variables of the environment that may not take from the protection.",
    ),
    key("grant[].package", Text, "required", TOGETHER, "Package whose build code is granted something."),
    key("grant[].version", Text, "every one", TOGETHER, "Requirement on its version."),
    key(
        "grant[].digest",
        Text,
        "required but for members",
        TOGETHER,
        "Digest of its archive: `sha256:` and 64 digits.",
    ),
    key("grant[].read", Texts, "`[]`", TOGETHER, "Files and folders that it may read."),
    key("grant[].write", Texts, "`[]`", TOGETHER, "Files and folders that it may write."),
    key(
        "grant[].write-in-package",
        Texts,
        "`[]`",
        TOGETHER,
        "Folders in the package that its build script may write where the package is the user's own.",
    ),
    key("grant[].env", Texts, "`[]`", TOGETHER, "Environment variables that are passed on."),
    key("grant[].network", Network, "`false`", TOGETHER, "Whether it may use the network, or the hosts it may reach."),
    key(
        "grant[].directives",
        Texts,
        "`[]`",
        TOGETHER,
        "Directives of its build script that are obeyed, in these words.",
    ),
    key("grant[].reason", Text, "none", TOGETHER, "Why. Every grant has to say it."),
    key("sandbox.level", Choice(&["full", "landlock"]), "`full`", LOWER, "The weakest confinement that is accepted."),
    key("limits.resolve.packages", Count, "50000", LOWER, "Packages in the graph."),
    key("limits.resolve.depth", Count, "1000", LOWER, "Packages in the longest chain of requirements."),
    key("limits.resolve.edges", Count, "1000000", LOWER, "Dependencies between packages."),
    key("limits.resolve.features", Count, "1000000", LOWER, "Features that are switched on, over all packages."),
    key("limits.resolve.steps", Count, "20000000", LOWER, "Candidates that the solver tries."),
    key("limits.resolve.time-seconds", Count, "60", LOWER, "Time that solving may take, in seconds."),
    key("limits.resolve.index-mib", Count, "16", LOWER, "One answer of an index, decoded, in MiB."),
    key("limits.resolve.archive-mib", Count, "64", LOWER, "One package's archive, in MiB."),
    key("limits.git.pack-mib", Count, "8192", LOWER, "What one fetch brings, in MiB."),
    key("limits.git.objects", Count, "16000000", LOWER, "Objects that one fetch brings."),
    key("limits.git.object-mib", Count, "1024", LOWER, "One object that git holds in memory, in MiB."),
    key("limits.git.references", Count, "250000", LOWER, "Branches and tags of a repository."),
    key("limits.git.checkout-mib", Count, "4096", LOWER, "The files of one checkout, in MiB."),
    key("limits.git.checkout-entries", Count, "200000", LOWER, "Files and folders of one checkout."),
    key("limits.git.time-seconds", Count, "1800", LOWER, "Time that one fetch may take, in seconds."),
    key("reserve[].name", Text, "none", EVERY, "Name of a package that comes from one registry only."),
    key("reserve[].prefix", Text, "none", EVERY, "Beginning of such names."),
    key("reserve[].registry", Text, "required", EVERY, "The registry: `crates-io`, a name, or an index."),
    key("reserve[].reason", Text, "none", EVERY, "Why. For people."),
    key("sources.registries", Texts, "every one", LIST, "Registries from which packages may come."),
    key(
        "sources.git",
        Texts,
        "every one",
        LIST,
        "Beginnings of addresses of git repositories from which packages may come.",
    ),
    key("publish-age.minimum", Text, "`\"3 days\"`", LOWER, "How long versions have to have been public."),
    key(
        "publish-age.exempt[].package",
        Text,
        "required",
        TOGETHER,
        "Package of which one version is taken all the same.",
    ),
    key("publish-age.exempt[].version", Text, "required", TOGETHER, "The version."),
    key("publish-age.exempt[].reason", Text, "none", TOGETHER, "Why. For people."),
    key(
        "lookalikes.level",
        Choice(REACTIONS),
        "`warn`",
        LOWER,
        "What becomes of names that are easily taken for others.",
    ),
    key("lookalikes.allow", Texts, "`[]`", TOGETHER, "Names that are meant."),
    key("withdrawn.yanked", Choice(REACTIONS), "`warn`", LOWER, "What becomes of locked versions that were yanked."),
    key(
        "withdrawn.vanished",
        Choice(REACTIONS),
        "`warn`",
        LOWER,
        "What becomes of versions that a registry no longer has.",
    ),
    key("build-code.level", Choice(BUILD_CODE), "`confined`", STRICTEST, "Whether build-time code has to be approved."),
    key(
        "build-code.catalogue",
        Texts,
        "`[]`",
        TOGETHER,
        "Packages whose grants are taken from Bulkhead's own catalogue.",
    ),
    key("build-code.override[].package", Text, "required", STRICTEST, "Package with a level of its own."),
    key("build-code.override[].version", Text, "every one", STRICTEST, "Requirement on its version."),
    key("build-code.override[].level", Choice(BUILD_CODE), "required", STRICTEST, "Its level."),
    key("build-code.override[].reason", Text, "none", STRICTEST, "Why. For people."),
    key("review.deny", Choice(WEIGHTS), "none", STRICTEST, "From which weight on a finding makes `review` fail."),
    key("unit-cache.enabled", Flag, "`true`", "`false` of any layer holds", "Whether workspaces share compiled units."),
    key("unit-cache.max-mib", Count, "20480", SMALLEST, "How much stays in the cache of compiled units, in MiB."),
    key("unit-cache.max-days", Count, "30", SMALLEST, "How long what is not used stays there, in days."),
];

/// The row for a dotted key; `[]` may be left out.
pub fn find_policy_key(key: &str) -> Option<&'static PolicyKey> {
    let wanted = key.replace("[]", "");
    POLICY_KEYS.iter().find(|row| row.pattern.replace("[]", "") == wanted)
}

/// Refuses the first key that is in no row, and names the nearest.
pub(super) fn check(root: &Table, path: &Path, text: &Arc<str>) -> Result<(), Diagnostic> {
    walk(root, "", path, text)
}

fn walk(table: &Table, above: &str, path: &Path, text: &Arc<str>) -> Result<(), Diagnostic> {
    for (name, entry) in table {
        let inner = format!("{above}{name}");
        if known(&inner, "") {
            if holds_secret(&entry.node) {
                let error = Diagnostic::error("policy", format!("`{name}` holds a secret, which no policy needs"));
                let advice = "take it out, and have it revoked: whoever could read the file may have it";
                return Err(error.at(path, text, entry.key_span.clone()).help(advice));
            }
            continue;
        }
        let (tables, ending): (Vec<&Table>, &str) = match &entry.node.data {
            Data::Table(table) => (vec![table], "."),
            Data::List(items) => (items.iter().filter_map(Node::as_table).collect(), "[]."),
            _ => (Vec::new(), "."),
        };
        // What has the wrong type is left to the reader, who says what is expected.
        if !known(&inner, ".") && !known(&inner, "[].") {
            let error = Diagnostic::error("policy", format!("unknown key `{name}`"));
            let error = error.at(path, text, entry.key_span.clone());
            return Err(match nearest(name, above) {
                Some(near) => error.help(format!("a key with a similar name exists: `{near}`")),
                None => error.help("docs/policy.md and `bulkhead config schema` have all keys"),
            });
        }
        let inner = format!("{inner}{ending}");
        tables.into_iter().try_for_each(|table| walk(table, &inner, path, text))?;
    }
    Ok(())
}

fn holds_secret(node: &Node) -> bool {
    match &node.data {
        Data::String(text) => is_secret_value(text),
        Data::List(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

fn known(key: &str, ending: &str) -> bool {
    POLICY_KEYS.iter().any(|row| match ending {
        "" => row.pattern == key,
        _ => row.pattern.strip_prefix(key).is_some_and(|rest| rest.starts_with(ending)),
    })
}

fn nearest(name: &str, above: &str) -> Option<&'static str> {
    let siblings = POLICY_KEYS.iter().filter_map(|row| row.pattern.strip_prefix(above));
    let siblings = siblings.map(|rest| rest.split(['.', '[']).next().unwrap_or(rest));
    let near = siblings.map(|sibling| (distance(name, sibling), sibling)).min()?;
    (near.0 <= name.len().max(3) / 3 + 1).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::super::{LOCKS, parse_policy};
    use super::{LOCK_WORDS, POLICY_KEYS, PolicyKind, find_policy_key};
    use std::path::Path;
    use std::sync::Arc;

    /// The reader knows every row; that each key of the reader has one, it sees to itself.
    #[test]
    fn every_row_is_read() {
        for row in POLICY_KEYS {
            let value = match row.kind {
                PolicyKind::Flag => "true".to_owned(),
                PolicyKind::Count => "1".to_owned(),
                PolicyKind::Texts | PolicyKind::Network => "[]".to_owned(),
                PolicyKind::Choice(words) => format!("'{}'", words[0]),
                PolicyKind::Choices(words) => format!("{words:?}"),
                PolicyKind::Text => "'x'".to_owned(),
            };
            let text = match row.pattern.split_once("[].") {
                Some((table, key)) => format!("[[{table}]]\n{key} = {value}\n"),
                None => format!("{} = {value}\n", row.pattern),
            };
            if let Err(error) = parse_policy(Path::new("p"), &Arc::from(text.as_str())) {
                assert!(!error.message.contains("unknown key"), "{}: {error}", row.pattern);
            }
            assert!(find_policy_key(row.pattern).is_some());
        }
        assert_eq!(LOCK_WORDS, LOCKS.iter().map(|(word, _)| *word).collect::<Vec<_>>());
    }

    #[test]
    fn the_nearest_key_is_named() {
        for (text, near) in [
            ("[[grant]]\npackage='x'\nnetwrk=true", "`network`"),
            ("[limts]\nmemory-mib=1", "`limits`"),
            ("[limits.resolve]\nstep=1", "`steps`"),
            ("[[publish-age.exempt]]\npackge='x'", "`package`"),
            ("bogus=1", "config schema"),
        ] {
            let error = parse_policy(Path::new("p"), &Arc::from(text)).unwrap_err();
            assert!(error.help[0].contains(near), "{text}: {error:?}");
        }
    }
}
