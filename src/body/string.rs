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

/// Adds what a string says to a text, with no other memory than the text's; `quoted` has its quotes.
/// `None` where an escape means nothing: then the text stays as it was.
pub(super) fn append(quoted: &[u8], text: &mut String) -> Option<()> {
    let before = text.len();
    let appended = unescape(quoted, text);
    if appended.is_none() {
        text.truncate(before);
    }
    appended
}

fn unescape(quoted: &[u8], text: &mut String) -> Option<()> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let mut rest = simdutf8::basic::from_utf8(inner).ok()?;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (said, after) = escaped(escape)?;
        text.push(said);
        rest = after;
    }
    text.push_str(rest);
    Some(())
}

/// What an escape stands for, from behind its backslash, and what follows it.
fn escaped(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let said = match chars.next()? {
        same @ ('"' | '\\' | '/') => same,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return code_point(chars.as_str()),
        _ => return None,
    };
    Some((said, chars.as_str()))
}

/// One code unit, or two that are a pair.
fn code_point(text: &str) -> Option<(char, &str)> {
    let (first, rest) = code_unit(text)?;
    if let Some(said) = char::from_u32(first.into()) {
        return Some((said, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix("\\u")?)?;
    let said = char::decode_utf16([first, second]).next()?.ok()?;
    Some((said, rest))
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    // Otherwise a sign would do.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let unit = u16::from_str_radix(digits, 16)
        .ok()
        .filter(|_| are_digits)?;
    Some((unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn what_is_appended_is_what_serde_reads(
            parts in proptest::collection::vec(
                r#"[a-f é😀/]{0,3}|\\["\\/bfnrtux]|\\u[0-9a-fA-F+]{4}|\\ud[89ab]3d\\ud[c-f]0[0-9]"#,
                0..5,
            ),
        ) {
            let quoted = format!("\"{}\"", parts.concat());
            let mut text = "before".to_owned();
            let appended = append(quoted.as_bytes(), &mut text);
            match serde_json::from_str::<String>(&quoted) {
                Ok(said) => prop_assert_eq!((appended, text), (Some(()), format!("before{said}"))),
                Err(_) => prop_assert_eq!((appended, text.as_str()), (None, "before")),
            }
        }
    }
}
