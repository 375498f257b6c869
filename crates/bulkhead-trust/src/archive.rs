//! The checksum of a package's archive against everything that named one.

use std::fmt;

use bulkhead_schema::{Diagnostic, PackageId};

use crate::Digest;

/// A value whose origin was verified. Only this crate can construct one.
#[derive(Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The value, no longer marked.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// A `.crate` file.
pub struct CrateArchive {
    id: PackageId,
    digest: Digest,
    bytes: Vec<u8>,
}

impl CrateArchive {
    /// Which package it claims to hold.
    pub fn id(&self) -> PackageId {
        self.id
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for CrateArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrateArchive({}, {}, {} bytes)", self.id, self.digest, self.bytes.len())
    }
}

/// The checksums that were promised for an archive, by whom.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// From the registry's index entry (`cksum`).
    pub index: Option<&'a str>,
    /// From `Cargo.lock` (`checksum`).
    pub lock: Option<&'a str>,
}

/// Who promised a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The registry's index.
    Index,
    /// `Cargo.lock`.
    Lock,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "the registry's index",
            Self::Lock => "Cargo.lock",
        })
    }
}

/// Why an archive was not accepted. Exit code 104 (verification failure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Nobody promised a checksum, so there is nothing to verify against.
    NothingExpected(PackageId),
    /// A promised checksum is not one.
    Malformed {
        /// The package.
        id: PackageId,
        /// Who promised it.
        origin: Origin,
        /// The text. Untrusted.
        text: String,
    },
    /// Lockfile and index promise different archives for the same version.
    OriginsDisagree {
        /// The package.
        id: PackageId,
        /// What the index says.
        index: Digest,
        /// What the lockfile says.
        lock: Digest,
    },
    /// The archive is another one than promised.
    WrongArchive {
        /// The package.
        id: PackageId,
        /// What was promised.
        expected: Digest,
        /// By whom.
        origins: Vec<Origin>,
        /// What arrived.
        found: Digest,
        /// How many bytes arrived.
        length: usize,
    },
}

/// Accepts `bytes` as the archive of `id` if they hash to what index and lockfile promise: each that is present must be
/// well formed, they must agree, and at least one must be present.
pub fn verify_archive(
    id: PackageId,
    bytes: Vec<u8>,
    expected: &Expected<'_>,
) -> Result<Verified<CrateArchive>, Mismatch> {
    let read = |origin: Origin, text: Option<&str>| {
        text.map(|text| {
            Digest::parse(text).map_err(|_| Mismatch::Malformed { id, origin, text: text.chars().take(80).collect() })
        })
        .transpose()
    };
    let index = read(Origin::Index, expected.index)?;
    let lock = read(Origin::Lock, expected.lock)?;
    let (wanted, origins) = match (index, lock) {
        (None, None) => return Err(Mismatch::NothingExpected(id)),
        (Some(index), Some(lock)) if index != lock => return Err(Mismatch::OriginsDisagree { id, index, lock }),
        (Some(index), Some(_)) => (index, vec![Origin::Index, Origin::Lock]),
        (Some(index), None) => (index, vec![Origin::Index]),
        (None, Some(lock)) => (lock, vec![Origin::Lock]),
    };
    let found = Digest::of(&bytes);
    if found != wanted {
        return Err(Mismatch::WrongArchive { id, expected: wanted, origins, found, length: bytes.len() });
    }
    Ok(Verified(CrateArchive { id, digest: found, bytes }))
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingExpected(id) => {
                write!(f, "no checksum is known for `{id}`: neither the registry's index nor Cargo.lock names one")
            }
            Self::Malformed { id, origin, text } => {
                write!(f, "the checksum of `{id}` in {origin} is not a SHA-256 value: {text:?}")
            }
            Self::OriginsDisagree { id, index, lock } => write!(
                f,
                "checksum for `{id}` changed between lock files: Cargo.lock says {lock}, the registry's index says {index}"
            ),
            Self::WrongArchive { id, expected, origins, found, length } => {
                let origins: Vec<String> = origins.iter().map(Origin::to_string).collect();
                write!(
                    f,
                    "failed to verify the checksum of `{id}`: {} expected {expected}, the downloaded {length} bytes have {found}",
                    origins.join(" and ")
                )
            }
        }
    }
}
impl std::error::Error for Mismatch {}

impl From<Mismatch> for Diagnostic {
    fn from(mismatch: Mismatch) -> Self {
        let (code, help) = match &mismatch {
            Mismatch::NothingExpected(_) => {
                ("checksum-missing", "run `bulkhead update` to take the checksum from the registry")
            }
            Mismatch::Malformed { .. } => {
                ("checksum-malformed", "a checksum is written as 64 lower-case hexadecimal digits")
            }
            Mismatch::OriginsDisagree { .. } => (
                "checksum-changed",
                "a published version never changes: the registry, a mirror or Cargo.lock was altered; do not build until you know which",
            ),
            Mismatch::WrongArchive { .. } => (
                "checksum-mismatch",
                "the download was damaged or replaced on its way; try again, and if it stays so do not build",
            ),
        };
        Self::error(code, mismatch.to_string()).help(help)
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_schema::{Diagnostic, PackageId, PackageName, SourceId};

    use super::{Expected, Mismatch, verify_archive};
    use crate::Digest;

    fn id() -> PackageId {
        PackageId::new(PackageName::registry("aa").unwrap(), semver::Version::new(1, 0, 0), SourceId::crates_io())
    }

    /// Attack 73.
    #[test]
    fn every_promise_must_hold() {
        let right = Digest::of(b"bytes").to_string();
        let wrong = Digest::of(b"other").to_string();
        let upper = right.to_uppercase();
        let try_with = |index: Option<&str>, lock: Option<&str>| {
            verify_archive(id(), b"bytes".to_vec(), &Expected { index, lock })
        };
        for (index, lock) in [(Some(&*right), None), (None, Some(&*right)), (Some(&*right), Some(&*right))] {
            assert_eq!(try_with(index, lock).unwrap().get().bytes(), b"bytes");
        }
        assert!(matches!(try_with(None, None), Err(Mismatch::NothingExpected(_))));
        assert!(matches!(try_with(Some(&right), Some(&wrong)), Err(Mismatch::OriginsDisagree { .. })));
        assert!(matches!(try_with(Some(&wrong), Some(&wrong)), Err(Mismatch::WrongArchive { .. })));
        assert!(matches!(try_with(Some(&upper), Some(&right)), Err(Mismatch::Malformed { .. })));
        assert!(matches!(try_with(Some(""), Some(&right)), Err(Mismatch::Malformed { .. })));
        assert!(matches!(try_with(None, Some(&right[..63])), Err(Mismatch::Malformed { .. })));
    }

    #[test]
    fn a_mismatch_names_both_values_and_who_promised() {
        let wanted = Digest::of(b"wanted").to_string();
        let refused = verify_archive(id(), b"other".to_vec(), &Expected { index: Some(&wanted), lock: Some(&wanted) });
        let text = Diagnostic::from(refused.unwrap_err()).to_string();
        for part in
            ["aa v1.0.0", &wanted, &Digest::of(b"other").to_string(), "index and Cargo.lock", "checksum-mismatch"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
