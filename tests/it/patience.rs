//! Waiting for a provider that asks for a moment, and the bounds on all trying.

use crate::harness::answers::{failure, failure_with};
use crate::harness::*;
use std::time::SystemTime;

fn limited(header: &str, value: &str) -> Vec<Act> {
    vec![failure_with(429, "slow down", &[(header, value)])]
}

fn in_seconds(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_short_wait_is_better_than_spilling() {
    // A date is made when its turn has come.
    type Value = fn() -> String;
    let rows: [(&str, Value, u64, u64); 3] = [
        ("retry-after", || "1".to_owned(), 950, 1900),
        ("Retry-After", || in_seconds(4), 900, 4600),
        ("retry-after-ms", || "400".to_owned(), 380, 1300),
    ];
    for (header, value, least, most) in rows {
        let value = value();
        let one = Provider::first(vec![limited(header, &value)]).await;
        let two = Provider::well().await;
        let config = Config::spill(&one, &two).on_route("retry", "{ patience: 5s }");
        let gateway = Gateway::start(&config).await;
        let start = Instant::now();
        let reply = gateway.chat(ASK).await.expect(200);
        let waited = start.elapsed();
        assert!(
            (ms(least)..ms(most)).contains(&waited),
            "{header} {value}: {waited:?}"
        );
        assert_eq!(reply.get("x-overspill-provider"), Some("one"));
        assert_eq!(
            (one.count(), two.connections().len()),
            (2, 0),
            "{header} {value}"
        );
    }
}

#[tokio::test]
async fn a_wait_beyond_patience_spills_at_once() {
    for (header, value) in [
        ("retry-after", "30".to_string()),
        ("retry-after", in_seconds(30)),
        ("retry-after-ms", "30000".to_string()),
        ("retry-after", "99999999999999999999".to_string()),
    ] {
        let one = Provider::always(limited(header, &value)).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let start = Instant::now();
        gateway.chat(ASK).await.expect(200);
        assert!(
            start.elapsed() < ms(900),
            "{header} {value}: {:?}",
            start.elapsed()
        );
        assert_eq!((one.count(), two.count()), (1, 1), "{header} {value}");
    }
}

#[tokio::test]
async fn within_a_tier_nobody_waits() {
    let one = Provider::always(limited("retry-after", "1")).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::beside(&one, &two)).await;
    let start = Instant::now();
    gateway.chat(ASK).await.expect(200);
    assert!(start.elapsed() < ms(900), "{:?}", start.elapsed());
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn a_retry_after_that_says_nothing_holds_nobody_up() {
    for value in [
        "soon",
        "-1",
        "",
        "1e9",
        "NaN",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "1 2",
    ] {
        let one = Provider::always(limited("retry-after", value)).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let start = Instant::now();
        gateway.chat(ASK).await.expect(200);
        assert!(
            start.elapsed() < ms(900),
            "{value:?}: {:?}",
            start.elapsed()
        );
        assert_eq!(two.count(), 1, "{value:?}");
        assert!(one.count() <= 4, "{value:?}: {} requests", one.count());
    }
}

#[tokio::test]
async fn attempts_are_counted_over_everything() {
    for attempts in [1, 2, 3] {
        let down = || Provider::always(vec![failure(503, "down")]);
        let (one, two, three) = (down().await, down().await, down().await);
        let config = Config::new()
            .provider("one", &one.base())
            .provider("two", &two.base())
            .provider("three", &three.base())
            .route(
                "main",
                "{ provider: one }, { provider: two }, { provider: three, tier: 2 }",
            )
            .on_route(
                "retry",
                &format!("{{ attempts: {attempts}, backoff: 1ms..2ms }}"),
            );
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK).await.expect(503);
        assert_eq!(one.count() + two.count() + three.count(), attempts);
        let told = attempts.to_string();
        assert_eq!(reply.get("x-overspill-attempts"), Some(told.as_str()));
    }
}

#[tokio::test]
async fn after_the_deadline_nothing_is_tried() {
    let one = Provider::always(vec![Act::Sleep(ms(900)), failure(503, "late")]).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two).on_route("timeouts", "{ deadline: 500ms }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    let reply = gateway.chat(ASK).await;
    let waited = start.elapsed();
    crate::refusals::refused(reply, 504, "");
    assert!((ms(450)..ms(2500)).contains(&waited), "{waited:?}");
    until("the late one is hung up on", ms(1000), || one.all_closed()).await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
}

#[tokio::test]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let one = Provider::always(limited("retry-after", "2")).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two)
        .on_route("timeouts", "{ deadline: 1s }")
        .on_route("retry", "{ patience: 5s }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    let reply = gateway.chat(ASK).await;
    assert!(start.elapsed() < ms(1900), "{:?}", start.elapsed());
    // The next tier, or an honest end; never an answer after its time.
    assert!([200, 429, 504].contains(&reply.status), "{}", reply.status);
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn the_deadline_bounds_a_chain_of_silent_providers() {
    let (one, two) = (
        Provider::always(vec![Act::Hang]).await,
        Provider::always(vec![Act::Hang]).await,
    );
    let config =
        Config::spill(&one, &two).on_route("timeouts", "{ response: 400ms, deadline: 600ms }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    crate::refusals::refused(gateway.chat(ASK).await, 504, "");
    assert!(
        (ms(550)..ms(2500)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn a_client_may_set_a_deadline_of_its_own() {
    let one = Provider::always(vec![Act::Hang]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    for (asked, least) in [("300ms", 280), ("1s", 950)] {
        let start = Instant::now();
        let reply = gateway
            .ask(Request::chat(ASK).header("x-overspill-timeout", asked))
            .await;
        let waited = start.elapsed();
        crate::refusals::refused(reply, 504, "caller_deadline");
        assert!(
            (ms(least)..ms(least + 2000)).contains(&waited),
            "{asked}: {waited:?}"
        );
    }
    let before = one.count();
    for asked in [
        "soon",
        "-1s",
        "",
        "5",
        "99999999999999999999s",
        "1s; drop",
        "NaNs",
    ] {
        let request = Request::chat(ASK).header("x-overspill-timeout", asked);
        crate::refusals::refused(gateway.ask(request).await, 400, "caller_");
    }
    assert_eq!(one.count(), before);
}
