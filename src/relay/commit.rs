//! When a stream has said something: until then whatever goes wrong stays unseen.

use crate::dialect::openai::error::error_inside;
use crate::sse::split::Splitter;
use bytes::{Bytes, BytesMut};

/// Held at most; a stream whose first event is larger is committed unseen.
const LIMIT: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing worth delivering yet.
    Hold,
    /// An event that is an answer: what is held may go.
    Go,
    /// The first event is an error; this is its data.
    Error(Bytes),
}

/// Watches a stream up to its first event.
pub struct Commit {
    held: BytesMut,
    splitter: Splitter,
}

impl Default for Commit {
    fn default() -> Commit {
        Commit {
            held: BytesMut::new(),
            splitter: Splitter::new(LIMIT),
        }
    }
}

impl Commit {
    pub fn feed(&mut self, chunk: Bytes) -> Decision {
        self.held.extend_from_slice(&chunk);
        self.splitter.push(chunk);
        while let Some(event) = self.splitter.next() {
            let Ok(event) = event else {
                return Decision::Go;
            };
            let Some(data) = event.data() else {
                continue;
            };
            return if data.trim_ascii() == b"[DONE]" {
                // The end, with nothing before it.
                Decision::Hold
            } else if error_inside(&data) {
                Decision::Error(Bytes::copy_from_slice(&data))
            } else {
                Decision::Go
            };
        }
        if self.held.len() > LIMIT {
            Decision::Go
        } else {
            Decision::Hold
        }
    }

    /// Everything fed so far.
    pub fn into_held(self) -> Bytes {
        self.held.freeze()
    }
}
