//! Every attempt failed: the client learns how the last one did, and is never left with nothing.

use crate::harness::answers::{failure, failure_body, failure_with, http};
use crate::harness::provider::Refusing;
use crate::harness::*;
use crate::refusals::refused;

#[tokio::test]
async fn the_last_status_and_body_are_passed_on_as_they_are() {
    let body =
        "{ \"error\" : {\"message\":\"two is \\u4e2d\\/ down\",\"code\":1e400,\"x\":[1.0]} }\n";
    let one = Provider::always(vec![failure(500, "one is down")]).await;
    let kind = ("content-type", "application/json; charset=utf-8");
    let two = Provider::always(vec![Act::Write(http(503, &[kind], body))]).await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK).await.expect(503);
    assert_eq!(reply.text(), body);
    assert!(
        reply
            .get("content-type")
            .unwrap()
            .starts_with("application/json")
    );
    assert!(reply.get("x-request-id").is_some());
}

#[tokio::test]
async fn a_retry_after_is_passed_on() {
    let one = Provider::always(vec![failure(500, "one is down")]).await;
    let slow = failure_with(429, "slow down", &[("retry-after", "7")]);
    let two = Provider::always(vec![slow]).await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let reply = gateway.chat(ASK).await.expect(429);
    let after: u64 = reply
        .get("retry-after")
        .expect("a retry-after")
        .parse()
        .unwrap();
    assert!((1..=7).contains(&after), "{after}");
    assert_eq!(reply.text(), failure_body("slow down"));
}

#[tokio::test]
async fn every_429_and_503_says_when_to_come_again() {
    for status in [429, 503] {
        let one = Provider::always(vec![failure(status, "busy")]).await;
        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await.expect(status);
        let after: u64 = reply
            .get("retry-after")
            .expect("a retry-after")
            .parse()
            .unwrap();
        assert!((1..=3600).contains(&after), "{after}");
    }
}

#[tokio::test]
async fn errors_of_other_shapes_are_wrapped() {
    let html = "<html><body>502 Bad Gateway</body></html>";
    let long = format!("\"{}\"", "y".repeat(100_000));
    for (status, kind, body, kept) in [
        (502, "text/html", html, "502 Bad Gateway"),
        (
            503,
            "application/json",
            "\"System is too busy\"",
            "System is too busy",
        ),
        (
            500,
            "application/json",
            "[{\"error\":{\"code\":503,\"message\":\"array wrapped\"}}]",
            "array wrapped",
        ),
        (
            503,
            "application/json",
            "{\"code\":50505,\"message\":\"overloaded\",\"data\":null}",
            "50505",
        ),
        (500, "application/json", "{\"error\"", "error"),
        (500, "application/json", &long, "yyyyyyyy"),
        (504, "text/plain", "", ""),
        (
            500,
            "application/octet-stream",
            "\u{0}\u{1}in binary\u{7f}",
            "in binary",
        ),
    ] {
        let act = Act::Write(http(status, &[("content-type", kind)], body));
        let one = Provider::always(vec![act]).await;
        let gateway = Gateway::start(&Config::one(&one)).await;
        let reply = gateway.chat(ASK).await;
        assert!(reply.body.len() < 16_384, "{} bytes", reply.body.len());
        let told = refused(reply, status, "provider_");
        let upstream = told["error"]["metadata"]["upstream"].to_string();
        assert!(upstream.contains(kept), "{kept:?} is not in {upstream:.80}");
    }
}

#[tokio::test]
async fn when_nobody_could_be_reached_each_attempt_is_told() {
    let (one, two) = (Refusing::new(), Refusing::new());
    let gateway = Gateway::start(&Config::spill_to(&one.base(), &two.base())).await;
    let body = refused(gateway.chat(ASK).await, 502, "provider_");
    let attempts = body["error"]["metadata"]["attempts"]
        .as_array()
        .expect("attempts")
        .clone();
    let names: Vec<_> = attempts
        .iter()
        .map(|a| a["provider"].as_str().unwrap())
        .collect();
    assert_eq!((names.first(), names.last()), (Some(&"one"), Some(&"two")));
    for attempt in &attempts {
        assert!(
            attempt["reason"].as_str().unwrap().starts_with("provider_"),
            "{attempt}"
        );
        assert!(attempt["ms"].is_number(), "{attempt}");
        assert!(attempt.get("status").is_some(), "{attempt}");
    }
}

#[tokio::test]
async fn resets_and_silence_end_in_an_answer() {
    for (acts, status) in [
        (vec![Act::Reset], 502),
        (vec![Act::Close], 502),
        (
            vec![Act::Write(b"garbage\r\n\r\n".to_vec()), Act::Close],
            502,
        ),
        (vec![Act::Hang], 504),
    ] {
        let (one, two) = (
            Provider::always(acts.clone()).await,
            Provider::always(acts).await,
        );
        let config = Config::spill(&one, &two).on_route("timeouts", "{ response: 300ms }");
        let gateway = Gateway::start(&config).await;
        refused(gateway.chat(ASK).await, status, "provider_");
        assert!(one.count() >= 1 && two.count() >= 1);
    }
}

#[tokio::test]
async fn a_body_with_an_error_passes_though_an_earlier_attempt_had_none() {
    let one = Refusing::new();
    let two = Provider::always(vec![failure(503, "two is down")]).await;
    let gateway = Gateway::start(&Config::spill_to(&one.base(), &two.base())).await;
    let reply = gateway.chat(ASK).await.expect(503);
    assert_eq!(reply.text(), failure_body("two is down"));
}

#[tokio::test]
async fn streams_that_never_began_fail_with_a_status_not_with_a_stream() {
    let one = Provider::always(vec![failure(503, "down")]).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(503);
    assert_eq!(reply.text(), failure_body("down"));
    assert!(
        reply
            .get("content-type")
            .unwrap()
            .starts_with("application/json")
    );
}

#[tokio::test]
async fn a_huge_error_body_is_not_taken_in_whole() {
    let head = answers::head(500, &[("content-type", "text/plain")]);
    let one = Provider::always(vec![Act::Write(head), Act::Flood(vec![b'e'; 65_536])]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let start = Instant::now();
    gateway.chat(ASK).await.expect(200);
    assert!(start.elapsed() < ms(10_000), "{:?}", start.elapsed());
    until("the flood is left", ms(5000), || one.all_closed()).await;
    assert!(
        gateway.peak_memory() < 64 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
}
