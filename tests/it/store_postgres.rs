//! Records in a real PostgreSQL server, which goes and comes back.

use crate::harness::answers::either;
use crate::harness::crowd::Crowd;
use crate::harness::postgres::{PASSWORD, Postgres};
use crate::harness::*;

fn config(provider: &Provider, postgres: &Postgres, queue: usize) -> Config {
    Config::one(provider)
        .top("log: { level: trace }")
        .top(&format!(
            "store: {{ url: \"${{DATABASE}}\", queue: {queue} }}"
        ))
        .env("DATABASE", &postgres.url())
}

/// The sums agree with the rows.
async fn total_requests(gateway: &Gateway, query: &str) -> i64 {
    let usage = gateway.asked(&format!("/api/usage?{query}")).await;
    let intervals = usage["intervals"].as_array().unwrap();
    intervals
        .iter()
        .map(|one| one["requests"].as_i64().unwrap())
        .sum()
}

#[tokio::test]
async fn a_database_that_goes_and_comes_back_fails_nothing_and_loses_what_is_counted() {
    let provider = Provider::well().await;
    let mut postgres = Postgres::new();
    // The gateway is there first.
    let gateway = Gateway::start(&config(&provider, &postgres, 20)).await;
    gateway.chat(ASK).await.expect(200);
    until("it says so", ms(10_000), || {
        gateway.output().contains("cannot be written")
    })
    .await;
    postgres.start().await;
    gateway.store_is(true).await;
    gateway.keeps(1).await;

    gateway.chat(ASK).await.expect(200);
    gateway.keeps(2).await;
    postgres.stop().await;
    let mut asked = 2;
    gateway.chat(ASK).await.expect(200);
    asked += 1;
    gateway.store_is(false).await;
    for _ in 0..50 {
        let start = Instant::now();
        gateway.chat(ASK).await.expect(200);
        asked += 1;
        assert!(start.elapsed() < ms(1000), "a request waited for the store");
    }
    Request::get("/api/usage")
        .to(gateway.admin)
        .await
        .expect(503);
    postgres.start().await;
    gateway.store_is(true).await;
    let (written, lost) = gateway.settled().await;
    assert_eq!(written + lost, asked);
    assert!(lost >= 20, "{written} written, {lost} lost");
    assert_eq!(gateway.keeps(written).await.len(), written);
    assert_eq!(total_requests(&gateway, "").await, written as i64);
    assert_eq!(
        total_requests(&gateway, "interval=7m&by=model").await,
        written as i64
    );

    let metrics = gateway.metrics().await;
    let shown = gateway.asked("/api/config").await.to_string();
    for text in [gateway.output(), metrics, shown] {
        assert!(!text.contains(PASSWORD), "a password in\n{text}");
    }
}

/// A minute with `FULL=1`.
#[tokio::test]
async fn a_crowd_does_not_notice_that_the_database_is_away() {
    let provider = Provider::start(either).await;
    let mut postgres = Postgres::new();
    postgres.start().await;
    let quiet = Config::one(&provider)
        .top("store: { url: \"${DATABASE}\", queue: 200 }")
        .env("DATABASE", &postgres.url());
    let gateway = Gateway::start(&quiet).await;
    gateway.store_is(true).await;
    let crowd = Crowd::of(8, gateway.address);
    until("the crowd is there", ms(10_000), || crowd.answered() > 100).await;
    postgres.stop().await;
    let full = std::env::var_os("FULL").is_some_and(|full| full == "1");
    tokio::time::sleep(ms(if full { 60_000 } else { 2000 })).await;
    postgres.start().await;
    gateway.store_is(true).await;
    let asked = crowd.leave().await;
    let (written, lost) = gateway.settled().await;
    assert_eq!(written + lost, asked);
    assert!(lost > 0, "{written} written");
    assert_eq!(total_requests(&gateway, "").await, written as i64);
}

#[tokio::test]
async fn two_gateways_write_to_one_database() {
    let provider = Provider::well().await;
    let mut postgres = Postgres::new();
    postgres.start().await;
    let config = config(&provider, &postgres, 1000);
    let (one, two) = tokio::join!(Gateway::start(&config), Gateway::start(&config));
    let strange = r#"{"model":"a\u0000b"}"#;
    for _ in 0..20 {
        one.chat(ASK).await.expect(200);
        two.chat(ASK).await.expect(200);
    }
    let reply = one.chat(strange).await;
    assert!(reply.status >= 400);
    two.keeps(41).await;
    assert_eq!(
        total_requests(&one, "interval=15m&by=model,provider,key,route").await,
        41
    );
    let page = two.asked("/api/requests?provider=one&limit=7").await;
    assert_eq!(page["requests"].as_array().unwrap().len(), 7);
    let next = page["next"].as_str().unwrap();
    let page = two
        .asked(&format!(
            "/api/requests?provider=one&limit=1000&before={next}"
        ))
        .await;
    assert_eq!(page["requests"].as_array().unwrap().len(), 33);
}
