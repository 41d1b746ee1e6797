//! What a file may have in it that YAML has not: a shell's quoting, and some of JSON.

/// The body of a `curl` as documents show it, `'"$NAME"'`, where a shell would put the value in.
pub fn without_shell(text: &str) -> String {
    let mut pieces = text.split("'\"$");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once("\"'") {
            Some((name, rest)) if is_variable(name) => {
                out.push_str(&format!("${{{name}}}{rest}"));
            }
            _ => out.push_str(&format!("'\"${piece}")),
        }
    }
    out
}

pub fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// YAML reads all of JSON but two things: tabs as indentation, and characters in two halves.
pub fn json_as_yaml(text: &str) -> String {
    let text = text.replace('\t', " ");
    let mut pieces = text.split("\\u");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut high = None;
    for piece in pieces {
        // After an odd number of backslashes this one is itself escaped, and no escape begins.
        let escaped = out.len() - out.trim_end_matches('\\').len();
        let unit = piece
            .get(..4)
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .filter(|_| escaped.is_multiple_of(2));
        let after = piece.get(4..).unwrap_or_default();
        let pair = high
            .take()
            .zip(unit)
            .and_then(|(high, low)| char::decode_utf16([high, low]).next()?.ok());
        match (pair, unit) {
            (Some(joined), _) => out.push_str(&format!("{joined}{after}")),
            // The first half waits for the second, which must follow at once.
            (None, Some(first @ 0xd800..0xdc00)) if after.is_empty() => high = Some(first),
            (None, _) => out.push_str(&format!("\\u{piece}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoting_of_a_shell_becomes_a_reference() {
        let shown = r#"{"a": "Bearer '"$KEY"'", "b": "'"$B_2"'x"}"#;
        let plain = r#"{"a": "Bearer ${KEY}", "b": "${B_2}x"}"#;
        assert_eq!(without_shell(shown), plain);
        for text in [plain, "", "'\"$", "'\"$a b\"'", "it's \"$5\""] {
            assert_eq!(without_shell(text), text);
        }
    }

    #[test]
    fn json_is_read_as_yaml() {
        for (json, yaml) in [
            ("{\t\"a\":\t1}", "{ \"a\": 1}"),
            (r#"["\ud83d\ude00x"]"#, "[\"😀x\"]"),
            (r#"["\u4e2d\\ud83d"]"#, r#"["\u4e2d\\ud83d"]"#),
            (r#"["\u0041\u12"]"#, r#"["\u0041\u12"]"#),
        ] {
            assert_eq!(json_as_yaml(json), yaml, "{json}");
        }
    }
}
