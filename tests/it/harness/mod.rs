//! What the tests are made of: a gateway process, a raw client, a provider that follows a script.

pub mod answers;
pub mod client;
pub mod clock;
pub mod collector;
pub mod config;
pub mod crowd;
pub mod fleet;
pub mod forward;
pub mod gateway;
pub mod h2_client;
pub mod h2_provider;
mod kept;
pub mod postgres;
pub mod provider;
mod records;
pub mod said;
mod selftest;
pub mod streaming;
pub mod tls;
pub mod vitals;
pub mod voice;
pub mod wire;

pub use answers::{chat, chat_reply, json_reply};
pub use client::{Conn, Reply, Request};
pub use clock::{until, within};
pub use collector::Collector;
pub use config::Config;
pub use gateway::Gateway;
pub use provider::{Act, Provider};
pub use said::Said;

pub use serde_json::Value;
pub use std::time::{Duration, Instant};

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a client asks for in most tests: the canonical model and one message.
pub const ASK: &str = r#"{"model":"acme/chat","messages":[{"role":"user","content":"hi"}]}"#;

/// The same as a stream.
pub const ASK_STREAM: &str =
    r#"{"model":"acme/chat","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
