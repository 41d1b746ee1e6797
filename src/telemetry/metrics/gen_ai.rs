//! What each attempt at a provider took, in OpenTelemetry's names for generative AI, as Prometheus
//! spells them.

use crate::config::snapshot::Endpoint;
use crate::error::Reason;
use crate::telemetry::metrics::cells::Cells;
use crate::telemetry::metrics::names::Names;
use crate::telemetry::tale::Attempt;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};
use std::sync::OnceLock;

/// The convention's own up to 81.92; the rest is for long reasoning.
const DURATION: [f64; 18] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68, 655.36, 1800.0,
];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// The convention's own up to 10.
const FIRST_TOKEN: [f64; 21] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 60.0, 120.0, 300.0, 600.0,
];
const EACH_TOKEN: [f64; 13] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

const OPERATION: &str = "gen_ai_operation_name";
pub const PROVIDER: &str = "gen_ai_provider_name";
pub const ASKED: &str = "gen_ai_request_model";
pub const ANSWERED: &str = "gen_ai_response_model";

pub struct GenAi {
    duration: HistogramVec,
    tokens: HistogramVec,
    first_token: HistogramVec,
    each_token: HistogramVec,
    /// By operation, provider and model.
    meters: Cells<3, Meters>,
}

/// The series of attempts that went well, each begun by what it first measures: not every endpoint
/// has a first token.
#[derive(Debug, Default)]
struct Meters {
    duration: OnceLock<Histogram>,
    input: OnceLock<Histogram>,
    output: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    each_token: OnceLock<Histogram>,
}

impl GenAi {
    pub fn register(registry: &Registry) -> prometheus::Result<GenAi> {
        let family = |name: &str, help: &str, buckets: &[f64], last: &[&str]| {
            let labels = [&[OPERATION, PROVIDER, ASKED, ANSWERED], last].concat();
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let family = HistogramVec::new(options, &labels)?;
            registry.register(Box::new(family.clone()))?;
            prometheus::Result::Ok(family)
        };
        Ok(GenAi {
            duration: family(
                "gen_ai_client_operation_duration_seconds",
                "How long attempts at a provider took, to the end of the answer or of the failure",
                &DURATION,
                &["error_type"],
            )?,
            tokens: family(
                "gen_ai_client_token_usage",
                "Tokens of an attempt as the provider told them",
                &TOKENS,
                &["gen_ai_token_type"],
            )?,
            first_token: family(
                "gen_ai_server_time_to_first_token_seconds",
                "From the sending of a request to the first reasoning or content of its stream",
                &FIRST_TOKEN,
                &[],
            )?,
            each_token: family(
                "gen_ai_server_time_per_output_token_seconds",
                "Time per output token of a stream that ended well, after its first",
                &EACH_TOKEN,
                &[],
            )?,
            meters: Cells::default(),
        })
    }

    /// One attempt, once all of it is known.
    pub fn attempt(&self, endpoint: Endpoint, attempt: &Attempt) {
        let spot = [operation(endpoint), &attempt.provider, &attempt.model];
        let count = |meters: &Meters| self.count(meters, spot, attempt);
        self.meters.with(&spot, Meters::default, count);
    }

    fn count(&self, meters: &Meters, spot: [&str; 3], attempt: &Attempt) {
        let [operation, provider, model] = spot;
        let labels = [operation, provider, model, model];
        let lasted = attempt.lasted.as_secs_f64();
        match attempt.reason {
            None => meters
                .duration
                .get_or_init(|| series(&self.duration, &labels, &[""]))
                .observe(lasted),
            Some(reason) => self.failed(labels, attempt.status, reason, lasted),
        }
        let first = attempt.first_token;
        if let Some(first) = first {
            meters
                .first_token
                .get_or_init(|| series(&self.first_token, &labels, &[]))
                .observe(first.as_secs_f64());
        }
        // What was reckoned from a stream's events is no measure of tokens.
        if attempt.estimated {
            return;
        }
        let usage = &attempt.usage;
        for (cell, name, tokens) in [
            (&meters.input, "input", usage.input),
            (&meters.output, "output", usage.output),
        ] {
            if let Some(tokens) = tokens {
                cell.get_or_init(|| series(&self.tokens, &labels, &[name]))
                    .observe(tokens as f64);
            }
        }
        if let (None, Some(first), Some(output @ 2..)) = (attempt.reason, first, usage.output)
            && !attempt.is_held_up()
        {
            let after_first = attempt.lasted.saturating_sub(first).as_secs_f64();
            meters
                .each_token
                .get_or_init(|| series(&self.each_token, &labels, &[]))
                .observe(after_first / (output - 1) as f64);
        }
    }

    fn failed(&self, labels: [&str; 4], status: Option<u16>, reason: Reason, lasted: f64) {
        let [operation, provider, asked, model] = labels;
        // A failure that began as an answer names who answered.
        let began = status.is_some_and(|status| (200..300).contains(&status));
        let answered = if began { model } else { "" };
        series(
            &self.duration,
            &[operation, provider, asked, answered],
            &[reason.label()],
        )
        .observe(lasted);
    }

    /// Forgets what is configured no longer.
    pub fn sweep(&self, names: &Names<'_>) {
        for family in [
            &self.duration,
            &self.tokens,
            &self.first_token,
            &self.each_token,
        ] {
            names.sweep(family);
        }
        self.meters.forget();
    }
}

fn series(family: &HistogramVec, labels: &[&str; 4], last: &[&str]) -> Histogram {
    family.with_label_values(&[labels, last].concat())
}

/// The convention's word where it has one, else the endpoint's own name.
pub fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses | Endpoint::Messages => "chat",
        Endpoint::Completions => "text_completion",
        other => other.name(),
    }
}
