//! The faster of two drawn at random: by the time to the first token, by what is in flight, and
//! by recent failures.
//!
//! Always choosing the best would send everyone to the same target at the same moment; the better
//! of two spreads, and hardly ever meets the worst.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// How fast a measurement loses weight against newer ones. However many come at once, each of
/// them counts for at least a tenth.
const MEMORY: Duration = Duration::from_secs(30);
const LEAST_SHARE: f64 = 0.1;

/// A target that is not asked is thought better of, by half in this time: else one slow answer
/// would keep it out for good.
const FORGIVES: Duration = Duration::from_secs(120);

/// What a target that nobody has asked yet is taken for: faster than any, so that it is measured;
const UNTRIED: f64 = 0.001;
/// and one that is being tried, or has only failed: no better than others.
const UNMEASURED: f64 = 0.3;

/// A target that always fails counts as one plus this times slower.
const PENALTY: f64 = 3.0;

/// The share of the failures' average that the latest outcome makes.
const OUTCOME_SHARE: f64 = 0.2;

/// A target that is back begins as if it were so many times slower, and becomes itself in this
/// time.
const SLOW_START: Duration = Duration::from_secs(30);
const SLOW_START_FACTOR: f64 = 10.0;

/// What is known of one target's speed.
#[derive(Debug, Default)]
pub struct Score {
    in_flight: AtomicU32,
    measured: Mutex<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    first_token: Option<Average>,
    failures: Option<Average>,
    back_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Average {
    value: f64,
    at: Instant,
}

impl Score {
    pub fn new() -> Arc<Score> {
        Arc::new(Score::default())
    }

    /// A request begins: in flight until the guard is dropped.
    pub fn began(self: &Arc<Score>, now: Instant) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            score: Arc::clone(self),
            began: now,
        }
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The first token came after so long: also a success.
    pub fn first_token(&self, now: Instant, took: Duration) {
        let mut measured = self.lock();
        let before = measured.first_token;
        let kept = before.map_or(0.0, |average| {
            fading(average.at, now, MEMORY).min(1.0 - LEAST_SHARE)
        });
        let value = before.map_or(0.0, |average| average.value);
        measured.first_token = Some(Average {
            value: value * kept + took.as_secs_f64() * (1.0 - kept),
            at: now,
        });
        measured.outcome(now, 0.0);
    }

    pub fn failed(&self, now: Instant) {
        self.lock().outcome(now, 1.0);
    }

    /// The recent share of failures, the latest the heaviest.
    pub fn failures(&self, now: Instant) -> f64 {
        self.lock().failures(now)
    }

    /// The average time to the first token, where it was ever measured.
    pub fn average(&self) -> Option<Duration> {
        let seconds = self.lock().first_token?.value;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// It was out of service and is back: what it did before is past, and it is eased in.
    pub fn returned(&self, now: Instant) {
        let mut measured = self.lock();
        measured.failures = None;
        measured.back_since = Some(now);
    }

    /// The smaller, the better: roughly the seconds to wait for a first token.
    pub fn score(&self, now: Instant) -> f64 {
        let queue = 1.0 + f64::from(self.in_flight());
        let measured = self.lock();
        let first_token = match &measured.first_token {
            Some(average) => {
                let age = now.saturating_duration_since(average.at);
                average.value * (-age.as_secs_f64() / FORGIVES.as_secs_f64()).exp2()
            }
            None if measured.failures.is_none() && self.in_flight() == 0 => UNTRIED,
            None => UNMEASURED,
        };
        let failures = measured.failures(now);
        first_token * queue * (1.0 + PENALTY * failures) * measured.slow_start(now)
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From 1 towards 0, by a factor of e each `constant`.
fn fading(from: Instant, now: Instant, constant: Duration) -> f64 {
    let age = now.saturating_duration_since(from);
    (-age.as_secs_f64() / constant.as_secs_f64()).exp()
}

impl Measured {
    fn outcome(&mut self, now: Instant, failed: f64) {
        let before = self.failures(now);
        self.failures = Some(Average {
            value: before + (failed - before) * OUTCOME_SHARE,
            at: now,
        });
    }

    fn failures(&self, now: Instant) -> f64 {
        self.failures.map_or(0.0, |average| {
            average.value * fading(average.at, now, MEMORY)
        })
    }

    fn slow_start(&self, now: Instant) -> f64 {
        let Some(since) = self.back_since else {
            return 1.0;
        };
        let age = now.saturating_duration_since(since).as_secs_f64();
        let to_go = (1.0 - age / SLOW_START.as_secs_f64()).max(0.0);
        1.0 + (SLOW_START_FACTOR - 1.0) * to_go
    }
}

/// A request under way at a target.
#[derive(Debug)]
pub struct InFlight {
    score: Arc<Score>,
    began: Instant,
}

impl InFlight {
    pub fn first_token(&self, now: Instant) {
        let took = now.saturating_duration_since(self.began);
        self.score.first_token(now, took);
    }

    pub fn failed(&self, now: Instant) {
        self.score.failed(now);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.score.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of the better of two different ones; `first` and `second` are drawn at random by the
/// caller, from all of `u64`.
pub fn pick<S: Borrow<Score>>(
    now: Instant,
    scores: &[S],
    first: u64,
    second: u64,
) -> Option<usize> {
    let one = below(scores.len(), first);
    let other = below(scores.len().saturating_sub(1), second);
    let other = if other >= one { other + 1 } else { other };
    let score = |index: usize| scores.get(index).map(|it| it.borrow().score(now));
    match (score(one), score(other)) {
        (Some(here), Some(there)) if there < here => Some(other),
        (Some(_), _) => Some(one),
        (None, _) => None,
    }
}

/// A number below `count`, evenly from a number of all of `u64`.
fn below(count: usize, drawn: u64) -> usize {
    let scaled = u128::from(drawn) * count as u128;
    (scaled >> 64) as usize
}
