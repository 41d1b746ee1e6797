//! `/api/targets`: how each target is, and an operator's switch for it.

use crate::config::snapshot::{Snapshot, Target};
use crate::health::board::Board;
use crate::health::breaker::{Gate, State};
use crate::health::grant::bar;
use crate::health::keys::Condition;
use crate::limits::rates::{Rates, Which};
use crate::telemetry::metrics::Metrics;
use crate::upstream::address::Book;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// All targets, in the order of the configuration.
pub fn list(snapshot: &Snapshot, board: &Board, book: &Book, now: Instant) -> String {
    let targets = snapshot
        .targets()
        .filter_map(|target| describe(target, board, now));
    let targets: Vec<Value> = targets.collect();
    let addresses = book.standings().into_iter().map(|standing| {
        json!({
            "provider": &*standing.provider,
            "address": &*standing.address,
            "state": standing.state.name(),
            "why": standing.why,
            "since_ms": millis(now.saturating_duration_since(standing.since)),
        })
    });
    json!({ "targets": targets, "addresses": addresses.collect::<Vec<_>>() }).to_string()
}

/// Switches a target on or off. False: there is none of this name.
pub fn switch(board: &Board, id: &str, disabled: bool) -> bool {
    let target = board.named(id);
    if let Some(target) = target {
        target.disable(disabled);
    }
    target.is_some()
}

/// The state of all targets as metrics, as it is now; those that are gone leave none behind.
pub fn measure(metrics: &Metrics, board: &Board, now: Instant) {
    metrics.target_open.reset();
    metrics.target_cooling.reset();
    metrics.target_in_flight.reset();
    metrics.prompt_tokens.reset();
    metrics.cached_tokens.reset();
    for target in board.targets() {
        let open = target
            .breaker
            .as_ref()
            .is_some_and(|breaker| breaker.allows(now) != Gate::Closed);
        let cooling = target.cooling.cooling(now).is_some();
        let name = [&*target.id];
        metrics
            .target_open
            .with_label_values(&name)
            .set(open.into());
        metrics
            .target_cooling
            .with_label_values(&name)
            .set(cooling.into());
        let (prompt, cached) = target.prompts();
        let tokens = [
            (&metrics.prompt_tokens, prompt),
            (&metrics.cached_tokens, cached),
        ];
        for (counter, total) in tokens {
            counter.with_label_values(&name).inc_by(total);
        }
        metrics
            .target_in_flight
            .with_label_values(&name)
            .set(target.score.in_flight().into());
    }
}

fn describe(target: &Target, board: &Board, now: Instant) -> Option<Value> {
    let state = board.target(target)?;
    let provider = board.provider(&target.provider)?;
    let bar = bar(board, target, now, 0, false);
    let breaker = state.breaker.as_ref().map(|breaker| breaker.state(now));
    let keys = (0..target.provider.keys.len()).map(|index| {
        let (name, left) = match provider.keys.condition(index, now) {
            None | Some(Condition::Ready) => ("ready", None),
            Some(Condition::Limited(left)) => ("limited", Some(left)),
            Some(Condition::Bad(left)) => ("refused", Some(left)),
        };
        json!({ "index": index, "state": name, "left_ms": left.map(millis) })
    });
    Some(json!({
        "id": &*state.id,
        "provider": &*target.provider.name,
        "regions": target.provider.regions,
        "tier": target.tier,
        "weight": target.weight,
        // What keeps it from being asked, or nothing.
        "state": bar.map_or("ok", |bar| bar.label()),
        "left_ms": bar.and_then(|bar| bar.left()).map(millis),
        "enabled": !state.is_disabled(),
        "breaker": breaker.map(|breaker| describe_breaker(breaker, now)),
        "cooling_ms": state.cooling.cooling(now).map(millis),
        "limits": state.rates().map(|rates| describe_limits(rates, now)),
        "in_flight": state.score.in_flight(),
        "first_token_ms": state.score.average().map(millis),
        "keys": keys.collect::<Vec<_>>(),
    }))
}

fn describe_breaker(state: State, now: Instant) -> Value {
    let name = match state.gate {
        Gate::Closed => "closed",
        Gate::Probe => "half_open",
        Gate::Open { .. } => "open",
    };
    let since = state
        .since
        .map(|since| millis(now.saturating_duration_since(since)));
    json!({ "state": name, "failures": state.failures, "since_ms": since })
}

fn describe_limits(rates: &Rates, now: Instant) -> Value {
    let describe = |which| {
        rates.left(now, which).map(|left| {
            json!({ "limit": left.limit, "remaining": left.remaining, "reset_ms": millis(left.reset) })
        })
    };
    json!({
        "concurrency": describe(Which::Concurrency),
        "rpm": describe(Which::Requests),
        "tpm": describe(Which::Tokens),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
