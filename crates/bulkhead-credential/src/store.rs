//! Bulkhead's own store: one private file below `BULKHEAD_HOME/credentials`, keyed by the exact address of an index.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bulkhead_schema::credential::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{FileError, private_file};

/// The tokens that `login` kept.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    tokens: BTreeMap<String, Zeroizing<String>>,
}

impl Store {
    /// The store in `bulkhead_home`. Nothing is made before something is kept.
    pub fn new(bulkhead_home: &Path) -> Self {
        Self { folder: bulkhead_home.join("credentials") }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("tokens.json")
    }

    /// The token for `index`.
    ///
    /// # Errors
    /// The file is not private, or damaged.
    pub fn get(&self, index: &str) -> Result<Option<Secret>, FileError> {
        let Some(token) = self.read()?.tokens.remove(index) else { return Ok(None) };
        Secret::token(token).map(Some).map_err(|problem| FileError::new(&self.path(), format!("is damaged: {problem}")))
    }

    /// Keeps `token` for `index`.
    ///
    /// # Errors
    /// The file is not private or damaged, or the disk refuses.
    pub fn set(&self, index: &str, token: &Secret) -> Result<(), FileError> {
        self.change(|tokens| tokens.insert(index.to_owned(), Zeroizing::new(token.expose().to_owned()))).map(drop)
    }

    /// Forgets the token for `index`. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn remove(&self, index: &str) -> Result<bool, FileError> {
        if !self.path().exists() {
            return Ok(false);
        }
        Ok(self.change(|tokens| tokens.remove(index))?.is_some())
    }

    fn read(&self) -> Result<Content, FileError> {
        let Some(text) = private_file::read(&self.path())? else {
            return Ok(Content { version: 1, tokens: BTreeMap::new() });
        };
        let damaged = |problem: String| FileError::new(&self.path(), problem);
        let content: Content = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("is damaged at line {}, column {}", error.line(), error.column())))?;
        if content.version != 1 {
            return Err(damaged("was written by a newer version".to_owned()));
        }
        Ok(content)
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Zeroizing<String>>) -> T) -> Result<T, FileError> {
        let failed = |error: std::io::Error| FileError::new(&self.folder, format!("cannot be used: {error}"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        // Two logins at once shall both be kept.
        let lock =
            File::options().create(true).truncate(false).write(true).open(self.folder.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut content = self.read()?;
        let result = change(&mut content.tokens);
        // Texts in a table, whose serialization cannot fail.
        let text = Zeroizing::new(serde_json::to_string_pretty(&content).unwrap_or_default());
        private_file::write(&self.path(), &text)?;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::Store;
    use bulkhead_schema::credential::Secret;

    #[test]
    fn tokens_belong_to_one_address() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(home.path());
        let token = |text: &str| Secret::token(text.to_owned()).unwrap();
        assert_eq!(store.get("sparse+https://a/").unwrap(), None);
        assert!(!store.remove("sparse+https://a/").unwrap() && !home.path().join("credentials").exists());
        store.set("sparse+https://a/", &token("one")).unwrap();
        store.set("sparse+https://a.git/", &token("two")).unwrap();
        assert_eq!(store.get("sparse+https://a/").unwrap(), Some(token("one")));
        assert_eq!(store.get("sparse+https://a").unwrap(), None);
        assert!(store.remove("sparse+https://a/").unwrap() && !store.remove("sparse+https://a/").unwrap());
        assert_eq!(store.get("sparse+https://a.git/").unwrap(), Some(token("two")));
    }
}
