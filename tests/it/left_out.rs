//! A target that an operator or its checks have taken out: its share goes the same way as that of one
//! which has failed, and comes back.

use crate::harness::answers::failure;
use crate::harness::fleet::{by, counts, well};
use crate::harness::*;
use crate::sticky::{homes, only_moved, session, sticky};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const OFTEN: &str =
    "{ path: /health, interval: 30ms, timeout: 30ms, unhealthy_after: 1, healthy_after: 1 }";
const WEIGHTS: &str =
    "{ provider: one, weight: 4 }, { provider: two, weight: 5 }, { provider: three, weight: 1 }";

/// Answers every call well, and its checks as it is told.
async fn checked(is_well: &Arc<AtomicBool>) -> Provider {
    let is_well = is_well.clone();
    Provider::start(move |_, seen| match seen.target.as_str() {
        "/health" if is_well.load(Ordering::Relaxed) => vec![json_reply(200, "{}")],
        "/health" => vec![failure(503, "loading")],
        _ => chat_reply(seen),
    })
    .await
}

/// Three, the second of which is checked.
async fn three(is_well: &Arc<AtomicBool>) -> [Provider; 3] {
    [
        Provider::well().await,
        checked(is_well).await,
        Provider::well().await,
    ]
}

async fn switch(gateway: &Gateway, word: &str) {
    let path = format!("/api/targets/main/two/{word}");
    Request::post(&path, "").to(gateway.admin).await.expect(200);
}

/// Waits until the second has heard so many more checks, and a moment for what follows from them.
async fn hears(two: &Provider, checks: usize) {
    let heard = || {
        let seen = two.seen().into_iter();
        seen.filter(|seen| seen.target == "/health").count()
    };
    let before = heard();
    until("it is checked", ms(3000), || heard() >= before + checks).await;
    tokio::time::sleep(ms(30)).await;
}

/// By whom a hundred calls are answered.
async fn shares(gateway: &Gateway) -> [usize; 3] {
    let mut shares = [0; 3];
    let mut conn = Conn::open(gateway.address).await;
    for _ in 0..100 {
        let name = by(&conn.ask(&Request::chat(ASK)).await.expect(200));
        let place = fleet::NAMES.iter().position(|known| *known == name);
        shares[place.expect("one of them")] += 1;
    }
    shares
}

fn four_to_one(shares: [usize; 3]) {
    let [one, two, three] = shares;
    assert!(
        one.abs_diff(80) <= 1 && two == 0 && three.abs_diff(20) <= 1,
        "{shares:?}"
    );
}

#[tokio::test]
async fn the_share_of_one_that_is_switched_off_goes_by_weight() {
    let providers = well(3).await;
    let gateway = Gateway::start(&Config::of(&providers).route("main", WEIGHTS)).await;
    switch(&gateway, "disable").await;
    four_to_one(shares(&gateway).await);
    assert_eq!(counts(&providers)[1], 0);
    switch(&gateway, "enable").await;
    let [one, two, three] = shares(&gateway).await;
    assert!(
        one.abs_diff(40) <= 1 && two.abs_diff(50) <= 1 && three.abs_diff(10) <= 1,
        "{one}, {two} and {three}"
    );
}

#[tokio::test]
async fn the_share_of_one_whose_checks_fail_goes_by_weight() {
    let is_well = Arc::new(AtomicBool::new(true));
    let providers = three(&is_well).await;
    let config = Config::of(&providers)
        .on_provider("two", "health", OFTEN)
        .route("main", WEIGHTS);
    let gateway = Gateway::start(&config).await;
    is_well.store(false, Ordering::Relaxed);
    hears(&providers[1], 2).await;
    four_to_one(shares(&gateway).await);
}

#[tokio::test]
async fn sessions_leave_one_that_is_switched_off_and_come_back() {
    let providers = well(3).await;
    let gateway = Gateway::start(&sticky(&providers, None)).await;
    let before = homes(&gateway, 0..60, session).await;
    switch(&gateway, "disable").await;
    only_moved(&before, &homes(&gateway, 0..60, session).await, "two");
    switch(&gateway, "enable").await;
    assert_eq!(homes(&gateway, 0..60, session).await, before);
}

#[tokio::test]
async fn sessions_leave_one_whose_checks_fail_and_come_back() {
    let is_well = Arc::new(AtomicBool::new(true));
    let providers = three(&is_well).await;
    let config = sticky(&providers, None).on_provider("two", "health", OFTEN);
    let gateway = Gateway::start(&config).await;
    let before = homes(&gateway, 0..60, session).await;
    is_well.store(false, Ordering::Relaxed);
    hears(&providers[1], 2).await;
    only_moved(&before, &homes(&gateway, 0..60, session).await, "two");
    is_well.store(true, Ordering::Relaxed);
    hears(&providers[1], 2).await;
    assert_eq!(homes(&gateway, 0..60, session).await, before);
}
