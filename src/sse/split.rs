//! Cuts a `text/event-stream` into events, however its bytes arrive.

use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::event::Event;

/// Takes chunks and gives whole events. An event that lies inside one chunk is a slice of it; only
/// an unfinished one is copied. All events' bytes and the tail, put together, are the input.
#[derive(Debug)]
pub struct Splitter {
    max_event: usize,
    /// What arrived and was not looked at yet.
    chunk: Bytes,
    /// The event that has begun and not ended.
    partial: BytesMut,
    place: Place,
    /// The length of the byte order mark, until the first event has gone.
    mark: usize,
    overflowed: bool,
}

/// An event grew beyond the bound before it ended. No more events come of this stream: its bytes are
/// to be had with [`Splitter::take_tail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow {
    pub max_event: usize,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an event of the stream is longer than {} bytes",
            self.max_event
        )
    }
}

impl std::error::Error for Overflow {}

impl Splitter {
    /// `max_event` bounds what is held of an event that has not ended.
    pub fn new(max_event: usize) -> Self {
        Splitter {
            max_event,
            chunk: Bytes::new(),
            partial: BytesMut::new(),
            place: Place::Mark(0),
            mark: 0,
            overflowed: false,
        }
    }

    /// Takes the next bytes. [`next`](Self::next) is to be asked until it gives `None` before the
    /// next ones; what is left over otherwise is copied.
    pub fn push(&mut self, chunk: Bytes) {
        if self.overflowed {
            self.partial.extend_from_slice(&chunk);
        } else if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            self.chunk = [self.chunk.as_ref(), chunk.as_ref()].concat().into();
        }
    }

    /// The next whole event.
    #[expect(
        clippy::should_implement_trait,
        reason = "it goes on after None, when more arrives"
    )]
    pub fn next(&mut self) -> Option<Result<Event, Overflow>> {
        if self.overflowed {
            return None;
        }
        let Some(length) = self.event_end() else {
            self.overflowed = self.partial.len() + self.chunk.len() > self.max_event;
            self.partial.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            let max_event = self.max_event;
            return self.overflowed.then_some(Err(Overflow { max_event }));
        };
        let head = self.chunk.split_to(length);
        let raw = if self.partial.is_empty() {
            head
        } else {
            self.partial.extend_from_slice(&head);
            self.partial.split().freeze()
        };
        Some(Ok(Event::after(std::mem::take(&mut self.mark), raw)))
    }

    /// Gives away all that was pushed and is no event yet: the end of a stream, or of looking into
    /// it.
    pub fn take_tail(&mut self) -> Bytes {
        self.place = Place::LineStart { after_cr: false };
        let chunk = std::mem::take(&mut self.chunk);
        if self.partial.is_empty() {
            return chunk;
        }
        self.partial.extend_from_slice(&chunk);
        self.partial.split().freeze()
    }
}

