//! Request and answer bodies as bytes: read once, changed only where they must be.

pub mod asides;
mod block;
pub mod cursor;
mod error;
pub mod inflate;
pub mod members;
pub mod messages;
pub mod needs;
mod nested;
pub mod passing;
pub mod scan;
pub mod splice;
pub mod stream_options;
mod string;
mod walk;

#[cfg(test)]
mod cut_properties;
#[cfg(test)]
mod properties;
