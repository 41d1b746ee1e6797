//! What those cost who wait: streams that say little, connections that ask nothing.

use crate::harness::answers::{event, part, sse_head};
use crate::harness::vitals::Vitals;
use crate::harness::*;

const CROWD: usize = 400;
/// Built for tests, with more code and larger futures than what is shipped.
const STREAM: u64 = 40 * 1024;
const IDLE: u64 = 8 * 1024;

fn each(before: Vitals, after: Vitals) -> u64 {
    after.memory.saturating_sub(before.memory) / CROWD as u64
}

#[tokio::test]
async fn a_slow_stream_costs_little_memory() {
    let slow = [
        vec![sse_head(), part(event("one-chat", "word"))],
        vec![Act::Sleep(ms(60_000))],
    ];
    let provider = Provider::always(slow.concat()).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let before = Vitals::of(gateway.process());
    let mut open = Vec::new();
    for _ in 0..CROWD {
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(ASK_STREAM).bytes()).await;
        let head = conn.head().await;
        assert_eq!(head.status, 200);
        conn.body_until(&mut head.framing("POST"), "word").await;
        open.push(conn);
    }
    let each = each(before, Vitals::of(gateway.process()));
    assert!(each < STREAM, "{each} bytes a stream");
}

#[tokio::test]
async fn a_connection_between_two_requests_costs_little_more_than_itself() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for _ in 0..20 {
        gateway.chat(ASK).await.expect(200);
    }
    let before = Vitals::of(gateway.process());
    let mut kept = Vec::new();
    for _ in 0..CROWD {
        let mut conn = Conn::open(gateway.address).await;
        conn.ask(&Request::chat(ASK)).await.expect(200);
        kept.push(conn);
    }
    let idle = each(before, Vitals::of(gateway.process()));
    assert!(idle < IDLE, "{idle} bytes a connection");
    for mut conn in kept {
        conn.ask(&Request::chat(ASK)).await.expect(200);
    }
}
