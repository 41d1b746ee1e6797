//! The scan beside serde_json, and beside a reading byte by byte, on whatever a client may send.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ScanError;
use super::nested;
use super::scan::{LONGEST_MODEL, fields, model_span, scan};
use super::splice::{replace_model, set_fields};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn objects_are_read_as_serde_reads_them(body in object()) {
        prop_assert!(entries(body.as_bytes()).is_some(), "the generator makes valid JSON");
        agrees_with_serde(body.as_bytes());
    }

    #[test]
    fn damaged_objects_are_read_in_step(
        body in object(),
        damage in vec((any::<prop::sample::Index>(), any::<Option<u8>>(), 0..3usize), 1..4),
    ) {
        let mut body = body.into_bytes();
        for (place, byte, removed) in damage {
            let place = place.index(body.len() + 1);
            let end = (place + removed).min(body.len());
            body.splice(place..end, byte);
        }
        agrees_with_serde(&body);
    }

    #[test]
    fn cut_objects_are_truncated(body in object(), place in any::<prop::sample::Index>()) {
        let body = body.trim_end();
        let whole = scan(body.as_bytes());
        let mut cut = place.index(body.len());
        while !body.is_char_boundary(cut) {
            cut -= 1;
        }
        let error = scan(&body.as_bytes()[..cut]).unwrap_err();
        let blank = body[..cut].trim_start().is_empty();
        prop_assert!(
            error == (if blank { ScanError::Empty } else { ScanError::Truncated })
                || whole.is_err_and(|whole| whole == error)
                || matches!(error, ScanError::ModelNotAString),
            "{error:?}"
        );
    }

    #[test]
    fn brackets_and_strings_are_followed_as_byte_by_byte(
        body in vec(token(), 0..120).prop_map(|tokens| format!("[{}", tokens.concat())),
        start in 0..70usize,
    ) {
        let body = format!("{}{body}", " ".repeat(start));
        prop_assert_eq!(nested::end(body.as_bytes(), start).ok(), slow_end(body.as_bytes()));
    }

    #[test]
    fn any_bytes_are_answered(body in vec(any::<u8>(), 0..300)) {
        agrees_with_serde(&body);
    }

    #[test]
    fn a_splice_changes_the_model_alone(body in object()) {
        let body = Bytes::from(body);
        let Ok(scan) = scan(&body) else { return Ok(()) };
        let model = Bytes::from_static(b"\"n\\u0065w\"");
        let pieces = replace_model(&body, &scan, &model);
        let new = pieces.joined();
        prop_assert_eq!(new.len(), pieces.len());
        let span = scan.model.map_or(scan.after_brace..scan.after_brace, |model| model.span);
        prop_assert!(new.starts_with(&body[..span.start]));
        prop_assert!(new.ends_with(&body[span.end..]));
        let mut expected = entries(&body).unwrap();
        match expected.iter_mut().find(|(key, _)| key == "model") {
            Some((_, value)) => *value = r#""n\u0065w""#.into(),
            None => expected.insert(0, ("model".into(), r#""n\u0065w""#.into())),
        }
        prop_assert_eq!(entries(&new), Some(expected));
    }

    #[test]
    fn set_fields_hold_everywhere_and_leave_the_rest(body in object()) {
        let body = Bytes::from(body);
        let Ok(scan) = scan(&body) else { return Ok(()) };
        let model = Bytes::from_static(b"\"new\"");
        let set = [("stream".to_owned(), "false".to_owned()), ("zz".to_owned(), "[1]".to_owned())];
        let new = set_fields(&body, &scan, &model, &set, Vec::new()).joined();
        let wanted = [("model", "\"new\""), ("stream", "false"), ("zz", "[1]")];
        let mut expected = entries(&body).unwrap();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(name, _)| expected.iter().all(|(key, _)| key != name))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        for (key, value) in &mut expected {
            if let Some((_, new)) = wanted.iter().find(|(name, _)| name == key) {
                *value = new.to_string();
            }
        }
        expected.splice(0..0, missing);
        prop_assert_eq!(entries(&new), Some(expected));
    }
}

