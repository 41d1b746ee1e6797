//! The gateway as its users meet it: the built binary, real sockets, a provider that follows a
//! script. Every test starts its own process on ports of its own, so all of them run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod harness;

mod access_log;
mod addresses;
mod admin;
mod answers_back;
mod balance;
mod bodies;
mod breaker;
mod budgets;
mod buffers;
mod bytes_up;
mod cancelled;
mod cardinality;
mod catalogue;
mod check;
mod check_hostile;
mod commit;
mod cooling;
mod costs;
mod dashboards;
mod drain;
mod early;
mod endings;
mod examples;
mod exhausted;
mod explained;
mod failover;
mod fair;
mod first_token;
mod footprint;
mod guides;
mod half_open;
mod headers;
mod health;
mod http2;
mod http_abuse;
mod hybrid;
mod import;
mod judged;
mod key_pools;
mod keys;
mod layers;
mod leaving;
mod left_out;
mod limits;
mod measures;
mod metrics;
mod models;
mod nothing;
mod odd_bytes;
mod outbound;
mod overflow;
mod passed_on;
mod passthrough;
mod passthrough_edges;
mod patience;
mod pings;
mod policies;
mod policy_edges;
mod pool;
mod preferences;
mod rank;
mod refusals;
mod reload;
mod resume;
mod retry_budget;
mod rules;
mod secrets;
mod shutdown;
mod sixteen;
mod slow_clients;
mod soak;
mod spread;
mod starting;
mod sticky;
mod store;
mod store_faults;
mod store_postgres;
mod streams;
mod terminals;
mod timers;
mod token_limits;
mod tokens;
mod trace;
mod traces;
mod typed_events;
mod under_load;
mod upgrade;
mod upstream_http1;
mod upstream_tls;
mod usage;
