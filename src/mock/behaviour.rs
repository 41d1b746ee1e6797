//! How a mock provider behaves when the model name does not say otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::recurrence::{Recurrence, Turns};
use super::stats::Stats;

/// A provider's habits. The default is healthy: sixteen chunks, at once.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub(super) name: String,
    pub(super) plan: Plan,
    pub(super) seed: u64,
    pub(super) by_model: bool,
    pub(super) stats: Arc<Stats>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour::named("mock")
    }
}

impl Behaviour {
    /// A healthy provider; the name stands in `system_fingerprint` and in the stats.
    pub fn named(name: impl Into<String>) -> Self {
        Behaviour {
            name: name.into(),
            plan: Plan::default(),
            seed: 0,
            by_model: true,
            stats: Arc::new(Stats::default()),
        }
    }

    /// A provider that answers well and at once, word by word.
    pub fn healthy(name: impl Into<String>) -> Self {
        Behaviour::named(name)
            .pace(Duration::from_millis(30))
            .chunks(40)
    }

    /// A provider whose every second request, the first included, ends in a 503.
    pub fn flaky(name: impl Into<String>) -> Self {
        let mut behaviour = Behaviour::healthy(name);
        behaviour.plan.overload(Recurrence::Every(2));
        behaviour
    }

    /// A provider that thinks for 800 ms before it says anything.
    pub fn slow(name: impl Into<String>) -> Self {
        let mut behaviour = Behaviour::healthy(name);
        behaviour.plan.first_token = Duration::from_millis(800);
        behaviour
    }

    /// The pause between two chunks of a stream.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.plan.pace = pace;
        self
    }

    /// How many content chunks an answer has.
    pub fn chunks(mut self, chunks: u32) -> Self {
        self.plan.chunks = chunks;
        self
    }

    /// The time before an answer begins.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.plan.delay = latency;
        self
    }

    /// What goes wrong where the model name says nothing: the same words, `503+every=2`.
    pub fn fault(mut self, words: &str) -> Result<Self, String> {
        self.plan = self.plan.with_words(words)?;
        Ok(self)
    }

    /// Where ids begin, so that two runs give the same ones.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether a model name chooses its fault (it does, unless switched off).
    pub fn by_model(mut self, by_model: bool) -> Self {
        self.by_model = by_model;
        self
    }

    /// Keeps the last requests whole, bodies up to 1 MiB, for `Stats::seen`.
    pub fn record(self, requests: usize) -> Self {
        self.stats.keep(requests);
        self
    }

    /// What the provider sees, also while it runs.
    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }
}

/// What all connections of one provider share.
pub(super) struct Shared {
    pub behaviour: Behaviour,
    serial: AtomicU64,
    turns: Turns,
}

impl Shared {
    pub fn new(behaviour: Behaviour) -> Self {
        Shared {
            behaviour,
            serial: AtomicU64::new(0),
            turns: Turns::default(),
        }
    }

    pub fn stats(&self) -> &Stats {
        &self.behaviour.stats
    }

    /// The next answer's id: unlike its neighbours, yet the same in every run with this seed.
    pub fn next_id(&self) -> u64 {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        (self.behaviour.seed ^ serial)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// What to do for this model, its fault left out when it is not its turn.
    pub fn plan(&self, model: &str) -> Result<Plan, String> {
        let base = &self.behaviour.plan;
        let plan = if self.behaviour.by_model {
            base.for_model(model)?
        } else {
            base.clone()
        };
        let strikes = self.turns.strikes(plan.recurrence, model, Instant::now());
        Ok(if strikes { plan } else { plan.without_fault() })
    }
}
