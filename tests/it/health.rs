//! Addresses that are asked how they are.

use crate::harness::answers::failure;
use crate::harness::provider::{Refusing, Seen};
use crate::harness::tls::Identity;
use crate::harness::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OFTEN: &str = "{ path: /health, interval: 100ms, timeout: 100ms, \
                     unhealthy_after: 3, healthy_after: 2 }";

/// A replica that answers every call and, as long as it is told to, every check.
struct Replica {
    provider: Provider,
    is_well: Arc<AtomicBool>,
}

impl Replica {
    async fn start() -> Replica {
        let is_well = Arc::new(AtomicBool::new(true));
        let told = is_well.clone();
        let provider = Provider::start(move |_, seen| match seen.target.as_str() {
            "/health" if told.load(Ordering::Relaxed) => vec![json_reply(200, "{}")],
            "/health" => vec![failure(503, "loading")],
            _ => chat_reply(seen),
        })
        .await;
        Replica { provider, is_well }
    }

    fn told(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::Relaxed);
    }

    fn checks(&self) -> Vec<Seen> {
        let seen = self.provider.seen().into_iter();
        seen.filter(|seen| seen.target == "/health").collect()
    }

    fn calls(&self) -> usize {
        self.provider.count() - self.checks().len()
    }
}

fn at(addresses: &[&str], health: &str) -> Config {
    let addresses: Vec<String> = addresses.iter().map(|one| format!("\"{one}\"")).collect();
    Config::new()
        .provider("one", "http://replicas.invalid/v1")
        .with("addresses", &format!("[{}]", addresses.join(", ")))
        .with("health", health)
        .route("main", "{ provider: one }")
}

fn beside(one: &Replica, two: &Replica) -> Config {
    let addresses = [&one.provider, &two.provider].map(|one| one.address.to_string());
    at(&addresses.each_ref().map(String::as_str), OFTEN)
}

async fn said(gateway: &Gateway, what: &str, times: usize) {
    let said = || gateway.output().matches(what).count() >= times;
    until(what, ms(10_000), said).await;
}

async fn ask_often(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    }
}

#[tokio::test]
async fn three_failures_take_it_out_and_two_successes_bring_it_back() {
    let (one, two) = (Replica::start().await, Replica::start().await);
    let gateway = Gateway::start(&beside(&one, &two)).await;
    until("both are checked", ms(10_000), || {
        !one.checks().is_empty() && !two.checks().is_empty()
    })
    .await;
    ask_often(&gateway, 10).await;
    assert_eq!((one.calls(), two.calls()), (5, 5));

    one.told(false);
    let from = one.checks().len();
    said(&gateway, "an address is out: status 503", 1).await;
    let failed = one.checks().len() - from;
    assert!((3..=4).contains(&failed), "{failed} checks failed");
    ask_often(&gateway, 10).await;
    assert_eq!((one.calls(), two.calls()), (5, 15));

    one.told(true);
    let from = one.checks().len();
    said(&gateway, "an address is back", 1).await;
    let passed = one.checks().len() - from;
    assert!((2..=3).contains(&passed), "{passed} checks passed");
    ask_often(&gateway, 10).await;
    assert_eq!((one.calls(), two.calls()), (10, 20));
}

#[tokio::test]
async fn two_failures_are_no_reason_yet() {
    let provider = Provider::start(|n, seen| match seen.target.as_str() {
        "/health" if n % 3 != 2 => vec![failure(503, "loading")],
        "/health" => vec![json_reply(200, "{}")],
        _ => chat_reply(seen),
    })
    .await;
    let gateway = Gateway::start(&at(&[&provider.address.to_string()], OFTEN)).await;
    until("it is checked", ms(10_000), || provider.count() >= 9).await;
    let output = gateway.output();
    assert!(!output.contains("an address is out"), "{output}");
}

#[tokio::test]
async fn a_check_says_who_calls_and_comes_at_its_time() {
    let one = Replica::start().await;
    let address = one.provider.address.to_string();
    let _gateway = Gateway::start(&at(&[&address], OFTEN)).await;
    until("it is checked", ms(10_000), || one.checks().len() >= 5).await;
    let checks = one.checks();
    for check in &checks {
        assert_eq!(check.method, "GET");
        assert_eq!(check.all("host"), ["replicas.invalid"]);
        assert_eq!(check.all("authorization"), ["Bearer sk-one-upstream"]);
    }
    let gaps = checks.windows(2).map(|two| two[1].at - two[0].at);
    let gaps: Vec<Duration> = gaps.collect();
    assert!(gaps.iter().all(|gap| *gap > ms(80)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < ms(180)), "{gaps:?}");
    let connections: Vec<usize> = checks.iter().map(|check| check.connection).collect();
    assert!(connections.is_sorted_by(|a, b| a < b), "each on its own");
}

#[tokio::test]
async fn where_all_are_unhealthy_all_are_tried() {
    let (one, two) = (Replica::start().await, Replica::start().await);
    one.told(false);
    two.told(false);
    let gateway = Gateway::start(&beside(&one, &two)).await;
    said(&gateway, "an address is out", 2).await;
    ask_often(&gateway, 10).await;
    assert_eq!((one.calls(), two.calls()), (5, 5));
}

#[tokio::test]
async fn silence_is_a_failure() {
    let one = Provider::start(|_, seen| match seen.target.as_str() {
        "/health" => vec![Act::Hang],
        _ => chat_reply(seen),
    })
    .await;
    let two = Replica::start().await;
    let addresses = [one.address, two.provider.address].map(|one| one.to_string());
    let addresses = addresses.each_ref().map(String::as_str);
    let gateway = Gateway::start(&at(&addresses, OFTEN)).await;
    said(&gateway, "an address is out: no answer within 100ms", 1).await;
    ask_often(&gateway, 10).await;
    assert_eq!(two.calls(), 10);
}

#[tokio::test]
async fn a_connection_is_enough_where_nothing_more_is_asked() {
    let dead = Refusing::new();
    let one = Provider::well().await;
    let addresses = [dead.address, one.address].map(|one| one.to_string());
    let health = "{ tcp: true, interval: 100ms, timeout: 100ms, unhealthy_after: 1 }";
    let addresses = addresses.each_ref().map(String::as_str);
    let gateway = Gateway::start(&at(&addresses, health)).await;
    said(&gateway, "an address is out", 1).await;
    until("the other is checked", ms(10_000), || {
        one.connections().len() >= 3
    })
    .await;
    assert_eq!(one.count(), 0);
    ask_often(&gateway, 10).await;
    let output = gateway.output();
    assert_eq!(output.matches("an address is out").count(), 1, "{output}");
}

#[tokio::test]
async fn a_check_is_made_over_tls_as_calls_are() {
    let trusted = Identity::new();
    let provider = Provider::tls(trusted.acceptor(&["http/1.1"]), |_, _| {
        vec![json_reply(200, "{}")]
    })
    .await;
    let base = format!("https://localhost:{}/v1", provider.address.port());
    let config = |lax: &str| {
        Config::new()
            .provider("one", &base)
            .with("tls", lax)
            .with("health", OFTEN)
            .route("main", "{ provider: one }")
    };
    let _gateway = Gateway::start(&config("{ verify: false }")).await;
    until("it is checked", ms(10_000), || provider.count() >= 3).await;
    let strict = Gateway::start(&config("{ verify: true }")).await;
    said(&strict, "an address is out", 1).await;
}
