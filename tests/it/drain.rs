//! The order of the end, by the clock.

use crate::harness::answers::{DONE, event, last, part, sse_head};
use crate::harness::h2_client::H2Conn;
use crate::harness::*;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A gateway with one stream under way, and what ends the stream.
async fn streaming(lines: &[&str]) -> (Gateway, Conn, Arc<Semaphore>, Provider) {
    let gate = Arc::new(Semaphore::new(0));
    let end = gate.clone();
    let provider = Provider::start(move |_, seen| {
        if seen.json()["stream"] != true {
            return chat_reply(seen);
        }
        vec![
            sse_head(),
            part(event("one-chat", "first")),
            Act::Gate(end.clone()),
            part(event("one-chat", "second")),
            part(DONE),
            last(),
        ]
    })
    .await;
    let config = Config::one(&provider);
    let config = lines
        .iter()
        .fold(config, |config, line| config.server(line));
    let gateway = if lines.contains(&"admin: off") {
        Gateway::without_admin(&config).await
    } else {
        Gateway::start(&config).await
    };
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    (gateway, conn, gate, provider)
}

/// A provider that answers when it is let.
async fn late() -> (Provider, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let end = gate.clone();
    let provider = Provider::start(move |_, seen| {
        let mut acts = vec![Act::Gate(end.clone())];
        acts.extend(chat_reply(seen));
        acts
    });
    (provider.await, gate)
}

