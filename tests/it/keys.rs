//! Who may ask, and for what.

use crate::harness::*;
use crate::refusals::refused;
use sha2::{Digest, Sha256};

async fn keyed() -> (Provider, Gateway) {
    let provider = Provider::well().await;
    let hash: String = Sha256::digest("sk-client-hashed")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let config = Config::new()
        .provider("one", &provider.base())
        .with(
            "models",
            "{ \"acme/chat\": { name: one-chat }, \"acme/dear\": { name: one-dear } }",
        )
        .route("main", "{ provider: one }")
        .top("keys:")
        .top("  - { name: all, secret: sk-client-all }")
        .top("  - { name: some, secret: \"${SOME_KEY}\", models: [\"acme/ch*\"] }")
        .top(&format!("  - {{ name: hashed, sha256: {hash} }}"))
        .env("SOME_KEY", "sk-client-some");
    (provider, Gateway::start(&config).await)
}

#[tokio::test]
async fn without_a_good_key_nothing_goes_out() {
    let (provider, gateway) = keyed().await;
    let long = format!("Bearer {}", "x".repeat(4000));
    let mut asked = vec![Request::chat(ASK), Request::get("/v1/models")];
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer sk-client",
        "Bearer sk-client-all2",
        "Bearer SK-CLIENT-ALL",
        "Bearer sk-client-all sk-client-all",
        "Bearer sk-one-upstream",
        "Basic c2stY2xpZW50LWFsbDo=",
        "Bearersk-client-all",
        "Token sk-client-all",
        "\u{e9}",
        &long,
    ] {
        asked.push(Request::chat(ASK).header("authorization", value));
    }
    asked.push(Request::chat("not even json"));
    asked.push(Request::chat(ASK).header("cookie", "authorization=Bearer sk-client-all"));
    for request in asked {
        let body = refused(gateway.ask(request).await, 401, "policy_key");
        assert!(!body.to_string().contains("sk-client"), "{body}");
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn good_keys_pass_plain_and_hashed() {
    let (provider, gateway) = keyed().await;
    for key in ["sk-client-all", "sk-client-some", "sk-client-hashed"] {
        gateway.ask(Request::chat(ASK).key(key)).await.expect(200);
    }
    let scheme = Request::chat(ASK).header("Authorization", "bearer sk-client-all");
    gateway.ask(scheme).await.expect(200);
    for seen in provider.seen() {
        assert_eq!(seen.all("authorization"), ["Bearer sk-one-upstream"]);
    }
}

#[tokio::test]
async fn the_401_comes_before_the_body() {
    let (provider, gateway) = keyed().await;
    let request = Request::chat(vec![b'x'; 1000]).key("wrong");
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&request.head_bytes()).await;
    let start = Instant::now();
    refused(conn.reply("POST").await, 401, "policy_key");
    assert!(start.elapsed() < ms(2000), "{:?}", start.elapsed());
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn a_client_that_sends_it_all_first_still_reads_the_401() {
    let (provider, gateway) = keyed().await;
    for chunks in [None, Some(64 * 1024)] {
        let mut request = Request::chat(vec![b'x'; 20 << 20]).key("wrong");
        request.chunks = chunks;
        refused(gateway.ask(request).await, 401, "policy_key");
    }
    assert_eq!(provider.connections().len(), 0);
    assert!(
        gateway.peak_memory() < 64 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
}

#[tokio::test]
async fn a_key_asks_only_for_its_models() {
    let (provider, gateway) = keyed().await;
    let dear = r#"{"model":"acme/dear","messages":[]}"#;
    refused(
        gateway.ask(Request::chat(dear).key("sk-client-some")).await,
        403,
        "policy_model",
    );
    assert_eq!(provider.connections().len(), 0);
    gateway
        .ask(Request::chat(dear).key("sk-client-all"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_route_may_be_for_some_keys() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .route("mine", "{ provider: one }")
        .on_route("match", "{ models: [\"acme/*\"], keys: [a] }")
        .route("rest", "{ provider: two }")
        .top("keys: [{ name: a, secret: sk-client-a }, { name: b, secret: sk-client-b }]");
    let gateway = Gateway::start(&config).await;
    gateway
        .ask(Request::chat(ASK).key("sk-client-a"))
        .await
        .expect(200);
    gateway
        .ask(Request::chat(ASK).key("sk-client-b"))
        .await
        .expect(200);
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[tokio::test]
async fn routes_match_by_host_header_and_path() {
    let (one, two, three) = (
        Provider::well().await,
        Provider::well().await,
        Provider::well().await,
    );
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .provider("three", &three.base())
        .route("host", "{ provider: one }")
        .on_route("match", "{ models: [\"acme/*\"], host: eu.gateway.test }")
        .route("header", "{ provider: two }")
        .on_route(
            "match",
            "{ models: [\"acme/*\"], headers: { x-tier: gold } }",
        )
        .route("rest", "{ provider: three }");
    let gateway = Gateway::start(&config).await;
    for host in ["eu.gateway.test", "EU.gateway.test", "eu.gateway.test:8080"] {
        gateway
            .ask(Request::chat(ASK).only("host", host))
            .await
            .expect(200);
    }
    gateway
        .ask(Request::chat(ASK).header("X-Tier", "gold"))
        .await
        .expect(200);
    gateway
        .ask(Request::chat(ASK).header("x-tier", "golden"))
        .await
        .expect(200);
    gateway
        .ask(Request::chat(ASK).only("host", "us.gateway.test"))
        .await
        .expect(200);
    assert_eq!((one.count(), two.count(), three.count()), (3, 1, 2));
}
