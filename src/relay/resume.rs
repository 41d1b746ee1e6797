//! A stream that broke after its commit, carried on by another target. Pure: texts in, texts out.

pub mod delivered;
pub mod graft;
pub mod request;
pub mod tokens;
pub mod wish;

#[cfg(test)]
mod properties;
