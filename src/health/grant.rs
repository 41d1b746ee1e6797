//! Leave to ask a target once: a place under its limits, one of its provider's keys, its breaker's
//! consent. What came of it is told here, and nowhere else.

use crate::config::snapshot::Target;
use crate::dialect::usage::Usage;
use crate::failover::{Happened, Kind, Meaning};
use crate::health::board::{Board, LONGEST_REST, ProviderState, TargetState};
use crate::health::breaker::{self, Gate};
use crate::health::keys::Condition;
use crate::health::speed::InFlight;
use crate::limits::rates::{Full, Permit, Rates, Which};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Of a key that is at its limit and does not say for how long.
const SHORT_REST: Duration = Duration::from_secs(1);

/// Why a target is not asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// By an operator.
    Disabled,
    /// It has failed too often.
    Open(Duration),
    /// None of its provider's addresses passes its checks.
    Unhealthy,
    /// It asked to be left alone.
    Cooling(Duration),
    /// At a limit.
    Full { which: Which, left: Duration },
    /// All of its provider's keys rest.
    KeysLimited(Duration),
    /// All of its provider's keys are refused.
    KeysBad(Duration),
}

impl Bar {
    /// A word of a closed list: a label in metrics and answers.
    pub fn label(self) -> &'static str {
        match self {
            Bar::Disabled => "disabled",
            Bar::Open(_) => "breaker_open",
            Bar::Unhealthy => "unhealthy",
            Bar::Cooling(_) => "cooling",
            Bar::Full { which, .. } => match which {
                Which::Concurrency => "concurrency",
                Which::Requests => "rpm",
                Which::Tokens => "tpm",
            },
            Bar::KeysLimited(_) => "keys_limited",
            Bar::KeysBad(_) => "keys_bad",
        }
    }

    /// When it is worth asking again, where that is known.
    pub fn left(self) -> Option<Duration> {
        match self {
            Bar::Disabled | Bar::Unhealthy => None,
            Bar::Open(left)
            | Bar::Cooling(left)
            | Bar::Full { left, .. }
            | Bar::KeysLimited(left)
            | Bar::KeysBad(left) => Some(left),
        }
    }
}

/// Under the target's limits and under its provider's.
type Places = [Option<Permit>; 2];

#[derive(Debug)]
pub struct Grant {
    target: Arc<TargetState>,
    provider: Arc<ProviderState>,
    /// The key to use, by its place in the provider's list.
    pub key: usize,
    breaker: Option<breaker::Attempt>,
    in_flight: InFlight,
    places: Places,
    /// What was used has been told.
    settled: bool,
}

/// What stands in a target's way, without taking anything. `regardless`: its breaker does not count.
pub fn bar(
    board: &Board,
    target: &Target,
    now: Instant,
    tokens: u64,
    regardless: bool,
) -> Option<Bar> {
    let state = board.target(target)?;
    let provider = board.provider(&target.provider)?;
    let bar = condition(state, provider, now, regardless).or_else(|| keyless(provider, now));
    if bar.is_some() {
        return bar;
    }
    let rates = [state.rates(), provider.rates.as_ref()];
    rates
        .into_iter()
        .flatten()
        .find_map(|rates| rates.room(now, tokens).err())
        .map(full)
}

/// What is known of the target itself.
fn condition(
    state: &TargetState,
    provider: &ProviderState,
    now: Instant,
    regardless: bool,
) -> Option<Bar> {
    if state.is_disabled() {
        return Some(Bar::Disabled);
    }
    if !regardless && !provider.is_well() {
        return Some(Bar::Unhealthy);
    }
    if let Some(left) = state.cooling.cooling(now) {
        return Some(Bar::Cooling(left));
    }
    match state.breaker.as_ref()?.allows(now) {
        Gate::Open { left } if !regardless => Some(Bar::Open(left)),
        _ => None,
    }
}

