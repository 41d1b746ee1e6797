//! The end, when it is asked for.

use crate::harness::answers::{DONE, event, last, part, sse_head};
use crate::harness::wire::Wire;
use crate::harness::*;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

#[tokio::test]
async fn an_idle_gateway_ends_once_everybody_could_see_it() {
    let provider = Provider::well().await;
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&Config::one(&provider).server("drain: 10m")).await;
        let mut idle = Conn::open(gateway.address).await;
        idle.ask(&Request::chat(ASK)).await.expect(200);
        gateway.signal(signal);
        let status = gateway.exit(ms(12_000)).await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", gateway.output());
    }
}

#[tokio::test]
async fn a_stream_in_flight_comes_to_its_end_first() {
    let gate = Arc::new(Semaphore::new(0));
    let acts = vec![
        sse_head(),
        part(event("one-chat", "first")),
        Act::Gate(gate.clone()),
        part(event("one-chat", "second")),
        part(DONE),
        last(),
    ];
    let provider = Provider::always(acts).await;
    let mut gateway = Gateway::start(&Config::one(&provider).server("drain: 5m")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    gateway.signal("TERM");

    // Nobody new is let in, or load balancers are told to send nobody.
    let start = Instant::now();
    while TcpStream::connect(gateway.address).await.is_ok() && ready(&gateway).await {
        assert!(start.elapsed() < ms(5000), "still open and ready");
        tokio::time::sleep(ms(10)).await;
    }
    // Longer than an idle one takes to end.
    tokio::time::sleep(ms(2000)).await;
    assert!(
        !gateway.gone(),
        "ended under a stream: {}",
        gateway.output()
    );

    gate.add_permits(1);
    let rest = conn.rest(head, "POST").await.expect(200);
    let expected = [event("acme/chat", "second"), DONE.to_string()].concat();
    assert!(rest.text().ends_with(&expected), "{}", rest.text());
    assert_eq!(gateway.exit(ms(12_000)).await.code(), Some(0));
}

/// A port that is closing counts as not ready.
async fn ready(gateway: &Gateway) -> bool {
    let Ok(stream) = TcpStream::connect(gateway.admin).await else {
        return false;
    };
    let mut conn = Conn {
        wire: Wire::new(stream),
    };
    if conn
        .wire
        .send(&Request::get("/health/ready").bytes())
        .await
        .is_err()
    {
        return false;
    }
    conn.try_head().await.is_ok_and(|head| head.status == 200)
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_when_drain_is_over() {
    let acts = vec![sse_head(), part(event("one-chat", "first")), Act::Hang];
    let provider = Provider::always(acts).await;
    let mut gateway = Gateway::start(&Config::one(&provider).server("drain: 2s")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    let start = Instant::now();
    gateway.signal("TERM");
    gateway.exit(ms(15_000)).await;
    assert!(start.elapsed() > ms(1800), "{:?}", start.elapsed());
}
