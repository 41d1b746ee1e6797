//! Tokens in the access line: the provider's own numbers, once, wherever it tells them.

use crate::harness::answers::{DONE, event, finish};
use crate::harness::streaming::*;
use crate::harness::*;

fn first() -> String {
    event("one-chat", "hello")
}

fn tells_tokens(line: &Value, expected: [Option<u64>; 4]) {
    let fields = [
        "tokens_in",
        "tokens_out",
        "tokens_cached",
        "tokens_reasoning",
    ];
    for (field, value) in fields.iter().zip(expected) {
        match value {
            Some(value) => assert_eq!(line[field], value, "{field}: {line}"),
            None => assert!(line.get(field).is_none(), "{field}: {line}"),
        }
    }
}

const ALL_FOUR: [Option<u64>; 4] = [Some(11), Some(7), Some(4), Some(3)];

#[tokio::test]
async fn however_often_it_is_told_it_is_counted_once() {
    let usage = format!("\"usage\":{USAGE}");
    let extra = format!("data: {{\"model\":\"one-chat\",\"choices\":[],{usage}}}\n\n");
    let growing = usage.replace("\"completion_tokens\":7", "\"completion_tokens\":2");
    let in_choice =
        finish("one-chat").replacen("\"choices\":[{", &format!("\"choices\":[{{{usage},"), 1);
    let groq = format!("\"x_groq\":{{\"id\":\"g\",{usage}}}");
    let end = finish("one-chat");
    for events in [
        vec![first(), end.clone(), extra.clone()],
        vec![first(), with(end.clone(), &usage)],
        vec![
            with(first(), &growing),
            with(first(), &usage),
            with(end.clone(), &usage),
        ],
        vec![
            with(first(), &growing),
            with(end.clone(), &growing),
            extra.clone(),
        ],
        vec![first(), in_choice, extra.clone()],
        vec![first(), with(end.clone(), &usage), extra.clone()],
        vec![first(), with(end.clone(), &groq)],
        vec![
            with(first(), "\"usage\":null"),
            with(end.clone(), "\"usage\":null"),
            extra.clone(),
        ],
        vec![first(), extra, end],
    ] {
        let sent = [&events[..], &[DONE.to_string()]].concat();
        let one = Provider::always(streamed(&sent)).await;
        let gateway = Gateway::start(&Config::one(&one).logged()).await;
        gateway.chat(ASK_STREAM).await.expect(200);
        let line = gateway.tells("ok").await;
        tells_tokens(&line, ALL_FOUR);
    }
}

#[tokio::test]
async fn what_a_provider_does_not_tell_is_reckoned_and_marked() {
    let some = "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}";
    let none = "\"usage\":null";
    let hits = "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"prompt_cache_hit_tokens\":4,\"prompt_cache_miss_tokens\":7}";
    for (told, expected) in [
        (some, [Some(11), Some(7), None, None]),
        (hits, [Some(11), Some(7), Some(4), None]),
        // Four bytes of the request a token, and one event of text.
        (
            none,
            [Some(ASK_STREAM.len() as u64 / 4), Some(1), None, None],
        ),
    ] {
        let sent = [first(), with(finish("one-chat"), told), DONE.into()];
        let one = Provider::always(streamed(sent)).await;
        let gateway = Gateway::start(&Config::one(&one).logged()).await;
        gateway.chat(ASK_STREAM).await.expect(200);
        let line = gateway.tells("ok").await;
        tells_tokens(&line, expected);
        assert_eq!(line["estimated"] == true, told == none, "{line}");
    }
}

#[tokio::test]
async fn a_whole_answers_usage_is_in_the_line_too() {
    let body = chat("one-chat", "hello");
    let mut json: Value = serde_json::from_str(&body).unwrap();
    json["usage"] = serde_json::from_str(USAGE).unwrap();
    let one = Provider::always(vec![json_reply(200, json.to_string())]).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK).await.expect(200);
    tells_tokens(&gateway.tells("ok").await, ALL_FOUR);
}

#[tokio::test]
async fn what_a_failed_attempt_told_is_not_in_the_answers_line() {
    let opening = with(
        role("one-chat"),
        "\"usage\":{\"prompt_tokens\":99,\"completion_tokens\":98}",
    );
    let one = Provider::always(begun([opening], [Act::Close])).await;
    let end = with(finish("two-chat"), &format!("\"usage\":{USAGE}"));
    let sent = [event("two-chat", "hello"), end, DONE.into()];
    let two = Provider::always(streamed(sent)).await;
    let gateway = Gateway::start(&Config::spill(&one, &two).logged()).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.tells("ok").await;
    assert_eq!(line["provider"], "two");
    tells_tokens(&line, ALL_FOUR);
}

#[tokio::test]
async fn a_stream_that_broke_tells_what_it_had() {
    let usage = format!("\"usage\":{USAGE}");
    let one = Provider::always(begun([with(first(), &usage)], [Act::Close])).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    tells_tokens(&gateway.tells("provider_truncated").await, ALL_FOUR);
}
