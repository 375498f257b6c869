//! How much a single unit may say to people: whoever prints a million warnings buries the one that matters.

use std::collections::BTreeMap;

use bulkhead_unit_graph::UnitIndex;

/// Far more messages of one unit than anybody reads; generated bindings have produced some thousands.
const MESSAGES: usize = 10_000;
/// The same in bytes of text.
const BYTES: usize = 16 << 20;
/// The longest single text; of a longer one the end is shown, where errors stand.
pub const LONGEST: usize = 1 << 20;

/// What each unit has said so far.
#[derive(Default)]
pub struct Flood {
    units: BTreeMap<UnitIndex, Said>,
}

#[derive(Default)]
struct Said {
    messages: usize,
    bytes: usize,
    withheld: usize,
}

impl Flood {
    /// Whether another message of so many bytes is shown. If not, it is counted.
    pub fn admits(&mut self, unit: UnitIndex, bytes: usize) -> bool {
        let said = self.units.entry(unit).or_default();
        let fits = said.messages < MESSAGES && said.bytes.saturating_add(bytes) <= BYTES;
        if fits {
            said.messages += 1;
            said.bytes += bytes;
        } else {
            said.withheld += 1;
        }
        fits
    }

    /// How many messages of a unit were not shown since this was last asked.
    pub fn withheld(&mut self, unit: UnitIndex) -> usize {
        self.units.get_mut(&unit).map_or(0, |said| std::mem::take(&mut said.withheld))
    }
}

/// The end of `text`, with a word about what is left out, if it is longer than [`LONGEST`].
pub fn ending(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let start = (text.len() - LONGEST..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    format!("... {start} bytes are not shown ...\n{}", &text[start..])
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Flood, LONGEST, MESSAGES, UnitIndex, ending};

    /// Attack 165.
    #[test]
    fn floods_are_counted_and_not_shown() {
        let (mut flood, unit) = (Flood::default(), UnitIndex(0));
        assert!((0..MESSAGES).all(|_| flood.admits(unit, 1)));
        assert!(!flood.admits(unit, 1) && !flood.admits(unit, 1));
        assert_eq!((flood.withheld(unit), flood.withheld(unit)), (2, 0));
        let other = UnitIndex(1);
        assert!(flood.admits(other, BYTES) && !flood.admits(other, 1));
    }

    #[test]
    fn the_end_of_a_text_is_where_errors_stand() {
        assert_eq!(ending("short"), "short");
        let text = ending(&("é".repeat(LONGEST) + "end"));
        assert!(text.starts_with("... ") && text.ends_with("end") && text.len() < LONGEST + 100);
    }
}
