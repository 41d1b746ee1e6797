//! Routes in `mode: stream` choose their targets as all others do: by health, limits and balance.

use crate::harness::answers::{failure, http};
use crate::harness::fleet::{Mood, by, counts, well};
use crate::harness::*;
use crate::refusals::refused;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

const FOR_GOOD: &str = "{ failures: 50%, last: 10, minimum: 4, interval: 60s }";

fn through(providers: &[Provider], targets: &str) -> Config {
    Config::of(providers)
        .route("audio", targets)
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream")
}

fn speech() -> Request {
    Request::post("/v1/audio/speech", "some sound")
}

fn sound(_: usize, _: &provider::Seen) -> Vec<Act> {
    vec![Act::Write(http(
        200,
        &[("content-type", "audio/mpeg")],
        "la",
    ))]
}

#[tokio::test]
async fn a_target_that_keeps_failing_is_left_alone_and_its_share_goes_by_weight() {
    let mood = Mood::of(vec![failure(500, "down")]);
    let providers = [
        Provider::start(sound).await,
        Provider::start(sound).await,
        mood.provider().await,
    ];
    let targets = "{ provider: one, weight: 4 }, { provider: two, weight: 1 }, \
                   { provider: three, weight: 5 }";
    let config = through(&providers, targets).on_provider("three", "breaker", FOR_GOOD);
    let gateway = Gateway::start(&config).await;
    for _ in 0..20 {
        gateway.ask(speech()).await;
    }
    assert_eq!(providers[2].count(), 4);
    let before = counts(&providers);
    let mut conn = Conn::open(gateway.address).await;
    for _ in 0..100 {
        conn.ask(&speech()).await.expect(200);
    }
    let after = counts(&providers);
    let asked: Vec<_> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    assert!(
        asked[0].abs_diff(80) <= 1 && asked[1].abs_diff(20) <= 1 && asked[2] == 0,
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_a_tier_cannot_take_goes_on_to_the_next() {
    let providers = [Provider::start(sound).await, Provider::start(sound).await];
    let targets = "{ provider: one, limits: { rpm: 2 } }, { provider: two, tier: 2 }";
    let gateway = Gateway::start(&through(&providers, targets)).await;
    for name in ["one", "one", "two", "two"] {
        assert_eq!(by(&gateway.ask(speech()).await.expect(200)), name);
    }
    let labels = ["route=\"audio\"", "reason=\"rpm\""];
    gateway.counts("overspill_spills_total", &labels, 2.0).await;
}

#[tokio::test]
async fn when_everything_is_full_the_caller_is_told_why_and_when() {
    let providers = [Provider::start(sound).await];
    let targets = "{ provider: one, limits: { rpm: 1 } }";
    let gateway = Gateway::start(&through(&providers, targets)).await;
    gateway.ask(speech()).await.expect(200);
    let reply = gateway.ask(speech()).await;
    let status = reply.status;
    assert!([429, 503].contains(&status), "{status}");
    let after: u64 = reply.get("retry-after").expect("a time").parse().unwrap();
    // The minute slides: it is the first request's that is waited for.
    assert!((50..=62).contains(&after), "{after}");
    let told = refused(reply, status, "");
    let message = told["error"]["message"].as_str().unwrap();
    for word in ["one", "rpm"] {
        assert!(message.contains(word), "no {word}: {message}");
    }
    assert_eq!(providers[0].count(), 1);
}

#[tokio::test]
async fn sessions_stay_where_they_are() {
    let providers = well(3).await;
    let targets = "{ provider: one }, { provider: two }, { provider: three }";
    let config = through(&providers, targets).on_route("balance", "sticky");
    let gateway = Gateway::start(&config).await;
    let mut homes = BTreeMap::new();
    for round in 0..3 {
        for session in 0..20 {
            let request = speech().header("x-overspill-session", &format!("session-{session}"));
            let name = by(&gateway.ask(request).await.expect(200));
            let home = homes.entry(session).or_insert_with(|| name.clone());
            assert_eq!(*home, name, "another home in round {round}");
        }
    }
}

#[tokio::test]
async fn the_least_busy_one_is_asked() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let script = move |n: usize, seen: &provider::Seen| {
        [vec![Act::Gate(hold.clone())], sound(n, seen)].concat()
    };
    let providers = [Provider::start(script).await, Provider::start(sound).await];
    let config = through(&providers, "{ provider: one }, { provider: two }")
        .on_route("balance", "least_busy");
    let gateway = Gateway::start(&config).await;
    let mut held = Vec::new();
    while providers[0].count() == 0 {
        held.push(gateway.held(speech(), &providers).await);
    }
    for _ in 0..10 {
        let answer = within("the idle one answers", ms(3000), gateway.ask(speech()));
        answer.await.expect(200);
    }
    assert_eq!(providers[0].count(), 1, "the other one is idle");
}
