//! The dialect of OpenAI and of the many who follow it, more or less.

pub mod answer;
pub mod error;
pub mod normalise;
mod rules;
mod said;
