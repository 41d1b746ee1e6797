//! What the gateway says of its requests: access lines and counters, both a moment after the end.

use super::{Config, Gateway, ms};
use serde_json::Value;
use std::time::Instant;

impl Config {
    /// Access lines as JSON, whatever standard output is.
    pub fn logged(self) -> Config {
        self.top("log: { format: json }")
    }
}

impl Gateway {
    /// The access lines so far, of requests other than for health.
    pub fn lines(&self) -> Vec<Value> {
        self.output()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["duration_ms"].is_number() && line["path"] != "/health")
            .collect()
    }

    /// The access line of the request with this number, from 0, in the order of their ends.
    pub async fn line(&self, number: usize) -> Value {
        let start = Instant::now();
        loop {
            if let Some(line) = self.lines().get(number) {
                return line.clone();
            }
            assert!(
                start.elapsed() < ms(5000),
                "no access line {number}:\n{}",
                self.output()
            );
            tokio::time::sleep(ms(5)).await;
        }
    }

    /// Waits until the counter or gauge, summed over the labels that contain all of `labels`, has
    /// this value.
    pub async fn counts(&self, name: &str, labels: &[&str], expected: f64) {
        let start = Instant::now();
        loop {
            let metrics = self.metrics().await;
            if sum(&metrics, name, labels) == Some(expected) {
                return;
            }
            assert!(
                start.elapsed() < ms(5000),
                "{name} {labels:?} is not {expected}:\n{metrics}"
            );
            tokio::time::sleep(ms(10)).await;
        }
    }

    /// The one request there was ended for this reason: so say the access line and the metrics.
    pub async fn tells(&self, reason: &str) -> Value {
        let line = self.line(0).await;
        assert_eq!(line["reason"], reason, "{line}");
        let label = format!("reason=\"{reason}\"");
        self.counts("overspill_requests_total", &[&label], 1.0)
            .await;
        self.counts("overspill_requests_total", &[], 1.0).await;
        self.counts("overspill_in_flight", &[], 0.0).await;
        line
    }
}

/// `None`: there is no such line.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    metrics
        .lines()
        .filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .try_fold(None, |sum: Option<f64>, value| {
            Some(Some(sum.unwrap_or(0.0) + value?))
        })
        .flatten()
}
