//! From `overspill.yaml` to a snapshot, or to everything that is wrong with it.
//!
//! `reference` and `parse` make a marked tree (`document`), `decode` reads it into the parsed form
//! (`file`), `validate` turns that into the ready form (`snapshot`). `load` does all of it.

pub mod date;
pub mod document;
pub mod load;
pub mod metric;
pub mod money;
pub mod parse;
pub mod period;
pub mod place;
pub mod problem;
pub mod reference;
pub mod requirement;
pub mod secret;
pub mod snapshot;
pub mod suggest;
pub mod units;

mod decode;
mod fault;
mod file;
mod forms;
mod host;
mod shape;
mod shown;
mod standing;
mod validate;
mod words;

pub use validate::{EndpointUrl, is_foreign_name, is_name};

#[cfg(test)]
mod tests;
