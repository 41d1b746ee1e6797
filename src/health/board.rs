//! The live state of every target and provider of a configuration, kept by name: a new board takes
//! over what the old one knew.

use crate::config::snapshot::{self, Provider, Snapshot, Target};
use crate::health::breaker::{self, Breaker};
use crate::health::cooling::Cooling;
use crate::health::keys::{self, Pool};
use crate::health::speed::Score;
use crate::limits::rates::{self, Rates};
use crate::routing::sticky;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A refused key is tried again this often.
const REPROBE: Duration = Duration::from_secs(60);
/// Whatever a provider says, it is asked again after this.
pub const LONGEST_REST: Duration = Duration::from_secs(600);
/// A full target is used again once this share of it is free of use.
const RETURNS_BELOW: f64 = 0.9;

#[derive(Debug, Default)]
pub struct Board {
    targets: Vec<Arc<TargetState>>,
    providers: Vec<Arc<ProviderState>>,
}

#[derive(Debug)]
pub struct TargetState {
    pub id: Arc<str>,
    /// Its name as a number, for consistent hashing.
    pub name: u64,
    pub breaker: Option<Arc<Breaker>>,
    pub cooling: Cooling,
    pub rates: Arc<Rates>,
    pub score: Arc<Score>,
    /// Switched off by an operator.
    disabled: AtomicBool,
}

#[derive(Debug)]
pub struct ProviderState {
    pub name: Arc<str>,
    pub keys: Pool,
    count: usize,
    /// None: no limit is set.
    pub rates: Option<Arc<Rates>>,
}

impl TargetState {
    pub fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Relaxed)
    }

    pub fn disable(&self, disabled: bool) {
        self.disabled.store(disabled, Ordering::Relaxed);
    }
}

impl ProviderState {
    pub fn has_several_keys(&self) -> bool {
        self.count > 1
    }
}

impl Board {
    /// For a configuration; what `before` knew of the same names stays.
    pub fn new(snapshot: &Snapshot, before: &Board, now: Instant) -> Board {
        let known: HashMap<&str, &Arc<TargetState>> = before
            .targets
            .iter()
            .map(|state| (&*state.id, state))
            .collect();
        let targets = snapshot.targets().map(|target| {
            let known = known.get(&*target.id).map(|known| Arc::clone(known));
            target_state(target, known, now)
        });
        let known: HashMap<&str, &Arc<ProviderState>> = before
            .providers
            .iter()
            .map(|state| (&*state.name, state))
            .collect();
        let providers = snapshot.providers.iter().map(|provider| {
            let known = known.get(&*provider.name).map(|known| Arc::clone(known));
            provider_state(provider, known, now)
        });
        Board {
            targets: targets.collect(),
            providers: providers.collect(),
        }
    }

    /// `target` is one of the configuration that this board is for.
    pub fn target(&self, target: &Target) -> Option<&Arc<TargetState>> {
        self.targets.get(target.number)
    }

    pub fn provider(&self, provider: &Provider) -> Option<&Arc<ProviderState>> {
        self.providers.get(provider.index)
    }

    pub fn targets(&self) -> impl Iterator<Item = &Arc<TargetState>> {
        self.targets.iter()
    }

    pub fn named(&self, id: &str) -> Option<&Arc<TargetState>> {
        self.targets.iter().find(|target| &*target.id == id)
    }
}

fn target_state(
    target: &Target,
    known: Option<Arc<TargetState>>,
    now: Instant,
) -> Arc<TargetState> {
    let breaker = target.provider.breaker.as_ref().map(breaker_settings);
    let limits = rates_settings(&target.limits);
    match known {
        // With and without a breaker are two kinds of state.
        Some(known) if known.breaker.is_some() == breaker.is_some() => {
            if let (Some(state), Some(settings)) = (&known.breaker, breaker) {
                state.configure(settings);
            }
            known.rates.configure(limits);
            known
        }
        _ => Arc::new(TargetState {
            id: Arc::clone(&target.id),
            name: sticky::hash(target.id.as_bytes()),
            breaker: breaker.map(Breaker::new),
            cooling: Cooling::new(now),
            rates: Rates::new(now, limits),
            score: Score::new(),
            disabled: AtomicBool::new(known.is_some_and(|known| known.is_disabled())),
        }),
    }
}

fn provider_state(
    provider: &Provider,
    known: Option<Arc<ProviderState>>,
    now: Instant,
) -> Arc<ProviderState> {
    let is_limited = !provider.limits.is_empty();
    let settings = rates_settings(&provider.limits);
    match known {
        Some(known)
            if known.count == provider.keys.len() && known.rates.is_some() == is_limited =>
        {
            if let Some(rates) = &known.rates {
                rates.configure(settings);
            }
            known
        }
        _ => Arc::new(ProviderState {
            name: Arc::clone(&provider.name),
            keys: Pool::new(
                provider.keys.len(),
                keys::Settings {
                    reprobe: REPROBE,
                    longest_rest: LONGEST_REST,
                },
            ),
            count: provider.keys.len(),
            rates: is_limited.then(|| Rates::new(now, settings)),
        }),
    }
}

fn breaker_settings(breaker: &snapshot::Breaker) -> breaker::Settings {
    breaker::Settings {
        failures: breaker.failures,
        window: breaker.window,
        last: breaker.last,
        minimum: breaker.minimum,
        interval: breaker.interval,
    }
}

fn rates_settings(limits: &snapshot::Limits) -> rates::Settings {
    rates::Settings {
        concurrency: limits.concurrency,
        rpm: limits.rpm,
        tpm: limits.tpm,
        returns_below: RETURNS_BELOW,
    }
}
