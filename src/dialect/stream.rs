//! Where an event of a stream holds what: content, end, error, model and usage, for each endpoint
//! that streams.
//!
//! | | content | end | error | model | usage |
//! |---|---|---|---|---|---|
//! | chat | `choices[].delta` | `finish_reason`, then `[DONE]` | `error` and its kin | `model` | `usage`, `choices[].usage`, `x_groq.usage` |
//! | completions | `choices[].text` | the same | the same | the same | the same |
//! | messages | every `content_block_delta` | `message_delta` with a `stop_reason`, then `message_stop` | `type: error` | `message.model` | `message.usage`, `usage` |
//! | responses | every `response.….delta` | `response.completed`, `response.incomplete` | `type: error`, `response.failed` | `response.model` | `response.usage` |
//!
//! What the other endpoints stream is passed on unread.

mod choices;
mod typed;

use crate::body::cursor::Span;
use crate::config::snapshot::Endpoint;

/// What one event holds, as spans of its data.
#[derive(Debug, Default)]
pub struct Glance {
    pub id: Option<Span>,
    pub created: Option<Span>,
    pub model: Option<Span>,
    pub usage: Option<Span>,
    /// It is nothing but usage: the extra chunk at the end.
    pub usage_alone: bool,
    /// Perhaps an error: worth a closer look.
    pub suspect: bool,
    /// An error beyond doubt.
    pub failed: bool,
    /// An event of the kind that this endpoint's answers consist of.
    pub known: bool,
    /// Something to deliver: text, reasoning, a tool call, or an end that says more than a bare
    /// stop.
    pub says: bool,
    /// Choices that occur, and those that end here, one bit each.
    pub seen: u64,
    pub finished: u64,
    /// Those with content here.
    pub speaks: u64,
    /// The last event there is.
    pub last: bool,
    /// A JSON string that is not empty.
    pub text: Option<Span>,
    pub reasoning: Option<Span>,
    /// Who speaks.
    pub role: Option<Span>,
    /// Content that is neither text nor reasoning, such as a tool call.
    pub beyond: bool,
}

/// Looks at the data of one event; `None` where it is not what such a stream consists of.
pub fn glance(endpoint: Endpoint, data: &[u8]) -> Option<Glance> {
    simdutf8::basic::from_utf8(data).ok()?;
    match endpoint {
        Endpoint::Chat | Endpoint::Completions => choices::glance(data),
        Endpoint::Messages => typed::glance(&typed::MESSAGES, data),
        Endpoint::Responses => typed::glance(&typed::RESPONSES, data),
        _ => Some(Glance {
            says: true,
            ..Glance::default()
        }),
    }
}

/// The event that ends a stream where its last one does not.
pub fn end_marker(endpoint: Endpoint) -> Option<&'static [u8]> {
    match endpoint {
        Endpoint::Chat | Endpoint::Completions => Some(b"[DONE]"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
