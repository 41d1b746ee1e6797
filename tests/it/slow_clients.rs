//! Clients that stop half way: in their head, in their body, in reading the answer.

use crate::harness::answers::{event, sse_head};
use crate::harness::wire::chunk;
use crate::harness::*;
use crate::refusals::refused;

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).server("header_timeout: 500ms")).await;
    let whole = Request::chat(ASK).head_bytes();
    for sent in [0, 1, 4, 20, whole.len() - 2] {
        let mut conn = Conn::open(gateway.address).await;
        if sent > 0 {
            conn.send(&whole[..sent]).await;
        }
        let start = Instant::now();
        conn.closed(ms(8000)).await;
        let waited = start.elapsed();
        assert!(
            (ms(400)..ms(4000)).contains(&waited),
            "{sent} bytes sent: {waited:?}"
        );
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_keepalive_and_no_longer() {
    let provider = Provider::well().await;
    let config = Config::one(&provider)
        .server("keepalive: 2s")
        .server("header_timeout: 500ms");
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.ask(&Request::chat(ASK)).await.expect(200);
    // Longer than a first head may take, shorter than an idle connection is kept.
    tokio::time::sleep(ms(1000)).await;
    conn.ask(&Request::chat(ASK)).await.expect(200);
    let start = Instant::now();
    conn.closed(ms(10_000)).await;
    assert!(
        (ms(1500)..ms(6000)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).server("body_timeout: 500ms")).await;
    for request in [Request::chat(ASK), Request::chat(ASK).chunked(10)] {
        let bytes = request.bytes();
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&bytes[..bytes.len() - 20]).await;
        let start = Instant::now();
        refused(conn.reply("POST").await, 408, "caller_timeout");
        assert!(
            (ms(400)..ms(4000)).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
        conn.closed(ms(5000)).await;
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn a_body_that_comes_slowly_but_steadily_is_taken() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).server("body_timeout: 800ms")).await;
    let request = Request::chat(ASK);
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&request.head_bytes()).await;
    for piece in ASK.as_bytes().chunks(ASK.len() / 8) {
        conn.send(piece).await;
        tokio::time::sleep(ms(200)).await;
    }
    conn.reply("POST").await.expect(200);
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go() {
    let flood = chunk(
        event("one-chat", &"word ".repeat(3000))
            .repeat(4)
            .as_bytes(),
    );
    let provider = Provider::always(vec![sse_head(), Act::Flood(flood)]).await;
    let config = Config::one(&provider).server("write_timeout: 500ms");
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    conn.head().await;
    until("the provider is hung up on", ms(10_000), || {
        provider.all_closed()
    })
    .await;
    assert_eq!(
        provider.count(),
        1,
        "a slow client is not a silent upstream"
    );
    assert!(
        gateway.peak_memory() < 64 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
    drop(conn);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_it_all() {
    let body = chat("one-chat", &"0123456789".repeat(1 << 20));
    let provider = Provider::always(vec![json_reply(200, &body)]).await;
    let config = Config::one(&provider)
        .server("write_timeout: 2s")
        .on_route("timeouts", "{ idle: 500ms }");
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    let head = conn.head().await;
    // Longer than the provider may be silent: it is the client that is slow, not the provider.
    tokio::time::sleep(ms(1200)).await;
    let reply = conn.rest(head, "POST").await.expect(200);
    assert!(reply.body == body.replace("\"one-chat\"", "\"acme/chat\"").as_bytes());
}
