//! What all requests share.

use crate::config::snapshot::Snapshot;
use crate::health::board::Board;
use crate::limits::budget::Budgets;
use crate::limits::buffers::Buffers;
use crate::limits::retry_budget::RetryBudget;
use crate::measure::Measures;
use crate::relay::Wires;
use crate::store::Store;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};
use tokio::sync::watch::Sender;

/// A configuration and the live state of what it names: always exchanged together.
pub struct Current {
    pub snapshot: Arc<Snapshot>,
    pub board: Arc<Board>,
    pub budgets: Arc<Budgets>,
}

impl Current {
    pub fn first(snapshot: Arc<Snapshot>, now: Instant, today: SystemTime) -> Current {
        let (board, budgets) = (Board::default(), Budgets::default());
        Current::beside(snapshot, &board, &budgets, now, today)
    }

    /// What this one knew of the same names stays known.
    pub fn followed_by(&self, snapshot: Arc<Snapshot>, now: Instant, today: SystemTime) -> Current {
        Current::beside(snapshot, &self.board, &self.budgets, now, today)
    }

    fn beside(
        snapshot: Arc<Snapshot>,
        board: &Board,
        budgets: &Budgets,
        now: Instant,
        today: SystemTime,
    ) -> Current {
        Current {
            board: Arc::new(Board::new(&snapshot, board, now)),
            budgets: Arc::new(Budgets::new(&snapshot, budgets, today)),
            snapshot,
        }
    }
}

pub struct Shared {
    /// Callers are asked to come back by another connection.
    pub leaving: Arc<AtomicBool>,
    /// True at the very end: whoever is still waited for is told so.
    pub stop: Sender<bool>,
    pub current: ArcSwap<Current>,
    pub retry_budget: RetryBudget,
    pub wires: Wires,
    pub buffers: Arc<Buffers>,
    pub metrics: Arc<Metrics>,
    pub measures: Arc<Measures>,
    pub access: AccessLog,
    pub traces: Traces,
    /// None: no record is kept.
    pub store: Option<Store>,
}
