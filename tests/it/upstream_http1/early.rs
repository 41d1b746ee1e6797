//! Answers that come before the request has gone out, and providers that take it badly.

use super::*;
use crate::harness::answers::{failure_body, http};
use crate::harness::tls::Identity;
use tokio::net::TcpListener;

const MANY: usize = 20 << 20;

fn too_large(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    http(413, &all, failure_body("too much"))
}

fn one(base: &str) -> Config {
    Config::new()
        .provider("one", base)
        .route("main", "{ provider: one }")
        .on_route("retry", "{ for: [], attempts: 1 }")
}

/// The caller has the provider's own answer, and did not wait for the provider to read.
async fn told_at_once(gateway: &Gateway) {
    let start = Instant::now();
    let reply = gateway.chat(long(MANY)).await.expect(413);
    assert!(reply.text().contains("too much"), "{}", reply.text());
    assert!(start.elapsed() < ms(8000), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_refusal_is_heard_although_nobody_reads_the_rest() {
    for headers in [&[][..], &[("connection", "close")]] {
        let answer = too_large(headers);
        let base = by_hand(move |mut wire| {
            let answer = answer.clone();
            async move {
                wire.head().await.unwrap();
                wire.send(&answer).await.unwrap();
                // Open, and never read again.
                tokio::time::sleep(ms(60_000)).await;
            }
        })
        .await;
        let gateway = Gateway::start(&one(&base)).await;
        told_at_once(&gateway).await;
        // Not on what is left of the first.
        told_at_once(&gateway).await;
    }
}

#[tokio::test]
async fn the_same_over_tls() {
    let acceptor = Identity::new().acceptor(&["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let mut wire = Wire::new(acceptor.accept(stream).await.unwrap());
            wire.head().await.unwrap();
            wire.send(&too_large(&[])).await.unwrap();
            held.push(wire);
        }
    });
    let config = one(&base).on_provider("one", "tls", "{ verify: false }");
    told_at_once(&Gateway::start(&config).await).await;
}

#[tokio::test]
async fn a_refusal_before_the_connection_is_closed_is_heard() {
    let base = by_hand(|mut wire| async move {
        wire.head().await.unwrap();
        let _ = wire.send(&too_large(&[("connection", "close")])).await;
    })
    .await;
    let gateway = Gateway::start(&one(&base)).await;
    for _ in 0..3 {
        told_at_once(&gateway).await;
    }
}

#[tokio::test]
async fn interim_answers_and_an_early_success_end_no_request() {
    let base = by_hand(|mut wire| async move {
        let Ok(Some(head)) = wire.head().await else {
            return;
        };
        let mut framing = wire::framing(&wire::parse_head(&head).1, Framing::None);
        let (start, end) = SAID.split_at(20);
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n")
            .await
            .unwrap();
        let length = SAID.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{start}");
        wire.send(head.as_bytes()).await.unwrap();
        let mut read = 0;
        while let Some(piece) = wire.piece(&mut framing).await.unwrap() {
            read += piece.len();
        }
        assert!(read > MANY, "{read}");
        wire.send(end.as_bytes()).await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let gateway = Gateway::start(&one(&base)).await;
    let reply = gateway.chat(long(MANY)).await.expect(200);
    assert_eq!(reply.text(), SAID);
}

#[tokio::test]
async fn what_comes_early_is_judged_like_any_other() {
    // Two lengths, and behind them what could be taken for the answer.
    let ghost = "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n";
    let twice =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{ghost}{SAID}");
    let switched = format!("HTTP/1.1 101 Switched\r\n\r\n{ghost}{SAID}");
    for answer in [twice, switched] {
        let base = by_hand(move |mut wire| {
            let answer = answer.clone();
            async move {
                wire.head().await.unwrap();
                wire.send(answer.as_bytes()).await.unwrap();
                tokio::time::sleep(ms(60_000)).await;
            }
        })
        .await;
        let gateway = Gateway::start(&one(&base)).await;
        let reply = gateway.chat(long(MANY)).await;
        crate::refusals::refused(reply, 502, "provider_bad_response");
    }
}

#[tokio::test]
async fn who_stops_reading_is_left_for_the_next() {
    let base = by_hand(|mut wire| async move {
        wire.head().await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let two = Provider::well().await;
    let config = Config::spill_to(&base, &two.base()).on_route("timeouts", "{ idle: 400ms }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    let reply = gateway.chat(long(MANY)).await.expect(200);
    assert!(start.elapsed() < ms(8000), "{:?}", start.elapsed());
    let trace = reply.get("x-overspill-trace").unwrap();
    assert!(trace.starts_with("one;"), "{trace}");
    let sent = long(MANY).replace("acme/chat", "two-chat");
    assert!(two.only().text() == sent);
}

#[tokio::test]
async fn who_breaks_off_in_the_middle_is_left_for_the_next() {
    let base = by_hand(|mut wire| async move {
        wire.head().await.unwrap();
        for _ in 0..4 {
            wire.fill().await.unwrap();
        }
        wire.io.tcp().set_zero_linger().unwrap();
    })
    .await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill_to(&base, &two.base())).await;
    let reply = gateway.chat(long(MANY)).await.expect(200);
    assert_eq!(reply.get("x-overspill-attempts"), Some("2"));
    let sent = long(MANY).replace("acme/chat", "two-chat");
    assert!(two.only().text() == sent);
}

#[tokio::test]
async fn who_reads_slowly_but_steadily_is_waited_for() {
    let base = by_hand(|mut wire| async move {
        let mut read = 0;
        for part in 1..=40 {
            while read < MANY / 40 * part {
                read += wire.fill().await.unwrap();
                wire.take_buffered();
            }
            tokio::time::sleep(ms(50)).await;
        }
        let length = SAID.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{SAID}");
        wire.send(answer.as_bytes()).await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let config = one(&base).on_route("timeouts", "{ idle: 1s }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    gateway.chat(long(MANY)).await.expect(200);
    assert!(start.elapsed() > ms(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_callers_deadline_holds_while_the_request_goes_out() {
    let base = by_hand(|mut wire| async move {
        wire.head().await.unwrap();
        tokio::time::sleep(ms(60_000)).await;
    })
    .await;
    let gateway = Gateway::start(&one(&base)).await;
    let request = Request::chat(long(MANY)).header("x-overspill-timeout", "900ms");
    let start = Instant::now();
    gateway.ask(request).await.expect(504);
    assert!(start.elapsed() < ms(2400), "{:?}", start.elapsed());
}
