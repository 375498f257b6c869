//! How long a version has to have been public before it is taken: `registry.global-min-publish-age` of Cargo's
//! configuration (Cargo Book, "Configuration") and `publish-age` of a policy.

/// What holds where nobody says otherwise, in seconds: three days (docs/decisions/publish-age.md).
pub const DEFAULT_MINIMUM: u64 = 3 * DAY;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Units, the largest first, in seconds. A month is thirty days.
const UNITS: &[(&str, u64)] =
    &[("month", 30 * DAY), ("week", 7 * DAY), ("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", 1)];

/// Seconds from `"0"`, or an integer with `seconds`, `minutes`, `hours`, `days`, `weeks` or `months`.
pub fn parse(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (number, unit) = text.split_once(' ')?;
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(*seconds)
}

/// `seconds` in the largest unit of which there is at least one, rounded down: `2 hours`.
pub fn describe(seconds: u64) -> String {
    // Nobody counts ages in weeks or months when days will do.
    let unit = UNITS.iter().find(|(name, unit)| !matches!(*name, "month" | "week") && seconds >= *unit);
    let (name, count) = unit.map_or(("second", seconds), |(name, unit)| (*name, seconds / unit));
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{describe, parse};

    #[test]
    fn spans_are_read_as_the_book_has_them() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("1 second"), Some(1));
        assert_eq!(parse("36 hours"), Some(129_600));
        assert_eq!(parse("2 weeks"), parse("14 days"));
        assert_eq!(parse("1 month"), parse("30 days"));
        for bad in ["", "3", "days", "3days", "-3 days", "+3 days", "3 years", "3  days", "99999999999999999999 days"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&format!("{} weeks", u64::MAX)), None);
        assert_eq!(describe(7_300), "2 hours");
        assert_eq!(describe(86_400), "1 day");
        assert_eq!(describe(40 * 86_400), "40 days");
        assert_eq!(describe(0), "0 seconds");
    }
}
