//! A strict walk over a tar stream (POSIX ustar and GNU headers, PAX records for long names).

use std::ops::Range;

use super::gzip::Stream;
use super::twins::Twins;
use super::{Limits, Refusal, Sink, Stop};
use crate::names::{self, Taken};

const BLOCK: usize = 512;

/// Fields of a header block (POSIX `pax`, "ustar Interchange Format").
const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const SIZE: Range<usize> = 124..136;
const CHECKSUM: Range<usize> = 148..156;
const KIND: usize = 156;
const LINK_NAME: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;

const POSIX: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";

/// What helper records say about the entry that follows them.
#[derive(Default)]
struct Ahead {
    /// From a GNU long name record or PAX `path`.
    name: Option<Vec<u8>>,
    /// From PAX `size`.
    size: Option<u64>,
    /// Whether a PAX record was seen.
    pax: bool,
}

struct Header {
    block: [u8; BLOCK],
    kind: u8,
    size: u64,
}

impl Header {
    fn field(&self, range: Range<usize>) -> &[u8] {
        self.block.get(range).unwrap_or_default()
    }

    fn ends_early(&self) -> Refusal {
        Refusal::of_entry(until_zero(self.field(NAME)), "the archive ends inside it")
    }
}

/// What an entry is, and where.
struct Place<'a> {
    /// Below the top folder; `None` for the top folder itself.
    path: Option<&'a str>,
    is_folder: bool,
    executable: bool,
}

/// Hands all regular files and named folders of the stream, whose paths must begin with `top`, to `sink`. Returns the files
/// that some file systems take for one: nothing is known of their contents yet.
pub(super) fn walk(
    stream: &mut Stream<'_>,
    top: &str,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Vec<Twins>, Stop> {
    let mut taken = Taken::default();
    let mut twins = Vec::new();
    let mut ahead = Ahead::default();
    let (mut entries, mut global, mut has_manifest) = (0, false, false);
    while let Some(header) = next_header(stream)? {
        if matches!(header.kind, b'x' | b'g' | b'L') {
            let content = helper(stream, &header, limits)?;
            match header.kind {
                b'x' => read_pax(&content, &mut ahead)?,
                b'L' => read_long_name(&content, &mut ahead)?,
                _ if global || entries > 0 => {
                    return Err(Refusal::new("entries of kind `g` are refused except at the beginning").into());
                }
                _ => {
                    global = true;
                    check_global(&content)?;
                }
            }
            continue;
        }
        entries += 1;
        if entries > limits.entries {
            return Err(Refusal::new(format!("it holds more than {} entries", limits.entries)).into());
        }
        let (name, size) = (ahead.name.take(), ahead.size);
        ahead = Ahead::default();
        let name = name.unwrap_or_else(|| name_in_header(&header));
        let place = place(&header, &name, size, top)?;
        has_manifest |= place.path == Some("Cargo.toml") && !place.is_folder;
        if let Some(path) = place.path {
            let refuse = |reason| Refusal::of_entry(&name, reason);
            if place.is_folder {
                taken.add_folder(path).map_err(refuse)?;
                sink.folder(path)?;
            } else {
                if let Some(first) = taken.add_file_or_twin(path).map_err(refuse)? {
                    twins.push(Twins { first, second: path.to_owned() });
                }
                sink.file(path, place.executable, header.size)?;
                hand_over(stream, &header, sink)?;
            }
        }
    }
    if ahead.pax || ahead.name.is_some() {
        return Err(Refusal::new("the archive ends after a record that announces an entry").into());
    }
    check_end(stream)?;
    if !has_manifest {
        return Err(Refusal::new("it holds no `Cargo.toml`").into());
    }
    Ok(twins)
}

/// The end mark is two zero blocks; after them only zeros may follow, up to the next full record of tar programs.
fn check_end(stream: &mut Stream<'_>) -> Result<(), Refusal> {
    if stream.peek(2 * BLOCK)?.len() < 2 * BLOCK {
        return Err(Refusal::new("the archive has no complete end mark"));
    }
    loop {
        let rest = stream.peek(1)?;
        if rest.iter().any(|&byte| byte != 0) {
            return Err(Refusal::new("there is data after the archive's end mark"));
        }
        match rest.len() {
            0 => return Ok(()),
            length => stream.take(length),
        }
    }
}

/// The next header; `None` at the end mark, which is left where it stands.
fn next_header(stream: &mut Stream<'_>) -> Result<Option<Header>, Refusal> {
    let Some(block) = stream.peek(BLOCK)?.first_chunk::<BLOCK>() else {
        return Err(Refusal::new("the archive has no end mark"));
    };
    if block.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let header = header(*block)?;
    stream.take(BLOCK);
    Ok(Some(header))
}

fn header(block: [u8; BLOCK]) -> Result<Header, Refusal> {
    let field = |range: Range<usize>| block.get(range).unwrap_or_default();
    let name = until_zero(field(NAME));
    let refuse = |reason: &str| Refusal::of_entry(name, reason);
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = field(CHECKSUM).iter().map(|&byte| u64::from(byte)).sum();
    let expected = octal(field(CHECKSUM)).ok_or_else(|| refuse("the checksum of the header is not a number"))?;
    if sum - own + 8 * u64::from(b' ') != expected {
        return Err(refuse("the checksum of the header is wrong"));
    }
    if field(MAGIC) != POSIX && field(MAGIC) != GNU {
        return Err(refuse("the header is of an unknown format"));
    }
    let size = octal(field(SIZE)).ok_or_else(|| refuse("the size is not written in octal digits"))?;
    let kind = block.get(KIND).copied().unwrap_or_default();
    Ok(Header { block, kind, size })
}

/// The content of a helper record, as a whole.
fn helper(stream: &mut Stream<'_>, header: &Header, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    if header.size > limits.helper {
        return Err(Refusal::new(format!("a helper record is larger than {} bytes", limits.helper)));
    }
    let mut content = Vec::new();
    while let Some(part) = next_part(stream, header, content.len() as u64)? {
        content.extend_from_slice(part);
        let length = part.len();
        stream.take(length);
    }
    skip_padding(stream, header)?;
    Ok(content)
}

