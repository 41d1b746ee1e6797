//! The request that continues a broken stream: the caller's own, with the delivered text as the
//! beginning of the answer.

use crate::body::scan::{Field, fields};
use crate::body::splice::Edit;
use crate::config::snapshot::Prefill;
use bytes::Bytes;
use serde_json::Value;
use std::ops::Range;

/// How a form is written.
struct Form {
    /// Put into the message, after its content.
    in_message: &'static str,
    /// Set at the top level of the body.
    beside: &'static [(&'static str, &'static str)],
}

/// What makes the caller's body ask for the rest of `text`: edits in the order of their places,
/// none of them at `model`, at `stream_options` or at the front of the body. `text` has no white
/// space at its end; the `delivered` tokens are taken off the caller's limits.
///
/// `None` when there is nothing to continue, no such form, or not exactly one `messages` array:
/// readers differ about which of two holds.
pub fn continuing(body: &Bytes, form: Prefill, text: &str, delivered: u64) -> Option<Vec<Edit>> {
    let form = written(form)?;
    let fields: Vec<_> = fields(body).collect();
    let mut arrays = fields.iter().filter(|field| field.key == "messages");
    if text.is_empty() || arrays.next().is_none() || arrays.next().is_some() {
        return None;
    }
    let mut edits = Vec::new();
    for field in &fields {
        match field.key.as_ref() {
            "messages" => {
                edits.push(message(body, &field.value, text, form.in_message)?);
                edits.extend(missing(&form, &fields, field.span.end));
            }
            "max_tokens" | "max_completion_tokens" => {
                edits.extend(lower(body, &field.value, delivered));
            }
            name => {
                let set = form.beside.iter().find(|(beside, _)| *beside == name);
                edits.extend(set.map(|(_, value)| Edit {
                    span: field.value.clone(),
                    with: Bytes::from_static(value.as_bytes()),
                }));
            }
        }
    }
    Some(edits)
}

