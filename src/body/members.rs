//! Members of an object taken out or put in, while all others keep their bytes.

use super::scan::fields;
use super::splice::{Edit, apply};
use bytes::Bytes;
use std::ops::Range;

/// The edits that take out these members of one object, given from the name's first quote to the
/// end of the value. Each goes with the comma behind it; the last one of the object goes with the
/// comma before it. Where nothing is left, that is one edit.
pub fn cut(text: &[u8], mut members: Vec<Range<usize>>) -> Vec<Edit> {
    members.sort_by_key(|member| member.start);
    let mut cuts: Vec<Range<usize>> = Vec::with_capacity(members.len());
    for member in members {
        let rest = text.get(member.end..).unwrap_or_default();
        let blank = rest.len() - rest.trim_ascii_start().len();
        if rest.get(blank) == Some(&b',') {
            cuts.push(member.start..member.end + blank + 1);
            continue;
        }
        let mut start = member.start;
        // Those right before it have taken their commas with them.
        while let Some(before) = cuts.pop_if(|before| is_blank(text, before.end..start)) {
            start = before.start;
        }
        let kept = text.get(..start).unwrap_or_default().trim_ascii_end();
        if kept.ends_with(b",") {
            start = kept.len() - 1;
        }
        cuts.push(start..member.end);
    }
    cuts.into_iter()
        .map(|span| Edit {
            span,
            with: Bytes::new(),
        })
        .collect()
}

/// A small object with members given another value, or taken out where there is none for them. A
/// new one comes first. `None` where the text is no object.
pub fn changed(object: &[u8], changes: &[(&str, Option<String>)]) -> Option<String> {
    let mut left = 0;
    let mut out = Vec::new();
    let mut edits = Vec::new();
    let mut missing: Vec<_> = changes.iter().collect();
    for field in fields(object) {
        let change = changes.iter().find(|(name, _)| *name == field.key);
        missing.retain(|(name, _)| *name != field.key);
        match change {
            Some((_, None)) => {
                out.push(field.span);
                continue;
            }
            Some((_, Some(value))) => edits.push(Edit {
                span: field.value,
                with: value.clone().into(),
            }),
            None => {}
        }
        left += 1;
    }
    let mut put = Vec::new();
    for (name, value) in missing {
        let Some(value) = value else { continue };
        put.push(format!("{}:{value}", serde_json::Value::from(*name)));
    }
    let mut put = put.join(",");
    if !put.is_empty() && left > 0 {
        put.push(',');
    }
    let brace = object.len() - object.trim_ascii_start().len();
    if object.get(brace) != Some(&b'{') {
        return None;
    }
    edits.push(Edit {
        span: brace + 1..brace + 1,
        with: put.into(),
    });
    edits.extend(cut(object, out));
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let pieces = apply(&Bytes::copy_from_slice(object), edits);
    String::from_utf8(pieces.joined().into()).ok()
}

fn is_blank(text: &[u8], span: Range<usize>) -> bool {
    text.get(span)
        .is_some_and(|between| between.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_set_put_in_and_taken_out() {
        let set = |value: &str| Some(value.to_owned());
        for (object, changes, expected) in [
            ("{}", vec![("a", set("1"))], r#"{"a":1}"#),
            (
                " { } ",
                vec![("a", set("1")), ("b", set("2"))],
                r#" {"a":1,"b":2 } "#,
            ),
            (
                r#"{"a" : 0, "z":1e0}"#,
                vec![("a", set("1"))],
                r#"{"a" : 1, "z":1e0}"#,
            ),
            (r#"{"a":0}"#, vec![("a", None)], "{}"),
            (
                r#"{"a":0}"#,
                vec![("a", None), ("b", set("2"))],
                r#"{"b":2}"#,
            ),
            (
                r#"{ "a":0 , "z":"\/" , "b":[] }"#,
                vec![("a", None), ("b", None), ("c", set("3"))],
                r#"{"c":3,  "z":"\/"  }"#,
            ),
            (r#"{"a":0,"b":0}"#, vec![("x", None)], r#"{"a":0,"b":0}"#),
        ] {
            let new = changed(object.as_bytes(), &changes);
            assert_eq!(new.as_deref(), Some(expected), "{object}");
        }
        assert_eq!(changed(b"null", &[("a", None)]), None);
        assert_eq!(changed(b"", &[]), None);
    }
}
