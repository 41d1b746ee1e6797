//! An exact amount of dollars, read from what a caller wrote.

use std::fmt;

/// Dollars, in billionths. What is finer is dropped, so that a bound is never above what was said;
/// what is more than fits is the most that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(u64);

/// Digits behind the point.
const SCALE: usize = 9;
/// Longer than any amount needs to be written.
const LONGEST: usize = 64;

impl Dollars {
    pub fn from_nanos(nanos: u64) -> Dollars {
        Dollars(nanos)
    }

    pub fn nanos(self) -> u64 {
        self.0
    }

    /// `0.55`, `3`, `.5`, `1e-3`: what JSON has for a number, and what people write. `None` for
    /// all else, a sign included.
    pub fn parse(text: &str) -> Option<Dollars> {
        if text.len() > LONGEST {
            return None;
        }
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let mut digits = whole.bytes().chain(part.bytes()).peekable();
        if digits.peek().is_none() || !digits.clone().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        // So many digits are billionths; where there are fewer, zeros are.
        let places = i64::try_from(whole.len() + SCALE).ok()? + exponent;
        let zeros = std::iter::repeat(b'0');
        let mut nanos: u64 = 0;
        let all = usize::try_from(places).unwrap_or(0);
        for digit in digits.chain(zeros).take(all.min(2 * LONGEST)) {
            nanos = nanos
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
        }
        // Beyond the digits that were read only zeros follow.
        let more = all > 2 * LONGEST && nanos > 0;
        Some(Dollars(if more { u64::MAX } else { nanos }))
    }
}

/// An exponent so large that the rest does not matter is as good as a smaller one.
fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000);
    Some(if negative { -size } else { size })
}

impl fmt::Display for Dollars {
    /// As a JSON number, with no more digits than it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:09}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, nanos) in [
            ("0", 0),
            ("0.55", 550_000_000),
            ("0.30000000000000004", 300_000_000),
            ("2.40", 2_400_000_000),
            (".5", 500_000_000),
            ("3.", 3_000_000_000),
            ("1e-3", 1_000_000),
            ("12.5E+1", 125_000_000_000),
            ("1e-9", 1),
            ("0.0000000019", 1),
            ("1e-10", 0),
            ("1e-99999999999999999999", 0),
            ("0e99999999999999999999", 0),
            ("1e99999999999999999999", u64::MAX),
            ("1e60", u64::MAX),
            ("18446744073.709551615", u64::MAX),
            ("99999999999999999999999999", u64::MAX),
            (
                "00000000000000000000000000000000000000000000000000000000000000.5",
                500_000_000,
            ),
        ] {
            assert_eq!(Dollars::parse(text), Some(Dollars(nanos)), "{text}");
        }
        for text in [
            "", ".", "-1", "-0", "+1", "1e", "e1", "1e+", "1.2.3", "1,5", "0x1", "NaN", "Infinity",
            "1_000", " 1", "$1", "１", "1e1.5", "1e--1",
        ] {
            assert_eq!(Dollars::parse(text), None, "{text}");
        }
        assert_eq!(Dollars::parse(&"1".repeat(65)), None);
    }

    #[test]
    fn amounts_are_shown_as_they_are_written() {
        for text in [
            "0",
            "1",
            "0.6",
            "2.4",
            "0.000000001",
            "18446744073.709551615",
        ] {
            assert_eq!(Dollars::parse(text).unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(nanos: u64) {
            let shown = Dollars(nanos).to_string();
            prop_assert_eq!(Dollars::parse(&shown), Some(Dollars(nanos)));
            prop_assert!(serde_json::from_str::<f64>(&shown).is_ok());
        }

        #[test]
        fn it_reads_what_serde_reads(text in "[0-9]{1,9}(\\.[0-9]{1,6})?([eE][+-]?[0-3])?") {
            let Some(read) = Dollars::parse(&text) else { panic!("{text}") };
            let digits = text.trim_start_matches('0');
            // JSON has no leading zeros.
            let json = if digits.starts_with(|c: char| c.is_ascii_digit()) {
                digits.to_owned()
            } else {
                format!("0{digits}")
            };
            let theirs: f64 = serde_json::from_str(&json).unwrap();
            let ours = read.0 as f64 / 1e9;
            let tolerance = (theirs * 1e-12).max(1.1e-9);
            prop_assert!(read.0 == u64::MAX || (ours - theirs).abs() <= tolerance, "{ours} {theirs}");
        }
    }
}
