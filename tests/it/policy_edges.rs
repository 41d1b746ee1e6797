//! Odd wishes, long prompts and rules that meet: who is asked all the same, and who is told what.

use crate::harness::answers::{chat_reply, failure};
use crate::harness::fleet::{by, counts, well};
use crate::harness::*;

fn explained(body: &str) -> Request {
    Request::chat(body).header("x-overspill-explain", "1")
}

/// The models of a plan, in its order.
fn planned(reply: &Reply) -> Vec<String> {
    let json = reply.json();
    let order = json["order"].as_array().expect("an order").iter();
    order
        .map(|one| format!("{} {}", one["provider"], one["model"]).replace('"', ""))
        .collect()
}

#[tokio::test]
async fn an_explanation_takes_nobodys_turn() {
    let providers = well(2).await;
    let config = Config::of(&providers).route("main", "{ provider: one }, { provider: two }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..4 {
        let told = planned(&gateway.ask(explained(ASK)).await.expect(200));
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(told[0], format!("{} acme/chat", by(&reply)));
    }
    assert_eq!(counts(&providers), [2, 2]);
}

#[tokio::test]
async fn a_listed_model_with_a_suffix_is_that_model_and_once_is_enough() {
    let providers = well(1).await;
    let config = Config::of(&providers)
        .on_provider(
            "one",
            "models",
            "{ acme/chat: one-chat, acme/big: one-big }",
        )
        .route("main", "{ provider: one }");
    let gateway = Gateway::start(&config).await;
    let both = ["one acme/chat", "one acme/big"];
    for (body, expected) in [
        (
            r#"{"messages":[],"models":["acme/chat:floor","acme/chat","acme/big:nitro","acme/big"]}"#,
            &both[..],
        ),
        (
            r#"{"model":"acme/chat:nitro","models":["acme/chat","acme/chat:floor"]}"#,
            &both[..1],
        ),
        (
            r#"{"model":"acme/big","models":["acme/chat:floor"]}"#,
            &["one acme/big", "one acme/chat"][..],
        ),
    ] {
        let reply = gateway.ask(explained(body)).await.expect(200);
        assert_eq!(planned(&reply), expected, "{body}");
        gateway.chat(body).await.expect(200);
    }
}

