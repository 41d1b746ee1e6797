//! From `overspill.yaml` to a snapshot, or to everything that is wrong with it.
//!
//! `reference` and `parse` make a marked tree (`document`), `decode` reads it into the parsed form
//! (`file`), `validate` turns that into the ready form (`snapshot`). `load` does all of it.

pub mod date;
pub mod load;
pub mod metric;
pub mod money;
pub mod problem;
pub mod secret;
pub mod snapshot;
pub mod suggest;
pub mod units;

mod decode;
mod document;
mod fault;
mod file;
mod forms;
mod host;
mod parse;
mod place;
mod reference;
mod shape;
mod shown;
mod standing;
mod validate;
mod words;

#[cfg(test)]
mod tests;
