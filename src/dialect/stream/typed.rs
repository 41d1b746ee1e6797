//! Events that name their type: Anthropic's messages and OpenAI's responses.

use super::Glance;
use crate::body::cursor::{Cursor, Span, is_blank};

/// Which types of a dialect mean what; all others are content.
pub struct Types {
    /// The field of the first and the last events that holds the answer itself.
    answer: &'static [u8],
    /// Before the first content.
    opening: &'static [&'static [u8]],
    /// Tells why the answer ends, and is not the last event.
    ending: &'static [u8],
    last: &'static [&'static [u8]],
    failed: &'static [&'static [u8]],
}

pub const MESSAGES: Types = Types {
    answer: b"message",
    opening: &[b"message_start", b"ping", b"content_block_start"],
    ending: b"message_delta",
    last: &[b"message_stop"],
    failed: &[b"error"],
};

pub const RESPONSES: Types = Types {
    answer: b"response",
    opening: &[
        b"response.created",
        b"response.queued",
        b"response.in_progress",
        b"response.output_item.added",
        b"response.content_part.added",
        b"response.reasoning_summary_part.added",
    ],
    ending: b"",
    last: &[b"response.completed", b"response.incomplete"],
    failed: &[b"error", b"response.failed"],
};

pub fn glance(types: &Types, data: &[u8]) -> Option<Glance> {
    let mut cursor = Cursor::new(data);
    let mut glance = Glance::default();
    let mut kind: Option<Span> = None;
    let mut stop: Option<Span> = None;
    let mut said: Option<Span> = None;
    cursor.object(|inner, key| {
        match key {
            b"type" => kind = Some(inner.skip()?),
            b"usage" => glance.usage = Some(inner.skip()?),
            b"error" => {
                let error = inner.skip()?;
                glance.suspect |= !is_blank(inner.text(&error));
            }
            b"delta" if inner.peek()? == b'{' => {
                inner.object(|delta, key| {
                    let value = delta.skip()?;
                    match key {
                        b"stop_reason" => stop = Some(value),
                        b"text" | b"thinking" | b"partial_json" => said = Some(value),
                        _ => {}
                    }
                    Some(())
                })?;
            }
            // Of responses the piece itself.
            b"delta" => said = Some(inner.skip()?),
            key if key == types.answer && inner.peek()? == b'{' => {
                inner.object(|answer, key| {
                    match key {
                        b"id" => glance.id = Some(answer.skip()?),
                        b"model" => glance.model = Some(answer.skip()?),
                        b"usage" => glance.usage = Some(answer.skip()?),
                        _ => answer.pass()?,
                    }
                    Some(())
                })?;
            }
            _ => inner.pass()?,
        }
        Some(())
    })?;
    if !cursor.is_at_end() {
        return None;
    }
    glance.model = glance
        .model
        .filter(|model| cursor.text(model).starts_with(b"\""));
    let is_text = |said: &Span| said.len() > 2 && cursor.text(said).starts_with(b"\"");
    glance.text = said.filter(is_text);
    let kind = kind.map(|kind| cursor.text(&kind)).unwrap_or_default();
    let is = |name: &&[u8]| {
        let inner = kind.strip_prefix(b"\"").and_then(|k| k.strip_suffix(b"\""));
        inner == Some(*name)
    };
    glance.known = !kind.is_empty();
    glance.failed = types.failed.iter().any(is);
    if is(&types.ending) {
        let why = stop.map(|stop| cursor.text(&stop)).unwrap_or(b"null");
        glance.finished = u64::from(why != b"null");
        glance.says = !matches!(why, b"null" | b"\"end_turn\"");
    } else if types.last.iter().any(is) {
        glance.last = true;
        glance.finished = 1;
        // What has its whole answer in the last event says it there.
        glance.says = types.ending.is_empty();
    } else {
        glance.says = !glance.failed && !types.opening.iter().any(is);
    }
    glance.seen = 1;
    Some(glance)
}
