//! What was delivered before a stream broke, in tokens: estimated, and told to the caller.

use crate::body::scan::{fields, scan};
use crate::body::splice::{Edit, apply};
use bytes::Bytes;
use std::ops::Range;

/// Events that carry more than this, on average, hold several tokens each.
const LONG_EVENT: u64 = 16;
pub const BYTES_A_TOKEN: u64 = 4;

/// Delivered text measured in tokens, where the provider has not said: one an event, or by its
/// length where events carry more.
pub fn estimated_tokens(events: u64, bytes: u64) -> u64 {
    if bytes <= events.saturating_mul(LONG_EVENT) {
        events
    } else {
        bytes.div_ceil(BYTES_A_TOKEN)
    }
}

/// The usage of a continuation as that of the whole answer: the `before` tokens that were sent
/// along as its beginning move from the prompt to the completion, and the total stays. A prompt
/// smaller than that cannot have counted them; then completion and total grow. All else is left
/// byte for byte.
///
/// `None` when there is nothing to change, or not one whole number for each of the two.
pub fn whole_usage(usage_json: &[u8], before: u64) -> Option<Vec<u8>> {
    if before == 0 {
        return None;
    }
    scan(usage_json).ok()?;
    let completion = count(usage_json, "completion_tokens")?;
    let prompt = count(usage_json, "prompt_tokens")?;
    let mut edits = vec![completion.becomes(completion.tokens.checked_add(before)?)];
    match prompt.tokens.checked_sub(before) {
        Some(left) => edits.push(prompt.becomes(left)),
        None => edits.extend(
            count(usage_json, "total_tokens")
                .and_then(|total| Some(total.becomes(total.tokens.checked_add(before)?))),
        ),
    }
    edits.sort_by_key(|edit| edit.span.start);
    let usage = Bytes::copy_from_slice(usage_json);
    Some(apply(&usage, edits).joined().into())
}

/// A number of tokens, and where it stands.
struct Count {
    span: Range<usize>,
    tokens: u64,
}

impl Count {
    fn becomes(&self, tokens: u64) -> Edit {
        Edit {
            span: self.span.clone(),
            with: tokens.to_string().into(),
        }
    }
}

/// The one top-level field of this name.
fn count(json: &[u8], name: &str) -> Option<Count> {
    let mut named = fields(json).filter(|field| field.key == name);
    let span = named.next()?.value;
    if named.next().is_some() {
        return None;
    }
    let tokens = serde_json::from_slice(json.get(span.clone())?).ok()?;
    Some(Count { span, tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(usage: &str, before: u64) -> Option<String> {
        whole_usage(usage.as_bytes(), before).map(|usage| String::from_utf8(usage).unwrap())
    }

    #[test]
    fn events_are_tokens_unless_they_are_long() {
        for (events, bytes, tokens) in [
            (0, 0, 0),
            (0, 1, 1),
            (0, 9, 3),
            (1, 1, 1),
            (1, 16, 1),
            (1, 17, 5),
            (40, 160, 40),
            (40, 640, 40),
            (40, 641, 161),
            (100, 10, 100),
            (u64::MAX, u64::MAX, u64::MAX),
            (1, u64::MAX, u64::MAX / 4 + 1),
        ] {
            assert_eq!(estimated_tokens(events, bytes), tokens, "{events} {bytes}");
        }
    }

    #[test]
    fn what_came_before_moves_from_prompt_to_completion() {
        assert_eq!(
            whole(
                r#" { "prompt_tokens" : 50,"x":1.0,"completi\u006fn_tokens":20, "total_tokens":70,
                "prompt_tokens_details":{"prompt_tokens":50}} "#,
                40
            )
            .unwrap(),
            r#" { "prompt_tokens" : 10,"x":1.0,"completi\u006fn_tokens":60, "total_tokens":70,
                "prompt_tokens_details":{"prompt_tokens":50}} "#
        );
        assert_eq!(
            whole(r#"{"completion_tokens":0,"prompt_tokens":40}"#, 40).unwrap(),
            r#"{"completion_tokens":40,"prompt_tokens":0}"#
        );
    }

    #[test]
    fn a_prompt_that_cannot_have_held_it_stays() {
        assert_eq!(
            whole(
                r#"{"total_tokens":15,"completion_tokens":5,"prompt_tokens":10}"#,
                40
            )
            .unwrap(),
            r#"{"total_tokens":55,"completion_tokens":45,"prompt_tokens":10}"#
        );
        assert_eq!(
            whole(
                r#"{"total_tokens":null,"completion_tokens":5,"prompt_tokens":10}"#,
                40
            )
            .unwrap(),
            r#"{"total_tokens":null,"completion_tokens":45,"prompt_tokens":10}"#
        );
    }

    #[test]
    fn what_is_no_usage_is_left_alone() {
        let usage = r#"{"completion_tokens":5,"prompt_tokens":100}"#;
        assert_eq!(whole(usage, 0), None);
        assert_eq!(whole(usage, u64::MAX), None);
        for other in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"completion_tokens":5}"#,
            r#"{"input_tokens":100,"output_tokens":5}"#,
            r#"{"completion_tokens":5.0,"prompt_tokens":100}"#,
            r#"{"completion_tokens":5,"prompt_tokens":null}"#,
            r#"{"completion_tokens":5,"prompt_tokens":"100"}"#,
            r#"{"completion_tokens":-5,"prompt_tokens":100}"#,
            r#"{"completion_tokens":5,"prompt_tokens":18446744073709551616}"#,
            r#"{"completion_tokens":5,"prompt_tokens":100,"prompt_tokens":100}"#,
            r#"{"completion_tokens":5,"prompt_tokens":100"#,
            r#"{"completion_tokens":5,"prompt_tokens":100}}"#,
        ] {
            assert_eq!(whole(other, 40), None, "{other}");
        }
    }
}