/// The content of a file, piece by piece.
fn hand_over(stream: &mut Stream<'_>, header: &Header, sink: &mut dyn Sink) -> Result<(), Stop> {
    let mut done = 0;
    while let Some(part) = next_part(stream, header, done)? {
        sink.content(part)?;
        let length = part.len();
        done += length as u64;
        stream.take(length);
    }
    Ok(skip_padding(stream, header)?)
}

/// What follows the first `done` bytes of an entry's content; never empty.
fn next_part<'s>(stream: &'s mut Stream<'_>, header: &Header, done: u64) -> Result<Option<&'s [u8]>, Refusal> {
    let left = usize::try_from(header.size - done).unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(None);
    }
    let shown = stream.peek(left)?;
    match shown.get(..left.min(shown.len())) {
        Some(part) if !part.is_empty() => Ok(Some(part)),
        _ => Err(header.ends_early()),
    }
}

fn skip_padding(stream: &mut Stream<'_>, header: &Header) -> Result<(), Refusal> {
    let padding = (BLOCK - (header.size % BLOCK as u64) as usize) % BLOCK;
    if stream.peek(padding)?.len() < padding {
        return Err(header.ends_early());
    }
    stream.take(padding);
    Ok(())
}

/// Digits in base 8, then at least one zero byte or space, and nothing else. Other ways to write a number are refused:
/// programs differ about them.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().position(|byte| !byte.is_ascii_digit()).filter(|&length| length > 0)?;
    let (digits, rest) = field.split_at_checked(digits)?;
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn read_long_name(content: &[u8], ahead: &mut Ahead) -> Result<(), Refusal> {
    let Some((0, name)) = content.split_last() else {
        return Err(Refusal::new("a long name does not end with a zero byte"));
    };
    if name.is_empty() || name.contains(&0) {
        return Err(Refusal::of_entry(name, "a long name is empty or holds a zero byte"));
    }
    if ahead.name.replace(name.to_vec()).is_some() {
        return Err(Refusal::of_entry(name, "the entry is named twice"));
    }
    Ok(())
}

fn read_pax(content: &[u8], ahead: &mut Ahead) -> Result<(), Refusal> {
    if std::mem::replace(&mut ahead.pax, true) {
        return Err(Refusal::new("an entry has two PAX records"));
    }
    for (key, value) in pax_pairs(content)? {
        match key {
            b"path" => {
                if value.is_empty() || value.contains(&0) || ahead.name.is_some() {
                    return Err(Refusal::of_entry(value, "the entry is named twice or its name holds a zero byte"));
                }
                ahead.name = Some(value.to_vec());
            }
            b"size" => {
                ahead.size = Some(decimal(value).ok_or_else(|| Refusal::new("a PAX `size` is not a plain number"))?);
            }
            b"hdrcharset" if value != b"ISO-IR 10646 2000 UTF-8" => {
                return Err(Refusal::new("a PAX record changes the character set"));
            }
            b"linkpath" => return Err(Refusal::new("a PAX record names a link")),
            _ if key.starts_with(b"GNU.sparse") => return Err(Refusal::new("it holds a sparse file")),
            // Owners, times, comments, extended attributes: nothing here uses them.
            _ => {}
        }
    }
    Ok(())
}

