//! The client leaves: so does everything done for it.

use crate::harness::answers::{event, failure_with, part, sse_head};
use crate::harness::*;

/// How soon the provider must see it.
const SOON: Duration = ms(1000);

#[tokio::test]
async fn before_an_answer_came() {
    for body in [ASK, ASK_STREAM] {
        let one = Provider::always(vec![Act::Hang]).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(body).bytes()).await;
        until("the provider is asked", ms(5000), || one.count() == 1).await;
        drop(conn);
        until("the provider is hung up on", SOON, || one.all_closed()).await;
        gateway.get("/health").await.expect(200);
        assert_eq!((one.count(), two.connections().len()), (1, 0));
    }
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    for rude in [false, true] {
        let acts = vec![sse_head(), part(event("one-chat", "first")), Act::Hang];
        let one = Provider::always(acts).await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(ASK_STREAM).bytes()).await;
        let head = conn.head().await;
        conn.body_until(&mut head.framing("POST"), "first").await;
        if rude {
            conn.wire.io.tcp().set_zero_linger().unwrap();
        }
        drop(conn);
        until("the provider is hung up on", SOON, || one.all_closed()).await;
        gateway.get("/health").await.expect(200);
        assert_eq!((one.count(), two.connections().len()), (1, 0));
    }
}

#[tokio::test]
async fn while_a_stream_keeps_coming() {
    let mut acts = vec![sse_head()];
    for n in 0..500 {
        acts.push(part(event("one-chat", &format!("word{n}"))));
        acts.push(Act::Sleep(ms(20)));
    }
    let one = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "word3").await;
    drop(conn);
    until("the provider is hung up on", SOON, || one.all_closed()).await;
}

#[tokio::test]
async fn in_the_middle_of_a_whole_answer() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{";
    let one = Provider::always(vec![Act::Write(head.to_vec()), Act::Hang]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the provider answers", ms(5000), || {
        one.written().len() == 1
    })
    .await;
    drop(conn);
    until("the provider is hung up on", SOON, || one.all_closed()).await;
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn during_a_wait_between_attempts() {
    let one = Provider::always(vec![failure_with(
        429,
        "later",
        &[("retry-after-ms", "800")],
    )])
    .await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two).on_route("retry", "{ patience: 5s }");
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the first attempt fails", ms(5000), || {
        one.written().len() == 1
    })
    .await;
    let failed = Instant::now();
    drop(conn);
    // The time at which a second attempt would have come, and some more.
    tokio::time::sleep_until((failed + ms(1600)).into()).await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
    gateway.get("/health").await.expect(200);
}

#[tokio::test]
async fn before_its_body_was_sent() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for _ in 0..50 {
        let mut conn = Conn::open(gateway.address).await;
        let bytes = Request::chat(ASK).bytes();
        conn.send(&bytes[..bytes.len() - 10]).await;
        drop(conn);
    }
    gateway.chat(ASK).await.expect(200);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn one_leaving_does_not_disturb_another() {
    let mut acts = vec![sse_head()];
    for n in 0..30 {
        acts.push(part(event("one-chat", &format!("word{n};"))));
        acts.push(Act::Sleep(ms(10)));
    }
    acts.extend([part(answers::DONE), answers::last()]);
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let stays = Request::chat(ASK_STREAM);
    let address = gateway.address;
    let stays = tokio::spawn(async move { stays.to(address).await });
    for _ in 0..10 {
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(ASK_STREAM).bytes()).await;
        conn.head().await;
    }
    let reply = stays.await.unwrap().expect(200);
    assert!(reply.text().ends_with(answers::DONE));
    assert_eq!(reply.text().matches("word").count(), 30);
}