/// Holds the scan of any bytes against what serde_json makes of them.
fn agrees_with_serde(body: &[u8]) {
    let scanned = scan(body);
    let Some(entries) = entries(body) else {
        // The fault lies inside a value then, and strings and brackets are closed all the same.
        if scanned.is_ok() {
            assert!(std::str::from_utf8(body).is_ok());
            assert_eq!(slow_end(body), Some(body.trim_ascii_end().len()));
        }
        return;
    };
    let models: Vec<_> = entries.iter().filter(|(key, _)| key == "model").collect();
    let text = match models.as_slice() {
        [] => None,
        [(_, raw)] if raw.starts_with('"') => match serde_json::from_str::<String>(raw) {
            Ok(text) if text.is_empty() => return assert_eq!(scanned, Err(ScanError::EmptyModel)),
            Ok(text) if text.len() > LONGEST_MODEL => {
                return assert_eq!(scanned, Err(ScanError::ModelTooLong));
            }
            Ok(text) => Some(text),
            Err(_) => return assert!(matches!(scanned, Err(ScanError::Malformed { .. }))),
        },
        [_] => return assert_eq!(scanned, Err(ScanError::ModelNotAString)),
        _ => return assert!(scanned.is_err()),
    };
    let scanned = scanned.unwrap();
    assert_eq!(
        scanned.model.as_ref().map(|model| &model.text),
        text.as_ref()
    );
    let stream = entries.iter().rev().find(|(key, _)| key == "stream");
    assert_eq!(scanned.stream, stream.is_some_and(|(_, raw)| raw == "true"));
    assert_eq!(scanned.empty, entries.is_empty());
    assert_eq!(body[scanned.after_brace - 1], b'{');
    let found: Vec<_> = fields(body)
        .map(|field| {
            assert_eq!(field.span.end, field.value.end);
            assert_eq!(body[field.span.start], b'"');
            let raw = std::str::from_utf8(&body[field.value]).unwrap();
            (field.key.into_owned(), raw.to_owned())
        })
        .collect();
    assert_eq!(found, entries);
    assert_eq!(model_span(body), scanned.model.map(|model| model.span));
}

/// The top-level fields as serde_json sees them, duplicates and spellings kept.
pub(super) fn entries(body: &[u8]) -> Option<Vec<(String, String)>> {
    serde_json::from_slice::<Entries>(body)
        .ok()
        .map(|entries| entries.0)
}

struct Entries(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    entries.push((key, value.get().to_owned()));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The end of the first array or object, found the slow and plain way.
fn slow_end(body: &[u8]) -> Option<usize> {
    let mut open = Vec::new();
    let mut bytes = body.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next()?.1 {
                    b'\\' => drop(bytes.next()),
                    b'"' => break,
                    _ => {}
                }
            },
            b'{' | b'[' => open.push(byte + 2),
            b'}' | b']' => {
                if open.pop()? != *byte {
                    return None;
                }
                if open.is_empty() {
                    return Some(at + 1);
                }
            }
            b'\\' | b'/' | b'\'' | b'#' => return None,
            _ => {}
        }
        if open.len() >= nested::MAX_DEPTH as usize {
            return None;
        }
    }
    None
}

/// Pieces of JSON that open and close more often than they break.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => string(),
        2 => Just("[]".to_owned()),
        2 => Just("{}".to_owned()),
        2 => Just("[".to_owned()),
        2 => Just("]".to_owned()),
        1 => Just("{".to_owned()),
        1 => Just("}".to_owned()),
        4 => "[ ,:0-9eE+.-]{0,20}",
        1 => Just(" ".repeat(150)),
        1 => prop::sample::select(vec!["\\", "'", "/", "#", "\""]).prop_map(str::to_owned),
    ]
}

/// A JSON object with all the freedom of spelling that JSON gives.
pub(super) fn object() -> impl Strategy<Value = String> {
    let field = (key(), space(), space(), value(), space(), space())
        .prop_map(|(key, a, b, value, c, d)| format!("{d}{key}{a}:{b}{value}{c}"));
    (space(), space(), vec(field, 0..8), space())
        .prop_map(|(a, b, fields, c)| format!("{a}{{{b}{}}}{c}", fields.join(",")))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            r#""model""#, r#""mod\u0065l""#, r#""\u006Dodel""#, r#""stream""#, r#""str\u0065am""#,
            r#""Model""#, r#""model ""#, r#""models""#, r#""\\model""#, r#""zz""#,
            r#""provider""#, r#""pr\u006fvider""#, r#""route""#, r#""stream_options""#,
        ])
        .prop_map(str::to_owned),
        4 => string(),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        2 => prop::sample::select(vec![
            "true", "false", "null", "0", "-0", "1.0", "1e400", "12345678901234567890", "1E+2",
            "\"\"", "\"fallback\"", r#""deepseek/deepseek-v3.2""#, r#""\ud83d\ude00""#,
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            (space(), vec(inner.clone(), 0..6), space())
                .prop_map(|(a, items, b)| format!("[{a}{}{b}]", items.join(","))),
            (space(), vec((key(), space(), inner), 0..6)).prop_map(|(a, fields)| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, b, value)| format!("{key}{b}:{value}{a}"))
                    .collect();
                format!("{{{a}{}}}", fields.join(","))
            }),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z{}\\[\\]:,/'# ]{0,12}",
        4 => prop::sample::select(vec![
            r#"\""#, r"\\", r"\n", r"\/", r"\u0041", r"\u4f60", r"\ud83d\ude00", r#"\\\""#, "你好",
            "é", "😀", r#"\"model\":\"x\""#,
        ])
        .prop_map(str::to_owned),
        1 => (0..400usize).prop_map(|count| "x".repeat(count)),
    ];
    vec(part, 0..6).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \n\r\t]{1,3}", 1 => Just(" ".repeat(70))]
}
