//! `[[build-code]]` of `bulkhead.lock`: the build-time code that somebody has approved, by digest.

use std::collections::BTreeSet;
use std::fmt;

use semver::Version;

use super::{BulkheadLock, Reader};
use crate::config::{Entry, Node};
use crate::policy::{Digest, toml_string};
use crate::{Diagnostic, PackageId, PackageName, SourceId};

/// Most approvals of one project.
const MAX_APPROVALS: usize = 100_000;

/// Why code of a package runs while something is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BuildCodeKind {
    /// `build-script`
    BuildScript,
    /// `proc-macro`: it runs inside the compiler.
    ProcMacro,
    /// `links`: it decides how a native library is linked.
    Links,
    /// `build-dependency`: a build script or a procedural macro contains it.
    Dependency,
}

impl BuildCodeKind {
    const ALL: [Self; 4] = [Self::BuildScript, Self::ProcMacro, Self::Links, Self::Dependency];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::BuildScript => "build-script",
            Self::ProcMacro => "proc-macro",
            Self::Links => "links",
            Self::Dependency => "build-dependency",
        }
    }
}

/// As messages name it.
impl fmt::Display for BuildCodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuildScript => "build script",
            Self::ProcMacro => "procedural macro",
            Self::Links => "native library",
            Self::Dependency => "library of build code",
        })
    }
}

/// What was approved of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Why its code runs. It was approved for this, and for nothing else.
    pub kinds: BTreeSet<BuildCodeKind>,
    /// Digest of its archive; `None` for a package that has none, such as one from git.
    pub archive: Option<Digest>,
    /// Digest of its build code, which stays the same in another version whose build code is the same.
    pub digest: Digest,
}

impl Reader<'_> {
    pub(super) fn approvals(&self, nodes: &[Node], lock: &mut BulkheadLock) -> Result<(), Diagnostic> {
        nodes.iter().take(MAX_APPROVALS + 1).enumerate().try_for_each(|(position, node)| {
            if position == MAX_APPROVALS {
                return Err(self.whole(node, &format!("more than {MAX_APPROVALS} approvals")));
            }
            let (id, approval) = self.approval(node)?;
            match lock.approvals.insert(id, approval) {
                Some(_) => Err(self.whole(node, &format!("`{id}` is listed twice"))),
                None => Ok(()),
            }
        })
    }

    fn approval(&self, node: &Node) -> Result<(PackageId, Approval), Diagnostic> {
        let table = node.as_table().ok_or_else(|| self.whole(node, "`build-code` is an array of tables"))?;
        let (mut name, mut version, mut source, mut digest, mut archive) = (None, None, None, None, None);
        let mut kinds = BTreeSet::new();
        for (key, entry) in table {
            let text = || entry.node.as_str().ok_or_else(|| self.error(entry, format!("`{key}` is a string")));
            let invalid = |error: &dyn fmt::Display| self.error(entry, error.to_string());
            match key.as_str() {
                "package" => name = Some(PackageName::local(text()?).map_err(|error| invalid(&error))?),
                "version" => version = Some(Version::parse(text()?).map_err(|error| invalid(&error))?),
                "source" => source = Some(SourceId::parse(text()?).map_err(|error| invalid(&error))?),
                "kinds" => kinds = self.kinds(entry)?,
                "archive" => archive = Some(self.digest(entry, text()?)?),
                "digest" => digest = Some(self.digest(entry, text()?)?),
                _ => return Err(self.error(entry, format!("`{key}` does not belong here"))),
            }
        }
        match (name, version, source, digest) {
            (Some(name), Some(version), Some(source), Some(digest)) if !kinds.is_empty() => {
                Ok((PackageId::new(name, version, source), Approval { kinds, archive, digest }))
            }
            _ => Err(self.whole(node, "an approval has `package`, `version`, `source`, `kinds` and `digest`")),
        }
    }

    fn digest(&self, entry: &Entry, text: &str) -> Result<Digest, Diagnostic> {
        Digest::parse(text).ok_or_else(|| {
            self.error(entry, "a digest is `sha256:` and 64 hexadecimal digits in lower case".to_owned())
        })
    }

    fn kinds(&self, entry: &Entry) -> Result<BTreeSet<BuildCodeKind>, Diagnostic> {
        let words: Vec<&str> = BuildCodeKind::ALL.iter().map(|kind| kind.word()).collect();
        let wrong = || self.error(entry, format!("`kinds` holds some of {}", words.join(", ")));
        let kind = |node: &Node| {
            let word = node.as_str()?;
            BuildCodeKind::ALL.into_iter().find(|kind| kind.word() == word)
        };
        entry.node.as_list().ok_or_else(wrong)?.iter().map(|node| kind(node).ok_or_else(wrong)).collect()
    }
}

