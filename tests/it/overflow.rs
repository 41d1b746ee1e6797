//! What a target cannot take goes on to the next without an attempt, and comes back.

use crate::harness::fleet::{self, by};
use crate::harness::streaming::{begun, whole};
use crate::harness::*;
use crate::refusals::refused;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A provider that waits for a permit before each answer.
pub async fn gated() -> (Provider, Arc<Semaphore>) {
    let (mut providers, gate) = fleet::gated(1).await;
    (providers.remove(0), gate)
}

/// Whose limits are set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Of {
    Target,
    Provider,
}

pub const BOTH: [Of; 2] = [Of::Target, Of::Provider];

/// `two` stands behind a limited `one`.
pub async fn limited(of: Of, limits: &str, one: &Provider, two: &Provider) -> Gateway {
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base());
    let config = match of {
        Of::Target => {
            let targets =
                format!("{{ provider: one, limits: {limits} }}, {{ provider: two, tier: 2 }}");
            config.route("main", &targets)
        }
        Of::Provider => config
            .on_provider("one", "limits", limits)
            .route("main", "{ provider: one }, { provider: two, tier: 2 }"),
    };
    Gateway::start(&config.logged()).await
}

pub async fn spilled(gateway: &Gateway, reason: &str, times: f64) {
    let reason = format!("reason=\"{reason}\"");
    let labels = ["route=\"main\"", reason.as_str()];
    gateway
        .counts("overspill_spills_total", &labels, times)
        .await;
    gateway.counts("overspill_spills_total", &[], times).await;
}

/// `two` answers, and `one` is not even tried.
pub async fn passes_over(gateway: &Gateway, request: Request) {
    let reply = gateway.ask(request).await.expect(200);
    assert_eq!(by(&reply), "two");
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    let trace = reply.get("x-overspill-trace").expect("a trace");
    assert!(!trace.contains("one"), "{trace}");
}

#[tokio::test]
async fn what_is_too_much_at_once_goes_on_to_the_next_tier() {
    for of in BOTH {
        let (one, gate) = gated().await;
        let two = Provider::well().await;
        let gateway = limited(of, "{ concurrency: 2 }", &one, &two).await;
        let mut held = vec![
            gateway.held(Request::chat(ASK), [&one]).await,
            gateway.held(Request::chat(ASK), [&one]).await,
        ];
        for _ in 0..3 {
            passes_over(&gateway, Request::chat(ASK)).await;
        }
        assert_eq!((one.count(), two.count()), (2, 3), "{of:?}");
        spilled(&gateway, "concurrency", 3.0).await;

        gate.add_permits(100);
        for conn in &mut held {
            conn.reply("POST").await.expect(200);
        }
        for _ in 0..5 {
            assert_eq!(gateway.served().await, "one", "{of:?}: there is room again");
        }
        spilled(&gateway, "concurrency", 3.0).await;
    }
}

#[tokio::test]
async fn a_stream_holds_its_place_to_its_end() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let one = Provider::start(move |n, seen| {
        if n > 0 {
            return chat_reply(seen);
        }
        let mut acts = answers::stream_reply("one-chat", "hello");
        acts.insert(2, Act::Gate(hold.clone()));
        acts
    })
    .await;
    let two = Provider::well().await;
    let gateway = limited(Of::Target, "{ concurrency: 1 }", &one, &two).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "hello").await;
    passes_over(&gateway, Request::chat(ASK)).await;
    gate.add_permits(1);
    let rest = conn.rest(head, "POST").await;
    assert!(whole("hello").ends_with(&rest.text()), "{}", rest.text());
    assert_eq!(gateway.served().await, "one");
}

#[tokio::test]
async fn places_come_back_from_those_who_fail_and_those_who_leave() {
    let one = Provider::start(|number, seen| match number {
        0 | 1 => vec![Act::Hang],
        2 => begun([answers::event("one-chat", "hello")], [Act::Hang]),
        3 | 4 => vec![answers::failure(500, "down")],
        _ => chat_reply(seen),
    })
    .await;
    let two = Provider::well().await;
    let gateway = limited(Of::Provider, "{ concurrency: 1 }", &one, &two).await;
    for (number, body) in [ASK, ASK_STREAM, ASK_STREAM].into_iter().enumerate() {
        let mut conn = gateway.held(Request::chat(body), [&one]).await;
        if number == 2 {
            let head = conn.head().await;
            conn.body_until(&mut head.framing("POST"), "hello").await;
        }
        drop(conn);
        gateway.line(number).await;
    }
    // The failure is tried once more here, before the next tier is entered.
    assert_eq!(gateway.served().await, "two");
    assert_eq!(one.count(), 5);
    assert_eq!(gateway.served().await, "one");
}

