//! Times, sizes and shares, with their unit written out: `2s`, `32MiB`, `250ms..2s`, `20%`.

use crate::config::decode::text;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// `250ms..2s`: the first is not above the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange(pub Duration, pub Duration);

/// A share of a whole, exact to four digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    millionths: u32,
}

/// Ten years: no clock can be asked for a moment it does not know.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// In milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// In bytes, largest first.
const SIZES: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

impl Time {
    pub fn parse(text: &str) -> Result<Time, String> {
        let milliseconds = amount(text, &TIMES, "a time such as `10s`, `800ms` or `5m`")?;
        let time = Duration::from_millis(milliseconds);
        if time > LONGEST {
            return Err("is longer than ten years; write a time up to `3650d`".to_owned());
        }
        Ok(Time(time))
    }
}

impl Size {
    pub fn parse(text: &str) -> Result<Size, String> {
        amount(text, &SIZES, "a size such as `32MiB` or `1GiB`").map(Size)
    }
}

impl TimeRange {
    pub fn parse(text: &str) -> Result<TimeRange, String> {
        let Some((low, high)) = text.split_once("..") else {
            return Err("is not a range of times; write one such as `250ms..2s`".to_owned());
        };
        let (Time(low), Time(high)) = (Time::parse(low.trim())?, Time::parse(high.trim())?);
        if low > high {
            return Err("is backwards: the smaller time comes first".to_owned());
        }
        Ok(TimeRange(low, high))
    }
}

impl Percent {
    const WHOLE: u32 = 1_000_000;

    pub fn parse(text: &str) -> Result<Percent, String> {
        let one = u64::from(Percent::WHOLE / 100);
        let millionths = amount(text, &[("%", one)], "a percentage such as `20%`")?;
        match u32::try_from(millionths) {
            Ok(millionths @ ..=Percent::WHOLE) => Ok(Percent { millionths }),
            _ => Err("is more than the whole; write a percentage up to `100%`".to_owned()),
        }
    }

    /// From 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.millionths) / f64::from(Percent::WHOLE)
    }
}

/// A time as one would write it.
pub fn show_time(time: Duration) -> String {
    show(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

/// A size as one would write it.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    match whole.or(units.last()) {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => amount.to_string(),
    }
}

