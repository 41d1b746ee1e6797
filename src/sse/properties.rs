//! The splitter on random streams: wherever they are cut, and beside a plain reading of the standard.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::split::tests::{each, split};

proptest! {
    #[test]
    fn events_are_the_same_wherever_a_stream_is_cut(stream in stream()) {
        let bytes = stream.as_bytes();
        let whole = split([bytes]);
        for at in 0..=bytes.len() {
            prop_assert_eq!(&split([&bytes[..at], &bytes[at..]]), &whole);
        }
        prop_assert_eq!(&split(bytes.chunks(1)), &whole);
        let (events, tail) = whole;
        let mut joined = events.concat();
        joined.extend_from_slice(&tail);
        prop_assert_eq!(joined, bytes);
    }

    #[test]
    fn events_say_what_the_standard_says(stream in stream()) {
        let mut found = Vec::new();
        each([stream.as_bytes()], |event| {
            if let Some(place) = event.payload() {
                assert_eq!(Some(Cow::Borrowed(&event.raw()[place])), event.data());
            }
            found.extend(event.data().map(|data| {
                let name = event.name().unwrap_or_default().to_owned();
                (name, String::from_utf8(data.into_owned()).unwrap())
            }));
        });
        let mut expected = by_the_book(&stream);
        // Half a pair at the very end is waited for.
        if stream.ends_with('\r') && found.len() < expected.len() {
            expected.pop();
        }
        prop_assert_eq!(found, expected);
    }
}

/// What a reader of the standard would hand on: name and data of each event, from whole lines.
fn by_the_book(stream: &str) -> Vec<(String, String)> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let mut events = Vec::new();
    let (mut name, mut data) = (String::new(), None::<String>);
    // What follows the last line end is no line yet.
    for line in lines.split('\n').take(lines.matches('\n').count()) {
        if line.is_empty() {
            events.extend(data.take().map(|data| (name.clone(), data)));
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "data" => {
                data = Some(data.map_or(value.to_owned(), |data| data + "\n" + value));
            }
            _ => {}
        }
    }
    events
}

fn stream() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "data: ?[a-z:{}\" ]{0,8}",
        1 => "(data|event|id|:|: ping|event: ?[a-z]{0,3})",
        1 => Just("data: 你好 😀".to_owned()),
        1 => "[a-z\u{feff}]{0,3}",
        2 => Just(String::new()),
    ];
    let end = |ends: &'static [&'static str]| prop::sample::select(ends);
    let one_kind = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let lines = prop_oneof![
        (vec(line.clone(), 0..20), one_kind).prop_map(|(lines, end)| {
            lines.into_iter().map(|line| line + end).collect::<String>()
        }),
        vec((line, end(&["\n", "\r\n", "\r"])), 0..20).prop_map(|lines| {
            lines
                .into_iter()
                .map(|(line, end)| line + end)
                .collect::<String>()
        }),
    ];
    let mark = prop::sample::select(vec!["", "", "\u{feff}"]);
    (mark, lines, "[a-z]{0,3}").prop_map(|(mark, lines, tail)| format!("{mark}{lines}{tail}"))
}
