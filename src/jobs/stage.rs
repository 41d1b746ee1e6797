//! How far the gateway is, from its first moment to its last.

use pingora::server::ShutdownWatch;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch::Sender;

/// What has been said stays said: nothing here is ever taken back but readiness.
pub struct Stage {
    ready: AtomicBool,
    leaving: Sender<bool>,
    data_closed: Sender<bool>,
    admin_closed: Sender<bool>,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            ready: AtomicBool::new(false),
            leaving: Sender::new(false),
            data_closed: Sender::new(false),
            admin_closed: Sender::new(false),
        }
    }
}

impl Stage {
    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Callers are asked to come back by a new connection.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    pub fn close_data(&self) {
        self.data_closed.send_replace(true);
    }

    pub fn close_admin(&self) {
        self.admin_closed.send_replace(true);
    }

    pub fn leaving(&self) -> ShutdownWatch {
        self.leaving.subscribe()
    }

    pub fn data_closed(&self) -> ShutdownWatch {
        self.data_closed.subscribe()
    }

    pub fn admin_closed(&self) -> ShutdownWatch {
        self.admin_closed.subscribe()
    }
}
