//! Providers and models by name: what the catalogue knows is what happens on the wire.

use crate::harness::answers::{failure, head, http, last, part, stream_reply};
use crate::harness::gateway::run;
use crate::harness::*;
use serde_json::json;

fn listed(arguments: &[&str]) -> Value {
    let output = run(&[&["catalog", "--json"], arguments].concat(), &[]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Every provider of the catalogue at one address, each chosen by the header `x-to`.
fn all_at(provider: &Provider, names: &[&String]) -> Config {
    let mut config = Config::new();
    for name in names {
        config = by_name(config, name, &provider.base())
            .route(name, &format!("{{ provider: {name} }}"))
            .on_route("match", &format!("{{ headers: {{ x-to: {name} }} }}"));
    }
    config
}

/// A provider that is nothing but a name, a key and the address of a mock.
fn by_name(config: Config, name: &str, base: &str) -> Config {
    config
        .provider(name, base)
        .without("driver")
        .without("models")
}

fn ask(model: &str) -> Request {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    Request::chat(body.to_string())
}

#[tokio::test]
async fn every_model_of_every_provider_is_asked_for_by_its_own_name() {
    let catalogue = listed(&[]);
    let providers = catalogue["providers"].as_object().unwrap();
    let chats = |known: &Value| {
        let endpoints = known["endpoints"].as_array();
        let models = known["models"].as_object().unwrap();
        !models.is_empty() && endpoints.is_none_or(|words| words.contains(&json!("chat")))
    };
    let names: Vec<&String> = providers
        .iter()
        .filter(|(_, known)| chats(known))
        .map(|(name, _)| name)
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let provider = Provider::well().await;
    let gateway = Gateway::start(&all_at(&provider, &names)).await;
    for name in names {
        let known = &providers[name];
        for (id, model) in known["models"].as_object().unwrap() {
            let reply = gateway.ask(ask(id).header("x-to", name)).await.expect(200);
            let seen = provider.seen().pop().unwrap();
            assert_eq!(seen.model(), model["name"].as_str().unwrap(), "{name} {id}");
            assert_eq!(seen.target, "/v1/chat/completions", "{name}");
            let key = match known["auth"]["header"].as_str() {
                Some(header) => seen.get(header).map(str::to_owned),
                None => seen
                    .get("authorization")
                    .and_then(|value| value.strip_prefix("Bearer "))
                    .map(str::to_owned),
            };
            assert_eq!(key, Some(format!("sk-{name}-upstream")), "{name}");
            assert_eq!(reply.json()["model"], **id, "{name}");
            assert_eq!(reply.get("x-overspill-model"), Some(id.as_str()));
            let other = model["served_as"].as_str();
            assert_eq!(reply.get("x-overspill-served-as"), other, "{name} {id}");
        }
    }
}

#[tokio::test]
async fn the_eight_models_are_listed_with_prices_and_without_foreign_names() {
    let provider = Provider::well().await;
    let config = by_name(Config::new(), "siliconflow", &provider.base())
        .route("main", "{ provider: siliconflow }")
        .on_route("match", "{ models: [\"deepseek/*\", \"qwen/*\"] }");
    let gateway = Gateway::start(&config).await;
    let list = gateway.get("/v1/models").await.expect(200);
    for foreign in ["deepseek-ai/", "Qwen/", "Pro/"] {
        assert!(!list.text().contains(foreign), "{}", list.text());
    }
    let list = list.json();
    let find = |id: &str| {
        let models = list["data"].as_array().unwrap();
        let found = models.iter().find(|model| model["id"] == id);
        found.unwrap_or_else(|| panic!("no {id}")).clone()
    };
    for id in [
        "deepseek/deepseek-r1",
        "deepseek/deepseek-v3.1",
        "deepseek/deepseek-v3.2",
        "qwen/qwen3-235b",
        "qwen/qwen3-32b",
        "qwen/qwen3-coder-30b",
        "qwen/qwen3-coder-480b",
    ] {
        let price = &find(id)["price"];
        assert_eq!(price["currency"], "USD", "{id}");
        assert!(price["input"].is_number() && price["date"].is_string());
        assert_eq!(find(id)["served_as"], Value::Null, "{id}");
    }
    let next = find("qwen/qwen3-next-80b");
    assert_eq!(next["served_as"], "qwen/qwen3-30b-a3b");
    assert_eq!(next["status"], "preview");
}

/// Who answers is named, not who was asked first.
#[tokio::test]
async fn an_alias_is_disclosed_only_where_it_answers() {
    let preview = Provider::start(|number, seen| match number {
        0 => stream_reply(&seen.model(), "hello"),
        _ => vec![failure(503, "down")],
    })
    .await;
    let real = Provider::well().await;
    let config = by_name(Config::new(), "siliconflow", &preview.base());
    let config = by_name(config, "openrouter", &real.base())
        .route(
            "main",
            "{ provider: siliconflow }, { provider: openrouter, tier: 2 }",
        )
        .on_route("match", "{ models: [\"qwen/*\"] }");
    let gateway = Gateway::start(&config).await;
    let model = "qwen/qwen3-next-80b";
    let body = json!({"model": model, "stream": true, "messages": []});
    let stream = gateway.chat(body.to_string()).await.expect(200);
    assert_eq!(
        stream.get("x-overspill-served-as"),
        Some("qwen/qwen3-30b-a3b")
    );
    let spilled = gateway.ask(ask(model)).await.expect(200);
    assert_eq!(spilled.get("x-overspill-provider"), Some("openrouter"));
    assert_eq!(spilled.get("x-overspill-served-as"), None);
}

#[tokio::test]
async fn a_region_chooses_the_address() {
    let provider = Provider::well().await;
    let config = Config::new()
        .provider("one", &provider.base())
        .route("main", "{ provider: one }")
        .provider("siliconflow", "")
        .without("base_url")
        .without("driver")
        .without("models")
        .with("region", "global")
        .route("abroad", "{ provider: siliconflow }")
        .on_route("match", "{ models: [\"deepseek/*\"] }");
    let gateway = Gateway::start(&config).await;
    let targets = Request::get("/api/targets").to(gateway.admin).await;
    let targets = targets.expect(200).json();
    let regions = |id: &str| {
        let all = targets["targets"].as_array().unwrap();
        all.iter().find(|target| target["id"] == id).unwrap()["regions"].clone()
    };
    assert_eq!(regions("abroad/siliconflow"), json!(["global"]));
    assert_eq!(regions("main/one"), json!([]));
    let shown = Request::get("/api/config").to(gateway.admin).await;
    assert!(
        shown.text().contains("\"region\":\"global\""),
        "{}",
        shown.text()
    );
}

/// DeepSeek sends them while a request waits for its turn.
#[tokio::test]
async fn blank_lines_before_an_answer_are_no_part_of_it() {
    let kind = [
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ];
    let provider = Provider::start(move |_, seen| {
        let mut acts = vec![Act::Write(head(200, &kind))];
        for blank in ["\n", "\r\n", "\n\n"] {
            acts.extend([part(blank), Act::Sleep(ms(30))]);
        }
        acts.extend([part(chat(&seen.model(), "hello")), last()]);
        acts
    })
    .await;
    let config = by_name(Config::new(), "deepseek", &provider.base())
        .route("main", "{ provider: deepseek }")
        .on_route("match", "{ models: [\"deepseek/*\"] }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.ask(ask("deepseek/deepseek-v3.2")).await.expect(200);
    assert_eq!(reply.json()["model"], "deepseek/deepseek-v3.2");
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    assert_eq!(provider.only().model(), "deepseek-chat");
    let listed = gateway.get("/v1/models/deepseek/deepseek-v3.2").await;
    let listed = listed.expect(200).json();
    for field in ["served_as", "replaced_by"] {
        assert_eq!(listed[field], "deepseek/deepseek-v4-flash");
    }
    assert_eq!(listed["status"], "deprecated");
}

/// The same words mean another thing elsewhere: the provider's name decides.
#[tokio::test]
async fn errors_mean_what_they_mean_at_that_provider() {
    let quota =
        r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    for (name, status, body, reason) in [
        ("alibaba", 429, quota, "provider_rate_limited"),
        ("moonshot", 429, quota, "provider_quota"),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1113","message":"x"}}"#,
            "provider_quota",
        ),
        (
            "zhipu",
            429,
            r#"{"error":{"code":"1312","message":"x"}}"#,
            "provider_overloaded",
        ),
        (
            "together",
            403,
            r#"{"error":{"message":"x"}}"#,
            "provider_context_length",
        ),
        (
            "fireworks",
            412,
            r#"{"error":{"message":"x"}}"#,
            "provider_quota",
        ),
        (
            "groq",
            498,
            r#"{"error":{"message":"x"}}"#,
            "provider_overloaded",
        ),
        (
            "siliconflow",
            503,
            r#"{"code":50505,"message":"x","data":null}"#,
            "provider_overloaded",
        ),
        ("siliconflow", 401, "\"Invalid token\"", "provider_auth"),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1002,"status_msg":"x"}}"#,
            "provider_rate_limited",
        ),
        (
            "minimax",
            200,
            r#"{"base_resp":{"status_code":1008,"status_msg":"x"}}"#,
            "provider_quota",
        ),
        (
            "bedrock",
            400,
            r#"{"__type":"ServiceQuotaExceededException","message":"x"}"#,
            "provider_rate_limited",
        ),
        (
            "openrouter",
            200,
            r#"{"error":{"code":402,"message":"x"}}"#,
            "provider_quota",
        ),
        (
            "gemini",
            429,
            r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"billing"}}]"#,
            "provider_rate_limited",
        ),
    ] {
        let kind = [("content-type", "application/json")];
        let provider = Provider::always(vec![Act::Write(http(status, &kind, body))]).await;
        let config = by_name(Config::new(), name, &provider.base())
            .with("models", "{ acme/chat: any }")
            .route("main", &format!("{{ provider: {name} }}"))
            .on_route("retry", "{ for: [] }");
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK).await;
        assert!(reply.status >= 400, "{name}: {}", reply.text());
        let id = reply.get("x-request-id").unwrap().to_owned();
        let record = gateway.record(&id).await;
        assert_eq!(record["reason"], reason, "{name}: {record}");
        assert!(reply.json()["error"]["message"].is_string(), "{name}");
    }
}

