//! Hard rules of routes and keys: whoever breaks one is not asked, and the caller is told why.

use crate::harness::answers::{failure, failure_with};
use crate::harness::fleet::{by, counts, well};
use crate::harness::*;
use serde_json::Value;

fn model(name: &str, more: &str) -> String {
    format!("{{ \"acme/chat\": {{ name: {name}-chat, {more} }} }}")
}

fn priced(config: Config, name: &str, input: &str, output: &str) -> Config {
    let more = format!("price: {{ input: {input}, output: {output} }}");
    config.on_provider(name, "models", &model(name, &more))
}

fn two(providers: &[Provider]) -> Config {
    Config::of(providers).route("main", "{ provider: one }, { provider: two, tier: 2 }")
}

/// `provider: why` of everyone who was left out.
fn left_out(reply: &Reply) -> Vec<String> {
    let metadata = &reply.json()["error"]["metadata"];
    let left_out = metadata["left_out"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    left_out
        .iter()
        .map(|one| format!("{}: {}", text(&one["provider"]), text(&one["why"])))
        .collect()
}

fn reason(reply: &Reply) -> String {
    let body = reply.json();
    body["error"]["metadata"]["reason"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

#[tokio::test]
async fn a_cap_keeps_dear_and_unpriced_targets_out_and_says_so() {
    let providers = well(3).await;
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two }, { provider: three }",
        )
        .on_route("max_price", "{ input: 0.30, output: 0.42 }");
    // The cap itself is allowed.
    let fits = priced(config, "two", "0.30", "0.42");
    let config = priced(fits.clone(), "one", "0.30", "0.43");
    let gateway = Gateway::start(&config).await;
    for _ in 0..6 {
        assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "two");
    }
    assert_eq!(counts(&providers), [0, 6, 0]);
    let config = priced(config, "two", "0.31", "0.01");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(503);
    assert_eq!(reason(&reply), "policy_price_cap");
    assert_eq!(
        left_out(&reply),
        ["one: price_cap", "two: price_cap", "three: price_unknown"]
    );
    let message = reply.json()["error"]["message"].to_string();
    for said in [
        "output price $0.43",
        "cap of $0.42",
        "input price $0.31",
        "unknown",
    ] {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert_eq!(counts(&providers), [0, 6, 0]);
}

#[tokio::test]
async fn a_cap_in_yuan_holds_in_dollars() {
    let providers = well(2).await;
    let config = two(&providers).on_route("max_price", "{ output: 7.30, currency: CNY }");
    let config = priced(priced(config, "one", "0", "1.01"), "two", "0", "1.00");
    let gateway = Gateway::start(&config).await;
    assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "two");
    assert_eq!(counts(&providers), [0, 1]);
}

#[tokio::test]
async fn a_dearer_target_is_not_spilled_into_when_the_cheap_one_fails() {
    let cheap = Provider::always(vec![failure(503, "down")]).await;
    let dear = Provider::well().await;
    let providers = [cheap, dear];
    let config = two(&providers).on_route("max_price", "{ output: 1 }");
    let config = priced(priced(config, "one", "0.1", "1"), "two", "0.1", "2");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await;
    assert_eq!(reply.status, 503);
    assert_eq!(counts(&providers)[1], 0);
}

#[tokio::test]
async fn a_region_rule_holds_even_when_nobody_is_left() {
    let one = Provider::always(vec![Act::Reset]).await;
    let providers = [one, Provider::well().await, Provider::well().await];
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two }, { provider: three, tier: 2 }",
        )
        .on_route("regions", "[cn, sg]")
        .on_provider("one", "region", "cn")
        .on_provider("two", "region", "us");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(503);
    assert_eq!(reason(&reply), "policy_region");
    assert_eq!(left_out(&reply), ["two: region", "three: region"]);
    assert_eq!(counts(&providers)[1..], [0, 0]);
}

#[tokio::test]
async fn data_rules_trust_only_what_is_known() {
    let providers = well(3).await;
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two }, { provider: three }",
        )
        .on_route("data", "{ collection: deny, zdr: true }")
        .on_provider("two", "data", "{ collection: deny }")
        .on_provider("three", "data", "{ collection: deny, zdr: true }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..4 {
        assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "three");
    }
    assert_eq!(counts(&providers), [0, 0, 4]);
}