/// Where in its lines the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the very beginning, so many bytes into what may be a byte order mark.
    Mark(usize),
    /// Nothing of this line yet. `after_cr`: the line before ended in a lone carriage return.
    LineStart { after_cr: bool },
    /// A line that says something.
    InLine,
    /// A line has ended in a carriage return; a line feed may belong to it. `blank`: the line is
    /// the one that ends the event.
    AfterCr { blank: bool },
    /// As before, but the event has gone already.
    AfterEvent,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Splitter {
    /// How much of the chunk belongs to the event under way, if it ends there.
    ///
    /// A carriage return that ends a blank line could be half of a pair. It is waited for the other
    /// half, except where the line before ended in a lone one too: a stream of that kind would
    /// otherwise always be one event late. Should a line feed follow all the same, it begins the
    /// next event, where it changes nothing.
    fn event_end(&mut self) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = self.chunk.get(at..)?;
            let byte = *rest.first()?;
            match self.place {
                Place::Mark(seen) if MARK.get(seen) == Some(&byte) => {
                    at += 1;
                    self.place = Place::Mark(seen + 1);
                    if seen + 1 == MARK.len() {
                        self.mark = MARK.len();
                        self.place = Place::LineStart { after_cr: false };
                    }
                }
                Place::Mark(0) => self.place = Place::LineStart { after_cr: false },
                Place::Mark(_) => self.place = Place::InLine,
                Place::LineStart { after_cr } => match byte {
                    b'\n' => {
                        self.place = Place::LineStart { after_cr: false };
                        return Some(at + 1);
                    }
                    b'\r' if after_cr => {
                        self.place = Place::AfterEvent;
                        return Some(at + 1);
                    }
                    b'\r' => {
                        at += 1;
                        self.place = Place::AfterCr { blank: true };
                    }
                    _ => self.place = Place::InLine,
                },
                Place::InLine => {
                    let end = memchr2(b'\n', b'\r', rest)?;
                    self.place = match rest.get(end) {
                        Some(b'\r') => Place::AfterCr { blank: false },
                        _ => Place::LineStart { after_cr: false },
                    };
                    at += end + 1;
                }
                Place::AfterCr { blank } => {
                    let pair = byte == b'\n';
                    at += usize::from(pair);
                    self.place = Place::LineStart { after_cr: !pair };
                    if blank {
                        return Some(at);
                    }
                }
                Place::AfterEvent => {
                    let pair = byte == b'\n';
                    at += usize::from(pair);
                    self.place = Place::LineStart { after_cr: !pair };
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The events of a stream that arrives in these chunks, and the tail.
    pub fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Bytes) {
        let mut splitter = Splitter::new(4 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(event) = splitter.next() {
                events.push(event.unwrap());
            }
        }
        (events, splitter.take_tail())
    }

    fn raws(stream: &str) -> Vec<String> {
        let (events, tail) = split([stream.as_bytes()]);
        let raws = events
            .iter()
            .map(|event| event.raw().to_vec())
            .chain([tail.to_vec()]);
        raws.map(|raw| String::from_utf8(raw).unwrap()).collect()
    }

    #[test]
    fn each_line_end_ends_an_event() {
        assert_eq!(
            raws("data: a\n\ndata: b\n\nda"),
            ["data: a\n\n", "data: b\n\n", "da"]
        );
        assert_eq!(
            raws("data: a\r\n\r\n: b\r\n\r\n"),
            ["data: a\r\n\r\n", ": b\r\n\r\n", ""]
        );
        assert_eq!(
            raws("data: a\r\rdata: b\r\r"),
            ["data: a\r\r", "data: b\r\r", ""]
        );
        assert_eq!(raws("\n\ndata: a\n\n"), ["\n", "\n", "data: a\n\n", ""]);
    }

    #[test]
    fn half_a_pair_is_waited_for_unless_the_stream_has_none() {
        let mut splitter = Splitter::new(100);
        splitter.push(Bytes::from_static(b"data: a\r\n\r"));
        assert_eq!(splitter.next(), None);
        splitter.push(Bytes::from_static(b"\ndata: b\r\n"));
        assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: a\r\n\r\n");
        assert_eq!(splitter.next(), None);
        assert_eq!(splitter.take_tail(), "data: b\r\n");

        let mut splitter = Splitter::new(100);
        splitter.push(Bytes::from_static(b"data: a\r\r"));
        assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: a\r\r");
    }

    #[test]
    fn an_event_inside_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut splitter = Splitter::new(100);
        splitter.push(chunk.clone());
        for at in [0, 9] {
            assert_eq!(
                splitter.next().unwrap().unwrap().raw().as_ptr(),
                chunk[at..].as_ptr()
            );
        }
        assert_eq!(splitter.next(), None);
    }

    #[test]
    fn chunks_may_be_pushed_ahead() {
        let mut splitter = Splitter::new(100);
        splitter.push(Bytes::from_static(b"data: a\n\nda"));
        splitter.push(Bytes::from_static(b"ta: b\n\n"));
        assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: a\n\n");
        assert_eq!(splitter.next().unwrap().unwrap().raw(), "data: b\n\n");
    }

    #[test]
    fn a_long_event_passes_and_an_endless_one_is_reported_once() {
        let long = format!("data: {}\n\n", "x".repeat(1 << 20));
        let (events, tail) = split(long.as_bytes().chunks(4096));
        assert_eq!((events.len(), tail.len()), (1, 0));
        assert_eq!(events[0].payload(), Some(6..6 + (1 << 20)));

        let mut splitter = Splitter::new(10);
        splitter.push(Bytes::from_static(b"data: a\n\ndata: 5678"));
        assert!(splitter.next().unwrap().is_ok());
        assert_eq!(splitter.next(), None);
        splitter.push(Bytes::from_static(b"9"));
        assert_eq!(splitter.next(), Some(Err(Overflow { max_event: 10 })));
        splitter.push(Bytes::from_static(b"\n\n"));
        assert_eq!(splitter.next(), None);
        assert_eq!(splitter.take_tail(), "data: 56789\n\n");
    }

    #[test]
    fn the_tail_is_all_that_did_not_become_an_event() {
        let mut splitter = Splitter::new(100);
        splitter.push(Bytes::from_static(b"data: a\n\ndata: b\n\nda"));
        assert!(splitter.next().unwrap().is_ok());
        assert_eq!(splitter.take_tail(), "data: b\n\nda");
        assert_eq!(splitter.take_tail(), "");
        for piece in ["da", "ta: c"] {
            assert_eq!(splitter.next(), None);
            splitter.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(splitter.take_tail(), "data: c");
    }
}
