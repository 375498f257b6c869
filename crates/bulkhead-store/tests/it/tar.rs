//! Tar and gzip bytes made by hand, as wrong as a test wants them.

use std::io::Write as _;

/// A tar stream in the making. The package is always `aa` 1.0.0.
pub(crate) struct Tar(pub(crate) Vec<u8>);

/// A header block of `kind` with mode 0644; the checksum is added by [`Tar::block`].
pub(crate) fn header(kind: u8, name: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    block
}

impl Tar {
    /// Begins with the `Cargo.toml` that every package needs.
    pub(crate) fn new() -> Self {
        Self(Vec::new()).file("aa-1.0.0/Cargo.toml", b"[package]\nname = \"aa\"\nversion = \"1.0.0\"\n")
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content)
    }

    pub(crate) fn entry(self, kind: u8, name: &[u8], content: &[u8]) -> Self {
        self.block(header(kind, name, content.len() as u64), content)
    }

    /// A file whose header `change` edits before the checksum is computed.
    pub(crate) fn edited(self, content: &[u8], change: impl FnOnce(&mut [u8; 512])) -> Self {
        let mut block = header(b'0', b"aa-1.0.0/x", content.len() as u64);
        change(&mut block);
        self.block(block, content)
    }

    pub(crate) fn block(mut self, mut block: [u8; 512], content: &[u8]) -> Self {
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.padded(content)
    }

    pub(crate) fn padded(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A PAX record for the next entry.
    pub(crate) fn pax(self, pairs: &[(&str, &str)]) -> Self {
        self.pax_of_kind(b'x', pairs)
    }

    pub(crate) fn pax_of_kind(self, kind: u8, pairs: &[(&str, &str)]) -> Self {
        let records: String = pairs
            .iter()
            .map(|(key, value)| {
                let rest = key.len() + value.len() + 3;
                let length = (1..).find(|length: &usize| *length == length.to_string().len() + rest).unwrap();
                format!("{length} {key}={value}\n")
            })
            .collect();
        self.entry(kind, b"PaxHeaders/x", records.as_bytes())
    }

    pub(crate) fn long_name(self, name: &[u8]) -> Self {
        self.entry(b'L', b"././@LongLink", &[name, b"\0"].concat())
    }

    /// Adds the end mark.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// The whole `.crate`.
    pub(crate) fn gz(self) -> Vec<u8> {
        gzip(&self.end())
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