/// Why its provider has no key to use.
fn keyless(provider: &ProviderState, now: Instant) -> Option<Bar> {
    match provider.keys.outlook(now) {
        Condition::Ready => None,
        Condition::Limited(left) => Some(Bar::KeysLimited(left)),
        Condition::Bad(left) => Some(Bar::KeysBad(left)),
    }
}

/// All of them or none.
fn take_places(rates: [Option<&Arc<Rates>>; 2], now: Instant, tokens: u64) -> Result<Places, Bar> {
    let mut places: Places = [None, None];
    let mut barred = None;
    for (place, rates) in places.iter_mut().zip(rates) {
        match rates.map(|rates| rates.try_take(now, tokens)) {
            Some(Ok(permit)) => *place = Some(permit),
            Some(Err(full)) => barred = Some(full),
            None => {}
        }
    }
    match barred {
        None => Ok(places),
        Some(barred) => {
            give_back(places, now);
            Err(full(barred))
        }
    }
}

/// Nothing was sent: as if it had never been taken.
fn give_back(places: Places, now: Instant) {
    for place in places.into_iter().flatten() {
        place.never_sent(now);
    }
}

fn full(full: Full) -> Bar {
    Bar::Full {
        which: full.which,
        left: full.retry_after,
    }
}

impl Grant {
    /// `tokens`: how many the call may use, as far as it can be told beforehand.
    pub fn take(
        board: &Board,
        target: &Target,
        now: Instant,
        tokens: u64,
        regardless: bool,
    ) -> Result<Grant, Bar> {
        let (Some(state), Some(provider)) =
            (board.target(target), board.provider(&target.provider))
        else {
            return Err(Bar::Disabled);
        };
        if let Some(bar) = condition(state, provider, now, regardless) {
            return Err(bar);
        }
        let breaker = match &state.breaker {
            None => None,
            Some(breaker) if regardless => Some(breaker.begin_regardless(now)),
            // Another request has become the probe.
            Some(breaker) => Some(breaker.begin(now).ok_or(Bar::Open(Duration::ZERO))?),
        };
        let rates = [state.rates(), provider.rates.as_ref()];
        let places = take_places(rates, now, tokens)?;
        // Last: the turn of a refused key that is tried again is not given back.
        let Some(key) = provider.keys.pick(now) else {
            give_back(places, now);
            return Err(keyless(provider, now).unwrap_or(Bar::KeysLimited(Duration::ZERO)));
        };
        Ok(Grant {
            target: Arc::clone(state),
            provider: Arc::clone(provider),
            key,
            breaker,
            in_flight: state.score.began(now),
            places,
            settled: false,
        })
    }

    /// The provider's own word about what it will still take.
    pub fn told_limits(&self, now: Instant, which: Which, remaining: u64, reset: Duration) {
        if !self.provider.has_several_keys() {
            self.target.told_limits(now, which, remaining, reset);
        } else if remaining == 0 {
            // The word was about this key alone.
            self.provider.keys.limited(self.key, now, reset);
        }
    }

    /// The first content has come, or the whole answer.
    pub fn began_to_answer(&mut self, now: Instant) {
        self.in_flight.first_token(now);
        self.provider.keys.good(self.key);
        // A probe has found out what it was to find out, however long its answer takes.
        if self
            .breaker
            .as_ref()
            .is_some_and(breaker::Attempt::is_probe)
        {
            self.succeeded(now);
            self.breaker = self.target.breaker.as_ref().and_then(|one| one.begin(now));
        }
    }

    /// It was broken off by our own side: that says nothing, and nothing more will be used.
    pub fn left(&mut self, now: Instant) {
        self.settle(now, 0);
    }

    /// The answer is whole. True when this target had been given up and is back.
    pub fn succeeded(&mut self, now: Instant) -> bool {
        let back = self
            .breaker
            .take()
            .is_some_and(|breaker| breaker.succeeded(now));
        if back {
            self.target.score.returned(now);
        }
        back
    }

