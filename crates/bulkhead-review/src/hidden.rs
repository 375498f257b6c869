//! Text that is not what it looks like.

use bulkhead_schema::policy::hides_text;

use crate::finding::{Role, Rule};
use crate::sink::Sink;

/// Longest line of build code that somebody might read, in bytes.
const MAX_LINE: usize = 2_000;

/// Looks through a text; `is_code` says that somebody compiles it.
pub(crate) fn scan(path: &str, text: &str, role: Role, is_code: bool, sink: &mut Sink) {
    let is_ascii = text.is_ascii();
    if is_ascii && text.len() <= MAX_LINE {
        return;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let at = (path, u32::try_from(number + 1).unwrap_or(u32::MAX));
        if line.len() > MAX_LINE && is_code {
            sink.add(Rule::LongLine, role, at, &format!("{} bytes", line.len()));
        }
        if is_ascii || line.is_ascii() {
            continue;
        }
        if line.contains(reorders) {
            // Prose in a language that is written from right to left may have them.
            if is_code {
                sink.add(Rule::BidirectionalText, role, at, line);
            } else {
                sink.add(Rule::HiddenText, Role::Development, at, line);
            }
        } else if is_code && line.contains(hides_text) {
            sink.add(Rule::HiddenText, role, at, line);
        }
    }
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::scan;
    use crate::finding::Role;
    use crate::sink::Sink;

    #[track_caller]
    fn check(text: &str, is_code: bool, expected: &[&str]) {
        let mut sink = Sink::default();
        scan("a", text, Role::BuildCode, is_code, &mut sink);
        let found: Vec<String> = sink.finish().0.iter().map(|it| format!("{}:{}", it.line, it.rule.id())).collect();
        assert_eq!(found, expected);
    }

    /// Attack: trojan source.
    #[test]
    fn what_is_shown_is_not_what_is_compiled() {
        check("x\nif level != \"user\u{202e} \u{2066}// admin\u{2069} \u{2066}\" {", true, &["2:bidirectional-text"]);
        check("x\u{202e}", false, &["1:hidden-text"]);
        check("let a\u{200b}b = 1;", true, &["1:hidden-text"]);
        check("family \u{1f468}\u{200d}\u{1f469}", false, &[]);
        check("\u{feff}fn main() {}", true, &[]);
        check(&format!("x{}evil()", " ".repeat(3000)), true, &["1:long-line"]);
    }
}
