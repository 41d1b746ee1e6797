//! One request, tried at one target after the other until an answer goes to the caller.
//!
//! `commit` and `pump` turn bytes into decisions and know nothing of sockets; `exchange`, `source`
//! and `attempt` are the upstream side, `deliver` and `give_up` the caller's, `run` the loop around
//! them.

pub mod attempt;
pub mod commit;
pub mod deliver;
pub mod exchange;
pub mod give_up;
pub mod pump;
pub mod run;
pub mod source;

use crate::upstream::address::Book;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;

/// The way out: where providers are, and the connections kept to them.
pub struct Wires {
    pub book: Book,
    pub connector: Connector,
    /// Keeps nothing, so that what it hands out was opened just now.
    pub fresh: Connector,
}

impl Wires {
    pub fn new(book: Book, pool: usize) -> Wires {
        Wires {
            book,
            connector: Connector::new(Some(ConnectorOptions::new(pool))),
            fresh: Connector::new(Some(ConnectorOptions::new(1))),
        }
    }
}
