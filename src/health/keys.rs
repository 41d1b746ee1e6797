//! Which of a provider's keys to use: in turn, around those that are resting or refused.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often one request tries a refused key again: accounts are topped up, keys come back.
    pub reprobe: Duration,
    /// No rest is longer, whatever the provider says.
    pub longest_rest: Duration,
}

/// A key whose rest ended longer ago than this is as good as one that never needed any: providers
/// count by the minute.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The keys of one provider, by their place in its list.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    keys: Box<[Key]>,
    turn: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Key {
    rests_until: Option<Instant>,
    /// Set while the key counts as refused: when it may be tried again.
    retry_at: Option<Instant>,
}

/// What one key is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Ready,
    /// At its rate limit for as long as this.
    Limited(Duration),
    /// Refused: tried again after this, by one request.
    Bad(Duration),
}

impl Pool {
    pub fn new(keys: usize, settings: Settings) -> Pool {
        Pool {
            settings,
            inner: Mutex::new(Inner {
                keys: vec![Key::default(); keys].into(),
                turn: 0,
            }),
        }
    }

    /// The key for the next request: those least recently limited first, and among equals each
    /// in turn. A refused key takes its turn too, once each `reprobe`: it would never be found
    /// well again otherwise.
    pub fn pick(&self, now: Instant) -> Option<usize> {
        let mut inner = self.lock();
        let picked = inner.choose(now)?;
        inner.turn = picked + 1;
        if let Some(retry_at) = inner
            .keys
            .get_mut(picked)
            .and_then(|key| key.retry_at.as_mut())
        {
            *retry_at = later(now, self.settings.reprobe);
        }
        Some(picked)
    }

    /// The provider answered 429 to this key. Of several rests the longest holds.
    pub fn limited(&self, key: usize, now: Instant, rest: Duration) {
        let until = later(now, rest.min(self.settings.longest_rest));
        if let Some(key) = self.lock().keys.get_mut(key) {
            key.rests_until = key.rests_until.max(Some(until));
        }
    }

    /// The provider refused this key, or its account has nothing left.
    pub fn bad(&self, key: usize, now: Instant) {
        let retry_at = later(now, self.settings.reprobe);
        if let Some(key) = self.lock().keys.get_mut(key) {
            key.retry_at = Some(retry_at);
        }
    }

    /// The provider took this key.
    pub fn good(&self, key: usize) {
        if let Some(key) = self.lock().keys.get_mut(key) {
            key.retry_at = None;
        }
    }

    pub fn condition(&self, key: usize, now: Instant) -> Option<Condition> {
        self.lock().keys.get(key).map(|key| key.condition(now))
    }

    /// What the pool is fit for, without taking a turn: ready where any key could be picked, bad
    /// where all are, and else when the first will be back.
    pub fn outlook(&self, now: Instant) -> Condition {
        let inner = self.lock();
        let mut soonest = Condition::Bad(Duration::MAX);
        for key in &inner.keys {
            let condition = key.condition(now);
            if condition.eagerness() < soonest.eagerness() {
                soonest = condition;
            }
        }
        soonest
    }

    /// How long until some key can be picked, whatever keeps them: zero where one can be now.
    #[cfg(test)]
    pub fn soonest(&self, now: Instant) -> Option<Duration> {
        let inner = self.lock();
        inner.keys.iter().map(|key| key.wait(now)).min()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(now: Instant, wait: Duration) -> Instant {
    // What no clock can express is as good as never.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    now.checked_add(wait.min(CENTURY)).unwrap_or(now)
}

impl Inner {
    fn choose(&self, now: Instant) -> Option<usize> {
        let count = self.keys.len();
        let first = self.turn.checked_rem(count)?;
        (first..count)
            .chain(0..first)
            .filter_map(|index| {
                let key = self.keys.get(index)?;
                key.wait(now)
                    .is_zero()
                    .then(|| (key.recently_limited(now), index))
            })
            .min_by_key(|&(limited, _)| limited)
            .map(|(_, index)| index)
    }
}

impl Key {
    fn resting(&self, now: Instant) -> Duration {
        self.rests_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn refused(&self, now: Instant) -> Duration {
        self.retry_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    fn wait(&self, now: Instant) -> Duration {
        self.resting(now).max(self.refused(now))
    }

    /// When it was last limited, where that was not long ago.
    fn recently_limited(&self, now: Instant) -> Option<Instant> {
        self.rests_until
            .filter(|&until| now.saturating_duration_since(until) < REMEMBERED)
    }

    fn condition(&self, now: Instant) -> Condition {
        let wait = self.wait(now);
        if wait.is_zero() {
            Condition::Ready
        } else if self.retry_at.is_some() {
            Condition::Bad(wait)
        } else {
            Condition::Limited(wait)
        }
    }
}

impl Condition {
    fn eagerness(self) -> (u8, Duration) {
        match self {
            Condition::Ready => (0, Duration::ZERO),
            Condition::Limited(wait) => (1, wait),
            Condition::Bad(wait) => (2, wait),
        }
    }
}