/// A global record would silently apply to everything after it: only a comment, which `git archive` writes, has no effect.
fn check_global(content: &[u8]) -> Result<(), Refusal> {
    match pax_pairs(content)?.iter().all(|(key, _)| *key == b"comment") {
        true => Ok(()),
        false => Err(Refusal::new("a global PAX record changes the entries that follow")),
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let canonical = value == b"0" || (value.first() != Some(&b'0') && value.iter().all(u8::is_ascii_digit));
    canonical.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

type PaxPair<'a> = (&'a [u8], &'a [u8]);

/// `LENGTH KEY=VALUE\n`…, where LENGTH counts the whole record. No key may stand twice.
fn pax_pairs(mut content: &[u8]) -> Result<Vec<PaxPair<'_>>, Refusal> {
    let mut pairs: Vec<PaxPair<'_>> = Vec::new();
    while !content.is_empty() {
        let broken = || Refusal::new("a PAX record is malformed");
        let space = content.iter().take(8).position(|&byte| byte == b' ').ok_or_else(broken)?;
        let length = content
            .get(..space)
            .and_then(decimal)
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(broken)?;
        let record = content.get(space + 1..length).ok_or_else(broken)?;
        let Some((b'\n', record)) = record.split_last() else { return Err(broken()) };
        let equals = record.iter().position(|&byte| byte == b'=').filter(|&at| at > 0).ok_or_else(broken)?;
        let (key, value) = record.split_at_checked(equals).ok_or_else(broken)?;
        pairs.push((key, value.get(1..).unwrap_or_default()));
        content = content.get(length..).unwrap_or_default();
    }
    let mut keys: Vec<&[u8]> = pairs.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Refusal::new("a PAX record says the same thing twice"));
    }
    Ok(pairs)
}

/// Checks everything about an entry but its content. `size` is what a PAX record says.
fn place<'a>(header: &Header, name: &'a [u8], size: Option<u64>, top: &str) -> Result<Place<'a>, Refusal> {
    let refuse = |reason: &str| Refusal::of_entry(name, reason);
    let is_folder = match header.kind {
        b'0' | 0 => false,
        b'5' => true,
        b'1' | b'2' | b'K' => return Err(refuse("links are refused")),
        b'S' => return Err(refuse("sparse files are refused")),
        other => return Err(refuse(&format!("entries of kind `{}` are refused", other.escape_ascii()))),
    };
    if header.field(LINK_NAME).iter().any(|&byte| byte != 0) {
        return Err(refuse("it has the name of a link"));
    }
    if size.is_some_and(|size| size != header.size) {
        return Err(refuse("header and PAX record name different sizes"));
    }
    let mode = octal(header.field(MODE)).ok_or_else(|| refuse("the mode is not written in octal digits"))?;
    let text = std::str::from_utf8(name).map_err(|_| refuse("the name is not UTF-8"))?;
    let path = below_top(text, top, is_folder).map_err(|reason| refuse(&reason))?;
    match (is_folder, path) {
        (true, _) if header.size != 0 => Err(refuse("a folder has content")),
        (false, None) => Err(refuse("the top folder is a file")),
        _ => Ok(Place { path, is_folder, executable: mode & 0o111 != 0 }),
    }
}

/// The name that the header alone gives: POSIX headers have a second field for its beginning.
fn name_in_header(header: &Header) -> Vec<u8> {
    let (name, prefix) = (until_zero(header.field(NAME)), until_zero(header.field(PREFIX)));
    if header.field(MAGIC) == POSIX && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

/// The checked path below the top folder; `None` for the top folder itself.
fn below_top<'a>(text: &'a str, top: &str, is_folder: bool) -> Result<Option<&'a str>, String> {
    let text = if is_folder { text.strip_suffix('/').unwrap_or(text) } else { text };
    let outside = || format!("it is not inside `{top}`");
    let rest = text.strip_prefix(top).ok_or_else(outside)?;
    if rest.is_empty() {
        return Ok(None);
    }
    let path = rest.strip_prefix('/').ok_or_else(outside)?;
    names::check(path)?;
    Ok(Some(path))
}
