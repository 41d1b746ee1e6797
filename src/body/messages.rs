//! The beginning of a conversation, which its later turns share.

use super::cursor::Cursor;
use super::scan::fields;

/// The text of the first system message and the first one after it, as they stand in the body, so
/// that all turns of a conversation, and its provider's prompt cache, are known by them. None: no
/// messages.
pub fn first_messages(body: &[u8]) -> Option<&[u8]> {
    let list = fields(body).find(|field| field.key == "messages")?.value;
    let mut cursor = Cursor::new(body.get(list.clone())?);
    let mut end: Option<usize> = None;
    let mut user = false;
    // The rest of a long conversation need not be read: it is broken off after the first message
    // of the user.
    let _ = cursor.array(|inner| {
        if inner.peek()? != b'{' {
            return inner.pass();
        }
        let message = inner.object(|inner, key| {
            let value = inner.skip()?;
            user |= key == b"role" && inner.text(&value) == b"\"user\"";
            Some(())
        })?;
        end = Some(message.end);
        (!user).then_some(())
    });
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
