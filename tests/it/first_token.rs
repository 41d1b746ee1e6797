//! How long a provider may be silent before its first content: two times, one for the head and one
//! for what follows it.

use crate::harness::answers::{DONE, event, head, last, part, sse_head};
use crate::harness::streaming::*;
use crate::harness::*;

/// `one` is left within half a second after `least`, and the answer is the second's.
async fn left_after(acts: Vec<Act>, timeouts: &str, least: u64, reason: &str) {
    let one = Provider::always(acts).await;
    let two = second().await;
    let config = Config::spill(&one, &two).on_route("timeouts", timeouts);
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let waited = start.elapsed();
    assert!(
        (ms(least - 20)..ms(least + 500)).contains(&waited),
        "{timeouts}: {waited:?}"
    );
    assert_eq!(reply.text(), whole("hello"));
    assert_eq!((one.count(), two.count()), (1, 1));
    let trace = reply.get("x-overspill-trace").unwrap();
    assert!(trace.starts_with("one;"), "{trace}");
    let labels = ["\"one\"", &format!("reason=\"{reason}\"")];
    gateway
        .counts("overspill_attempts_total", &labels, 1.0)
        .await;
    until("the silent one is hung up on", ms(1000), || {
        one.all_closed()
    })
    .await;
}

#[tokio::test]
async fn no_content_within_first_token_goes_to_the_next() {
    let reason = "provider_first_token_timeout";
    let timeouts = "{ first_byte: 5s, first_token: 600ms, idle: 5s, stall: 5s }";
    left_after(begun([""; 0], [Act::Hang]), timeouts, 600, reason).await;
    left_after(
        begun([role("one-chat")], [Act::Hang]),
        timeouts,
        600,
        reason,
    )
    .await;
    let comments = Act::Every(ms(20), wire::chunk(b": keep-alive\n\n"));
    left_after(begun([""; 0], [comments]), timeouts, 600, reason).await;
    let roles = Act::Every(ms(20), wire::chunk(role("one-chat").as_bytes()));
    left_after(begun([""; 0], [roles]), timeouts, 600, reason).await;
}

#[tokio::test]
async fn no_head_within_first_byte_goes_to_the_next() {
    let timeouts = "{ first_byte: 600ms, first_token: 5s }";
    left_after(vec![Act::Hang], timeouts, 600, "provider_timeout").await;
    let half = head(200, &[("content-type", "text/event-stream")]);
    let half = half[..half.len() - 2].to_vec();
    let acts = vec![Act::Write(half), Act::Hang];
    left_after(acts, timeouts, 600, "provider_timeout").await;
}

#[tokio::test]
async fn without_a_head_there_is_no_content_either() {
    let timeouts = "{ first_byte: 5s, first_token: 600ms }";
    let mut acts = vec![Act::Sleep(ms(1500))];
    acts.extend(answers::stream_reply("one-chat", "hello"));
    left_after(acts, timeouts, 600, "provider_first_token_timeout").await;
}

#[tokio::test]
async fn a_slow_first_token_in_time_is_waited_for() {
    let gate = [sse_head(), part(role("one-chat")), Act::Sleep(ms(700))];
    let rest = [part(event("one-chat", "hello")), part(DONE), last()];
    let one = Provider::always([&gate[..], &rest[..]].concat()).await;
    let two = second().await;
    // Neither the time for the head nor those that begin at the commit matter here.
    let timeouts = "{ first_byte: 300ms, first_token: 4s, idle: 200ms, stall: 200ms }";
    let config = Config::spill(&one, &two).on_route("timeouts", timeouts);
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
}

#[tokio::test]
async fn when_nobody_else_is_left_the_client_is_told_which_time_ran_out() {
    for (acts, reason) in [
        (vec![Act::Hang], "provider_timeout"),
        (
            begun([role("one-chat")], [Act::Hang]),
            "provider_first_token_timeout",
        ),
    ] {
        let one = Provider::always(acts).await;
        let config = Config::one(&one)
            .on_route("timeouts", "{ first_byte: 400ms, first_token: 400ms }")
            .logged();
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK_STREAM).await;
        crate::refusals::refused(reply, 504, reason);
        gateway.tells(reason).await;
        assert_eq!(one.count(), 1);
    }
}
