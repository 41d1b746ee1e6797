//! What a request carries from admission to its end.

use crate::config::snapshot::{Key, Provider, Route, Snapshot};
use crate::error::Reason;
use crate::health::board::Board;
use crate::health::grant::Grant;
use crate::limits::budget::Reservation;
use crate::proxy::settle;
use crate::proxy::shared::Shared;
use crate::telemetry::tale::Tale;
use crate::upstream::address::Choice;
use crate::upstream::peer::KnownPeer;
use bytes::BytesMut;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

pub struct Call {
    pub shared: Arc<Shared>,
    /// Pinned once, kept to the end: a reload never changes a request midway.
    pub snapshot: Arc<Snapshot>,
    /// The live state of what the snapshot names.
    pub board: Arc<Board>,
    /// Who calls, where keys are asked for.
    pub key: Option<Arc<Key>>,
    pub started: Instant,
    pub began: SystemTime,
    pub method: String,
    pub path: String,
    pub tale: Tale,
    pub passthrough: Option<Passthrough>,
    /// What it may cost, where its key has a budget.
    pub reservation: Option<Reservation>,
    settled: bool,
}

/// A request that goes through Pingora's own phases.
pub struct Passthrough {
    pub route: Arc<Route>,
    pub provider: Arc<Provider>,
    pub grant: Grant,
    pub peer: Arc<KnownPeer>,
    /// Where it is too, should this one take no connection.
    pub others: Choice,
    /// Below the provider's base path.
    pub below: String,
    /// What has come of an error's body and has not gone on yet. None: it goes on as it comes.
    pub held: Option<BytesMut>,
}

impl Call {
    pub fn new(shared: &Arc<Shared>, now: Instant) -> Call {
        shared.metrics.in_flight.inc();
        let current = shared.current.load();
        Call {
            shared: Arc::clone(shared),
            snapshot: Arc::clone(&current.snapshot),
            board: Arc::clone(&current.board),
            key: None,
            started: now,
            began: SystemTime::now(),
            method: String::new(),
            path: String::new(),
            tale: Tale {
                leaving: Arc::clone(&shared.leaving),
                ..Tale::default()
            },
            passthrough: None,
            reservation: None,
            settled: false,
        }
    }

    /// Counts and records the request, once.
    pub fn settle(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.settled, true) {
            settle::settle(self, now);
            // Last: whoever waits for the last request waits for what is told of it.
            self.shared.metrics.in_flight.dec();
        }
    }
}

/// A task that is dropped in the middle (a shutdown, a vanished connection) still counts.
impl Drop for Call {
    fn drop(&mut self) {
        if !self.settled {
            self.tale.end(match *self.shared.stop.borrow() {
                true => Reason::GatewayStopped,
                false => Reason::CallerCancelled,
            });
            self.settle(Instant::now());
        }
    }
}
