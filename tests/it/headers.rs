//! Headers: what goes on, what stays, and how the provider is told who calls.

use crate::harness::answers::http;
use crate::harness::*;

#[tokio::test]
async fn only_what_is_meant_for_a_provider_reaches_it() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let kept = [
        ("accept", "application/json"),
        ("user-agent", "my-app/1.0 (x)"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "congo=t61rcWkgMzE"),
        ("openai-beta", "assistants=v2"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "tools-2024"),
    ];
    let dropped = [
        ("authorization", "Bearer sk-of-the-client"),
        ("proxy-authorization", "Basic abc"),
        ("x-api-key", "sk-of-the-client"),
        ("api-key", "sk-of-the-client"),
        ("x-goog-api-key", "sk-of-the-client"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "a"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("via", "1.1 a"),
        ("origin", "https://a"),
        ("referer", "https://a/b"),
        ("x-overspill-tags", "a,b"),
        ("x-overspill-session", "s"),
        ("x-overspill-anything", "s"),
        ("x-team", "red"),
        ("te", "trailers"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("trailer", "x-a"),
        ("upgrade", "h2c"),
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-1"),
        ("if-none-match", "x"),
    ];
    let mut request = Request::chat(ASK);
    for (name, value) in kept.iter().chain(&dropped) {
        request = request.header(name, value);
    }
    gateway.ask(request).await.expect(200);
    let seen = provider.only();
    for (name, value) in kept {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    for (name, value) in dropped {
        assert!(!seen.all(name).contains(&value), "{name} went upstream");
    }
    assert_eq!(seen.all("accept-encoding"), ["identity"]);
    assert_eq!(seen.all("content-type"), ["application/json"]);
    assert_eq!(seen.all("host"), [provider.address.to_string()]);
    assert_eq!(seen.all("authorization"), ["Bearer sk-one-upstream"]);
    assert!(seen.get("x-request-id").is_none_or(|id| !id.is_empty()));
    let overspill = |(name, _): &&(String, String)| name.to_lowercase().starts_with("x-overspill");
    assert_eq!(seen.headers.iter().find(overspill), None);
}

#[tokio::test]
async fn a_route_may_let_more_through() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).on_route("forward", "[x-team]")).await;
    let request = Request::chat(ASK)
        .header("X-Team", "red")
        .header("x-other", "1");
    gateway.ask(request).await.expect(200);
    let seen = provider.only();
    assert_eq!(seen.all("x-team"), ["red"]);
    assert_eq!(seen.get("x-other"), None);

    // What the client calls hop-by-hop goes no further, even so.
    let request = Request::chat(ASK)
        .header("x-team", "red")
        .header("connection", "x-team, keep-alive");
    gateway.ask(request).await.expect(200);
    assert_eq!(provider.seen()[1].get("x-team"), None);
    assert!(
        provider.seen()[1]
            .all("connection")
            .iter()
            .all(|v| !v.contains("x-team"))
    );
}

#[tokio::test]
async fn only_what_is_meant_for_the_client_comes_back() {
    let headers = [
        ("content-type", "application/json"),
        ("x-team", "red"),
        ("set-cookie", "a=b"),
        ("alt-svc", "h3=\":443\""),
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-tokens", "5"),
        ("anthropic-ratelimit-requests-limit", "7"),
        ("server", "cloudflare"),
        ("via", "1.1 google"),
        ("strict-transport-security", "max-age=1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=4"),
        ("proxy-authenticate", "Basic"),
        ("x-overspill-provider", "forged"),
        ("x-overspill-forged", "1"),
        ("access-control-allow-origin", "*"),
        ("openai-organization", "ours"),
    ];
    for body in [ASK, ASK_STREAM] {
        let provider = Provider::always(vec![Act::Write(http(
            200,
            &headers,
            chat("one-chat", "hello"),
        ))])
        .await;
        let gateway = Gateway::start(&Config::one(&provider)).await;
        let reply = gateway.chat(body).await.expect(200);
        for (name, value) in &headers[1..] {
            assert!(!reply.head.all(name).contains(value), "{name} came back");
        }
        assert_eq!(reply.head.all("x-overspill-provider"), ["one"]);
        assert_eq!(reply.head.all("content-type"), ["application/json"]);
        assert_eq!(reply.head.all("x-request-id").len(), 1);
    }
}

#[tokio::test]
async fn credentials_go_where_the_provider_wants_them() {
    let provider = Provider::well().await;
    let start = |field: &'static str, value: &'static str| {
        let config = Config::one(&provider)
            .env("UP_KEY", "sk-up-1")
            .with("auth", value);
        let config = if field == "none" {
            config.without("api_key")
        } else {
            config
        };
        async move { Gateway::start(&config).await }
    };
    let last = || provider.seen().pop().unwrap();
    let ask = || Request::chat(ASK).key("sk-of-the-client");

    start("bearer", "bearer").await.ask(ask()).await.expect(200);
    assert_eq!(last().all("authorization"), ["Bearer sk-one-upstream"]);

    start("none", "{ header: { api-key: \"${UP_KEY}\" } }")
        .await
        .ask(ask())
        .await
        .expect(200);
    assert_eq!(last().all("api-key"), ["sk-up-1"]);
    assert_eq!(last().get("authorization"), None);

    start("none", "{ query: { key: \"${UP_KEY}\" } }")
        .await
        .ask(ask())
        .await
        .expect(200);
    assert_eq!(last().target, "/v1/chat/completions?key=sk-up-1");
    assert_eq!(last().get("authorization"), None);

    start("none", "{ query: { key: \"a&b=c d/ü+#\" } }")
        .await
        .ask(ask())
        .await
        .expect(200);
    assert!(
        last()
            .target
            .to_uppercase()
            .starts_with("/V1/CHAT/COMPLETIONS?KEY=A%26B%3DC%20D"),
        "{}",
        last().target
    );

    start("none", "none").await.ask(ask()).await.expect(200);
    assert_eq!(last().get("authorization"), None);
    assert_eq!(last().target, "/v1/chat/completions");
}

#[tokio::test]
async fn the_request_line_and_the_host_are_the_providers() {
    let provider = Provider::well().await;
    let port = provider.address.port();
    for (base, path) in [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/a/b/", "/a/b/chat/completions"),
    ] {
        let config = Config::new()
            .provider("one", &format!("http://localhost:{port}{base}"))
            .route("main", "{ provider: one }");
        let gateway = Gateway::start(&config).await;
        gateway
            .ask(Request::chat(ASK).only("host", "evil.test"))
            .await
            .expect(200);
        let seen = provider.seen().pop().unwrap();
        assert_eq!(seen.target, path);
        assert_eq!(seen.all("host"), [format!("localhost:{port}")]);
        assert!(!String::from_utf8_lossy(&seen.head).contains("evil.test"));
    }
}
