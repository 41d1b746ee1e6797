//! The live state of every target and provider of a configuration, kept by name: a new board takes
//! over what the old one knew.

use crate::config::snapshot::{self, Auth, Provider, Snapshot, Target};
use crate::health::breaker::{self, Breaker};
use crate::health::cooling::Cooling;
use crate::health::keys::{self, Pool};
use crate::health::speed::Score;
use crate::limits::rates::{self, Rates, Which};
use crate::routing::sticky;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    pub cooling: Arc<Cooling>,
    rates: Arc<Rates>,
    /// There is a limit to keep: its own, or one that its provider has told of.
    is_limited: AtomicBool,
    pub score: Arc<Score>,
    /// Switched off by an operator.
    disabled: AtomicBool,
    /// Tokens of prompts, and those of them that came out of its cache.
    prompt: AtomicU64,
    cached: AtomicU64,
}

#[derive(Debug)]
pub struct ProviderState {
    pub name: Arc<str>,
    pub keys: Pool,
    /// What each key hashes to: a reload may bring others.
    marks: Vec<u64>,
    is_anonymous: bool,
    /// One of its addresses at least passes its checks, or none are made.
    well: AtomicBool,
    /// None: no limit is set.
    pub rates: Option<Arc<Rates>>,
}

impl TargetState {
    /// Where there is a limit to keep.
    pub fn rates(&self) -> Option<&Arc<Rates>> {
        self.is_limited
            .load(Ordering::Relaxed)
            .then_some(&self.rates)
    }

    /// The provider's own word about what it will still take.
    pub fn told_limits(&self, now: Instant, which: Which, remaining: u64, reset: Duration) {
        self.rates.told(now, which, remaining, reset);
        self.is_limited.store(true, Ordering::Relaxed);
    }

    pub fn count_prompt(&self, tokens: u64, cached: u64) {
        self.prompt.fetch_add(tokens, Ordering::Relaxed);
        self.cached.fetch_add(cached, Ordering::Relaxed);
    }

    /// Tokens of all prompts, and how many of them came out of its cache.
    pub fn prompts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.prompt), read(&self.cached))
    }

    pub fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Relaxed)
    }

    pub fn disable(&self, disabled: bool) {
        self.disabled.store(disabled, Ordering::Relaxed);
    }
}

impl ProviderState {
    pub fn has_several_keys(&self) -> bool {
        self.marks.len() > 1
    }

    /// It is asked without any key.
    pub fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    pub fn is_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
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

    /// Takes over what the checks of addresses have found.
    pub fn observe(&self, snapshot: &Snapshot, is_well: impl Fn(&Provider) -> bool) {
        for provider in snapshot.providers.iter().filter(|one| one.health.is_some()) {
            if let Some(state) = self.provider(provider) {
                state.well.store(is_well(provider), Ordering::Relaxed);
            }
        }
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
            let is_limited = &known.is_limited;
            is_limited.fetch_or(!target.limits.is_empty(), Ordering::Relaxed);
            known
        }
        // All but the breaker goes on as it was.
        Some(known) => {
            known.rates.configure(limits);
            let (prompt, cached) = known.prompts();
            let is_limited = known.is_limited.load(Ordering::Relaxed) || !target.limits.is_empty();
            Arc::new(TargetState {
                id: Arc::clone(&target.id),
                name: known.name,
                breaker: breaker.map(Breaker::new),
                cooling: Arc::clone(&known.cooling),
                rates: Arc::clone(&known.rates),
                is_limited: AtomicBool::new(is_limited),
                prompt: AtomicU64::new(prompt),
                cached: AtomicU64::new(cached),
                score: Arc::clone(&known.score),
                disabled: AtomicBool::new(known.is_disabled()),
            })
        }
        None => Arc::new(TargetState {
            id: Arc::clone(&target.id),
            name: sticky::hash(target.id.as_bytes()),
            breaker: breaker.map(Breaker::new),
            cooling: Arc::new(Cooling::new(now)),
            rates: Rates::new(now, limits),
            is_limited: AtomicBool::new(!target.limits.is_empty()),
            prompt: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            score: Score::new(),
            disabled: AtomicBool::new(false),
        }),
    }
}

fn provider_state(
    provider: &Provider,
    known: Option<Arc<ProviderState>>,
    now: Instant,
) -> Arc<ProviderState> {
    let settings = rates_settings(&provider.limits);
    let marks: Vec<u64> = provider.keys.iter().map(mark).collect();
    let rates = (!provider.limits.is_empty()).then(|| {
        let before = known.as_ref().and_then(|known| known.rates.clone());
        before.unwrap_or_else(|| Rates::new(now, settings))
    });
    if let Some(rates) = &rates {
        rates.configure(settings);
    }
    match known {
        Some(known) if known.marks == marks && known.rates.is_some() == rates.is_some() => known,
        _ => Arc::new(ProviderState {
            name: Arc::clone(&provider.name),
            keys: Pool::new(
                marks.len(),
                keys::Settings {
                    reprobe: REPROBE,
                    longest_rest: LONGEST_REST,
                },
            ),
            marks,
            is_anonymous: matches!(provider.keys.as_slice(), [Auth::None]),
            well: AtomicBool::new(true),
            rates,
        }),
    }
}

fn mark(key: &Auth) -> u64 {
    match key {
        Auth::None => 0,
        Auth::Header { name, value } => {
            sticky::hash(name.as_str().as_bytes()) ^ sticky::hash(value.as_bytes())
        }
        Auth::Query { pair } => sticky::hash(pair.expose().as_bytes()),
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
