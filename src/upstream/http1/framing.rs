//! Where the body of an answer ends, and which of the bytes on the wire are body.

use std::ops::Range;

/// A line that says how long the next chunk is, its extensions included.
const LONGEST_LINE: usize = 8 * 1024;
/// What comes after the last chunk. Nobody reads it.
const LONGEST_TRAILER: usize = 64 * 1024;

/// As the head of the answer says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    /// There is no other end than that of the connection.
    Close,
}

/// Not what HTTP/1.1 says that it may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    Close,
    /// In the digits of a chunk's length.
    Size {
        value: u64,
        digits: usize,
    },
    /// Behind a chunk's length, where only white space may come before an extension.
    Blank {
        value: u64,
        line: usize,
    },
    /// Between a chunk's length and the end of its line.
    Extension {
        value: u64,
        line: usize,
    },
    /// The line feed that ends a chunk's first line.
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndFeed,
    /// In what follows the last chunk; `column` is where in its line.
    Trailer {
        seen: usize,
        column: usize,
    },
    TrailerFeed {
        seen: usize,
        column: usize,
    },
    Over,
    Broken(&'static str),
}

/// How much of the input is read, and what of that is body.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub read: usize,
    pub body: Range<usize>,
}

impl Decoder {
    pub fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size {
                value: 0,
                digits: 0,
            },
            Framing::Close => State::Close,
        };
        Decoder { state }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// How much is to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Over => Some(0),
            _ => None,
        }
    }

    /// The connection has ended. False: that is not where the body ends.
    pub fn end(&mut self) -> bool {
        if matches!(self.state, State::Close) {
            self.state = State::Over;
        }
        self.is_over()
    }

    /// Reads up to the next piece of body and over it. Without one, all of the input was read or
    /// the body is over. What was malformed once stays so.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let step = self.try_step(input);
        if let Err(Malformed(why)) = step {
            self.state = State::Broken(why);
        }
        step
    }

    fn try_step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut read = 0;
        while let Some(rest) = input.get(read..).filter(|rest| !rest.is_empty()) {
            let body = match self.state {
                State::Over => break,
                State::Broken(why) => return Err(Malformed(why)),
                State::Close => rest.len(),
                State::Length(left) => {
                    let body = at_most(rest.len(), left);
                    self.state = match left - body as u64 {
                        0 => State::Over,
                        left => State::Length(left),
                    };
                    body
                }
                State::Data(left) => {
                    let body = at_most(rest.len(), left);
                    self.state = match left - body as u64 {
                        0 => State::DataEnd,
                        left => State::Data(left),
                    };
                    body
                }
                _ => {
                    for &byte in rest {
                        read += 1;
                        self.state = self.state.after(byte)?;
                        if matches!(self.state, State::Data(_) | State::Over) {
                            break;
                        }
                    }
                    continue;
                }
            };
            return Ok(Step {
                read: read + body,
                body: read..read + body,
            });
        }
        Ok(Step {
            read,
            body: read..read,
        })
    }
}

fn at_most(length: usize, left: u64) -> usize {
    usize::try_from(left).map_or(length, |left| left.min(length))
}

