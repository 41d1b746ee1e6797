//! How much one account, or one caller, may ask: at once, and in a minute.
//!
//! The minute slides in seconds, and the second begun counts on top of the full sixty. So no
//! stretch of sixty seconds, wherever a provider's own minute begins, holds more than the limit,
//! and room comes back second by second as it was taken, not all at once on the minute.

use super::window::{Stamp, Window};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Where a limit is not set, it does not limit. None is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub concurrency: Option<u32>,
    pub rpm: Option<u64>,
    pub tpm: Option<u64>,
    /// Once `concurrency` was reached, nothing is taken until less than this share of it is in
    /// use. At 1 every place that comes free is taken again at once, as befits a caller's limit;
    /// a target's wants some distance (0.9), or traffic would flap between it and the next tier.
    pub returns_below: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Concurrency,
    Requests,
    Tokens,
}

/// Why there is no room, and when it is worth asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    pub which: Which,
    pub retry_after: Duration,
}

/// For the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub limit: u64,
    pub remaining: u64,
    /// Until all of the limit is there again.
    pub reset: Duration,
}

/// When a place comes free nobody knows. Soon is the usual answer.
const SOON: Duration = Duration::from_secs(1);

/// A provider's word about its own limits is believed for this long at most.
const BELIEVED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct Rates {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    in_flight: u32,
    /// Someone was turned away for want of a place, and not enough have come free since.
    crowded: bool,
    requests: Meter,
    tokens: Meter,
}

#[derive(Debug)]
struct Meter {
    used: Window,
    told: Option<Told>,
}

/// What a provider said it would still take, less what was sent since.
#[derive(Clone, Copy, Debug)]
struct Told {
    remaining: u64,
    until: Instant,
}

impl Rates {
    pub fn new(now: Instant, settings: Settings) -> Arc<Rates> {
        Arc::new(Rates {
            inner: Mutex::new(Inner {
                settings,
                in_flight: 0,
                crowded: false,
                requests: Meter::new(now),
                tokens: Meter::new(now),
            }),
        })
    }

    /// After a reload: what is in use stays counted.
    pub fn configure(&self, settings: Settings) {
        self.lock().settings = settings;
    }

    /// Whether `try_take` would succeed, for the plan.
    pub fn room(&self, now: Instant, tokens: u64) -> Result<(), Full> {
        self.lock().room(now, tokens)
    }

    /// Takes a place, a request and the estimated tokens: all of them, or none. A request
    /// estimated above the whole limit waits until nothing else is counted, and then passes.
    pub fn try_take(self: &Arc<Rates>, now: Instant, tokens: u64) -> Result<Permit, Full> {
        let mut inner = self.lock();
        inner.room(now, tokens)?;
        inner.in_flight = inner.in_flight.saturating_add(1);
        let requests_at = inner.requests.take(now, 1);
        let tokens_at = inner.tokens.take(now, tokens);
        Ok(Permit {
            rates: Arc::clone(self),
            requests_at,
            tokens_at,
            tokens,
        })
    }

    /// The provider's own word, from the headers of an answer: it narrows these limits until its
    /// reset, and never widens them. The latest word holds; of places providers say nothing.
    pub fn told(&self, now: Instant, which: Which, remaining: u64, reset: Duration) {
        let mut inner = self.lock();
        let meter = match which {
            Which::Concurrency => return,
            Which::Requests => &mut inner.requests,
            Which::Tokens => &mut inner.tokens,
        };
        meter.told = now
            .checked_add(reset.min(BELIEVED))
            .map(|until| Told { remaining, until });
    }

    /// How much of a limit is left, where there is one.
    pub fn left(&self, now: Instant, which: Which) -> Option<Left> {
        let mut inner = self.lock();
        let settings = inner.settings;
        match which {
            Which::Concurrency => settings.concurrency.map(|limit| Left {
                limit: u64::from(limit),
                remaining: u64::from(limit.saturating_sub(inner.in_flight)),
                reset: Duration::ZERO,
            }),
            Which::Requests => settings.rpm.map(|limit| inner.requests.left(now, limit)),
            Which::Tokens => settings.tpm.map(|limit| inner.tokens.left(now, limit)),
        }
    }

