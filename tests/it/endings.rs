//! A stream that breaks after its first words never passes for a whole one.

use crate::harness::answers::{DONE, event, part, sse_head};
use crate::harness::*;

/// Whatever is told instead, it is not success.
fn not_whole(reply: &Reply) {
    let text = reply.text();
    assert!(text.starts_with(&event("acme/chat", "first")), "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    assert!(
        reply.broken.is_some() || text.contains("\"error\""),
        "{text}"
    );
    assert!(
        !text.contains("hello"),
        "another answer was sent after the first: {text}"
    );
}

#[tokio::test]
async fn cut_off_by_the_provider() {
    for end in [
        vec![Act::Reset],
        vec![Act::Close],
        vec![part("data: {\"id\":"), Act::Close],
    ] {
        let acts = [
            vec![
                sse_head(),
                part(event("one-chat", "first")),
                Act::Sleep(ms(50)),
            ],
            end,
        ];
        let one = Provider::always(acts.concat()).await;
        let two = Provider::always(answers::stream_reply("two-chat", "hello")).await;
        let config = Config::spill(&one, &two);
        let gateway = Gateway::start(&config).await;
        not_whole(&gateway.chat(ASK_STREAM).await);
        gateway.get("/health").await.expect(200);
    }
}

#[tokio::test]
async fn silent_for_longer_than_idle() {
    let acts = vec![sse_head(), part(event("one-chat", "first")), Act::Hang];
    let one = Provider::always(acts).await;
    let two = Provider::always(answers::stream_reply("two-chat", "hello")).await;
    let config = Config::spill(&one, &two).on_route("timeouts", "{ idle: 400ms }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    not_whole(&gateway.chat(ASK_STREAM).await);
    assert!(
        (ms(380)..ms(4000)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    until("the silent one is hung up on", ms(1000), || {
        one.all_closed()
    })
    .await;
}

#[tokio::test]
async fn the_deadline_does_not_cut_a_stream_that_has_begun() {
    let mut acts = vec![sse_head()];
    for _ in 0..10 {
        acts.push(part(event("one-chat", "word")));
        acts.push(Act::Sleep(ms(100)));
    }
    acts.extend([part(DONE), answers::last()]);
    let one = Provider::always(acts).await;
    let config = Config::one(&one).on_route("timeouts", "{ deadline: 400ms, first_byte: 300ms }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(reply.text().ends_with(DONE), "{}", reply.text());
}

#[tokio::test]
async fn the_clients_own_timeout_cuts_even_that() {
    let mut acts = vec![sse_head()];
    for _ in 0..100 {
        acts.push(part(event("one-chat", "first")));
        acts.push(Act::Sleep(ms(50)));
    }
    let one = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let start = Instant::now();
    let reply = gateway
        .ask(Request::chat(ASK_STREAM).header("x-overspill-timeout", "600ms"))
        .await;
    assert!(
        (ms(550)..ms(3000)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    not_whole(&reply);
    until("the provider is hung up on", ms(1000), || one.all_closed()).await;
}
