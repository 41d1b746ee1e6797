//! What a mock provider has seen, for tests that ask.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Counters of one provider.
#[derive(Debug, Default)]
pub struct Stats {
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicI64,
    in_flight: AtomicI64,
    aborted: AtomicU64,
    body_bytes: AtomicU64,
    by_model: Mutex<BTreeMap<String, u64>>,
    keep: AtomicUsize,
    seen: Mutex<VecDeque<Seen>>,
}

/// One request as it arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub model: String,
    pub length: u64,
    pub sha256: String,
    /// The body's first MiB.
    #[serde(serialize_with = "as_text")]
    pub body: Vec<u8>,
}

/// More distinct names than a test asks for; beyond them only the total counts.
const MODELS: usize = 10_000;

impl Stats {
    /// All requests to model endpoints.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests for one model, by the name the provider was asked under.
    pub fn requests_for(&self, model: &str) -> u64 {
        lock(&self.by_model).get(model).copied().unwrap_or_default()
    }

    /// Connections ever accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> i64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Requests being answered now; those for these numbers do not count.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests whose client left before it had its answer, streams above all.
    pub fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::Relaxed)
    }

    /// The last requests, oldest first, as far as `Behaviour::record` keeps them.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }

    pub(super) fn keep(&self, requests: usize) {
        self.keep.store(requests, Ordering::Relaxed);
    }

    pub(super) fn keeps(&self) -> bool {
        self.keep.load(Ordering::Relaxed) > 0
    }

    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn abandoned(&self) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn asked(&self, model: &str) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut by_model = lock(&self.by_model);
        if let Some(count) = by_model.get_mut(model) {
            *count += 1;
        } else if by_model.len() < MODELS {
            by_model.insert(model.to_owned(), 1);
        }
    }

    pub(super) fn remember(&self, seen: Seen) {
        let keep = self.keep.load(Ordering::Relaxed);
        let mut all = lock(&self.seen);
        while all.len() >= keep.max(1) {
            all.pop_front();
        }
        all.push_back(seen);
    }

    pub(super) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::json!({
            "name": name,
            "requests": self.requests(),
            "by_model": &*lock(&self.by_model),
            "connections": self.connections(),
            "open": self.open(),
            "in_flight": self.in_flight(),
            "aborted": self.aborted(),
            "body_bytes": self.body_bytes.load(Ordering::Relaxed),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_text<S: serde::Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}
