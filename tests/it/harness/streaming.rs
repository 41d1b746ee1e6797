//! Streams in the making, and what became of them.

use super::answers::{DONE, event, finish, last, part, sse_head};
use super::client::{Conn, Reply};
use super::provider::{Act, Provider};
use serde_json::Value;
use std::time::{Duration, Instant};

/// One event of a chat with this delta and this finish reason, both as raw JSON.
pub fn chunk_of(model: &str, delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{model}\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// The first event of most streams: a role and no content.
pub fn role(model: &str) -> String {
    chunk_of(model, "{\"role\":\"assistant\",\"content\":\"\"}", "null")
}

/// The event after the last content that tells the tokens.
pub fn usage_event(model: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"{model}\",\
         \"choices\":[],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}}}\n\n"
    )
}

/// Tokens of every kind, as providers tell them.
pub const USAGE: &str = "{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18,\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":3}}";

/// An event with this among its members besides.
pub fn with(event: String, member: &str) -> String {
    event.replacen("{\"", &format!("{{{member},\""), 1)
}

/// A stream of these events, one HTTP chunk each, that ends as HTTP wants it.
pub fn streamed<T: AsRef<[u8]>>(events: impl IntoIterator<Item = T>) -> Vec<Act> {
    begun(events, [last()])
}

/// The head and these events, then whatever comes instead of an end.
pub fn begun<T: AsRef<[u8]>>(
    events: impl IntoIterator<Item = T>,
    then: impl IntoIterator<Item = Act>,
) -> Vec<Act> {
    let events = events.into_iter().map(part);
    std::iter::once(sse_head())
        .chain(events)
        .chain(then)
        .collect()
}

/// What `answers::stream_reply` of any provider becomes at the client.
pub fn whole(content: &str) -> String {
    [
        event("acme/chat", content),
        finish("acme/chat"),
        DONE.to_string(),
    ]
    .concat()
}

/// The same stream from a provider named `two`.
pub async fn second() -> Provider {
    Provider::always(super::answers::stream_reply("two-chat", "hello")).await
}

/// The events of a stream, each with the blank line that ends it.
pub fn events(text: &str) -> Vec<&str> {
    text.split_inclusive("\n\n").collect()
}

/// The JSON of an event that has one line of data.
pub fn data_of(event: &str) -> Value {
    let line = event
        .lines()
        .find_map(|line| line.strip_prefix("data:"))
        .unwrap_or_else(|| panic!("no data: {event:?}"));
    serde_json::from_str(line.trim()).unwrap_or_else(|error| panic!("{error}: {event:?}"))
}

/// The error that ends a stream in OpenAI's shape: the last event, the only one of its kind, and
/// no `[DONE]` anywhere. The HTTP framing under it ends cleanly.
pub fn ending_error(reply: &Reply) -> Value {
    let text = reply.text();
    assert_eq!(reply.broken, None, "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    let all = events(&text);
    let errors: Vec<_> = all
        .iter()
        .filter(|event| event.starts_with("data: {") && data_of(event)["error"].is_object())
        .collect();
    assert_eq!(errors.len(), 1, "{text}");
    let last = all.last().expect("an event");
    assert_eq!(errors, [last], "{text}");
    assert!(last.ends_with("\n\n"), "{text}");
    let error = data_of(last)["error"].clone();
    assert!(
        error["message"].as_str().is_some_and(|m| !m.is_empty()),
        "{error}"
    );
    error
}

/// Such an error, made by the gateway for this reason.
pub fn ended_for(reply: &Reply, reason: &str) {
    let error = ending_error(reply);
    let metadata = &error["metadata"];
    assert_eq!(metadata["reason"], reason, "{error}");
    assert_eq!(
        metadata["request_id"].as_str(),
        reply.get("x-request-id"),
        "{error}"
    );
    assert!(error["type"].is_string(), "{error}");
    assert!(metadata["attempts"].is_array(), "{error}");
}

/// When the piece that holds `text` came.
pub fn arrival(reply: &Reply, text: &str) -> Instant {
    let holds = |piece: &[u8]| String::from_utf8_lossy(piece).contains(text);
    let found = reply.pieces.iter().find(|(_, piece)| holds(piece));
    found
        .unwrap_or_else(|| panic!("no {text:?} in {:?}", reply.text()))
        .0
}

/// Fails when anything at all comes within this time.
pub async fn silent(conn: &mut Conn, time: Duration) {
    if let Ok(read) = tokio::time::timeout(time, conn.wire.fill()).await {
        let bytes = conn.wire.take_buffered();
        panic!(
            "not silent ({read:?}): {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}
