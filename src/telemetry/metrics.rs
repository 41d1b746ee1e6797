//! Prometheus counters. Every label value comes from the configuration or from a closed list,
//! never from a caller; what leaves the configuration leaves these too.

mod budgets;
mod by_key;
mod cells;
mod gen_ai;
mod names;
mod price_caps;
mod tidy;

use crate::config::snapshot::{Endpoint, Snapshot};
use crate::store::meters::Meters;
use crate::store::record::Record;
use crate::telemetry::metrics::budgets::Budgets;
use crate::telemetry::metrics::by_key::ByKey;
use crate::telemetry::metrics::cells::Cells;
use crate::telemetry::metrics::gen_ai::GenAi;
use crate::telemetry::metrics::names::Names;
use crate::telemetry::metrics::price_caps::PriceCaps;
use crate::telemetry::metrics::tidy::Tidy;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::sync::{Arc, Mutex, PoisonError};

pub use crate::telemetry::metrics::gen_ai::operation;

/// What comes of reading the configuration again.
pub const TAKEN: &str = "taken";
pub const REFUSED: &str = "refused";

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    attempts: IntCounterVec,
    pub spills: IntCounterVec,
    pub excluded: IntCounterVec,
    pub maybe_billed_twice: IntCounter,
    pub resumed: IntCounterVec,
    pub stream_gaps: IntCounterVec,
    pub prompt_tokens: IntCounterVec,
    pub cached_tokens: IntCounterVec,
    pub target_open: IntGaugeVec,
    pub target_cooling: IntGaugeVec,
    pub target_in_flight: IntGaugeVec,
    pub in_flight: IntGauge,
    pub buffers: IntGauge,
    pub overhead: Histogram,
    pub retries_left: IntGauge,
    pub log_lines_dropped: IntCounter,
    pub traces_dropped: IntCounter,
    pub config_reloads: IntCounterVec,
    pub config_stale: IntGauge,
    pub config_loaded: IntGauge,
    pub price_caps: PriceCaps,
    pub budgets: Budgets,
    gen_ai: GenAi,
    by_key: ByKey,
    of_requests: Cells<4, IntCounter>,
    of_attempts: Cells<3, IntCounter>,
    /// Held by one scrape at a time: gauges are begun anew for each.
    scraped: Mutex<Tidy>,
}

