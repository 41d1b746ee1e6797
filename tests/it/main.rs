//! The gateway as its users meet it: the built binary, real sockets, a provider that follows a
//! script. Every test starts its own process on ports of its own, so all of them run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod harness;

mod addresses;
mod admin;
mod answers_back;
mod bodies;
mod buffers;
mod bytes_up;
mod cancelled;
mod check;
mod check_hostile;
mod commit;
mod drain;
mod endings;
mod examples;
mod exhausted;
mod failover;
mod first_token;
mod headers;
mod health;
mod http2;
mod http_abuse;
mod judged;
mod keys;
mod layers;
mod leaving;
mod limits;
mod models;
mod odd_bytes;
mod outbound;
mod passthrough;
mod passthrough_edges;
mod patience;
mod pings;
mod pool;
mod refusals;
mod reload;
mod resume;
mod secrets;
mod shutdown;
mod sixteen;
mod slow_clients;
mod soak;
mod spread;
mod streams;
mod terminals;
mod timers;
mod tokens;
mod trace;
mod typed_events;
mod upgrade;
mod upstream_tls;
mod usage;
