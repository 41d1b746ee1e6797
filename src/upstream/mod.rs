//! The way to a provider: where it is, who we are there, and what of a request goes with us.

pub mod address;
pub mod credentials;
pub mod habits;
pub mod headers;
pub mod outline;
pub mod peer;
pub mod rewrite;
