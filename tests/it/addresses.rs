//! One provider at several addresses.

use crate::harness::provider::Refusing;
use crate::harness::*;
use std::net::SocketAddr;

/// `one`, known under a name that leads nowhere, at these addresses with these weights.
fn at(addresses: &[(String, u32)]) -> Config {
    let list: Vec<String> = addresses
        .iter()
        .map(|(address, weight)| format!("{{ address: \"{address}\", weight: {weight} }}"))
        .collect();
    Config::new()
        .provider("one", "http://replicas.invalid/v1")
        .with("addresses", &format!("[{}]", list.join(", ")))
        .route("main", "{ provider: one }")
}

fn once(address: SocketAddr) -> (String, u32) {
    (address.to_string(), 1)
}

async fn ask_often(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    }
}

#[tokio::test]
async fn calls_are_spread_by_weight() {
    let (one, two, three) = (
        Provider::well().await,
        Provider::well().await,
        Provider::well().await,
    );
    let gateway = Gateway::start(&at(&[
        (one.address.to_string(), 2),
        once(two.address),
        once(three.address),
    ]))
    .await;
    ask_often(&gateway, 40).await;
    assert_eq!((one.count(), two.count(), three.count()), (20, 10, 10));
    for replica in [&one, &two, &three] {
        assert_eq!(replica.seen()[0].all("host"), ["replicas.invalid"]);
        assert_eq!(replica.connections().len(), 1, "connections are kept");
    }
}

#[tokio::test]
async fn names_are_looked_up_and_beside_them_addresses_are_used() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let named = (format!("localhost:{}", one.address.port()), 1);
    let gateway = Gateway::start(&at(&[named, once(two.address)])).await;
    within("both are asked", ms(10_000), async {
        while one.count() == 0 || two.count() == 0 {
            ask_often(&gateway, 1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_costs_the_others_nothing() {
    let one = Provider::well().await;
    let nowhere = ("nowhere.invalid:80".to_string(), 1);
    let gateway = Gateway::start(&at(&[nowhere, once(one.address)])).await;
    ask_often(&gateway, 10).await;
    assert_eq!(one.count(), 10);
}

#[tokio::test]
async fn a_dead_address_fails_no_call() {
    let dead = Refusing::new();
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = Gateway::start(&at(&[
        once(dead.address),
        once(one.address),
        once(two.address),
    ]))
    .await;
    ask_often(&gateway, 30).await;
    assert_eq!(one.count() + two.count(), 30);
    assert!(one.count() >= 10 && two.count() >= 10);
}

#[tokio::test]
async fn an_address_that_dies_while_in_use_fails_no_call() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = Gateway::start(&at(&[once(one.address), once(two.address)])).await;
    ask_often(&gateway, 10).await;
    assert_eq!(one.count(), 5);
    drop(one);
    ask_often(&gateway, 10).await;
}

#[tokio::test]
async fn where_all_are_dead_the_call_goes_elsewhere() {
    let (dead, gone) = (Refusing::new(), Refusing::new());
    let well = Provider::well().await;
    let list = format!("[\"{}\", \"{}\"]", dead.address, gone.address);
    let config = Config::new()
        .provider("one", "http://replicas.invalid/v1")
        .with("addresses", &list)
        .provider("two", &well.base())
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
}

#[tokio::test]
async fn what_streams_through_finds_a_living_address_too() {
    let dead = Refusing::new();
    let one = Provider::well().await;
    let config = at(&[once(dead.address), once(one.address)])
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    for n in 1..=6 {
        let request = Request::post("/v1/audio/speech", "{\"model\":\"x\"}");
        gateway.ask(request).await.expect(200);
        assert_eq!(one.count(), n);
    }
}
