//! All bodies together: what is promised to the kernel is not promised twice.

use crate::harness::*;
use crate::refusals::refused;
use std::sync::Arc;

const BODY: usize = 1_000_000;

fn large() -> Request {
    let fill = "x".repeat(BODY - ASK.len());
    Request::chat(ASK.replace("hi", &format!("hi{fill}")))
}

/// A client that was told to go on, its body still unsent.
async fn promised(gateway: &Gateway) -> (Conn, Request) {
    let request = large().header("expect", "100-continue");
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&request.head_bytes()).await;
    assert_eq!(conn.try_head().await.unwrap().status, 100);
    (conn, request)
}

async fn two_fit() -> (Provider, Gateway) {
    let provider = Provider::well().await;
    let config = Config::one(&provider)
        .server("max_body: 1MiB")
        .server("buffers: 2100KiB");
    (provider, Gateway::start(&config).await)
}

#[tokio::test]
async fn what_does_not_fit_is_shed_and_told_when_to_come_again() {
    let (provider, gateway) = two_fit().await;
    let (mut first, request) = promised(&gateway).await;
    let (second, _) = promised(&gateway).await;
    for third in [large(), large().chunked(10_000)] {
        let reply = gateway.ask(third).await;
        let after: u64 = reply
            .get("retry-after")
            .expect("a retry-after")
            .parse()
            .unwrap();
        assert!((1..=60).contains(&after));
        refused(reply, 503, "gateway_overloaded");
    }
    assert_eq!(provider.connections().len(), 0);

    // One ends well, one leaves: both make room.
    first.send(&request.body_bytes()).await;
    first.reply("POST").await.expect(200);
    drop(second);
    let start = Instant::now();
    while gateway.ask(large()).await.status != 200 {
        assert!(start.elapsed() < ms(5000), "the room was never given back");
        tokio::time::sleep(ms(10)).await;
    }
    let _both = (promised(&gateway).await, promised(&gateway).await);
}

#[tokio::test]
async fn every_end_gives_its_room_back() {
    let (_provider, gateway) = two_fit().await;
    for _ in 0..20 {
        gateway.ask(large()).await.expect(200);
        let mut broken = large();
        broken.body.pop();
        gateway.ask(broken).await.expect(400);
        let mut unknown = large();
        unknown.body[10] = b'_';
        gateway.ask(unknown).await.expect(404);
    }
}

#[tokio::test]
async fn many_at_once_cost_no_more_than_was_allowed() {
    let provider =
        Provider::counting(|_, _| vec![json_reply(200, chat("one-chat", "hello"))]).await;
    let config = Config::one(&provider)
        .server("max_body: 8MiB")
        .server("buffers: 16MiB")
        .server("threads: 2");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    let before = gateway.peak_memory();
    let body = ASK.replace("hi", &"0123456789abcdef".repeat(4 << 16));
    let bytes = Arc::new(Request::chat(body).bytes());
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let (bytes, address) = (bytes.clone(), gateway.address);
            tokio::spawn(async move {
                let mut conn = Conn::open(address).await;
                conn.send(&bytes).await;
                conn.reply("POST").await.status
            })
        })
        .collect();
    let mut served = 0;
    for client in clients {
        let status = client.await.unwrap();
        assert!([200, 503].contains(&status), "{status}");
        served += usize::from(status == 200);
    }
    assert!(served > 0);
    let grown = gateway.peak_memory() - before;
    assert!(grown < 40 << 20, "{grown} bytes more for 16 MiB of buffers");
}
