//! The numbers that tests carry.

/// What a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A case of the catalogue.
    Case(u32),
    /// One of its campaigns.
    Campaign(u32),
}

/// A test and what it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) subject: Subject,
    pub(super) name: String,
    /// Whether it plays variants of the case that are not in the catalogue.
    pub(super) has_variants: bool,
}

/// Every test in `text` that carries numbers, once for each.
pub(super) fn tests_of(text: &str) -> Vec<Test> {
    let mut found = Vec::new();
    let (mut is_test, mut has_variants, mut subjects) = (false, false, Vec::new());
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(comment) = line.strip_prefix("//") {
            let comment = comment.trim_start_matches('/').trim();
            has_variants |= comment.starts_with(VARIANTS);
            subjects.extend(in_comment(comment.strip_prefix(VARIANTS).unwrap_or(comment)));
        } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().unwrap_or_default();
            subjects.extend(in_name(name));
            subjects.sort();
            subjects.dedup();
            found.extend(subjects.drain(..).map(|subject| Test { subject, name: name.to_owned(), has_variants }));
            (is_test, has_variants) = (false, false);
        } else if !line.starts_with("#[") {
            (is_test, has_variants) = (false, false);
            subjects.clear();
        }
    }
    found
}

/// What comes before the numbers of which a test plays variants: `Variants of attacks 98 and 101: …`
const VARIANTS: &str = "Variants of ";

/// `Attack 58: …`, `Attacks 98, 99 and 101.`, `Attacks 33 to 35`, and the same in small letters
fn in_comment(comment: &str) -> Vec<Subject> {
    let starts = ["Attacks ", "Attack ", "attacks ", "attack "];
    let Some(rest) = starts.iter().find_map(|start| comment.strip_prefix(start)) else {
        return Vec::new();
    };
    let mut numbers: Vec<u32> = Vec::new();
    let mut until = false;
    for word in rest.split_whitespace() {
        let digits = word.trim_end_matches([',', '.', ':']);
        match (digits.parse::<u32>(), word) {
            (Ok(last), _) => {
                let first = numbers.last().filter(|_| until).map_or(last, |first| first + 1);
                numbers.extend(first..=last);
                until = false;
                if word.ends_with([':', '.']) {
                    break;
                }
            }
            (_, "and") => {}
            (_, "to") => until = true,
            _ => break,
        }
    }
    numbers.into_iter().map(Subject::Case).collect()
}

/// `case_058_…`, `attack_58_…`, `attacks_22_and_24_…`, `campaign_13_…`
fn in_name(name: &str) -> Vec<Subject> {
    let mut words = name.split('_');
    let subject = match words.next() {
        Some("case" | "cases" | "attack" | "attacks") => Subject::Case,
        Some("campaign") => Subject::Campaign,
        _ => return Vec::new(),
    };
    words.filter(|word| *word != "and").map_while(|word| word.parse().ok()).map(subject).collect()
}

#[cfg(test)]
mod tests {
    use super::{Test, tests_of};

    #[test]
    fn numbers_come_from_names_and_comments() {
        let text = "/// Attacks 98, 99 and 101: secrets.\n#[test]\nfn secrets() {}\n#[test]\nfn attacks_22_and_24_x() {}\n\
            /// Attack 1 is old.\nfn no_test() {}\n// Attacks 3 to 5.\n#[test]\nfn case_058_link() {}\n\
            #[test]\nfn campaign_13_rush() {}\n/// Variants of attacks 2 and 7: more.\n#[test]\nfn more() {}\n";
        let line = |test: Test| {
            let variants = if test.has_variants { " (variants)" } else { "" };
            format!("{:?} {}{variants}", test.subject, test.name)
        };
        let found: Vec<String> = tests_of(text).into_iter().map(line).collect();
        assert_eq!(
            found,
            [
                "Case(98) secrets",
                "Case(99) secrets",
                "Case(101) secrets",
                "Case(22) attacks_22_and_24_x",
                "Case(24) attacks_22_and_24_x",
                "Case(3) case_058_link",
                "Case(4) case_058_link",
                "Case(5) case_058_link",
                "Case(58) case_058_link",
                "Campaign(13) campaign_13_rush",
                "Case(2) more (variants)",
                "Case(7) more (variants)",
            ]
        );
    }
}
