//! A calendar day, for prices.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// In days after 1970-01-01: no clock is believed beyond it.
const END_OF_9999: u64 = 2_932_896;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i64,
    month: u8,
    day: u8,
}

impl Date {
    /// `2026-07-02`.
    pub fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-');
        let year = digits(parts.next()?, 4)?;
        let month = u8::try_from(digits(parts.next()?, 2)?).ok()?;
        let day = u8::try_from(digits(parts.next()?, 2)?).ok()?;
        let valid = parts.next().is_none()
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day);
        valid.then_some(Date { year, month, day })
    }

    /// The day of this moment, UTC.
    pub fn of(moment: SystemTime) -> Date {
        Date::after_epoch(day_of(moment))
    }

    /// Lies more than a year before `today`.
    pub fn is_older_than_a_year(self, today: Date) -> bool {
        today
            > Date {
                year: self.year + 1,
                ..self
            }
    }

    fn after_epoch(mut days: u64) -> Date {
        let mut year = 1970;
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        let mut month = 1;
        while days >= u64::from(days_in(year, month)) {
            days -= u64::from(days_in(year, month));
            month += 1;
        }
        Date {
            year,
            month,
            day: u8::try_from(days + 1).unwrap_or(1),
        }
    }
}

/// The number of a moment's day after 1970-01-01, UTC.
pub fn day_of(moment: SystemTime) -> u64 {
    let seconds = moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    (seconds / 86_400).min(END_OF_9999)
}

/// The first days of this day's month and of the month after it, as numbers likewise.
pub fn month_around(day: u64) -> (u64, u64) {
    let date = Date::after_epoch(day);
    let first = day.saturating_sub(u64::from(date.day) - 1);
    (first, first + u64::from(days_in(date.year, date.month)))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let all_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in(year: i64, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn reads_and_writes_days() {
        assert_eq!(Date::parse("2026-07-02").unwrap().to_string(), "2026-07-02");
        assert!(Date::parse("2024-02-29").is_some());
        for wrong in [
            "2026-7-2",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "20260702",
            "",
        ] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn knows_the_day_of_a_moment() {
        let day = |seconds| Date::of(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_782_950_399), "2026-07-01");
        assert_eq!(day(1_782_950_400), "2026-07-02");
    }

    #[test]
    fn a_year_is_a_year() {
        let priced = Date::parse("2026-07-02").unwrap();
        assert!(!priced.is_older_than_a_year(Date::parse("2027-07-02").unwrap()));
        assert!(priced.is_older_than_a_year(Date::parse("2027-07-03").unwrap()));
    }
}
