//! The part of a policy that speaks about how long a version has to have been public.

use semver::Version;

use super::Reader;
use crate::config::{Entry, Node};
use crate::{Diagnostic, PackageName, publish_age};

/// `[publish-age]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishAgeRules {
    /// `minimum`, in seconds; written as in Cargo's configuration: `"3 days"`, `"0"`.
    pub minimum: Option<u64>,
    /// `[[publish-age.exempt]]`
    pub exempt: Vec<AgeExemption>,
}

/// One version that is taken however young it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeExemption {
    /// `package`
    pub package: PackageName,
    /// `version`: exactly this one, build metadata included.
    pub version: Version,
    /// Why. For people.
    pub reason: Option<String>,
}

impl Reader<'_> {
    pub(super) fn publish_age(&self, entry: &Entry) -> Result<PublishAgeRules, Diagnostic> {
        let mut rules = PublishAgeRules::default();
        for (key, entry) in self.table(entry, "publish-age")? {
            match key.as_str() {
                "minimum" => {
                    let expected = "`minimum` is `0`, or a number and a unit such as `3 days`";
                    let seconds = publish_age::parse(&self.string(entry, key)?);
                    rules.minimum = Some(seconds.ok_or_else(|| self.error(&entry.node.span, expected.to_owned()))?);
                }
                "exempt" => {
                    let tables = entry.node.as_list().ok_or_else(|| self.wrong(entry, key, "an array of tables"))?;
                    rules.exempt = tables.iter().map(|node| self.age_exemption(node)).collect::<Result<_, _>>()?;
                }
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(rules)
    }

    fn age_exemption(&self, node: &Node) -> Result<AgeExemption, Diagnostic> {
        let incomplete = || self.error(&node.span, "an exemption names its `package` and its `version`".to_owned());
        let (mut package, mut version, mut reason) = (None, None, None);
        for (key, entry) in node.as_table().ok_or_else(incomplete)? {
            let invalid = |error: &dyn std::fmt::Display| self.error(&entry.node.span, error.to_string());
            let text = self.string(entry, key)?;
            match key.as_str() {
                "package" => package = Some(PackageName::local(&text).map_err(|error| invalid(&error))?),
                "version" => {
                    let exact = text.strip_prefix('=').unwrap_or(&text);
                    let parsed = Version::parse(exact.trim_start());
                    version = Some(parsed.map_err(|_| invalid(&"`version` is one whole version, such as `1.2.3`"))?);
                }
                "reason" => reason = Some(text),
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(AgeExemption { package: package.ok_or_else(incomplete)?, version: version.ok_or_else(incomplete)?, reason })
    }
}
