//! Is what stands on disk what was put there?

use std::path::PathBuf;

/// Something in the store that is not as it was put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}
