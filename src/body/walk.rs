//! The fields of the outermost object, one after another.

use std::ops::Range;

use super::error::ScanError;
use super::{nested, string};

/// A field as it stands in the body.
pub(super) struct RawField {
    /// With its quotes.
    pub key: Range<usize>,
    pub key_escaped: bool,
    pub value: Range<usize>,
}

/// Walks over the fields. Every step checks what it passes.
pub(super) struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    after_brace: usize,
    empty: bool,
}

impl<'a> Walk<'a> {
    /// Steps into the outermost object.
    pub fn open(body: &'a [u8]) -> Result<Self, ScanError> {
        let mut walk = Walk {
            body,
            at: 0,
            after_brace: 0,
            empty: true,
        };
        match walk.next_byte() {
            None => Err(ScanError::Empty),
            Some(b'{') => {
                walk.at += 1;
                walk.after_brace = walk.at;
                Ok(walk)
            }
            Some(_) if body.starts_with(b"\xef\xbb\xbf") => Err(ScanError::ByteOrderMark),
            Some(_) => Err(ScanError::NotAnObject),
        }
    }

    /// The offset right after the opening brace.
    pub fn after_brace(&self) -> usize {
        self.after_brace
    }

    /// Whether no field was met.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The next field; `None` once the object is closed and only white space follows.
    pub fn next(&mut self) -> Result<Option<RawField>, ScanError> {
        let byte = self.next_byte().ok_or(ScanError::Truncated)?;
        match byte {
            b'}' => {
                self.at += 1;
                return match self.next_byte() {
                    None => Ok(None),
                    Some(_) => Err(ScanError::TrailingBytes { at: self.at }),
                };
            }
            b',' if !self.empty => {
                self.at += 1;
                self.next_byte();
            }
            _ if !self.empty => return Err(self.expected("',' or '}'")),
            _ => {}
        }
        self.empty = false;
        self.field().map(Some)
    }

    fn field(&mut self) -> Result<RawField, ScanError> {
        let (key, key_escaped) = match self.peek().ok_or(ScanError::Truncated)? {
            b'"' => self.string()?,
            _ => return Err(self.expected("a field name in double quotes")),
        };
        match self.next_byte().ok_or(ScanError::Truncated)? {
            b':' => self.at += 1,
            _ => return Err(self.expected("':'")),
        }
        let start = self.at_value()?;
        Ok(RawField {
            key,
            key_escaped,
            value: start..self.at,
        })
    }

    /// Passes over one value; returns where it began.
    fn at_value(&mut self) -> Result<usize, ScanError> {
        let first = self.next_byte().ok_or(ScanError::Truncated)?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.at = nested::end(self.body, start)?,
            _ => {
                let rest = self.body.get(start..).unwrap_or_default();
                let length = rest
                    .iter()
                    .position(|byte| !is_bare(*byte))
                    .unwrap_or(rest.len());
                if length == 0 {
                    return Err(self.expected("a JSON value"));
                }
                self.at += length;
            }
        }
        Ok(start)
    }

    /// Passes over the string whose opening quote stands here: its span, and whether it is escaped.
    fn string(&mut self) -> Result<(Range<usize>, bool), ScanError> {
        let start = self.at;
        let end = string::end(self.body, start + 1).ok_or(ScanError::Truncated)?;
        self.at = end.quote + 1;
        Ok((start..self.at, end.escaped))
    }

    /// Skips white space and looks at what follows.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn expected(&self, expected: &'static str) -> ScanError {
        ScanError::Malformed {
            at: self.at,
            expected,
        }
    }
}

/// What numbers and literals are made of; whether they are spelled right is the provider's to say.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
