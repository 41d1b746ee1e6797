//! How providers speak: pure functions from bytes to meanings, one module a dialect.

pub mod length;
pub mod openai;
pub mod rate_limits;
pub mod redact;
pub mod retry_after;
pub mod stream;
pub mod tail;
pub mod usage;
