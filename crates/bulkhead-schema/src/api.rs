//! Answers of a registry's web API (Cargo Book, "Web API").

use serde::Deserialize;

/// Most packages read from one answer to a search.
const MAX_FOUND: usize = 1000;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The best matches. Their texts are untrusted.
    pub packages: Vec<FoundPackage>,
    /// How many there are in all.
    pub total: u64,
}

/// One package that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundPackage {
    /// Its name.
    pub name: String,
    /// Its highest version.
    pub max_version: String,
    /// What it says of itself.
    pub description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Errors { errors: Vec<ApiError> },
    Found { crates: Vec<FoundPackage>, meta: Meta },
}

#[derive(Deserialize)]
struct ApiError {
    detail: String,
}

#[derive(Deserialize)]
struct Meta {
    total: u64,
}

/// Reads the answer to a search.
///
/// # Errors
/// What the registry says is wrong, or that this is no answer to a search.
pub fn parse_found(bytes: &[u8]) -> Result<Found, String> {
    let answer = serde_json::from_slice(bytes).map_err(|_| "its answer is not one to a search".to_owned())?;
    match answer {
        Answer::Errors { errors } => {
            let details: Vec<String> =
                errors.iter().take(10).map(|error| error.detail.chars().take(1000).collect()).collect();
            Err(format!("the remote server responded with an error: {}", details.join(", ")))
        }
        Answer::Found { mut crates, meta } => {
            crates.truncate(MAX_FOUND);
            Ok(Found { packages: crates, total: meta.total })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_found;

    #[test]
    fn answers_to_a_search_are_read() {
        let found = parse_found(
            br#"{"crates":[{"name":"a","max_version":"1.0.0","description":null,"x":1}],"meta":{"total":7}}"#,
        );
        let found = found.unwrap();
        assert_eq!((found.packages[0].name.as_str(), found.total), ("a", 7));
        let error = parse_found(br#"{"errors":[{"detail":"one"},{"detail":"two"}]}"#).unwrap_err();
        assert!(error.ends_with("error: one, two"), "{error}");
        for bad in ["", "[]", "{}", r#"{"crates":[{}],"meta":{"total":1}}"#, r#"{"crates":[],"meta":{"total":-1}}"#] {
            assert!(parse_found(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
