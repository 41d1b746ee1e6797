//! Finds the few top-level fields the mock needs in a body that passes by once, in any pieces.
//!
//! Nothing is kept but those fields and the last message, so a body of any size costs the same
//! memory. It trusts the JSON to be valid: what is not, ends in a missing field.

use memchr::memchr2;

/// The fields of interest, filled in as the body is fed.
#[derive(Default)]
pub struct Scan {
    model: Vec<u8>,
    stream: Vec<u8>,
    stream_options: Vec<u8>,
    message: Vec<u8>,
    continues: Vec<u8>,
    most_tokens: Vec<u8>,
    inputs: usize,
    depth: u32,
    string: Place,
    field: Field,
    key: Vec<u8>,
    in_key: bool,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Default, PartialEq)]
enum Place {
    #[default]
    Outside,
    String,
    Escape,
}

/// The top-level field whose value is passing by.
#[derive(Clone, Copy, Default, PartialEq)]
enum Field {
    #[default]
    Other,
    /// Between `{` or `,` and the key.
    BeforeKey,
    Model,
    Stream,
    StreamOptions,
    Input,
    Messages,
    Continues,
    MostTokens,
}

/// A longer value than any of these fields has is cut off here.
const LONGEST: usize = 4096;
/// A longer message is not one that a test continues.
const LONGEST_MESSAGE: usize = 1 << 20;

