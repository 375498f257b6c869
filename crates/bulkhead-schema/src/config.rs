//! The TOML of `.cargo/config.toml`: spanned values, before layers are merged.
//!
//! The same value tree serves the policy files ([`crate::policy`]): both want to point at the line of every key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::Diagnostic;

/// Largest configuration file that is read, in bytes. Cargo has no limit; a hand-written file is a few kilobytes.
pub const MAX_SIZE: usize = 1 << 20;

/// Deepest nesting of tables and arrays.
pub const MAX_DEPTH: usize = 128;

/// A table, sorted by key as Cargo's are, so that what is derived from it does not depend on the order of lines.
pub type Table = BTreeMap<String, Entry>;

/// One key of a table with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the key stands: byte offsets into the file.
    pub key_span: Range<usize>,
    /// The value.
    pub node: Node,
}

/// A value and the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// Byte offsets into the file.
    pub span: Range<usize>,
}

/// The kinds of value that configuration knows. Floats and dates have no use in it and are refused, as Cargo does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A string. Untrusted.
    String(String),
    /// An integer.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// An array.
    List(Vec<Node>),
    /// A table, in whatever notation.
    Table(Table),
}

impl Data {
    /// The word for this kind of value in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Integer(_) => "integer",
            Self::Boolean(_) => "boolean",
            Self::List(_) => "array",
            Self::Table(_) => "table",
        }
    }
}

impl Node {
    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        if let Data::Table(table) = &self.data { Some(table) } else { None }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Data::String(text) = &self.data { Some(text) } else { None }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        if let Data::List(list) = &self.data { Some(list) } else { None }
    }
}

/// Reads one file into a table. `path` is only used to point at.
///
/// # Errors
/// Broken TOML, floats and dates, integers beyond 64 bits, files over [`MAX_SIZE`] and nesting over [`MAX_DEPTH`].
pub fn parse(path: &Path, text: &Arc<str>) -> Result<Node, Diagnostic> {
    // Broken lines are shown, and a line may be broken right behind a token.
    parse_shown(path, text).map_err(Diagnostic::without_secrets)
}

fn parse_shown(path: &Path, text: &Arc<str>) -> Result<Node, Diagnostic> {
    if text.len() > MAX_SIZE {
        return Err(Diagnostic::error(
            "config-too-large",
            format!("`{}` has {} bytes; at most {MAX_SIZE} are read", path.display(), text.len()),
        ));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Diagnostic::error("config-toml", error.message().to_owned()).at(path, text, span)
    })?;
    let span = table.span();
    let located = |finding: Finding| Diagnostic::error(finding.code, finding.message).at(path, text, finding.span);
    let data = Data::Table(self::table(table.get_ref(), 1).map_err(located)?);
    Ok(Node { data, span })
}

/// Reads `KEY=VALUE`, the argument of `--config`: one dotted key with a value, and nothing else.
///
/// # Errors
/// As [`parse`]; also a text with a table header, a comment, several keys or none.
pub fn parse_override(argument: &str) -> Result<Node, Diagnostic> {
    let refuse = |reason: String| {
        let what = format!("failed to parse value from --config argument `{argument}` as a dotted key expression");
        Diagnostic::error("config-argument", format!("{what}\n{reason}"))
    };
    let text: Arc<str> = Arc::from(argument);
    if argument.contains('\n') || argument.trim_start().starts_with(['[', '#']) {
        return Err(refuse("it must be one `KEY=VALUE`".to_owned()));
    }
    let root = parse(Path::new("--config"), &text).map_err(|error| refuse(error.message))?;
    let single = |node: &Node| node.as_table().is_some_and(|table| table.len() == 1);
    if !single(&root) {
        return Err(refuse("it must set one key".to_owned()));
    }
    Ok(root)
}

struct Finding {
    code: &'static str,
    message: String,
    span: Range<usize>,
}

fn table(source: &DeTable<'_>, depth: usize) -> Result<Table, Finding> {
    source
        .iter()
        .map(|(key, value)| {
            let node = node(value.get_ref(), value.span(), depth)?;
            Ok((key.get_ref().clone().into_owned(), Entry { key_span: key.span(), node }))
        })
        .collect()
}

fn node(value: &DeValue<'_>, span: Range<usize>, depth: usize) -> Result<Node, Finding> {
    let finding = |code, message: String| Finding { code, message, span: span.clone() };
    if depth > MAX_DEPTH {
        return Err(finding("config-too-deep", format!("values are nested more than {MAX_DEPTH} deep")));
    }
    let data = match value {
        DeValue::String(text) => Data::String(text.clone().into_owned()),
        DeValue::Boolean(value) => Data::Boolean(*value),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(Data::Integer)
            .map_err(|_| finding("config-integer", format!("`{}` does not fit 64 bits", integer.as_str())))?,
        DeValue::Array(list) => {
            Data::List(list.iter().map(|item| node(item.get_ref(), item.span(), depth + 1)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => Data::Table(table(inner, depth + 1)?),
        DeValue::Float(_) | DeValue::Datetime(_) => {
            let message = format!("a configuration value cannot be a {}", value.type_str());
            return Err(finding("config-type", message));
        }
    };
    Ok(Node { data, span })
}

#[cfg(test)]
mod tests {
    use super::{Data, parse, parse_override};
    use std::path::Path;
    use std::sync::Arc;

    fn error(text: &str) -> String {
        parse(Path::new("c.toml"), &Arc::from(text)).unwrap_err().to_string()
    }

    #[test]
    fn spans_point_at_keys_and_values() {
        let text: Arc<str> = Arc::from("[build]\njobs = 4\n");
        let root = parse(Path::new("c.toml"), &text).unwrap();
        let build = &root.as_table().unwrap()["build"].node;
        let jobs = &build.as_table().unwrap()["jobs"];
        assert_eq!((&text[jobs.key_span.clone()], &text[jobs.node.span.clone()]), ("jobs", "4"));
        assert_eq!(jobs.node.data, Data::Integer(4));
    }

    #[test]
    fn refusals_point_at_the_line() {
        assert!(error("\na = 1.5").starts_with("c.toml:2:5: a configuration value cannot be a float"));
        assert!(error("a = 1\na = 2").starts_with("c.toml:2:1: duplicate key"));
        assert!(error("a = 99999999999999999999").contains("does not fit 64 bits"));
        assert!(error(&format!("a = {}1", "[".repeat(5000))).contains("c.toml:1:"));
        assert!(error(&format!("{}x = 1", "a.".repeat(5000))).contains("recursion limit"));
        assert!(
            error(&format!("[{}x]\n{}x = {}1", "a.".repeat(70), "b.".repeat(70), "[".repeat(70))).contains("c.toml")
        );
        assert!(error(&"#".repeat(super::MAX_SIZE + 1)).contains("at most"));
    }

    #[test]
    fn an_override_is_one_key() {
        assert!(parse_override("build.jobs=4").is_ok());
        assert!(parse_override("target.'cfg(unix)'.runner = 'x'").is_ok());
        for bad in ["build.jobs", "", "[build]\njobs=1", "a=1\nb=2", "# x", "a=1.0"] {
            assert!(parse_override(bad).is_err(), "{bad:?}");
        }
    }
}
