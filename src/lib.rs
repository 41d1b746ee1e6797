//! Overspill: an edge gateway for large language models, built on Pingora.
//!
//! ARCHITECTURE.md has the map; the modules below are its rooms, from the bottom up.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod error;

pub mod catalog;
pub mod config;

pub mod body;
pub mod dialect;
pub mod failover;
pub mod import;
pub mod pricing;
pub mod routing;
pub mod sse;

pub mod access;
pub mod health;
pub mod limits;
pub mod measure;

pub mod decide;
pub mod explain;
pub mod store;
pub mod telemetry;

pub mod relay;
pub mod upstream;

pub mod admin;
pub mod jobs;
pub mod mock;
pub mod proxy;

pub mod app;
pub mod cli;
