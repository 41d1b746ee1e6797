//! What the gateway holds at once, what it may ask of others, and where it says no.

pub mod budget;
pub mod buffers;
pub mod rates;
mod recall;
pub mod retry_budget;
pub mod window;