/// The table in the file.
pub(super) fn print(f: &mut fmt::Formatter<'_>, id: &PackageId, approval: &Approval) -> fmt::Result {
    writeln!(f, "\n[[build-code]]\npackage = {}", toml_string(id.name().as_str()))?;
    writeln!(f, "version = {}", toml_string(&id.version().to_string()))?;
    writeln!(f, "source = {}", toml_string(&id.source().encoded()))?;
    let kinds: Vec<String> = approval.kinds.iter().map(|kind| toml_string(kind.word())).collect();
    writeln!(f, "kinds = [{}]", kinds.join(", "))?;
    if let Some(archive) = &approval.archive {
        writeln!(f, "archive = \"{archive}\"")?;
    }
    writeln!(f, "digest = \"{}\"", approval.digest)
}

#[cfg(test)]
mod tests {
    use super::{Approval, BuildCodeKind};
    use crate::bulkhead_lock::BulkheadLock;
    use crate::policy::Digest;
    use crate::{PackageId, PackageName, SourceId};
    use semver::Version;
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<BulkheadLock, String> {
        BulkheadLock::parse(Path::new("bulkhead.lock"), &Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut lock = BulkheadLock::default();
        let mut approve = |name: &str, version, archive| {
            let id = PackageId::new(PackageName::registry(name).unwrap(), version, SourceId::crates_io());
            let kinds = [BuildCodeKind::Links, BuildCodeKind::BuildScript].into();
            lock.approvals.insert(id, Approval { kinds, archive, digest: Digest::from_sha256([2; 32]) });
        };
        approve("b-sys", Version::new(1, 10, 0), Some(Digest::from_sha256([1; 32])));
        approve("b-sys", Version::new(1, 9, 0), None);
        let text = lock.to_string();
        expect_test::expect![[r##"
            # Written by Bulkhead: what this project's sources were at first use, and approved build-time code.
            # It belongs in version control, beside Cargo.lock.
            version = 1

            [[build-code]]
            package = "b-sys"
            version = "1.9.0"
            source = "registry+https://github.com/rust-lang/crates.io-index"
            kinds = ["build-script", "links"]
            digest = "sha256:0202020202020202020202020202020202020202020202020202020202020202"

            [[build-code]]
            package = "b-sys"
            version = "1.10.0"
            source = "registry+https://github.com/rust-lang/crates.io-index"
            kinds = ["build-script", "links"]
            archive = "sha256:0101010101010101010101010101010101010101010101010101010101010101"
            digest = "sha256:0202020202020202020202020202020202020202020202020202020202020202"
        "##]]
        .assert_eq(&text);
        assert_eq!(parsed(&text).unwrap(), lock);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        let good = "version = 1\n[[build-code]]\npackage = 'a'\nversion = '1.0.0'\nkinds = ['build-script']\n\
                    source = 'registry+https://a.example/index'\n";
        let digest = "digest = 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'\n";
        let whole = format!("{good}{digest}");
        assert!(parsed(&whole).is_ok());
        let twice = format!("{whole}{}", whole.replace("version = 1\n", ""));
        for (text, message) in [
            (good.to_owned(), "an approval has `package`, `version`, `source`, `kinds` and `digest`"),
            (format!("{whole}archive = 'sha256:1'"), "bulkhead.lock:8:1: a digest is `sha256:`"),
            (format!("{whole}reason = 'x'"), "bulkhead.lock:8:1: `reason` does not belong here"),
            (whole.replace("'build-script'", "'script'"), "bulkhead.lock:5:1: `kinds` holds some of build-script,"),
            (whole.replace("['build-script']", "[]"), "an approval has"),
            (twice, "`a v1.0.0 (registry `https://a.example/index`)` is listed twice"),
            ("version = 1\nbuild-code = 1".to_owned(), "`build-code` does not belong here"),
        ] {
            let error = parsed(&text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
