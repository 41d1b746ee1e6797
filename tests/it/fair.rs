//! What must not be held against a target: the caller's own clock, a long answer, a key that is
//! mended, a path that is not for us; and what streams must not be taken for.

use crate::breaker::{down, guarded, opened};
use crate::harness::answers::{DONE, event, finish, last, part, sse_head, stream_reply};
use crate::harness::fleet::Mood;
use crate::harness::*;

const QUICK: &str = "{ failures: 50%, last: 10, minimum: 4, interval: 300ms }";

#[tokio::test]
async fn a_callers_own_deadline_opens_no_breaker() {
    let slow = [vec![Act::Sleep(ms(300))], json_reply_of("one-chat")].concat();
    let (one, two) = (Provider::always(slow).await, Provider::well().await);
    let gateway = guarded(&one, &two, QUICK).await;
    for _ in 0..8 {
        let hasty = Request::chat(ASK).header("x-overspill-timeout", "40ms");
        gateway.ask(hasty).await.expect(504);
    }
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
}

fn json_reply_of(model: &str) -> Vec<Act> {
    vec![json_reply(200, chat(model, "hello"))]
}

#[tokio::test]
async fn a_probe_with_a_long_answer_brings_its_target_back_at_once() {
    let mood = Mood::of(down());
    let (one, two) = (mood.provider().await, Provider::well().await);
    let gateway = guarded(&one, &two, QUICK).await;
    opened(&gateway, &one).await;
    let long = [
        vec![
            sse_head(),
            part(event("one-chat", "word")),
            Act::Sleep(ms(3000)),
        ],
        vec![part(finish("one-chat")), part(DONE), last()],
    ];
    mood.set(long.concat());
    tokio::time::sleep(ms(400)).await;
    let request = Request::chat(ASK_STREAM);
    let _probe = gateway.held(request, [&one]).await;
    mood.set(json_reply_of("one-chat"));
    let start = Instant::now();
    loop {
        let reply = gateway.chat(ASK).await.expect(200);
        if reply.get("x-overspill-provider") == Some("one") {
            break;
        }
        assert!(start.elapsed() < ms(1500), "still left out");
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test]
async fn a_key_that_is_mended_is_used_at_once() {
    let one = Provider::start(|_, seen| {
        if seen.get("authorization") == Some("Bearer sk-good") {
            chat_reply(seen)
        } else {
            vec![answers::failure(401, "bad key")]
        }
    })
    .await;
    let config = Config::one(&one);
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(502);
    gateway.chat(ASK).await.expect(502);
    assert_eq!(one.count(), 1, "a refused key is left alone");
    gateway.rewrite(&Config::one(&one).on_provider("one", "api_key", "sk-good"));
    gateway.reload().await.expect(200);
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn an_end_in_every_event_is_no_end() {
    let events = |count: usize| -> Vec<Act> {
        let mut acts = vec![sse_head()];
        for n in 0..count {
            let delta = format!("{{\"content\":\"word{n} \"}}");
            let data = format!(
                "data: {{\"id\":\"1\",\"model\":\"one-chat\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":\"stop\"}}]}}\n\n"
            );
            acts.push(part(data));
            acts.push(Act::Sleep(ms(20)));
        }
        acts
    };
    // A pause in the middle is no end, and neither is a break.
    let whole = [events(3), vec![Act::Sleep(ms(1200)), part(DONE), last()]].concat();
    let one = Provider::always(whole).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(reply.text().ends_with(DONE), "{}", reply.text());
    let broken = [events(3), vec![Act::Close]].concat();
    let one = Provider::always(broken).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(!reply.text().contains("[DONE]"), "{}", reply.text());
    assert!(reply.text().contains("provider_truncated"));
}

#[tokio::test]
async fn a_400_that_quotes_stream_options_teaches_nothing() {
    let one = Provider::start(|_, seen| {
        if seen.text().contains("\"temperature\":\"stream_options\"") {
            vec![answers::failure(
                400,
                "temperature must be a number, not stream_options",
            )]
        } else {
            stream_reply(&seen.model(), "hello")
        }
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let bad = r#"{"model":"acme/chat","stream":true,"temperature":"stream_options"}"#;
    gateway.chat(bad).await.expect(400);
    gateway.chat(ASK_STREAM).await.expect(200);
    let seen = one.seen();
    let last = seen.last().unwrap().text();
    assert!(last.contains("\"include_usage\":true"), "{last}");
}
