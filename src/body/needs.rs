//! What a request needs its target to be able to do.

use super::scan::{Scan, fields};
use memchr::memmem;
use std::ops::Range;

/// Where a body says what it needs. Of two fields of one name the last holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// `tools`, or `functions` as they once were.
    pub tools: Option<Range<usize>>,
    /// `response_format`
    pub format: Option<Range<usize>>,
    /// `text`, where the Responses endpoint has its `format`.
    pub text: Option<Range<usize>>,
    /// `logprobs`
    pub logprobs: Option<Range<usize>>,
    /// `messages` or `input`
    pub conversation: Option<Range<usize>>,
}

/// What the top level of a request says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// At least one tool is offered.
    pub tools: bool,
    pub format: Format,
    pub logprobs: bool,
}

/// What shape the answer is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// What a schema of the caller's says. A format that we do not know is taken for one.
    Schema,
}

/// What stands in the messages beside text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub images: bool,
    /// Sound, films, files: many bytes, of which nobody here knows how many tokens they are.
    pub other: bool,
}

/// Reads a few short fields, nothing of the conversation.
pub fn needs(body: &[u8], scan: &Scan) -> Needs {
    let demands = &scan.demands;
    let value = |span: &Option<Range<usize>>| body.get(span.clone()?);
    let in_text = value(&demands.text)
        .filter(|text| text.starts_with(b"{"))
        .and_then(|text| member(text, "format"));
    Needs {
        tools: value(&demands.tools).is_some_and(is_filled_list),
        format: value(&demands.format)
            .map(format)
            .unwrap_or_default()
            .or_else(|| in_text.map(format).unwrap_or_default()),
        logprobs: value(&demands.logprobs)
            .is_some_and(|value| !matches!(value, b"false" | b"null" | b"0")),
    }
}

