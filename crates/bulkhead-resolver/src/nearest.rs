//! "Did you mean": the nearest of several names.

/// The one of `names` that is nearest to `wanted`, if any is near at all: at most a third of its letters differ.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).max(1);
    let near = names.into_iter().filter_map(|name| Some((distance(wanted, name, limit)?, name)));
    near.min().map(|(_, name)| name)
}

/// How many letters have to be inserted, removed, changed or swapped; `None` if more than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit || a.len().max(b.len()) > 256 {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, &x) in a.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, &y) in b.iter().enumerate() {
            let changed = last[column] + usize::from(!x.eq_ignore_ascii_case(&y));
            let mut best = changed.min(last[column + 1] + 1).min(now[column] + 1);
            if row > 0 && column > 0 && x == b[column - 1] && a[row - 1] == y {
                best = best.min(before[column - 1] + 1);
            }
            now.push(best);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_keyboard_are_found() {
        let names = ["serde", "serde_json", "syn", "tokio"];
        assert_eq!(nearest("sered", names), Some("serde"));
        assert_eq!(nearest("tokoi", names), Some("tokio"));
        assert_eq!(nearest("serde-json", names), Some("serde_json"));
        assert_eq!(nearest("rand", names), None);
    }
}
