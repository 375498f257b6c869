//! The part of a policy that speaks about code which runs while something is built.

use std::fmt;

use semver::{Version, VersionReq};

use super::Reader;
use crate::config::{Entry, Node};
use crate::{Diagnostic, PackageName};

/// Most exceptions of one file.
const MAX_OVERRIDES: usize = 10_000;

/// `[build-code]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildCodeRules {
    /// `level`
    pub level: Option<BuildCodeLevel>,
    /// `[[build-code.override]]`, in the order of the file. The first that fits counts.
    pub overrides: Vec<BuildCodeOverride>,
    /// `catalogue`: names of packages whose grants in the catalogue that comes with the program act.
    pub catalogue: Vec<String>,
}

/// What it takes for build code to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildCodeLevel {
    /// `allow`: it runs, and reads and reaches what the user can. It is still a confined process, which writes nowhere else.
    Allow,
    /// `confined`: it runs, and may do what grants allow.
    #[default]
    Confined,
    /// `approve`: it runs, confined, once somebody has approved exactly this code.
    Approve,
}

impl fmt::Display for BuildCodeLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Confined => "confined",
            Self::Approve => "approve",
        })
    }
}

/// Another level for one package.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildCodeOverride {
    /// `package`
    pub package: PackageName,
    /// `version`; without it, every one.
    pub version: VersionReq,
    /// `level`
    pub level: BuildCodeLevel,
    /// Why. For people.
    pub reason: Option<String>,
}

impl BuildCodeRules {
    /// What these rules say about one package, if they say anything.
    pub fn level_of(&self, package: &str, version: &Version) -> Option<BuildCodeLevel> {
        let release = Version { pre: semver::Prerelease::EMPTY, ..version.clone() };
        let fits = |it: &&BuildCodeOverride| {
            it.package.as_str() == package && (it.version.matches(version) || it.version.matches(&release))
        };
        self.overrides.iter().find(fits).map(|it| it.level).or(self.level)
    }
}

impl Reader<'_> {
    pub(super) fn build_code(&self, entry: &Entry) -> Result<BuildCodeRules, Diagnostic> {
        let mut rules = BuildCodeRules::default();
        for (key, entry) in self.table(entry, "build-code")? {
            match key.as_str() {
                "level" => rules.level = Some(self.build_code_level(entry)?),
                "catalogue" => rules.catalogue = self.strings(entry, key)?,
                "override" => {
                    let tables = entry.node.as_list().ok_or_else(|| self.wrong(entry, key, "an array of tables"))?;
                    if tables.len() > MAX_OVERRIDES {
                        return Err(self.error(&entry.key_span, format!("more than {MAX_OVERRIDES} entries")));
                    }
                    rules.overrides =
                        tables.iter().map(|node| self.build_code_override(node)).collect::<Result<_, _>>()?;
                }
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(rules)
    }

    fn build_code_level(&self, entry: &Entry) -> Result<BuildCodeLevel, Diagnostic> {
        match entry.node.as_str() {
            Some("allow") => Ok(BuildCodeLevel::Allow),
            Some("confined") => Ok(BuildCodeLevel::Confined),
            Some("approve") => Ok(BuildCodeLevel::Approve),
            _ => Err(self.error(&entry.node.span, "`level` is `allow`, `confined` or `approve`".to_owned())),
        }
    }

    fn build_code_override(&self, node: &Node) -> Result<BuildCodeOverride, Diagnostic> {
        let incomplete = || self.error(&node.span, "an override names its `package` and its `level`".to_owned());
        let (mut package, mut level) = (None, None);
        let (mut version, mut reason) = (VersionReq::STAR, None);
        for (key, entry) in node.as_table().ok_or_else(incomplete)? {
            match key.as_str() {
                "package" => {
                    let name = PackageName::local(&self.string(entry, key)?);
                    package = Some(name.map_err(|error| self.error(&entry.node.span, error.to_string()))?);
                }
                "version" => version = self.version(entry)?,
                "level" => level = Some(self.build_code_level(entry)?),
                "reason" => reason = Some(self.string(entry, key)?),
                _ => return Err(self.unknown(key, entry)),
            }
        }
        let (package, level) = (package.ok_or_else(incomplete)?, level.ok_or_else(incomplete)?);
        Ok(BuildCodeOverride { package, version, level, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_policy;
    use super::{BuildCodeLevel, BuildCodeRules};
    use semver::Version;
    use std::path::Path;
    use std::sync::Arc;

    fn parsed(text: &str) -> Result<BuildCodeRules, String> {
        let policy = parse_policy(Path::new("bulkhead.toml"), &Arc::from(text));
        policy.map(|policy| policy.build_code).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_override_that_fits_counts() {
        let rules = parsed(
            "[build-code]\nlevel = 'approve'\n[[build-code.override]]\npackage = 'a'\nversion = '^1'\nlevel = 'confined'\n\
             reason = 'ours'\n[[build-code.override]]\npackage = 'a'\nlevel = 'allow'\n",
        )
        .unwrap();
        let of = |package, version| rules.level_of(package, &Version::parse(version).unwrap());
        assert_eq!(of("a", "1.5.0"), Some(BuildCodeLevel::Confined));
        assert_eq!(of("a", "1.5.0-rc.1"), Some(BuildCodeLevel::Confined));
        assert_eq!(of("a", "2.0.0"), Some(BuildCodeLevel::Allow));
        assert_eq!(of("b", "1.0.0"), Some(BuildCodeLevel::Approve));
        assert_eq!(BuildCodeRules::default().level_of("b", &Version::new(1, 0, 0)), None);
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, message) in [
            ("[build-code]\nlevel = 'aprove'", "bulkhead.toml:2:9: `level` is `allow`, `confined` or `approve`"),
            ("[build-code]\nlevels = 'allow'", "bulkhead.toml:2:1: unknown key `levels`"),
            ("[[build-code.override]]\npackage = 'a'", "an override names its `package` and its `level`"),
            ("[[build-code.override]]\npackage = '../a'\nlevel = 'allow'", "bulkhead.toml:2:11: invalid package name"),
            ("[build-code]\noverride = 'a'", "`override` is an array of tables"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
