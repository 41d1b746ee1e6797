//! What is known of targets, providers, their addresses and keys while they are used: who is well,
//! who rests, who is full. `now` is an argument of every decision.

pub mod board;
pub mod breaker;
pub mod choose;
pub mod cooling;
pub mod grant;
pub mod keys;
pub mod pulse;
pub mod speed;
