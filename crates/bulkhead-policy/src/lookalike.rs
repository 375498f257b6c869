//! Names that are easily taken for those of well-known packages: the names under which malicious packages have been
//! published are nearly all one slip of the finger or of the eye away from one that everybody knows.
//!
//! `data/well-known.txt` lists the names that are compared with; none of them is ever suspect itself.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

use bulkhead_schema::policy::canonical_name;

/// A name that can be taken for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookalike {
    /// The well-known package.
    pub known: &'static str,
    /// In what they differ.
    pub difference: Difference,
}

/// How one name comes to look like another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Only in `-` and `_`, or that they are missing.
    Separator,
    /// In letters that look alike: `1` and `l`, `0` and `o`, `rn` and `m`, Cyrillic and Latin ones.
    Homoglyph,
    /// The same words in another order.
    Order,
    /// One letter more, less, doubled, exchanged for another or for its neighbour; in long names two.
    Spelling,
}

/// The well-known package that `name` is easily taken for, if there is one and `name` is not well-known itself.
pub fn lookalike(name: &str) -> Option<Lookalike> {
    let known = &*KNOWN;
    if known.names.contains(name) || name.len() > bulkhead_schema::ids::MAX_NAME_LENGTH {
        return None;
    }
    let found = |known, difference| Some(Lookalike { known, difference });
    let canonical = canonical_name(name);
    if let Some(other) = known.squeezed.get(&*squeezed(&canonical)) {
        return found(*other, Difference::Separator);
    }
    if let Some(other) = known.skeletons.get(&*skeleton(&canonical)).filter(|other| other.len() >= 3) {
        return found(*other, Difference::Homoglyph);
    }
    if let Some(other) = known.sorted.get(&*sorted_words(&canonical)) {
        return found(*other, Difference::Order);
    }
    let length = canonical.len();
    let near = (length.saturating_sub(2)..=length + 2).filter_map(|length| known.by_length.get(length));
    let misspelt = near.flatten().find(|(other, _)| is_slip(other, &canonical))?;
    found(misspelt.1, Difference::Spelling)
}

struct Known {
    names: HashSet<&'static str>,
    squeezed: HashMap<String, &'static str>,
    skeletons: HashMap<String, &'static str>,
    /// Names of several words, by these in order.
    sorted: HashMap<String, &'static str>,
    /// Canonical forms and names, by the length of the former.
    by_length: Vec<Vec<(String, &'static str)>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let names: Vec<&str> = include_str!("../data/well-known.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let canonical: Vec<(String, &str)> = names.iter().map(|&name| (canonical_name(name), name)).collect();
    let keyed = |key: fn(&str) -> String| canonical.iter().map(|(form, name)| (key(form), *name)).collect();
    let mut sorted: HashMap<String, &str> = keyed(sorted_words);
    sorted.retain(|_, name| name.contains(['-', '_']));
    let longest = canonical.iter().map(|(form, _)| form.len()).max().unwrap_or_default();
    let mut by_length = vec![Vec::new(); longest + 1];
    for (form, name) in &canonical {
        if let Some(list) = by_length.get_mut(form.len()) {
            list.push((form.clone(), *name));
        }
    }
    Known {
        squeezed: keyed(squeezed),
        skeletons: keyed(skeleton),
        sorted,
        by_length,
        names: names.into_iter().collect(),
    }
});

fn squeezed(canonical: &str) -> String {
    canonical.replace('-', "")
}

fn sorted_words(canonical: &str) -> String {
    let mut words: Vec<&str> = canonical.split('-').collect();
    words.sort_unstable();
    words.join("-")
}

