//! How much text a whole answer holds, where its provider does not count it.

use crate::body::cursor::Cursor;

/// The bytes of everything the model wrote: text, reasoning, and what it calls tools with. None:
/// not one JSON value.
pub fn text_length(answer: &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(answer);
    let mut length = 0;
    value(&mut cursor, &mut length)?;
    cursor.is_at_end().then_some(length)
}

fn value(cursor: &mut Cursor, length: &mut u64) -> Option<()> {
    match cursor.peek()? {
        b'{' => cursor
            .object(|inner, key| field(inner, key, length))
            .map(drop),
        b'[' => cursor.array(|inner| value(inner, length)).map(drop),
        _ => cursor.pass(),
    }
}

fn field(cursor: &mut Cursor, key: &[u8], length: &mut u64) -> Option<()> {
    let is_string = cursor.peek()? == b'"';
    match key {
        b"content" | b"text" | b"reasoning_content" | b"reasoning" | b"refusal" | b"arguments"
        | b"thinking"
            if is_string =>
        {
            let quoted = cursor.string()?;
            *length += quoted.len().saturating_sub(2) as u64;
            Some(())
        }
        // What a tool of Anthropic's is called with is an object.
        b"input" if !is_string => {
            let input = cursor.skip()?;
            *length += input.len() as u64;
            Some(())
        }
        // The same again, and what was asked.
        b"reasoning_details" | b"tools" | b"instructions" | b"metadata" => cursor.pass(),
        _ => value(cursor, length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_written_counts_in_every_dialect() {
        for (answer, length) in [
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"hello","reasoning":"hm"}}]}"#,
                7,
            ),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"hi"}]}},{"message":{"content":"x"}}]}"#,
                3,
            ),
            (
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                2,
            ),
            (
                r#"{"choices":[{"message":{"reasoning":"hm","reasoning_details":[{"text":"hm"}]}}]}"#,
                2,
            ),
            (r#"{"choices":[{"text":"four"}]}"#, 4),
            (
                r#"{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"hi"},{"type":"tool_use","input":{"a":1}}]}"#,
                11,
            ),
            (
                r#"{"instructions":"be brief","text":{"format":{"type":"text"}},"output":[{"content":[{"text":"hi"}]}]}"#,
                2,
            ),
            ("{}", 0),
        ] {
            assert_eq!(text_length(answer.as_bytes()), Some(length), "{answer}");
        }
        for broken in ["", "{", "<html>", "{} {}"] {
            assert_eq!(text_length(broken.as_bytes()), None, "{broken}");
        }
    }
}
