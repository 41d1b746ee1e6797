//! The guides this gateway answers to, as `conf/` has them, against providers that behave like
//! those they name.

use crate::harness::answers::{chat, event, failure, failure_with, finish, last, part, sse_head};
use crate::harness::provider::{Refusing, Seen};
use crate::harness::*;

fn at(provider: &Provider, path: &str) -> String {
    format!("http://{}{path}", provider.address)
}

const QUESTION: &str = r#"{"messages":[{"role":"user","content":"hi"}]}"#;

/// DeepSeek as it answers under load: blank lines before the JSON, comments in a stream, reasoning
/// beside the content.
fn like_deepseek(seen: &Seen) -> Vec<Act> {
    if seen.json()["stream"] == true {
        return vec![
            sse_head(),
            part(": keep-alive\n\n"),
            part(event("deepseek-chat", "hello")),
            part(finish("deepseek-chat")),
            part("data: [DONE]\n\n"),
            last(),
        ];
    }
    let body = format!("\n\n\n{}", chat(&seen.model(), "hello"));
    vec![json_reply(200, body)]
}

#[tokio::test]
async fn api7_one_provider_on_a_path() {
    let deepseek = Provider::start(|_, seen| like_deepseek(seen)).await;
    let bases = [("deepseek", at(&deepseek, ""))];
    let config = Config::example("api7-deepseek.yaml", &bases, &["DEEPSEEK_API_KEY"]);
    let gateway = Gateway::start(&config).await;
    let request = Request::post("/deepseek", QUESTION)
        .header("authorization", "Bearer the-callers-own")
        .header("cookie", "session=1");
    let reply = gateway.ask(request).await.expect(200);
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");
    assert!(reply.json()["usage"]["total_tokens"].is_u64());
    let seen = deepseek.only();
    assert_eq!(seen.target, "/chat/completions");
    assert_eq!(seen.model(), "deepseek-chat");
    assert_eq!(
        seen.all("authorization"),
        ["Bearer value-of-DEEPSEEK_API_KEY"]
    );
    assert_eq!(seen.get("cookie"), None);

    let streamed = QUESTION.replacen('{', "{\"stream\":true,", 1);
    let reply = gateway
        .ask(Request::post("/deepseek", streamed))
        .await
        .expect(200);
    let text = reply.text();
    assert!(
        text.contains("hello") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
}

#[tokio::test]
async fn api7_a_fallback_only_where_the_first_is_unavailable() {
    let openai = Provider::well().await;
    let names = ["DEEPSEEK_API_KEY", "OPENAI_API_KEY"];
    let start = async |deepseek: String| {
        let bases = [("deepseek", deepseek), ("openai", at(&openai, "/v1"))];
        Gateway::start(&Config::example("api7-fallback.yaml", &bases, &names)).await
    };
    let deepseek = Provider::start(|_, seen| like_deepseek(seen)).await;
    let gateway = start(at(&deepseek, "")).await;
    for _ in 0..20 {
        gateway
            .ask(Request::post("/ai", QUESTION))
            .await
            .expect(200);
    }
    assert_eq!((deepseek.count(), openai.connections().len()), (20, 0));

    let limited = failure_with(429, "slow down", &[("retry-after", "1")]);
    for acts in [
        vec![limited],
        vec![failure(402, "Insufficient Balance")],
        vec![Act::Close],
    ] {
        let deepseek = Provider::always(acts).await;
        let gateway = start(at(&deepseek, "")).await;
        let before = openai.count();
        let reply = gateway
            .ask(Request::post("/ai", QUESTION))
            .await
            .expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("openai"));
        assert_eq!((deepseek.count(), openai.count()), (1, before + 1));
        let seen = openai.seen().pop().unwrap();
        assert_eq!(
            (seen.target.as_str(), seen.model().as_str()),
            ("/v1/chat/completions", "gpt-4o")
        );
        assert_eq!(
            seen.all("authorization"),
            ["Bearer value-of-OPENAI_API_KEY"]
        );
    }
    let nobody = Refusing::new();
    let gateway = start(format!("http://{}", nobody.address)).await;
    gateway
        .ask(Request::post("/ai", QUESTION))
        .await
        .expect(200);

    let deepseek = Provider::always(vec![failure(422, "your mistake")]).await;
    let gateway = start(at(&deepseek, "")).await;
    let before = openai.count();
    let reply = gateway.ask(Request::post("/ai", QUESTION)).await;
    assert_eq!((reply.status, openai.count()), (422, before));
}

