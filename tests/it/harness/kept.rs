//! What the gateway's store says, a moment after the requests.

use super::{Config, Gateway, Request, ms};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// A batch is written within milliseconds; a store that was away is asked again within seconds.
const PATIENCE: std::time::Duration = ms(20_000);

impl Config {
    /// A file beside the configuration.
    pub fn stored(self) -> Config {
        self.top("store: sqlite:overspill.db")
    }
}

impl Gateway {
    pub fn database(&self) -> PathBuf {
        self.directory().join("overspill.db")
    }

    pub async fn asked(&self, target: &str) -> Value {
        Request::get(target).to(self.admin).await.expect(200).json()
    }

    /// All requests kept so far, the newest first, up to a thousand.
    pub async fn all_kept(&self) -> Vec<Value> {
        let answer = Request::get("/api/requests?from=0&limit=1000")
            .to(self.admin)
            .await;
        // While it is away, it says so.
        match answer.status {
            503 => Vec::new(),
            _ => answer.expect(200).json()["requests"]
                .as_array()
                .unwrap()
                .clone(),
        }
    }

    /// Waits until so many are kept.
    pub async fn keeps(&self, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let kept = self.all_kept().await;
            if kept.len() == count {
                return kept;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} requests are kept, not {count}:\n{}",
                kept.len(),
                self.output()
            );
            tokio::time::sleep(ms(20)).await;
        }
    }

    /// A number of its own metrics.
    pub async fn meter(&self, name: &str) -> f64 {
        let metrics = self.metrics().await;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
            .parse()
            .unwrap()
    }

    pub async fn store_is(&self, up: bool) {
        let start = Instant::now();
        while self.meter("overspill_store_up").await != f64::from(u8::from(up)) {
            assert!(start.elapsed() < PATIENCE, "{}", self.output());
            tokio::time::sleep(ms(10)).await;
        }
    }

    /// Waits until nothing waits any more: written, and lost.
    pub async fn settled(&self) -> (usize, usize) {
        let start = Instant::now();
        while self.meter("overspill_store_queue").await != 0.0 {
            assert!(start.elapsed() < PATIENCE, "{}", self.output());
            tokio::time::sleep(ms(10)).await;
        }
        let written = self.meter("overspill_store_written_total").await;
        let lost = self.meter("overspill_store_dropped_total").await;
        (written as usize, lost as usize)
    }
}
