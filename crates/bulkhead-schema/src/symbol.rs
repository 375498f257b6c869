//! Interned strings.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex};

use crate::hash::Keyed;

/// An interned string: `Copy`, compared by address, ordered by content.
///
/// Interned text is never freed, which suits a process that handles one command; callers that read unbounded input
/// must cap it before they intern.
#[derive(Clone, Copy)]
pub struct Symbol(&'static str);

static SYMBOLS: LazyLock<Mutex<HashSet<&'static str, Keyed>>> = LazyLock::new(Default::default);

impl Symbol {
    /// Interns `text`.
    pub fn new(text: &str) -> Self {
        let mut symbols = SYMBOLS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = symbols.get(text) {
            return Self(known);
        }
        let leaked: &'static str = Box::leak(text.to_owned().into_boxed_str());
        symbols.insert(leaked);
        Self(leaked)
    }

    /// The text, which lives as long as the process.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl PartialEq for Symbol {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for Symbol {}

impl Hash for Symbol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ptr().hash(state);
    }
}

impl Ord for Symbol {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self == other { std::cmp::Ordering::Equal } else { self.0.cmp(other.0) }
    }
}
impl PartialOrd for Symbol {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::ops::Deref for Symbol {
    type Target = str;
    fn deref(&self) -> &str {
        self.0
    }
}
impl From<&str> for Symbol {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl PartialEq<str> for Symbol {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}
impl PartialEq<&str> for Symbol {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}
impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}
impl serde::Serialize for Symbol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}
