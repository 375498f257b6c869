//! `.cargo-checksum.json`: what a folder of a directory source says of its files (Cargo Book, "Directory Sources").

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The name of the file in each package's folder.
pub const FILE_NAME: &str = ".cargo-checksum.json";

/// Largest list accepted, in bytes.
pub const MAX_SIZE: usize = 32 << 20;

/// The list of one package. Whether its texts are digests and paths is for those to judge who compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FileList {
    /// SHA-256 in hexadecimal by path below the package's folder.
    #[serde(deserialize_with = "without_duplicates")]
    pub files: BTreeMap<String, String>,
    /// SHA-256 of the archive, for packages of a registry.
    #[serde(default)]
    pub package: Option<String>,
}

impl FileList {
    /// Reads a list.
    ///
    /// # Errors
    /// Why it is none, as the end of a sentence. Two entries for one file are none: readers would disagree which counts.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_SIZE {
            return Err(format!("it is larger than {} MiB", MAX_SIZE >> 20));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// The bytes that `cargo vendor` writes.
impl fmt::Display for FileList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = serde_json::json!({ "files": self.files, "package": self.package });
        write!(f, "{value}")
    }
}

fn without_duplicates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Files;
    impl<'de> Visitor<'de> for Files {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from paths to checksums")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut files = BTreeMap::new();
            while let Some((path, checksum)) = map.next_entry::<String, String>()? {
                if files.contains_key(&path) {
                    return Err(A::Error::custom(format_args!("`{path}` is listed twice")));
                }
                files.insert(path, checksum);
            }
            Ok(files)
        }
    }
    deserializer.deserialize_map(Files)
}

#[cfg(test)]
mod tests {
    use super::FileList;

    #[test]
    fn lists_round_trip() {
        for text in [r#"{"files":{"a":"1","b/c":"2"},"package":"3"}"#, r#"{"files":{},"package":null}"#] {
            assert_eq!(FileList::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        assert_eq!(FileList::parse(br#"{"files":{},"future":1}"#).unwrap(), FileList::default());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in ["", "{}", "[]", r#"{"files":[]}"#, r#"{"files":{"a":"1","a":"2"}}"#, r#"{"files":{"a":1}}"#] {
            assert!(FileList::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
