//! What is kept of the requests that were served.

pub mod record;
