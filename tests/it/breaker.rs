//! A target that keeps failing is left alone, and taken back by itself when it is well again.

use crate::harness::answers::{failure, part, sse_head};
use crate::harness::fleet::{Mood, by};
use crate::harness::provider::Refusing;
use crate::harness::streaming::{begun, second};
use crate::harness::voice::ONE;
use crate::harness::*;

pub fn down() -> Vec<Act> {
    vec![failure(500, "down")]
}

/// Opens on half of the last ten, once there were four, and no test lives to see a probe.
pub const FOR_GOOD: &str = "{ failures: 50%, last: 10, minimum: 4, interval: 60s }";
/// `one` is asked first, and `two` when it fails.
pub async fn guarded(one: &Provider, two: &Provider, breaker: &str) -> Gateway {
    let config = Config::beside(one, two).on_provider("one", "breaker", breaker);
    Gateway::start(&config.logged()).await
}

/// Asks until `one` is not tried any more: how often it was.
pub async fn opened(gateway: &Gateway, one: &Provider) -> usize {
    for _ in 0..40 {
        let before = one.count();
        assert_eq!(gateway.served().await, "two");
        if one.count() == before {
            return before;
        }
    }
    panic!("never open after {} failures", one.count());
}

#[tokio::test]
async fn it_opens_when_enough_have_failed_and_not_before() {
    let (one, two) = (Provider::always(down()).await, Provider::well().await);
    let gateway = guarded(&one, &two, FOR_GOOD).await;
    assert_eq!(opened(&gateway, &one).await, 4);
    for _ in 0..10 {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
        assert_eq!(by(&reply), "two");
    }
    assert_eq!(one.count(), 4, "it is open and hears nothing");
}

#[tokio::test]
async fn a_share_of_failures_below_the_limit_is_borne() {
    let mood = Mood::default();
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, FOR_GOOD).await;
    for number in 0..30 {
        // At most four of any ten.
        match number % 3 {
            2 => mood.set(down()),
            _ => mood.mend(),
        }
        gateway.served().await;
    }
    assert_eq!(one.count(), 30);
    mood.set(down());
    let until_open = opened(&gateway, &one).await - 30;
    assert!((1..=5).contains(&until_open), "{until_open} more failures");
}

#[tokio::test]
async fn one_error_opens_nothing() {
    let one = Provider::first(vec![down()]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    assert_eq!(gateway.served().await, "two");
    for _ in 0..20 {
        assert_eq!(gateway.served().await, "one");
    }
}

#[tokio::test]
async fn failures_of_long_ago_are_forgotten() {
    let (one, two) = (Provider::always(down()).await, Provider::well().await);
    let breaker = "{ failures: 50%, last: 10, minimum: 4, window: 400ms, interval: 60s }";
    let gateway = guarded(&one, &two, breaker).await;
    for round in 1..=3 {
        for _ in 0..3 {
            assert_eq!(gateway.served().await, "two");
        }
        assert_eq!(
            one.count(),
            3 * round,
            "three within the window are too few"
        );
        tokio::time::sleep(ms(450)).await;
    }
}

#[tokio::test]
async fn what_is_the_callers_or_a_limit_is_no_failure() {
    let mood = Mood::default();
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, FOR_GOOD).await;
    for status in [400, 404, 413, 422, 429, 529] {
        mood.set(vec![failure(status, "no")]);
        for _ in 0..6 {
            let reply = gateway.chat(ASK).await;
            let passed = if status < 429 { status } else { 200 };
            assert_eq!(reply.status, passed, "{status}: {}", reply.text());
        }
    }
    assert_eq!(one.count(), 36, "never open");
    mood.mend();
    assert_eq!(gateway.served().await, "one");
}

#[tokio::test]
async fn callers_who_leave_are_no_failure() {
    let mood = Mood::of(vec![Act::Hang]);
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, FOR_GOOD).await;
    for number in 0..8 {
        let body = [ASK, ASK_STREAM][number % 2];
        drop(gateway.held(Request::chat(body), [&one]).await);
        gateway.line(number).await;
    }
    mood.mend();
    assert_eq!(gateway.served().await, "one");
}

#[tokio::test]
async fn silence_refusal_resets_and_broken_streams_are_failures() {
    let refusing = Refusing::new();
    let two = Provider::well().await;
    let config = Config::new()
        .provider("one", &refusing.base())
        .with("breaker", FOR_GOOD)
        .provider("two", &two.base())
        .route(
            "main",
            "{ provider: one, weight: 100 }, { provider: two, weight: 1 }",
        );
    let gateway = Gateway::start(&config).await;
    for number in 0..8 {
        let reply = gateway.chat(ASK).await.expect(200);
        let attempts = if number < 4 { "2" } else { "1" };
        assert_eq!(
            reply.get("x-overspill-attempts"),
            Some(attempts),
            "{number}"
        );
    }

    for (acts, body) in [
        (vec![Act::Hang], ASK),
        (vec![Act::Hang], ASK_STREAM),
        (vec![Act::Reset], ASK),
        (vec![sse_head(), part(ONE.role()), Act::Hang], ASK_STREAM),
        (begun([ONE.say("half")], [Act::Close]), ASK_STREAM),
    ] {
        let (one, two) = (Provider::always(acts).await, second().await);
        let config = Config::beside(&one, &two)
            .on_provider("one", "breaker", FOR_GOOD)
            .on_route("stream", "{ resume: off }")
            .on_route(
                "timeouts",
                "{ response: 60ms, first_byte: 60ms, first_token: 60ms }",
            );
        let gateway = Gateway::start(&config).await;
        for _ in 0..8 {
            gateway.chat(body).await;
        }
        assert_eq!(one.count(), 4, "{body}");
    }
}

#[tokio::test]
async fn switched_off_it_never_opens() {
    let (one, two) = (Provider::always(down()).await, Provider::well().await);
    let gateway = guarded(&one, &two, "off").await;
    for _ in 0..30 {
        assert_eq!(gateway.served().await, "two");
    }
    assert_eq!(one.count(), 30);
}

#[tokio::test]
async fn the_breaker_of_one_route_is_not_another_routes() {
    let one = Provider::start(|_, seen| match seen.model().as_str() {
        "one-chat" => down(),
        _ => chat_reply(seen),
    })
    .await;
    let two = Provider::well().await;
    let config = Config::beside(&one, &two)
        .on_provider("one", "breaker", FOR_GOOD)
        .on_provider(
            "one",
            "models",
            "{ \"acme/chat\": { name: one-chat }, \"acme/small\": { name: one-small } }",
        )
        .on_route("match", "{ models: [\"acme/chat\"] }")
        .route("small", "{ provider: one }");
    let gateway = Gateway::start(&config).await;
    opened(&gateway, &one).await;
    let small = ASK.replace("acme/chat", "acme/small");
    assert_eq!(by(&gateway.chat(small).await.expect(200)), "one");
}
