//! Whether a target may be asked: it opens on a share of failures, never on one, lets a probe
//! through every interval, and closes by itself when one succeeds.

use recent::Recent;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

mod recent;
#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The share of failures at which it opens, above 0 and at most 1.
    pub failures: f64,
    /// Outcomes older than this are forgotten,
    pub window: Duration,
    /// and of the younger ones all but the last so many.
    pub last: usize,
    /// Fewer outcomes than this prove nothing.
    pub minimum: u32,
    /// Between the beginnings of two probes.
    pub interval: Duration,
}

/// What an attempt would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Closed,
    /// Open, but the next attempt may find out whether it has to stay so.
    Probe,
    /// `left` until the next probe is due; zero while one is under way.
    Open {
        left: Duration,
    },
}

/// For the plan, for metrics, and for choosing the least bad of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub gate: Gate,
    /// When it last opened or closed, where it ever did.
    pub since: Option<Instant>,
    /// The share of failures: the recent one while closed, the one it opened on while open.
    pub failures: f64,
}

/// One target's breaker. Cancelled requests and callers' errors are told by nobody: they have no
/// effect at all.
#[derive(Debug)]
pub struct Breaker {
    /// Even while closed, odd while open, one more with every change; changed only under the
    /// lock. An attempt keeps the value it began with, and its outcome counts only for that.
    generation: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    recent: Recent,
    since: Option<Instant>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    failures: f64,
    /// When it opened, or the last probe that failed began: the next is due an interval later.
    last_probe: Instant,
    /// A probe is under way.
    probing: bool,
}

impl Open {
    fn gate(&self, now: Instant, interval: Duration) -> Gate {
        let left = interval.saturating_sub(now.saturating_duration_since(self.last_probe));
        if left.is_zero() && !self.probing {
            Gate::Probe
        } else {
            Gate::Open { left }
        }
    }
}

impl Breaker {
    pub fn new(settings: Settings) -> Arc<Breaker> {
        Arc::new(Breaker {
            generation: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                settings,
                recent: Recent::default(),
                since: None,
                open: None,
            }),
        })
    }

    /// After a reload: what was learnt stays.
    pub fn configure(&self, settings: Settings) {
        self.lock().settings = settings;
    }

    /// What `begin` would say now, without taking the probe.
    pub fn allows(&self, now: Instant) -> Gate {
        if is_closed(self.generation.load(Ordering::Relaxed)) {
            return Gate::Closed;
        }
        let inner = self.lock();
        inner.gate(now)
    }

    pub fn state(&self, now: Instant) -> State {
        let mut inner = self.lock();
        let Inner {
            settings, recent, ..
        } = &mut *inner;
        recent.forget(now, settings);
        State {
            gate: inner.gate(now),
            since: inner.since,
            failures: match &inner.open {
                Some(open) => open.failures,
                None => inner.recent.share(),
            },
        }
    }

    /// Begins an attempt, where one is allowed. When a probe is due, the first to ask becomes it.
    pub fn begin(self: &Arc<Breaker>, now: Instant) -> Option<Attempt> {
        let generation = self.generation.load(Ordering::Relaxed);
        if is_closed(generation) {
            return Some(self.attempt(generation, Role::Ordinary));
        }
        let mut inner = self.lock();
        let gate = inner.gate(now);
        let role = match (gate, &mut inner.open) {
            (Gate::Probe, Some(open)) => {
                open.probing = true;
                Role::Probe { began: now }
            }
            (Gate::Open { .. }, _) => return None,
            _ => Role::Ordinary,
        };
        Some(self.attempt(self.generation.load(Ordering::Relaxed), role))
    }

    /// Begins an attempt whatever the gate says: this target is the least bad of those left. Its
    /// success closes the breaker as a probe's does; its failure says nothing new.
    pub fn begin_regardless(self: &Arc<Breaker>, now: Instant) -> Attempt {
        match self.begin(now) {
            Some(attempt) => attempt,
            None => self.attempt(self.generation.load(Ordering::Relaxed), Role::Ordinary),
        }
    }

    fn attempt(self: &Arc<Breaker>, generation: u64, role: Role) -> Attempt {
        Attempt {
            breaker: Arc::clone(self),
            generation,
            role,
        }
    }

    /// True when this opens or closes it.
    fn outcome(&self, now: Instant, attempt: &Attempt, ok: bool) -> bool {
        let mut inner = self.lock();
        if self.generation.load(Ordering::Relaxed) != attempt.generation {
            return false;
        }
        let turns = match &mut inner.open {
            None => inner.tell(now, ok),
            Some(_) if ok => {
                inner.close(now);
                true
            }
            Some(open) => {
                if let Role::Probe { began } = attempt.role {
                    open.last_probe = began;
                    open.probing = false;
                }
                false
            }
        };
        if turns {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        turns
    }

    /// A probe came back without an answer to its question: the next is due in its time.
    fn undecided(&self, attempt: &Attempt) {
        let mut inner = self.lock();
        if self.generation.load(Ordering::Relaxed) == attempt.generation
            && let (Some(open), Role::Probe { began }) = (&mut inner.open, attempt.role)
        {
            open.last_probe = began;
            open.probing = false;
        }
    }

    fn give_back(&self, attempt: &Attempt) {
        let mut inner = self.lock();
        if self.generation.load(Ordering::Relaxed) == attempt.generation
            && let Some(open) = &mut inner.open
        {
            open.probing = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_closed(generation: u64) -> bool {
    generation.is_multiple_of(2)
}

impl Inner {
    fn gate(&self, now: Instant) -> Gate {
        match &self.open {
            Some(open) => open.gate(now, self.settings.interval),
            None => Gate::Closed,
        }
    }

    /// Takes an outcome in while closed. True when this opens it.
    fn tell(&mut self, now: Instant, ok: bool) -> bool {
        self.recent.push(now, ok, &self.settings);
        if ok || !self.recent.too_bad(&self.settings) {
            return false;
        }
        self.open = Some(Open {
            failures: self.recent.share(),
            last_probe: now,
            probing: false,
        });
        self.since = Some(now);
        true
    }

    fn close(&mut self, now: Instant) {
        self.open = None;
        self.recent = Recent::default();
        self.since = Some(now);
    }
}

/// An attempt at a target. Dropped untold (the caller left, or the error was the caller's own) it
/// counts as neither, and a probe's turn is given back.
#[derive(Debug)]
pub struct Attempt {
    breaker: Arc<Breaker>,
    generation: u64,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ordinary,
    Probe { began: Instant },
}

impl Attempt {
    pub fn is_probe(&self) -> bool {
        self.role != Role::Ordinary
    }

    /// True when this closed the breaker: the target is back.
    pub fn succeeded(self, now: Instant) -> bool {
        self.told(now, true)
    }

    /// True when this opened the breaker.
    pub fn failed(self, now: Instant) -> bool {
        self.told(now, false)
    }

    /// It was answered, but not so that it says whether the target is well.
    pub fn undecided(mut self) {
        self.breaker.undecided(&self);
        self.role = Role::Ordinary;
    }

    fn told(mut self, now: Instant, ok: bool) -> bool {
        let turned = self.breaker.outcome(now, &self, ok);
        // Told is not left: there is no turn to give back any more.
        self.role = Role::Ordinary;
        turned
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_probe() {
            self.breaker.give_back(self);
        }
    }
}
