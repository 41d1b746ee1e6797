//! What providers say.

use super::Act;
use super::provider::Seen;
use super::wire::{LAST_CHUNK, chunk};
use serde_json::json;

/// A whole answer with its Content-Length.
pub fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = head(status, headers);
    out.truncate(out.len() - 2);
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// A head without any framing of its own.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} Whatever\r\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    out.into_bytes()
}

pub fn json_reply(status: u16, body: impl AsRef<[u8]>) -> Act {
    Act::Write(http(status, &[("content-type", "application/json")], body))
}

/// An answer as providers give it, its model named `model`.
pub fn chat(model: &str, content: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": "stop"
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    })
    .to_string()
}

/// A plain 200 under the model name the provider was asked for.
pub fn chat_reply(seen: &Seen) -> Vec<Act> {
    vec![json_reply(200, chat(&seen.model(), "hello"))]
}

/// A failure in OpenAI's words; `text` tells it from others.
pub fn failure(status: u16, text: &str) -> Act {
    failure_with(status, text, &[])
}

pub fn failure_with(status: u16, text: &str, headers: &[(&str, &str)]) -> Act {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    Act::Write(http(status, &all, failure_body(text)))
}

pub fn failure_body(text: &str) -> String {
    json!({"error": {"message": text, "type": "server_error", "param": null, "code": null}})
        .to_string()
}

/// One streamed event with this content.
pub fn event(model: &str, content: &str) -> String {
    let data = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]
    });
    format!("data: {data}\n\n")
}

/// The event that ends an answer.
pub fn finish(model: &str) -> String {
    let data = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    });
    format!("data: {data}\n\n")
}

pub const DONE: &str = "data: [DONE]\n\n";

pub fn sse_head() -> Act {
    Act::Write(head(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("transfer-encoding", "chunked"),
        ],
    ))
}

/// One HTTP chunk of a stream.
pub fn part(text: impl AsRef<[u8]>) -> Act {
    Act::Write(chunk(text.as_ref()))
}

pub fn last() -> Act {
    Act::Write(LAST_CHUNK.to_vec())
}

/// A whole short stream saying `content`.
pub fn stream_reply(model: &str, content: &str) -> Vec<Act> {
    vec![
        sse_head(),
        part(event(model, content)),
        part(finish(model)),
        part(DONE),
        last(),
    ]
}

/// Whole or streamed, as it was asked.
pub fn either(_: usize, seen: &Seen) -> Vec<Act> {
    match seen.json()["stream"].as_bool() {
        Some(true) => stream_reply(&seen.model(), "hello"),
        _ => chat_reply(seen),
    }
}