const EIGHT: [(&str, &str); 8] = [
    ("deepseek/deepseek-r1", "deepseek-ai/DeepSeek-R1"),
    (
        "deepseek/deepseek-v3.1",
        "deepseek-ai/DeepSeek-V3.1-Terminus",
    ),
    ("deepseek/deepseek-v3.2", "deepseek-ai/DeepSeek-V3.2"),
    ("qwen/qwen3-235b", "Qwen/Qwen3-235B-A22B-Thinking-2507"),
    ("qwen/qwen3-32b", "Qwen/Qwen3-32B"),
    ("qwen/qwen3-coder-30b", "Qwen/Qwen3-Coder-30B-A3B-Instruct"),
    (
        "qwen/qwen3-coder-480b",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    ),
    ("qwen/qwen3-next-80b", "Qwen/Qwen3-30B-A3B"),
];

struct TwoTiers {
    bedrock: Provider,
    siliconflow: Provider,
    gateway: Gateway,
}

impl TwoTiers {
    async fn start(bedrock: Provider) -> TwoTiers {
        let siliconflow = Provider::well().await;
        let bases = [
            ("bedrock-us-east-2", at(&bedrock, "/openai/v1")),
            ("siliconflow", at(&siliconflow, "/v1")),
        ];
        let names = [
            "AWS_BEARER_TOKEN_BEDROCK",
            "SILICONFLOW_API_KEY",
            "GLOBAL_KEY",
            "CHINA_KEY",
        ];
        let gateway = Gateway::start(&Config::example("siliconflow.yaml", &bases, &names)).await;
        TwoTiers {
            bedrock,
            siliconflow,
            gateway,
        }
    }

    async fn ask(&self, model: &str, key: &str) -> Reply {
        let body = QUESTION.replacen('{', &format!("{{\"model\":\"{model}\","), 1);
        let request = Request::chat(body).key(&format!("value-of-{key}"));
        self.gateway.ask(request).await
    }
}

#[tokio::test]
async fn therouter_serves_eight_models_by_their_canonical_ids() {
    let tiers = TwoTiers::start(Provider::well().await).await;
    let list = Request::get("/v1/models").key("value-of-GLOBAL_KEY");
    let list = tiers.gateway.ask(list).await.expect(200).json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    for (id, name) in EIGHT {
        assert!(ids.contains(&id), "{id}");
        let reply = tiers.ask(id, "CHINA_KEY").await.expect(200);
        assert_eq!(reply.json()["model"], id);
        assert_eq!(
            reply.get("x-overspill-provider"),
            Some("siliconflow"),
            "{id}"
        );
        let seen = tiers.siliconflow.seen().pop().unwrap();
        assert_eq!(seen.model(), name);
        assert_eq!(
            seen.all("authorization"),
            ["Bearer value-of-SILICONFLOW_API_KEY"]
        );
    }
    assert_eq!(tiers.bedrock.connections().len(), 0);
}

#[tokio::test]
async fn therouter_asks_bedrock_first_and_siliconflow_when_it_cannot() {
    let tiers = TwoTiers::start(Provider::well().await).await;
    for (id, _) in EIGHT.iter().skip(1) {
        let reply = tiers.ask(id, "GLOBAL_KEY").await.expect(200);
        assert_eq!(
            reply.get("x-overspill-provider"),
            Some("bedrock-us-east-2"),
            "{id}"
        );
        assert_eq!(reply.json()["model"], *id);
    }
    assert_eq!(
        tiers.bedrock.seen()[0].target,
        "/openai/v1/chat/completions"
    );
    assert_eq!(tiers.siliconflow.connections().len(), 0);
    // The one model that Bedrock has not.
    let reply = tiers
        .ask("deepseek/deepseek-r1", "GLOBAL_KEY")
        .await
        .expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("siliconflow"));

    let throttled = r#"{"message":"Too many requests, please wait before trying again."}"#;
    for (act, status) in [
        (json_reply(429, throttled), "429"),
        (failure(503, "The service is unavailable"), "503"),
    ] {
        let tiers = TwoTiers::start(Provider::always(vec![act]).await).await;
        let reply = tiers
            .ask("deepseek/deepseek-v3.2", "GLOBAL_KEY")
            .await
            .expect(200);
        assert_eq!(reply.json()["model"], "deepseek/deepseek-v3.2");
        let trace = reply.get("x-overspill-trace").unwrap();
        assert!(
            trace.starts_with(&format!("bedrock-us-east-2;{status};")),
            "{trace}"
        );
        assert!(trace.contains("siliconflow;200;"), "{trace}");
        assert_eq!(
            tiers.siliconflow.only().model(),
            "deepseek-ai/DeepSeek-V3.2"
        );
    }
}