#[tokio::test]
async fn what_a_request_needs_is_asked_of_those_that_can() {
    let providers = well(3).await;
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }",
        )
        .on_provider("one", "models", &model("one", "capabilities: []"))
        .on_provider(
            "two",
            "models",
            &model("two", "capabilities: [tools], context: 1000"),
        )
        .on_provider(
            "three",
            "models",
            &model("three", "capabilities: [tools, vision, response_format]"),
        );
    let gateway = Gateway::start(&config).await;
    let long = "word ".repeat(2000);
    for (body, provider) in [
        (r#"{"model":"acme/chat","messages":[]}"#.to_owned(), "one"),
        (
            r#"{"model":"acme/chat","messages":[],"tools":[]}"#.to_owned(),
            "one",
        ),
        (
            r#"{"model":"acme/chat","messages":[],"tools":[{"type":"function"}]}"#.to_owned(),
            "two",
        ),
        (
            format!(
                r#"{{"model":"acme/chat","messages":[{{"role":"user","content":"{long}"}}],"tools":[{{}}]}}"#
            ),
            "three",
        ),
        (
            r#"{"model":"acme/chat","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}"#
                .to_owned(),
            "three",
        ),
        (
            r#"{"model":"acme/chat","messages":[],"response_format":{"type":"json_object"}}"#
                .to_owned(),
            "three",
        ),
    ] {
        assert_eq!(by(&gateway.chat(body.clone()).await.expect(200)), provider);
    }
    let config = config.on_provider("three", "models", &model("three", "capabilities: [vision]"));
    let gateway =
        Gateway::start(&config.on_provider("two", "models", &model("two", "capabilities: []")))
            .await;
    let body = r#"{"model":"acme/chat","messages":[],"tools":[{}]}"#;
    let reply = gateway.chat(body).await.expect(400);
    assert_eq!(reason(&reply), "policy_capability");
    assert_eq!(left_out(&reply).len(), 3);
}

#[tokio::test]
async fn a_prompt_that_seems_too_long_for_everyone_is_left_to_them() {
    let providers = well(1).await;
    let config = Config::of(&providers)
        .route("main", "{ provider: one }")
        .on_provider("one", "models", &model("one", "context: 1000"));
    let gateway = Gateway::start(&config).await;
    let body = |words: usize| {
        let text = "word ".repeat(words);
        format!(r#"{{"model":"acme/chat","messages":[{{"role":"user","content":"{text}"}}]}}"#)
    };
    gateway.chat(body(1200)).await.expect(200);
    let reply = gateway.chat(body(20_000)).await.expect(400);
    assert_eq!(reason(&reply), "provider_context_length");
    assert_eq!(counts(&providers), [1]);
}

#[tokio::test]
async fn rules_of_a_key_hold_beside_those_of_the_route() {
    let providers = well(3).await;
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }",
        )
        .on_route("max_price", "{ output: 2 }")
        .top("keys:")
        .top("  - { name: plain, secret: sk-plain-key }")
        .top("  - { name: likes, secret: sk-likes-key, prefer: [three] }")
        .top(
            "  - { name: only, secret: sk-only-key, only: [two, three], max_price: { output: 1 } }",
        )
        .top("  - { name: never, secret: sk-never-key, ignore: [one, two, three] }");
    let config = priced(
        priced(priced(config, "one", "0", "2"), "two", "0", "1.5"),
        "three",
        "0",
        "1",
    );
    let gateway = Gateway::start(&config).await;
    for (key, provider) in [
        ("sk-plain-key", "one"),
        ("sk-likes-key", "three"),
        ("sk-only-key", "three"),
    ] {
        let reply = gateway.ask(Request::chat(ASK).key(key)).await.expect(200);
        assert_eq!(by(&reply), provider, "{key}");
    }
    let reply = gateway
        .ask(Request::chat(ASK).key("sk-never-key"))
        .await
        .expect(503);
    assert_eq!(reason(&reply), "policy_provider");
}

