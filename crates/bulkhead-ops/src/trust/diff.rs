//! What changed between two small texts, line by line.

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It stands in both.
    Same,
    /// Only the old text has it.
    Removed,
    /// Only the new text has it.
    Added,
}

/// A line with what became of it. Untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What became of it.
    pub change: Change,
    /// The line.
    pub text: String,
}

/// Lines that stay the same and are shown around those that changed.
const CONTEXT: usize = 3;

/// Pairs of lines that are compared at most; texts that differ in more are shown as replaced.
const MAX_PAIRS: usize = 4 << 20;

/// The lines that changed, with a few around them.
pub(super) fn lines(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, after) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let line = |change| move |text: &&str| Line { change, text: (*text).to_owned() };
    let mut lines: Vec<Line> = old[head.saturating_sub(CONTEXT)..head].iter().map(line(Change::Same)).collect();
    if before.len().saturating_mul(after.len()) > MAX_PAIRS {
        lines.extend(before.iter().map(line(Change::Removed)));
        lines.extend(after.iter().map(line(Change::Added)));
    } else {
        lines.extend(middle(before, after));
    }
    lines.extend(old[old.len() - tail..].iter().take(CONTEXT).map(line(Change::Same)));
    lines
}

/// By the longest common subsequence.
fn middle(old: &[&str], new: &[&str]) -> Vec<Line> {
    let width = new.len() + 1;
    let mut length = vec![0u32; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            length[i * width + j] = match a == b {
                true => length[(i + 1) * width + j + 1] + 1,
                false => length[(i + 1) * width + j].max(length[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let (change, text) = match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => (Change::Same, a),
            (Some(a), Some(_)) if length[(i + 1) * width + j] >= length[i * width + j + 1] => (Change::Removed, a),
            (Some(a), None) => (Change::Removed, a),
            (_, Some(b)) => (Change::Added, b),
            (None, None) => break,
        };
        i += usize::from(change != Change::Added);
        j += usize::from(change != Change::Removed);
        lines.push(Line { change, text: (*text).to_owned() });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Change, lines};

    fn check(old: &str, new: &str, expected: &str) {
        let found = lines(old, new);
        let shown = found.iter().map(|line| match line.change {
            Change::Same => format!(" {}\n", line.text),
            Change::Removed => format!("-{}\n", line.text),
            Change::Added => format!("+{}\n", line.text),
        });
        assert_eq!(shown.collect::<String>(), expected);
    }

    #[test]
    fn what_changed_is_shown_with_its_surroundings() {
        check("a\nb\nc\n", "a\nb\nc\n", " a\n b\n c\n");
        check(
            "1\n2\n3\n4\na\nb\n5\n6\n7\n8\n",
            "1\n2\n3\n4\nb\nx\n5\n6\n7\n8\n",
            " 2\n 3\n 4\n-a\n b\n+x\n 5\n 6\n 7\n",
        );
        check("", "a\n", "+a\n");
        check("a\n", "", "-a\n");
        let (old, new) = ("x\n".repeat(5000), "y\n".repeat(5000));
        assert_eq!(lines(&old, &new).len(), 10_000);
    }
}
