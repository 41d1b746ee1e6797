//! What a caller says of who should answer: OpenRouter's `provider`, `models`, `:nitro`, `:floor`.

use crate::harness::answers::{chat_reply, failure};
use crate::harness::fleet::{by, counts, well};
use crate::harness::*;

fn three(providers: &[Provider]) -> Config {
    let price = |name: &str, price: &str| {
        format!(
            "{{ \"acme/chat\": {{ name: {name}-chat, price: {price} }}, \"acme/big\": {{ name: {name}-big }} }}"
        )
    };
    Config::of(providers)
        .route(
            "main",
            "{ provider: one }, { provider: two }, { provider: three, tier: 2 }",
        )
        .on_provider("one", "models", &price("one", "{ input: 3, output: 3 }"))
        .on_provider("two", "models", &price("two", "{ input: 2, output: 2 }"))
        .on_provider(
            "three",
            "models",
            &price("three", "{ input: 1, output: 1 }"),
        )
}

fn with(field: &str) -> String {
    format!(r#"{{"model":"acme/chat","messages":[],{field}}}"#)
}

fn attempts(reply: &Reply) -> Vec<String> {
    let trace = reply.get("x-overspill-trace").unwrap_or_default();
    let named = trace.split(", ").filter_map(|one| one.split(';').next());
    named.map(str::to_owned).collect()
}

#[tokio::test]
async fn order_only_ignore_and_sort_decide_who_is_asked() {
    let providers = well(3).await;
    let gateway = Gateway::start(&three(&providers)).await;
    for (field, provider) in [
        (r#""provider":{"order":["three","one"]}"#, "three"),
        (r#""provider":{"order":["elsewhere","two"]}"#, "two"),
        (r#""provider":{"only":["two"]}"#, "two"),
        (r#""provider":{"ignore":["one","two"]}"#, "three"),
        (r#""provider":{"sort":"price"}"#, "three"),
        (
            r#""provider":{"sort":{"by":"price"},"ignore":["three"]}"#,
            "two",
        ),
        (
            r#""provider":{"max_price":{"completion":"2"},"ignore":["three"]}"#,
            "two",
        ),
        (r#""provider":null,"models":null,"user":"one""#, ""),
    ] {
        for _ in 0..3 {
            let reply = gateway.chat(with(field)).await.expect(200);
            if !provider.is_empty() {
                assert_eq!(by(&reply), provider, "{field}");
            }
        }
    }
    let floor = r#"{"model":"acme/chat:floor","messages":[]}"#;
    let reply = gateway.chat(floor).await.expect(200);
    assert_eq!(
        (by(&reply), reply.json()["model"].clone()),
        ("three".into(), "acme/chat".into())
    );
    let unknown = r#"{"model":"acme/chat:free","messages":[]}"#;
    assert_eq!(gateway.chat(unknown).await.status, 404);
    // Nobody saw what was meant for the gateway.
    for provider in &providers {
        for seen in provider.seen() {
            let body = seen.text();
            assert!(
                !body.contains("provider") && !body.contains("models"),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_cut_out_leaves_every_other_byte() {
    let providers = well(1).await;
    let config = Config::of(&providers).route("main", "{ provider: one }");
    let gateway = Gateway::start(&config).await;
    let body = "{ \"n\" : 1e400, \"provider\" :{\"order\":[ ]} ,\"x\":[1.0,-0, \"\\u0061\\/\"] ,\"model\":\"acme/chat\", \"models\": [\"acme/chat\"]\n}";
    gateway.chat(body).await.expect(200);
    let expected = "{ \"n\" : 1e400, \"x\":[1.0,-0, \"\\u0061\\/\"] ,\"model\":\"one-chat\"\n}";
    let came = providers[0].seen()[0].text();
    let squeezed = |text: &str| text.replace(' ', "");
    assert_eq!(squeezed(&came), squeezed(expected), "{came}");
    assert!(
        came.contains("1e400") && came.contains("[1.0,-0, \"\\u0061\\/\"]"),
        "{came}"
    );
}

#[tokio::test]
async fn without_fallbacks_nobody_else_is_asked() {
    let down = || Provider::always(vec![failure(503, "down")]);
    let providers = [down().await, down().await, Provider::well().await];
    let gateway = Gateway::start(&three(&providers)).await;
    let field = r#""provider":{"order":["two","one"],"allow_fallbacks":false}"#;
    let reply = gateway.chat(with(field)).await.expect(503);
    let mut asked = attempts(&reply);
    asked.dedup();
    assert_eq!(asked, ["two", "one"]);
    assert_eq!(providers[2].count(), 0);
    let first = r#""provider":{"allow_fallbacks":false,"ignore":["two"]}"#;
    let reply = gateway.chat(with(first)).await.expect(503);
    let mut asked = attempts(&reply);
    asked.dedup();
    assert_eq!(asked, ["one"]);
    assert_eq!(providers[2].count(), 0);
    let reply = gateway
        .chat(with(r#""provider":{"order":["two","one"]}"#))
        .await
        .expect(200);
    assert_eq!(by(&reply), "three");
}

#[tokio::test]
async fn a_wish_that_nobody_meets_is_told_and_costs_nothing() {
    let providers = well(3).await;
    let gateway = Gateway::start(&three(&providers)).await;
    for (field, status, said) in [
        (r#""provider":{"only":["nobody"]}"#, 404, "only"),
        (
            r#""provider":{"max_price":{"prompt":0.5}}"#,
            404,
            "cap of $0.5",
        ),
        (r#""provider":{"zdr":true}"#, 404, "retain"),
        (
            r#""provider":{"quantizations":["fp8"]}"#,
            404,
            "quantization",
        ),
        (r#""provider":{"odrer":["one"]}"#, 400, "odrer"),
        (r#""provider":{"order":"one"}"#, 400, "provider.order"),
        (
            r#""provider":{"order":["one",7]}"#,
            400,
            "provider.order[1]",
        ),
        (r#""provider":[]"#, 400, "provider"),
        (r#""models":"acme/chat""#, 400, "models"),
        (r#""provider":{},"provider":{}"#, 400, "two"),
        (r#""models":["acme/none"]"#, 404, "acme/none"),
    ] {
        let reply = gateway.chat(with(field)).await;
        assert_eq!(reply.status, status, "{field}: {}", reply.text());
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(said), "{field}: {message}");
    }
    assert_eq!(counts(&providers), [0, 0, 0]);
}

#[tokio::test]
async fn other_models_follow_whatever_the_first_one_fails_by() {
    for failed in [
        failure(500, "down"),
        failure(429, "slow down"),
        failure(400, "this model's maximum context length is 8 tokens"),
        json_reply(
            400,
            r#"{"error":{"message":"flagged","code":"content_filter","type":"invalid_request_error"}}"#,
        ),
    ] {
        let provider = Provider::start(move |_, seen| match seen.model().as_str() {
            "one-chat" => vec![failed.clone()],
            _ => chat_reply(seen),
        })
        .await;
        let providers = [provider, Provider::well().await, Provider::well().await];
        let config = three(&providers).on_route("targets", "[{ provider: one }]");
        let gateway = Gateway::start(&config).await;
        let body = r#"{"model":"acme/chat","messages":[],"models":["acme/chat","acme/big"]}"#;
        let reply = gateway.chat(body).await.expect(200);
        assert_eq!(reply.json()["model"], "acme/big");
        assert_eq!(reply.get("x-overspill-model"), Some("acme/big"));
    }
    let providers = well(3).await;
    let gateway = Gateway::start(&three(&providers)).await;
    let reply = gateway
        .chat(r#"{"messages":[],"models":["acme/big","acme/chat"]}"#)
        .await
        .expect(200);
    assert_eq!(reply.json()["model"], "acme/big");
}

#[tokio::test]
async fn openrouter_is_handed_the_cap_and_whoever_failed() {
    let down = Provider::always(vec![failure(503, "down")]).await;
    let grid = Provider::well().await;
    let config = Config::new()
        .provider("siliconflow", &down.base())
        .provider("openrouter", &grid.base())
        .with(
            "models",
            "{ \"acme/chat\": { name: grid-chat, price: { input: 0.2, output: 0.4 } } }",
        )
        .on_provider(
            "siliconflow",
            "models",
            "{ \"acme/chat\": { name: sf-chat, price: { input: 0.2, output: 0.4 } } }",
        )
        .route(
            "main",
            "{ provider: siliconflow }, { provider: openrouter, tier: 2 }",
        )
        .on_route("max_price", "{ input: 0.6, output: 2.4 }");
    let gateway = Gateway::start(&config).await;
    let field =
        r#""provider":{"max_price":{"prompt":"0.5","completion":9},"sort":"price","zdr":false}"#;
    gateway.chat(with(field)).await.expect(200);
    let body = grid.seen()[0].json();
    assert_eq!(body["provider"]["max_price"]["prompt"], 0.5);
    assert_eq!(body["provider"]["max_price"]["completion"], 2.4);
    assert_eq!(body["provider"]["sort"], "price");
    assert_eq!(body["provider"]["ignore"][0], "siliconflow");
    assert_eq!(body["model"], "grid-chat");
    assert!(
        down.seen()
            .iter()
            .all(|seen| seen.json()["provider"].is_null())
    );
    gateway.chat(ASK).await.expect(200);
    let body = grid.seen()[1].json();
    assert_eq!(body["provider"]["max_price"]["prompt"], 0.6);
}
