//! From the provider at home to the grid, and back.

use super::{fleet, tried};
use crate::harness::answers::{event, failure_with, finish, last, part, sse_head};
use crate::harness::fleet::{Mood, by, gated};
use crate::harness::*;

const PRICE: &str = "{ input: 0.27, output: 0.42 }";

fn home_and_grid(home: &Provider, grid: &Provider) -> Config {
    fleet(&[("home", &home.base(), PRICE), ("grid", &grid.base(), PRICE)])
        .route("main", "{ provider: home }, { provider: grid, tier: 2 }")
}

#[tokio::test]
async fn whatever_home_cannot_take_goes_to_the_grid() {
    let too_busy = r#"{"code":50505,"message":"Model service overloaded. Please try again later.","data":null}"#;
    for act in [
        json_reply(503, too_busy),
        json_reply(504, "upstream timed out"),
        failure_with(429, "slow down", &[("retry-after", "30")]),
    ] {
        let home = Provider::always(vec![act]).await;
        let grid = Provider::well().await;
        let gateway = Gateway::start(&home_and_grid(&home, &grid)).await;
        for body in [ASK, ASK] {
            let reply = gateway.chat(body).await.expect(200);
            assert_eq!(by(&reply), "grid");
        }
        assert!(home.count() >= 1);
    }
}

#[tokio::test]
async fn home_is_back_after_the_rest_it_asked_for_and_not_before() {
    let mood = Mood::of(vec![failure_with(
        429,
        "slow down",
        &[("retry-after", "1")],
    )]);
    let home = mood.provider().await;
    let grid = Provider::well().await;
    let config = home_and_grid(&home, &grid).on_route("retry", "{ patience: 0s }");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(tried(&reply), ["home", "grid"]);
    mood.mend();
    let asked = home.only().at;
    gateway.served_by("home", ms(5000)).await;
    let rested = home.seen()[1].at - asked;
    assert!(rested >= ms(1000), "{rested:?}");
    for _ in 0..20 {
        assert_eq!(gateway.served().await, "home");
    }
}

#[tokio::test]
async fn a_place_that_is_taken_sends_the_next_one_on_and_is_used_again() {
    let (homes, gate) = gated(1).await;
    let grid = Provider::well().await;
    let config =
        home_and_grid(&homes[0], &grid).on_provider("home", "limits", "{ concurrency: 1 }");
    let gateway = Gateway::start(&config).await;
    let mut held = gateway.held(Request::chat(ASK), &homes).await;
    for _ in 0..3 {
        let reply = gateway.chat(ASK).await.expect(200);
        // It was passed over, not asked.
        assert_eq!(tried(&reply), ["grid"]);
    }
    assert_eq!(homes[0].count(), 1);
    gate.add_permits(100);
    assert_eq!(by(&held.reply("POST").await.expect(200)), "home");
    gateway.served_by("home", ms(5000)).await;
}

#[tokio::test]
async fn processing_is_no_token_however_often_it_is_said() {
    const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";
    let busy = Act::Every(ms(20), wire::chunk(COMMENT.as_bytes()));
    let home = Provider::always(vec![sse_head(), busy]).await;
    let late = vec![
        sse_head(),
        part(COMMENT),
        Act::Sleep(ms(250)),
        part(COMMENT),
        part(event("grid-chat", "hello")),
        part(finish("grid-chat")),
        part(answers::DONE),
        last(),
    ];
    let grid = Provider::always(late).await;
    let config = home_and_grid(&home, &grid)
        .on_route("timeouts", "{ first_token: 400ms }")
        .logged();
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    Said::of(&reply).whole("hello");
    assert_eq!(tried(&reply), ["home", "grid"]);
    let line = gateway.line(0).await;
    // Neither of them counts from a comment.
    assert!(line["first_token_ms"].as_u64() >= Some(650), "{line}");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_passed_on_and_remembered() {
    let error = r#"{"id":"g","object":"chat.completion.chunk","model":"home-chat","error":{"code":"server_error","message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#;
    let acts = vec![
        sse_head(),
        part(event("home-chat", "hel")),
        part(format!("data: {error}\n\n")),
        last(),
    ];
    let home = Provider::always(acts).await;
    let grid = Provider::well().await;
    let config = home_and_grid(&home, &grid)
        .on_route("stream", "{ resume: off }")
        .logged();
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let said = Said::of(&reply);
    assert_eq!((said.content.as_str(), said.done), ("hel", 0));
    let told = said.error.expect("an error").to_string();
    assert!(told.contains("Provider disconnected"), "{told}");
    let line = gateway.line(0).await;
    assert_ne!(line["reason"], "ok", "{line}");
    assert_eq!(grid.count(), 0);
}
