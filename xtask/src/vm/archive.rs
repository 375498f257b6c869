//! A `cpio` archive of the kind that the kernel unpacks as its first file system ("newc").

use std::io::{self, Write};

/// Entries in the order in which they are unpacked: a folder before what lies in it.
pub(super) struct Archive<W> {
    output: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, entries: 0 }
    }

    pub(super) fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(path, 0o040_000 | mode, &[])
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path, 0o100_000 | mode, content)
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, 0o120_777, target.as_bytes())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.output.flush()
    }

    /// A header of thirteen numbers, the name and the content, each filled up to four bytes. All belongs to root.
    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let size = u32::try_from(content.len()).map_err(too_large)?;
        let name = u32::try_from(path.len() + 1).map_err(too_large)?;
        let numbers = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0];
        let header: String = numbers.iter().map(|number| format!("{number:08X}")).collect();
        self.padded(format!("070701{header}{path}\0").as_bytes())?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        let fill = bytes.len().next_multiple_of(4) - bytes.len();
        self.output.write_all(&[0; 3][..fill])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn entries_lie_on_multiples_of_four() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.folder("d", 0o755).unwrap();
        archive.file("d/a", 0o644, b"hello").unwrap();
        archive.link("l", "d/a").unwrap();
        archive.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        // The headers have 110 bytes: with the name "d" and its end that makes 112.
        assert!(text.starts_with("07070100000001000041ED"), "{text}");
        assert_eq!(&text[112..118], "070701");
        assert_eq!(&text[112 + 110..112 + 110 + 14], "d/a\0\0\0hello\0\0\0");
        assert!(text.len().is_multiple_of(4) && text.contains("TRAILER!!!\0"));
    }
}
