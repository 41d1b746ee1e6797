//! The client against the scripted provider directly: what the tests stand on.

use super::answers::{http, last, part, sse_head};
use super::h2_client::H2Conn;
use super::h2_provider::H2Provider;
use super::provider::Refusing;
use super::tls::Identity;
use super::voice::{ONE, TWO, prefill};
use super::wire::{Framing, chunk};
use super::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn the_provider_keeps_what_it_was_sent_and_the_connection() {
    let provider = Provider::well().await;
    let mut conn = Conn::open(provider.address).await;
    let request = Request::chat(ASK).header("X-Odd", "  a b ");
    conn.ask(&request).await.expect(200);
    conn.ask(&Request::chat(ASK).chunked(1)).await.expect(200);
    let seen = provider.seen();
    assert_eq!(seen[0].head, request.head_bytes());
    assert_eq!(seen[0].get("x-odd"), Some("a b"));
    assert_eq!(seen[0].text(), ASK);
    assert_eq!(seen[1].text(), ASK);
    assert_eq!(
        (seen[1].chunked, seen[1].turn, seen[1].connection),
        (true, 1, 0)
    );
    assert_eq!(provider.connections().len(), 1);
    drop(conn);
    until("the end is seen", ms(1000), || provider.all_closed()).await;
}

#[tokio::test]
async fn resets_closes_and_refusals_are_told_apart() {
    let reset = Provider::always(vec![Act::Reset]).await;
    let mut conn = Conn::open(reset.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    let error = conn.try_head().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let close = Provider::always(vec![Act::Close]).await;
    let mut conn = Conn::open(close.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    let error = conn.try_head().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);

    let refusing = Refusing::new();
    let error = tokio::net::TcpStream::connect(refusing.address)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_gate_holds_a_stream_and_a_client_that_leaves_is_seen() {
    let gate = Arc::new(Semaphore::new(0));
    let acts = vec![
        sse_head(),
        part("data: 1\n\n"),
        Act::Gate(gate.clone()),
        part("data: 2\n\n"),
        last(),
    ];
    let provider = Provider::always(acts).await;
    let mut conn = Conn::open(provider.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    let head = conn.head().await;
    let mut framing = Framing::Chunked;
    assert_eq!(conn.body_until(&mut framing, "1").await, "data: 1\n\n");
    gate.add_permits(1);
    let rest = conn.rest(head, "POST").await;
    assert_eq!((rest.text().as_str(), rest.broken), ("data: 2\n\n", None));

    conn.send(&Request::chat(ASK).bytes()).await;
    conn.head().await;
    drop(conn);
    until("the close is seen", ms(1000), || provider.all_closed()).await;
    assert_eq!(gate.available_permits(), 0);
}

#[tokio::test]
async fn what_is_written_every_so_often_ends_with_the_client() {
    let acts = vec![sse_head(), Act::Every(ms(10), chunk(b": x\n\n"))];
    let provider = Provider::always(acts).await;
    let mut conn = Conn::open(provider.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    conn.head().await;
    let mut framing = Framing::Chunked;
    for _ in 0..5 {
        assert_eq!(conn.body_until(&mut framing, "x").await, ": x\n\n");
    }
    drop(conn);
    until("the close is seen", ms(1000), || provider.all_closed()).await;
}

#[tokio::test]
async fn a_body_cut_short_is_not_a_whole_one() {
    let mut cut = http(200, &[], "0123456789");
    cut.truncate(cut.len() - 4);
    let provider = Provider::always(vec![Act::Write(cut), Act::Close]).await;
    let reply = Request::get("/").to(provider.address).await;
    assert_eq!(reply.body, b"012345");
    assert!(reply.broken.is_some());

    let acts = vec![sse_head(), Act::Write(chunk(b"abc")), Act::Close];
    let provider = Provider::always(acts).await;
    assert!(
        Request::get("/")
            .to(provider.address)
            .await
            .broken
            .is_some()
    );
}

#[tokio::test]
async fn h2_over_tls_reaches_the_h2_provider() {
    let identity = Identity::new();
    let provider = H2Provider::start(identity.acceptor(&["h2"])).await;
    let (stream, agreed) = identity.connect(provider.address, &["h2"]).await;
    assert_eq!(agreed.as_deref(), Some("h2"));
    let mut conn = H2Conn::open(stream).await;
    let mut reply = conn.ask(&Request::chat(ASK)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().await.contains("acme/chat"));
    let mut reply = conn.ask(&Request::chat(ASK_STREAM)).await;
    assert!(reply.until("[DONE]").await.contains("hello"));
    assert_eq!(provider.seen().len(), 2);
}

#[tokio::test]
async fn a_stream_is_read_as_a_library_reads_it() {
    let provider = Provider::always(ONE.stream(["Hello ", "wörld"])).await;
    let reply = Request::chat(ASK_STREAM).to(provider.address).await;
    let text = reply.text().replace(ONE.model, "acme/chat");
    let said = Said::in_text(&text);
    said.whole("Hello wörld");
    assert_eq!((said.roles, said.pings, said.usage.len()), (1, 0, 0));
    assert_eq!(prefill(&provider.only()), None);

    let words = ONE.say("a").replace(ONE.model, "acme/chat");
    let error = "data: {\"error\":{\"message\":\"m\",\"metadata\":{\"reason\":\"r\"}}}\n\n";
    Said::in_text(&format!(": ping\n\n{words}{error}")).broken("a", "r");
    let two = [
        ONE.say("a"),
        TWO.say("b"),
        TWO.finish("stop"),
        answers::DONE.into(),
    ];
    for wrong in [
        two.concat(),
        format!("{words}{error}{words}"),
        format!("{words}data: [DONE]\n\n"),
        format!("{words}data: {{\n\n"),
    ] {
        let read = std::panic::catch_unwind(|| Said::in_text(&wrong).whole("ab"));
        assert!(read.is_err(), "{wrong}");
    }
}