#[tokio::test]
async fn the_list_is_for_eyes_and_for_programs() {
    let text = |arguments: &[&str]| {
        let output = run(&[&["catalog"], arguments].concat(), &[]);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let all = text(&[]);
    let dated = "read at models.dev on 2026-07-02";
    assert!(
        all.contains(dated) && all.contains("SILICONFLOW_API_KEY"),
        "{all}"
    );
    assert!(
        all.lines()
            .any(|line| line.starts_with("qwen/qwen3-coder-30b ")),
        "{all}"
    );

    let one = text(&["siliconflow"]);
    assert!(
        one.contains("https://api.siliconflow.com/v1") && one.contains(dated),
        "{one}"
    );
    assert!(one.contains("served as qwen/qwen3-30b-a3b"), "{one}");
    assert!(
        text(&["together"]).contains("us?"),
        "regions were not verified"
    );

    assert!(text(&["openai"]).contains("gpt-4o? "), "nor was this name");
    let model = text(&["deepseek/deepseek-v3.2"]);
    let line = |provider: &str| {
        let mut lines = model.lines();
        lines
            .find(|line| line.starts_with(provider))
            .unwrap()
            .to_owned()
    };
    assert!(line("siliconflow").contains("0.27/0.42"), "{model}");
    assert!(line("deepseek ").contains("0.0028"), "{model}");

    let one = listed(&["siliconflow"]);
    assert_eq!(one["priced"], "2026-07-02");
    assert_eq!(
        one["elsewhere"]["global"]["base_url"],
        "https://api.siliconflow.com/v1"
    );
    let model = listed(&["deepseek/deepseek-v3.2"]);
    assert_eq!(model["providers"]["openrouter"]["price"]["input"], 0.2288);

    let output = run(&["catalog", "siliconflw"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("did you mean `siliconflow`?") && said.lines().count() == 1,
        "{said}"
    );
}
