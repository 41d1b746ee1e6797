//! Changing a body without copying it: slices of the original with new bits between them.

use bytes::{BufMut, Bytes, BytesMut};

use super::scan::{self, Scan};
use std::ops::Range;

/// New bytes for a span of the original; an empty span is an insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Range<usize>,
    pub with: Bytes,
}

impl Edit {
    fn takes_out(&self, span: &Range<usize>) -> bool {
        self.with.is_empty() && self.span.start <= span.start && span.end <= self.span.end
    }
}

/// The body with its model replaced, or put in front where there was none. `model_json` is a JSON
/// string, quotes included.
pub fn replace_model(body: &Bytes, scan: &Scan, model_json: &Bytes) -> Pieces {
    apply(body, [new_model(scan, model_json, scan.empty)])
}

/// The body with its model replaced and top-level fields set to the given JSON values: every field
/// of such a name gets the new value, a missing one is put in front. The names are distinct, and
/// `model` is not among them.
///
/// `more` are edits of other places, in any order. A field that they take out counts as missing.
pub fn set_fields(
    body: &Bytes,
    scan: &Scan,
    model_json: &Bytes,
    set: &[(String, String)],
    more: Vec<Edit>,
) -> Pieces {
    if set.is_empty() && more.is_empty() {
        return replace_model(body, scan, model_json);
    }
    let alone = scan.empty || more.iter().any(|edit| takes_all(body, scan, edit));
    let mut edits = if set.is_empty() {
        vec![new_model(scan, model_json, alone)]
    } else {
        new_fields(body, scan, model_json, set, &more, alone)
    };
    edits.extend(more);
    // What is put in comes before what is taken out at the same place.
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    apply(body, edits)
}

fn new_model(scan: &Scan, model_json: &Bytes, alone: bool) -> Edit {
    match &scan.model {
        Some(model) => Edit {
            span: model.span.clone(),
            with: model_json.clone(),
        },
        None => insertion(scan, &[("model", model_json)], alone),
    }
}

fn new_fields(
    body: &Bytes,
    scan: &Scan,
    model_json: &Bytes,
    set: &[(String, String)],
    more: &[Edit],
    alone: bool,
) -> Vec<Edit> {
    let mut replaced = Vec::new();
    let mut missing: Vec<(&str, &[u8])> = vec![("model", model_json)];
    missing.extend(
        set.iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    );
    let wanted = missing.clone();
    for field in scan::fields(body) {
        let Some((name, value)) = wanted.iter().find(|(name, _)| *name == field.key) else {
            continue;
        };
        if more.iter().any(|edit| edit.takes_out(&field.span)) {
            continue;
        }
        missing.retain(|(other, _)| other != name);
        replaced.push(Edit {
            span: field.value,
            with: Bytes::copy_from_slice(value),
        });
    }
    replaced.extend((!missing.is_empty()).then(|| insertion(scan, &missing, alone)));
    replaced
}

/// Makes the edits, which come in the order of their places and do not overlap; one that does, or
/// that lies outside the body, is left out.
pub fn apply(body: &Bytes, edits: impl IntoIterator<Item = Edit>) -> Pieces {
    let mut pieces = Pieces {
        slices: Vec::with_capacity(3),
        len: 0,
    };
    let mut at = 0;
    for Edit { span, with } in edits {
        if span.start < at || span.end < span.start || span.end > body.len() {
            continue;
        }
        pieces.push(body.slice(at..span.start));
        pieces.push(with);
        at = span.end;
    }
    pieces.push(body.slice(at..));
    pieces
}

/// The body without these spans, which come in the order of their places, in the memory it stands
/// in. The body itself where somebody else holds it too.
pub fn cut_in_place(body: Bytes, cuts: &[Edit]) -> Result<Bytes, Bytes> {
    let mut bytes = body.try_into_mut()?;
    let mut end = 0;
    let mut at = 0;
    for Edit { span, .. } in cuts {
        if span.start < at || span.end < span.start || span.end > bytes.len() {
            continue;
        }
        bytes.copy_within(at..span.start, end);
        end += span.start - at;
        at = span.end;
    }
    let rest = bytes.len() - at;
    bytes.copy_within(at.., end);
    bytes.truncate(end + rest);
    Ok(bytes.freeze())
}

/// A changed body, in order: slices that share the original's memory, and the new bits.
#[derive(Clone, Debug)]
pub struct Pieces {
    slices: Vec<Bytes>,
    len: usize,
}

impl Pieces {
    /// All bytes together.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slices, none of them empty.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.slices.iter()
    }

    /// One buffer with all of it; a copy unless there is but one slice.
    pub fn joined(&self) -> Bytes {
        if let [only] = self.slices.as_slice() {
            return only.clone();
        }
        let mut buffer = BytesMut::with_capacity(self.len);
        for slice in &self.slices {
            buffer.put_slice(slice);
        }
        buffer.freeze()
    }

    fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.len += slice.len();
            self.slices.push(slice);
        }
    }
}

