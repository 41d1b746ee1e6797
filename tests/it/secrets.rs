//! No secret of any kind is ever written down.

use crate::harness::answers::{http, stream_reply};
use crate::harness::*;

const CANARIES: [&str; 7] = [
    "sk-canary-bearer",
    "sk-canary-header",
    "sk-canary-query",
    "sk-canary-client",
    "sk-canary-admin",
    "sk-canary-wrong",
    "sk-canary-option",
];

fn innocent(what: &str, text: &str) {
    for canary in CANARIES {
        if let Some(at) = text.find(canary) {
            let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
            panic!(
                "{canary} in {what}: {}",
                text[start..].lines().next().unwrap()
            );
        }
    }
}

#[tokio::test]
async fn neither_logs_nor_metrics_nor_answers_hold_a_secret() {
    for format in ["json", "text"] {
        // Providers that say their key back, in every kind of failure.
        let quoting = |status: u16, key: &str| {
            let body = format!("{{\"error\":{{\"message\":\"bad key {key}!\"}}}}");
            let headers = [("content-type", "application/json"), ("x-key", key)];
            vec![Act::Write(http(status, &headers, body))]
        };
        let one = Provider::first(vec![
            quoting(400, "sk-canary-bearer"),
            quoting(429, "sk-canary-bearer"),
            quoting(500, "sk-canary-bearer"),
            vec![Act::Reset],
            vec![
                Act::Write(b"sk-canary-bearer is no HTTP\r\n\r\n".to_vec()),
                Act::Close,
            ],
            stream_reply("one-chat", "hello"),
            // The last: after it the key is not used for a while.
            quoting(401, "sk-canary-bearer"),
        ])
        .await;
        let two = Provider::always(quoting(401, "sk-canary-header")).await;
        let three = Provider::always(quoting(503, "sk-canary-query")).await;
        let config = Config::new()
            .provider("one", &one.base())
            .with("api_key", "\"${CANARY_BEARER}\"")
            .provider("two", &two.base())
            .with("auth", "{ header: { api-key: sk-canary-header } }")
            .without("api_key")
            .provider("three", &three.base())
            .with("auth", "{ query: { key: sk-canary-query } }")
            .without("api_key")
            .route(
                "main",
                "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }",
            )
            .server("admin: { address: ADMIN, token: sk-canary-admin }")
            .top("keys: [{ name: mobile, secret: sk-canary-client }]")
            .top(&format!("log: {{ format: {format}, level: debug }}"))
            .env("CANARY_BEARER", "sk-canary-bearer");
        let gateway = Gateway::start(&config).await;
        for n in 0..7 {
            let body = if n == 5 { ASK_STREAM } else { ASK };
            let request = Request::chat(body)
                .key("sk-canary-client")
                .header("cookie", "sk-canary-client");
            let reply = gateway.ask(request).await;
            innocent("an answer", &reply.text());
            innocent("a header", &format!("{:?}", reply.head));
        }
        assert!(one.count() >= 7);
        let reply = gateway
            .ask(Request::chat(ASK).key("sk-canary-wrong"))
            .await
            .expect(401);
        innocent("a refusal", &reply.text());
        let reply = gateway
            .ask(Request::chat("{\"model\":").key("sk-canary-client"))
            .await;
        innocent("a refusal", &reply.expect(400).text());
        let metrics = Request::get("/metrics")
            .key("sk-canary-admin")
            .to(gateway.admin)
            .await;
        innocent("the metrics", &metrics.expect(200).text());
        let output = gateway.output();
        assert!(!output.is_empty(), "a log that says nothing proves nothing");
        innocent("the log", &output);
    }
}

#[tokio::test]
async fn check_does_not_print_what_it_reads() {
    let files = gateway::Directory::new();
    let yaml = "server: { listen: sk-canary-bearer, admin: 127.0.0.1:1 }\n\
                providers:\n  one: { driver: openai, base_url: \"sk-canary-query\", api_key: [sk-canary-bearer], models: {} }\n\
                keys: [{ name: a, secret: sk-canary-client, sha256: sk-canary-wrong, secrets: sk-canary-client }]\n\
                routes: []\n";
    // An address or a URL is no secret; what stands where secrets belong is.
    let path = files.write("overspill.yaml", yaml);
    let output = gateway::run(&["check", path.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for canary in ["sk-canary-client", "sk-canary-wrong", "sk-canary-bearer]"] {
        assert!(!said.contains(canary), "{said}");
    }
}