impl Scan {
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = match self.string {
                Place::Outside => {
                    self.outside(byte);
                    rest
                }
                Place::Escape => {
                    self.capture(&[byte]);
                    self.string = Place::String;
                    rest
                }
                Place::String => {
                    let end = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                    let (inside, rest) = bytes.split_at(end);
                    self.capture(inside);
                    match rest.split_first() {
                        Some((&delimiter, rest)) => {
                            self.delimiter(delimiter);
                            rest
                        }
                        None => rest,
                    }
                }
            };
        }
    }

    /// The model's value as it stood in the body, quotes and escapes included.
    pub fn model_token(&self) -> &str {
        match std::str::from_utf8(&self.model) {
            Ok(token) if token.starts_with('"') => token,
            _ => "\"\"",
        }
    }

    pub fn streams(&self) -> bool {
        self.stream == b"true"
    }

    /// Whether the stream's usage is asked for.
    pub fn wants_usage(&self) -> bool {
        serde_json::from_slice::<serde_json::Value>(&self.stream_options)
            .is_ok_and(|options| options.get("include_usage") == Some(&serde_json::json!(true)))
    }

    pub fn has_stream_options(&self) -> bool {
        !matches!(self.stream_options.as_slice(), b"" | b"null")
    }

    /// The last object in `messages`, with the end of the list after it.
    pub fn last_message(&self) -> &[u8] {
        &self.message
    }

    pub fn continues_final_message(&self) -> bool {
        self.continues == b"true"
    }

    /// `max_tokens` or `max_completion_tokens`.
    pub fn most_tokens(&self) -> Option<u64> {
        std::str::from_utf8(&self.most_tokens).ok()?.parse().ok()
    }

    /// How many texts an embedding request holds.
    pub fn inputs(&self) -> usize {
        self.inputs.max(1)
    }

    fn outside(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            return;
        }
        if self.depth == 1 {
            match byte {
                b',' => return self.field = Field::BeforeKey,
                b':' if self.field == Field::BeforeKey => return self.field = named(&self.key),
                _ => {}
            }
        }
        match byte {
            b'"' => {
                self.string = Place::String;
                self.in_key = self.depth == 1 && self.field == Field::BeforeKey;
                if self.in_key {
                    self.key.clear();
                }
                self.count_input();
            }
            b'{' | b'[' => {
                self.count_input();
                if self.field == Field::Messages && self.depth == 2 {
                    self.message.clear();
                }
                self.depth += 1;
                if self.depth == 1 {
                    return self.field = Field::BeforeKey;
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > 0 {
            self.capture(&[byte]);
        }
    }

    /// The first quote or backslash after some text in a string.
    fn delimiter(&mut self, byte: u8) {
        self.capture(&[byte]);
        self.string = if byte == b'"' {
            Place::Outside
        } else {
            Place::Escape
        };
        if self.string == Place::Outside {
            self.in_key = false;
        }
    }

    fn count_input(&mut self) {
        if self.field == Field::Input && self.depth == 2 {
            self.inputs += 1;
        }
    }

    fn capture(&mut self, bytes: &[u8]) {
        let (into, longest) = match self.field {
            Field::BeforeKey if self.in_key => (&mut self.key, LONGEST),
            Field::Model => (&mut self.model, LONGEST),
            Field::Stream => (&mut self.stream, LONGEST),
            Field::StreamOptions => (&mut self.stream_options, LONGEST),
            Field::Messages => (&mut self.message, LONGEST_MESSAGE),
            Field::Continues => (&mut self.continues, LONGEST),
            Field::MostTokens => (&mut self.most_tokens, LONGEST),
            _ => return,
        };
        let room = longest.saturating_sub(into.len()).min(bytes.len());
        into.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }
}

/// The field a key names; the token keeps its quotes.
fn named(key: &[u8]) -> Field {
    match key {
        br#""model""# => Field::Model,
        br#""stream""# => Field::Stream,
        br#""stream_options""# => Field::StreamOptions,
        br#""input""# => Field::Input,
        br#""messages""# => Field::Messages,
        br#""continue_final_message""# => Field::Continues,
        br#""max_tokens""# | br#""max_completion_tokens""# => Field::MostTokens,
        _ if key.contains(&b'\\') => match serde_json::from_slice::<String>(key) {
            Ok(plain) if !plain.contains(['\\', '"']) => named(format!("\"{plain}\"").as_bytes()),
            _ => Field::Other,
        },
        _ => Field::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: &str, piece: usize) -> Scan {
        let mut scan = Scan::default();
        for piece in body.as_bytes().chunks(piece) {
            scan.feed(piece);
        }
        scan
    }

    #[test]
    fn top_level_fields_are_found_in_any_pieces() {
        let body = r#" {"messages":[{"role":"user","content":"say \"model\": {[\\"},{"model":"no"}],
            "mod\u0065l" : "a\/b" , "stream":true,
            "stream_options": {"include_usage" : true}, "input":["x",["y"],"z"] } "#;
        for piece in 1..body.len() {
            let scan = scan(body, piece);
            assert_eq!(scan.model_token(), r#""a\/b""#, "{piece}");
            assert!(scan.streams() && scan.wants_usage(), "{piece}");
            assert_eq!(scan.inputs(), 3, "{piece}");
        }
    }

    #[test]
    fn the_last_message_and_the_bounds_are_found_in_any_pieces() {
        let body = r#"{"max_tokens":7,"messages":[{"role":"user","content":[{"text":"no"}]},
            {"role":"assistant", "content":"a, {b}] \"c"} ],"continue_final_message": true,
            "tools":[{"messages":[{}]}],"stream_options":null}"#;
        for piece in 1..body.len() {
            let scan = scan(body, piece);
            assert_eq!(
                std::str::from_utf8(scan.last_message()),
                Ok(r#"{"role":"assistant","content":"a, {b}] \"c"}]"#),
                "{piece}"
            );
            assert!(scan.continues_final_message() && !scan.has_stream_options());
            assert_eq!(scan.most_tokens(), Some(7), "{piece}");
        }
    }

    #[test]
    fn what_is_missing_is_empty() {
        for body in [
            "",
            "[]",
            "{}",
            "\"x\"",
            r#"{"model":5,"stream":"true"}"#,
            "}{\"model\"",
            "{{{",
        ] {
            let scan = scan(body, 3);
            assert_eq!(scan.model_token(), "\"\"", "{body}");
            assert!(!scan.streams() && !scan.wants_usage(), "{body}");
        }
    }
}
