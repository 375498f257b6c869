//! How much a repository may cost.

use std::time::Duration;

/// How much one repository may cost. The defaults are far above what packages are kept in; some histories of whole operating
/// systems and browsers are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of what one fetch brings.
    pub pack: u64,
    /// Objects that one fetch brings.
    pub objects: u64,
    /// Bytes of one object that git has to hold in memory: a small delta can stand for a large one.
    pub object: u64,
    /// Branches and tags.
    pub references: u64,
    /// Files, folders and links of one commit.
    pub entries: usize,
    /// One fetch, on the clock.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack: 8 << 30,
            objects: 16_000_000,
            object: 1 << 30,
            references: 250_000,
            entries: 200_000,
            time: Duration::from_secs(1800),
        }
    }
}
