//! Cuts a `text/event-stream` into events, however its bytes arrive.

use std::fmt;
use std::ops::ControlFlow;

use memchr::memchr2;

use super::event::Event;

/// Takes chunks and hands on whole events. An event that lies inside one chunk is a slice of it;
/// only an unfinished one is copied, into memory that is used again. All events' bytes and the
/// tail, put together, are the input.
#[derive(Debug)]
pub struct Splitter {
    max_event: usize,
    /// The event that has begun and not ended.
    partial: Vec<u8>,
    place: Place,
    /// The length of the byte order mark, until the first event has gone.
    mark: usize,
    overflowed: bool,
}

/// Memory that is used again from one event to the next.
const KEPT: usize = 64 * 1024;

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
            partial: Vec::new(),
            place: Place::Mark(0),
            mark: 0,
            overflowed: false,
        }
    }

    /// Hands on every event that ends in this chunk, until one breaks off: then the rest of the
    /// chunk is forgotten, and nothing more is to be asked of this splitter.
    pub fn feed<B>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Event<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, Overflow> {
        let mut rest = chunk;
        while !self.overflowed
            && let Some((head, tail)) = self
                .event_end(rest)
                .and_then(|length| rest.split_at_checked(length))
        {
            rest = tail;
            let mark = std::mem::take(&mut self.mark);
            let flow = if self.partial.is_empty() {
                each(Event::after(mark, head))
            } else {
                self.partial.extend_from_slice(head);
                let flow = each(Event::after(mark, &self.partial));
                self.partial.clear();
                // One large event is no reason to hold its memory to the end of the stream.
                self.partial.shrink_to(KEPT);
                flow
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.partial.extend_from_slice(rest);
        self.overflowed |= self.partial.len() > self.max_event;
        if self.overflowed {
            return Err(Overflow {
                max_event: self.max_event,
            });
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How much is held of an event that has not ended.
    pub fn held(&self) -> usize {
        self.partial.len()
    }

    /// Memory held, used or not.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.partial.capacity()
    }

    /// Gives away all that was fed and is no event yet: the end of a stream, or of looking into it.
    pub fn take_tail(&mut self) -> Vec<u8> {
        self.place = Place::LineStart { after_cr: false };
        std::mem::take(&mut self.partial)
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
    fn event_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = chunk.get(at..)?;
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
    use std::convert::Infallible;

    /// The raw events of a stream that arrives in these chunks, and the tail.
    pub fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut events = Vec::new();
        let tail = each(chunks, |event| events.push(event.raw().to_vec()));
        (events, tail)
    }

    /// Looks at each event of a stream that arrives in these chunks; gives the tail.
    pub fn each<'a>(
        chunks: impl IntoIterator<Item = &'a [u8]>,
        mut look: impl FnMut(Event<'_>),
    ) -> Vec<u8> {
        let mut splitter = Splitter::new(4 << 20);
        for chunk in chunks {
            let fed = splitter.feed(chunk, |event| {
                look(event);
                ControlFlow::<Infallible>::Continue(())
            });
            assert!(fed.is_ok());
        }
        splitter.take_tail()
    }

    fn fed(splitter: &mut Splitter, chunk: &str) -> Result<Vec<String>, Overflow> {
        let mut events = Vec::new();
        let fed = splitter.feed(chunk.as_bytes(), |event| {
            events.push(String::from_utf8(event.raw().to_vec()).unwrap());
            ControlFlow::<Infallible>::Continue(())
        });
        fed.map(|_| events)
    }

    fn raws(stream: &str) -> Vec<String> {
        let (mut events, tail) = split([stream.as_bytes()]);
        events.push(tail);
        let raws = events.into_iter();
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
        assert_eq!(fed(&mut splitter, "data: a\r\n\r").unwrap(), [""; 0]);
        assert_eq!(
            fed(&mut splitter, "\ndata: b\r\n").unwrap(),
            ["data: a\r\n\r\n"]
        );
        assert_eq!(splitter.take_tail(), b"data: b\r\n");

        let mut splitter = Splitter::new(100);
        assert_eq!(fed(&mut splitter, "data: a\r\r").unwrap(), ["data: a\r\r"]);
    }

    #[test]
    fn an_event_inside_one_chunk_is_not_copied() {
        let chunk = b"data: a\n\ndata: b\n\n";
        let mut at = [0, 9].into_iter();
        each([&chunk[..]], |event| {
            assert_eq!(event.raw().as_ptr(), chunk[at.next().unwrap()..].as_ptr());
        });
        assert_eq!(at.next(), None);
    }

    #[test]
    fn whoever_looks_may_break_off() {
        let mut splitter = Splitter::new(100);
        let mut seen = 0;
        let fed = splitter.feed(b"data: a\n\ndata: b\n\n", |event| {
            seen += 1;
            ControlFlow::Break(event.raw().len())
        });
        assert_eq!((fed, seen), (Ok(ControlFlow::Break(9)), 1));
    }

    #[test]
    fn a_long_event_passes_and_an_endless_one_is_reported() {
        let long = format!("data: {}\n\n", "x".repeat(1 << 20));
        let mut payloads = Vec::new();
        let tail = each(long.as_bytes().chunks(4096), |event| {
            payloads.push(event.payload().unwrap());
        });
        assert_eq!((payloads.len(), tail.len()), (1, 0));
        assert_eq!(payloads.first(), Some(&(6..6 + (1 << 20))));

        let mut splitter = Splitter::new(10);
        assert_eq!(
            fed(&mut splitter, "data: a\n\ndata: 5678").unwrap(),
            ["data: a\n\n"]
        );
        assert_eq!(fed(&mut splitter, "9"), Err(Overflow { max_event: 10 }));
        assert_eq!(fed(&mut splitter, "\n\n"), Err(Overflow { max_event: 10 }));
        assert_eq!(splitter.take_tail(), b"data: 56789\n\n");
    }

    #[test]
    fn the_tail_is_all_that_did_not_become_an_event() {
        let mut splitter = Splitter::new(100);
        for piece in ["data: a\n\nda", "ta: c"] {
            fed(&mut splitter, piece).unwrap();
        }
        assert_eq!(splitter.held(), 7);
        assert_eq!(splitter.take_tail(), b"data: c");
        assert_eq!(splitter.take_tail(), b"");
    }
}
