//! What each key used: the numbers that bills are made of.

use crate::dialect::usage::Usage;
use crate::pricing::Micros;
use crate::telemetry::metrics::cells::Cells;
use crate::telemetry::metrics::names::Names;
use crate::telemetry::tale::Attempt;
use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, Opts, Registry};
use std::sync::OnceLock;

pub struct ByKey {
    tokens: IntCounterVec,
    reckoned: IntCounterVec,
    /// In dollars, for those who draw and compare: a floating point, which is off in its last
    /// digits. What is billed stands in the log, exact.
    cost: CounterVec,
    unpriced: IntCounterVec,
    /// By key, provider and model. No key: the data port is open.
    meters: Cells<3, Meters>,
}

#[derive(Debug, Default)]
struct Meters {
    input: OnceLock<IntCounter>,
    output: OnceLock<IntCounter>,
    cached: OnceLock<IntCounter>,
    reasoning: OnceLock<IntCounter>,
    reckoned: OnceLock<IntCounter>,
    cost: OnceLock<Counter>,
    unpriced: OnceLock<IntCounter>,
}

impl ByKey {
    pub fn register(registry: &Registry) -> prometheus::Result<ByKey> {
        let family = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        const KEY: [&str; 3] = ["key", "provider", "model"];
        let cost = Opts::new(
            "overspill_cost_dollars_total",
            "What attempts cost in dollars, by the caller's key, as far as that is known",
        );
        let cost = CounterVec::new(cost, &KEY)?;
        registry.register(Box::new(cost.clone()))?;
        Ok(ByKey {
            tokens: family(
                "overspill_tokens_total",
                "Tokens used, by the caller's key; cached ones are part of the input, reasoning of \
                 the output",
                &["key", "provider", "model", "type"],
            )?,
            reckoned: family(
                "overspill_reckoned_attempts_total",
                "Attempts whose tokens the provider did not tell, and were reckoned",
                &KEY,
            )?,
            cost,
            unpriced: family(
                "overspill_unpriced_attempts_total",
                "Attempts whose cost nobody knows: they are in no sum of dollars",
                &KEY,
            )?,
            meters: Cells::default(),
        })
    }

    pub fn attempt(&self, key: Option<&str>, attempt: &Attempt) {
        let is_free = attempt.cost == Some(Micros::ZERO);
        if is_free && attempt.usage == Usage::default() && !attempt.estimated {
            return;
        }
        let labels = [key.unwrap_or(""), &*attempt.provider, &*attempt.model];
        let count = |meters: &Meters| self.count(meters, labels, attempt);
        self.meters.with(&labels, Meters::default, count);
    }

    fn count(&self, meters: &Meters, labels: [&str; 3], attempt: &Attempt) {
        let usage = &attempt.usage;
        for (cell, name, tokens) in [
            (&meters.input, "input", usage.input),
            (&meters.output, "output", usage.output),
            (&meters.cached, "cached", usage.cached),
            (&meters.reasoning, "reasoning", usage.reasoning),
        ] {
            if let Some(tokens) = tokens {
                let [key, provider, model] = labels;
                cell.get_or_init(|| self.tokens.with_label_values(&[key, provider, model, name]))
                    .inc_by(tokens);
            }
        }
        if attempt.estimated {
            meters
                .reckoned
                .get_or_init(|| self.reckoned.with_label_values(&labels))
                .inc();
        }
        match attempt.cost {
            Some(cost) => meters
                .cost
                .get_or_init(|| self.cost.with_label_values(&labels))
                .inc_by(cost.get() as f64 / 1e6),
            None => meters
                .unpriced
                .get_or_init(|| self.unpriced.with_label_values(&labels))
                .inc(),
        }
    }

    /// Forgets what is configured no longer.
    pub fn sweep(&self, names: &Names<'_>) {
        names.sweep(&self.tokens);
        names.sweep(&self.reckoned);
        names.sweep(&self.cost);
        names.sweep(&self.unpriced);
        self.meters.forget();
    }
}
