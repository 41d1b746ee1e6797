//! The client leaves: its provider hears of it at once, no other ever, and the books are closed.

use crate::harness::answers::{event, failure_with, head, part, sse_head};
use crate::harness::h2_client::H2Conn;
use crate::harness::streaming::*;
use crate::harness::*;

/// How soon the provider must see it.
const AT_ONCE: Duration = ms(200);

/// What the client waits for before it leaves.
#[derive(Clone, Copy)]
enum Until {
    /// The provider has written this many pieces, and some time has gone.
    Written(usize),
    /// This text of the answer has come.
    Text(&'static str),
}

/// Leaves after `acts` came so far, by FIN and by RST. The machine may stumble once; a gateway
/// that does not look does so every time.
async fn leaves(body: &str, acts: Vec<Act>, when: Until) {
    for rude in [false, true] {
        let mut times = Vec::new();
        for _ in 0..3 {
            times.push(left(body, acts.clone(), when, rude).await);
            if times.last() < Some(&AT_ONCE) {
                break;
            }
        }
        assert!(times.last() < Some(&AT_ONCE), "rude: {rude}, {times:?}");
    }
}

/// How long after the client had left the provider's connection ended.
async fn left(body: &str, acts: Vec<Act>, when: Until, rude: bool) -> Duration {
    let one = Provider::always(acts).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two).logged()).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(body).bytes()).await;
    until("the provider is asked", ms(5000), || one.count() == 1).await;
    match when {
        Until::Written(pieces) => {
            until("the provider writes", ms(5000), || {
                one.written().len() >= pieces
            })
            .await;
            // Time for the gateway to read what was written.
            tokio::time::sleep(ms(100)).await;
        }
        Until::Text(text) => {
            let head = conn.head().await;
            conn.body_until(&mut head.framing("POST"), text).await;
        }
    }
    if rude {
        conn.wire.io.tcp().set_zero_linger().unwrap();
    }
    let start = Instant::now();
    drop(conn);
    until("the provider is hung up on", ms(2000), || one.all_closed()).await;
    let closed = one.connections()[0].closed.unwrap();
    gateway.tells("caller_cancelled").await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
    closed.saturating_duration_since(start)
}

#[tokio::test]
async fn before_the_head_of_a_stream() {
    leaves(ASK_STREAM, vec![Act::Hang], Until::Written(0)).await;
}

#[tokio::test]
async fn before_the_head_of_a_whole_answer() {
    leaves(ASK, vec![Act::Hang], Until::Written(0)).await;
}

#[tokio::test]
async fn in_the_silence_before_the_first_token() {
    let acts = begun([role("one-chat")], [Act::Hang]);
    leaves(ASK_STREAM, acts, Until::Written(2)).await;
}

#[tokio::test]
async fn while_only_comments_come() {
    let comments = Act::Every(ms(1000), wire::chunk(b": keep-alive\n\n"));
    let acts = begun([""; 0], [comments]);
    leaves(ASK_STREAM, acts, Until::Written(1)).await;
}

#[tokio::test]
async fn in_the_silence_after_some_words() {
    let acts = begun([event("one-chat", "first")], [Act::Hang]);
    leaves(ASK_STREAM, acts, Until::Text("first")).await;
}

#[tokio::test]
async fn while_the_words_keep_coming() {
    let word = wire::chunk(event("one-chat", "word").as_bytes());
    let acts = vec![sse_head(), Act::Every(ms(20), word)];
    leaves(ASK_STREAM, acts, Until::Text("word")).await;
}

#[tokio::test]
async fn in_the_middle_of_a_whole_answer() {
    let mut begun = head(
        200,
        &[
            ("content-type", "application/json"),
            ("content-length", "500"),
        ],
    );
    begun.push(b'{');
    leaves(ASK, vec![Act::Write(begun), Act::Hang], Until::Written(1)).await;
}

#[tokio::test]
async fn between_two_attempts() {
    let busy = failure_with(429, "later", &[("retry-after-ms", "1500")]);
    let one = Provider::always(vec![busy]).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two)
        .on_route("retry", "{ patience: 5s }")
        .logged();
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    until("the first attempt fails", ms(5000), || {
        one.written().len() == 1
    })
    .await;
    silent(&mut conn, ms(200)).await;
    let start = Instant::now();
    drop(conn);
    gateway.tells("caller_cancelled").await;
    // Long before the wait would have ended by itself.
    assert!(start.elapsed() < ms(900), "{:?}", start.elapsed());
    tokio::time::sleep_until((start + ms(1800)).into()).await;
    assert_eq!((one.count(), two.connections().len()), (1, 0));
}

#[tokio::test]
async fn after_some_pings_but_before_content() {
    let one = Provider::always(vec![Act::Hang]).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two)
        .on_route("stream", "{ ping: 100ms, ping_before_commit: true }")
        .logged();
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), ": ping").await;
    drop(conn);
    until("the provider is hung up on", ms(1000), || one.all_closed()).await;
    gateway.tells("caller_cancelled").await;
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn over_http_2_one_stream_of_many() {
    let one = Provider::start(|n, _| match n {
        0 => begun([event("one-chat", "first")], [Act::Hang]),
        _ => {
            let mut acts = begun([event("one-chat", "second")], [Act::Sleep(ms(600))]);
            acts.extend([part(answers::DONE), answers::last()]);
            acts
        }
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let mut conn = H2Conn::to(gateway.address).await;
    let mut leaves = conn.ask(&Request::chat(ASK_STREAM)).await;
    leaves.until("first").await;
    let mut stays = conn.ask(&Request::chat(ASK_STREAM)).await;
    stays.until("second").await;
    drop(leaves);
    until("the provider is hung up on", ms(1000), || {
        one.connections()[0].closed.is_some()
    })
    .await;
    assert!(stays.text().await.ends_with(answers::DONE));
    assert_eq!(gateway.line(0).await["reason"], "caller_cancelled");
    assert_eq!(gateway.line(1).await["reason"], "ok");
    gateway.counts("overspill_in_flight", &[], 0.0).await;
}

#[tokio::test]
async fn what_was_counted_before_the_client_left_is_kept() {
    let usage = "data: {\"model\":\"one-chat\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1,\"total_tokens\":12}}\n\n";
    let one = Provider::always(begun([usage], [Act::Hang])).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    drop(conn);
    let line = gateway.tells("caller_cancelled").await;
    assert_eq!(line["tokens_in"], 11, "{line}");
    assert_eq!(line["tokens_out"], 1, "{line}");
}
