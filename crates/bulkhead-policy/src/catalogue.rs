//! Grants that ship with Bulkhead for well-known packages whose build code really needs one. Somebody has read that code, in
//! exactly the version that each is pinned to. None acts unless a policy names it in `build-code.catalogue`.
//!
//! `data/catalogue/NAME.toml` is a policy with nothing but grants; its first line says in a comment what they are for.

use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::edit_distance::distance;
use bulkhead_schema::policy::{Digest, Grant, parse_policy};
use semver::Version;

/// The grants of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The name by which they are switched on.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! entries {
    ($($name:literal)*) => {
        /// All there is, by name.
        pub const CATALOGUE: &[CatalogueEntry] = &[
            $(CatalogueEntry { name: $name, text: include_str!(concat!("../data/catalogue/", $name, ".toml")) },)*
        ];
    };
}

entries! {
    "du-dust"
    "ort-sys"
    "utoipa-swagger-ui"
}

impl CatalogueEntry {
    /// The entry of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|entry| entry.name == name)
    }

    /// The entry that somebody would switch on for exactly this build code.
    pub fn for_code(package: &str, version: &Version, digest: &Digest) -> Option<&'static Self> {
        let is_it = |grant: &Grant| {
            grant.package == package && grant.version.matches(version) && grant.digest.as_ref() == Some(digest)
        };
        CATALOGUE.iter().find(|entry| entry.grants().is_ok_and(|grants| grants.iter().any(is_it)))
    }

    /// The name that was meant instead of one that is not there.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let near = CATALOGUE.iter().map(|entry| (distance(name, entry.name), entry.name)).min()?;
        (near.0 <= 3).then_some(near.1)
    }

    /// What the grants are for, and what does without.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default()
    }

    /// The grants.
    ///
    /// # Errors
    /// The file is wrong, which a test rules out.
    pub fn grants(&self) -> Result<Vec<Grant>, Diagnostic> {
        parse_policy(Path::new(self.name), &Arc::from(self.text)).map(|policy| policy.grants)
    }
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, CatalogueEntry};
    use bulkhead_schema::policy::{Digest, NetworkRule, Policy, parse_policy};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    /// What ships is pinned, narrow and explained.
    #[test]
    fn every_entry_is_pinned_narrow_and_explained() {
        assert!(CATALOGUE.windows(2).all(|pair| pair[0].name < pair[1].name));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/catalogue");
        #[expect(clippy::disallowed_methods, reason = "a test looks whether a file was forgotten")]
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, CATALOGUE.len());
        for entry in CATALOGUE {
            assert!(entry.summary().ends_with('.'), "{}", entry.name);
            let policy = parse_policy(Path::new(entry.name), &Arc::from(entry.text)).unwrap();
            assert_eq!(Policy { grants: Vec::new(), ..policy.clone() }, Policy::default(), "nothing but grants");
            assert!(!policy.grants.is_empty() && policy.grants == entry.grants().unwrap());
            for grant in policy.grants {
                assert!(grant.digest.is_some() && grant.version.to_string().starts_with('='), "{}", entry.name);
                assert!(grant.reason.len() > 20, "{}", entry.name);
                assert!(grant.network != NetworkRule::All && grant.write.is_empty(), "{}", entry.name);
                let is_source =
                    |folder: &PathBuf| ["src", "tests", "target"].iter().any(|name| folder.starts_with(name));
                assert!(!grant.write_in_package.iter().any(is_source), "{}", entry.name);
            }
        }
    }

    #[test]
    fn an_entry_is_found_by_the_code_that_was_read() {
        for entry in CATALOGUE {
            for grant in entry.grants().unwrap() {
                let version = grant.version.to_string().trim_start_matches('=').parse().unwrap();
                let (read, other) = (grant.digest.unwrap(), Digest::from_sha256([1; 32]));
                assert_eq!(CatalogueEntry::for_code(&grant.package, &version, &read), Some(entry));
                assert_eq!(CatalogueEntry::for_code(&grant.package, &version, &other), None);
                assert_eq!(CatalogueEntry::for_code("other", &version, &read), None);
            }
        }
    }

    #[test]
    fn a_slip_is_told_from_a_name_that_is_not_there() {
        assert_eq!(CatalogueEntry::nearest("ort-sy"), Some("ort-sys"));
        assert_eq!(CatalogueEntry::nearest("something"), None);
        assert!(CatalogueEntry::find("ort-sys").is_some() && CatalogueEntry::find("ort").is_none());
    }
}
