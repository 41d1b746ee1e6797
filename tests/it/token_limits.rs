//! Limits in tokens, and what providers themselves say of their limits.

use crate::harness::answers::{failure_with, http};
use crate::harness::fleet::by;
use crate::harness::streaming::{USAGE, streamed, with};
use crate::harness::*;
use crate::overflow::{BOTH, Of, gated, limited, passes_over, spilled};

/// A chat that may bring so many tokens.
fn allowing(tokens: u64) -> Request {
    let field = format!("{{\"max_tokens\":{tokens},");
    Request::chat(ASK.replacen('{', &field, 1))
}

fn used(model: &str, prompt: u64, completion: u64) -> Vec<Act> {
    let mut answer: Value = serde_json::from_str(&chat(model, "hello")).unwrap();
    answer["usage"] = serde_json::json!({
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion
    });
    vec![json_reply(200, answer.to_string())]
}

fn chat_reply_of(model: &str) -> Vec<Act> {
    vec![json_reply(200, chat(model, "hello"))]
}

#[tokio::test]
async fn tokens_are_reserved_before_a_call_and_settled_after_it() {
    for of in BOTH {
        let (one, gate) = gated().await;
        let two = Provider::well().await;
        let gateway = limited(of, "{ tpm: 2500 }", &one, &two).await;
        let mut first = gateway.held(allowing(1000), [&one]).await;
        let mut second = gateway.held(allowing(1000), [&one]).await;
        // About 2040 are reserved.
        passes_over(&gateway, allowing(1000)).await;
        spilled(&gateway, "tpm", 1.0).await;
        gate.add_permits(100);
        first.reply("POST").await.expect(200);
        second.reply("POST").await.expect(200);
        // Each used five.
        for _ in 0..10 {
            let reply = gateway.ask(allowing(1000)).await.expect(200);
            assert_eq!(by(&reply), "one", "{of:?}");
        }
    }
}

#[tokio::test]
async fn tokens_beyond_the_estimate_count_too() {
    for body in [ASK, ASK_STREAM] {
        let one = Provider::start(|_, seen| {
            if seen.json()["stream"] != true {
                return used(&seen.model(), 3000, 400);
            }
            let last = answers::finish("one-chat");
            let usage = USAGE
                .replace("18", "3400")
                .replace("11", "3000")
                .replace(":7", ":400");
            streamed([
                answers::event("one-chat", "hello"),
                with(last, &format!("\"usage\":{usage}")),
                answers::DONE.to_string(),
            ])
        })
        .await;
        let two = Provider::always(match body {
            ASK => chat_reply_of("two-chat"),
            _ => answers::stream_reply("two-chat", "hello"),
        })
        .await;
        let gateway = limited(Of::Target, "{ tpm: 3200 }", &one, &two).await;
        let small = body.replacen('{', "{\"max_tokens\":1,", 1);
        let reply = gateway.chat(small.clone()).await.expect(200);
        assert_eq!(by(&reply), "one");
        gateway.line(0).await;
        passes_over(&gateway, Request::chat(small)).await;
        spilled(&gateway, "tpm", 1.0).await;
    }
}

/// A failure used none, so it leaves nothing reserved.
#[tokio::test]
async fn tokens_of_a_call_that_failed_come_back() {
    for status in [500, 429] {
        let acts = vec![vec![answers::failure(status, "no")]; 2];
        let (one, two) = (Provider::first(acts).await, Provider::well().await);
        let gateway = limited(Of::Target, "{ tpm: 2500 }", &one, &two).await;
        while one.count() < 2 {
            gateway.ask(allowing(1000)).await.expect(200);
            assert!(two.count() <= 2, "{status}: its tokens are still reserved");
        }
        let reply = gateway.ask(allowing(1000)).await.expect(200);
        assert_eq!(by(&reply), "one", "{status}");
    }
}

#[tokio::test]
async fn a_call_larger_than_the_limit_itself_is_not_locked_out() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = limited(Of::Target, "{ tpm: 1000 }", &one, &two).await;
    let reply = gateway.ask(allowing(50_000)).await.expect(200);
    assert_eq!(by(&reply), "one");
}

#[tokio::test]
async fn the_providers_own_word_about_its_limits_is_heeded() {
    for (kind, reason) in [("requests", "rpm"), ("tokens", "tpm")] {
        let (remaining, reset) = (
            format!("x-ratelimit-remaining-{kind}"),
            format!("x-ratelimit-reset-{kind}"),
        );
        let one = Provider::start(move |number, seen| {
            if number > 0 {
                return chat_reply(seen);
            }
            let headers = [
                ("content-type", "application/json"),
                (remaining.as_str(), "0"),
                (reset.as_str(), "1s"),
            ];
            vec![Act::Write(http(
                200,
                &headers,
                chat(&seen.model(), "hello"),
            ))]
        })
        .await;
        let two = Provider::well().await;
        let gateway = Gateway::start(&Config::spill(&one, &two)).await;
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(by(&reply), "one");
        assert_eq!(reply.get(&format!("x-ratelimit-remaining-{kind}")), None);
        let said = one.only().at;
        passes_over(&gateway, Request::chat(ASK)).await;
        spilled(&gateway, reason, 1.0).await;
        gateway.served_by("one", ms(4000)).await;
        let rested = one.seen()[1].at - said;
        assert!((ms(990)..ms(1700)).contains(&rested), "{kind}: {rested:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_says_when_there_is_more_is_heeded() {
    let headers = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
    ];
    let one = Provider::always(vec![failure_with(429, "slow down", &headers)]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    assert_eq!(gateway.served().await, "two");
    for _ in 0..5 {
        passes_over(&gateway, Request::chat(ASK)).await;
    }
    assert_eq!(one.count(), 1);
}
