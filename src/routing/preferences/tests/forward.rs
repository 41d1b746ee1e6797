//! What a provider that routes for itself is told.

use super::super::forward::{Forward, forward};
use super::*;
use crate::body::asides::{Aside, cut};
use crate::body::splice::set_fields;
use bytes::Bytes;

fn forwarded(given: Option<&str>, cap: &str, failed: &[&str]) -> Option<String> {
    let with = Forward {
        own: &["or-account", "openrouter"],
        max_price: prefers(&format!(r#"{{"max_price":{cap}}}"#)).max_price,
        failed,
    };
    let new = forward(given.map(str::as_bytes), &with)?;
    // Whatever it is, it is in words that are taken, an operator's own aside.
    if !new.contains("new") {
        prefers(&new);
    }
    Some(new)
}

#[test]
fn a_cap_and_those_who_failed_are_handed_on() {
    for (given, cap, failed, expected) in [
        (None, "{}", vec![], None),
        (Some("null"), "{}", vec![], None),
        (
            None,
            r#"{"prompt":0.6}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":0.6}}"#),
        ),
        (None, "{}", vec!["sf"], Some(r#"{"ignore":["sf"]}"#)),
        // The lower of each wins.
        (
            Some(r#"{ "max_price" : {"prompt":"1","completion":2,"image":3} , "sort":"price" }"#),
            r#"{"input":0.6,"output":2.4,"request":0.01}"#,
            vec![],
            Some(
                r#"{ "max_price" : {"prompt":0.6,"completion":2,"request":0.01,"image":3} , "sort":"price" }"#,
            ),
        ),
        // Lower already, in their words: not touched.
        (
            Some(r#"{"max_price":{"prompt":"0.10"}}"#),
            r#"{"prompt":0.1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":"0.10"}}"#),
        ),
        // In ours: put in theirs.
        (
            Some(r#"{"max_price":{"input":"0.10"}}"#),
            "{}",
            vec![],
            Some(r#"{"max_price":{"prompt":0.1}}"#),
        ),
        (
            Some(r#"{"zdr":true,"ignore":["A","b"]}"#),
            "{}",
            vec!["a/x", "c"],
            Some(r#"{"zdr":true,"ignore":["a","b","c"]}"#),
        ),
        (
            Some(r#"{"ignore":["A"]}"#),
            "{}",
            vec!["a"],
            Some(r#"{"ignore":["A"]}"#),
        ),
        // Its own name is of no use there.
        (
            Some(r#"{"only":["openrouter","sf"]}"#),
            "{}",
            vec![],
            Some("{}"),
        ),
        (
            Some(r#"{"order":["sf","or-account","deepinfra"],"allow_fallbacks":false}"#),
            "{}",
            vec![],
            Some(r#"{"order":["sf","deepinfra"],"allow_fallbacks":false}"#),
        ),
        (
            Some(r#"{"order":["OpenRouter"],"zdr":true}"#),
            r#"{"prompt":1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":1},"zdr":true}"#),
        ),
        // Of those it names, all have failed: whoever it has else.
        (
            Some(r#"{"order":["sf","openrouter"],"allow_fallbacks":false}"#),
            "{}",
            vec!["sf"],
            Some(r#"{"ignore":["sf"]}"#),
        ),
        // What an operator knows of it and we do not stays, and so does the rest.
        (
            Some(r#"{"only":["a"],"new":{"x":[1]},"ignore":["b"],"max_price":{"prompt":2}}"#),
            r#"{"prompt":1}"#,
            vec!["sf"],
            Some(r#"{"only":["a"],"new":{"x":[1]},"ignore":["b","sf"],"max_price":{"prompt":1}}"#),
        ),
        // An operator's own nonsense does not lift the cap.
        (
            Some("7"),
            r#"{"prompt":1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":1}}"#),
        ),
    ] {
        assert_eq!(
            forwarded(given, cap, &failed).as_deref(),
            expected,
            "{given:?}"
        );
    }
}

#[test]
fn it_is_set_in_the_body_like_any_option() {
    let sent = |body: &str| {
        let scanned = scan(body.as_bytes()).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let given = scanned.asides.provider.as_ref();
        let given = given.map(|member| &body[member.value.clone()]);
        let with = Forward {
            own: &["openrouter"],
            max_price: prefers(r#"{"max_price":{"prompt":0.6,"completion":2.4}}"#).max_price,
            failed: &["siliconflow"],
        };
        let set = [("provider".to_owned(), forward(given, &with).unwrap())];
        let edits = cut(&body, &scanned, &[Aside::Models, Aside::Route]);
        let model = Bytes::from_static(b"\"new\"");
        let pieces = set_fields(&body, &scanned, &model, &set, edits);
        String::from_utf8(pieces.joined().to_vec()).unwrap()
    };
    let put = r#"{"max_price":{"prompt":0.6,"completion":2.4},"ignore":["siliconflow"]}"#;
    assert_eq!(
        sent(r#"{"model":"m", "temperature":1.0,"models":["x"]}"#),
        format!(r#"{{"provider":{put},"model":"new", "temperature":1.0}}"#)
    );
    assert_eq!(
        sent(r#"{"models":["m"],"provider" : null}"#),
        format!(r#"{{"model":"new","provider" : {put}}}"#)
    );
    assert_eq!(
        sent(r#"{"provider":{"sort":"price", "max_price":{"prompt":"0.5"}},"model":"m"}"#),
        r#"{"provider":{"ignore":["siliconflow"],"sort":"price", "max_price":{"prompt":0.5,"completion":2.4}},"model":"new"}"#
    );
}