#[tokio::test]
async fn a_field_of_the_providers_own_is_not_taken_for_a_wish() {
    let providers = well(2).await;
    let config = Config::of(&providers)
        .on_provider("one", "endpoints", "[images, chat]")
        .on_provider("two", "endpoints", "[images]")
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    let ask = |fields: &str| {
        let body = format!(r#"{{"model":"acme/chat",{fields},"prompt":"a cat"}}"#);
        Request::post("/v1/images/generations", body)
    };
    let own = r#""provider":"studio","models":{"base":"xl"},"route":"fallback""#;
    gateway.ask(ask(own)).await.expect(200);
    let sent = providers[0].only().text();
    assert!(sent.contains(own), "{sent}");
    let ours = r#""provider":{"only":["two"]}"#;
    gateway.ask(ask(ours)).await.expect(200);
    let sent = providers[1].only().text();
    assert!(!sent.contains("only"), "{sent}");
    // Whoever chats says it to the gateway.
    let body = r#"{"model":"acme/chat","messages":[],"provider":"studio"}"#;
    gateway.chat(body).await.expect(400);
}

/// `one` has little room, `two` more, in a later tier.
async fn narrow_and_wide() -> (Vec<Provider>, Gateway) {
    let providers = well(2).await;
    let config = Config::of(&providers)
        .on_provider(
            "one",
            "models",
            "{ acme/chat: { name: one-chat, context: 1000 } }",
        )
        .on_provider(
            "two",
            "models",
            "{ acme/chat: { name: two-chat, context: 100000 } }",
        )
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    (providers, gateway)
}

#[tokio::test]
async fn a_guess_about_the_prompt_keeps_nobody_out_who_may_well_take_it() {
    let (_providers, gateway) = narrow_and_wide().await;
    let said = |content: &str| {
        format!(r#"{{"model":"acme/chat","messages":[{{"role":"user","content":{content}}}]}}"#)
    };
    let file = "QUJD".repeat(5000);
    for (content, provider) in [
        (format!("\"{}\"", "word ".repeat(2000)), "two"),
        // The same few hundred letters, as some clients write them.
        (format!("\"{}\"", "\u{4e2d}".repeat(700)), "one"),
        (format!("\"{}\"", r"\u4e2d".repeat(700)), "one"),
        (
            format!(r#"[{{"type":"file","file":{{"file_data":"{file}"}}}}]"#),
            "one",
        ),
        (
            format!(r#"[{{"type":"video_url","video_url":{{"url":"{file}"}}}}]"#),
            "one",
        ),
    ] {
        let reply = gateway.chat(said(&content)).await.expect(200);
        assert_eq!(by(&reply), provider, "{}", &content[..30]);
    }
    // Each of many inputs is a prompt of its own.
    let inputs = vec![format!("\"{}\"", "word ".repeat(500)); 20].join(",");
    let body = format!(r#"{{"model":"acme/chat","input":[{inputs}]}}"#);
    let reply = gateway.ask(Request::post("/v1/embeddings", body)).await;
    assert_eq!(by(&reply.expect(200)), "one");
}

#[tokio::test]
async fn a_model_is_paid_for_by_the_rules_of_its_own_route() {
    let down = Provider::always(vec![failure(503, "down")]).await;
    let grid = Provider::well().await;
    let config = Config::new()
        .provider("our-secret-cluster", &down.base())
        .with(
            "models",
            "{ acme/chat: { name: c, price: { input: 1, output: 1 } } }",
        )
        .provider("openrouter", &grid.base())
        .with(
            "models",
            "{ other/big: { name: big, price: { input: 0.2, output: 0.4 } } }",
        )
        .route("main", "{ provider: our-secret-cluster }")
        .on_route("max_price", "{ input: 9, output: 9 }")
        .route("grid", "{ provider: openrouter }")
        .on_route("match", "{ models: [other/*] }")
        .on_route("max_price", "{ input: 0.5 }");
    let gateway = Gateway::start(&config).await;
    let body = r#"{"model":"acme/chat","messages":[],"models":["other/big"]}"#;
    gateway.chat(body).await.expect(200);
    let sent = grid.only();
    assert_eq!(
        sent.json()["provider"],
        serde_json::json!({"max_price": {"prompt": 0.5}}),
        "{}",
        sent.text()
    );
}

#[tokio::test]
async fn the_largest_body_has_room_with_a_wish_in_it_too() {
    let provider = Provider::well().await;
    let config = Config::one(&provider)
        .server("max_body: 1MiB")
        .server("buffers: 1MiB");
    let gateway = Gateway::start(&config).await;
    let fill = "x".repeat((1 << 20) - 200);
    let body = format!(
        r#"{{"provider":{{"order":["one"]}},"model":"acme/chat","models":[],"messages":[{{"role":"user","content":"{fill}"}}],"route":"fallback"}}"#
    );
    for request in [Request::chat(body.clone()), Request::chat(body.clone())] {
        gateway.ask(request).await.expect(200);
    }
    let seen = provider.seen();
    let came = seen[1].text();
    assert!(came.ends_with(&format!("{}\"}}]}}", "x".repeat(9))));
    assert!(
        came.starts_with(r#"{"model":"one-chat","messages":"#),
        "{}",
        &came[..60]
    );
    assert_eq!(came.len(), seen[0].text().len());
}

#[tokio::test]
async fn a_refusal_of_many_models_is_no_book() {
    let provider = Provider::start(|_, seen| chat_reply(seen)).await;
    let models: Vec<String> = (0..16).map(|at| format!("acme/m{at}")).collect();
    let named: Vec<String> = models.iter().map(|model| format!("{model}: x")).collect();
    let targets = vec!["{ provider: one }"; 64].join(", ");
    let config = Config::new()
        .provider("one", &provider.base())
        .with("models", &format!("{{ {} }}", named.join(", ")))
        .route("main", &targets);
    let gateway = Gateway::start(&config).await;
    let list = serde_json::json!(models);
    let body = format!(r#"{{"messages":[],"models":{list},"provider":{{"only":["nobody"]}}}}"#);
    let reply = gateway.chat(body).await.expect(404);
    assert!(reply.body.len() < 64 << 10, "{}", reply.body.len());
    let message = reply.json()["error"]["message"].to_string();
    assert!(message.contains("and 768 more"), "{message}");
    // All of one model are told of, however many.
    let body = r#"{"model":"acme/m3","messages":[],"provider":{"only":["nobody"]}}"#;
    let error = gateway.chat(body).await.expect(404).json()["error"].clone();
    let left_out = error["metadata"]["left_out"].as_array().expect("a list");
    assert_eq!(left_out.len(), 64);
    assert!(!error["message"].to_string().contains("more"));
    assert_eq!(provider.count(), 0);
}

#[tokio::test]
async fn an_unread_body_is_held_to_the_rules_that_need_no_model() {
    let providers = well(2).await;
    let config = Config::of(&providers)
        .on_provider("one", "region", "us")
        .on_provider("two", "region", "cn")
        .route("main", "{ provider: one }, { provider: two, tier: 2 }")
        .on_route("match", "{ path: /v1/files/* }")
        .on_route("mode", "stream")
        .top("keys:")
        .top("  - { name: here, secret: sk-here-key, regions: [cn] }")
        .top("  - { name: cheap, secret: sk-cheap-key, max_price: { input: 9 } }");
    let gateway = Gateway::start(&config).await;
    let ask = |key: &str| Request::post("/v1/files/x", "{}").key(key);
    gateway.ask(ask("sk-here-key")).await.expect(200);
    assert_eq!(counts(&providers), [0, 1]);
    // Nobody knows what it would cost.
    let refused = gateway.ask(ask("sk-cheap-key")).await.expect(503).json();
    let metadata = &refused["error"]["metadata"];
    assert_eq!(metadata["reason"], "policy_price_cap");
    assert_eq!(metadata["left_out"].as_array().map(Vec::len), Some(2));
    assert_eq!(counts(&providers), [0, 1]);
    let metrics = gateway.metrics().await;
    assert!(
        metrics.lines().any(|line| line.contains("excluded")
            && line.contains("\"main\"")
            && line.contains("region")),
        "{metrics}"
    );
}
