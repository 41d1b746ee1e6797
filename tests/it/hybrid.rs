//! Regions, caps and preferences together, as somebody runs them who has a provider at home, one
//! abroad and a grid for the rest.

mod billed;
mod chosen;
mod spilling;

use crate::harness::fleet::{by, well};
use crate::harness::provider::Refusing;
use crate::harness::*;

/// The providers of these names, each with a price for `acme/chat`.
fn fleet(named: &[(&str, &str, &str)]) -> Config {
    named
        .iter()
        .fold(Config::new(), |config, (name, base, price)| {
            let model = format!("{{ \"acme/chat\": {{ name: {name}-chat, price: {price} }} }}");
            config.provider(name, base).with("models", &model)
        })
}

fn with(field: &str) -> String {
    format!(r#"{{"model":"acme/chat","messages":[{{"role":"user","content":"hi"}}],{field}}}"#)
}

/// Whom the trace names, each once however often it was tried in a row.
fn tried(reply: &Reply) -> Vec<String> {
    let trace = reply.get("x-overspill-trace").unwrap_or_default();
    let named = trace.split(", ").filter_map(|one| one.split(';').next());
    let mut named: Vec<String> = named.map(str::to_owned).collect();
    named.dedup();
    named
}

fn metadata(reply: &Reply) -> Value {
    reply.json()["error"]["metadata"].clone()
}

/// No packet came, not so much as a connection.
#[track_caller]
fn untouched(provider: &Provider) {
    assert!(provider.connections().is_empty());
}

const AMAZON_FIRST: &str =
    "{ provider: bedrock-like }, { provider: siliconflow, tier: 2 }, { provider: grid, tier: 3 }";

fn three(home: &str, abroad: &str, grid: &str) -> Config {
    fleet(&[
        ("siliconflow", home, "{ input: 0.27, output: 0.42 }"),
        ("bedrock-like", abroad, "{ input: 0.58, output: 1.68 }"),
        ("grid", grid, "{ input: 0.23, output: 0.35 }"),
    ])
    .on_provider("siliconflow", "region", "cn")
    .on_provider("bedrock-like", "region", "us")
}

#[tokio::test]
async fn home_first_is_a_switch_of_a_key_that_a_reload_turns() {
    let providers = well(3).await;
    let config = |mobile: &str| {
        three(
            &providers[0].base(),
            &providers[1].base(),
            &providers[2].base(),
        )
        .route("main", AMAZON_FIRST)
        .top("keys:")
        .top(&format!(
            "  - {{ name: mobile, secret: sk-mobile-key{mobile} }}"
        ))
        .top("  - { name: desk, secret: sk-desk-key }")
    };
    let gateway = Gateway::start(&config(", prefer: [siliconflow]")).await;
    let served = async |key: &str| by(&gateway.ask(Request::chat(ASK).key(key)).await.expect(200));
    for _ in 0..3 {
        let both = tokio::join!(served("sk-mobile-key"), served("sk-desk-key"));
        assert_eq!(both, ("siliconflow".into(), "bedrock-like".into()));
    }
    gateway.rewrite(&config(""));
    gateway.reload().await.expect(200);
    assert_eq!(served("sk-mobile-key").await, "bedrock-like");
    gateway.rewrite(&config(", prefer: [grid, siliconflow]"));
    gateway.reload().await.expect(200);
    assert_eq!(served("sk-mobile-key").await, "grid");
    assert_eq!(served("sk-desk-key").await, "bedrock-like");
}

#[tokio::test]
async fn a_class_of_work_goes_where_its_tag_or_header_sends_it() {
    let providers = well(3).await;
    let config = three(
        &providers[0].base(),
        &providers[1].base(),
        &providers[2].base(),
    )
    .route("background", "{ provider: siliconflow }")
    .on_route(
        "match",
        "{ models: [\"acme/*\"], tags: [background, apac] }",
    )
    .route("abroad", "{ provider: grid }")
    .on_route(
        "match",
        "{ models: [\"acme/*\"], headers: { x-region: eu } }",
    )
    .route("untagged", AMAZON_FIRST);
    let gateway = Gateway::start(&config).await;
    for (header, value, provider) in [
        ("x-overspill-tags", "nightly,background", "siliconflow"),
        ("x-overspill-tags", " apac ", "siliconflow"),
        ("x-overspill-tags", "us", "bedrock-like"),
        ("x-region", "eu", "grid"),
        ("x-region", "cn", "bedrock-like"),
        ("x-nothing", "said", "bedrock-like"),
    ] {
        let request = Request::chat(ASK).header(header, value);
        let reply = gateway.ask(request).await.expect(200);
        assert_eq!(by(&reply), provider, "{header}: {value}");
    }
    for provider in &providers {
        let own = |seen: &provider::Seen| seen.get("x-overspill-tags").is_some();
        assert!(!provider.seen().iter().any(own));
    }
}

#[tokio::test]
async fn whom_a_key_prefers_is_left_when_it_fails_unless_the_caller_will_not_have_it() {
    let down = Provider::always(vec![answers::failure(500, "out of order")]).await;
    let providers = well(2).await;
    let config = three(&down.base(), &providers[0].base(), &providers[1].base())
        .route("main", AMAZON_FIRST)
        .top("keys: [{ name: mobile, secret: sk-mobile-key, prefer: [siliconflow] }]");
    let gateway = Gateway::start(&config).await;
    let ask = async |body: String| gateway.ask(Request::chat(body).key("sk-mobile-key")).await;
    let reply = ask(ASK.to_owned()).await.expect(200);
    assert_eq!(tried(&reply), ["siliconflow", "bedrock-like"]);
    for (header, value) in [
        ("x-overspill-provider", "bedrock-like"),
        ("x-overspill-model", "acme/chat"),
    ] {
        assert_eq!(reply.get(header), Some(value));
    }
    assert!(reply.get("x-request-id").is_some() && reply.get("x-overspill-overhead-us").is_some());
    let trace = reply.get("x-overspill-trace").expect("a trace");
    assert!(
        trace.contains("siliconflow;500;") && trace.ends_with("ms"),
        "{trace}"
    );
    let before = providers[0].count();
    let reply = ask(with(r#""provider":{"allow_fallbacks":false}"#)).await;
    assert_eq!(reply.status, 500);
    assert_eq!(tried(&reply), ["siliconflow"]);
    assert_eq!(providers[0].count(), before);
    untouched(&providers[1]);
}

#[tokio::test]
async fn a_region_rule_of_route_or_key_is_named_and_nobody_else_hears_of_the_request() {
    let refusing = Refusing::new();
    let hung_up = Provider::always(vec![Act::Reset]).await;
    for home in [refusing.base(), hung_up.base()] {
        for of_key in [false, true] {
            let providers = well(2).await;
            let mut config = three(&home, &providers[0].base(), &providers[1].base())
                .route("main", AMAZON_FIRST);
            let mut key = "";
            if of_key {
                key = ", regions: [cn]";
            } else {
                config = config.on_route("regions", "[cn]");
            }
            let config = config.top(&format!(
                "keys: [{{ name: mobile, secret: sk-mobile-key{key} }}]"
            ));
            let gateway = Gateway::start(&config).await;
            for body in [ASK, ASK_STREAM] {
                let reply = gateway
                    .ask(Request::chat(body).key("sk-mobile-key"))
                    .await
                    .expect(503);
                let metadata = metadata(&reply);
                assert_eq!(metadata["reason"], "policy_region", "{metadata}");
                let left_out = metadata["left_out"].as_array().expect("a list");
                assert_eq!(left_out.len(), 2, "{metadata}");
                assert_eq!(metadata["attempts"][0]["provider"], "siliconflow");
            }
            providers.iter().for_each(untouched);
        }
    }
}

#[tokio::test]
async fn a_region_rule_is_named_beside_what_the_only_one_allowed_said() {
    let busy = r#"{"code":50505,"message":"Model service overloaded.","data":null}"#;
    let home = Provider::always(vec![json_reply(503, busy)]).await;
    let providers = well(2).await;
    let config = three(&home.base(), &providers[0].base(), &providers[1].base())
        .route("main", AMAZON_FIRST)
        .on_route("regions", "[cn]");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(503);
    let metadata = metadata(&reply);
    assert_eq!(metadata["reason"], "provider_overloaded", "{metadata}");
    for (at, provider) in ["bedrock-like", "grid"].into_iter().enumerate() {
        let one = &metadata["left_out"][at];
        assert_eq!(
            (&one["provider"], &one["why"]),
            (&provider.into(), &"region".into())
        );
    }
    providers.iter().for_each(untouched);
}

#[tokio::test]
async fn a_cap_of_route_key_or_request_sends_nothing_to_whoever_is_dearer() {
    let refusing = Refusing::new();
    for (route, key, request, reason) in [
        ("{ output: 0.30 }", "", "", "policy_price_cap"),
        ("{ input: 1.6, currency: CNY }", "", "", "policy_price_cap"),
        (
            "{ output: 9 }",
            ", max_price: { prompt: 0.22 }",
            "",
            "policy_price_cap",
        ),
        (
            "{ output: 9 }",
            "",
            r#""provider":{"max_price":{"completion":"0.349999999"}}"#,
            // The operator's rule keeps one out already, and goes before what the caller could mend.
            "policy_price_cap",
        ),
    ] {
        let providers = well(3).await;
        let config = three(
            &providers[0].base(),
            &providers[1].base(),
            &providers[2].base(),
        )
        .provider("unpriced", &refusing.base())
        .route("main", &format!("{AMAZON_FIRST}, {{ provider: unpriced }}"))
        .on_route("max_price", route)
        .top(&format!(
            "keys: [{{ name: mobile, secret: sk-mobile-key{key} }}]"
        ));
        let gateway = Gateway::start(&config).await;
        let body = match request {
            "" => ASK.to_owned(),
            field => with(field),
        };
        let reply = gateway.ask(Request::chat(body).key("sk-mobile-key")).await;
        let metadata = metadata(&reply);
        assert_eq!(metadata["reason"], reason, "{route} {key} {request}");
        assert!((400..600).contains(&reply.status));
        let mut left_out: Vec<_> = metadata["left_out"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| (one["provider"].as_str(), one["why"].as_str()))
            .collect();
        left_out.sort();
        let capped = |name| (Some(name), Some("price_cap"));
        let expected = [
            capped("bedrock-like"),
            capped("grid"),
            capped("siliconflow"),
            (Some("unpriced"), Some("price_unknown")),
        ];
        assert_eq!(left_out, expected, "{route} {key} {request}");
        providers.iter().for_each(untouched);
    }
}
