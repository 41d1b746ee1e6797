//! Which route, which targets, in which order. Pure: no I/O, no clock.

pub mod balance;
pub mod figures;
pub mod filter;
pub mod least_busy;
pub mod plan;
pub mod preferences;
pub mod rank;
pub mod sticky;
pub mod table;

pub use crate::config::metric;
