//! A provider that says when to come back is left alone until then.

use crate::harness::answers::failure_with;
use crate::harness::fleet::{Mood, by};
use crate::harness::*;
use crate::refusals::refused;

fn rest(status: u16, header: &str, value: &str) -> Vec<Act> {
    vec![failure_with(status, "come back later", &[(header, value)])]
}

/// `one` asks for a rest of this length once, in these words, and is well ever after.
async fn rests(status: u16, header: &str, value: &str, length: Duration) {
    let one = Provider::first(vec![rest(status, header, value)]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(
        (by(&reply).as_str(), reply.get("x-overspill-attempts")),
        ("two", Some("2"))
    );
    let told = one.only().at;
    loop {
        let reply = gateway.chat(ASK).await.expect(200);
        // An attempt at one that rests would be told.
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
        if by(&reply) == "one" {
            break;
        }
        assert!(told.elapsed() < ms(5000), "{header} {value}: never back");
        tokio::time::sleep(ms(10)).await;
    }
    let rested = one.seen()[1].at - told;
    assert!(
        (length..length + ms(600)).contains(&rested),
        "{status} {header} {value}: {rested:?}"
    );
}

#[tokio::test]
async fn a_429_with_a_time_is_heeded() {
    rests(429, "retry-after", "1", ms(1000)).await;
}

#[tokio::test]
async fn milliseconds_are_heeded() {
    rests(429, "retry-after-ms", "700", ms(700)).await;
}

#[tokio::test]
async fn a_529_with_a_time_is_heeded() {
    rests(529, "Retry-After", "1", ms(1000)).await;
}

#[tokio::test]
async fn a_503_with_a_time_is_heeded() {
    rests(503, "retry-after", "1", ms(1000)).await;
}

#[tokio::test]
async fn a_rest_holds_for_streams_and_across_tiers() {
    let one = Provider::first(vec![rest(429, "retry-after", "30")]).await;
    let two = Provider::always(answers::stream_reply("two-chat", "hello")).await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    for number in 0..10 {
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        let attempts = if number == 0 { "2" } else { "1" };
        assert_eq!(reply.get("x-overspill-attempts"), Some(attempts));
    }
    assert_eq!((one.count(), two.count()), (1, 10));
    let cooled = ["route=\"main\"", "reason=\"cooling\""];
    gateway.counts("overspill_spills_total", &cooled, 9.0).await;
}

#[tokio::test]
async fn a_rest_is_not_a_failure() {
    for status in [429, 529] {
        let mood = Mood::of(rest(status, "retry-after-ms", "1"));
        let (one, two) = (mood.provider().await, Provider::well().await);
        let breaker = "{ failures: 50%, last: 4, minimum: 2, interval: 60s }";
        let config = Config::beside(&one, &two).on_provider("one", "breaker", breaker);
        let gateway = Gateway::start(&config).await;
        let start = Instant::now();
        while one.count() < 8 {
            assert_eq!(gateway.served().await, "two");
            assert!(
                start.elapsed() < ms(3000),
                "{status}: it is not asked again"
            );
        }
        mood.mend();
        gateway.served_by("one", ms(1000)).await;
    }
}

#[tokio::test]
async fn when_all_rest_the_caller_is_told_the_soonest_return() {
    let one = Provider::always(rest(429, "retry-after", "30")).await;
    let two = Provider::always(rest(429, "retry-after", "7")).await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let first = gateway.chat(ASK).await.expect(429);
    assert_eq!(first.get("retry-after"), Some("7"));
    for body in [ASK, ASK_STREAM] {
        let reply = gateway.chat(body).await;
        let after: u64 = reply.get("retry-after").expect("a time").parse().unwrap();
        assert!((6..=7).contains(&after), "{after}");
        let told = refused(reply, 429, "provider_rate_limited");
        let message = told["error"]["message"].as_str().unwrap();
        for name in ["one", "two", "cooling"] {
            assert!(message.contains(name), "{message}");
        }
        assert_eq!(told["error"]["metadata"]["attempts"], serde_json::json!([]));
    }
    assert_eq!((one.count(), two.count()), (1, 1), "nobody was asked again");
}

#[tokio::test]
async fn a_caller_who_comes_back_when_told_is_served() {
    let one = Provider::first(vec![rest(429, "retry-after", "30")]).await;
    let two = Provider::first(vec![rest(429, "retry-after-ms", "1300")]).await;
    // The last one is not worth waiting for either.
    let config = Config::beside(&one, &two).on_route("retry", "{ patience: 1ms }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(429);
    let reply = gateway.chat(ASK).await;
    let after: u64 = reply.get("retry-after").expect("a time").parse().unwrap();
    refused(reply, 429, "provider_rate_limited");
    assert!((1..=2).contains(&after), "{after}");
    tokio::time::sleep(Duration::from_secs(after)).await;
    assert_eq!(gateway.served().await, "two");
    assert_eq!((one.count(), two.count()), (1, 2));
}
