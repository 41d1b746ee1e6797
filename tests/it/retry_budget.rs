//! An outage of everything is no storm, and moving on to those who are well costs nothing.

use crate::harness::answers::failure;
use crate::harness::fleet::{Mortal, counts, flood, none_failed};
use crate::harness::provider::Refusing;
use crate::harness::streaming::{self, begun};
use crate::harness::voice::ONE;
use crate::harness::*;

const REQUESTS: usize = 200;
/// The requests themselves, a fifth of them as retries, and something for the floor of ten a second.
const MOST: usize = 250;
const ATTEMPTS: &str = "{ attempts: 4, backoff: 1ms..2ms }";

/// Every request fails for these providers' reason, and honestly.
async fn outage(config: Config, body: &str) -> Gateway {
    let gateway = Gateway::start(&config.on_route("retry", ATTEMPTS)).await;
    let replies = flood(gateway.address, &Request::chat(body), REQUESTS, 200, |_| ()).await;
    for reply in &replies {
        assert!(reply.status >= 429, "{}: {}", reply.status, reply.text());
        assert!(reply.json()["error"].is_object(), "{}", reply.text());
    }
    gateway
}

async fn no_storm(config: impl Fn(&Provider, &Provider) -> Config, acts: Vec<Act>, body: &str) {
    let one = Provider::always(acts.clone()).await;
    let two = Provider::always(acts).await;
    let _gateway = outage(config(&one, &two), body).await;
    let asked = one.count() + two.count();
    assert!(
        asked <= MOST,
        "{asked} upstream calls for {REQUESTS} requests"
    );
    assert!(
        asked >= REQUESTS / 4,
        "{asked} upstream calls: nobody tries"
    );
}

/// Two of one tier.
fn equals(one: &Provider, two: &Provider) -> Config {
    Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .route("main", "{ provider: one }, { provider: two }")
}

fn without_breakers(one: &Provider, two: &Provider) -> Config {
    equals(one, two)
        .on_provider("one", "breaker", "off")
        .on_provider("two", "breaker", "off")
}

#[tokio::test]
async fn an_outage_of_a_tier_is_no_storm() {
    no_storm(equals, vec![failure(503, "down")], ASK).await;
}

#[tokio::test]
async fn an_outage_of_two_tiers_is_no_storm() {
    no_storm(Config::spill, vec![failure(500, "down")], ASK).await;
}

#[tokio::test]
async fn an_outage_for_streams_is_no_storm() {
    no_storm(equals, vec![Act::Reset], ASK_STREAM).await;
}

#[tokio::test]
async fn without_breakers_an_outage_is_no_storm_either() {
    no_storm(without_breakers, vec![failure(503, "down")], ASK).await;
}

/// Carrying a stream on at a target that breaks its own is a retry like any other.
#[tokio::test]
async fn streams_that_break_everywhere_are_no_storm() {
    let acts = begun([ONE.role(), ONE.say("half of it")], [Act::Close]);
    let one = Provider::always(acts.clone()).await;
    let two = Provider::always(acts).await;
    let config = without_breakers(&one, &two)
        .on_provider("one", "prefill", "assistant")
        .on_provider("two", "prefill", "assistant");
    let gateway = Gateway::start(&config).await;
    let request = Request::chat(ASK_STREAM);
    for reply in flood(gateway.address, &request, REQUESTS, 200, |_| ()).await {
        streaming::ending_error(&reply);
    }
    let asked = one.count() + two.count();
    assert!(
        asked <= MOST,
        "{asked} upstream calls for {REQUESTS} requests"
    );
}

#[tokio::test]
async fn limits_everywhere_are_no_storm() {
    no_storm(equals, vec![failure(429, "slow down")], ASK).await;
}

#[tokio::test]
async fn a_pool_of_limited_keys_is_no_storm() {
    let one = Provider::always(vec![failure(429, "slow down")]).await;
    let config = Config::one(&one)
        .without("api_key")
        .with("api_keys", "[sk-a, sk-b, sk-c, sk-d]");
    let _gateway = outage(config, ASK).await;
    assert!(one.count() <= MOST, "{} upstream calls", one.count());
}

#[tokio::test]
async fn refused_connections_are_no_storm() {
    let (one, two) = (Refusing::new(), Refusing::new());
    let gateway = outage(Config::spill_to(&one.base(), &two.base()), ASK).await;
    let metrics = gateway.metrics().await;
    let attempts: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("overspill_attempts_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(attempts <= MOST as f64, "{attempts} attempts");
}

#[tokio::test]
async fn a_budget_of_nothing_leaves_the_floor() {
    let one = Provider::always(vec![failure(500, "down")]).await;
    let config = Config::one(&one)
        .with("breaker", "off")
        .server("retry_budget: 0%");
    let start = Instant::now();
    let _gateway = outage(config, ASK).await;
    let floor = 10 * (start.elapsed().as_secs() as usize + 2);
    let retries = one.count() - REQUESTS;
    assert!((1..=floor).contains(&retries), "{retries} retries");
}

#[tokio::test]
async fn a_quiet_gateway_retries_as_it_likes() {
    let one = Provider::first(vec![vec![failure(500, "down")]]).await;
    let config = Config::one(&one).server("retry_budget: 1%");
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.served().await, "one");
    assert_eq!(one.count(), 2);
}

#[tokio::test]
async fn the_death_of_one_of_two_costs_no_request() {
    let mut one =
        Mortal::start(|_, seen| [vec![Act::Sleep(ms(20))], chat_reply(seen)].concat()).await;
    let two = Provider::well().await;
    let config = equals(&one.provider, &two).server("retry_budget: 0%");
    let gateway = Gateway::start(&config).await;
    let request = Request::chat(ASK);
    let replies = flood(gateway.address, &request, 400, 200, |number| {
        if number == 150 {
            one.kill();
        }
    })
    .await;
    none_failed(&replies);
    assert_eq!(replies.len(), 400);
    let asked = counts(&[two])[0];
    assert!(asked >= 300, "{asked} at the one that is well");
}