/// What the eye makes of a name: every group of letters that look alike becomes one of them.
fn skeleton(canonical: &str) -> String {
    let mut plain = String::with_capacity(canonical.len());
    for c in canonical.chars().flat_map(char::to_lowercase) {
        plain.push(match c {
            '0' | 'о' | 'ο' => 'o',
            '1' | 'i' | 'і' | 'ι' | 'ı' | 'ӏ' => 'l',
            '5' | 'ѕ' => 's',
            'а' | 'α' => 'a',
            'е' | 'ё' => 'e',
            'с' | 'ϲ' => 'c',
            'р' | 'ρ' => 'p',
            'х' | 'χ' => 'x',
            'у' | 'γ' => 'y',
            'к' | 'κ' => 'k',
            'м' => 'm',
            'т' | 'τ' => 't',
            'н' => 'h',
            'в' => 'b',
            'п' | 'η' => 'n',
            'ј' => 'j',
            'ԁ' => 'd',
            'ԛ' => 'q',
            'ѵ' | 'ν' => 'v',
            'ԝ' | 'ω' => 'w',
            'һ' => 'h',
            'ɡ' => 'g',
            '‐' | '‑' | '–' | '−' => '-',
            other => other,
        });
    }
    plain.replace("rn", "m").replace("vv", "w").replace("cl", "d").replace('-', "")
}

