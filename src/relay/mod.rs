//! One request, tried at one target after the other until an answer goes to the caller.
//!
//! `commit`, `pump`, `patience` and `resume` turn times and bytes into decisions and know nothing of
//! sockets; `prepare`, `exchange`, `source` and `attempt` are the upstream side, `line`, `deliver`,
//! `carry` and `give_up` the caller's. `run` is the loop up to the commit, `elsewhere` looks for
//! another target after it.

pub mod attempt;
pub mod bars;
mod bill;
pub mod caller;
pub mod carry;
pub mod climb;
pub mod commit;
pub mod deliver;
pub mod elsewhere;
pub mod exchange;
pub mod give_up;
pub mod line;
pub mod patience;
pub mod prepare;
pub mod pump;
pub mod resume;
pub mod run;
pub mod source;

use crate::health::board::Board;
use crate::limits::retry_budget::RetryBudget;
use crate::telemetry::metrics::Metrics;
use crate::upstream::address::Book;
use crate::upstream::habits::Habits;
use crate::upstream::http1::Idle;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use std::sync::Arc;
use tokio::sync::watch::Sender;

/// The way out: where providers are, and the connections kept to them.
pub struct Wires {
    pub book: Arc<Book>,
    pub habits: Habits,
    /// Opens connections, and keeps those that speak HTTP/2.
    pub connector: Connector,
    /// Those that speak HTTP/1.1, between two requests.
    pub idle: Idle,
}

impl Wires {
    pub fn new(book: Arc<Book>, pool: usize) -> Wires {
        Wires {
            book,
            habits: Habits::default(),
            connector: Connector::new(Some(ConnectorOptions::new(pool))),
            idle: Idle::new(pool),
        }
    }
}

/// What the relay works with, besides the call itself.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub wires: &'a Wires,
    pub board: &'a Board,
    pub budget: &'a RetryBudget,
    pub metrics: &'a Metrics,
    /// True at the gateway's end.
    pub stop: &'a Sender<bool>,
}
