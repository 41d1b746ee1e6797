//! JSON strings: where they end, and what they say.

use std::borrow::Cow;

use memchr::memchr2;

use super::block::{BLOCK, Strings, load};

/// The end of a string.
pub(super) struct End {
    /// Offset of the closing quote.
    pub quote: usize,
    /// Whether a backslash stands in the string.
    pub escaped: bool,
}

/// The end of the string whose content begins at `from`; `None` when it is not closed.
pub(super) fn end(body: &[u8], from: usize) -> Option<End> {
    let found = from + memchr2(b'"', b'\\', body.get(from..)?)?;
    if body.get(found) == Some(&b'"') {
        return Some(End {
            quote: found,
            escaped: false,
        });
    }
    let mut strings = Strings::new(true);
    let mut at = found;
    while at < body.len() {
        let mut padded = [0; BLOCK];
        let block = load(body, at, &mut padded);
        let quotes = strings.marks(block).quotes;
        if quotes != 0 {
            let quote = at + quotes.trailing_zeros() as usize;
            return Some(End {
                quote,
                escaped: true,
            });
        }
        at = strings.read_on(body, at + BLOCK)?;
    }
    None
}

/// What a string says; `quoted` has its quotes. `None` where an escape means nothing.
pub(super) fn decode(quoted: &[u8], escaped: bool) -> Option<Cow<'_, str>> {
    if escaped {
        return serde_json::from_slice::<String>(quoted)
            .ok()
            .map(Cow::Owned);
    }
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    simdutf8::basic::from_utf8(inner).ok().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_the_first_quote_that_is_not_escaped() {
        for padding in 0..40 {
            let padding = "x".repeat(padding);
            for (text, quote, escaped) in [
                (r#"ab""#, Some(2), false),
                (r#"a\"b""#, Some(4), true),
                (r#"a\\""#, Some(3), true),
                (r#"a\\\"""#, Some(5), true),
                (r"ab", None, false),
                (r"a\", None, false),
                (r#"a\""#, None, false),
            ] {
                let text = format!("{padding}{text}");
                let found = end(text.as_bytes(), 0);
                assert_eq!(
                    found.as_ref().map(|end| end.quote),
                    quote.map(|q| q + padding.len())
                );
                assert!(found.is_none_or(|end| end.escaped == escaped), "{text}");
            }
        }
    }

    #[test]
    fn escapes_are_decoded_and_senseless_ones_refused() {
        assert_eq!(decode(br#""model""#, false).as_deref(), Some("model"));
        assert_eq!(decode(br#""mod\u0065l""#, true).as_deref(), Some("model"));
        assert_eq!(
            decode(br#""\ud83d\ude00\/""#, true).as_deref(),
            Some("\u{1f600}/")
        );
        assert_eq!(decode(br#""\ud83d""#, true), None);
        assert_eq!(decode(br#""\x41""#, true), None);
    }
}
