//! An outage that passes, and what the books say after a failover.

use super::scene::{BOTH, PROMPT, Scene, TOKENS, Way, answer};
use crate::harness::answers::{failure, failure_with};
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// Seconds, at full scale: the trouble begins, and ends; the provider must serve again; the end.
const DOWN: u64 = 5;
const BACK: u64 = DOWN + 60;
const USED_AGAIN: u64 = BACK + 30;

pub async fn flapping(scene: Scene) {
    let down = Arc::new(AtomicBool::new(false));
    let state = down.clone();
    let one =
        Provider::start(
            move |number, seen| match (state.load(Ordering::Relaxed), number % 2) {
                (true, 0) => vec![failure(503, "down")],
                (true, _) => vec![Act::Reset],
                (false, _) => answer(ONE, seen, Duration::ZERO),
            },
        )
        .await;
    let two = Provider::start(|_, seen| answer(TWO, seen, Duration::ZERO)).await;
    let config = scene.config(&one, &two, "{ }");
    let stage = scene.stage_of(one, two, &config).await;

    // Who served what was asked in each second.
    let mut asked = JoinSet::new();
    let mut ticks = tokio::time::interval(scene.time(1000));
    for second in 0..USED_AGAIN {
        ticks.tick().await;
        down.store((DOWN..BACK).contains(&second), Ordering::Relaxed);
        let (way, address) = (BOTH[second as usize % 2], stage.gateway.address);
        asked.spawn(async move { (second, way, Request::chat(way.body()).to(address).await) });
    }
    let mut again = 0;
    while let Some(asked) = asked.join_next().await {
        let (second, way, reply) = asked.expect("an answer");
        let text = reply.text();
        assert_eq!(reply.status, 200, "second {second}: {text}");
        let provider = reply.get("x-overspill-provider").map(str::to_string);
        match way {
            Way::Stream => Said::of(&reply).whole(&super::scene::whole()),
            Way::Whole => assert!(text.contains("stop"), "second {second}: {text}"),
        }
        match (second, provider.as_deref()) {
            // Not its last moments: those requests may arrive when it is down.
            (0..3, by) => assert_eq!(by, Some("one"), "second {second}"),
            (BACK.., Some("one")) => again += 1,
            _ => {}
        }
    }
    assert!(again > 0, "the provider came back and was not used again");
    stage.ask(Way::Stream, "in the end").await.complete();
}

pub async fn accounting(scene: Scene) {
    for way in BOTH {
        // Without a Retry-After: one attempt here, one there.
        let limited = failure_with(429, "slow down", &[]);
        let one = Provider::always(vec![limited]).await;
        let stage = scene.stage(one, "{ }").await;
        let answer = stage.ask(way, "").await;
        answer.complete().tried(1, 1).by("two");
        let reply = &answer.reply;
        assert_eq!(reply.get("x-overspill-model"), Some("acme/chat"));
        assert_eq!(reply.get("x-overspill-attempts"), Some("2"));
        let usage = match way {
            Way::Stream => {
                let said = Said::of(reply);
                assert_eq!(said.usage.len(), 1, "{:?}", said.usage);
                said.usage[0].clone()
            }
            Way::Whole => reply.json()["usage"].clone(),
        };
        assert_eq!(usage["prompt_tokens"], PROMPT);
        assert_eq!(usage["completion_tokens"], TOKENS);

        let id = reply.get("x-request-id").expect("an id");
        let record = stage.gateway.record(id).await;
        assert_eq!(record["provider"], "two", "{record}");
        assert_eq!(record["served"], "acme/chat", "{record}");
        assert_eq!(record["attempts"], 2, "{record}");
        let trace = record["trace"].as_str().expect("a trace");
        let steps: Vec<_> = trace
            .split(", ")
            .map(|step| step.rsplit_once(';'))
            .collect();
        assert!(
            matches!(steps[..], [Some(("one;429", _)), Some(("two;200", _))]),
            "{trace}"
        );
        assert_eq!(record["tokens_in"], PROMPT, "{record}");
        assert_eq!(record["tokens_out"], TOKENS, "{record}");
    }
}
