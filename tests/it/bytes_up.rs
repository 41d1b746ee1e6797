//! What reaches the provider: the client's bytes, and in them one value changed.

use crate::harness::*;

const ASKED: &str = "\"acme/chat\"";
const SERVED: &str = "\"one-chat\"";

/// `MODEL` marks where the value of the top-level model stands.
async fn survives(gateway: &Gateway, provider: &Provider, template: &str) {
    let before = provider.count();
    gateway
        .chat(template.replace("MODEL", ASKED))
        .await
        .expect(200);
    let seen = provider.seen().remove(before);
    assert_eq!(seen.text(), template.replace("MODEL", SERVED));
    assert_eq!(
        seen.get("content-length"),
        Some(seen.body.len().to_string().as_str())
    );
}

#[tokio::test]
async fn numbers_escapes_duplicates_order_and_spacing_survive() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for template in [
        r#"{"model":MODEL,"messages":[],"seed":12345678901234567890}"#,
        r#"{"model":MODEL,"messages":[],"temperature":1.0,"top_p":0.10,"x":1E+2,"y":100e-2}"#,
        r#"{"model":MODEL,"messages":[],"big":1e400,"small":1e-400,"zero":-0,"z":-0.0}"#,
        r#"{"model":MODEL,"messages":[{"role":"user","content":"\u0061\/\ud83d\ude00\u4e2d\b\f\u0000"}]}"#,
        r#"{"model":MODEL,"dup":1,"messages":[],"dup":2,"dup":{"dup":3,"dup":4}}"#,
        "\r\n\t { \"zeta\" :\t[ 1 ,2,  3 ] ,\n\"model\"\r\n:\t MODEL ,\"messages\":[ ] , \"alpha\":{ } }\n\t ",
        r#"{"messages":[],"b":true,"a":null,"":"","model":MODEL}"#,
        r#"{"model":MODEL,"messages":[],"user":"日本語 🦀 ﷽ ‏"}"#,
        r#"{"model":MODEL,"messages":[],"n":123456789012345678901234567890.123456789012345678901234567890}"#,
        r#"{"model":MODEL,"messages":[],"lone":"\ud800","unpaired":"\udc00x"}"#,
        "{\"model\":MODEL,\"messages\":[{\"role\":\"user\",\"content\":\"\u{7f}\u{80}\u{2028}\u{2029}\u{10ffff}\"}]}",
    ] {
        survives(&gateway, &provider, template).await;
    }
}

#[tokio::test]
async fn a_model_that_is_not_the_top_level_one_is_left_alone() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for template in [
        r#"{"messages":[{"role":"user","model":"acme/chat","content":"x"}],"model":MODEL}"#,
        r#"{"messages":[{"role":"user","content":"{\"model\":\"acme/chat\"}"}],"model":MODEL}"#,
        r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"model":{"type":"string"}},"model":"acme/chat"}}}],"messages":[],"model":MODEL}"#,
        r#"{"metadata":{"model":"other"},"user":"model","model":MODEL,"extra":{"model":{"model":"acme/chat"}}}"#,
        r#"{"user":"\"model\":\"acme/chat\",","messages":[],"model":MODEL}"#,
        r#"{"model ":"x"," model":"y","Model":"z","models_":["acme/chat"],"model":MODEL}"#,
        r#"{"a":"\\","model":MODEL,"b":"\\\"model\":\"acme/chat\""}"#,
        r#"{"a":["model","acme/chat"],"acme/chat":"model","model":MODEL}"#,
    ] {
        survives(&gateway, &provider, template).await;
    }
}

#[tokio::test]
async fn the_schemas_of_tools_and_a_history_with_reasoning_reach_it_unchanged() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    survives(
        &gateway,
        &provider,
        r#"{ "model":MODEL, "parallel_tool_calls" : true, "tool_choice": {"type":"function","function":{"name":"f"}},
           "tools":[{"type":"function","function":{"strict":true,"name":"f","parameters":{"required":["b","a"],"type":"object","properties":{"b":{"type":"number","maximum":1e2},"a":{"enum":["x","x"]}},"additionalProperties":false}}}],
           "messages":[{"role":"assistant","reasoning_content":"","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"b\": 1.0}"}}]},
             {"role":"tool","tool_call_id":"c1","content":"\u4e2d\/"},{"role":"assistant","content":"x","reasoning_content":"think\n\ud83d\ude00"}]}"#,
    )
    .await;
}