async fn open(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

async fn closes(address: SocketAddr, limit: Duration) {
    let start = Instant::now();
    while open(address).await {
        assert!(start.elapsed() < limit, "still open");
        tokio::time::sleep(ms(10)).await;
    }
}

#[tokio::test]
async fn not_ready_first_then_closed_then_gone() {
    let (mut gateway, mut conn, gate, _provider) = streaming(&["drain: 5m"]).await;
    let mut idle = Conn::open(gateway.address).await;
    let before = idle.ask(&Request::chat(ASK)).await.expect(200);
    assert_ne!(before.get("connection"), Some("close"));
    let admin = gateway.admin;
    let ready = async || Request::get("/health/ready").to(admin).await;
    ready().await.expect(200);

    let start = Instant::now();
    gateway.signal("TERM");
    while ready().await.status == 200 {
        assert!(start.elapsed() < ms(2000), "still ready");
    }
    // Whoever comes is served, and asked not to stay.
    let told = idle.ask(&Request::chat(ASK)).await.expect(200);
    assert_eq!(told.get("connection"), Some("close"));
    let new = gateway.chat(ASK).await.expect(200);
    assert_eq!(new.get("connection"), Some("close"));
    assert!(start.elapsed() < ms(4500), "too slow a machine to tell");

    closes(gateway.address, ms(10_000)).await;
    assert!(start.elapsed() > ms(4800), "{:?}", start.elapsed());
    assert!(start.elapsed() < ms(9000), "{:?}", start.elapsed());
    // To the end it can be asked how it is.
    ready().await.expect(503);
    assert!(gateway.metrics().await.contains("overspill_in_flight 1"));

    gate.add_permits(1);
    let rest = conn.closed(ms(3000)).await;
    assert!(String::from_utf8_lossy(&rest).contains(DONE));
    let ended = Instant::now();
    assert_eq!(gateway.exit(ms(5000)).await.code(), Some(0));
    assert!(ended.elapsed() < ms(2000), "{:?}", ended.elapsed());
}

#[tokio::test]
async fn without_an_admin_port_nobody_is_waited_for() {
    let (mut gateway, mut conn, gate, _provider) = streaming(&["admin: off"]).await;
    let start = Instant::now();
    gateway.signal("INT");
    closes(gateway.address, ms(4000)).await;
    assert!(start.elapsed() < ms(3000), "{:?}", start.elapsed());
    gate.add_permits(1);
    let rest = conn.closed(ms(3000)).await;
    assert!(String::from_utf8_lossy(&rest).contains(DONE));
    assert_eq!(gateway.exit(ms(3000)).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for second in ["TERM", "INT"] {
        let (mut gateway, _conn, _gate, _provider) = streaming(&["drain: 5m"]).await;
        gateway.signal("TERM");
        until("the end has begun", ms(3000), || {
            gateway.output().contains("stopping when")
        })
        .await;
        let start = Instant::now();
        gateway.signal(second);
        gateway.exit(ms(3000)).await;
        assert!(start.elapsed() < ms(2000), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_still_counted() {
    let (mut gateway, _conn, _gate, _provider) = streaming(&["admin: off", "drain: 1s"]).await;
    gateway.signal("TERM");
    gateway.exit(ms(5000)).await;
    let said = gateway.output();
    assert!(said.contains("1 requests were cut"), "{said}");
    assert!(said.contains("\"reason\":\"gateway_stopped\""), "{said}");
}

#[tokio::test]
async fn whoever_is_cut_is_told() {
    let (mut gateway, mut stream, _gate, provider) = streaming(&["admin: off", "drain: 1s"]).await;
    let (silent, _let) = late().await;
    let config = Config::one(&silent)
        .server("drain: 1s")
        .server("admin: off");
    let mut waiting = Gateway::without_admin(&config).await;
    let mut whole = waiting.held(Request::chat(ASK), [&silent]).await;
    for gateway in [&gateway, &waiting] {
        gateway.signal("TERM");
    }
    let told = String::from_utf8(stream.closed(ms(5000)).await).unwrap();
    let error = told.split("data: ").find(|event| event.contains("error"));
    let error: Value = serde_json::from_str(error.unwrap().split('\n').next().unwrap()).unwrap();
    assert_eq!(error["error"]["metadata"]["reason"], "gateway_stopped");
    assert!(
        !told.contains("[DONE]") && told.ends_with("0\r\n\r\n"),
        "{told}"
    );
    let reply = whole.reply("POST").await.expect(503);
    assert_eq!(reply.json()["error"]["code"], "gateway_stopped");
    assert!(reply.get("retry-after").is_some());
    for gateway in [&mut gateway, &mut waiting] {
        gateway.exit(ms(3000)).await;
        let said = gateway.output();
        assert!(said.contains("1 requests were cut"), "{said}");
        assert!(said.contains("\"reason\":\"gateway_stopped\""), "{said}");
    }
    until("nobody is asked any more", ms(3000), || {
        provider.all_closed() && silent.all_closed()
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_end_has_begun_says_so() {
    let (provider, gate) = late().await;
    let config = Config::one(&provider).server("admin: off");
    let mut gateway = Gateway::without_admin(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the provider is asked", ms(5000), || provider.count() == 1).await;
    gateway.signal("TERM");
    closes(gateway.address, ms(4000)).await;
    gate.add_permits(1);
    let reply = conn.reply("POST").await.expect(200);
    assert_eq!(reply.get("connection"), Some("close"));
    assert_eq!(gateway.exit(ms(3000)).await.code(), Some(0));
}

#[tokio::test]
async fn an_answer_before_the_port_closes_says_so_too() {
    let (provider, gate) = late().await;
    let mut gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the provider is asked", ms(5000), || provider.count() == 1).await;
    gateway.signal("TERM");
    let start = Instant::now();
    while Request::get("/health/ready").to(gateway.admin).await.status == 200 {
        assert!(start.elapsed() < ms(3000), "still ready");
    }
    gate.add_permits(1);
    let reply = conn.reply("POST").await.expect(200);
    assert_eq!(reply.get("connection"), Some("close"));
    assert!(open(gateway.address).await);
    assert_eq!(gateway.exit(ms(9000)).await.code(), Some(0));
}

#[tokio::test]
async fn over_http2_too_whoever_comes_late_is_served() {
    let provider = Provider::well().await;
    let mut gateway = Gateway::start(&Config::one(&provider)).await;
    let mut early = H2Conn::to(gateway.address).await;
    let mut reply = early.ask(&Request::chat(ASK)).await;
    reply.text().await;
    let start = Instant::now();
    gateway.signal("TERM");
    let begun = || gateway.output().contains("stopping when");
    until("the end has begun", ms(3000), begun).await;
    for _ in 0..20 {
        let mut late = H2Conn::to(gateway.address).await;
        tokio::time::sleep(ms(20)).await;
        let mut reply = late.ask(&Request::chat(ASK)).await;
        assert_eq!(reply.status, 200);
        reply.text().await;
    }
    assert!(start.elapsed() < ms(4500), "too slow a machine to tell");
    assert_eq!(gateway.exit(ms(12_000)).await.code(), Some(0));
}
