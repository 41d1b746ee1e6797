//! A provider that misbehaves on request: for the demo, for tests and for load.
//!
//! It speaks the OpenAI API over HTTP/1.1 written by hand, so that every byte on the wire is its
//! own choice. What goes wrong is named in the model: `any/model+429`, `500-once`,
//! `m+cut,chunks=60,at=40`; `plan.rs` has the words. `GET /__mock/stats` tells what it saw.

mod answer;
mod behaviour;
mod connection;
mod echo;
mod event;
mod fault;
mod flow;
mod plan;
mod prefill;
mod recurrence;
mod refusal;
mod request;
mod scan;
mod stats;
mod stream;
mod strike;
mod text;
mod units;
mod usage;
mod vocabulary;
mod whole;
mod wire;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use behaviour::Behaviour;
pub use stats::{Seen, Stats};

use behaviour::Shared;

/// Serves until it is dropped; then every connection ends with it.
pub async fn serve(listener: TcpListener, behaviour: Behaviour) {
    let shared = Arc::new(Shared::new(behaviour));
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection::run(stream, shared.clone()));
                while connections.try_join_next().is_some() {}
            }
            // Out of file descriptors, most likely: some will come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// The demo's providers: a flaky, a healthy and a slow one.
pub fn demo_trio() -> [Behaviour; 3] {
    [
        Behaviour::flaky("flaky"),
        Behaviour::healthy("healthy"),
        Behaviour::slow("slow"),
    ]
}
