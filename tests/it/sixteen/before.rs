//! Trouble before the first token: the caller never knows.

use super::scene::{BOTH, Scene, Way, answer};
use crate::harness::answers::{failure, failure_with, http, part, sse_head};
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;

/// A provider that fails once and is well after that.
async fn once(scene: &Scene, fault: Act) -> Provider {
    let pace = scene.pace();
    Provider::start(move |number, seen| match number {
        0 => vec![fault.clone()],
        _ => answer(ONE, seen, pace),
    })
    .await
}

pub async fn limited_once(scene: Scene) {
    for way in BOTH {
        let limited = failure_with(429, "slow down", &[("retry-after", "2")]);
        let stage = scene.stage(once(&scene, limited).await, "{ }").await;
        let answer = stage.ask(way, "").await;
        answer.complete().tried(2, 0).by("one");
        let seen = stage.one.seen();
        let waited = seen[1].at.duration_since(seen[0].at);
        assert!(
            (ms(1800)..ms(4000)).contains(&waited),
            "tried again after {waited:?}"
        );
    }
}

pub async fn limited_for_ever(scene: Scene) {
    for way in BOTH {
        for (note, headers) in [
            ("", vec![]),
            ("retry-after 60", vec![("retry-after", "60")]),
        ] {
            let limited = failure_with(429, "slow down", &headers);
            let one = Provider::always(vec![limited]).await;
            let stage = scene.stage(one, "{ }").await;
            let answer = stage.ask(way, note).await;
            answer.complete().tried(1, 1).by("two");
            answer.within(scene.time(10_000).max(ms(3000)));
        }
    }
}

pub async fn failing_once(scene: Scene) {
    for way in BOTH {
        let one = once(&scene, failure(500, "a stumble")).await;
        let stage = scene.stage(one, "{ }").await;
        stage.ask(way, "").await.complete().tried(2, 0).by("one");
    }
}

pub async fn overloaded_for_ever(scene: Scene) {
    for way in BOTH {
        let one = Provider::always(vec![failure(503, "down")]).await;
        let stage = scene.stage(one, "{ }").await;
        stage.ask(way, "").await.complete().tried(2, 1).by("two");
    }
}

pub async fn reset(scene: Scene) {
    for way in BOTH {
        let stage = scene
            .stage(Provider::always(vec![Act::Reset]).await, "{ }")
            .await;
        stage.ask(way, "").await.complete().tried(1, 1).by("two");
    }
}

pub async fn silent(scene: Scene) {
    let patience = scene.written(10_000);
    let timeouts = format!("{{ first_byte: {patience}, response: {patience} }}");
    for way in BOTH {
        let stage = scene
            .stage(Provider::always(vec![Act::Hang]).await, &timeouts)
            .await;
        let answer = stage.ask(way, "").await;
        answer.complete().tried(1, 1).by("two");
        let first = answer.first.expect("content");
        let limit = scene.time(10_000) + ms(1000);
        assert!(
            first < limit,
            "content after {first:?}, not within {limit:?}"
        );
        until("the silent one is hung up on", ms(1000), || {
            stage.one.all_closed()
        })
        .await;
    }
}

pub async fn slow_first_token(scene: Scene) {
    let mut acts = vec![sse_head(), part(ONE.role()), Act::Sleep(scene.time(20_000))];
    acts.extend(ONE.stream(["too late"]).split_off(2));
    let timeouts = format!("{{ first_token: {} }}", scene.written(10_000));
    let stage = scene.stage(Provider::always(acts).await, &timeouts).await;
    let answer = stage.ask(Way::Stream, "").await;
    answer.complete().tried(1, 1).by("two");
    let first = answer.first.expect("content");
    let limits = scene.time(9_500)..scene.time(10_000) + ms(1500);
    assert!(limits.contains(&first), "content after {first:?}");
}

pub async fn too_long(scene: Scene) {
    let told = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    for way in BOTH {
        let one = Provider::always(vec![json_reply(400, told)]).await;
        let two = scene.speaking(TWO).await;
        let small = "{ \"acme/chat\": { name: one-chat, context: 8192 } }";
        let large = "{ \"acme/chat\": { name: two-chat, context: 131072 } }";
        let config = Config::new()
            .provider("one", &one.base())
            .with("models", small)
            .provider("two", &two.base())
            .with("models", large)
            .route("main", "{ provider: one }, { provider: two, tier: 2 }")
            .on_route("stream", "{ resume: auto }");
        let stage = scene.stage_of(one, two, &config).await;
        stage.ask(way, "").await.complete().tried(1, 1).by("two");
    }
}

pub async fn filtered(scene: Scene) {
    let told = "{ \"error\":{\"message\":\"Your request was flagged.\",\"type\":\"invalid_request_error\",\
                \"param\":null,\"code\":\"content_filter\",\"x\":1.0} }";
    for way in BOTH {
        let json = [("content-type", "application/json")];
        let one = Provider::always(vec![Act::Write(http(400, &json, told))]).await;
        let stage = scene.stage(one, "{ }").await;
        let answer = stage.ask(way, "").await;
        assert_eq!(
            (answer.reply.status, answer.reply.text()),
            (400, told.into())
        );
        answer.tried(1, 0);
        assert_eq!(stage.two.connections().len(), 0);
    }
}
