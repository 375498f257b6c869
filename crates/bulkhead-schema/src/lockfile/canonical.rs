//! Lockfiles in exactly the form that Cargo writes, which is line by line: nearly all, and read at every command.

use std::ops::Range;

/// A text and where it stands in the file.
pub(super) struct Piece<'a> {
    pub(super) text: std::borrow::Cow<'a, str>,
    pub(super) span: Range<usize>,
}

/// One `[[package]]`, as it is written.
#[derive(Default)]
pub(super) struct RawPackage<'a> {
    pub(super) name: Option<Piece<'a>>,
    pub(super) version: Option<Piece<'a>>,
    pub(super) source: Option<Piece<'a>>,
    pub(super) checksum: Option<Piece<'a>>,
    pub(super) dependencies: Vec<Piece<'a>>,
    pub(super) replace: Option<Piece<'a>>,
}

/// The format and the packages. `None` if anything is not as Cargo writes it, valid or not: then a TOML parser has to
/// tell.
pub(super) fn read(text: &str) -> Option<(Option<Piece<'_>>, Vec<RawPackage<'_>>)> {
    let mut version = None;
    let mut packages: Vec<RawPackage<'_>> = Vec::with_capacity(text.len() / 256);
    let mut lines = Lines { text, offset: 0 };
    while let Some(line) = lines.next() {
        match (line.text, packages.last_mut()) {
            ("", _) => {}
            (comment, None) if comment.starts_with('#') && !comment.bytes().any(is_control) => {}
            ("[[package]]", _) => packages.push(RawPackage::default()),
            (_, None) => set(&mut version, line.after("version = ").filter(Line::is_number)?.piece())?,
            ("dependencies = [", Some(package)) if package.dependencies.is_empty() => loop {
                let line = lines.next()?;
                match line.text {
                    "]" if !package.dependencies.is_empty() => break,
                    _ => package.dependencies.push(line.before(",")?.quoted(" ")?),
                }
            },
            (_, Some(package)) => {
                let (key, _) = line.text.split_once(" = ")?;
                let field = match key {
                    "name" => &mut package.name,
                    "version" => &mut package.version,
                    "source" => &mut package.source,
                    "checksum" => &mut package.checksum,
                    _ => return None,
                };
                set(field, line.after(key)?.quoted(" = ")?)?;
            }
        }
    }
    // A last line that nothing ends was not looked at: the file may have been cut off.
    if lines.offset != text.len() {
        return None;
    }
    packages.iter().all(|package| package.name.is_some() && package.version.is_some()).then_some((version, packages))
}

fn set<'a>(field: &mut Option<Piece<'a>>, piece: Piece<'a>) -> Option<()> {
    field.replace(piece).is_none().then_some(())
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

struct Lines<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lines<'a> {
    /// The next line, without its end. The last one has an end too.
    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.offset..)?;
        let (text, _) = rest.split_once('\n')?;
        let line = Line { text, offset: self.offset };
        self.offset += text.len() + 1;
        Some(line)
    }
}

/// A line or part of one, and where it stands.
struct Line<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Line<'a> {
    fn after(&self, prefix: &str) -> Option<Line<'a>> {
        Some(Line { text: self.text.strip_prefix(prefix)?, offset: self.offset + prefix.len() })
    }

    fn before(&self, suffix: &str) -> Option<Line<'a>> {
        Some(Line { text: self.text.strip_suffix(suffix)?, offset: self.offset })
    }

    fn is_number(&self) -> bool {
        matches!(self.text.as_bytes(), [b'1'..=b'9'])
    }

    /// What stands between quotes behind `prefix`, if no escape is needed for it.
    fn quoted(&self, prefix: &str) -> Option<Piece<'a>> {
        let quoted = self.after(prefix)?;
        let inner = quoted.after("\"")?.before("\"")?;
        let plain = !inner.text.bytes().any(|byte| is_control(byte) || byte == b'"' || byte == b'\\');
        plain.then(|| Piece { text: inner.text.into(), span: quoted.offset..quoted.offset + quoted.text.len() })
    }

    fn piece(&self) -> Piece<'a> {
        Piece { text: self.text.into(), span: self.offset..self.offset + self.text.len() }
    }
}
