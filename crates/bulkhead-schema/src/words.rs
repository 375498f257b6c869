//! The grammar of each kind of word that people and files hand in: what it may hold, and how long it may be.
//!
//! What has a type of its own (names and versions of packages, requirements, sources) is checked by that type as well; this is
//! what all of them pass first, so that no word can be taken for an option, draw on a terminal, or fill the memory.

/// A kind of word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// A specification of packages: a name, a pattern, `name@version`, a URL.
    Spec,
    /// The name of a target (binary, example, test), or a pattern of them.
    Target,
    /// The name of a profile, a registry, a lint, a kind of crate.
    Name,
    /// Names of features, between commas or spaces.
    Features,
    /// A platform, such as `x86_64-unknown-linux-gnu`.
    Platform,
    /// A platform or `cfg(…)`.
    Condition,
    /// A version, or a requirement on it.
    Version,
    /// The name of a branch, tag or commit.
    Reference,
    /// An address.
    Url,
    /// A path. It may begin with `-`, since it is made absolute before anything else sees it.
    Path,
    /// `KEY=VALUE`.
    KeyValue,
    /// Text for people, and whatever a rule of its own checks.
    Text,
}

impl Grammar {
    /// Most bytes.
    pub fn max_length(self) -> usize {
        match self {
            Self::Platform | Self::Name => 100,
            Self::Version | Self::Reference | Self::Target => 256,
            Self::Spec | Self::Condition => 1024,
            Self::Url => 2048,
            Self::Path | Self::Text => 4096,
            Self::Features => 16 << 10,
            Self::KeyValue => 64 << 10,
        }
    }

    fn allows(self, c: char) -> bool {
        let also = match self {
            // With the requirements of `add name@>=1`.
            Self::Spec => "_-.*?[]!@:/+#=%&~<>^,",
            Self::Target => "_-.*?[]!+",
            Self::Name => "_-.:=,",
            Self::Features => "_-+./?:, ",
            Self::Platform => "_-.",
            Self::Condition => "_-.()=\", ",
            Self::Version => ".+-*^~<>=, ",
            Self::Reference => "_-./+@#~^=,:",
            Self::Url => "_-.~:/?#[]@!$&'()*+,;=%",
            Self::Path | Self::KeyValue | Self::Text => return true,
        };
        let letters = match self {
            // Packages, targets and features of one's own may be called in any script.
            Self::Spec | Self::Target | Self::Features | Self::Reference | Self::Url => c.is_alphanumeric(),
            _ => c.is_ascii_alphanumeric(),
        };
        letters || also.contains(c)
    }

    /// Checks one word.
    ///
    /// # Errors
    /// The rule that it breaks, as the end of a sentence.
    pub fn check(self, word: &str) -> Result<(), String> {
        let most = self.max_length();
        if word.len() > most {
            return Err(format!("is longer than {most} bytes"));
        }
        if self != Self::Path && self != Self::Text && word.starts_with('-') {
            return Err("begins with `-`".to_owned());
        }
        // What people look for, and what lies on their disk, may be called anything; it is escaped where it is shown.
        let is_fine = |c: char| match self {
            Self::Path | Self::Text => c != '\0',
            Self::KeyValue => matches!(c, '\n' | '\t'),
            _ => false,
        };
        if let Some(c) = word.chars().find(|c| c.is_control() && !is_fine(*c)) {
            return Err(format!("holds the control character U+{:04X}", u32::from(c)));
        }
        if let Some(c) = word.chars().find(|c| !self.allows(*c)) {
            return Err(format!("holds `{c}`"));
        }
        if self == Self::Platform && (word.is_empty() || word.starts_with('.')) {
            return Err("is not the name of a target platform".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Grammar::{
        Condition, Features, KeyValue, Name, Path, Platform, Reference, Spec, Target, Text, Url, Version,
    };

    #[test]
    fn words_as_they_are_used_pass() {
        for (grammar, words) in [
            (
                Spec,
                &[
                    "serde",
                    "serde@1.0.0",
                    "a*",
                    "b[!c]",
                    "https://host/r?branch=x#a@1.0",
                    "path+file:///a%20b",
                    "größe",
                ][..],
            ),
            (Target, &["main", "a-b_c", "a*"]),
            (Name, &["dev", "release-lto", "crates-io", "clippy::all", "cdylib,rlib", "native-static-libs=x"]),
            (Features, &["a,b c", "dep/feature", "a?/b", "c++20", ""]),
            (Platform, &["x86_64-unknown-linux-gnu", "thumbv7em-none-eabihf"]),
            (Condition, &["cfg(all(unix, target_os = \"linux\"))", "x86_64-pc-windows-msvc"]),
            (Version, &["1.2.3-rc.1+x", ">=1, <2", "*", "^0.3", ""]),
            (Reference, &["main", "feature/x", "v1.0", "refs/heads/x", "abc123"]),
            (Url, &["https://host/a?b=c#d", "git@host:a/b.git", "sparse+https://host/"]),
            (Path, &["../a b/Cargo.toml", "-o/Cargo.toml"]),
            (KeyValue, &["build.jobs=1", "a.b = \"\tc\"\n"]),
            (Text, &["", "-x", "anything at all: ü"]),
        ] {
            for word in words {
                assert_eq!(grammar.check(word), Ok(()), "{grammar:?} {word}");
            }
        }
    }

    /// Attack 1.
    #[test]
    fn words_that_are_something_else_do_not() {
        let all = [Spec, Target, Name, Features, Platform, Condition, Version, Reference, Url, KeyValue];
        for grammar in all {
            for word in ["-x", "--config=x", "a\u{1b}[2J", "a\u{0}b", "a\u{7f}", "a\u{85}", "a\r"] {
                assert!(grammar.check(word).is_err(), "{grammar:?} {word:?}");
            }
        }
        for grammar in all.into_iter().chain([Path, Text]) {
            assert!(grammar.check(&"a".repeat(grammar.max_length())).is_ok(), "{grammar:?}");
            assert!(grammar.check(&"a".repeat(grammar.max_length() + 1)).is_err(), "{grammar:?}");
            assert!(grammar.check("a\u{0}").is_err(), "{grammar:?}");
        }
        for (grammar, word) in [
            (Platform, "../../x"),
            (Platform, "."),
            (Platform, ""),
            (Platform, "a b"),
            (Name, "a/../b"),
            (Name, "größe"),
            (Target, "../x"),
            (Target, "a/b"),
            (Features, "$(x)"),
            (Spec, "a b"),
            (Spec, "a;b"),
            (Reference, "a b"),
            (Reference, "$(x)"),
            (Version, "1 | 2"),
            (Url, "ssh://a b"),
            (Url, "https://host/`x`"),
            (Condition, "cfg(x); y"),
        ] {
            assert!(grammar.check(word).is_err(), "{grammar:?} {word}");
        }
    }
}
