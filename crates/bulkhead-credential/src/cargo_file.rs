//! `$CARGO_HOME/credentials.toml`, where Cargo keeps tokens: read, and forgotten on logout. New ones go to Bulkhead's store.

use std::path::{Path, PathBuf};

use bulkhead_schema::credential::Secret;
use toml_edit::{DocumentMut, Item};
use zeroize::Zeroizing;

use crate::{FileError, private_file};

/// What the file has for one registry.
#[derive(Debug, Clone, Default)]
pub struct CargoTokens {
    /// `token`
    pub token: Option<Secret>,
    /// `secret-key`
    pub secret_key: Option<Secret>,
    /// `secret-key-subject`
    pub secret_key_subject: Option<String>,
}

/// The file, if there is one: Cargo prefers the old name without the ending.
fn path(cargo_home: &Path) -> Option<PathBuf> {
    ["credentials", "credentials.toml"]
        .into_iter()
        .map(|name| cargo_home.join(name))
        .find(|path| path.symlink_metadata().is_ok())
}

fn read(path: &Path) -> Result<Option<DocumentMut>, FileError> {
    let Some(text) = private_file::read(path)? else { return Ok(None) };
    // The parser's message would quote the line.
    text.parse().map(Some).map_err(|_| FileError::new(path, "is not TOML"))
}

/// Tokens for the registry that Cargo calls `name` (`crates-io` for the public one).
///
/// # Errors
/// The file is not private or not TOML, or the token is not one.
pub fn cargo_tokens(cargo_home: &Path, name: &str) -> Result<CargoTokens, FileError> {
    let Some(path) = path(cargo_home) else { return Ok(CargoTokens::default()) };
    let Some(document) = read(&path)? else { return Ok(CargoTokens::default()) };
    let table = match name {
        "crates-io" => document.get("registry"),
        name => document.get("registries").and_then(|registries| registries.get(name)),
    };
    let text = |key: &str| table.and_then(|table| table.get(key)).and_then(Item::as_str);
    let secret = |key: &str| {
        let unusable = |problem| FileError::new(&path, format!("has an unusable `{key}` for `{name}`: {problem}"));
        text(key).map(|text| Secret::token(text.to_owned()).map_err(unusable)).transpose()
    };
    let secret_key_subject = text("secret-key-subject").map(str::to_owned);
    Ok(CargoTokens { token: secret("token")?, secret_key: secret("secret-key")?, secret_key_subject })
}

/// Removes the token for `name`, and nothing else. Returns whether there was one.
///
/// # Errors
/// As [`cargo_tokens`]; or the disk refuses.
pub fn remove_cargo_token(cargo_home: &Path, name: &str) -> Result<bool, FileError> {
    let Some(path) = path(cargo_home) else { return Ok(false) };
    let Some(mut document) = read(&path)? else { return Ok(false) };
    let table = match name {
        "crates-io" => document.get_mut("registry"),
        name => document.get_mut("registries").and_then(|registries| registries.get_mut(name)),
    };
    let Some(table) = table.and_then(Item::as_table_like_mut) else { return Ok(false) };
    if table.remove("token").is_none() {
        return Ok(false);
    }
    private_file::write(&path, &Zeroizing::new(document.to_string()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{cargo_tokens, remove_cargo_token};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn tokens_of_cargo_are_read_and_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials.toml");
        std::fs::write(&path, "# mine\n[registries.a]\ntoken = \"one\" # x\n[registries.b]\ntoken = \"two\"\n")
            .unwrap();
        assert!(cargo_tokens(home.path(), "a").is_err(), "it can be read by others");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(cargo_tokens(home.path(), "a").unwrap().token.unwrap().expose(), "one");
        assert!(cargo_tokens(home.path(), "c").unwrap().token.is_none());
        assert!(remove_cargo_token(home.path(), "a").unwrap() && !remove_cargo_token(home.path(), "a").unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n[registries.a]\n") && text.contains("two") && !text.contains("one"));
        std::fs::write(&path, "token = \"secret").unwrap();
        assert!(!format!("{:?}", cargo_tokens(home.path(), "a").unwrap_err()).contains("secret"));
    }
}
