//! Event streams: cut into events as they arrive, byte for byte.

pub mod event;
pub mod split;

#[cfg(test)]
mod properties;
