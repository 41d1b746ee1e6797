//! Callers who send more than their request before it is answered, and what becomes of it.

use crate::harness::answers::{DONE, event, finish, head, last, part, sse_head};
use crate::harness::wire::{Wire, chunk};
use crate::harness::*;
use crate::http2::Tls;
use crate::passthrough::through;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Sent after the request, in a packet of its own.
fn early() -> [Vec<u8>; 4] {
    let another = Request::chat(ASK).bytes();
    [
        b"\r\n".to_vec(),
        b"G".to_vec(),
        another.clone(),
        another.repeat(200),
    ]
}

#[tokio::test]
async fn whoever_has_sent_more_is_missed_as_soon_when_it_leaves() {
    let begun = || vec![sse_head(), part(event("one-chat", "first")), Act::Hang];
    for (body, acts, shown) in [(ASK, vec![Act::Hang], ""), (ASK_STREAM, begun(), "first")] {
        for early in early() {
            for rude in [false, true] {
                let one = Provider::always(acts.clone()).await;
                let gateway = Gateway::start(&Config::one(&one).logged()).await;
                let mut conn = Conn::open(gateway.address).await;
                conn.send(&Request::chat(body).bytes()).await;
                until("the provider is asked", ms(5000), || one.count() == 1).await;
                if !shown.is_empty() {
                    let head = conn.head().await;
                    conn.body_until(&mut head.framing("POST"), shown).await;
                }
                conn.send(&early).await;
                tokio::time::sleep(ms(50)).await;
                assert!(!one.all_closed(), "nobody has left yet");
                if rude {
                    conn.wire.io.tcp().set_zero_linger().unwrap();
                }
                drop(conn);
                until("the provider is hung up on", ms(1500), || one.all_closed()).await;
                gateway.tells("caller_cancelled").await;
                assert_eq!(one.count(), 1);
            }
        }
    }
}

#[tokio::test]
async fn so_it_is_where_calls_stream_through() {
    let begun = vec![
        Act::Write(head(200, &[("transfer-encoding", "chunked")])),
        Act::Write(chunk(b"first")),
        Act::Hang,
    ];
    let plain = Request::post("/v1/audio/x", "abc");
    // What is offered and not taken up.
    let offering = Request::post("/v1/audio/x", "abc").header("upgrade", "h2c");
    for (request, acts, shown) in [(plain, vec![Act::Hang], ""), (offering, begun, "first")] {
        for early in early() {
            let one = Provider::always(acts.clone()).await;
            let gateway = Gateway::start(&through(&one)).await;
            let mut conn = Conn::open(gateway.address).await;
            conn.send(&request.bytes()).await;
            until("the provider is asked", ms(5000), || one.count() == 1).await;
            if !shown.is_empty() {
                let head = conn.head().await;
                conn.body_until(&mut head.framing("POST"), shown).await;
            }
            conn.send(&early).await;
            tokio::time::sleep(ms(50)).await;
            drop(conn);
            until("the provider is hung up on", ms(1500), || one.all_closed()).await;
        }
    }
}

#[tokio::test]
async fn requests_that_come_while_a_stream_is_answered_have_their_turn_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let end = gate.clone();
    let provider = Provider::start(move |_, seen| match seen.json()["stream"] == true {
        true => vec![
            sse_head(),
            part(event("one-chat", "first")),
            Act::Gate(end.clone()),
            part(finish("one-chat")),
            part(DONE),
            last(),
        ],
        false => chat_reply(seen),
    })
    .await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    let large = ASK.replace("hi", &"x".repeat(50_000));
    let next = [
        Request::chat(ASK).bytes(),
        Request::chat(large.clone()).bytes(),
    ]
    .concat();
    for cut in [1, 30, next.len() - 20, next.len()] {
        conn.send(&Request::chat(ASK_STREAM).bytes()).await;
        let head = conn.head().await;
        conn.body_until(&mut head.framing("POST"), "first").await;
        conn.send(&next[..cut]).await;
        tokio::time::sleep(ms(50)).await;
        gate.add_permits(1);
        let rest = conn.rest(head, "POST").await.text();
        assert!(rest.ends_with(DONE), "{rest}");
        conn.send(&next[cut..]).await;
        for _ in 0..2 {
            conn.reply("POST").await.expect(200);
        }
        let seen = provider.seen().pop().unwrap().text();
        assert_eq!(seen, large.replace("acme/chat", "one-chat"));
    }
}

