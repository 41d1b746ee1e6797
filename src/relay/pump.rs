//! A committed stream: bytes in, bytes out, at once. Only the name of the model changes.

use crate::body::scan::model_span;
use crate::sse::event::Event;
use crate::sse::split::Splitter;
use bytes::{BufMut, Bytes, BytesMut};

/// An event larger than this is passed on as it is.
const LARGEST_EVENT: usize = 16 * 1024 * 1024;

pub struct Pump {
    /// The name that callers know, as a JSON string. None: the provider's own stays.
    model: Option<Bytes>,
    splitter: Splitter,
    out: BytesMut,
}

impl Pump {
    pub fn new(model: Option<Bytes>) -> Pump {
        Pump {
            model,
            splitter: Splitter::new(LARGEST_EVENT),
            out: BytesMut::new(),
        }
    }

    /// What can go on now. Only the unfinished end of a chunk stays behind.
    pub fn feed(&mut self, chunk: Bytes) -> Bytes {
        let Some(model) = self.model.clone() else {
            return chunk;
        };
        self.splitter.push(chunk);
        let mut single: Option<Bytes> = None;
        loop {
            match self.splitter.next() {
                None => break,
                Some(Ok(event)) => {
                    let whole_is_this = self.out.is_empty() && single.is_none();
                    match span(&event, &model) {
                        // The common case of one event a chunk that needs no change: no copy.
                        None if whole_is_this => single = Some(event.raw().clone()),
                        found => {
                            if let Some(first) = single.take() {
                                self.out.put_slice(&first);
                            }
                            put(&mut self.out, &event, found, &model);
                        }
                    }
                }
                Some(Err(_)) => {
                    // Too large to look into: it passes, and so does the rest of the stream.
                    if let Some(first) = single.take() {
                        self.out.put_slice(&first);
                    }
                    self.out.put_slice(&self.splitter.take_tail());
                    self.model = None;
                    break;
                }
            }
        }
        match single {
            Some(single) => single,
            None => self.out.split().freeze(),
        }
    }

    /// The end of the stream: what never became a whole event.
    pub fn finish(&mut self) -> Bytes {
        let tail = self.splitter.take_tail();
        let Some(model) = &self.model else {
            return tail;
        };
        // Some providers leave out the blank line after their last event.
        let event = Event::new(tail);
        match span(&event, model) {
            None => event.raw().clone(),
            found => {
                put(&mut self.out, &event, found, model);
                self.out.split().freeze()
            }
        }
    }
}

/// Where the model stands in an event, if it has to change.
fn span(event: &Event, model: &Bytes) -> Option<std::ops::Range<usize>> {
    let payload = event.payload()?;
    let data = event.raw().get(payload.clone())?;
    let span = model_span(data)?;
    (data.get(span.clone()) != Some(model))
        .then(|| span.start + payload.start..span.end + payload.start)
}

fn put(out: &mut BytesMut, event: &Event, found: Option<std::ops::Range<usize>>, model: &Bytes) {
    let raw = event.raw();
    let parts = found.and_then(|span| Some((raw.get(..span.start)?, raw.get(span.end..)?)));
    match parts {
        Some((before, after)) => {
            out.reserve(raw.len() + model.len());
            out.put_slice(before);
            out.put_slice(model);
            out.put_slice(after);
        }
        None => out.put_slice(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream becomes when it arrives in pieces of this size.
    fn pass(stream: &[u8], step: usize, largest: usize) -> Vec<u8> {
        let mut pump = Pump {
            model: Some(Bytes::from_static(b"\"ours\"")),
            splitter: Splitter::new(largest),
            out: BytesMut::new(),
        };
        let mut out = Vec::new();
        for chunk in stream.chunks(step) {
            out.extend_from_slice(&pump.feed(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&pump.finish());
        out
    }

    #[test]
    fn the_model_changes_however_a_stream_is_cut() {
        let stream = "data: {\"model\":\"theirs\",\"n\":1}\r\n\r\n: ping\n\n\
                      data: {\"model\":\"ours\"}\n\ndata: [DONE]\n\ndata: {\"model\":\"theirs\"}";
        let wanted = stream.replace("theirs", "ours");
        for step in 1..=stream.len() {
            assert_eq!(pass(stream.as_bytes(), step, 100), wanted.as_bytes());
        }
    }

    #[test]
    fn nothing_is_lost_of_an_event_too_large_to_look_into_nor_after_it() {
        let event = "data: {\"model\":\"theirs\"}\n\n";
        let large = format!(
            "data: {{\"model\":\"theirs\",\"x\":\"{}\"}}\n\n",
            "x".repeat(300)
        );
        let stream = format!("{event}{large}{event}{event}data: tail");
        let changed = stream.replacen("theirs", "ours", 1);
        for step in 1..=stream.len() {
            let out = pass(stream.as_bytes(), step, 100);
            // A chunk that holds the large event whole needs no bound.
            let whole = out == stream.replace("theirs", "ours").as_bytes();
            assert!(whole || out == changed.as_bytes(), "by {step}");
            assert!(!whole || step > 100, "by {step}");
        }
    }
}