/// Whether `typed` is `known` with one slip, both in canonical form. Short words and numbers within a name carry so much of
/// its meaning that another one is another name (`sha1` and `sha2`, `aws-sdk-s3` and `aws-sdk-ssm`).
fn is_slip(known: &str, typed: &str) -> bool {
    let (known, typed) = (known.as_bytes(), typed.as_bytes());
    let prefix = known.iter().zip(typed).take_while(|(a, b)| a == b).count();
    let rest = known.len().min(typed.len()) - prefix;
    let suffix = known.iter().rev().zip(typed.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let gone = &known[prefix..known.len() - suffix];
    let come = &typed[prefix..typed.len() - suffix];
    if gone.len() > 3 || come.len() > 3 || gone.contains(&b'-') || come.contains(&b'-') {
        return false;
    }
    let word = word_around(known, prefix);
    match (gone, come) {
        // Neighbours changed places.
        (&[a, b], &[c, d]) if (a, b) == (d, c) => word >= 4,
        // A letter was doubled, or an `s` came to the end.
        ([], &[c]) if prefix > 0 && known.get(prefix - 1) == Some(&c) && !c.is_ascii_digit() => word >= 4,
        ([], b"s") if suffix == 0 => word >= 4,
        ([], &[c]) | (&[c], []) => word >= 6 && prefix > 0 && !c.is_ascii_digit(),
        // Names are told apart by their first letter.
        (&[a], &[b]) => word >= 6 && prefix > 0 && a.is_ascii_digit() == b.is_ascii_digit(),
        _ => known.len() >= 14 && word >= 10 && prefix > 0 && gone.len() + come.len() <= 3,
    }
}

/// How long the word of `name` is that holds the letter at `at`.
fn word_around(name: &[u8], at: usize) -> usize {
    let at = at.min(name.len());
    let start = name[..at].iter().rposition(|&c| c == b'-').map_or(0, |dash| dash + 1);
    let end = name[at..].iter().position(|&c| c == b'-').map_or(name.len(), |length| at + length);
    end - start
}

impl fmt::Display for Lookalike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known;
        match self.difference {
            Difference::Separator => write!(f, "it differs from the well-known `{known}` only in separators"),
            Difference::Homoglyph => write!(f, "it looks like the well-known `{known}`"),
            Difference::Order => write!(f, "it has the words of the well-known `{known}` in another order"),
            Difference::Spelling => write!(f, "it is nearly spelt like the well-known `{known}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Difference, lookalike};

    /// Names of malicious packages of the past, and others of their kind.
    /// Attack 50.
    #[test]
    fn names_that_were_or_could_be_used_to_deceive_are_found() {
        for (name, known, difference) in [
            ("rustdecimal", "rust_decimal", Difference::Separator),
            ("serde-json", "serde_json", Difference::Separator),
            ("serdejson", "serde_json", Difference::Separator),
            ("tokio_util", "tokio-util", Difference::Separator),
            ("async_std", "async-std", Difference::Separator),
            ("lazystatic", "lazy_static", Difference::Separator),
            ("l0g", "log", Difference::Homoglyph),
            ("reqvvest", "reqwest", Difference::Homoglyph),
            ("t0kio", "tokio", Difference::Homoglyph),
            ("cIap", "clap", Difference::Homoglyph),
            ("sеrde", "serde", Difference::Homoglyph),
            ("hуper", "hyper", Difference::Homoglyph),
            ("json_serde", "serde_json", Difference::Order),
            ("util-tokio", "tokio-util", Difference::Order),
            ("proc-macro1", "proc-macro2", Difference::Spelling),
            ("postgress", "postgres", Difference::Spelling),
            ("rands", "rand", Difference::Spelling),
            ("rnad", "rand", Difference::Spelling),
            ("randd", "rand", Difference::Spelling),
            ("serdes", "serde", Difference::Spelling),
            ("srede", "serde", Difference::Spelling),
            ("reqwst", "reqwest", Difference::Spelling),
            ("reqwestt", "reqwest", Difference::Spelling),
            ("itertool", "itertools", Difference::Spelling),
            ("anyhw", "anyhow", Difference::Spelling),
            ("chronos", "chrono", Difference::Spelling),
            ("tokoi", "tokio", Difference::Spelling),
            ("thiserorr", "thiserror", Difference::Spelling),
            ("wasm-bindgem", "wasm-bindgen", Difference::Spelling),
            ("tracing-subscribr", "tracing-subscriber", Difference::Spelling),
            ("unicode-normalisation", "unicode-normalization", Difference::Spelling),
        ] {
            let found = lookalike(name);
            let found = found.map(|found| (found.known, found.difference));
            assert_eq!(found, Some((known, difference)), "{name}");
        }
    }

    #[test]
    fn well_known_names_are_never_suspect() {
        for name in super::KNOWN.names.iter() {
            assert_eq!(lookalike(name), None, "{name}");
        }
    }

    /// Legitimate names that are close to well-known ones, or to one another.
    /// Attack 50.
    #[test]
    fn legitimate_neighbours_are_left_alone() {
        let names = "serde serde_json serde_yaml serde_with rand rand_core rand_chacha futures future futures-util sha1 sha2 \
            sha3 md5 md4 h2 h3 hex http httparse tokio tokio-util tokio-io mio nom nix log slog flog dirs dir \
            base64 base62 base32 x11 x11rb time mime prime anyhow eyre quote syn sync bytes byte bit-set bit-vec \
            acme-core acme-http my-tokio-app test-tool plain greet derive-it native-sys uses-native aws-sdk-s3 aws-sdk-sns \
            aws-sdk-kms aws-sdk-iam gfx-gl gfx-hal winapi win32 ring wring image imagine typer hyper hypher regexp clapper \
            parser lexer url curl csv tsv toml tomli yaml xml json5 json6 cc cxx ccx zip zipp uuid ulid arrow arrows2 \
            tower flower lapin napkin rayon crayon crossbeam crossbow once_cell cell pin-project pin-utils itoa dtoa ryu";
        let flagged: Vec<_> =
            names.split_whitespace().filter_map(|name| Some((name, lookalike(name)?.known))).collect();
        assert_eq!(flagged, []);
    }

    #[test]
    fn hostile_names_cost_nothing() {
        for name in ["", "-", "_", "----", &"a".repeat(100_000), &"-".repeat(256), "\u{0}\u{202e}", "é", "аааа"] {
            let _ = lookalike(name);
        }
    }

    #[test]
    fn the_list_is_sorted_and_has_no_doubles() {
        let text = include_str!("../data/well-known.txt");
        let names: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(names.len() > 1_500, "{}", names.len());
    }
}
