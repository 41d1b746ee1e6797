//! Who is asked, and how often.

use crate::harness::answers::failure;
use crate::harness::*;

async fn many(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut conn = Conn::open(gateway.address).await;
    let mut served = Vec::new();
    for _ in 0..count {
        let reply = conn.ask(&Request::chat(ASK)).await.expect(200);
        served.push(
            reply
                .get("x-overspill-provider")
                .expect("a provider")
                .to_string(),
        );
    }
    served
}

#[tokio::test]
async fn four_to_one_is_four_to_one_and_evenly_spread() {
    let (one, two, none) = (
        Provider::well().await,
        Provider::well().await,
        Provider::well().await,
    );
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .provider("none", &none.base())
        .route(
            "main",
            "{ provider: one, weight: 4 }, { provider: two, weight: 1 }, { provider: none, weight: 0 }",
        );
    let gateway = Gateway::start(&config).await;
    let served = many(&gateway, 500).await;
    assert_eq!(
        (one.count(), two.count(), none.connections().len()),
        (400, 100, 0)
    );
    for window in served.windows(5) {
        assert_eq!(
            window.iter().filter(|name| *name == "two").count(),
            1,
            "{window:?}"
        );
    }
}

#[tokio::test]
async fn without_weights_targets_take_turns() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .route("main", "{ provider: one }, { provider: two }")
        .on_route("balance", "weighted");
    let gateway = Gateway::start(&config).await;
    let served = many(&gateway, 20).await;
    assert!(
        served.windows(2).all(|pair| pair[0] != pair[1]),
        "{served:?}"
    );
}

#[tokio::test]
async fn weights_hold_when_clients_come_at_once() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let config = Config::new()
        .server("threads: 2")
        .provider("one", &one.base())
        .provider("two", &two.base())
        .route(
            "main",
            "{ provider: one, weight: 4 }, { provider: two, weight: 1 }",
        );
    let gateway = Gateway::start(&config).await;
    let clients = (0..10).map(|_| many(&gateway, 50));
    for served in join_all(clients.collect()).await {
        assert_eq!(served.len(), 50);
    }
    assert_eq!((one.count(), two.count()), (400, 100));
}

async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_later_tier_waits_for_the_earlier_one() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    // Written the other way round: it is the tier that counts.
    let config = Config::new()
        .provider("two", &two.base())
        .provider("one", &one.base())
        .route(
            "main",
            "{ provider: two, tier: 2, weight: 100 }, { provider: one, tier: 1 }",
        );
    let gateway = Gateway::start(&config).await;
    many(&gateway, 50).await;
    assert_eq!((one.count(), two.connections().len()), (50, 0));
}

#[tokio::test]
async fn tiers_are_gone_through_in_order_each_target_once() {
    let down = || Provider::always(vec![failure(429, "busy")]);
    let (one, two, three) = (down().await, down().await, down().await);
    let last = Provider::well().await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .provider("three", &three.base())
        .provider("last", &last.base())
        .route(
            "main",
            "{ provider: last, tier: 9 }, { provider: three, tier: 3 }, { provider: one }, { provider: two }",
        );
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-attempts"), Some("4"));
    assert_eq!(
        (one.count(), two.count(), three.count(), last.count()),
        (1, 1, 1, 1)
    );
    let order = [&one, &two, &three, &last].map(|p| p.only().at);
    assert!(order[0].max(order[1]) < order[2] && order[2] < order[3]);
}

#[tokio::test]
async fn a_target_that_does_not_serve_the_model_is_no_candidate() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let config = Config::new()
        .provider("one", &one.base())
        .with("models", "{ \"acme/other\": { name: one-other } }")
        .provider("two", &two.base())
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    assert_eq!((one.connections().len(), two.count()), (0, 1));
}

#[tokio::test]
async fn the_first_route_that_matches_serves() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let models = "{ \"acme/chat\": { name: c }, \"acme/small\": { name: s } }";
    let config = Config::new()
        .provider("one", &one.base())
        .with("models", models)
        .provider("two", &two.base())
        .with("models", models)
        .route("narrow", "{ provider: one }")
        .on_route("match", "{ models: [\"acme/small\"] }")
        .route("wide", "{ provider: two }")
        .on_route("match", "{ models: [\"*\"] }");
    let gateway = Gateway::start(&config).await;
    gateway
        .chat(r#"{"model":"acme/small","messages":[]}"#)
        .await
        .expect(200);
    gateway.chat(ASK).await.expect(200);
    assert_eq!(
        (one.only().model(), two.only().model()),
        ("s".into(), "c".into())
    );
}