/// The messages go on from the value: "`5` has no unit".
fn amount(text: &str, units: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let numeric = |letter: char| letter.is_ascii_digit() || letter == '.';
    let end = text.find(|letter| !numeric(letter)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err(format!("is not {what}"));
    }
    if unit.is_empty() {
        return Err(format!("has no unit; write {what}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let names: Vec<&str> = units.iter().rev().map(|(name, _)| *name).collect();
        let are = if names.len() == 1 {
            "unit is"
        } else {
            "units are"
        };
        return Err(format!("is not {what}; the {are} {}", names.join(", ")));
    };
    scale(number, *factor).map_err(|problem| format!("{problem}; write {what}"))
}

/// Exact also with a fraction: `1.5` of 1000 is 1500.
fn scale(number: &str, factor: u64) -> Result<u64, &'static str> {
    const TOO_LARGE: &str = "is too large";
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err("is not a number with a unit");
    }
    if fraction.len() > 6 {
        return Err("has more than six digits after the point");
    }
    let whole: u128 = whole.parse().map_err(|_| TOO_LARGE)?;
    let scaled = whole.checked_mul(u128::from(factor)).ok_or(TOO_LARGE)?;
    let parts: u128 = fraction.parse().map_err(|_| TOO_LARGE)?;
    let parts = parts * u128::from(factor);
    let divisor = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(6));
    if !parts.is_multiple_of(divisor) {
        return Err("is finer than the smallest unit");
    }
    let sum = scaled.checked_add(parts / divisor).ok_or(TOO_LARGE)?;
    u64::try_from(sum).map_err(|_| TOO_LARGE)
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Time::parse)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Size::parse)
    }
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, TimeRange::parse)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Percent::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_units() {
        let time = |text| Time::parse(text).map(|time| time.0.as_millis());
        assert_eq!(time("800ms"), Ok(800));
        assert_eq!(time("2s"), Ok(2000));
        assert_eq!(time("1.5m"), Ok(90_000));
        assert_eq!(time("0s"), Ok(0));
        assert_eq!(time("1d"), Ok(86_400_000));
        let size = |text| Size::parse(text).map(|size| size.0);
        assert_eq!(size("32MiB"), Ok(32 << 20));
        assert_eq!(size("0.5KiB"), Ok(512));
        assert_eq!(size("10MB"), Ok(10_000_000));
        let range = TimeRange::parse("250ms..2s").unwrap();
        assert_eq!(
            range,
            TimeRange(Duration::from_millis(250), Duration::from_secs(2))
        );
    }

    #[test]
    fn says_what_is_missing() {
        let time = |text| Time::parse(text).unwrap_err();
        assert!(time("5").starts_with("has no unit"));
        assert!(time("0").starts_with("has no unit"));
        assert!(time("5 s").contains("the units are ms, s, m, h, d"));
        assert!(time("-5s").starts_with("is not a time"));
        assert!(time("1.s").starts_with("is not a number"));
        assert!(time("0.5ms").starts_with("is finer"));
        assert!(time("99999999999999999999d").starts_with("is too large"));
        let many = "9".repeat(100);
        assert!(time(&format!("{many}s")).starts_with("is too large"));
        assert!(Size::parse("32mib").unwrap_err().contains("MiB"));
        assert!(
            TimeRange::parse("2s..250ms")
                .unwrap_err()
                .starts_with("is backwards")
        );
        assert!(TimeRange::parse("2s").unwrap_err().contains("250ms..2s"));
    }

    #[test]
    fn no_number_is_too_large_to_be_refused() {
        // The largest that can be held, with and without something after the point.
        let most = u128::MAX;
        for number in [
            format!("{most}"),
            format!("{most}.5"),
            format!("{}.5", most / 1000),
        ] {
            for unit in ["ms", "s", "d"] {
                assert!(
                    Time::parse(&format!("{number}{unit}")).is_err(),
                    "{number}{unit}"
                );
            }
            assert!(Size::parse(&format!("{number}KB")).is_err(), "{number}KB");
        }
        for digits in 1..60 {
            let (whole, fraction) = ("9".repeat(digits), "9".repeat(digits.min(6)));
            for unit in ["ms", "s", "m", "h", "d"] {
                let time = Time::parse(&format!("{whole}.{fraction}{unit}"));
                assert!(time.is_err() || digits < 13, "{digits} digits of {unit}");
            }
        }
    }

    #[test]
    fn a_time_is_ten_years_at_most() {
        assert_eq!(Time::parse("3650d").map(|time| time.0), Ok(LONGEST));
        let longer = format!("{}ms", LONGEST.as_millis() + 1);
        for text in [longer.as_str(), "3651d", "18446744073709551615ms"] {
            let problem = Time::parse(text).unwrap_err();
            assert!(problem.starts_with("is longer than ten years"), "{text}");
        }
        assert!(TimeRange::parse("1s..3651d").is_err());
    }

    #[test]
    fn a_percentage_is_a_share_of_the_whole() {
        let share = |text| Percent::parse(text).map(Percent::share);
        assert_eq!(share("20%"), Ok(0.2));
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!((share("0%"), share("100%")), (Ok(0.0), Ok(1.0)));
        for (text, problem) in [
            ("20", "has no unit"),
            ("0.2", "has no unit"),
            ("-1%", "is not a percentage"),
            ("2 %", "is not a percentage such as `20%`; the unit is %"),
            ("100.0001%", "is more than the whole"),
            ("99999999999%", "is more than the whole"),
            ("0.00001%", "is finer"),
        ] {
            let found = Percent::parse(text).unwrap_err();
            assert!(found.starts_with(problem), "{text}: {found}");
        }
    }

    #[test]
    fn shows_what_one_would_write() {
        assert_eq!(show_time(Duration::from_secs(90)), "90s");
        assert_eq!(show_time(Duration::from_secs(600)), "10m");
        assert_eq!(show_time(Duration::ZERO), "0ms");
        assert_eq!(show_size(32 << 20), "32MiB");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,20}") {
            let _ = Time::parse(&text);
            let _ = Size::parse(&text);
            let _ = TimeRange::parse(&text);
            let _ = Percent::parse(&text);
        }

        #[test]
        fn what_is_shown_is_read(milliseconds in 0u64..10_000_000_000) {
            let time = Duration::from_millis(milliseconds);
            prop_assert_eq!(Time::parse(&show_time(time)), Ok(Time(time)));
        }
    }
}
