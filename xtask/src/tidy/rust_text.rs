//! Just enough of Rust's lexical grammar to search code without being fooled by comments and literals.

/// The text with comments, string and character literals blanked out; every line keeps its number and length in bytes.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment_end(bytes, at);
        if end > at {
            for byte in &mut masked[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(masked).unwrap_or_default()
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn literal_or_comment_end(bytes: &[u8], at: usize) -> usize {
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match &bytes[at..] {
        [b'/', b'/', ..] => find(bytes, at, b"\n").unwrap_or(bytes.len()),
        [b'/', b'*', ..] => block_comment_end(bytes, at),
        [b'"', ..] => string_end(bytes, at + 1),
        [b'r', ..] if !after_word => raw_string_end(bytes, at + 1).unwrap_or(at),
        [b'b' | b'c', b'r', ..] if !after_word => raw_string_end(bytes, at + 2).unwrap_or(at),
        [b'\'', b'\\', ..] => find(bytes, at + 3, b"'").map_or(bytes.len(), |end| end + 1),
        [b'\'', rest @ ..] => character_end(rest).map_or(at, |length| at + 1 + length),
        _ => at,
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(1 + hashes, b'#');
    Some(find(bytes, start + hashes + 1, &closing).map_or(bytes.len(), |end| end + closing.len()))
}

/// The length of a character literal after its opening quote; `None` for a lifetime.
fn character_end(rest: &[u8]) -> Option<usize> {
    let first = *rest.first()?;
    let width = match first {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    (rest.get(width) == Some(&b'\'')).then_some(width + 1)
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let from = from.min(bytes.len());
    bytes[from..].windows(needle.len()).position(|window| window == needle).map(|position| from + position)
}

/// The byte offset after the brace that closes the first `{` at or after `from`; `None` if a `;` comes first.
pub(super) fn block_end(masked: &str, from: usize) -> Option<usize> {
    let (mut depth, mut nested) = (0_usize, 0_usize);
    for (offset, byte) in masked.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested = nested.saturating_sub(1),
            b';' if depth == 0 && nested == 0 => return None,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The byte ranges of `#[cfg(test)]` items.
pub(super) fn test_ranges(masked: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(position) = masked[from..].find("#[cfg(test)]") {
        let start = from + position;
        let end = block_end(masked, start + "#[cfg(test)]".len()).unwrap_or(start + 1);
        ranges.push(start..end);
        from = end;
    }
    ranges
}

/// The 1-based line of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_what_is_not_code() {
        let masked = mask("let a = \"{\"; // }\nlet b = '{'; let c: &'static str = r#\"\"}\"#; /* { /* } */ */ d");
        assert_eq!(masked.matches(['{', '}']).count(), 0);
        assert!(masked.contains("let c: &'static str ="));
        assert!(masked.ends_with(" d"));
        assert_eq!(masked.lines().count(), 2);
    }

    #[test]
    fn finds_the_end_of_a_block() {
        let text = "fn a(x: [u8; 2]) { if x { } } fn b();";
        assert_eq!(block_end(text, 0), Some(29));
        assert_eq!(block_end(text, 29), None);
    }
}
