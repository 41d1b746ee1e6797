//! What each key used: the numbers that bills are made of.

use crate::dialect::usage::Usage;
use crate::telemetry::metrics::cells::Cells;
use crate::telemetry::metrics::names::Names;
use crate::telemetry::tale::Attempt;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use std::sync::{Arc, OnceLock};

pub struct ByKey {
    tokens: IntCounterVec,
    reckoned: IntCounterVec,
    meters: Cells<Spot, Meters>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Spot {
    /// None: the data port is open.
    key: Option<Arc<str>>,
    provider: Arc<str>,
    model: Arc<str>,
}

#[derive(Debug, Default)]
struct Meters {
    input: OnceLock<IntCounter>,
    output: OnceLock<IntCounter>,
    cached: OnceLock<IntCounter>,
    reasoning: OnceLock<IntCounter>,
    reckoned: OnceLock<IntCounter>,
}

impl ByKey {
    pub fn register(registry: &Registry) -> prometheus::Result<ByKey> {
        let family = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
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
                &["key", "provider", "model"],
            )?,
            meters: Cells::default(),
        })
    }

    pub fn attempt(&self, key: Option<&Arc<str>>, attempt: &Attempt) {
        if attempt.usage == Usage::default() && !attempt.estimated {
            return;
        }
        let meters = self.meters.get(Spot {
            key: key.cloned(),
            provider: Arc::clone(&attempt.provider),
            model: Arc::clone(&attempt.model),
        });
        let labels = [
            key.map_or("", |key| &**key),
            &*attempt.provider,
            &*attempt.model,
        ];
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
    }

    /// Forgets what is configured no longer.
    pub fn sweep(&self, names: &Names<'_>) {
        names.sweep(&self.tokens);
        names.sweep(&self.reckoned);
        self.meters.retain(|spot| {
            let key = spot.key.as_deref().unwrap_or("");
            names.has_key(key) && names.serves(&spot.provider, &spot.model)
        });
    }
}
