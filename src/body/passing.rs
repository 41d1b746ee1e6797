//! The top-level `model` of a JSON object too large to be held: replaced as the bytes go by.

use bytes::{BufMut, Bytes, BytesMut};

/// Rewrites the first top-level string `model` of one JSON object. Everything else passes byte for
/// byte, and at once: at most a key's worth of bytes is ever looked at twice.
#[derive(Debug)]
pub struct ModelPassing {
    model: Bytes,
    depth: usize,
    state: State,
    /// The key being read at the top level, as long as it can still be `model`.
    matched: usize,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    /// Inside a string that is of no interest.
    Text {
        escaped: bool,
    },
    /// Inside a top-level key.
    Key {
        escaped: bool,
    },
    /// After a top-level key that was `model`.
    Colon,
    /// The value of `model` is next.
    Value,
    /// Inside the old value, which is dropped.
    Old {
        escaped: bool,
    },
}

const KEY: &[u8] = b"model";

impl ModelPassing {
    /// `model` is a JSON string, quotes included.
    pub fn new(model: Bytes) -> ModelPassing {
        ModelPassing {
            model,
            depth: 0,
            state: State::Between,
            matched: 0,
            done: false,
        }
    }

    pub fn feed(&mut self, chunk: &[u8], out: &mut BytesMut) {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.done {
                out.put_slice(rest);
                return;
            }
            if let State::Text { escaped: false } = self.state {
                // Long strings are most of what passes: skip to what can end them.
                let skip = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let (text, tail) = rest.split_at(skip);
                out.put_slice(text);
                rest = tail;
                if let Some((&byte, after)) = rest.split_first() {
                    out.put_u8(byte);
                    self.state = if byte == b'"' {
                        State::Between
                    } else {
                        State::Text { escaped: true }
                    };
                    rest = after;
                }
                continue;
            }
            self.step(byte, out);
            rest = after;
        }
    }

    fn step(&mut self, byte: u8, out: &mut BytesMut) {
        match self.state {
            State::Between => match byte {
                b'"' if self.depth == 1 => {
                    // A key or a value: both are compared, only a key is followed by a colon.
                    self.matched = 0;
                    self.state = State::Key { escaped: false };
                }
                b'"' => self.state = State::Text { escaped: false },
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            },
            State::Text { .. } => self.state = State::Text { escaped: false },
            State::Key { escaped } => {
                if !escaped && byte == b'"' {
                    self.state = if self.matched == KEY.len() {
                        State::Colon
                    } else {
                        State::Between
                    };
                } else {
                    let fits = KEY.get(self.matched) == Some(&byte);
                    self.matched = if fits {
                        self.matched + 1
                    } else {
                        KEY.len() + 1
                    };
                    self.state = State::Key {
                        escaped: !escaped && byte == b'\\',
                    };
                }
            }
            State::Colon => match byte {
                b':' => self.state = State::Value,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                // It was a value that happened to read `model`.
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.state = State::Between;
                }
                _ => self.state = State::Between,
            },
            State::Value => match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'"' => {
                    out.put_slice(&self.model);
                    self.state = State::Old { escaped: false };
                    return;
                }
                b'{' | b'[' => {
                    self.depth += 1;
                    self.state = State::Between;
                }
                _ => self.state = State::Between,
            },
            State::Old { escaped } => {
                if !escaped && byte == b'"' {
                    self.done = true;
                } else {
                    self.state = State::Old {
                        escaped: !escaped && byte == b'\\',
                    };
                }
                return;
            }
        }
        out.put_u8(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(text: &str, step: usize) -> String {
        let mut passing = ModelPassing::new(Bytes::from_static(b"\"NEW\""));
        let mut out = BytesMut::new();
        for chunk in text.as_bytes().chunks(step) {
            passing.feed(chunk, &mut out);
        }
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn only_the_top_level_model_changes_however_it_is_cut() {
        let text = r#"{"a":"model","x":{"model":"in"},"d":["model",{"model":"\"model\":\"q\""}],"s":"\\\"model\":\"no\"", "model" : "ol\"d","model2":"x","z":1}"#;
        let wanted = text.replace(r#""ol\"d""#, r#""NEW""#);
        for step in 1..text.len() {
            assert_eq!(pass(text, step), wanted, "by {step}");
        }
    }

    #[test]
    fn what_has_no_string_model_is_untouched() {
        for text in [
            r#"{"model":null,"b":"c"}"#,
            r#"{"model":["model"],"b":"model"}"#,
            r#"["model","x"]"#,
            "not json \"model\":\"x\"",
            "",
        ] {
            for step in [1, 3, 100] {
                assert_eq!(pass(text, step), text);
            }
        }
    }
}
