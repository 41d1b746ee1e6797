//! The one reading of a whole body: is it sound, and where do `model` and `stream` stand.

use std::borrow::Cow;
use std::ops::Range;

use super::asides::{Aside, Asides};
pub use super::error::ScanError;
use super::needs::Demands;
use super::string;
use super::walk::{RawField, Walk};

/// A model's name is no longer than this, in bytes: it is kept, logged and sent on.
pub const LONGEST_MODEL: usize = 256;

/// What the gateway needs to know of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The top-level `model`.
    pub model: Option<Model>,
    /// Whether the last top-level `stream` is literally `true`.
    pub stream: bool,
    /// The value of the last top-level `stream_options`.
    pub stream_options: Option<Range<usize>>,
    /// The value of the last top-level `max_tokens` or `max_completion_tokens`.
    pub limit: Option<Range<usize>>,
    /// The value of the last top-level `usage`, as answers call it in whichever dialect.
    pub usage: Option<Range<usize>>,
    /// There may be more than one answer: by `n`, or by several prompts.
    pub several: bool,
    /// What is said to the gateway itself.
    pub asides: Asides,
    /// Where the body says what its target must be able to do.
    pub demands: Demands,
    /// The offset right after the opening brace, where a field can be put in.
    pub after_brace: usize,
    /// An object without fields.
    pub empty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The JSON string, its quotes included.
    pub span: Range<usize>,
    /// What it says.
    pub text: String,
}

/// Reads a request body once: valid UTF-8, one JSON object, nothing after it, strings and brackets
/// closed. What stands inside values is the provider's to judge.
pub fn scan(body: &[u8]) -> Result<Scan, ScanError> {
    if simdutf8::basic::from_utf8(body).is_err() {
        // Only the slower check knows the place.
        let at = std::str::from_utf8(body)
            .err()
            .map_or(0, |error| error.valid_up_to());
        return Err(ScanError::NotUtf8 { at });
    }
    let mut walk = Walk::open(body)?;
    let mut model = None;
    let mut stream = false;
    let mut stream_options = None;
    let mut limit = None;
    let mut usage = None;
    let mut several = false;
    let mut asides = Asides::default();
    let mut demands = Demands::default();
    while let Some(field) = walk.next()? {
        match key(body, &field)?.as_ref() {
            "model" if model.is_some() => return Err(ScanError::DuplicateModel),
            "model" => model = Some(read_model(body, field.value)?),
            "stream" => stream = body.get(field.value) == Some(b"true"),
            "stream_options" => stream_options = Some(field.value),
            "max_tokens" | "max_completion_tokens" => limit = Some(field.value),
            "usage" | "usageMetadata" => usage = Some(field.value),
            "n" => several |= !matches!(body.get(field.value), Some(b"1" | b"null")),
            "prompt" => several |= body.get(field.value).is_some_and(is_list_of_prompts),
            "messages" | "input" => demands.conversation = Some(field.value),
            "tools" | "functions" => demands.tools = Some(field.value),
            "response_format" => demands.format = Some(field.value),
            "text" => demands.text = Some(field.value),
            "logprobs" => demands.logprobs = Some(field.value),
            "provider" => asides.note(Aside::Provider, field),
            "models" => asides.note(Aside::Models, field),
            "route" if is_old_route(body, &field) => asides.note(Aside::Route, field),
            _ => {}
        }
    }
    Ok(Scan {
        model,
        stream,
        stream_options,
        limit,
        usage,
        several,
        asides,
        demands,
        after_brace: walk.after_brace(),
        empty: walk.is_empty(),
    })
}

/// A top-level field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, decoded.
    pub key: Cow<'a, str>,
    /// From the name's first quote to the end of the value.
    pub span: Range<usize>,
    pub value: Range<usize>,
}

/// The top-level fields of a body that [`scan`] has accepted. On any other it stops where the body
/// stops making sense.
pub fn fields(body: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut walk = Walk::open(body).ok();
    std::iter::from_fn(move || {
        let field = walk.as_mut()?.next().ok()??;
        let key = key(body, &field).ok()?;
        Some(Field {
            key,
            span: field.key.start..field.value.end,
            value: field.value,
        })
    })
    .fuse()
}

