//! Files that are no text: compiled code, packed files, and what looks like either.

/// Smallest file whose bytes are counted: of fewer, nothing can be said.
const MIN_OPAQUE: usize = 1024;

/// Bits per byte from which on data looks encrypted or packed. Text has 4 to 5, machine code about 6.
const OPAQUE: f64 = 7.3;

/// What a file that is no text is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Data {
    /// Compiled code; of what kind.
    Executable(&'static str),
    /// Packed files; of what kind.
    Archive(&'static str),
    /// So many bits per byte.
    Opaque(f64),
    /// A picture, a font, a sound, or nothing of note.
    Harmless,
}

/// What `bytes` are, by how they begin and how often each byte is there.
pub(crate) fn examine(bytes: &[u8]) -> Data {
    let begins = |magic: &&(&'static [u8], &'static str)| bytes.starts_with(magic.0);
    if let Some((_, kind)) = EXECUTABLE.iter().find(begins) {
        return Data::Executable(kind);
    }
    if is_mach_o(bytes) {
        return Data::Executable("a Mach-O program or library");
    }
    if let Some((_, kind)) = ARCHIVES.iter().find(begins) {
        return Data::Archive(kind);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Data::Archive("a tar archive");
    }
    if is_medium(bytes) || bytes.len() < MIN_OPAQUE {
        return Data::Harmless;
    }
    let entropy = entropy(bytes);
    if entropy >= OPAQUE { Data::Opaque(entropy) } else { Data::Harmless }
}

const EXECUTABLE: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF program or library"),
    (b"MZ", "a Windows program or library"),
    (b"\0asm", "a WebAssembly module"),
    (b"!<arch>\n", "a static library"),
    (b"dex\n", "an Android program"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"rust\0\0\0", "a compiled Rust library"),
    (b"\x1bLua", "a compiled Lua program"),
];

const ARCHIVES: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"Rar!", "a rar archive"),
    (b"MSCF", "a cabinet"),
];

/// Of both byte orders, and of several processors; the last looks like a Java class, which is compiled code too.
fn is_mach_o(bytes: &[u8]) -> bool {
    let Some(first) = bytes.first_chunk::<4>() else { return false };
    matches!(u32::from_be_bytes(*first), 0xfeed_face | 0xfeed_facf | 0xcefa_edfe | 0xcffa_edfe | 0xcafe_babe)
}

/// Pictures, fonts, sounds, films and documents: packed by nature.
fn is_medium(bytes: &[u8]) -> bool {
    const MAGIC: &[&[u8]] = &[
        b"\x89PNG",
        b"\xff\xd8\xff",
        b"GIF8",
        b"\0\0\x01\0",
        b"wOFF",
        b"wOF2",
        b"\0\x01\0\0\0",
        b"OTTO",
        b"ttcf",
        b"ID3",
        b"OggS",
        b"fLaC",
        b"%PDF",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"RIFF",
        b"\xff\xfb",
    ];
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(4..8) == Some(b"ftyp")
}

/// Bits per byte, after Shannon.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u64; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = bytes.len() as f64;
    let share = |count: &u64| *count as f64 / total;
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

/// Longest run of letters of base64 or of hexadecimal digits that is told of only from this length on.
pub(crate) const MIN_ENCODED: usize = 512;

/// Whether a text without spaces is encoded data: long, of few letters, and none of them rare.
pub(crate) fn is_encoded(text: &str) -> bool {
    if text.len() < MIN_ENCODED {
        return false;
    }
    let letters = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r' | b'\\' | b' '));
    let (mut total, mut fitting, mut escapes) = (0_usize, 0_usize, 0_usize);
    for byte in letters {
        total += 1;
        fitting += usize::from(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'));
        escapes += usize::from(byte == b'x');
    }
    let spaces = text.bytes().filter(|byte| matches!(byte, b' ' | b'\n')).count();
    let is_hexadecimal = escapes * 4 >= text.len() * 9 / 10;
    (total == fitting && total >= MIN_ENCODED && spaces * 40 <= total && entropy(text.as_bytes()) > 3.5)
        || is_hexadecimal
}

#[cfg(test)]
mod tests {
    use super::{Data, examine, is_encoded};

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn files_are_known_by_how_they_begin() {
        assert_eq!(examine(b"\x7fELF\x02\x01"), Data::Executable("an ELF program or library"));
        assert_eq!(examine(&0xfeed_facf_u32.to_le_bytes()), Data::Executable("a Mach-O program or library"));
        assert_eq!(examine(b"\xfd7zXZ\0\0"), Data::Archive("xz"));
        assert_eq!(examine(b"\x89PNG\r\n\x1a\n"), Data::Harmless);
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(examine(&tar), Data::Archive("a tar archive"));
    }

    #[test]
    fn noise_is_told_from_text_and_tables() {
        assert!(matches!(examine(&noise(4096)), Data::Opaque(bits) if bits > 7.9));
        assert_eq!(examine(&noise(512)), Data::Harmless);
        assert_eq!(examine(&vec![0xff; 1 << 16]), Data::Harmless);
        assert_eq!(examine(&b"\xfflow entropy ".repeat(1000)), Data::Harmless);
        assert_eq!(examine(b""), Data::Harmless);
    }

    #[test]
    fn encoded_text_is_told_from_prose() {
        let digit = |byte: &u8| char::from_digit(u32::from(byte % 16), 16).unwrap();
        assert!(is_encoded(&noise(600).iter().map(digit).collect::<String>()));
        assert!(is_encoded(&"\\x4a".repeat(300)));
        assert!(!is_encoded(&"a sentence of several words ".repeat(100)));
        assert!(!is_encoded(&"-".repeat(1000)) && !is_encoded(&"=".repeat(1000)));
        assert!(!is_encoded(&"x".repeat(100)));
    }
}
