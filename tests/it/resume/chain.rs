//! The next target has troubles of its own.

use super::{BEGUN, REST, all, begun, breaking, cut_after};
use crate::harness::answers::{failure, failure_with, part};
use crate::harness::provider::Refusing;
use crate::harness::voice::{ONE, THREE, TWO, prefill};
use crate::harness::*;

/// Three tiers; the last two continue messages, or nobody does.
fn three(bases: [&str; 3], resume: &str, form: &str) -> Config {
    Config::new()
        .provider("one", bases[0])
        .provider("two", bases[1])
        .with("prefill", form)
        .provider("three", bases[2])
        .with("prefill", form)
        .route(
            "main",
            "{ provider: one }, { provider: two, tier: 2 }, { provider: three, tier: 3 }",
        )
        .on_route("stream", &format!("{{ resume: {resume} }}"))
}

#[tokio::test]
async fn a_continuation_that_breaks_is_continued_again() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(cut_after([TWO.role(), TWO.say(REST[0])])).await;
    let last = Provider::always(THREE.stream(REST[1..].iter().copied())).await;
    let config = three(
        [&one.base(), &two.base(), &last.base()],
        "prefill",
        "assistant",
    );
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let said = Said::of(&reply);
    said.whole(&all());
    assert_eq!(Vec::from_iter(said.ids), ["\"chatcmpl-one\""]);
    assert_eq!((one.count(), two.count()), (1, 1));
    let delivered = begun() + REST[0];
    assert_eq!(prefill(&last.only()).as_deref(), Some(delivered.trim_end()));
    assert_eq!(last.only().json()["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_answer_afresh_that_breaks_is_begun_again() {
    // Broken before the end of what is skipped, and after it.
    for said in [begun().chars().take(9).collect(), begun() + REST[0]] {
        let one = Provider::always(breaking()).await;
        let two = Provider::always(cut_after([TWO.say(&said)])).await;
        let last = Provider::always(THREE.stream([all().as_str()])).await;
        let config = three([&one.base(), &two.base(), &last.base()], "auto", "none");
        let gateway = Gateway::start(&config).await;
        Said::of(&gateway.chat(ASK_STREAM).await.expect(200)).whole(&all());
        assert_eq!((one.count(), two.count(), last.count()), (1, 1, 1));
    }
}

#[tokio::test]
async fn a_target_that_cannot_take_it_is_passed_over() {
    for trouble in [
        vec![failure(429, "of the second")],
        vec![failure_with(429, "of the second", &[("retry-after", "60")])],
        vec![failure(503, "of the second")],
        vec![failure(401, "of the second")],
        vec![Act::Reset],
        vec![Act::Hang],
        vec![json_reply(
            200,
            "{\"error\":{\"message\":\"of the second\",\"code\":503}}",
        )],
    ] {
        for (resume, form) in [("prefill", "assistant"), ("auto", "none")] {
            let one = Provider::always(breaking()).await;
            let two = Provider::always(trouble.clone()).await;
            let last = Provider::start(|_, seen| match prefill(seen) {
                Some(_) => THREE.stream(REST),
                None => THREE.stream([all().as_str()]),
            })
            .await;
            let config = three([&one.base(), &two.base(), &last.base()], resume, form)
                .on_route("timeouts", "{ first_byte: 300ms, first_token: 600ms }");
            let gateway = Gateway::start(&config).await;
            let reply = gateway.chat(ASK_STREAM).await.expect(200);
            Said::of(&reply).whole(&all());
            assert!(!reply.text().contains("of the second"));
            assert_eq!((one.count(), last.count()), (1, 1));
            assert!((1..=2).contains(&two.count()), "{} requests", two.count());
        }
    }
}

#[tokio::test]
async fn a_target_that_is_not_there_is_passed_over() {
    let (one, two) = (Provider::always(breaking()).await, Refusing::new());
    let last = Provider::always(THREE.stream(REST)).await;
    let config = three(
        [&one.base(), &two.base(), &last.base()],
        "prefill",
        "assistant",
    );
    let gateway = Gateway::start(&config).await;
    Said::of(&gateway.chat(ASK_STREAM).await.expect(200)).whole(&all());
}

#[tokio::test]
async fn attempts_are_counted_over_this_too() {
    for attempts in [1, 2, 3] {
        let one = Provider::always(breaking()).await;
        let two = Provider::always(vec![failure(429, "of the second")]).await;
        let last = Provider::always(THREE.stream(REST)).await;
        let retry = format!("{{ attempts: {attempts}, backoff: 1ms..2ms }}");
        let config = three(
            [&one.base(), &two.base(), &last.base()],
            "prefill",
            "assistant",
        )
        .on_route("retry", &retry);
        let gateway = Gateway::start(&config).await;
        let said = Said::of(&gateway.chat(ASK_STREAM).await.expect(200));
        match attempts {
            3 => said.whole(&all()),
            _ => said.broken(&begun(), "provider_truncated"),
        }
        assert_eq!(one.count() + two.count() + last.count(), attempts);
    }
}

#[tokio::test]
async fn what_failed_before_the_first_word_counts_too() {
    let down = Provider::always(vec![failure(429, "busy")]).await;
    let two = Provider::always(breaking()).await;
    let last = Provider::always(THREE.stream(REST)).await;
    for (attempts, mended) in [(2, false), (3, true)] {
        let retry = format!("{{ attempts: {attempts}, backoff: 1ms..2ms }}");
        let config = three(
            [&down.base(), &two.base(), &last.base()],
            "prefill",
            "assistant",
        )
        .on_route("retry", &retry);
        let gateway = Gateway::start(&config).await;
        let said = Said::of(&gateway.chat(ASK_STREAM).await.expect(200));
        assert_eq!(said.done, usize::from(mended), "{said:?}");
        assert_eq!(last.count(), usize::from(mended));
    }
}

#[tokio::test]
async fn the_client_is_kept_awake_meanwhile() {
    let mut slow = vec![Act::Sleep(ms(800))];
    slow.extend(TWO.stream(REST));
    let (one, two) = (
        Provider::always(breaking()).await,
        Provider::always(slow).await,
    );
    let config = super::config(&one, &two, "prefill", "assistant")
        .on_route("stream", "{ ping: 150ms, resume: prefill }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let said = Said::of(&reply);
    said.whole(&all());
    assert!((3..=6).contains(&said.pings), "{} pings", said.pings);
    let longest = reply
        .pieces
        .windows(2)
        .map(|two| two[1].0.duration_since(two[0].0))
        .max();
    assert!(longest < Some(ms(600)), "silent for {longest:?}");
}

#[tokio::test]
async fn what_is_delivered_is_delivered_at_once() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let mut acts = vec![answers::sse_head()];
    for text in REST {
        acts.extend([part(TWO.say(text)), Act::Gate(gate.clone())]);
    }
    acts.extend(TWO.end());
    let (one, two) = (
        Provider::always(breaking()).await,
        Provider::always(acts).await,
    );
    let gateway = Gateway::start(&super::config(&one, &two, "prefill", "assistant")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    let mut framing = head.framing("POST");
    conn.body_until(&mut framing, BEGUN[2]).await;
    for text in REST {
        conn.body_until(&mut framing, text).await;
        gate.add_permits(1);
    }
    assert!(
        conn.rest(head, "POST")
            .await
            .text()
            .ends_with(answers::DONE)
    );
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_ends_it() {
    let one = Provider::always(cut_after([ONE.say("first")])).await;
    let two = Provider::always(vec![Act::Hang]).await;
    let last = Provider::always(THREE.stream(REST)).await;
    let config = three(
        [&one.base(), &two.base(), &last.base()],
        "prefill",
        "assistant",
    );
    let gateway = Gateway::start(&config).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;
    until("the second is asked", ms(5000), || two.count() == 1).await;
    drop(conn);
    until("it is hung up on", ms(1000), || two.all_closed()).await;
    assert_eq!((two.count(), last.connections().len()), (1, 0));
}