fn written(form: Prefill) -> Option<Form> {
    let (in_message, beside): (_, &[_]) = match form {
        Prefill::None => return None,
        Prefill::Assistant => ("", &[]),
        Prefill::Prefix => (r#","prefix":true"#, &[]),
        Prefill::Partial => (r#","partial":true"#, &[]),
        Prefill::ContinueFinalMessage => (
            "",
            &[
                ("continue_final_message", "true"),
                ("add_generation_prompt", "false"),
            ],
        ),
    };
    Some(Form { in_message, beside })
}

/// The delivered text as the last message.
fn message(body: &[u8], array: &Range<usize>, text: &str, flag: &str) -> Option<Edit> {
    let open = body.get(array.clone())?.strip_suffix(b"]")?;
    let filled = open.trim_ascii_end();
    // A lenient reader may have let a comma pass after the last message: one is enough.
    let comma = match filled.last()? {
        b'[' | b',' => "",
        _ => ",",
    };
    let text = Value::from(text);
    let message = format!(r#"{comma}{{"role":"assistant","content":{text}{flag}}}"#);
    let at = array.start + filled.len();
    Some(Edit {
        span: at..at,
        with: message.into(),
    })
}

/// The form's top-level fields that the caller did not send. They go behind the messages, away
/// from the front, where other edits put fields in.
fn missing(form: &Form, fields: &[Field], at: usize) -> Option<Edit> {
    let sent = |name| fields.iter().any(|field| field.key == name);
    let missing: String = form
        .beside
        .iter()
        .filter(|(name, _)| !sent(*name))
        .map(|(name, value)| format!(r#","{name}":{value}"#))
        .collect();
    (!missing.is_empty()).then(|| Edit {
        span: at..at,
        with: missing.into(),
    })
}

/// A limit less what was delivered, but one token at least: providers refuse to be asked for none.
/// Only a positive integer is a limit.
fn lower(body: &[u8], value: &Range<usize>, delivered: u64) -> Option<Edit> {
    let limit: u64 = serde_json::from_slice(body.get(value.clone())?).ok()?;
    let left = limit.saturating_sub(delivered).max(1);
    (left < limit).then(|| Edit {
        span: value.clone(),
        with: left.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scan::scan;
    use crate::body::splice::apply;

    fn continued(body: &str, form: Prefill, text: &str, delivered: u64) -> Option<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        scan(&body).unwrap();
        let edits = continuing(&body, form, text, delivered)?;
        Some(String::from_utf8(apply(&body, edits).joined().to_vec()).unwrap())
    }

    fn assistant(body: &str) -> Option<String> {
        continued(body, Prefill::Assistant, "Hi", 0)
    }

    #[test]
    fn the_text_becomes_the_last_message_in_each_form() {
        let body = r#"{"model":"m","messages":[{"role":"user"}],"stream":true}"#;
        for (form, flag, beside) in [
            (Prefill::Assistant, "", ""),
            (Prefill::Prefix, r#","prefix":true"#, ""),
            (Prefill::Partial, r#","partial":true"#, ""),
            (
                Prefill::ContinueFinalMessage,
                "",
                r#","continue_final_message":true,"add_generation_prompt":false"#,
            ),
        ] {
            let expected = format!(
                r#"{{"model":"m","messages":[{{"role":"user"}},{{"role":"assistant","content":"Hi"{flag}}}]{beside},"stream":true}}"#
            );
            assert_eq!(continued(body, form, "Hi", 0), Some(expected), "{form:?}");
        }
        assert_eq!(continued(body, Prefill::None, "Hi", 0), None);
        assert_eq!(continued(body, Prefill::Assistant, "", 0), None);
    }

    #[test]
    fn the_array_is_found_however_it_is_written() {
        let put = r#"{"role":"assistant","content":"Hi"}"#;
        for (before, comma, after) in [
            (r#"{"messages":["#, "", "]}"),
            ("{\"messages\" :\t[", "", " \n ] } "),
            (r#" { "messages":[ {}"#, ",", "\r\n]}"),
            (r#"{"mess\u0061ges":[[["a",[]]]"#, ",", "]}"),
            (
                r#"{"x":{"messages":[1]},"messages":["]",null"#,
                ",",
                r#"],"y":[]}"#,
            ),
            (r#"{"messages":[{"content":"a\\\"]}"}"#, ",", "]}"),
            (r#"{"messages":["[""#, ",", "]}"),
            // As some lenient reader may have let it pass.
            (r#"{"messages":[{},"#, "", " ]}"),
        ] {
            let expected = format!("{before}{comma}{put}{after}");
            assert_eq!(assistant(&format!("{before}{after}")), Some(expected));
        }
        let depth = 126;
        let deep = format!(
            r#"{{"messages":[{}{}]}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        assert!(assistant(&deep).unwrap().ends_with(&format!("],{put}]}}")));
    }

    #[test]
    fn without_one_array_of_messages_there_is_nothing_to_add_to() {
        for body in [
            "{}",
            r#"{"prompt":"Once"}"#,
            r#"{"x":{"messages":[]}}"#,
            r#"{"messages":null}"#,
            r#"{"messages":"[]"}"#,
            r#"{"messages":{"a":[]}}"#,
            r#"{"messages":[],"messages":[]}"#,
            r#"{"messages":[],"m\u0065ssages":null}"#,
        ] {
            assert_eq!(assistant(body), None, "{body}");
        }
    }

    #[test]
    fn the_text_is_escaped() {
        let text = "\"\\\n\t\u{0}\u{1f}\u{7f}\u{2028} é 你 😀 </script>";
        let answer = continued(r#"{"messages":[]}"#, Prefill::Assistant, text, 0).unwrap();
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(value["messages"][0]["content"], text);
    }

    #[test]
    fn flags_that_stand_there_are_replaced() {
        let form = Prefill::ContinueFinalMessage;
        assert_eq!(
            continued(
                r#"{"add_generation_prompt" : true,"messages":[],"x":{"continue_final_message":0}}"#,
                form,
                "a",
                0
            )
            .unwrap(),
            r#"{"add_generation_prompt" : false,"messages":[{"role":"assistant","content":"a"}],"continue_final_message":true,"x":{"continue_final_message":0}}"#
        );
        assert_eq!(
            continued(
                r#"{"messages":[],"continue_final_m\u0065ssage":null,"add_generation_prompt":[1],"continue_final_message":false}"#,
                form,
                "a",
                0
            )
            .unwrap(),
            r#"{"messages":[{"role":"assistant","content":"a"}],"continue_final_m\u0065ssage":true,"add_generation_prompt":false,"continue_final_message":true}"#
        );
    }

    #[test]
    fn limits_shrink_by_what_was_delivered() {
        let limited = |limit: &str, delivered| {
            let body = format!(r#"{{"max_tokens": {limit} ,"messages":[]}}"#);
            let answer = continued(&body, Prefill::Assistant, "a", delivered).unwrap();
            let (limit, _) = answer.split_once(" ,").unwrap();
            limit.rsplit_once(' ').unwrap().1.to_owned()
        };
        for (limit, delivered, left) in [
            ("100", 0, "100"),
            ("100", 40, "60"),
            ("100", 100, "1"),
            ("100", u64::MAX, "1"),
            ("1", 40, "1"),
            ("18446744073709551615", 1, "18446744073709551614"),
        ] {
            assert_eq!(limited(limit, delivered), left, "{limit} - {delivered}");
        }
        for no_limit in [
            "0",
            "-5",
            "-0",
            "1.5",
            "100.0",
            "1e3",
            "null",
            "\"100\"",
            "[100]",
            "{}",
            "007",
            "18446744073709551616",
            "1e400",
            "true",
        ] {
            assert_eq!(limited(no_limit, 40), no_limit);
        }
        assert_eq!(
            continued(
                r#"{"max_completion_tokens":9,"messages":[],"max_tok\u0065ns":8,"max_tokens":2,"x":{"max_tokens":8}}"#,
                Prefill::Assistant,
                "a",
                3
            )
            .unwrap(),
            r#"{"max_completion_tokens":6,"messages":[{"role":"assistant","content":"a"}],"max_tok\u0065ns":5,"max_tokens":1,"x":{"max_tokens":8}}"#
        );
    }

    #[test]
    fn model_and_stream_options_are_left_to_others() {
        let body = r#"{"messages":[],"mod\u0065l":"m","stream_options":{"include_usage":1.0}}"#;
        let answer = continued(body, Prefill::ContinueFinalMessage, "a", 5).unwrap();
        assert!(answer.ends_with(r#","mod\u0065l":"m","stream_options":{"include_usage":1.0}}"#));
    }
}
