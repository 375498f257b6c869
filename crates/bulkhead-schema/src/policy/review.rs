//! The part of a policy that speaks about what a review finds.

use super::Reader;
use crate::Diagnostic;
use crate::config::Entry;

/// `[review]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewRules {
    /// `deny`: findings of this weight and above in build code that nobody has approved make `review` fail.
    pub deny: Option<Weight>,
}

/// How much a finding of a review weighs: how rarely honest packages have it, and what it could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// Common, and worth a look when it is new.
    Low,
    /// To be understood before the code is used.
    Medium,
    /// Hardly ever honest.
    High,
}

impl Weight {
    /// All of them, the lightest first.
    pub const ALL: [Self; 4] = [Self::Note, Self::Low, Self::Medium, Self::High];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|weight| weight.word() == word)
    }
}

impl Reader<'_> {
    pub(super) fn review(&self, entry: &Entry) -> Result<ReviewRules, Diagnostic> {
        let mut rules = ReviewRules::default();
        for (key, entry) in self.table(entry, "review")? {
            match key.as_str() {
                "deny" => {
                    let weight = entry.node.as_str().and_then(Weight::parse);
                    let wrong =
                        || self.error(&entry.node.span, "`deny` is `note`, `low`, `medium` or `high`".to_owned());
                    rules.deny = Some(weight.ok_or_else(wrong)?);
                }
                _ => return Err(self.unknown(key, entry)),
            }
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_policy;
    use super::Weight;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn the_weight_is_one_of_four_words() {
        let parsed = |text: &str| parse_policy(Path::new("bulkhead.toml"), &Arc::from(text));
        assert_eq!(parsed("review.deny = 'medium'").unwrap().review.deny, Some(Weight::Medium));
        let error = parsed("[review]\ndeny = 'severe'").unwrap_err().to_string();
        assert!(error.contains("bulkhead.toml:2:8: `deny` is `note`, `low`, `medium` or `high`"), "{error}");
        assert!(parsed("[review]\nallow = []").unwrap_err().to_string().contains("unknown key `allow`"));
    }
}
