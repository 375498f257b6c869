//! How the files of two versions differ.

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

use crate::listing::{File, Listing};

/// Largest files that are compared line by line, in bytes, both together.
const MAX_COMPARED: u64 = 4 << 20;

/// Most bytes of one file's difference that are shown.
const MAX_SHOWN: usize = 64 << 10;

/// Longest line that is shown, in bytes.
const MAX_LINE: usize = 500;

/// What happened to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// What.
    pub kind: ChangeKind,
    /// Lines that came.
    pub added: u64,
    /// Lines that went.
    pub removed: u64,
    /// The lines, in the form of `diff -u`, without the two lines that name the file. Empty where there are none to show.
    pub lines: String,
}

/// What can happen to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It differs.
    Changed,
}

impl ChangeKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// The files that differ between two versions.
pub fn changes(before: &Listing, after: &Listing) -> Vec<Change> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    let change = |path: &String| {
        let (old, new) = (before.get(path), after.get(path));
        let kind = match (old, new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            (Some(old), Some(new)) if (old.digest, old.kind) == (new.digest, new.kind) => return None,
            _ => ChangeKind::Changed,
        };
        let (added, removed, lines) = compare(old, new);
        Some(Change { path: path.clone(), kind, added, removed, lines })
    };
    paths.into_iter().filter_map(change).collect()
}

/// Lines that came, lines that went, and all of them with their neighbours.
fn compare(old: Option<&File>, new: Option<&File>) -> (u64, u64, String) {
    let text = |file: Option<&File>| file.map_or(Some(String::new()), |file| file.text().map(shortened));
    let size = old.map_or(0, |file| file.size) + new.map_or(0, |file| file.size);
    let (Some(old), Some(new), true) = (text(old), text(new), size <= MAX_COMPARED) else {
        return (0, 0, String::new());
    };
    let input = InternedInput::new(&*old, &*new);
    // Histogram with a fallback whose work is bounded: hostile text costs no more than honest text of its size.
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    let mut lines = diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string();
    if lines.len() > MAX_SHOWN {
        let end = (0..=MAX_SHOWN).rev().find(|&at| lines.is_char_boundary(at)).unwrap_or(0);
        lines.truncate(end);
        lines.push_str("\n(more is not shown)\n");
    }
    (u64::from(diff.count_additions()), u64::from(diff.count_removals()), lines)
}

/// The text with its longest lines cut, which end in a mark of what was cut.
fn shortened(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.len() <= MAX_LINE {
            out.push_str(line);
            continue;
        }
        let end = (0..=MAX_LINE).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        let (shown, rest) = line.split_at(end);
        // What is cut counts by its digest, so that a change in it shows.
        let digest = bulkhead_trust::Digest::of(rest.as_bytes()).to_string();
        out.push_str(&format!("{shown}… ({} bytes more, {:.8})\n", rest.len(), digest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{ChangeKind, changes};
    use crate::{File, Listing};

    fn listing(files: &[(&str, &str)]) -> Listing {
        files.iter().map(|(path, text)| ((*path).to_owned(), File::new(*text))).collect()
    }

    #[test]
    fn what_came_what_went_and_what_differs() {
        let before = listing(&[("a", "1\n2\n3\n"), ("b", "x"), ("same", "")]);
        let after = listing(&[("a", "1\nzwei\n3\n"), ("c", "new\n"), ("same", "")]);
        let found = changes(&before, &after);
        let shown: Vec<_> = found.iter().map(|it| (&*it.path, it.kind, it.added, it.removed)).collect();
        assert_eq!(
            shown,
            [("a", ChangeKind::Changed, 1, 1), ("b", ChangeKind::Removed, 0, 1), ("c", ChangeKind::Added, 1, 0)]
        );
        assert_eq!(found[0].lines, "@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n");
    }

    #[test]
    fn binary_and_long_lines_are_shown_by_what_they_are() {
        let mut after = listing(&[("long", &"y".repeat(100_000))]);
        after.insert("blob".to_owned(), File::new(vec![0xff, 0]));
        let found = changes(&listing(&[("long", &"x".repeat(100_000))]), &after);
        assert_eq!((&*found[0].path, &*found[0].lines), ("blob", ""));
        assert!(found[1].lines.len() < 2_000 && found[1].lines.contains("bytes more"), "{}", found[1].lines);
    }

    #[test]
    fn hostile_texts_are_compared_in_time() {
        let many = |odd: &str| (0..60_000).map(|n| format!("{}{odd}\n", n * 7919 % 60_000)).collect::<String>();
        let found = changes(&listing(&[("a", &many("x"))]), &listing(&[("a", &many("y"))]));
        assert_eq!(found.len(), 1);
    }
}
