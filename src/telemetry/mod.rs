//! What an operator sees: counters, and one line a request.

pub mod access;
pub mod diagnostics;
pub mod metrics;
pub mod tale;
