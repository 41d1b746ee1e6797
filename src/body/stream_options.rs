//! `stream_options.include_usage`: whether the caller asks for it, and how it is put in.

use super::scan::{Scan, fields};
use super::splice::Edit;
use bytes::Bytes;

/// The caller wants to be told the usage at the end of the stream.
pub fn asks_for_usage(body: &[u8], scan: &Scan) -> bool {
    options(body, scan).is_some_and(|options| {
        fields(options)
            .filter(|field| field.key == "include_usage")
            .last()
            .is_some_and(|field| options.get(field.value) == Some(b"true"))
    })
}

/// What makes the request ask for the usage. All other options stay as they are.
pub fn ask_for_usage(body: &[u8], scan: &Scan) -> Vec<Edit> {
    let edit = |span, with: &'static str| Edit {
        span,
        with: Bytes::from_static(with.as_bytes()),
    };
    let Some(place) = scan.stream_options.clone() else {
        let with = if scan.empty {
            r#""stream_options":{"include_usage":true}"#
        } else {
            r#""stream_options":{"include_usage":true},"#
        };
        return vec![edit(scan.after_brace..scan.after_brace, with)];
    };
    let Some(options) = options(body, scan) else {
        return vec![edit(place, r#"{"include_usage":true}"#)];
    };
    let set: Vec<Edit> = fields(options)
        .filter(|field| field.key == "include_usage")
        .map(|field| {
            let value = place.start + field.value.start..place.start + field.value.end;
            edit(value, "true")
        })
        .collect();
    if !set.is_empty() {
        return set;
    }
    let inside = place.start + 1;
    let with = if fields(options).next().is_some() {
        r#""include_usage":true,"#
    } else {
        r#""include_usage":true"#
    };
    vec![edit(inside..inside, with)]
}

/// The value, where it is an object.
fn options<'a>(body: &'a [u8], scan: &Scan) -> Option<&'a [u8]> {
    body.get(scan.stream_options.clone()?)
        .filter(|value| value.starts_with(b"{"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scan::scan;
    use crate::body::splice::apply;

    fn asked(body: &str) -> String {
        let scanned = scan(body.as_bytes()).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let pieces = apply(&body, ask_for_usage(&body, &scanned));
        let joined = pieces.joined();
        assert!(asks_for_usage(&joined, &scan(&joined).unwrap()));
        String::from_utf8(joined.to_vec()).unwrap()
    }

    #[test]
    fn usage_is_asked_for_and_all_else_is_kept() {
        for (body, expected) in [
            (
                r#"{ "model":"m"}"#,
                r#"{"stream_options":{"include_usage":true}, "model":"m"}"#,
            ),
            ("{}", r#"{"stream_options":{"include_usage":true}}"#),
            (
                r#"{"stream_options":null,"a":1}"#,
                r#"{"stream_options":{"include_usage":true},"a":1}"#,
            ),
            (
                r#"{"stream_options": { } }"#,
                r#"{"stream_options": {"include_usage":true } }"#,
            ),
            (
                r#"{"stream_options":{"x":{"include_usage":false}}}"#,
                r#"{"stream_options":{"include_usage":true,"x":{"include_usage":false}}}"#,
            ),
            (
                r#"{"stream_options":{"x":1, "include\u005fusage" : false }}"#,
                r#"{"stream_options":{"x":1, "include\u005fusage" : true }}"#,
            ),
        ] {
            assert_eq!(asked(body), expected);
        }
    }

    #[test]
    fn only_a_plain_true_asks() {
        for (body, asks) in [
            (r#"{"stream_options":{"include_usage":true}}"#, true),
            (r#"{"stream_options":{"include_usage":false}}"#, false),
            (r#"{"stream_options":{"include_usage":"true"}}"#, false),
            (r#"{"stream_options":[]}"#, false),
            (r#"{"stream_options":{}}"#, false),
            (r#"{"x":{"include_usage":true}}"#, false),
        ] {
            let scanned = scan(body.as_bytes()).unwrap();
            assert_eq!(asks_for_usage(body.as_bytes(), &scanned), asks, "{body}");
        }
    }
}
