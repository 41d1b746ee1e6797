//! Routes with `mode: stream`: anything in, anything out, nothing kept.

use crate::harness::answers::{head, http};
use crate::harness::wire::{Framing, chunk};
use crate::harness::*;
use sha2::{Digest, Sha256};

pub fn through(provider: &Provider) -> Config {
    Config::new()
        .provider("one", &provider.base())
        .route("audio", "{ provider: one }")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream")
}

#[tokio::test]
async fn any_method_type_and_body_passes() {
    let kind = ("content-type", "audio/mpeg");
    let sound: Vec<u8> = (0..100_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let provider = Provider::always(vec![Act::Write(http(201, &[kind], &sound))]).await;
    let gateway = Gateway::start(&through(&provider)).await;
    let binary: Vec<u8> = (0..=255).collect();
    for (n, method) in ["POST", "PUT", "PATCH", "DELETE", "GET"]
        .into_iter()
        .enumerate()
    {
        for chunks in [None, Some(50)] {
            let before = provider.count();
            let mut request = Request::new(method, "/v1/audio/translations?a=1&b=%20x")
                .header("content-type", "multipart/form-data; boundary=\"x y\"")
                .key("sk-of-the-client");
            if method != "GET" {
                request.body = binary.clone();
                request.chunks = chunks;
            }
            let reply = gateway.ask(request).await.expect(201);
            assert!(reply.body == sound, "{n}");
            assert_eq!(reply.get("content-type"), Some("audio/mpeg"));
            let seen = provider.seen().remove(before);
            assert_eq!(seen.method, method);
            assert_eq!(seen.target, "/v1/audio/translations?a=1&b=%20x");
            assert_eq!(seen.all("host"), [provider.address.to_string()]);
            assert_eq!(seen.all("authorization"), ["Bearer sk-one-upstream"]);
            if method != "GET" {
                assert_eq!(seen.body, binary);
                assert_eq!(
                    seen.get("content-type"),
                    Some("multipart/form-data; boundary=\"x y\"")
                );
            }
        }
    }
}

#[tokio::test]
async fn headers_pass_by_the_same_lists() {
    let headers = [
        ("content-type", "text/plain"),
        ("set-cookie", "a=b"),
        ("alt-svc", "h3"),
    ];
    let provider = Provider::always(vec![Act::Write(http(200, &headers, "x"))]).await;
    let gateway = Gateway::start(&through(&provider).on_route("forward", "[x-team]")).await;
    let mut request = Request::post("/v1/audio/speech", "{}")
        .header("cookie", "a=b")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-overspill-tags", "a")
        .header("x-api-key", "sk-of-the-client")
        .header("baggage", "a=b")
        .header("idempotency-key", "a")
        .header("openai-organization", "org")
        .header("openai-project", "proj")
        .header("x-team", "red");
    request = request.header("user-agent", "app/1");
    let reply = gateway.ask(request).await.expect(200);
    assert_eq!(
        (reply.get("set-cookie"), reply.get("alt-svc")),
        (None, None)
    );
    assert!(reply.get("x-request-id").is_some());
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
    let seen = provider.only();
    for name in [
        "cookie",
        "x-forwarded-for",
        "x-overspill-tags",
        "x-api-key",
        "baggage",
        "idempotency-key",
        "openai-organization",
        "openai-project",
    ] {
        assert_eq!(seen.get(name), None, "{name} went upstream");
    }
    assert_eq!(
        (seen.get("x-team"), seen.get("user-agent")),
        (Some("red"), Some("app/1"))
    );
}

#[tokio::test]
async fn errors_come_back_as_they_are() {
    let page = "<html>no such file</html>";
    let kind = ("content-type", "text/html");
    for status in [400, 404, 500] {
        let provider = Provider::always(vec![Act::Write(http(status, &[kind], page))]).await;
        let gateway = Gateway::start(&through(&provider)).await;
        let reply = gateway
            .ask(Request::post("/v1/audio/x", "y"))
            .await
            .expect(status);
        assert_eq!(
            (reply.text().as_str(), reply.get("content-type")),
            (page, Some("text/html"))
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_a_502_with_an_error_in_json() {
    let refusing = crate::harness::provider::Refusing::new();
    let config = Config::new()
        .provider("one", &refusing.base())
        .route("audio", "{ provider: one }")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.ask(Request::post("/v1/audio/x", "y")).await;
    crate::refusals::refused(reply, 502, "provider_");
}

#[tokio::test]
async fn a_key_is_asked_for_here_too() {
    let provider = Provider::well().await;
    let config = through(&provider).top("keys: [{ name: a, secret: sk-client-a }]");
    let gateway = Gateway::start(&config).await;
    let ask = || Request::post("/v1/audio/x", "y");
    crate::refusals::refused(gateway.ask(ask()).await, 401, "policy_key");
    assert_eq!(provider.connections().len(), 0);
    gateway.ask(ask().key("sk-client-a")).await.expect(200);
    assert_eq!(
        provider.only().all("authorization"),
        ["Bearer sk-one-upstream"]
    );
}

#[tokio::test]
async fn three_hundred_megabytes_pass_in_constant_memory() {
    const SIZE: u64 = 300 << 20;
    let provider = Provider::counting(|_, _| vec![json_reply(200, "{}")]).await;
    // Far more than a routed call may have.
    let gateway = Gateway::start(&through(&provider).server("max_body: 1MiB")).await;
    let block: Vec<u8> = (0..1u32 << 20).map(|n| (n * 7 % 253) as u8).collect();
    let mut hash = Sha256::new();
    for chunked in [false, true] {
        let mut request = Request::new("POST", "/v1/audio/files");
        request = match chunked {
            true => request.header("transfer-encoding", "chunked"),
            false => request.header("content-length", &SIZE.to_string()),
        };
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut conn = Conn::open(gateway.address).await;
        conn.send(format!("{head}\r\n").as_bytes()).await;
        for _ in 0..SIZE / block.len() as u64 {
            hash.update(&block);
            match chunked {
                true => conn.send(&chunk(&block)).await,
                false => conn.send(&block).await,
            }
        }
        if chunked {
            conn.send(b"0\r\n\r\n").await;
        }
        conn.reply("POST").await.expect(200);
        let seen = provider.seen().pop().unwrap();
        assert_eq!(seen.length, SIZE);
        assert_eq!(seen.sha256[..], hash.finalize_reset()[..]);
        assert!(
            gateway.peak_memory() < 40_000_000,
            "{} bytes",
            gateway.peak_memory()
        );
    }
}

#[tokio::test]
async fn what_comes_back_streams_as_well() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let headers = [
        ("content-type", "audio/mpeg"),
        ("transfer-encoding", "chunked"),
    ];
    let acts = vec![
        Act::Write(head(200, &headers)),
        Act::Write(chunk(b"first")),
        Act::Gate(gate.clone()),
        Act::Write(chunk(b"second")),
        Act::Write(b"0\r\n\r\n".to_vec()),
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::post("/v1/audio/speech", "{}").bytes())
        .await;
    let answer = conn.head().await;
    conn.body_until(&mut answer.framing("POST"), "first").await;
    gate.add_permits(1);
    assert_eq!(conn.rest(answer, "POST").await.expect(200).text(), "second");
}

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                        connection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn handshake() -> Request {
    Request::get("/v1/audio/realtime?model=x")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "realtime")
        .key("sk-of-the-client")
}

#[tokio::test]
async fn an_upgraded_connection_speaks_both_ways() {
    let provider = Provider::always(vec![Act::Write(SWITCHED.into()), Act::Echo]).await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&handshake().bytes()).await;
    let answer = conn.head().await;
    assert_eq!(answer.status, 101);
    assert!(
        answer
            .get("upgrade")
            .unwrap()
            .eq_ignore_ascii_case("websocket")
    );
    assert_eq!(
        answer.get("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let mut framing = Framing::UntilClose;
    for n in 0..20 {
        let word = format!("\u{1}frame{n}\r\n0\r\n\r\n");
        conn.send(word.as_bytes()).await;
        assert_eq!(conn.body_until(&mut framing, &word).await, word);
    }
    let seen = provider.only();
    assert_eq!(seen.all("authorization"), ["Bearer sk-one-upstream"]);
    assert_eq!(
        seen.get("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(seen.get("sec-websocket-protocol"), Some("realtime"));
    assert!(
        seen.get("upgrade")
            .unwrap()
            .eq_ignore_ascii_case("websocket")
    );
    drop(conn);
    until("the provider sees the end", ms(2000), || {
        provider.all_closed()
    })
    .await;
}

#[tokio::test]
async fn an_upgraded_connection_may_be_silent_and_ends_without_a_word_of_ours() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let acts = vec![
        Act::Write(SWITCHED.into()),
        Act::Gate(gate.clone()),
        Act::Write(b"last".to_vec()),
        Act::Reset,
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&through(&provider).server("body_timeout: 100ms")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&handshake().bytes()).await;
    assert_eq!(conn.head().await.status, 101);
    // Longer than a body may stop.
    tokio::time::sleep(ms(500)).await;
    gate.add_permits(1);
    let said = conn.closed(ms(5000)).await;
    // What came right before a reset may be lost with it.
    assert!(b"last".starts_with(&said), "{said:?}");
    assert!(!said.is_empty() || provider.written().len() == 2);
}

#[tokio::test]
async fn no_other_upgrade_goes_through() {
    let provider = Provider::always(vec![json_reply(200, "{}")]).await;
    let gateway = Gateway::start(&through(&provider).on_route("forward", "[x-team]")).await;
    let request = Request::get("/v1/audio/x")
        .header("connection", "Upgrade, HTTP2-Settings, x-team")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .header("x-team", "red");
    gateway.ask(request).await.expect(200);
    let seen = provider.only();
    for name in ["upgrade", "http2-settings", "x-team"] {
        assert_eq!(seen.get(name), None, "{name} went upstream");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_it_here_too() {
    let headers = [
        ("content-type", "audio/mpeg"),
        ("transfer-encoding", "chunked"),
    ];
    let acts = vec![
        Act::Write(head(200, &headers)),
        Act::Write(chunk(b"first")),
        Act::Hang,
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::post("/v1/audio/speech", "{}").bytes())
        .await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    drop(conn);
    until("the provider is hung up on", ms(1000), || {
        provider.all_closed()
    })
    .await;
}
