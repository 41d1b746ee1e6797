//! What a successful answer holds.

use crate::body::cursor::is_blank;
use crate::config::snapshot::Endpoint;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::LazyLock;

/// No content and a bare stop, or nothing at all: the provider took the request and gave nothing.
/// Only chats and completions have content to miss; elsewhere only a body without a byte is empty.
/// Whatever cannot be read as an answer of the known shape is not called empty.
pub fn is_empty(endpoint: Endpoint, body: &[u8]) -> bool {
    let body = body.trim_ascii();
    match endpoint {
        _ if body.is_empty() => true,
        Endpoint::Chat | Endpoint::Completions => !speaks(body) && nothing_said(body),
        _ => false,
    }
}

/// Whether a content that is not empty can be seen without parsing: so it is with most answers. In
/// text of the answer itself the quotes would be escaped.
fn speaks(body: &[u8]) -> bool {
    static CONTENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"content\":"));
    CONTENT
        .find(body)
        .and_then(|at| body.get(at + CONTENT.needle().len()..))
        .is_some_and(
            |value| matches!(value.trim_ascii_start(), [b'"', first, ..] if *first != b'"'),
        )
}

/// What stands around an answer without being one.
const ENVELOPE: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "usage",
    "system_fingerprint",
    "service_tier",
    "provider",
];

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// All that a message may say, each kept as its raw text: only whether it is there matters.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

fn nothing_said(body: &[u8]) -> bool {
    if body == b"null" {
        return true;
    }
    let Ok(top) = serde_json::from_slice::<HashMap<&str, &RawValue>>(body) else {
        return false;
    };
    match top.get("choices") {
        None => top.keys().all(|key| ENVELOPE.contains(key)),
        Some(choices) => serde_json::from_str::<Option<Vec<Choice>>>(choices.get())
            .is_ok_and(|choices| choices.iter().flatten().all(Choice::is_empty)),
    }
}

impl Choice<'_> {
    fn is_empty(&self) -> bool {
        let bare = self
            .finish_reason
            .is_none_or(|why| matches!(why.get(), "\"stop\"" | "\"\""));
        bare && absent(self.text) && self.message.as_ref().is_none_or(Message::is_empty)
    }
}

impl Message<'_> {
    fn is_empty(&self) -> bool {
        let parts = [
            self.content,
            self.reasoning_content,
            self.reasoning,
            self.reasoning_details,
            self.tool_calls,
            self.function_call,
            self.refusal,
            self.audio,
            self.images,
        ];
        parts.into_iter().all(absent)
    }
}

fn absent(part: Option<&RawValue>) -> bool {
    part.is_none_or(|raw| is_blank(raw.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(message: &str, finish: &str) -> String {
        let choice = format!(r#"{{"index":0,"message":{message},"finish_reason":{finish}}}"#);
        format!(r#"{{"id":"1","choices":[{choice}],"usage":{{}}}}"#)
    }

    fn empty_chat(body: &str) -> bool {
        is_empty(Endpoint::Chat, body.as_bytes())
    }

    #[test]
    fn nothing_and_a_bare_stop() {
        for message in [
            "{}",
            "null",
            r#"{"role":"assistant","content":null}"#,
            r#"{"role":"assistant","content":""}"#,
            r#"{"role":"assistant","content":[ ],"tool_calls":[],"refusal":null}"#,
            r#"{"role":"assistant","content":"","reasoning_content":"","reasoning":null}"#,
        ] {
            for finish in ["\"stop\"", "null", "\"\""] {
                assert!(empty_chat(&chat(message, finish)), "{message} {finish}");
            }
            for finish in ["\"length\"", "\"content_filter\"", "\"tool_calls\"", "7"] {
                assert!(!empty_chat(&chat(message, finish)), "{message} {finish}");
            }
        }
        for body in [
            "",
            " \n\n ",
            "{}",
            "null",
            r#"{"choices":[]}"#,
            r#"{"choices":null}"#,
            r#"{"choices":[{}]}"#,
            r#"{"id":"1","object":"chat.completion","created":1,"model":"m","usage":{"a":1}}"#,
        ] {
            assert!(empty_chat(body), "{body}");
        }
    }

    #[test]
    fn anything_said_is_an_answer() {
        for message in [
            r#"{"content":"hi"}"#,
            r#"{"content":" "}"#,
            r#"{"content":"\n"}"#,
            r#"{"content":[{"type":"text","text":"hi"}]}"#,
            r#"{"content":"","reasoning_content":"hm"}"#,
            r#"{"content":"","reasoning":"hm"}"#,
            r#"{"content":null,"tool_calls":[{"id":"1"}]}"#,
            r#"{"content":null,"function_call":{"name":"f"}}"#,
            r#"{"content":null,"refusal":"no"}"#,
            r#"{"content":null,"audio":{"id":"1"}}"#,
            r#"{"content":"","images":[{"type":"image_url"}]}"#,
        ] {
            assert!(!empty_chat(&chat(message, "\"stop\"")), "{message}");
        }
        let second = r#"{"choices":[{"message":{"content":""}},{"message":{"content":"x"}}]}"#;
        assert!(!empty_chat(second));
    }

    #[test]
    fn what_cannot_be_read_is_not_called_empty() {
        for body in [
            "<html>",
            "{",
            "[]",
            "7",
            r#"{"output":{"text":"hi"}}"#,
            r#"{"choices":7}"#,
        ] {
            assert!(!empty_chat(body), "{body}");
        }
    }

    #[test]
    fn each_endpoint_has_its_own_content() {
        let text = r#"{"choices":[{"text":"hi","finish_reason":"stop"}]}"#;
        let none = r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#;
        assert!(!is_empty(Endpoint::Completions, text.as_bytes()));
        assert!(is_empty(Endpoint::Completions, none.as_bytes()));
        for endpoint in Endpoint::ALL {
            assert!(is_empty(endpoint, b"\n"), "{endpoint:?}");
            if !matches!(endpoint, Endpoint::Chat | Endpoint::Completions) {
                assert!(!is_empty(endpoint, b"{}"), "{endpoint:?}");
            }
        }
    }
}