#[tokio::test]
async fn model_is_found_however_it_is_spelled() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for template in [
        r#"{"mod\u0065l":MODEL,"messages":[]}"#,
        r#"{"messages":[],"\u006d\u006F\u0064\u0065\u006c":MODEL}"#,
    ] {
        survives(&gateway, &provider, template).await;
    }
    for spelled in [
        r#""acme\/chat""#,
        r#""\u0061cme/chat""#,
        r#""acme\u002fch\u0061t""#,
    ] {
        let before = provider.count();
        gateway
            .chat(format!(r#"{{"model": {spelled} ,"messages":[]}}"#))
            .await
            .expect(200);
        let seen = provider.seen().remove(before);
        assert_eq!(seen.text(), r#"{"model": "one-chat" ,"messages":[]}"#);
    }
}

#[tokio::test]
async fn model_is_found_after_ten_megabytes_of_messages() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let turn = format!(
        r#"{{"role":"user","content":"{}","model":"acme/chat"}}"#,
        "word \\u0061 \\\" ü ".repeat(1000)
    );
    let messages = vec![turn; 10_000_000 / 18_000].join(",");
    assert!(messages.len() > 9_000_000);
    survives(
        &gateway,
        &provider,
        &format!(r#"{{"messages":[{messages}],"model":MODEL}}"#),
    )
    .await;
}

#[tokio::test]
async fn two_models_are_refused() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for body in [
        r#"{"model":"acme/chat","model":"acme/chat"}"#,
        r#"{"model":"acme/chat","messages":[],"model":"other"}"#,
        r#"{"model":"acme/chat","messages":[],"mod\u0065l":"acme/chat"}"#,
        r#"{"model":"acme/chat","messages":[],"model":null}"#,
    ] {
        gateway.chat(body).await.expect(400);
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn the_options_of_a_target_win_over_the_client_and_touch_nothing_else() {
    let provider = Provider::well().await;
    let config = Config::new().provider("one", &provider.base()).route(
        "main",
        "{ provider: one, options: { temperature: 0.2, top_p: 0.5, stop: [\"a\", \"b\"] } }",
    );
    let gateway = Gateway::start(&config).await;
    let text = |n: usize| provider.seen().remove(n).text();

    gateway
        .chat(r#"{"model":"acme/chat","temperature":1.0,"messages":[]}"#)
        .await
        .expect(200);
    let body: Value = serde_json::from_str(&text(0)).unwrap();
    assert_eq!(body["temperature"], 0.2);
    assert_eq!(body["top_p"], 0.5);
    assert_eq!(body["stop"], serde_json::json!(["a", "b"]));
    assert_eq!(body["model"], "one-chat");

    // The untouched rest is still the client's own bytes.
    let rest = r#""seed" : 12345678901234567890 ,"x":1e400,"dup":1,"dup":{"temperature":9}"#;
    let request = format!(r#"{{ {rest}, "model":"acme/chat", "stop":[ ], "messages":[] }}"#);
    gateway.chat(request).await.expect(200);
    assert!(text(1).contains(rest), "{}", text(1));

    // A client that says it twice does not get its own value through by the second one.
    let twice = r#"{"temperature":1,"model":"acme/chat","messages":[],"t\u0065mperature":2}"#;
    gateway.chat(twice).await.expect(200);
    let body: Value = serde_json::from_str(&text(2)).unwrap();
    assert_eq!(body["temperature"], 0.2);
}

#[tokio::test]
async fn every_endpoint_keeps_its_path_below_the_base_url() {
    let provider = Provider::well().await;
    let base = format!("http://{}/api/v3", provider.address);
    let config = Config::new()
        .provider("one", &base)
        .with("endpoints", "[chat, completions, embeddings]")
        .route("main", "{ provider: one }");
    let gateway = Gateway::start(&config).await;
    for (ours, theirs) in [
        ("/v1/chat/completions", "/api/v3/chat/completions"),
        ("/v1/completions", "/api/v3/completions"),
        ("/v1/embeddings", "/api/v3/embeddings"),
    ] {
        let before = provider.count();
        let body = r#"{"model":"acme/chat","input":"x","prompt":"x","messages":[]}"#;
        gateway.ask(Request::post(ours, body)).await.expect(200);
        let seen = provider.seen().remove(before);
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("POST", theirs)
        );
        assert_eq!(seen.text(), body.replace("acme/chat", "one-chat"));
    }
}

#[tokio::test]
async fn an_endpoint_the_provider_does_not_serve_is_never_sent_to_it() {
    let provider = Provider::well().await;
    let config = Config::one(&provider);
    let gateway = Gateway::start(&config).await;
    let reply = gateway.ask(Request::post("/v1/rerank", ASK)).await;
    assert!((400..=503).contains(&reply.status), "{}", reply.status);
    assert!(reply.json()["error"]["message"].is_string());
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn a_path_of_ones_own_needs_no_model() {
    let provider = Provider::well().await;
    let config = Config::new()
        .provider("ds", &format!("http://{}", provider.address))
        .with("models", "{}")
        .route(
            "path",
            "{ provider: ds, model: deepseek-chat, options: { temperature: 0.2 } }",
        )
        .on_route("match", "{ path: /deepseek }");
    let gateway = Gateway::start(&config).await;
    let request = Request::post(
        "/deepseek",
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
    )
    .key("sk-of-the-client")
    .header("cookie", "session=1");
    gateway.ask(request).await.expect(200);
    let seen = provider.only();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/chat/completions")
    );
    assert_eq!(seen.all("authorization"), ["Bearer sk-ds-upstream"]);
    assert_eq!(seen.get("cookie"), None);
    let body = seen.json();
    assert_eq!(body["model"], "deepseek-chat");
    assert_eq!(body["temperature"], 0.2);
    assert_eq!(body["messages"][0]["content"], "x");

    gateway
        .ask(Request::post("/deepseek", "{}"))
        .await
        .expect(200);
    assert_eq!(provider.seen()[1].json()["model"], "deepseek-chat");
    gateway
        .ask(Request::post("/deepseek", r#"{"model":"x"}"#))
        .await
        .expect(200);
    assert_eq!(provider.seen()[2].json()["model"], "deepseek-chat");
}
