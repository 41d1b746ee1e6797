//! The beginning of a conversation, which its later turns share.

use super::cursor::{Cursor, Span};
use super::scan::fields;

/// The text of the first system message and the first one after it, as they stand in the body, so
/// that all turns of a conversation, and its provider's prompt cache, are known by them. None: no
/// messages.
pub fn first_messages(body: &[u8]) -> Option<&[u8]> {
    let list = fields(body).find(|field| field.key == "messages")?.value;
    let mut cursor = Cursor::new(body.get(list.clone())?);
    let mut end: Option<usize> = None;
    let mut user = false;
    let read = cursor.array(|inner| {
        let message = inner.peek()? == b'{' && !user;
        let span = if message {
            let mut is_user = false;
            let span = inner.object(|inner, key| {
                let value: Span = inner.skip()?;
                is_user |= key == b"role" && inner.text(&value) == b"\"user\"";
                Some(())
            })?;
            user |= is_user;
            end = Some(span.end);
            span
        } else {
            inner.skip()?
        };
        drop(span);
        // The rest of a long conversation need not be read.
        (!user).then_some(())
    });
    drop(read);
    body.get(list.start..list.start + end?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(body: &str) -> Option<&str> {
        first_messages(body.as_bytes()).map(|text| std::str::from_utf8(text).unwrap())
    }

    #[test]
    fn later_turns_share_the_beginning() {
        let start = r#"[{"role":"system","content":"be kind"},{"content":"hi","role":"user"}"#;
        let one = format!(r#"{{"model":"m","messages":{start}]}}"#);
        let two = format!(r#"{{"temperature":1,"messages":{start},{{"role":"assistant"}}]}}"#);
        assert_eq!(first(&one), Some(start));
        assert_eq!(first(&two), Some(start));
        let other = one.replace("hi", "ho");
        assert_ne!(first(&one), first(&other));
    }

    #[test]
    fn what_has_no_messages_has_no_beginning() {
        for body in [
            r#"{"model":"m","input":"x"}"#,
            r#"{"messages":"x"}"#,
            r#"{"messages":[]}"#,
            r#"{"messages":7}"#,
        ] {
            assert_eq!(first(body), None, "{body}");
        }
        let only_system = r#"{"messages":[{"role":"system"}]}"#;
        assert_eq!(first(only_system), Some(r#"[{"role":"system"}"#));
    }
}
