//! A provider fails before it answered: the client never knows.

use crate::harness::answers::{failure, part, sse_head};
use crate::harness::provider::Refusing;
use crate::harness::*;

/// The answer must be the second provider's, and only that.
async fn falls_over_to(gateway: &Gateway, two: &Provider, body: &str) -> Reply {
    let before = two.count();
    let reply = gateway.chat(body).await.expect(200);
    assert_eq!(two.count(), before + 1);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert!(reply.text().contains("hello"), "{}", reply.text());
    assert!(!reply.text().contains("of the first"), "{}", reply.text());
    reply
}

#[tokio::test]
async fn statuses_that_mean_trouble_go_to_the_next() {
    for status in [408, 429, 500, 502, 503, 504, 529] {
        let one = Provider::always(vec![failure(status, "of the first")]).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::beside(&one, &two)).await;
        falls_over_to(&gateway, &two, ASK).await;
        assert_eq!(one.count(), 1, "{status}: next at once within a tier");

        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        falls_over_to(&gateway, &two, ASK).await;
        let again = if status == 429 || status == 529 { 1 } else { 2 };
        assert_eq!(one.count() - 1, again, "{status}: before a later tier");
    }
}

#[tokio::test]
async fn a_trouble_that_passes_is_never_seen_and_never_spills() {
    let one = Provider::first(vec![vec![failure(500, "of the first")]]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
    assert_eq!(reply.get("x-overspill-attempts"), Some("2"));
    assert_eq!((one.count(), two.connections().len()), (2, 0));
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next() {
    let one = Refusing::new();
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill_to(&one.base(), &two.base())).await;
    falls_over_to(&gateway, &two, ASK).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_goes_to_the_next() {
    let two = Provider::well().await;
    let config = Config::spill_to("http://nowhere.invalid:9/v1", &two.base())
        .on_route("timeouts", "{ connect: 2s }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    falls_over_to(&gateway, &two, ASK).await;
    assert!(start.elapsed() < ms(10_000), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_goes_to_the_next() {
    for acts in [
        vec![Act::Reset],
        vec![Act::Close],
        vec![Act::Write(b"HTTP/1.1 200 O".to_vec()), Act::Close],
        vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n".to_vec()), Act::Reset],
        vec![Act::Write(b"this is not HTTP\r\n\r\n".to_vec()), Act::Close],
        vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{\"id\":\"of the first".to_vec()), Act::Close],
        vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n".to_vec()), Act::Reset],
        vec![Act::Write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()), Act::Hang],
    ] {
        let one = Provider::always(acts).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        falls_over_to(&gateway, &two, ASK).await;
    }
}

#[tokio::test]
async fn a_200_that_is_no_answer_goes_to_the_next() {
    for body in [
        "",
        "null",
        "<html>of the first</html>",
        "{\"id\":\"of the first\"",
        "[]",
    ] {
        let one = Provider::always(vec![json_reply(200, body)]).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        falls_over_to(&gateway, &two, ASK).await;
    }
}

#[tokio::test]
async fn a_silent_provider_is_left_and_not_asked_again() {
    let one = Provider::always(vec![Act::Hang]).await;
    let two = Provider::start(|_, seen| match seen.json()["stream"] == true {
        true => answers::stream_reply("two-chat", "hello"),
        false => chat_reply(seen),
    })
    .await;
    let config = Config::spill(&one, &two).on_route(
        "timeouts",
        "{ first_byte: 300ms, response: 600ms, connect: 2s }",
    );
    let gateway = Gateway::start(&config).await;

    // What is not a stream is judged by `response`, a stream by `first_byte`.
    let start = Instant::now();
    falls_over_to(&gateway, &two, ASK).await;
    assert!(
        (ms(550)..ms(4000)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(one.count(), 1);

    let start = Instant::now();
    falls_over_to(&gateway, &two, ASK_STREAM).await;
    assert!(
        (ms(280)..ms(4000)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(one.count(), 2);
    until("the silent one is hung up on", ms(1000), || {
        one.all_closed()
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_stops_half_way_is_bound_by_response() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{";
    let one = Provider::always(vec![Act::Write(head.to_vec()), Act::Hang]).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two).on_route("timeouts", "{ response: 500ms }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    falls_over_to(&gateway, &two, ASK).await;
    assert!(start.elapsed() < ms(4000), "{:?}", start.elapsed());
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn a_slow_stream_is_not_judged_by_the_time_of_a_whole_answer() {
    let acts = vec![
        sse_head(),
        part(answers::event("one-chat", "slow")),
        Act::Sleep(ms(700)),
        part(answers::event("one-chat", "hello")),
        part(answers::finish("one-chat")),
        part(answers::DONE),
        answers::last(),
    ];
    let one = Provider::always(acts).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two).on_route("timeouts", "{ response: 300ms, idle: 5s }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(reply.text().ends_with(answers::DONE), "{}", reply.text());
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn what_retry_does_not_name_is_not_retried() {
    let slow = vec![Act::Hang];
    for (named, acts, status, again) in [
        ("[]", vec![failure(503, "of the first")], 503, false),
        ("[]", vec![failure(429, "of the first")], 429, false),
        ("[]", vec![Act::Reset], 502, false),
        ("[]", slow.clone(), 504, false),
        ("[429]", vec![failure(500, "of the first")], 500, false),
        ("[5xx]", vec![failure(429, "of the first")], 429, false),
        ("[429]", vec![failure(429, "of the first")], 429, true),
        ("[5xx]", vec![failure(500, "of the first")], 500, true),
        ("[connect, timeout]", vec![Act::Reset], 502, false),
        ("[reset]", vec![Act::Reset], 502, true),
        ("[reset]", slow.clone(), 504, false),
        ("[timeout]", slow.clone(), 504, true),
    ] {
        let one = Provider::always(acts).await;
        let two = Provider::well().await;
        let config = Config::beside(&one, &two)
            .on_route("retry", &format!("{{ for: {named}, backoff: 1ms..2ms }}"))
            .on_route("timeouts", "{ response: 300ms }");
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK).await;
        let told = format!("for {named}: {}", reply.text());
        assert_eq!(reply.status, if again { 200 } else { status }, "{told}");
        assert_eq!(two.count(), usize::from(again), "{told}");
        assert_eq!(one.count(), 1, "{told}");
        reply.json();
    }
}

#[tokio::test]
async fn a_refused_connection_without_retries_is_a_502() {
    let one = Refusing::new();
    let two = Provider::well().await;
    let config =
        Config::spill_to(&one.base(), &two.base()).on_route("retry", "{ for: [429, 5xx] }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await;
    crate::refusals::refused(reply, 502, "provider_");
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn each_attempt_has_its_own_model_key_and_options() {
    let one = Provider::always(vec![failure(503, "of the first")]).await;
    let two = Provider::well().await;
    let targets = "{ provider: one, options: { temperature: 0.1, secret_option: sk-option-one } }, \
                   { provider: two, tier: 2, options: { top_p: 0.7 } }";
    let config = Config::new()
        .provider("one", &one.base())
        .with("auth", "{ header: { api-key: sk-one-header } }")
        .without("api_key")
        .provider("two", &two.base())
        .route("main", targets);
    let gateway = Gateway::start(&config).await;
    let asked = r#"{"model":"acme/chat","messages":[],"temperature":0.9}"#;
    falls_over_to(&gateway, &two, asked).await;
    for seen in one.seen() {
        let body = seen.json();
        assert_eq!(body["model"], "one-chat");
        assert_eq!(body["temperature"], 0.1);
        assert_eq!(seen.all("api-key"), ["sk-one-header"]);
        assert_eq!(seen.get("authorization"), None);
    }
    let seen = two.only();
    let expected = serde_json::json!(
        {"model": "two-chat", "messages": [], "temperature": 0.9, "top_p": 0.7}
    );
    assert_eq!(seen.json(), expected);
    assert_eq!(
        seen.get("content-length"),
        Some(seen.body.len().to_string().as_str())
    );
    assert_eq!(seen.all("authorization"), ["Bearer sk-two-upstream"]);
    assert!(!String::from_utf8_lossy(&seen.head).contains("sk-one"));
}