/// Where the model stands in an answer or an event: the last top-level string `model`, or `None`
/// when there is none or the JSON is not one whole object.
pub fn model_span(json: &[u8]) -> Option<Range<usize>> {
    let mut walk = Walk::open(json).ok()?;
    let mut span = None;
    while let Some(field) = walk.next().ok()? {
        if key(json, &field).ok()? == "model" && json.get(field.value.start) == Some(&b'"') {
            span = Some(field.value);
        }
    }
    span
}

/// What OpenRouter once had beside `models`. Any other `route` is not ours.
fn is_old_route(body: &[u8], field: &RawField) -> bool {
    let value = body.get(field.value.clone());
    matches!(value, Some(b"\"fallback\"" | b"\"sort\""))
}

/// A list of numbers is one prompt, in tokens.
fn is_list_of_prompts(value: &[u8]) -> bool {
    let first = value.strip_prefix(b"[").map(|rest| rest.trim_ascii_start());
    first.is_some_and(|first| matches!(first.first(), Some(b'"' | b'[')))
}

fn key<'a>(body: &'a [u8], field: &RawField) -> Result<Cow<'a, str>, ScanError> {
    let quoted = body.get(field.key.clone()).unwrap_or_default();
    string::decode(quoted, field.key_escaped).ok_or(ScanError::Malformed {
        at: field.key.start,
        expected: "a field name with valid escapes",
    })
}

