//! The data port.

pub mod admit;
mod answer;
mod arrival;
pub mod context;
pub mod door;
mod failed;
mod handover;
pub mod intake;
pub mod measured;
pub mod models;
pub mod passthrough;
pub mod reply;
pub mod service;
pub mod settle;
pub mod shared;
mod spend;
mod uses;
