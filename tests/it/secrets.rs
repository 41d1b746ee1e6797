//! No secret of any kind is ever written down.

use crate::harness::answers::{http, stream_reply};
use crate::harness::forward::Forward;
use crate::harness::*;

const CANARIES: [&str; 13] = [
    "sk-canary-bearer",
    "sk-canary-pooled",
    "sk-canary-fourth",
    "sk-canary-proxy",
    // As a proxy is told: `user:sk-canary-proxy`.
    "dXNlcjpzay1jYW5hcnktcHJveHk",
    "sk-canary-header",
    "sk-canary-query",
    "sk-canary-client",
    "sk-canary-admin",
    "sk-canary-wrong",
    "sk-canary-option",
    "sk-canary-store",
    "sk-canary-traces",
];

/// What people say to each other is nobody's to write down.
const QUESTION: &str = "canary-of-a-question";
const ANSWER: &str = "canary-of-an-answer";

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

/// Providers that say their key back, in every kind of failure.
fn quoting(status: u16, key: &str) -> Vec<Act> {
    let body = format!("{{\"error\":{{\"message\":\"bad key {key}!\"}}}}");
    let headers = [("content-type", "application/json"), ("x-key", key)];
    vec![Act::Write(http(status, &headers, body))]
}

async fn failing() -> Provider {
    Provider::first(vec![
        quoting(400, "sk-canary-bearer"),
        quoting(429, "sk-canary-bearer"),
        quoting(500, "sk-canary-pooled"),
        vec![Act::Reset],
        vec![
            Act::Write(b"sk-canary-pooled is no HTTP\r\n\r\n".to_vec()),
            Act::Close,
        ],
        stream_reply("one-chat", ANSWER),
        // The last: after it the keys are not used for a while.
        quoting(401, "sk-canary-bearer"),
        quoting(401, "sk-canary-pooled"),
    ])
    .await
}

/// A secret in every place that takes one: written, from the environment, and from a file.
fn everywhere(bases: [&str; 3], forward: std::net::SocketAddr, file: &str, log: &str) -> Config {
    let [one, two, three] = bases;
    Config::new()
        .provider("one", one)
        .with(
            "api_keys",
            &format!("[\"${{CANARY_BEARER}}\", \"${{file:{file}}}\"]"),
        )
        .without("api_key")
        .provider("two", two)
        .with("auth", "{ header: { api-key: sk-canary-header } }")
        .without("api_key")
        .provider("three", three)
        .with("auth", "{ query: { key: sk-canary-query } }")
        .without("api_key")
        .provider("four", "http://inside.invalid/v1")
        .with("api_key", "sk-canary-fourth")
        .with(
            "proxy",
            &format!("\"http://user:sk-canary-proxy@{forward}\""),
        )
        .route(
            "main",
            "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }, \
             { provider: four, tier: 4 }",
        )
        .server("admin: { address: ADMIN, token: sk-canary-admin }")
        .top("keys: [{ name: mobile, secret: sk-canary-client }]")
        .top(log)
        .env("CANARY_BEARER", "sk-canary-bearer")
}

#[tokio::test]
async fn neither_logs_nor_metrics_nor_answers_hold_a_secret() {
    for (log, store) in [
        (
            "log: { format: json, level: trace }",
            "store: sqlite:overspill.db",
        ),
        (
            "log: { format: text, level: trace }",
            "store: \"postgres://canary:sk-canary-store@127.0.0.1:1/records\"",
        ),
        ("log: { access: access.log, level: trace }", "store: off"),
    ] {
        let one = failing().await;
        let two = Provider::always(quoting(401, "sk-canary-header")).await;
        let three = Provider::always(quoting(503, "sk-canary-query")).await;
        let forward = Forward::refusing("HTTP/1.1 407 sk-canary-proxy").await;
        let files = gateway::Directory::new();
        let pooled = files.write("pooled", "sk-canary-pooled\n");
        let bases = [&one, &two, &three].map(Provider::base);
        let [a, b, c] = &bases;
        let config = everywhere([a, b, c], forward.address, pooled.to_str().unwrap(), log)
            .top(store)
            .top("traces: { otlp: \"http://127.0.0.1:1\", headers: { authorization: sk-canary-traces } }");
        let gateway = Gateway::start(&config).await;
        for n in 0..7 {
            let body = if n == 5 { ASK_STREAM } else { ASK };
            let request = Request::chat(body.replace("hi", QUESTION))
                .key("sk-canary-client")
                .header("cookie", "sk-canary-client");
            let reply = gateway.ask(request).await;
            innocent("an answer", &reply.text());
            innocent("a header", &format!("{:?}", reply.head));
        }
        assert!(one.count() >= 7 && !forward.asked().is_empty());
        for (refused, status) in [
            (Request::chat(ASK).key("sk-canary-wrong"), 401),
            (Request::chat("{\"model\":").key("sk-canary-client"), 400),
        ] {
            let reply = gateway.ask(refused).await.expect(status);
            innocent("a refusal", &reply.text());
        }
        gateway
            .rewrite(&config.top("keys: [{ secret: sk-canary-wrong, models: sk-canary-wrong }]"));
        let admin = async |request: Request, status| {
            let reply = request.key("sk-canary-admin").to(gateway.admin).await;
            innocent("the admin port", &reply.expect(status).text());
        };
        admin(Request::post("/api/reload", ""), 422).await;
        for path in [
            "/metrics",
            "/api/config",
            "/api/targets",
            "/api/measures",
            "/api/explain?model=acme/chat",
        ] {
            admin(Request::get(path), 200).await;
        }
        admin(Request::get("/api/nothing"), 404).await;
        for path in ["/api/usage", "/api/requests"] {
            let request = Request::get(path).key("sk-canary-admin");
            innocent(path, &request.to(gateway.admin).await.text());
        }
        let wrong = Request::get("/metrics").key("sk-canary-wrong");
        innocent(
            "a refusal",
            &wrong.to(gateway.admin).await.expect(401).text(),
        );
        written_down(&gateway, log.contains("access.log")).await;
    }
}

/// What it said, and every file it made.
async fn written_down(gateway: &Gateway, to_file: bool) {
    let ours = ["overspill.yaml", "overspill.yaml.new"];
    let folder = gateway.beside("");
    let files = || {
        let all = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        all.filter(|path| !ours.iter().any(|name| path.ends_with(name)))
    };
    let said = || {
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        files()
            .map(read)
            .chain([gateway.output()])
            .collect::<String>()
    };
    // Seven and two requests, each with a line.
    until("all lines are written", ms(5000), || {
        said().matches("/v1/chat/completions").count() >= 9
    })
    .await;
    assert_eq!(files().any(|path| path.ends_with("access.log")), to_file);
    let said = said();
    innocent("what is written down", &said);
    assert!(!said.contains(QUESTION) && !said.contains(ANSWER), "{said}");
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
