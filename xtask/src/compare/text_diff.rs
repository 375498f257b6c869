//! Differences between two texts, readable.

use super::report::Verdict;
use std::fmt::Write as _;

/// Lines of context around a change.
const CONTEXT: usize = 2;
/// The most lines to print; the rest is counted.
const MOST: usize = 30;
/// Above this many differing lines on either side the middle is not aligned line by line.
const ALIGNABLE: usize = 3000;

/// The line-by-line differences, empty when there are none: `-` is cargo's line, `+` Bulkhead's.
pub(crate) fn diff(cargo: &str, bulkhead: &str) -> String {
    let (left, right): (Vec<&str>, Vec<&str>) = (cargo.lines().collect(), bulkhead.lines().collect());
    if left == right {
        return if cargo == bulkhead { String::new() } else { "only the line ends differ\n".to_owned() };
    }
    let start = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let end = left[start..].iter().rev().zip(right[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (left_middle, right_middle) = (&left[start..left.len() - end], &right[start..right.len() - end]);

    let mut lines: Vec<String> = Vec::new();
    lines.extend(left[start.saturating_sub(CONTEXT)..start].iter().map(|line| format!(" {line}")));
    if left_middle.len() > ALIGNABLE || right_middle.len() > ALIGNABLE {
        lines.extend(left_middle.iter().map(|line| format!("-{line}")));
        lines.extend(right_middle.iter().map(|line| format!("+{line}")));
    } else {
        align(left_middle, right_middle, &mut lines);
    }
    lines.extend(left[left.len() - end..].iter().take(CONTEXT).map(|line| format!(" {line}")));

    let mut text = format!("@@ from line {} @@\n", start + 1);
    for line in lines.iter().take(MOST) {
        let _ = writeln!(text, "{line}");
    }
    if lines.len() > MOST {
        let _ = writeln!(text, "… and {} more lines", lines.len() - MOST);
    }
    text
}

/// A longest common subsequence, walked into `-`, `+` and ` ` lines; long runs of equal lines are cut.
fn align(left: &[&str], right: &[&str], lines: &mut Vec<String>) {
    let width = right.len() + 1;
    let mut lengths = vec![0_u16; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            lengths[i * width + j] = if left[i] == right[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut equal: Vec<&str> = Vec::new();
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            equal.push(left[i]);
            (i, j) = (i + 1, j + 1);
            continue;
        }
        push_equal(&mut equal, lines);
        let take_left =
            j == right.len() || (i < left.len() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]);
        if take_left {
            lines.push(format!("-{}", left[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", right[j]));
            j += 1;
        }
    }
    push_equal(&mut equal, lines);
}

fn push_equal(equal: &mut Vec<&str>, lines: &mut Vec<String>) {
    if equal.len() > 2 * CONTEXT + 1 {
        lines.extend(equal[..CONTEXT].iter().map(|line| format!(" {line}")));
        lines.push(format!("@@ {} equal lines @@", equal.len() - 2 * CONTEXT));
        lines.extend(equal[equal.len() - CONTEXT..].iter().map(|line| format!(" {line}")));
    } else {
        lines.extend(equal.iter().map(|line| format!(" {line}")));
    }
    equal.clear();
}

/// What only one of two sorted multisets of lines has: `-` cargo, `+` Bulkhead.
pub(crate) fn multiset_difference(cargo: &[String], bulkhead: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut left, mut right) = (cargo.to_vec(), bulkhead.to_vec());
    left.sort();
    right.sort();
    let mut only_right = Vec::new();
    for line in right {
        match left.binary_search(&line) {
            Ok(position) => {
                left.remove(position);
            }
            Err(_) => only_right.push(line),
        }
    }
    (left, only_right)
}

/// Compares lines whatever their order; a line that differs several times is shown once.
pub(crate) fn same_lines(cargo: &[String], bulkhead: &[String]) -> Verdict {
    let (missing, extra) = multiset_difference(cargo, bulkhead);
    let mut text = String::new();
    for (sign, lines) in [('-', &missing), ('+', &extra)] {
        for group in lines.chunk_by(|left, right| left == right).take(MOST) {
            let times = if group.len() > 1 { format!("  (×{})", group.len()) } else { String::new() };
            let _ = writeln!(text, "{sign}{}{times}", group[0]);
        }
    }
    Verdict::from_differences(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_changed_with_context() {
        assert_eq!(diff("a\nb\nc\nd\n", "a\nb\nx\nd\n"), "@@ from line 3 @@\n a\n b\n-c\n+x\n d\n");
        assert_eq!(diff("a\n", "a\n"), "");
        assert_eq!(diff("a\n", "a"), "only the line ends differ\n");
    }

    #[test]
    fn counts_repeated_lines() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(multiset_difference(&lines("a a b"), &lines("a b b")), (lines("a"), lines("b")));
    }
}
