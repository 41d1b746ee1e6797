//! When a stream has said something: until then whatever goes wrong stays unseen.

use crate::config::snapshot::Endpoint;
use crate::dialect::openai::answer::says_something;
use crate::dialect::openai::error::error_inside;
use crate::sse::event::Event;
use crate::sse::split::Splitter;
use bytes::{Bytes, BytesMut};

/// Held at most; a stream that has not said anything by then is committed all the same.
const LIMIT: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing worth delivering yet.
    Hold,
    /// There is content: what is held may go.
    Go,
    /// An error came first; this is its data.
    Error(Bytes),
}

/// Watches a stream up to its first content.
pub struct Commit {
    endpoint: Endpoint,
    held: BytesMut,
    splitter: Splitter,
}

impl Commit {
    pub fn new(endpoint: Endpoint) -> Commit {
        Commit {
            endpoint,
            held: BytesMut::new(),
            splitter: Splitter::new(LIMIT),
        }
    }

    pub fn feed(&mut self, chunk: Bytes) -> Decision {
        self.held.extend_from_slice(&chunk);
        self.splitter.push(chunk);
        while let Some(event) = self.splitter.next() {
            let Ok(event) = event else {
                return Decision::Go;
            };
            match self.look(&event) {
                Decision::Hold => {}
                decided => return decided,
            }
        }
        if self.held.len() > LIMIT {
            Decision::Go
        } else {
            Decision::Hold
        }
    }

    /// The stream is over: its last event may stand there without the blank line after it.
    pub fn end(&mut self) -> Decision {
        let event = Event::new(self.splitter.take_tail());
        self.look(&event)
    }

    fn look(&self, event: &Event) -> Decision {
        match event.data() {
            Some(data) if error_inside(&data) => Decision::Error(Bytes::copy_from_slice(&data)),
            Some(data) if says_something(self.endpoint, &data) => Decision::Go,
            _ => Decision::Hold,
        }
    }

    /// Everything fed so far.
    pub fn into_held(self) -> Bytes {
        self.held.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
    const TEXT: &str = r#"data: {"choices":[{"delta":{"content":"Hi"}}]}"#;
    const ERROR: &str = r#"data: {"error":{"message":"no"}}"#;

    /// What is decided, and after how many bytes, fed one by one.
    fn decide(text: &str) -> (Decision, usize) {
        let mut commit = Commit::new(Endpoint::Chat);
        for (at, byte) in text.bytes().enumerate() {
            match commit.feed(Bytes::copy_from_slice(&[byte])) {
                Decision::Hold => {}
                decided => return (decided, at + 1),
            }
        }
        (commit.end(), text.len())
    }

    #[test]
    fn content_commits_and_nothing_before_it() {
        let text = format!(": hello\n\n{ROLE}\n\n{TEXT}\n\n");
        assert_eq!(decide(&text), (Decision::Go, text.len()));
        for silent in [
            "",
            ": only a comment\n\n",
            "data: [DONE]\n\n",
            "data: {\n\n",
        ] {
            assert_eq!(decide(silent).0, Decision::Hold, "{silent}");
        }
        let stop = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        assert_eq!(decide(&format!("{stop}\n\n")).0, Decision::Hold);
        let cut = stop.replace("stop", "length");
        assert_eq!(decide(&format!("{cut}\n\n")).0, Decision::Go);
    }

    #[test]
    fn an_error_before_content_is_an_error() {
        let text = format!("{ROLE}\n\n{ERROR}\n\n{TEXT}\n\n");
        assert!(matches!(decide(&text).0, Decision::Error(_)));
        // Without the blank line after it.
        assert!(matches!(decide(ERROR).0, Decision::Error(_)));
        assert_eq!(decide(TEXT).0, Decision::Go);
    }

    #[test]
    fn holding_has_a_bound() {
        let text = format!("{ROLE}\n\n").repeat(2000);
        let (decision, after) = decide(&text);
        assert_eq!(decision, Decision::Go);
        assert_eq!(after, LIMIT + 1);
    }
}