    /// What the call has used in truth, as far as it is known; `prompt` is what its prompt was
    /// reckoned at, where the provider does not say.
    pub fn used(&mut self, now: Instant, usage: Usage, prompt: u64) {
        if let Some(input) = usage.input {
            self.target.count_prompt(input, usage.cached.unwrap_or(0));
        }
        if let Some(output) = usage.output {
            self.settled = true;
            self.settle(now, usage.input.unwrap_or(prompt).saturating_add(output));
        }
    }

    fn settle(&mut self, now: Instant, tokens: u64) {
        for place in self.places.iter_mut().flatten() {
            place.settle(now, tokens);
        }
    }

    /// It came to nothing. True when this made the breaker open.
    pub fn failed(&mut self, now: Instant, happened: &Happened) -> bool {
        if let Happened::Answered(meaning) = happened {
            self.heed(now, meaning);
        }
        if *happened == Happened::Unreachable {
            give_back(std::mem::take(&mut self.places), now);
        }
        // What was reserved for the answer was not used.
        if !self.settled {
            self.settle(now, 0);
        }
        let breaker = self.breaker.take();
        match says(happened) {
            Says::Ill => {
                self.in_flight.failed(now);
                breaker.is_some_and(|breaker| breaker.failed(now))
            }
            Says::Busy => {
                self.in_flight.failed(now);
                if let Some(breaker) = breaker {
                    breaker.undecided();
                }
                false
            }
            Says::Alive => {
                // Whoever can refuse a request is there: a probe has found that out.
                if let Some(probe) = breaker.filter(breaker::Attempt::is_probe) {
                    probe.succeeded(now);
                    self.target.score.returned(now);
                }
                false
            }
        }
    }

    /// Rests that the provider asks for, and keys that it does not take.
    fn heed(&self, now: Instant, meaning: &Meaning) {
        let keys = &self.provider.keys;
        if !matches!(meaning.kind, Kind::Credentials | Kind::Quota) {
            keys.good(self.key);
        }
        match meaning.kind {
            // Without a key it is not a key that was refused.
            Kind::Credentials | Kind::Quota if self.provider.is_anonymous() => {}
            Kind::Credentials | Kind::Quota => keys.bad(self.key, now),
            // A limit is the account's; where there are several, the others go on.
            Kind::RateLimited if self.provider.has_several_keys() => {
                let rest = meaning.retry_after.unwrap_or_default().max(SHORT_REST);
                keys.limited(self.key, now, rest);
            }
            Kind::RateLimited | Kind::Overloaded | Kind::ServerError => {
                if let Some(rest) = meaning.retry_after {
                    self.target
                        .cooling
                        .cool(now, now + rest.min(LONGEST_REST), LONGEST_REST);
                }
            }
            Kind::ContextLength | Kind::ContentFilter | Kind::Rejected => {}
        }
    }

    /// Another key of the same provider could be used at once.
    pub fn has_another_key(&self, now: Instant) -> bool {
        self.provider.has_several_keys() && self.provider.keys.outlook(now) == Condition::Ready
    }
}

/// What an end says about its target.
enum Says {
    Ill,
    /// It works, but not for us now.
    Busy,
    /// The request was at fault.
    Alive,
}

fn says(happened: &Happened) -> Says {
    match happened {
        Happened::Unreachable
        | Happened::Reset
        | Happened::Timeout
        | Happened::NoToken
        | Happened::Truncated => Says::Ill,
        Happened::Empty => Says::Busy,
        Happened::Answered(meaning) => match meaning.kind {
            // Whoever says when to come back is not ill; and 529 is a limit.
            Kind::ServerError | Kind::Overloaded if meaning.retry_after.is_some() => Says::Busy,
            Kind::ServerError => Says::Ill,
            Kind::Overloaded if meaning.status >= 500 && meaning.status != 529 => Says::Ill,
            Kind::Overloaded | Kind::RateLimited | Kind::Credentials | Kind::Quota => Says::Busy,
            Kind::ContextLength | Kind::ContentFilter | Kind::Rejected => Says::Alive,
        },
    }
}

#[cfg(test)]
mod tests;