impl Metrics {
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let metrics = Metrics {
            requests: IntCounterVec::new(
                Opts::new(
                    "overspill_requests_total",
                    "Requests ended, by route, canonical model, provider that answered, and reason",
                ),
                &["route", "model", "provider", "reason"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new(
                    "overspill_attempts_total",
                    "Attempts at a provider, by what came of them",
                ),
                &["route", "provider", "reason"],
            )?,
            spills: IntCounterVec::new(
                Opts::new(
                    "overspill_spills_total",
                    "Crossings into a later tier, by the reason of the crossing",
                ),
                &["route", "reason"],
            )?,
            excluded: IntCounterVec::new(
                Opts::new(
                    "overspill_excluded_total",
                    "Targets that a rule of the route, the key or the request left out",
                ),
                &["route", "reason"],
            )?,
            maybe_billed_twice: IntCounter::new(
                "overspill_maybe_billed_twice_total",
                "Attempts made after an earlier one had received the whole body",
            )?,
            resumed: IntCounterVec::new(
                Opts::new(
                    "overspill_streams_resumed_total",
                    "Broken streams that another provider carried on, by how",
                ),
                &["route", "provider", "how"],
            )?,
            stream_gaps: IntCounterVec::new(
                Opts::new(
                    "overspill_stream_gaps_total",
                    "Malformed events that were left out of streams",
                ),
                &["route", "provider"],
            )?,
            prompt_tokens: IntCounterVec::new(
                Opts::new(
                    "overspill_prompt_tokens_total",
                    "Prompt tokens that targets told of",
                ),
                &["target"],
            )?,
            cached_tokens: IntCounterVec::new(
                Opts::new(
                    "overspill_cached_prompt_tokens_total",
                    "Prompt tokens that targets read from their caches",
                ),
                &["target"],
            )?,
            target_open: IntGaugeVec::new(
                Opts::new(
                    "overspill_target_open",
                    "1 while a target's breaker is open, or waits for its probe",
                ),
                &["target"],
            )?,
            target_cooling: IntGaugeVec::new(
                Opts::new(
                    "overspill_target_cooling",
                    "1 while a target rests because it asked to",
                ),
                &["target"],
            )?,
            target_in_flight: IntGaugeVec::new(
                Opts::new(
                    "overspill_target_in_flight",
                    "Attempts under way at a target",
                ),
                &["target"],
            )?,
            in_flight: IntGauge::new("overspill_in_flight", "Requests being served")?,
            buffers: IntGauge::new(
                "overspill_buffers_bytes",
                "Memory reserved for request bodies",
            )?,
            overhead: Histogram::with_opts(
                HistogramOpts::new(
                    "overspill_overhead_seconds",
                    "Time of a request not spent waiting for the caller or an upstream",
                )
                .buckets(vec![
                    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0,
                ]),
            )?,
            retries_left: IntGauge::new(
                "overspill_retry_budget_left",
                "Retries at failing targets that would be granted now, all at once",
            )?,
            log_lines_dropped: IntCounter::new(
                "overspill_log_lines_dropped_total",
                "Access lines that the log could not take in time, or not write",
            )?,
            traces_dropped: IntCounter::new(
                "overspill_traces_dropped_total",
                "Requests whose traces the collector could not be told in time, or would not take",
            )?,
            config_reloads: IntCounterVec::new(
                Opts::new(
                    "overspill_config_reloads_total",
                    "Times the configuration was read again, by what came of it",
                ),
                &["result"],
            )?,
            config_stale: IntGauge::new(
                "overspill_config_stale",
                "1 while the file is not what is in force, because it was refused",
            )?,
            config_loaded: IntGauge::new(
                "overspill_config_loaded_timestamp_seconds",
                "When the configuration in force was read, in seconds since the epoch",
            )?,
            price_caps: PriceCaps::register(&registry)?,
            budgets: Budgets::register(&registry)?,
            gen_ai: GenAi::register(&registry)?,
            by_key: ByKey::register(&registry)?,
            of_requests: Cells::default(),
            of_attempts: Cells::default(),
            scraped: Mutex::default(),
            registry,
        };
        for result in [TAKEN, REFUSED] {
            metrics.config_reloads.with_label_values(&[result]);
        }
        let build = IntGauge::with_opts(
            Opts::new("overspill_build_info", "Always 1; the version is a label")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        let registry = &metrics.registry;
        registry.register(Box::new(build))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.spills.clone()))?;
        registry.register(Box::new(metrics.excluded.clone()))?;
        registry.register(Box::new(metrics.maybe_billed_twice.clone()))?;
        registry.register(Box::new(metrics.resumed.clone()))?;
        registry.register(Box::new(metrics.stream_gaps.clone()))?;
        registry.register(Box::new(metrics.prompt_tokens.clone()))?;
        registry.register(Box::new(metrics.cached_tokens.clone()))?;
        registry.register(Box::new(metrics.target_open.clone()))?;
        registry.register(Box::new(metrics.target_cooling.clone()))?;
        registry.register(Box::new(metrics.target_in_flight.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.buffers.clone()))?;
        registry.register(Box::new(metrics.overhead.clone()))?;
        registry.register(Box::new(metrics.retries_left.clone()))?;
        registry.register(Box::new(metrics.log_lines_dropped.clone()))?;
        registry.register(Box::new(metrics.traces_dropped.clone()))?;
        registry.register(Box::new(metrics.config_reloads.clone()))?;
        registry.register(Box::new(metrics.config_stale.clone()))?;
        registry.register(Box::new(metrics.config_loaded.clone()))?;
        Ok(metrics)
    }

    /// Only where there is a store: without one, none is down.
    pub fn of_store(&self) -> prometheus::Result<Meters> {
        Meters::new(&self.registry)
    }

    /// One request, once all of it is known.
    pub fn count(&self, record: &Record) {
        let labels = [
            record.route.as_deref().unwrap_or(""),
            record.label.as_deref().unwrap_or(""),
            record.provider.as_deref().unwrap_or(""),
            record.end(),
        ];
        let series = || self.requests.with_label_values(&labels);
        self.of_requests.with(&labels, series, IntCounter::inc);
        // Zero: nobody came to measure it.
        if !record.overhead.is_zero() {
            self.overhead.observe(record.overhead.as_secs_f64());
        }
        let endpoint = Endpoint::at(&record.path).unwrap_or(Endpoint::Chat);
        for attempt in &record.attempts {
            // What is streamed through unread asks for no model that is known.
            if !attempt.model.is_empty() {
                self.gen_ai.attempt(endpoint, attempt);
                self.by_key.attempt(record.key.as_deref(), attempt);
            }
        }
    }

    /// One attempt, as soon as it is known how it ended.
    pub fn attempted(&self, route: &str, provider: &str, end: &str) {
        let labels = [route, provider, end];
        let series = || self.attempts.with_label_values(&labels);
        self.of_attempts.with(&labels, series, IntCounter::inc);
    }

    /// The exposition format. `measure` sets what is not counted but looked at.
    pub fn scrape(&self, snapshot: &Arc<Snapshot>, measure: impl FnOnce(&Metrics)) -> Vec<u8> {
        let mut tidy = self.scraped.lock().unwrap_or_else(PoisonError::into_inner);
        if tidy.is_due(snapshot) {
            self.sweep(&Names::of(snapshot));
        }
        measure(self);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("cannot render metrics: {error}");
        }
        text
    }

    fn sweep(&self, names: &Names<'_>) {
        for family in [
            &self.requests,
            &self.attempts,
            &self.spills,
            &self.excluded,
            &self.resumed,
            &self.stream_gaps,
        ] {
            names.sweep(family);
        }
        self.of_requests.forget();
        self.of_attempts.forget();
        self.price_caps.sweep(names);
        self.gen_ai.sweep(names);
        self.by_key.sweep(names);
    }
}