    #[cfg(test)]
    pub fn in_flight(&self) -> u32 {
        self.lock().in_flight
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Where several limits are in the way, the one that is so for the longest is named: who
    /// comes back earlier comes in vain.
    fn room(&mut self, now: Instant, tokens: u64) -> Result<(), Full> {
        let full = |which| move |retry_after| Full { which, retry_after };
        let place = self.is_crowded().then_some(SOON);
        let request = self.requests.wait(now, 1, self.settings.rpm);
        let token = self.tokens.wait(now, tokens.max(1), self.settings.tpm);
        [
            place.map(full(Which::Concurrency)),
            request.map(full(Which::Requests)),
            token.map(full(Which::Tokens)),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|full| full.retry_after)
        .map_or(Ok(()), Err)
    }

    fn is_crowded(&mut self) -> bool {
        self.crowded = self.settings.concurrency.is_some_and(|limit| {
            let returns_below = f64::from(limit) * self.settings.returns_below;
            let enough_free = self.in_flight == 0 || f64::from(self.in_flight) < returns_below;
            self.in_flight >= limit || self.crowded && !enough_free
        });
        self.crowded
    }
}

impl Meter {
    fn new(now: Instant) -> Meter {
        Meter {
            used: Window::new(now, Duration::from_secs(1), 60),
            told: None,
        }
    }

    fn take(&mut self, now: Instant, amount: u64) -> Stamp {
        if let Some(told) = &mut self.told {
            told.remaining = told.remaining.saturating_sub(amount);
        }
        self.used.add(now, amount)
    }

    /// How long until there is room, where there is none now.
    fn wait(&mut self, now: Instant, amount: u64, limit: Option<u64>) -> Option<Duration> {
        let over = limit.map_or(0, |limit| {
            let used = self.used.total(now);
            used.saturating_add(amount.min(limit)).saturating_sub(limit)
        });
        let by_limit = (over > 0).then(|| self.used.frees(now, over));
        let by_word = self
            .told
            .filter(|told| told.remaining < amount)
            .map(|told| told.until.saturating_duration_since(now))
            .filter(|left| !left.is_zero());
        by_limit.max(by_word)
    }

    fn left(&mut self, now: Instant, limit: u64) -> Left {
        let used = self.used.total(now);
        Left {
            limit,
            remaining: limit.saturating_sub(used),
            reset: match used {
                0 => Duration::ZERO,
                used => self.used.frees(now, used),
            },
        }
    }
}

/// A place among those in flight; dropping it gives the place back. The request stays counted,
/// and so do its tokens, as estimated or as settled.
#[derive(Debug)]
pub struct Permit {
    rates: Arc<Rates>,
    requests_at: Stamp,
    tokens_at: Stamp,
    tokens: u64,
}

impl Permit {
    /// Puts the true count in place of the one before. What was taken in excess comes back where
    /// it was taken; what was wanting is taken now, also beyond the limit, for it was used.
    pub fn settle(&mut self, now: Instant, tokens: u64) {
        let mut inner = self.rates.lock();
        let used = &mut inner.tokens.used;
        if let Some(excess) = self.tokens.checked_sub(tokens) {
            used.take_back(now, self.tokens_at, excess);
        } else {
            used.add(now, tokens.saturating_sub(self.tokens));
        }
        self.tokens = tokens;
    }

    /// Nothing left the house: the request and its tokens are uncounted too.
    pub fn never_sent(mut self, now: Instant) {
        self.settle(now, 0);
        let mut inner = self.rates.lock();
        inner.requests.used.take_back(now, self.requests_at, 1);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.rates.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
    }
}
