//! The form in which a provider's last error goes to the caller.

use super::said::Said;
use crate::failover::{Kind, Meaning};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// How much of a foreign error is shown.
const SHOWN: usize = 4 * 1024;
const LONGEST_MESSAGE: usize = 500;

#[derive(Debug, PartialEq)]
pub enum Shape {
    /// Already in OpenAI's form.
    AsItIs,
    /// To be put into an error object of ours. `upstream` is the original, for `metadata`; null
    /// where it is not the caller's to see.
    Wrap { message: String, upstream: Value },
}

/// How `body`, the error that `meaning` was read from, is passed on. Credentials must have been
/// struck from it before.
///
/// An error about our own key or bill never passes: it would send the caller looking for a fault
/// in theirs, and providers quote half of the key and the state of the account.
pub fn normalise(meaning: &Meaning, body: &[u8]) -> Shape {
    match meaning.kind {
        Kind::Credentials => withheld(
            "The provider did not accept this gateway's credential. Its operator has to renew it.",
        ),
        Kind::Quota => withheld(
            "This gateway's account at the provider has used up its balance or quota. Its operator \
             has to raise it.",
        ),
        _ if has_error_object(body) => Shape::AsItIs,
        _ => Shape::Wrap {
            message: message(meaning, body),
            upstream: original(body),
        },
    }
}

fn withheld(message: &str) -> Shape {
    Shape::Wrap {
        message: message.to_owned(),
        upstream: Value::Null,
    }
}

fn has_error_object(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wanted<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    // A list would also be taken for the fields of a struct in order.
    body.trim_ascii_start().starts_with(b"{")
        && serde_json::from_slice::<Wanted>(body)
            .is_ok_and(|body| body.error.get().starts_with('{'))
}

fn message(meaning: &Meaning, body: &[u8]) -> String {
    match Said::read(body).message {
        Some(message) => cut(&message, LONGEST_MESSAGE).to_owned(),
        None => format!(
            "The provider answered with status {} and no explanation. Try again, or ask for \
             another model.",
            meaning.status
        ),
    }
}

/// As JSON where it is JSON and short enough, else as text.
fn original(body: &[u8]) -> Value {
    let body = body.trim_ascii();
    if body.len() <= SHOWN
        && let Ok(value) = serde_json::from_slice(body)
    {
        return value;
    }
    // A little more than is shown, so that a character across the edge is cut off whole.
    let head = body.get(..SHOWN + 4).unwrap_or(body);
    Value::from(cut(&String::from_utf8_lossy(head), SHOWN))
}

/// At most `most` bytes, whole characters only.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
    if text.len() <= most {
        text
    } else {
        text.get(..end.unwrap_or(0)).unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning(kind: Kind, status: u16) -> Meaning {
        Meaning {
            kind,
            status,
            retry_after: None,
            reason: kind.reason(),
        }
    }

    fn shape(body: &str) -> Shape {
        normalise(&meaning(Kind::ServerError, 503), body.as_bytes())
    }

    fn wrapped(body: &str) -> (String, Value) {
        match shape(body) {
            Shape::Wrap { message, upstream } => (message, upstream),
            Shape::AsItIs => panic!("{body} passes"),
        }
    }

    #[test]
    fn an_error_object_passes() {
        for body in [
            r#"{"error":{"message":"no","type":"t","code":null}}"#,
            "\n\n{ \"id\":1, \"error\" : {} }",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#,
        ] {
            assert_eq!(shape(body), Shape::AsItIs, "{body}");
        }
    }

    #[test]
    fn every_other_shape_is_wrapped_with_its_own_words() {
        for (body, expected) in [
            (r#""Invalid token""#, "Invalid token"),
            (r#"[{"error":{"message":"listed"}}]"#, "listed"),
            (
                r#"{"code":50505,"message":"overloaded","data":null}"#,
                "overloaded",
            ),
            (r#"{"error":"just text"}"#, "just text"),
            (r#"{"object":"error","message":"vllm","code":400}"#, "vllm"),
            (
                r#"{"base_resp":{"status_code":1002,"status_msg":"slow down"}}"#,
                "slow down",
            ),
        ] {
            let original: Value = serde_json::from_str(body).unwrap();
            assert_eq!(wrapped(body), (expected.to_owned(), original), "{body}");
        }
        assert_eq!(
            wrapped("upstream gone"),
            ("upstream gone".into(), json!("upstream gone"))
        );
    }

    #[test]
    fn what_says_nothing_gets_a_sentence_of_ours() {
        for (body, upstream) in [
            ("", json!("")),
            ("{}", json!({})),
            (
                "<html><h1>Bad Gateway</h1></html>",
                json!("<html><h1>Bad Gateway</h1></html>"),
            ),
            (
                r#"{"error":{"message":"cut o"#,
                json!(r#"{"error":{"message":"cut o"#),
            ),
        ] {
            let (message, original) = wrapped(body);
            assert!(message.contains("503"), "{message}");
            assert_eq!(original, upstream);
        }
    }

    #[test]
    fn long_originals_are_cut_between_characters() {
        let (message, upstream) = wrapped(&"é".repeat(5000));
        assert_eq!(message.len(), 500);
        assert_eq!(upstream.as_str().unwrap(), "é".repeat(2048));
        let (_, upstream) = wrapped(&format!("x{}", "é".repeat(5000)));
        assert_eq!(upstream.as_str().unwrap().len(), 4095);
        let (_, upstream) = wrapped(&format!(r#"{{"message":"{}"}}"#, "a".repeat(9000)));
        assert_eq!(upstream.as_str().unwrap().len(), 4096);
        let binary = normalise(&meaning(Kind::ServerError, 502), &[0xff; 9000]);
        let Shape::Wrap { upstream, .. } = binary else {
            panic!("passes")
        };
        assert!(upstream.as_str().unwrap().len() <= 4096);
    }

    #[test]
    fn our_own_key_and_bill_stay_here() {
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-ab****yz"}}"#;
        for (kind, status) in [(Kind::Credentials, 401), (Kind::Quota, 402)] {
            let Shape::Wrap { message, upstream } = normalise(&meaning(kind, status), body) else {
                panic!("passes");
            };
            assert!(
                message.contains("operator") && !message.contains("sk-"),
                "{message}"
            );
            assert_eq!(upstream, Value::Null);
        }
    }
}
