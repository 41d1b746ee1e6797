//! The few changes of one event, made while it is copied to what goes on.

use crate::body::cursor::Span;
use crate::sse::event::Event;
use bytes::{BufMut, BytesMut};

/// Model, id, created, role, text, reasoning, usage.
const MOST: usize = 7;

/// New bytes for spans of an event's data.
#[derive(Debug, Default)]
pub struct Edits<'a> {
    list: [(Span, &'a [u8]); MOST],
    len: usize,
}

impl<'a> Edits<'a> {
    pub fn push(&mut self, span: Span, with: &'a [u8]) {
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = (span, with);
            self.len += 1;
        }
    }

    /// Where both are known.
    pub fn replace(&mut self, span: &Option<Span>, with: Option<&'a [u8]>) {
        if let (Some(span), Some(with)) = (span, with) {
            self.push(span.clone(), with);
        }
    }

    /// The event with its edits made.
    pub fn put(mut self, out: &mut BytesMut, event: &Event<'_>) {
        let raw = event.raw();
        let edits = self.list.get_mut(..self.len).unwrap_or_default();
        edits.sort_unstable_by_key(|(span, _)| span.start);
        out.reserve(raw.len() + edits.iter().map(|(_, with)| with.len()).sum::<usize>());
        let mut at = 0;
        for (span, with) in edits {
            // A value that is broken over several lines stays as it is.
            let Some(place) = event.place(span.clone()) else {
                continue;
            };
            out.put_slice(raw.get(at..place.start).unwrap_or_default());
            out.put_slice(with);
            at = place.end;
        }
        out.put_slice(raw.get(at..).unwrap_or_default());
    }
}
