//! The way to a provider: where it is, who we are there, and what of a request goes with us.

pub mod address;
pub mod checks;
pub mod collector;
pub mod credentials;
pub mod habits;
pub mod headers;
pub mod http1;
pub mod identity;
pub mod outline;
pub mod peer;
pub mod probe;
pub mod resolver;
pub mod rewrite;
pub mod tunnel;