impl State {
    /// After a byte that belongs to no body.
    fn after(self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self, byte) {
            (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                // Sixteen digits fill the number.
                if digits == 16 {
                    return Err(Malformed("a chunk of a length nobody can count"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Size { digits: 0, .. }, _) => {
                return Err(Malformed("a chunk without a length"));
            }
            (State::Size { value, .. }, b'\r') => State::SizeEnd(value),
            (State::Size { value, .. }, b' ' | b'\t') => State::Blank { value, line: 0 },
            (State::Size { value, .. }, b';') => State::Extension { value, line: 0 },
            (State::Blank { value, line }, b' ' | b'\t') if line < LONGEST_LINE => State::Blank {
                value,
                line: line + 1,
            },
            (State::Blank { value, line }, b';') => State::Extension { value, line },
            (State::Blank { value, .. }, b'\r') => State::SizeEnd(value),
            (State::Size { .. } | State::Blank { .. }, _) => {
                return Err(Malformed("a chunk whose length is no number"));
            }
            (State::Extension { value, .. }, b'\r') => State::SizeEnd(value),
            (State::Extension { .. }, b'\n') => {
                return Err(Malformed("a chunk's length that ends in a bare line feed"));
            }
            (State::Extension { value, line }, _) if line < LONGEST_LINE => State::Extension {
                value,
                line: line + 1,
            },
            (State::Extension { .. }, _) => return Err(Malformed("a chunk's line without an end")),
            (State::SizeEnd(0), b'\n') => State::Trailer { seen: 0, column: 0 },
            (State::SizeEnd(length), b'\n') => State::Data(length),
            (State::SizeEnd(_), _) => return Err(Malformed("a chunk's length that does not end")),
            (State::DataEnd, b'\r') => State::DataEndFeed,
            (State::DataEndFeed, b'\n') => State::Size {
                value: 0,
                digits: 0,
            },
            (State::DataEnd | State::DataEndFeed, _) => {
                return Err(Malformed("a chunk longer than it says"));
            }
            (State::Trailer { seen, .. } | State::TrailerFeed { seen, .. }, _)
                if seen == LONGEST_TRAILER =>
            {
                return Err(Malformed("trailers without an end"));
            }
            (State::Trailer { seen, column }, b'\r') => State::TrailerFeed {
                seen: seen + 1,
                column,
            },
            (State::Trailer { .. }, b'\n') => {
                return Err(Malformed("a trailer that ends in a bare line feed"));
            }
            (State::Trailer { seen, column }, _) => State::Trailer {
                seen: seen + 1,
                column: column + 1,
            },
            (State::TrailerFeed { column: 0, .. }, b'\n') => State::Over,
            (State::TrailerFeed { seen, .. }, b'\n') => State::Trailer {
                seen: seen + 1,
                column: 0,
            },
            (State::TrailerFeed { .. }, _) => {
                return Err(Malformed("a trailer that ends in a bare carriage return"));
            }
            (State::Broken(why), _) => return Err(Malformed(why)),
            (state @ (State::Length(_) | State::Close | State::Data(_) | State::Over), _) => state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body, and what is left over, of bytes that come in these pieces.
    fn decoded<'a>(
        framing: Framing,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut decoder = Decoder::new(framing);
        let (mut body, mut over) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = piece;
            while !rest.is_empty() && !decoder.is_over() {
                let step = decoder.step(rest)?;
                body.extend_from_slice(&rest[step.body]);
                assert!(step.read > 0, "it must go on");
                rest = &rest[step.read..];
            }
            over.extend_from_slice(rest);
        }
        Ok((body, over, decoder.is_over()))
    }

    fn whole(framing: Framing, wire: &str) -> Result<(String, String, bool), Malformed> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        decoded(framing, [wire.as_bytes()])
            .map(|(body, over, is_over)| (text(body), text(over), is_over))
    }

    fn is(body: &str, over: &str, is_over: bool) -> Result<(String, String, bool), Malformed> {
        Ok((body.to_owned(), over.to_owned(), is_over))
    }

    #[test]
    fn a_length_is_kept() {
        assert_eq!(whole(Framing::Length(5), "hello"), is("hello", "", true));
        assert_eq!(whole(Framing::Length(5), "hello!"), is("hello", "!", true));
        assert_eq!(whole(Framing::Length(6), "hello"), is("hello", "", false));
        assert_eq!(whole(Framing::Length(0), "x"), is("", "x", true));
        assert_eq!(whole(Framing::Length(u64::MAX), "x"), is("x", "", false));
    }

    #[test]
    fn a_body_without_an_end_ends_with_the_connection() {
        let mut decoder = Decoder::new(Framing::Close);
        assert_eq!(decoder.step(b"abc").unwrap().body, 0..3);
        assert!(!decoder.is_over());
        assert!(decoder.end());
        assert!(!Decoder::new(Framing::Length(1)).end());
        assert!(!Decoder::new(Framing::Chunked).end());
    }

    #[test]
    fn chunks_are_put_together() {
        let wire = "3\r\nabc\r\n00A;why=\"x\"\r\n0123456789\r\n0\r\nX-A: b\r\n\r\nover";
        assert_eq!(
            whole(Framing::Chunked, wire),
            is("abc0123456789", "over", true)
        );
        assert_eq!(whole(Framing::Chunked, "0\r\n\r\n"), is("", "", true));
        assert_eq!(whole(Framing::Chunked, "3\r\nab"), is("ab", "", false));
        assert_eq!(whole(Framing::Chunked, "1 \r\na\r\n"), is("a", "", false));
        assert_eq!(
            whole(Framing::Chunked, "1 \t;x\r\na\r\n"),
            is("a", "", false)
        );
    }

    #[test]
    fn what_is_no_chunk_is_said_to_be_none() {
        let long = format!("1;{}", "x".repeat(LONGEST_LINE + 1));
        let blank = format!("1{}", " ".repeat(LONGEST_LINE + 2));
        let trailer = format!("0\r\n{}", "x".repeat(LONGEST_TRAILER + 1));
        for wire in [
            "",
            "x",
            "\r\n",
            "-1\r\n",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3;x\nabc",
            "3 3\r\nabc\r\n",
            "3 \nabc\r\n",
            &blank,
            "3\rabc",
            "11112222333344445\r\n",
            "0\r\nX-A: b\rX",
            "0\r\nX-A: b\n\n",
            "0\r\n\n",
            &long,
            &trailer,
        ] {
            let outcome = whole(Framing::Chunked, wire);
            assert_eq!(outcome.is_err(), !wire.is_empty(), "{wire:?}: {outcome:?}");
        }
    }

    #[test]
    fn what_was_malformed_once_stays_so() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let first = decoder.step(b"1\rx").unwrap_err();
        assert_eq!(decoder.step(b"1\r\na\r\n"), Err(first));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_body(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(0usize..400, 0..20),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nA: b\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]);
            let (body, over, is_over) = decoded(Framing::Chunked, pieces).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(over.is_empty() && is_over);
        }

        #[test]
        fn nothing_makes_it_panic_or_stand_still(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded(Framing::Chunked, [wire.as_slice()]);
        }
    }
}