fn read_model(body: &[u8], span: Range<usize>) -> Result<Model, ScanError> {
    let quoted = body.get(span.clone()).unwrap_or_default();
    if !quoted.starts_with(b"\"") {
        return Err(ScanError::ModelNotAString);
    }
    // An escape has six bytes at most for each that it stands for: this is too long in any case.
    if quoted.len() > 6 * LONGEST_MODEL + 2 {
        return Err(ScanError::ModelTooLong);
    }
    let Ok(text) = serde_json::from_slice::<String>(quoted) else {
        let expected = "a `model` with valid escapes and no control characters";
        return Err(ScanError::Malformed {
            at: span.start,
            expected,
        });
    };
    if text.is_empty() {
        return Err(ScanError::EmptyModel);
    }
    if text.len() > LONGEST_MODEL {
        return Err(ScanError::ModelTooLong);
    }
    Ok(Model { span, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(body: &str) -> String {
        scan(body.as_bytes()).unwrap().model.unwrap().text
    }

    fn error(body: impl AsRef<[u8]>) -> ScanError {
        scan(body.as_ref()).unwrap_err()
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_and_however_it_is_spelled() {
        assert_eq!(model(r#"{"model":"a/b"}"#), "a/b");
        assert_eq!(
            model(r#" {"x":{"model":"no"},"y":"\"model\":","model" : "yes" } "#),
            "yes"
        );
        assert_eq!(model(r#"{"mod\u0065l":"\u4f60\ud83d\ude00\/"}"#), "你😀/");
        let long = r#"{"role":"user","content":"so much \"text\""},"#.repeat(250_000);
        assert_eq!(
            model(&format!(r#"{{"messages":[{long}null],"model":"last"}}"#)),
            "last"
        );
    }

    #[test]
    fn a_stream_is_asked_for_by_the_last_field_of_that_name() {
        let stream = |body: &str| scan(body.as_bytes()).unwrap().stream;
        assert!(stream(r#"{"stream":false,"stre\u0061m": true }"#));
        assert!(!stream(r#"{"stream":true,"stream":false}"#));
        assert!(!stream(r#"{"stream":"true","x":{"stream":true}}"#));
        assert!(!stream(r#"{"stream":truely}"#));
    }

    #[test]
    fn a_bad_model_is_told_apart() {
        for value in ["1", "null", "true", "{}", "[\"a\"]"] {
            let body = format!(r#"{{"messages":[],"model":{value},"n":1}}"#);
            assert_eq!(error(body), ScanError::ModelNotAString);
        }
        assert_eq!(error(r#"{"model":""}"#), ScanError::EmptyModel);
        assert_eq!(
            error(r#"{"model":"a","mod\u0065l":"a"}"#),
            ScanError::DuplicateModel
        );
        assert!(matches!(
            error("{\"model\":\"a\nb\"}"),
            ScanError::Malformed { at: 9, .. }
        ));
        assert_eq!(scan(b"{}").unwrap().model, None);
    }

    #[test]
    fn a_model_is_as_long_as_what_it_says() {
        let body = |name: &str| format!(r#"{{"model":"{name}"}}"#);
        for (letter, bytes) in [("x", 1), (r"\u0078", 1), ("你", 3), (r"\ud83d\ude00", 4)] {
            let longest = letter.repeat(LONGEST_MODEL / bytes);
            assert_eq!(model(&body(&longest)).len(), LONGEST_MODEL / bytes * bytes);
            let longer = body(&format!("{longest}{letter}"));
            assert_eq!(error(longer), ScanError::ModelTooLong, "{letter}");
            assert_eq!(
                error(body(&letter.repeat(100_000))),
                ScanError::ModelTooLong
            );
        }
        assert!(ScanError::ModelTooLong.is_about_model());
        assert!(
            ScanError::ModelTooLong
                .to_string()
                .contains("256 bytes; send")
        );
    }

    #[test]
    fn what_is_not_one_whole_object_is_refused() {
        use ScanError::*;
        for (body, expected) in [
            ("", Empty),
            (" \n\t", Empty),
            ("[]", NotAnObject),
            ("\"model\"", NotAnObject),
            ("\u{feff}{}", ByteOrderMark),
            ("{", Truncated),
            (r#"{"a"#, Truncated),
            (r#"{"a":"#, Truncated),
            (r#"{"a":1"#, Truncated),
            (r#"{"a":1,"#, Truncated),
            (r#"{"a":["}]"#, Truncated),
            (r#"{"a":"\"#, Truncated),
            ("{}{}", TrailingBytes { at: 2 }),
            ("{} \0", TrailingBytes { at: 3 }),
            (
                "{,}",
                Malformed {
                    at: 1,
                    expected: "a field name in double quotes",
                },
            ),
            (
                r#"{"a":1,}"#,
                Malformed {
                    at: 7,
                    expected: "a field name in double quotes",
                },
            ),
            (
                r#"{"a" 1}"#,
                Malformed {
                    at: 5,
                    expected: "':'",
                },
            ),
            (
                r#"{"a":}"#,
                Malformed {
                    at: 5,
                    expected: "a JSON value",
                },
            ),
            (
                r#"{"a":1 "b":2}"#,
                Malformed {
                    at: 7,
                    expected: "',' or '}'",
                },
            ),
            (
                r#"{"a":[1}}"#,
                Malformed {
                    at: 7,
                    expected: "']'",
                },
            ),
            (
                r#"{"a":[1,\"]}"#,
                Malformed {
                    at: 8,
                    expected: "a JSON value",
                },
            ),
            (
                r#"{"a":[1 /*"*/]}"#,
                Malformed {
                    at: 8,
                    expected: "a JSON value",
                },
            ),
        ] {
            assert_eq!(error(body), expected, "{body}");
        }
        assert_eq!(error(b"{\"a\":\"\xff\"}"), NotUtf8 { at: 6 });
    }

    #[test]
    fn depth_is_counted_from_the_outermost_object() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(nested(127).as_bytes()).is_ok());
        assert_eq!(error(nested(128)), ScanError::TooDeep);
        assert_eq!(error(nested(10_000)), ScanError::TooDeep);
        assert_eq!(error(r#"{"a":"#.repeat(10_000)), ScanError::TooDeep);
    }

    #[test]
    fn a_message_says_what_to_do_and_quotes_nothing() {
        let text = error(r#"{"secret words" 1}"#).to_string();
        assert!(text.contains("byte 16") && text.contains("correct") && !text.contains("secret"));
    }

    #[test]
    fn an_answer_is_read_forgivingly() {
        assert_eq!(model_span(br#"{"model":"a","model":"b"}"#), Some(21..24));
        assert_eq!(model_span(br#"{"model":"a","model":null}"#), Some(9..12));
        assert_eq!(model_span(br#"{"choices":[{"model":"a"}]}"#), None);
        for broken in ["", "[DONE]", "[]", r#"{"model":"a""#, r#"{"model":"a"}}"#] {
            assert_eq!(model_span(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn fields_stop_where_the_body_stops_making_sense() {
        let keys = |body| {
            fields(body)
                .map(|field| field.key.into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(br#"{"\u0061":1,"b":[],"c":}"#), ["a", "b"]);
        assert!(keys(b"[]").is_empty());
    }
}
