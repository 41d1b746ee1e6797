//! Reads small JSON from front to back: whoever holds the cursor asks for what it expects, and
//! passes over the rest. All of it is checked, nothing is decoded or kept.
//!
//! Every step gives `None` where the text is no JSON. Control characters inside strings pass, and
//! so do Python's `NaN` and `Infinity`: there are providers that write them and readers that take
//! them.

use super::nested::MAX_DEPTH;
use super::string;
use std::borrow::Cow;
use std::ops::Range;

pub type Span = Range<usize>;

#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The first byte of the next value, which tells its kind.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.text.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Whether nothing but white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The text of a part, as it stands there.
    pub fn text(&self, span: &Span) -> &'a [u8] {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Steps through an object: `each` is given every key, and must take its value.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<Span> {
        let start = self.open(b'{')?;
        if self.peek()? == b'}' {
            return self.close(start);
        }
        loop {
            let quoted = self.string()?;
            let key = self.key(&quoted)?;
            self.expect(b':')?;
            each(self, &key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.close(start),
                _ => return None,
            }
        }
    }

    /// Steps through an array: `each` must take the value it finds.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<Span> {
        let start = self.open(b'[')?;
        if self.peek()? == b']' {
            return self.close(start);
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return self.close(start),
                _ => return None,
            }
        }
    }

    /// Passes over one value of any kind.
    pub fn skip(&mut self) -> Option<Span> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.object(|inner, _| inner.pass()),
            b'[' => self.array(|inner| inner.pass()),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    /// Passes over one value whose place does not matter.
    pub fn pass(&mut self) -> Option<()> {
        self.skip().map(|_| ())
    }

    /// A string, its quotes included.
    pub fn string(&mut self) -> Option<Span> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        let mut at = start + 1;
        loop {
            match *self.text.get(at)? {
                b'"' => break,
                b'\\' => at = self.escape(at)?,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(start..self.at)
    }

    /// Where the escape at this place ends.
    fn escape(&self, at: usize) -> Option<usize> {
        match self.text.get(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
            b'u' => {
                let digits = self.text.get(at + 2..at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 6)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Span> {
        let start = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
            if self.text.get(self.at) == Some(&b'I') {
                self.word()?;
                return Some(start..self.at);
            }
        }
        let whole = self.digits();
        let leads_with_zero = self.text.get(whole.start) == Some(&b'0');
        if whole.is_empty() || (leads_with_zero && whole.len() > 1) {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits().is_empty() {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            if self.digits().is_empty() {
                return None;
            }
        }
        Some(start..self.at)
    }

    fn digits(&mut self) -> Span {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        start..self.at
    }

    fn word(&mut self) -> Option<Span> {
        const WORDS: [&[u8]; 5] = [b"null", b"true", b"false", b"NaN", b"Infinity"];
        let rest = self.text.get(self.at..)?;
        let word = WORDS.iter().find(|word| rest.starts_with(word))?;
        let start = self.at;
        self.at += word.len();
        Some(start..self.at)
    }

    fn key(&self, quoted: &Span) -> Option<Cow<'a, [u8]>> {
        let text = self.text(quoted);
        let inner = text.get(1..text.len().checked_sub(1)?)?;
        if !inner.contains(&b'\\') {
            return Some(Cow::Borrowed(inner));
        }
        let decoded = string::decode(text, true)?;
        Some(Cow::Owned(decoded.into_owned().into_bytes()))
    }

    fn open(&mut self, bracket: u8) -> Option<usize> {
        self.expect(bracket)?;
        let start = self.at - 1;
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(start)
    }

    fn close(&mut self, start: usize) -> Option<Span> {
        self.at += 1;
        self.depth -= 1;
        Some(start..self.at)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }
}

/// What a JSON string says, added to a text. `quoted` has its quotes. False where it says nothing
/// that is text: the half of a pair, or no UTF-8.
pub fn say(quoted: &[u8], text: &mut String) -> bool {
    string::append(quoted, text).is_some()
}

/// All of the member that has this key and this value, and one comma beside it: what is left without
/// it is an object still. None where the key is spelled in another way.
pub fn member(text: &[u8], key: &[u8], value: &Span) -> Option<Span> {
    let colon = text.get(..value.start)?.trim_ascii_end();
    let quote = colon.strip_suffix(b":")?.trim_ascii_end();
    let spelled = quote.strip_suffix(b"\"")?.strip_suffix(key)?;
    let before = spelled.strip_suffix(b"\"")?;
    let behind = text.get(value.end..)?;
    if let Some(rest) = behind.trim_ascii_start().strip_prefix(b",") {
        return Some(before.len()..text.len() - rest.len());
    }
    let comma = before.trim_ascii_end().strip_suffix(b",");
    Some(comma.unwrap_or(before).len()..value.end)
}

/// Null, or an empty string, list or object: nothing. White space in a
/// string is something.
pub fn is_blank(json: &[u8]) -> bool {
    let hollow = |open: &[u8], close: &[u8]| {
        let inside = json
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close));
        inside.is_some_and(|inside| inside.trim_ascii().is_empty())
    };
    json == b"null" || json == b"\"\"" || hollow(b"[", b"]") || hollow(b"{", b"}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().is_some() && cursor.is_at_end()
    }

    #[test]
    fn only_json_passes() {
        for good in [
            "{}",
            " [ ] ",
            r#"{"a":[1,-0,1.5e+10,{"b":null}],"c":"\u00e9\n\"" , "d" : true}"#,
            "0",
            "NaN",
            "[-Infinity]",
            "\"\t\"",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "hello",
            "{",
            "{]",
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{a:1}"#,
            "[1 2]",
            "[1,]",
            "01",
            "1.",
            "-",
            "1e",
            "nul",
            r#""\x""#,
            r#""\u12g4""#,
            r#""abc"#,
            r#"{"a":"b"#,
            "{} {}",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_json(deep(MAX_DEPTH as usize).as_bytes()));
        assert!(!is_json(deep(MAX_DEPTH as usize + 1).as_bytes()));
        assert!(!is_json("[".repeat(100_000).as_bytes()));
    }

    #[test]
    fn fields_are_found_whatever_their_spelling() {
        let text = br#"{"x":{"model":1},"mod\u0065l": "m" ,"list":[1,"two"]}"#;
        let mut cursor = Cursor::new(text);
        let mut model = None;
        let mut kinds = Vec::new();
        let whole = cursor.object(|inner, key| {
            match key {
                b"model" => model = Some(inner.string()?),
                b"list" => {
                    inner.array(|item| {
                        kinds.push(item.peek()?);
                        item.pass()
                    })?;
                }
                _ => inner.pass()?,
            }
            Some(())
        });
        assert_eq!(whole, Some(0..text.len()));
        assert_eq!(&text[model.unwrap()], br#""m""#);
        assert_eq!(kinds, [b'1', b'"']);
    }

    #[test]
    fn a_member_goes_with_one_of_its_commas() {
        for (text, without) in [
            (r#"{"role":"a"}"#, "{}"),
            (r#"{"role":"a","b":1}"#, r#"{"b":1}"#),
            (r#"{"b":1,"role":"a"}"#, r#"{"b":1}"#),
            (r#"{ "b":1 , "role" : "a" , "c":2}"#, r#"{ "b":1 ,  "c":2}"#),
            (r#"{"b":1 , "role":"a" }"#, r#"{"b":1  }"#),
        ] {
            let mut cursor = Cursor::new(text.as_bytes());
            let mut value = None;
            cursor.object(|inner, key| {
                let span = inner.skip()?;
                value = (key == b"role").then_some(span).or(value.take());
                Some(())
            });
            let span = member(text.as_bytes(), b"role", &value.unwrap()).unwrap();
            let left = format!("{}{}", &text[..span.start], &text[span.end..]);
            assert_eq!(left, without, "{text}");
        }
        let escaped = br#"{"r\u006fle":"a"}"#;
        assert_eq!(member(escaped, b"role", &(15..18)), None);
    }

    #[test]
    fn a_string_says_its_text_or_is_refused() {
        let mut text = String::new();
        assert!(say(br#""a\u4e2d""#, &mut text));
        assert!(say("\"é😀\"".as_bytes(), &mut text));
        assert!(!say(br#""\ud83d""#, &mut text));
        assert!(!say(b"\"\xff\"", &mut text));
        assert_eq!(text, "a中é😀");
    }

    proptest! {
        /// Whatever it accepts of plain JSON, serde accepts too, and the other way round.
        #[test]
        fn it_agrees_with_serde(text in r#"[\[\]{}:,"\\a01.eE+ -]{0,12}|(\{"a":[0-9.e-]{1,5}\})"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(text.as_bytes()), theirs, "{}", text);
        }
    }
}
