//! Providers that bill more than the price caps allow: counted each time, told once a minute.

use crate::store::record::Record;
use crate::telemetry::metrics::names::Names;
use prometheus::{IntCounterVec, Opts, Registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const SILENCE: Duration = Duration::from_secs(60);

pub struct PriceCaps {
    exceeded: IntCounterVec,
    /// When it was last told, of those of the last minute.
    told: Mutex<HashMap<Target, Instant>>,
}

/// Route, provider, model: names from the configuration.
type Target = (Arc<str>, Arc<str>, Arc<str>);

impl PriceCaps {
    pub fn register(registry: &Registry) -> prometheus::Result<PriceCaps> {
        let exceeded = IntCounterVec::new(
            Opts::new(
                "overspill_price_cap_exceeded_total",
                "Attempts whose provider billed more than the price cap allows for their tokens",
            ),
            &["route", "provider"],
        )?;
        registry.register(Box::new(exceeded.clone()))?;
        Ok(PriceCaps {
            exceeded,
            told: Mutex::default(),
        })
    }

    pub fn judge(&self, record: &Record, now: Instant) {
        for attempt in record.attempts.iter().filter(|attempt| attempt.over_cap) {
            let route = record.route.clone().unwrap_or_default();
            self.exceeded
                .with_label_values(&[&*route, &*attempt.provider])
                .inc();
            let target = (route, attempt.provider.clone(), attempt.model.clone());
            if self.is_news(target, now) {
                tracing::warn!(
                    "{} billed {} dollars for a request of {}, which is above the price cap of \
                     route {}",
                    attempt.provider,
                    attempt.cost.unwrap_or_default(),
                    attempt.model,
                    record.route.as_deref().unwrap_or(""),
                );
            }
        }
    }

    fn is_news(&self, target: Target, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, when| now.saturating_duration_since(*when) < SILENCE);
        let is_news = !told.contains_key(&target);
        if is_news {
            told.insert(target, now);
        }
        is_news
    }

    /// Forgets what is configured no longer.
    pub fn sweep(&self, names: &Names<'_>) {
        names.sweep(&self.exceeded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_told_of_once_a_minute() {
        let caps = PriceCaps::register(&Registry::new()).unwrap();
        let target = |provider: &str| ("main".into(), provider.into(), "m".into());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (provider, seconds, is_news) in [
            ("one", 0, true),
            ("one", 59, false),
            ("two", 59, true),
            // Silence counts from what was told, not from what was kept back.
            ("one", 60, true),
            ("two", 60, false),
            ("one", 119, false),
            ("two", 119, true),
        ] {
            let told = caps.is_news(target(provider), at(seconds));
            assert_eq!(told, is_news, "{provider} after {seconds} s");
        }
    }
}
