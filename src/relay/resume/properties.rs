//! The continuing request beside what serde_json makes of the same body.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::request::continuing;
use super::tokens::whole_usage;
use super::wish::Wish;
use crate::body::scan::scan;
use crate::body::splice::{Edit, apply};
use crate::config::snapshot::Prefill;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_body_is_continued_as_serde_would(
        body in body(),
        form in prop::sample::select(vec![
            Prefill::Assistant,
            Prefill::Prefix,
            Prefill::Partial,
            Prefill::ContinueFinalMessage,
        ]),
        text in "\\PC{1,20}|[\"\\\\\u{0}-\u{1f}]{1,8}",
        delivered in prop_oneof![0..50u64, any::<u64>()],
    ) {
        let before: Value = serde_json::from_str(&body).unwrap();
        scan(body.as_bytes()).unwrap();
        let body = Bytes::from(body);
        let edits = continuing(&body, form, &text, delivered).unwrap();
        let changed = apply(&body, edits.clone()).joined();
        prop_assert_eq!(&changed, &woven(&body, &edits));
        for Edit { span, .. } in edits.iter().filter(|edit| !edit.span.is_empty()) {
            prop_assert!(serde_json::from_slice::<Value>(&body[span.clone()]).is_ok());
        }
        let after: Value = serde_json::from_slice(&changed).unwrap();
        prop_assert_eq!(after, expected(before, form, &text, delivered));
        prop_assert!(Wish::read(&changed).ends_with_assistant);
    }

    #[test]
    fn nothing_else_panics(body in "\\PC{0,20}|[{}\\[\\]\":,a1 ]{0,30}", delivered: u64) {
        Wish::read(body.as_bytes());
        whole_usage(body.as_bytes(), delivered);
        continuing(&Bytes::from(body), Prefill::ContinueFinalMessage, "a", delivered);
    }

    #[test]
    fn usage_is_moved_and_not_made(
        prompt in any::<u32>(),
        completion in any::<u32>(),
        before in 1..u64::from(u32::MAX),
        other in value(),
        order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
        space in space(),
    ) {
        let (prompt, completion) = (u64::from(prompt), u64::from(completion));
        let fields = [
            format!(r#""prompt_tokens"{space}:{prompt}{space}"#),
            format!(r#"{space}"completion_tokens":{space}{completion}"#),
            format!(r#""total_tokens":{}"#, prompt + completion),
            format!(r#""details":{other}"#),
        ];
        let fields: Vec<_> = order.iter().map(|index| fields[*index].as_str()).collect();
        let usage = format!("{space}{{{}}}", fields.join(","));
        let whole = whole_usage(usage.as_bytes(), before).unwrap();
        let mut expected: Value = serde_json::from_str(&usage).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        prop_assert_eq!(
            whole["prompt_tokens"].as_u64().unwrap() + whole["completion_tokens"].as_u64().unwrap(),
            whole["total_tokens"].as_u64().unwrap()
        );
        prop_assert_eq!(&whole["completion_tokens"], &json!(completion + before));
        for moved in ["prompt_tokens", "completion_tokens", "total_tokens"] {
            expected[moved] = whole[moved].clone();
        }
        prop_assert_eq!(whole, expected);
    }
}

/// The edits made one by one, none of which may be left out.
fn woven(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut woven = Vec::new();
    let mut at = 0;
    for Edit { span, with } in edits {
        assert!(at <= span.start, "in order, and none over another");
        woven.extend_from_slice(&body[at..span.start]);
        woven.extend_from_slice(with);
        at = span.end;
    }
    woven.extend_from_slice(&body[at..]);
    woven
}

fn expected(mut body: Value, form: Prefill, text: &str, delivered: u64) -> Value {
    let mut message = json!({"role": "assistant", "content": text});
    match form {
        Prefill::Prefix => message["prefix"] = json!(true),
        Prefill::Partial => message["partial"] = json!(true),
        Prefill::ContinueFinalMessage => {
            body["continue_final_message"] = json!(true);
            body["add_generation_prompt"] = json!(false);
        }
        Prefill::Assistant | Prefill::None => {}
    }
    body["messages"].as_array_mut().unwrap().push(message);
    for limit in ["max_tokens", "max_completion_tokens"] {
        if let Some(tokens @ 1..) = body.get(limit).and_then(Value::as_u64) {
            body[limit] = json!(tokens.saturating_sub(delivered).max(1));
        }
    }
    body
}

/// A chat body with its fields in any order, and other fields of other names.
fn body() -> impl Strategy<Value = String> {
    let messages = (space(), vec(value(), 0..4), space())
        .prop_map(|(a, items, b)| format!("[{a}{}{b}]", items.join(&format!("{b},{a}"))));
    let limit = || {
        option::of(prop_oneof![
            any::<u64>().prop_map(|limit| limit.to_string()),
            value()
        ])
    };
    let named = (
        messages,
        limit(),
        limit(),
        option::of(value()),
        option::of(value()),
    )
        .prop_map(|(messages, most, most_completion, continued, prompted)| {
            [
                ("messages", Some(messages)),
                ("max_tokens", most),
                ("max_completion_tokens", most_completion),
                ("continue_final_message", continued),
                ("add_generation_prompt", prompted),
            ]
        });
    (named, vec(value(), 0..4), vec(any::<u8>(), 8), space())
        .prop_map(|(named, others, escapes, space)| {
            let named = named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)));
            let others = others
                .into_iter()
                .zip(["model", "stream_options", "mess", "messages "])
                .map(|(value, name)| {
                    let value = if name == "model" {
                        "\"m\"".to_owned()
                    } else {
                        value
                    };
                    (name.to_owned(), value)
                });
            named
                .chain(others)
                .map(|(name, value)| {
                    format!(
                        "{space}{}{space}:{space}{value}{space}",
                        spelled(&name, &escapes)
                    )
                })
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_flat_map(|fields| {
            space().prop_map(move |a| format!("{a}{{{}}}{a}", fields.join(",")))
        })
}

/// A name with some of its letters escaped.
fn spelled(name: &str, escapes: &[u8]) -> String {
    let letters = name.chars().zip(escapes.iter().cycle());
    let spelled: String = letters
        .map(|(letter, escape)| match escape {
            0..40 => format!("\\u{:04x}", u32::from(letter)),
            _ => letter.to_string(),
        })
        .collect();
    format!("\"{spelled}\"")
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        2 => prop::sample::select(vec![
            "true", "false", "null", "0", "-0", "1", "1.0", "1E+2", "-7", "12345678901234567890",
            "123456789012345678901234567890", r#""assistant""#,
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (space(), vec(inner.clone(), 0..4))
                .prop_map(|(a, items)| format!("[{a}{}]", items.join(&format!(",{a}")))),
            (space(), vec((string(), inner), 0..4)).prop_map(|(a, fields)| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| format!("{key}{a}:{value}"))
                    .collect();
                format!("{{{}{a}}}", fields.join(","))
            }),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z{}\\[\\]:,/' ]{0,8}",
        prop::sample::select(vec![
            r#"\""#,
            r"\\",
            r"\n",
            r"\/",
            r"\u0041",
            r"\ud83d\ude00",
            r#"\\\""#,
            "你好",
            "é",
            "😀",
            r#"\"messages\":["#,
            "role",
            "messages",
        ])
        .prop_map(str::to_owned),
    ];
    vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ \n\r\t]{1,3}", 1 => Just(" ".repeat(70))]
}
