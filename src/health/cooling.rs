//! A rest that a provider has asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a target, or a key, may be asked again after a `retry-after`.
#[derive(Debug)]
pub struct Cooling {
    epoch: Instant,
    /// Nanoseconds since `epoch`; zero where nothing was ever asked.
    until: AtomicU64,
}

impl Cooling {
    pub fn new(now: Instant) -> Cooling {
        Cooling {
            epoch: now,
            until: AtomicU64::new(0),
        }
    }

    /// Rests until then, but at most `cap` from now: some providers name a date in another year.
    /// Of several rests the longest holds.
    pub fn cool(&self, now: Instant, until: Instant, cap: Duration) {
        let rest = until.saturating_duration_since(now).min(cap);
        if !rest.is_zero() {
            let end = self.at(now).saturating_add(nanos(rest));
            self.until.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// How much of the rest is left, where one is kept.
    pub fn cooling(&self, now: Instant) -> Option<Duration> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return None;
        }
        let left = until.saturating_sub(self.at(now));
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn at(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Duration = Duration::from_secs(300);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_target_rests_as_long_as_it_asked_and_no_longer() {
        let start = Instant::now();
        let cooling = Cooling::new(start);
        assert_eq!(cooling.cooling(start), None);
        cooling.cool(start, start + seconds(2), CAP);
        assert_eq!(cooling.cooling(start), Some(seconds(2)));
        let nearly = start + Duration::from_millis(1_999);
        assert_eq!(cooling.cooling(nearly), Some(Duration::from_millis(1)));
        assert_eq!(cooling.cooling(start + seconds(2)), None);
    }

    #[test]
    fn a_later_shorter_word_does_not_end_a_longer_rest() {
        let start = Instant::now();
        let cooling = Cooling::new(start);
        cooling.cool(start, start + seconds(30), CAP);
        cooling.cool(start + seconds(1), start + seconds(2), CAP);
        assert_eq!(cooling.cooling(start + seconds(10)), Some(seconds(20)));
        cooling.cool(start + seconds(10), start + seconds(50), CAP);
        assert_eq!(cooling.cooling(start + seconds(10)), Some(seconds(40)));
    }

    #[test]
    fn a_rest_of_a_year_is_cut_to_the_cap() {
        let start = Instant::now();
        let cooling = Cooling::new(start);
        cooling.cool(start, start + seconds(365 * 86_400), CAP);
        assert_eq!(cooling.cooling(start), Some(CAP));
        cooling.cool(
            start,
            start + seconds(365 * 86_400),
            Duration::from_secs(u64::MAX),
        );
        assert_eq!(cooling.cooling(start), Some(seconds(365 * 86_400)));
    }

    #[test]
    fn a_rest_that_is_over_already_is_none() {
        let start = Instant::now();
        let cooling = Cooling::new(start);
        cooling.cool(start + seconds(5), start + seconds(5), CAP);
        cooling.cool(start + seconds(5), start, CAP);
        assert_eq!(cooling.cooling(start), None);
    }

    #[test]
    fn a_clock_read_before_the_state_was_made_does_no_harm() {
        let start = Instant::now() + seconds(10);
        let cooling = Cooling::new(start);
        let before = start - seconds(5);
        cooling.cool(before, before + seconds(2), CAP);
        assert_eq!(cooling.cooling(start), Some(seconds(2)));
    }
}
