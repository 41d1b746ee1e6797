//! What the gateway holds at once, and where it says no.

pub mod buffers;
