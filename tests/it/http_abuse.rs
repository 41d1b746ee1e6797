//! HTTP that is wrong on purpose.

use crate::harness::*;

async fn open() -> (Provider, Gateway) {
    let provider = Provider::well().await;
    let config = Config::one(&provider)
        .server("header_timeout: 1s")
        .server("body_timeout: 1s")
        .server("keepalive: 1s");
    (provider, Gateway::start(&config).await)
}

/// Sends the bytes and reads until the gateway closes; gives the status lines of what came.
async fn statuses(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let mut conn = Conn::open(gateway.address).await;
    // The gateway may close while this is still being sent.
    let _ = within("send", ms(20_000), conn.wire.send(bytes)).await;
    let text = String::from_utf8_lossy(&conn.closed(ms(20_000)).await).into_owned();
    let status = |rest: &str| rest.get(..3).and_then(|s| s.parse().ok()).unwrap_or(0);
    text.split("HTTP/1.1 ").skip(1).map(status).collect()
}

#[tokio::test]
async fn garbage_is_refused_or_dropped() {
    let (provider, gateway) = open().await;
    let long_header = format!(
        "GET /health HTTP/1.1\r\nx: {}\r\n\r\n",
        "a".repeat(2_000_000)
    );
    let many_headers = format!("GET /health HTTP/1.1\r\n{}\r\n", "x: 1\r\n".repeat(20_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(2_000_000));
    let chat =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let bad_length = |value: &str| format!("{chat}content-length: {value}\r\n\r\n{ASK}");
    let bad_chunk = |text: &str| format!("{chat}transfer-encoding: chunked\r\n\r\n{text}");
    let cases = vec![
        "\0\0\0\0\r\n\r\n".to_string(),
        "\r\n".repeat(1000) + "\r\n",
        "GET\r\n\r\n".into(),
        "GET /health\r\n\r\n".into(),
        "GET /health HTTP/9.9\r\nhost: x\r\n\r\n".into(),
        "GET /health HTTP/1.1\r\nno colon\r\n\r\n".into(),
        "GET /health HTTP/1.1\r\n: empty\r\n\r\n".into(),
        "GET /health HTTP/1.1\r\nhost: x\r\nbad name: 1\r\n\r\n".into(),
        "GET /health HTTP/1.1\r\nhost: a\0b\r\n\r\n".into(),
        long_header,
        many_headers,
        long_path,
        bad_length("-1"),
        bad_length("abc"),
        bad_length("99999999999999999999999"),
        bad_length(&format!("+{}", ASK.len())),
        bad_length(&format!("0x{:x}", ASK.len())),
        bad_chunk("zz\r\n{}\r\n0\r\n\r\n"),
        bad_chunk("-1\r\n{}\r\n0\r\n\r\n"),
        bad_chunk("ffffffffffffffff\r\n{}"),
        bad_chunk("fffffffffffffffff\r\n{}"),
        bad_chunk("2\r\n{}xx\r\n0\r\n\r\n"),
        format!("{chat}transfer-encoding: gzip\r\n\r\n{ASK}"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot really".into(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}client hello".into(),
    ];
    for case in &cases {
        let shown: String = case.chars().take(200).collect();
        let shown = shown.replace(chat, "");
        for status in statuses(&gateway, case.as_bytes()).await {
            assert!((400..=505).contains(&status), "{status} for {shown:?}");
        }
    }
    assert_eq!(provider.count(), 0);
    gateway.chat(ASK).await.expect(200);
    assert!(
        gateway.peak_memory() < 64 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
}

#[tokio::test]
async fn a_second_request_is_not_smuggled_in_a_first() {
    let (provider, gateway) = open().await;
    let hidden = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: smuggled\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        ASK.len()
    );
    let start = "POST /v1/nowhere HTTP/1.1\r\nhost: x\r\n";
    for head in [
        format!("{start}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{start}content-length: 0\r\ncontent-length: 999\r\n\r\n"),
        format!("{start}content-length: 0, 999\r\n\r\n"),
        format!("{start}transfer-encoding: xchunked\r\ncontent-length: 0\r\n\r\n"),
        format!("{start}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{start}transfer-encoding : chunked\r\ncontent-length: 0\r\n\r\n"),
        format!("{start}content-length\t: 0\r\n\r\n"),
    ] {
        let bytes = format!("{head}{hidden}{ASK}");
        statuses(&gateway, bytes.as_bytes()).await;
        assert_eq!(provider.count(), 0, "{head:?}");
    }
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn a_header_cannot_be_split_into_the_upstream_request() {
    let (provider, gateway) = open().await;
    for value in ["a\rb: c", "a\nx-evil: 1", "a\r\n x-evil: 1", "a\0b"] {
        let request = Request::chat(ASK)
            .header("user-agent", value)
            .header("x-request-id", value);
        statuses(&gateway, &request.bytes()).await;
    }
    let request = Request::chat(ASK)
        .header("user-agent", "café \t x")
        .header("connection", "close");
    statuses(&gateway, &request.bytes()).await;
    for seen in provider.seen() {
        assert_eq!(seen.get("x-evil"), None);
        assert_eq!(seen.get("b"), None);
    }
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn a_stray_line_end_after_the_body_does_no_harm() {
    let (provider, gateway) = open().await;
    let mut conn = Conn::open(gateway.address).await;
    let mut bytes = Request::chat(ASK).bytes();
    bytes.extend_from_slice(b"\r\n");
    conn.send(&bytes).await;
    conn.reply("POST").await.expect(200);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn the_first_of_two_requests_sent_at_once_is_answered_whole() {
    let acts = vec![
        Act::Sleep(ms(100)),
        json_reply(200, chat("one-chat", "hello")),
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    let bytes = [Request::chat(ASK).bytes(), Request::get("/health").bytes()].concat();
    conn.send(&bytes).await;
    let first = conn.reply("POST").await.expect(200);
    assert_eq!(first.json()["model"], "acme/chat");
    // The second is answered too, or the connection closes; it is never left open in silence.
    if conn.try_head().await.map(|head| head.status).unwrap_or(200) != 200 {
        panic!("the second request was not understood");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_still_gets_its_answer_or_a_close() {
    let acts = vec![
        Act::Sleep(ms(100)),
        json_reply(200, chat("one-chat", "hello")),
    ];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    tokio::io::AsyncWriteExt::shutdown(&mut conn.wire.io)
        .await
        .unwrap();
    // Half-closed looks like gone; both are honest, hanging is not.
    conn.closed(ms(5000)).await;
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let (_provider, gateway) = open().await;
    let mut conn = Conn::open(gateway.address).await;
    let length = ASK.len();
    conn.send(
        format!(
            "POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{ASK}"
        )
        .as_bytes(),
    )
    .await;
    let said = String::from_utf8_lossy(&conn.closed(ms(5000)).await).into_owned();
    assert!(
        said.contains(" 200 ") && said.contains("acme/chat"),
        "{said}"
    );
}
