//! Windows of the calendar, in UTC: no day of theirs is longer or shorter than another.

use crate::config::date::{day_of, month_around};
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// A week begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Week,
    Month,
    /// Without an end.
    Total,
}

/// From the start on, up to the end, which does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: SystemTime,
    /// None: never.
    pub end: Option<SystemTime>,
}

impl Period {
    pub fn name(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Total => "total",
        }
    }

    /// The longest that such a window may be. None: there is no bound.
    pub fn longest(self) -> Option<Duration> {
        let days = match self {
            Period::Day => 1,
            Period::Week => 7,
            Period::Month => 31,
            Period::Total => return None,
        };
        Some(Duration::from_secs(days * DAY))
    }

    /// The window that this moment lies in.
    pub fn around(self, moment: SystemTime) -> Span {
        let today = day_of(moment);
        let (first, next) = match self {
            Period::Day => (today, today + 1),
            Period::Week => {
                // The epoch began on a Thursday.
                let past = (today + 3) % 7;
                (today.saturating_sub(past), today + 7 - past)
            }
            Period::Month => month_around(today),
            Period::Total => {
                return Span {
                    start: UNIX_EPOCH,
                    end: None,
                };
            }
        };
        let midnight = |day: u64| UNIX_EPOCH + Duration::from_secs(day * DAY);
        Span {
            start: midnight(first),
            end: Some(midnight(next)),
        }
    }
}

impl Span {
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.end.is_some_and(|end| now >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::date::Date;
    use proptest::prelude::*;

    fn at(day: &str, seconds: u64) -> SystemTime {
        let day = Date::parse(day).unwrap();
        let found = (0..40_000).find(|number| Date::of(UNIX_EPOCH + days(*number)) == day);
        UNIX_EPOCH + days(found.unwrap()) + Duration::from_secs(seconds)
    }

    fn days(number: u64) -> Duration {
        Duration::from_secs(number * DAY)
    }

    /// Start and end, as days.
    fn around(period: Period, moment: SystemTime) -> [String; 2] {
        let span = period.around(moment);
        [span.start, span.end.unwrap()].map(|edge| {
            let since = edge.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(since.as_secs() % DAY, 0);
            Date::of(edge).to_string()
        })
    }

    #[test]
    fn windows_begin_and_end_with_the_calendar() {
        let last = DAY - 1;
        for (period, day, seconds, expected) in [
            (Period::Day, "2026-11-21", 0, ["2026-11-21", "2026-11-22"]),
            (
                Period::Day,
                "2026-12-31",
                last,
                ["2026-12-31", "2027-01-01"],
            ),
            // A day on which clocks elsewhere are set.
            (
                Period::Day,
                "2026-03-29",
                7200,
                ["2026-03-29", "2026-03-30"],
            ),
            // Monday, Sunday, and over the end of a year.
            (Period::Week, "2026-11-16", 0, ["2026-11-16", "2026-11-23"]),
            (
                Period::Week,
                "2026-11-22",
                last,
                ["2026-11-16", "2026-11-23"],
            ),
            (Period::Week, "2027-01-01", 5, ["2026-12-28", "2027-01-04"]),
            (Period::Week, "2024-02-29", 5, ["2024-02-26", "2024-03-04"]),
            (Period::Month, "2026-11-01", 0, ["2026-11-01", "2026-12-01"]),
            (
                Period::Month,
                "2026-12-31",
                last,
                ["2026-12-01", "2027-01-01"],
            ),
            (
                Period::Month,
                "2026-02-28",
                last,
                ["2026-02-01", "2026-03-01"],
            ),
            (
                Period::Month,
                "2024-02-29",
                last,
                ["2024-02-01", "2024-03-01"],
            ),
            (Period::Month, "2024-03-01", 0, ["2024-03-01", "2024-04-01"]),
            // No leap year.
            (Period::Month, "2038-02-10", 0, ["2038-02-01", "2038-03-01"]),
        ] {
            assert_eq!(
                around(period, at(day, seconds)),
                expected,
                "{period:?} {day}"
            );
        }
    }

    #[test]
    fn a_total_has_no_end_and_a_clock_before_the_epoch_is_at_it() {
        let total = Period::Total.around(at("2026-11-21", 0));
        assert_eq!((total.start, total.end), (UNIX_EPOCH, None));
        assert!(!total.has_ended(UNIX_EPOCH + days(1_000_000)));
        let early = UNIX_EPOCH - days(3);
        assert_eq!(around(Period::Month, early), ["1970-01-01", "1970-02-01"]);
        assert_eq!(around(Period::Week, early), ["1970-01-01", "1970-01-05"]);
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_its_window_and_the_next_follows_at_once(
            seconds in 0..300 * 365 * DAY,
        ) {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            for period in [Period::Day, Period::Week, Period::Month] {
                let span = period.around(moment);
                let end = span.end.unwrap();
                prop_assert!(span.start <= moment && moment < end);
                prop_assert!(!span.has_ended(moment) && span.has_ended(end));
                prop_assert_eq!(period.around(span.start), span);
                prop_assert_eq!(period.around(end).start, end);
                let length = end.duration_since(span.start).unwrap();
                prop_assert!(length <= period.longest().unwrap());
            }
        }
    }
}