#[tokio::test]
async fn it_does_not_flap_between_full_and_free() {
    let (one, gate) = gated().await;
    let two = Provider::well().await;
    let gateway = limited(Of::Target, "{ concurrency: 10 }", &one, &two).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(gateway.held(Request::chat(ASK), [&one]).await);
    }
    passes_over(&gateway, Request::chat(ASK)).await;
    // One place of ten is no reason to come back.
    gate.add_permits(1);
    gateway.line(1).await;
    passes_over(&gateway, Request::chat(ASK)).await;
    gate.add_permits(5);
    gateway.line(7).await;
    for _ in 0..6 {
        held.push(gateway.held(Request::chat(ASK), [&one]).await);
    }
    passes_over(&gateway, Request::chat(ASK)).await;
    assert_eq!((one.count(), two.count()), (16, 3));
}

#[tokio::test]
async fn requests_a_minute_are_counted() {
    for of in BOTH {
        let (one, two) = (Provider::well().await, Provider::well().await);
        let gateway = limited(of, "{ rpm: 3 }", &one, &two).await;
        for _ in 0..3 {
            assert_eq!(gateway.served().await, "one");
        }
        for _ in 0..4 {
            passes_over(&gateway, Request::chat(ASK)).await;
        }
        assert_eq!((one.count(), two.count()), (3, 4), "{of:?}");
        spilled(&gateway, "rpm", 4.0).await;
    }
}

#[tokio::test]
async fn a_providers_limits_are_shared_by_its_routes() {
    let models = "{ \"acme/chat\": { name: c }, \"acme/small\": { name: s } }";
    let (one, gate) = gated().await;
    let two = Provider::well().await;
    let targets = "{ provider: one }, { provider: two, tier: 2 }";
    let config = Config::new()
        .provider("one", &one.base())
        .with("models", models)
        .with("limits", "{ concurrency: 1, rpm: 3 }")
        .provider("two", &two.base())
        .with("models", models)
        .route("small", targets)
        .on_route("match", "{ models: [\"acme/small\"] }")
        .route("main", targets);
    let gateway = Gateway::start(&config).await;
    let small = || Request::chat(ASK.replace("acme/chat", "acme/small"));
    let mut held = gateway.held(Request::chat(ASK), [&one]).await;
    passes_over(&gateway, small()).await;
    let here = ["route=\"small\"", "reason=\"concurrency\""];
    gateway.counts("overspill_spills_total", &here, 1.0).await;
    gate.add_permits(100);
    held.reply("POST").await.expect(200);
    assert_eq!(by(&gateway.ask(small()).await.expect(200)), "one");
    assert_eq!(gateway.served().await, "one");
    // That were its three.
    passes_over(&gateway, small()).await;
    passes_over(&gateway, Request::chat(ASK)).await;
    gateway
        .counts("overspill_spills_total", &["reason=\"rpm\""], 2.0)
        .await;
}

#[tokio::test]
async fn when_everything_is_full_the_caller_is_told_of_each_target_and_why() {
    let (one, gate) = gated().await;
    let two = Provider::well().await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .route(
            "main",
            "{ provider: one, limits: { concurrency: 1 } }, \
             { provider: two, tier: 2, limits: { rpm: 1 } }",
        );
    let gateway = Gateway::start(&config).await;
    let mut held = gateway.held(Request::chat(ASK), [&one]).await;
    assert_eq!(gateway.served().await, "two");
    for body in [ASK, ASK_STREAM] {
        let reply = gateway.chat(body).await;
        assert!([429, 503].contains(&reply.status), "{}", reply.status);
        let after: u64 = reply.get("retry-after").expect("a time").parse().unwrap();
        assert!((1..=61).contains(&after), "{after}");
        let status = reply.status;
        let told = refused(reply, status, "");
        let message = told["error"]["message"].as_str().unwrap();
        for word in ["one", "concurrency", "two", "rpm"] {
            assert!(message.contains(word), "no {word}: {message}");
        }
        assert_eq!(told["error"]["metadata"]["attempts"], serde_json::json!([]));
    }
    assert_eq!((one.count(), two.count()), (1, 1), "nobody is asked");
    gate.add_permits(100);
    held.reply("POST").await.expect(200);
    assert_eq!(gateway.served().await, "one");
}