#[tokio::test]
async fn a_route_that_streams_through_takes_turns_with_the_others() {
    let provider = Provider::start(|_, seen| match seen.target.contains("audio") {
        true => vec![Act::Write(answers::http(200, &[], "sound"))],
        false => chat_reply(seen),
    })
    .await;
    let config = Config::one(&provider)
        .route("audio", "{ provider: one }")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    let (sound, chat) = (
        Request::post("/v1/audio/x", "abc").bytes(),
        Request::chat(ASK).bytes(),
    );
    for order in [
        [&sound, &chat, &sound, &chat],
        [&chat, &sound, &sound, &chat],
    ] {
        conn.send(&order.map(Vec::as_slice).concat()).await;
        for request in order {
            let reply = conn.reply("POST").await.expect(200);
            assert_eq!(reply.text() == "sound", request == &sound);
        }
    }
}

/// A provider whose answers come when they are let, and what lets them.
async fn hesitant() -> (Provider, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let acts = vec![
        Act::Write(head(200, &[("content-length", "4")])),
        Act::Gate(gate.clone()),
        Act::Write(b"o".to_vec()),
        Act::Gate(gate.clone()),
        Act::Write(b"ver".to_vec()),
    ];
    (Provider::always(acts).await, gate)
}

async fn comes_as_it_comes(wire: Wire, gate: &Semaphore) {
    let mut conn = Conn { wire };
    conn.send(&Request::post("/v1/audio/x", "abc").bytes())
        .await;
    let answer = conn.head().await;
    gate.add_permits(1);
    conn.body_until(&mut answer.framing("POST"), "o").await;
    gate.add_permits(1);
    let mut rest = wire::Framing::Length(3);
    conn.body_until(&mut rest, "ver").await;
}

#[tokio::test]
async fn an_answer_of_known_length_streams_through_as_it_comes_too() {
    let (provider, gate) = hesitant().await;
    let gateway = Gateway::start(&through(&provider)).await;
    let wire = Conn::open(gateway.address).await.wire;
    comes_as_it_comes(wire, &gate).await;
}

#[tokio::test]
async fn over_tls_as_well() {
    let (provider, gate) = hesitant().await;
    let tls = Tls::start(through(&provider)).await;
    let (stream, _) = tls.identity.connect(tls.gateway.address, &[]).await;
    comes_as_it_comes(Wire::new(stream), &gate).await;
}

#[tokio::test]
async fn whoever_wants_to_part_may_say_so_on_any_line() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for lines in [
        "connection: close\r\n",
        "connection: x, Close\r\n",
        "connection: keep-alive\r\nconnection: close\r\n",
    ] {
        let mut conn = Conn::open(gateway.address).await;
        let request = format!("GET /health HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        conn.send(request.as_bytes()).await;
        let said = String::from_utf8(conn.closed(ms(3000)).await).unwrap();
        assert!(said.to_lowercase().contains("connection: close"), "{said}");
    }
}

#[tokio::test]
async fn what_ends_with_the_connection_says_so() {
    let stream = || vec![sse_head(), part(event("one-chat", "x")), part(DONE), last()];
    let provider = Provider::always(stream()).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let sound = [
        Act::Write(head(200, &[("transfer-encoding", "chunked")])),
        Act::Write(chunk(b"sound")),
        last(),
    ];
    let audio = Provider::always(sound.to_vec()).await;
    let through = Gateway::start(&through(&audio)).await;
    for (address, path) in [
        (gateway.address, "/v1/chat/completions"),
        (through.address, "/v1/audio/x"),
    ] {
        let mut conn = Conn::open(address).await;
        let length = ASK_STREAM.len();
        let request = format!(
            "POST {path} HTTP/1.0\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{ASK_STREAM}"
        );
        conn.send(request.as_bytes()).await;
        let said = String::from_utf8(conn.closed(ms(3000)).await).unwrap();
        let head = said.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.contains("connection: close"), "{head}");
    }
}
