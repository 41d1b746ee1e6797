//! Trouble in the middle of an answer: the caller sees one answer to its end.

use super::scene::{Scene, Stage, TOKENS, Way, answer, beginning, said_by, token};
use crate::harness::answers::{DONE, failure, last, part};
use crate::harness::voice::{ONE, TWO, prefill};
use crate::harness::*;

async fn cut_after(scene: &Scene, tokens: usize) -> Provider {
    let mut acts = beginning(ONE, tokens, scene.pace());
    acts.extend([Act::Sleep(ms(30)), Act::Close]);
    Provider::always(acts).await
}

pub async fn cut(scene: Scene) {
    for form in ["none", "assistant"] {
        let (one, two) = (cut_after(&scene, 40).await, scene.speaking(TWO).await);
        let config = Config::new()
            .provider("one", &one.base())
            .provider("two", &two.base())
            .with("prefill", form)
            .route("main", "{ provider: one }, { provider: two, tier: 2 }")
            .on_route("stream", "{ resume: auto }");
        let stage = scene.stage_of(one, two, &config).await;
        let answer = stage.ask(Way::Stream, &format!("prefill {form}")).await;
        answer.complete().tried(1, 1);
        let delivered = said_by(0..40);
        let sent = prefill(&stage.two.only());
        match form {
            "none" => assert_eq!(sent, None),
            _ => assert_eq!(sent.as_deref(), Some(delivered.trim_end())),
        }
    }
}

pub async fn stalled(scene: Scene) {
    let mut acts = beginning(ONE, 20, scene.pace());
    acts.push(Act::Sleep(scene.time(30_000)));
    acts.extend((20..TOKENS).map(|number| part(ONE.say(&token(number)))));
    acts.extend(ONE.end());
    let timeouts = format!("{{ idle: {} }}", scene.written(10_000));
    let stage = scene.stage(Provider::always(acts).await, &timeouts).await;
    let answer = stage.ask(Way::Stream, "").await;
    answer.complete().tried(1, 1);
    answer.within(scene.time(45_000).max(ms(4000)));
    until("the silent one is hung up on", ms(1000), || {
        stage.one.all_closed()
    })
    .await;
}

pub async fn malformed(scene: Scene) {
    // The tenth event: the role and eight tokens come before it.
    let mut acts = beginning(ONE, 8, scene.pace());
    acts.push(part(
        "data: {\"id\":\"chatcmpl-one\",\"choices\":[{\"index\":0,\"delta\":{\"cont\n\n",
    ));
    for number in 8..TOKENS {
        acts.extend([part(ONE.say(&token(number))), Act::Sleep(scene.pace())]);
    }
    acts.extend(ONE.end());
    let stage = scene.stage(Provider::always(acts).await, "{ }").await;
    let answer = stage.ask(Way::Stream, "").await;
    answer.complete().tried(1, 0).by("one");
}

pub async fn without_done(scene: Scene) {
    for (note, end) in [
        ("closed", vec![last()]),
        ("cut", vec![Act::Close]),
        ("left open", vec![Act::Hang]),
    ] {
        let mut acts = beginning(ONE, TOKENS, scene.pace());
        acts.push(part(ONE.finish("stop")));
        let events = acts
            .iter()
            .filter(|act| matches!(act, Act::Write(_)))
            .count();
        acts.extend(end);
        let stage = scene.stage(Provider::always(acts).await, "{ }").await;
        let answer = stage.ask(Way::Stream, note).await;
        answer.complete().tried(1, 0);
        ends_soon_after_its_last_event(&stage, events, answer.ended);
    }
}

fn ends_soon_after_its_last_event(stage: &Stage<'_>, events: usize, ended: Instant) {
    let late = ended.saturating_duration_since(stage.one.written()[events - 1]);
    assert!(late < ms(1000), "ended {late:?} after the last event");
}

pub async fn prefill_refused(scene: Scene) {
    let pace = scene.pace();
    let one = cut_after(&scene, 40).await;
    let two = Provider::start(move |_, seen| match prefill(seen) {
        Some(_) => vec![failure(400, "the last message must be the user's")],
        None => answer(TWO, seen, pace),
    })
    .await;
    let config = scene.config(&one, &two, "{ }").with("prefill", "assistant");
    let stage = scene.stage_of(one, two, &config).await;
    let answer = stage.ask(Way::Stream, "").await;
    answer.complete().tried(1, 2);
    let asked: Vec<_> = stage
        .two
        .seen()
        .iter()
        .map(|seen| prefill(seen).is_some())
        .collect();
    assert_eq!(asked, [true, false]);
    assert!(!answer.reply.text().contains("last message"));
    assert!(answer.reply.text().ends_with(DONE));
}
