//! One event of a `text/event-stream`, as it came.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

/// An event, a run of comments or a blank line; what it means was found out when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    raw: &'a [u8],
    /// Whether every line is blank or a comment.
    comment: bool,
    name: Option<Range<usize>>,
    /// The value of the first `data` line.
    first: Range<usize>,
    data_lines: usize,
}

impl<'a> Event<'a> {
    /// Reads the lines of an event; also good for a tail that a stream left unfinished.
    pub fn new(raw: &'a [u8]) -> Self {
        Self::after(0, raw)
    }

    /// Reads the lines after the first `skip` bytes, which hold a byte order mark.
    pub fn after(skip: usize, raw: &'a [u8]) -> Self {
        let mut comment = true;
        let mut name = None;
        let mut first = 0..0;
        let mut data_lines = 0;
        for (field, value) in fields(raw, skip) {
            comment = false;
            match field {
                b"data" => {
                    if data_lines == 0 {
                        first = value;
                    }
                    data_lines += 1;
                }
                b"event" => name = Some(value),
                _ => {}
            }
        }
        Event {
            raw,
            comment,
            name,
            first,
            data_lines,
        }
    }

    /// All bytes, the blank line at the end included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether it holds nothing but comments and blank lines.
    pub fn is_comment(&self) -> bool {
        self.comment
    }

    /// The last `event` field, unless it is empty or not UTF-8.
    pub fn name(&self) -> Option<&'a str> {
        let name = std::str::from_utf8(self.raw.get(self.name.clone()?)?).ok()?;
        (!name.is_empty()).then_some(name)
    }

    /// The `data` lines, joined by line feeds.
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        match self.data_lines {
            0 => None,
            1 => self.raw.get(self.first.clone()).map(Cow::Borrowed),
            _ => Some(Cow::Owned(self.joined_data())),
        }
    }

    /// Where the data stands in [`raw`](Self::raw), when it is one line.
    pub fn payload(&self) -> Option<Range<usize>> {
        (self.data_lines == 1).then(|| self.first.clone())
    }

    /// Where a part of [`data`](Self::data) stands in [`raw`](Self::raw), when it lies in one line.
    pub fn place(&self, part: Range<usize>) -> Option<Range<usize>> {
        let mut before = 0;
        let first = std::iter::once(self.first.clone());
        let later = fields(self.raw, self.first.end).filter(|(field, _)| *field == b"data");
        for line in first.chain(later.map(|(_, value)| value)) {
            if part.end <= before + line.len() {
                let start = line.start + part.start.checked_sub(before)?;
                return Some(start..start + part.len());
            }
            // The line feed that joins them.
            before += line.len() + 1;
        }
        None
    }

    fn joined_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.raw.len());
        // Up to the first data line nothing counts, a byte order mark included.
        let first = self.raw.get(self.first.clone()).unwrap_or_default();
        data.extend_from_slice(first);
        for (field, value) in fields(self.raw, self.first.end) {
            if field == b"data" {
                data.push(b'\n');
                data.extend_from_slice(self.raw.get(value).unwrap_or_default());
            }
        }
        data
    }
}

/// The fields from `at` on, each with the span of its value; blank lines and comments are passed
/// over.
fn fields(raw: &[u8], mut at: usize) -> impl Iterator<Item = (&[u8], Range<usize>)> {
    std::iter::from_fn(move || {
        loop {
            let rest = raw.get(at..)?;
            let first = rest.first()?;
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (start, end) = (at, at + length);
            // The line feed of a pair counts as one more blank line, which changes nothing.
            at = end + 1;
            if length == 0 || *first == b':' {
                continue;
            }
            let line = raw.get(start..end)?;
            let Some(colon) = memchr(b':', line) else {
                return Some((line, end..end));
            };
            let space = usize::from(line.get(colon + 1) == Some(&b' '));
            return Some((line.get(..colon)?, start + colon + 1 + space..end));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(raw: &str) -> Event<'_> {
        Event::new(raw.as_bytes())
    }

    fn data(event: &Event<'_>) -> Option<String> {
        event
            .data()
            .map(|data| String::from_utf8(data.into_owned()).unwrap())
    }

    #[test]
    fn one_data_line_is_borrowed_and_has_a_place() {
        for (raw, place) in [
            ("data: {}\n\n", 6..8),
            ("data:{}\r\n\r\n", 5..7),
            (": ping\n\revent: x\rdata: {}\r\r", 23..25),
            ("data: {}", 6..8),
        ] {
            let event = event(raw);
            assert_eq!(event.payload(), Some(place));
            assert!(
                matches!(event.data(), Some(Cow::Borrowed(b"{}"))),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn only_one_space_is_taken_off() {
        assert_eq!(data(&event("data:  x \n\n")).as_deref(), Some(" x "));
        assert_eq!(data(&event("data:\n\n")).as_deref(), Some(""));
        assert_eq!(data(&event("data\n\n")).as_deref(), Some(""));
        assert_eq!(data(&event(" data: x\n\n")), None);
    }

    #[test]
    fn several_data_lines_are_joined() {
        let event = event("data: {\r\n: no\r\nid: 1\r\ndata:}\r\ndata\r\n\r\n");
        assert_eq!(data(&event).as_deref(), Some("{\n}\n"));
        assert_eq!(event.payload(), None);
    }

    #[test]
    fn a_part_of_the_data_has_its_place_in_the_lines() {
        let event = event("id: 1\r\ndata: {\"a\":\r\n: no\r\ndata:  1,\ndata\ndata:\"b\"}\n\n");
        let data = event.data().unwrap();
        assert_eq!(&*data, b"{\"a\":\n 1,\n\n\"b\"}");
        for part in [&b"{"[..], b"\"a\"", b"1", b"\"b\"", b"}", b"{\"a\":"] {
            let at = memchr::memmem::find(&data, part).unwrap();
            let place = event.place(at..at + part.len()).unwrap();
            assert_eq!(&event.raw()[place], part);
        }
        for across in [0..9, 5..7, 0..100] {
            assert_eq!(event.place(across), None);
        }
    }

    #[test]
    fn the_name_is_the_last_one_that_says_something() {
        assert_eq!(event("event: a\nevent: b\ndata: x\n\n").name(), Some("b"));
        assert_eq!(event("event: \ndata: x\n\n").name(), None);
        assert_eq!(event("data: event: x\n\n").name(), None);
        assert_eq!(Event::new(b"event: \xff\n\n").name(), None);
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        for raw in ["\n", "\r\n", ": ping\n\n", ":\r\n: x: y\r\n\r\n", ""] {
            let event = event(raw);
            assert!(event.is_comment() && event.data().is_none(), "{raw:?}");
        }
        assert!(!event("retry: 5\n\n").is_comment());
        assert!(!event("data\n\n").is_comment());
    }

    #[test]
    fn a_byte_order_mark_is_skipped_only_where_it_is_one() {
        let raw = b"\xef\xbb\xbfdata: x\ndata: y\n\n";
        assert_eq!(data(&Event::after(3, raw)).as_deref(), Some("x\ny"));
        assert_eq!(data(&Event::new(raw)).as_deref(), Some("y"));
    }
}
