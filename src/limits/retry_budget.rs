//! How many retries an outage may cost: a share of recent requests, over the whole gateway.

use super::window::Window;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Retries to each request, from 0 to 1.
    pub share: f64,
    /// So many a second are granted however quiet it is.
    pub floor: u32,
}

/// Granted however few the requests are.
const RETRIES_A_SECOND: u32 = 10;

impl Settings {
    pub fn of_share(share: f64) -> Settings {
        Settings {
            share,
            floor: RETRIES_A_SECOND,
        }
    }
}

/// Recent is the last ten seconds.
const SLOT: Duration = Duration::from_millis(100);
const SLOTS: usize = 100;
/// With the slot begun they are at most a second: what errs here errs in favour of the floor.
const FULL_SLOTS_OF_A_SECOND: u64 = 9;

#[derive(Debug)]
pub struct RetryBudget {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    requests: Window,
    retries: Window,
}

impl RetryBudget {
    pub fn new(now: Instant, settings: Settings) -> RetryBudget {
        RetryBudget {
            inner: Mutex::new(Inner {
                settings,
                requests: Window::new(now, SLOT, SLOTS),
                retries: Window::new(now, SLOT, SLOTS),
            }),
        }
    }

    /// After a reload: what was counted stays.
    pub fn configure(&self, settings: Settings) {
        self.lock().settings = settings;
    }

    /// Counts a caller's request, once, whatever becomes of it.
    pub fn request(&self, now: Instant) {
        self.lock().requests.add(now, 1);
    }

    /// Takes a retry out of the budget, where one is left. One that could not be sent in the end
    /// stays taken.
    pub fn try_retry(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        let granted = inner.left(now) > 0;
        if granted {
            inner.retries.add(now, 1);
        }
        granted
    }

    /// How many retries would be granted now, all at once.
    pub fn left(&self, now: Instant) -> u64 {
        self.lock().left(now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn left(&mut self, now: Instant) -> u64 {
        // Rounded down after a hair's breadth, so that a fifth of five is one.
        let earned = self.settings.share * self.requests.total(now) as f64 + 1e-9;
        let by_share = (earned as u64).saturating_sub(self.retries.total(now));
        let this_second = self.retries.newest(now, FULL_SLOTS_OF_A_SECOND);
        let by_floor = u64::from(self.settings.floor).saturating_sub(this_second);
        by_share.max(by_floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const SETTINGS: Settings = Settings {
        share: 0.2,
        floor: 10,
    };

    /// Everything is down, and each request would like three retries. Returns when each was granted.
    fn outage(settings: Settings, a_second: u32, seconds: u32) -> Vec<Duration> {
        let start = Instant::now();
        let budget = RetryBudget::new(start, settings);
        let mut granted = Vec::new();
        for request in 0..a_second * seconds {
            let at = Duration::from_secs(1) * request / a_second;
            budget.request(start + at);
            for _ in 0..3 {
                if budget.try_retry(start + at) {
                    granted.push(at);
                }
            }
        }
        granted
    }

    fn most_in(granted: &[Duration], span: Duration) -> usize {
        granted
            .iter()
            .enumerate()
            .map(|(index, &from)| {
                let ended = |at: &&Duration| **at < from + span;
                granted.iter().skip(index).take_while(ended).count()
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn an_outage_of_everything_is_no_storm() {
        let granted = outage(SETTINGS, 200, 60);
        let share = 200 * 60 / 5;
        assert!(granted.len() <= share + 10, "{} retries", granted.len());
        assert!(
            granted.len() >= share * 95 / 100,
            "{} retries",
            granted.len()
        );
        let densest = most_in(&granted, Duration::from_secs(10));
        assert!(densest <= 400 + 10, "{densest} in ten seconds");
    }

    #[test]
    fn a_quiet_gateway_may_still_retry_and_never_more_than_the_floor_a_second() {
        let granted = outage(SETTINGS, 5, 60);
        assert_eq!(granted.len(), 5 * 60 * 3 * 10 / 15, "all the floor gives");
        let densest = most_in(&granted, Duration::from_secs(1));
        assert!(densest <= 10, "{densest} in a second");
        assert_eq!(
            outage(SETTINGS, 3, 60).len(),
            3 * 60 * 3,
            "all that were wished for"
        );
    }

    #[test]
    fn a_share_of_zero_and_no_floor_means_none() {
        let none = Settings {
            share: 0.0,
            floor: 0,
        };
        assert!(outage(none, 100, 5).is_empty());
    }

    #[test]
    fn an_odd_share_is_not_cut_short_and_a_reload_forgets_nothing() {
        let start = Instant::now();
        let budget = RetryBudget::new(start, SETTINGS);
        for _ in 0..100 {
            budget.request(start);
        }
        budget.configure(Settings {
            share: 0.29,
            floor: 0,
        });
        assert_eq!(budget.left(start), 29);
    }

    #[test]
    fn what_was_earned_is_forgotten_after_ten_seconds() {
        let start = Instant::now();
        let budget = RetryBudget::new(start, SETTINGS);
        for _ in 0..1000 {
            budget.request(start);
        }
        assert_eq!(budget.left(start), 200);
        assert_eq!(budget.left(start + Duration::from_secs(10)), 200);
        assert_eq!(budget.left(start + Duration::from_millis(10_100)), 10);
    }

    #[test]
    fn threads_together_get_what_one_would() {
        let start = Instant::now();
        let budget = RetryBudget::new(start, SETTINGS);
        let granted = AtomicUsize::new(0);
        for _ in 0..1000 {
            budget.request(start);
        }
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let one = usize::from(budget.try_retry(start));
                        granted.fetch_add(one, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(granted.load(Ordering::Relaxed), 200);
    }
}
