//! One layer of configuration: where it comes from and how far it is trusted.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::Diagnostic;
use bulkhead_schema::config::{Node, parse_override};

/// Where a layer was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File {
        /// Its absolute path.
        path: PathBuf,
        /// Its text, for snippets.
        text: Arc<str>,
    },
    /// This environment variable.
    Environment(String),
    /// This argument of `--config`.
    CommandLine(String),
}

/// Who wrote a layer, which decides what it may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerClass {
    /// A file that came with the project (or lies in a folder above it): a stranger's words.
    Repository {
        /// Whether the user has enrolled exactly this file (path and digest) with `bulkhead trust`.
        trusted: bool,
        /// The folder that the project owns; folders that an untrusted file names must lie in it.
        root: PathBuf,
    },
    /// `$CARGO_HOME/config.toml` and `$CARGO_HOME/credentials.toml`.
    User,
    /// The environment of the command.
    Environment,
    /// `--config`.
    CommandLine,
}

/// One parsed file or `--config` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it was read.
    pub origin: Origin,
    /// Who wrote it.
    pub class: LayerClass,
    /// Its content, a table.
    pub value: Node,
}

impl Layer {
    /// A configuration file with this text.
    ///
    /// # Errors
    /// What [`bulkhead_schema::config::parse`] refuses.
    pub fn file(path: impl Into<PathBuf>, text: &Arc<str>, class: LayerClass) -> Result<Self, Diagnostic> {
        let path = path.into();
        let value = bulkhead_schema::config::parse(&path, text)?;
        Ok(Self { origin: Origin::File { path, text: Arc::clone(text) }, class, value })
    }

    /// An argument of `--config` in `KEY=VALUE` form. (An argument that names an existing file is a
    /// [`Layer::file`] of class [`LayerClass::CommandLine`].)
    ///
    /// # Errors
    /// What [`parse_override`] refuses.
    pub fn argument(argument: &str) -> Result<Self, Diagnostic> {
        let value = parse_override(argument)?;
        Ok(Self { origin: Origin::CommandLine(argument.to_owned()), class: LayerClass::CommandLine, value })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    origin: Origin,
    class: LayerClass,
}

/// Where one value was defined. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    place: Arc<Place>,
    span: Range<usize>,
}

impl Definition {
    pub(crate) fn new(origin: Origin, class: LayerClass) -> Self {
        Self { place: Arc::new(Place { origin, class }), span: 0..0 }
    }

    pub(crate) fn environment(variable: &str) -> Self {
        Self::new(Origin::Environment(variable.to_owned()), LayerClass::Environment)
    }

    #[must_use]
    pub(crate) fn at(&self, span: &Range<usize>) -> Self {
        Self { place: Arc::clone(&self.place), span: span.clone() }
    }

    /// The file, variable or argument.
    pub fn origin(&self) -> &Origin {
        &self.place.origin
    }

    /// Who wrote it.
    pub fn class(&self) -> &LayerClass {
        &self.place.class
    }

    /// Whether it came with the project, enrolled or not.
    pub fn is_repository(&self) -> bool {
        matches!(self.place.class, LayerClass::Repository { .. })
    }

    pub(crate) fn is_command_line(&self) -> bool {
        self.place.class == LayerClass::CommandLine
    }

    /// The folder to which relative paths in this value refer: the folder that contains `.cargo` for a file, the
    /// current folder otherwise (Cargo Book, "Config-relative paths").
    pub fn base<'a>(&'a self, current_dir: &'a Path) -> &'a Path {
        match &self.place.origin {
            Origin::File { path, .. } => path.parent().and_then(Path::parent).unwrap_or(current_dir),
            Origin::Environment(_) | Origin::CommandLine(_) => current_dir,
        }
    }

    /// An error of rule `code` about this value.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.locate(Diagnostic::error(code, message))
    }

    /// A warning of rule `code` about this value.
    pub fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.locate(Diagnostic::warning(code, message))
    }

    fn locate(&self, diagnostic: Diagnostic) -> Diagnostic {
        match &self.place.origin {
            Origin::File { path, text } => diagnostic.at(path, text, self.span.clone()).without_secrets(),
            Origin::Environment(_) | Origin::CommandLine(_) => diagnostic,
        }
    }
}

/// `file:line`, ``environment variable `X` `` or `--config cli option`.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place.origin {
            Origin::File { path, text } => {
                let before = text.get(..self.span.start).unwrap_or_default();
                write!(f, "{}:{}", path.display(), before.matches('\n').count() + 1)
            }
            Origin::Environment(variable) => write!(f, "environment variable `{variable}`"),
            Origin::CommandLine(_) => f.write_str("--config cli option"),
        }
    }
}

/// A value and where it was defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<T> {
    /// The value.
    pub value: T,
    /// Where it was defined.
    pub definition: Definition,
}

impl<T> Value<T> {
    /// The same definition with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Value<U> {
        Value { value: change(self.value), definition: self.definition }
    }
}