/// Whether an edit leaves an object without fields.
fn takes_all(body: &[u8], scan: &Scan, edit: &Edit) -> bool {
    let before = body.get(scan.after_brace..edit.span.start);
    let after = body.get(edit.span.end..).unwrap_or_default();
    edit.with.is_empty()
        && before.is_some_and(|before| before.trim_ascii().is_empty())
        && after.trim_ascii_start().starts_with(b"}")
}

/// New fields at the front of the object, where they may be `alone`.
fn insertion(scan: &Scan, fields: &[(&str, impl AsRef<[u8]>)], alone: bool) -> Edit {
    let mut text = BytesMut::new();
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        text.put_slice(serde_json::Value::from(*name).to_string().as_bytes());
        text.put_u8(b':');
        text.put_slice(value.as_ref());
    }
    if !alone {
        text.put_u8(b',');
    }
    Edit {
        span: scan.after_brace..scan.after_brace,
        with: text.freeze(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(body: &str, fields: &[(&str, &str)]) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let scan = scan::scan(&body).unwrap();
        let pieces = set_fields(
            &body,
            &scan,
            &Bytes::from_static(b"\"new\""),
            &fields,
            Vec::new(),
        );
        assert_eq!(pieces.len(), pieces.iter().map(Bytes::len).sum::<usize>());
        String::from_utf8(pieces.joined().to_vec()).unwrap()
    }

    #[test]
    fn only_the_model_changes() {
        let odd = r#" { "a":12345678901234567890, "b" : 1.0,"c":[1e400,-0],"\u0061":"\/","a":{},"#;
        let body = format!("{odd}\"mod\\u0065l\" :\t\"o\\u006cd\" ,\n\"d\": 0}}\n");
        assert_eq!(set(&body, &[]), body.replace(r#""o\u006cd""#, r#""new""#));
    }

    #[test]
    fn a_missing_model_is_put_in_front() {
        assert_eq!(set(r#"{ "a":1}"#, &[]), r#"{"model":"new", "a":1}"#);
        assert_eq!(set(" { } ", &[]), r#" {"model":"new" } "#);
        assert_eq!(set("{}", &[("t", "0.2")]), r#"{"model":"new","t":0.2}"#);
    }

    #[test]
    fn options_replace_every_field_of_their_name_and_join_where_there_is_none() {
        assert_eq!(
            set(
                r#"{"t":1,"x":{"t":2},"model":"old","\u0074" : [3]}"#,
                &[("t", "0.2"), ("a\"b", "{}")]
            ),
            r#"{"a\"b":{},"t":0.2,"x":{"t":2},"model":"new","\u0074" : 0.2}"#
        );
    }

    #[test]
    fn slices_share_the_memory_of_the_body() {
        let body = Bytes::from(format!(
            r#"{{"messages":"{}","model":"old"}}"#,
            "x".repeat(100)
        ));
        let scan = scan::scan(&body).unwrap();
        let pieces = replace_model(&body, &scan, &Bytes::from_static(b"\"new\""));
        let slices: Vec<_> = pieces.iter().collect();
        assert_eq!(slices.len(), 3);
        assert_eq!(slices[0].as_ptr(), body.as_ptr());
        assert_eq!(slices[1], "\"new\"");
        assert_eq!(slices[2].as_ptr(), body[body.len() - 1..].as_ptr());
    }

    #[test]
    fn spans_are_cut_where_they_stand() {
        let cut = |spans: &[Range<usize>]| {
            let cuts: Vec<Edit> = spans
                .iter()
                .map(|span| Edit {
                    span: span.clone(),
                    with: Bytes::new(),
                })
                .collect();
            let expected = apply(&Bytes::from_static(b"0123456789"), cuts.clone()).joined();
            let left = cut_in_place(Bytes::from(b"0123456789".to_vec()), &cuts).unwrap();
            assert_eq!(left, expected, "{spans:?}");
            left
        };
        assert_eq!(cut(&[1..3, 5..6]), "0346789");
        assert_eq!(cut(&[]), "0123456789");
        assert_eq!(cut(&[0..9, 9..10]), "");
        assert_eq!(cut(&[0..1, 1..2, 9..10]), "2345678");
        assert_eq!(cut(&[3..4, 2..9, 8..99]), "012456789");
        let held = Bytes::from(b"0123456789".to_vec());
        let other = held.clone();
        assert_eq!(cut_in_place(held, &[]), Err(other));
    }

    #[test]
    fn an_edit_that_cannot_be_made_is_left_out() {
        let body = Bytes::from_static(b"0123456789");
        let edit = |start, end| Edit {
            span: start..end,
            with: Bytes::from_static(b"x"),
        };
        let edits = [edit(2, 4), edit(3, 5), edit(6, 6), edit(8, 12)];
        assert_eq!(apply(&body, edits).joined(), "01x45x6789");
        assert_eq!(apply(&body, []).joined().as_ptr(), body.as_ptr());
    }
}