/// Looks through the conversation for parts that are no text, by their `type`. A `type` that is
/// spelled with escapes is not seen: then the provider has the word.
///
/// In JSON, `"type"` with bare quotes stands nowhere within a longer string, so that no text of a
/// message can pass for a part.
pub fn parts(body: &[u8], scan: &Scan) -> Parts {
    let mut parts = Parts::default();
    let span = scan.demands.conversation.clone();
    let Some(conversation) = span.and_then(|span| body.get(span)) else {
        return parts;
    };
    for found in memmem::find_iter(conversation, br#""type""#) {
        let rest = conversation.get(found + 6..).unwrap_or_default();
        let Some(kind) = rest.trim_ascii_start().strip_prefix(b":") else {
            continue;
        };
        let kind = kind.trim_ascii_start();
        let is = |names: &[&[u8]]| names.iter().any(|name| kind.starts_with(name));
        parts.images |= is(&[br#""image_url""#, br#""input_image""#, br#""image""#]);
        parts.other |= is(&[
            br#""input_audio""#,
            br#""audio_url""#,
            br#""video_url""#,
            br#""input_video""#,
            br#""file""#,
            br#""input_file""#,
            br#""document""#,
        ]);
        if parts.images && parts.other {
            break;
        }
    }
    parts
}

/// How many tokens a prompt of so many bytes has at the very least, as far as anybody can tell
/// without its tokenizer: a guess that keeps a target out is to be a low one, for the target itself
/// still has its word.
///
/// Four bytes a token, where an escape such as `\u4e2d` counts as two: six bytes, but no more than
/// one letter.
pub fn fewest_tokens(body: &[u8], scan: &Scan) -> u64 {
    let span = scan.demands.conversation.clone();
    let conversation = span.and_then(|span| body.get(span)).unwrap_or_default();
    let escapes = memmem::find_iter(conversation, br"\u").count();
    (conversation.len() - (4 * escapes).min(conversation.len())) as u64 / 4
}

impl Format {
    fn or_else(self, other: impl FnOnce() -> Format) -> Format {
        match self {
            Format::Text => other(),
            format => format,
        }
    }
}

fn format(value: &[u8]) -> Format {
    if !value.starts_with(b"{") {
        return Format::Text;
    }
    match member(value, "type") {
        None | Some(b"\"text\"" | b"null") => Format::Text,
        Some(b"\"json_object\"") => Format::Json,
        Some(_) => Format::Schema,
    }
}

fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let field = fields(object).filter(|field| field.key == name).last()?;
    object.get(field.value)
}

fn is_filled_list(value: &[u8]) -> bool {
    let inside = value.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| !inside.starts_with(b"]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scan::scan;

    fn of(body: &str) -> Needs {
        needs(body.as_bytes(), &scan(body.as_bytes()).unwrap())
    }

    fn parts_of(body: &str) -> (bool, bool) {
        let parts = parts(body.as_bytes(), &scan(body.as_bytes()).unwrap());
        (parts.images, parts.other)
    }

    #[test]
    fn a_plain_question_needs_nothing() {
        for body in [
            "{}",
            r#"{"messages":[{"role":"user","content":"hi"}],"n":1}"#,
            r#"{"tools":[],"response_format":null,"logprobs":false,"text":{}}"#,
            r#"{"tools":[ ],"response_format":{"type":"text"},"logprobs":null,"text":"x"}"#,
            r#"{"tools":{},"response_format":{},"logprobs":0,"text":{"format":{"type":"text"}}}"#,
            r#"{"x":{"tools":[1],"logprobs":true}}"#,
        ] {
            assert_eq!(of(body), Needs::default(), "{body}");
        }
    }

    #[test]
    fn what_is_asked_for_is_needed() {
        assert!(of(r#"{"tools":[ {"type":"function"}]}"#).tools);
        assert!(of(r#"{"functions":[{}]}"#).tools);
        assert!(of(r#"{"t\u006fols":[{}]}"#).tools);
        assert!(of(r#"{"logprobs":true}"#).logprobs);
        assert!(of(r#"{"logprobs":5}"#).logprobs);
        for (body, format) in [
            (
                r#"{"response_format":{"type":"json_object"}}"#,
                Format::Json,
            ),
            (
                r#"{"response_format":{"json_schema":{},"type" : "json_schema"}}"#,
                Format::Schema,
            ),
            (r#"{"response_format":{"type":"grammar"}}"#, Format::Schema),
            (
                r#"{"text":{"format":{"type":"json_schema","schema":{}}}}"#,
                Format::Schema,
            ),
            (
                r#"{"text":{"verbosity":"low","format":{"type":"json_object"}}}"#,
                Format::Json,
            ),
        ] {
            assert_eq!(of(body).format, format, "{body}");
        }
    }

    #[test]
    fn images_sound_and_files_are_found_in_every_dialect() {
        for (content, parts) in [
            (r#"[{"type":"text","text":"hi"}]"#, (false, false)),
            (
                r#"[{"type":"image_url","image_url":{"url":"x"}}]"#,
                (true, false),
            ),
            (
                r#"[{"image_url":"x" , "type" :
 "input_image"}]"#,
                (true, false),
            ),
            (r#"[{"type":"image","source":{}}]"#, (true, false)),
            (
                r#"[{"type":"tool_result","content":[{"type":"image"}]}]"#,
                (true, false),
            ),
            (
                r#"[{"type":"input_audio","input_audio":{}}]"#,
                (false, true),
            ),
            (r#"[{"type":"input_audio"},{"type":"image"}]"#, (true, true)),
            (
                r#"[{"type":"file","file":{"file_data":"data:"}}]"#,
                (false, true),
            ),
            (
                r#"[{"type":"input_file","file_data":"data:"}]"#,
                (false, true),
            ),
            (r#"[{"type":"document","source":{}}]"#, (false, true)),
            (r#"[{"type":"video_url","video_url":{}}]"#, (false, true)),
            (r#"[{"type":"imagery"},{"type":["image"]}]"#, (false, false)),
        ] {
            for body in [
                format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#),
                format!(r#"{{"input":[{{"role":"user","content":{content}}}]}}"#),
            ] {
                assert_eq!(parts_of(&body), parts, "{body}");
            }
        }
    }

    #[test]
    fn escapes_make_no_prompt_longer() {
        let tokens = |text: &str| {
            let body = format!(r#"{{"messages":"{text}","tools":["0123456789"]}}"#);
            fewest_tokens(body.as_bytes(), &scan(body.as_bytes()).unwrap())
        };
        assert_eq!(tokens(&"a".repeat(398)), 100);
        let (plain, escaped) = (tokens(&"中".repeat(400)), tokens(&r"\u4e2d".repeat(400)));
        assert!(escaped <= plain && escaped >= 200, "{escaped} {plain}");
        assert!(tokens(&r"\\u".repeat(400)) <= 300);
        assert_eq!(fewest_tokens(b"{}", &scan(b"{}").unwrap()), 0);
    }

    #[test]
    fn text_does_not_pass_for_an_image() {
        for body in [
            r#"{"messages":[{"content":"{\"type\":\"image_url\"}"}]}"#,
            r#"{"messages":[{"content":"\\\"type\\\":\"image\""},"type","image"]}"#,
            r#"{"messages":[{"content":"type"}],"tools":[{"type":"image"}]}"#,
            r#"{"messages":"\"type\":\"image\""}"#,
        ] {
            assert_eq!(parts_of(body), (false, false), "{body}");
        }
    }
}
