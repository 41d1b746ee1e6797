//! What an operator sees: counters, and one line a request.

pub mod access;
pub mod diagnostics;
pub mod metrics;
mod otlp;
pub mod spans;
pub mod tale;
pub mod trace_context;
pub mod traces;
