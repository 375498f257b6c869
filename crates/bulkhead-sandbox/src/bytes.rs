//! Locks on parts of files.

/// How [`lock_bytes`](crate::lock_bytes) holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteLock {
    /// Beside others who share them.
    Shared,
    /// Alone.
    Exclusive,
    /// Not at all.
    None,
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::ByteLock::{Exclusive, None, Shared};
    use crate::lock_bytes;

    #[test]
    fn bytes_are_shared_or_had_alone_and_change_hands_in_one_step() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || std::fs::File::options().write(true).read(true).open(file.path()).unwrap();
        let (one, two) = (open(), open());
        let lock = |file: &_, byte: u64, kind| lock_bytes(file, byte..byte + 1, kind).unwrap();
        assert!(lock(&one, 5, Shared) && lock(&two, 5, Shared));
        assert!(!lock(&one, 5, Exclusive), "the other reads");
        assert!(lock(&one, 6, Exclusive), "another byte");
        assert!(lock(&two, 5, None) && lock(&one, 5, Exclusive) && !lock(&two, 5, Shared));
        assert!(lock(&one, 5, Shared) && lock(&two, 5, Shared));
        assert!(lock_bytes(&one, 0..i64::MAX as u64, None).unwrap() && lock(&two, 6, Exclusive));
        drop(two);
        assert!(lock(&one, 5, Exclusive) && lock(&one, 6, Exclusive), "a file that is closed holds nothing");
    }
}