#[tokio::test]
async fn who_is_preferred_is_first_while_it_is_well_and_no_longer() {
    let preferred = Provider::always(vec![failure_with(
        429,
        "slow down",
        &[("retry-after", "60")],
    )])
    .await;
    let providers = [Provider::well().await, preferred];
    let config = two(&providers)
        .top("keys:")
        .top("  - { name: likes, secret: sk-likes-key, prefer: [two] }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..3 {
        let reply = gateway
            .ask(Request::chat(ASK).key("sk-likes-key"))
            .await
            .expect(200);
        assert_eq!(by(&reply), "one");
    }
    // Once, to hear that it wants to be left alone.
    assert_eq!(counts(&providers), [3, 1]);
}

#[tokio::test]
async fn region_first_routing_is_switched_by_tag_and_by_reload() {
    let providers = well(2).await;
    let config = Config::of(&providers)
        .route("cn", "{ provider: one }, { provider: two, tier: 2 }")
        .on_route("match", "{ models: [\"acme/*\"], tags: [cn, apac] }")
        .on_route("prefer", "[two]")
        .route("rest", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    let tagged = |tags: &str| Request::chat(ASK).header("x-overspill-tags", tags);
    for (tags, provider) in [
        ("cn", "two"),
        ("background, apac", "two"),
        ("us", "one"),
        ("cnn", "one"),
    ] {
        assert_eq!(
            by(&gateway.ask(tagged(tags)).await.expect(200)),
            provider,
            "{tags}"
        );
    }
    assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "one");
    let config =
        Config::of(&providers).route("rest", "{ provider: one }, { provider: two, tier: 2 }");
    gateway.rewrite(&config);
    gateway.reload().await.expect(200);
    assert_eq!(by(&gateway.ask(tagged("cn")).await.expect(200)), "one");
}

#[tokio::test]
async fn ranked_goes_by_score_then_price_and_unknown_comes_last() {
    let providers = well(4).await;
    let config = Config::of(&providers)
        .route(
            "main",
            "{ provider: one }, { provider: two }, { provider: three }, { provider: four }",
        )
        .on_route("balance", "ranked")
        .on_route("require", "[{ metric: gpqa, min: 60 }]")
        .on_route("order", "[{ metric: output_price }, { metric: gpqa }]")
        .on_provider("one", "models", &model("one", "scores: { gpqa: 71 }"))
        .on_provider(
            "two",
            "models",
            &model(
                "two",
                "scores: { gpqa: 60 }, price: { input: 1, output: 2 }",
            ),
        )
        .on_provider(
            "three",
            "models",
            &model(
                "three",
                "scores: { gpqa: 59.9 }, price: { input: 1, output: 0 }",
            ),
        )
        .on_provider(
            "four",
            "models",
            &model(
                "four",
                "scores: { gpqa: 70 }, price: { input: 1, output: 2 }",
            ),
        );
    let gateway = Gateway::start(&config).await;
    let explained = gateway
        .ask(Request::chat(ASK).header("x-overspill-explain", "1"))
        .await
        .expect(200)
        .json();
    let order: Vec<&str> = explained["order"]
        .as_array()
        .expect("an order")
        .iter()
        .filter_map(|one| one["provider"].as_str())
        .collect();
    assert_eq!(order, ["four", "two", "one"]);
    assert_eq!(explained["excluded"][0]["rule"], "measured");
    assert_eq!(counts(&providers), [0, 0, 0, 0]);
    for _ in 0..3 {
        assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "four");
    }
}

#[tokio::test]
async fn only_a_key_that_may_is_told_why() {
    let providers = well(1).await;
    let config = Config::of(&providers)
        .route("main", "{ provider: one }")
        .top("keys:")
        .top("  - { name: may, secret: sk-may-explain, explain: true }")
        .top("  - { name: not, secret: sk-not-explain }");
    let gateway = Gateway::start(&config).await;
    let ask = |key: &str| {
        Request::chat(ASK)
            .key(key)
            .header("x-overspill-explain", "1")
    };
    let told = gateway.ask(ask("sk-may-explain")).await.expect(200).json();
    assert_eq!(told["order"][0]["provider"], "one");
    assert_eq!(
        reason(&gateway.ask(ask("sk-not-explain")).await),
        "policy_key"
    );
    assert_eq!(counts(&providers), [0]);
}
