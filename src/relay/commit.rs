//! When a stream has said something: until then whatever goes wrong stays unseen.

use crate::relay::pump::{Pump, Stop};

/// Held at most; a stream that has not said anything by then is committed all the same.
const LIMIT: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing worth delivering yet.
    Hold,
    /// There is content: what is held may go.
    Go,
    /// An error came first; this is its data.
    Error(Vec<u8>),
    /// It ended with nothing to say.
    Empty,
    /// It broke off before it said anything.
    Truncated,
    /// It was to carry on another answer, and is a different one.
    Differs,
}

/// Takes the next bytes of a stream that is not committed yet.
pub fn feed(pump: &mut Pump, chunk: &[u8]) -> Decision {
    pump.feed(chunk);
    decide(pump)
}

/// The stream is over.
pub fn end(pump: &mut Pump) -> Decision {
    pump.end();
    decide(pump)
}

fn decide(pump: &mut Pump) -> Decision {
    if pump.stop() == Some(&Stop::Differs) {
        return Decision::Differs;
    }
    // What came first counts, however it was cut into pieces: an error after content is seen.
    if pump.has_begun() || pump.held() > LIMIT {
        return Decision::Go;
    }
    match pump.stop() {
        None => Decision::Hold,
        Some(Stop::Differs | Stop::Error(_)) => match pump.take_stop() {
            Some(Stop::Error(data)) => Decision::Error(data),
            _ => Decision::Hold,
        },
        Some(Stop::Done | Stop::Truncated) if pump.is_empty() => Decision::Empty,
        Some(Stop::Done | Stop::Truncated) => Decision::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::Endpoint;
    use crate::relay::pump::Form;

    const ROLE: &str = r#"data: {"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
    const TEXT: &str = r#"data: {"choices":[{"delta":{"content":"Hi"}}]}"#;
    const ERROR: &str = r#"data: {"error":{"message":"no"}}"#;
    const STOP: &str = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

    fn pump() -> Pump {
        Pump::new(Form {
            endpoint: Endpoint::Chat,
            model: None,
            strip_usage: false,
            several: false,
            keep: false,
        })
    }

    /// What is decided, and after how many bytes, fed one by one.
    fn decide(text: &str) -> (Decision, usize) {
        let mut pump = pump();
        for (at, byte) in text.bytes().enumerate() {
            match feed(&mut pump, &[byte]) {
                Decision::Hold => {}
                decided => return (decided, at + 1),
            }
        }
        (end(&mut pump), text.len())
    }

    #[test]
    fn content_commits_and_nothing_before_it() {
        let text = format!(": hello\n\n{ROLE}\n\n{TEXT}\n\n");
        assert_eq!(decide(&text), (Decision::Go, text.len()));
        // Without the blank line after it.
        assert_eq!(decide(TEXT).0, Decision::Go);
        let cut = STOP.replace("stop", "length");
        assert_eq!(decide(&format!("{cut}\n\n")).0, Decision::Go);
    }

    #[test]
    fn an_end_without_content_is_empty_and_no_end_is_a_break() {
        for empty in [
            "",
            ": only a comment\n\n",
            "data: [DONE]\n\n",
            &format!("{ROLE}\n\n{STOP}\n\n"),
            &format!("{ROLE}\n\ndata: [DONE]\n\n"),
        ] {
            assert_eq!(decide(empty).0, Decision::Empty, "{empty}");
        }
        for broken in [
            &format!("{ROLE}\n\n"),
            &format!("{ROLE}\n\n{}", &TEXT[..30]),
            "data: {\n\n",
        ] {
            assert_eq!(decide(broken).0, Decision::Truncated, "{broken}");
        }
    }

    #[test]
    fn an_error_before_content_is_an_error_and_one_after_it_is_not() {
        let text = format!("{ROLE}\n\n{ERROR}\n\n{TEXT}\n\n");
        assert!(matches!(decide(&text).0, Decision::Error(_)));
        assert!(matches!(decide(ERROR).0, Decision::Error(_)));
        let mut pump = pump();
        let text = format!("{TEXT}\n\n{ERROR}\n\n");
        assert_eq!(feed(&mut pump, text.as_bytes()), Decision::Go);
        assert!(matches!(pump.stop(), Some(Stop::Error(_))));
    }

    #[test]
    fn holding_has_a_bound_and_comments_are_not_held() {
        let text = format!("{ROLE}\n\n").repeat(2000);
        assert_eq!(decide(&text), (Decision::Go, LIMIT + 1));
        let mut pump = pump();
        for _ in 0..10_000 {
            assert_eq!(feed(&mut pump, b": still here\n\n"), Decision::Hold);
        }
        assert_eq!(pump.held(), 0);
    }
}
