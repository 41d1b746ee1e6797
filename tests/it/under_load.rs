//! A target dies while hundreds of requests a second are under way, and no caller notices.

use crate::harness::fleet::{Mortal, flood, none_failed};
use crate::harness::provider::Seen;
use crate::harness::streaming::whole;
use crate::harness::*;

const RATE: u32 = 500;
const REQUESTS: usize = 1500;

/// An answer after a moment, so that some are always in the making.
fn busy(_: usize, seen: &Seen) -> Vec<Act> {
    let mut acts = vec![Act::Sleep(ms(15))];
    match seen.json()["stream"] == true {
        true => acts.extend(answers::stream_reply(&seen.model(), "hello")),
        false => acts.extend(chat_reply(seen)),
    }
    acts
}

async fn killed(body: &str, targets: &str) -> Vec<Reply> {
    let mut one = Mortal::start(busy).await;
    let two = Mortal::start(busy).await;
    let config = Config::new()
        .server("threads: 2")
        .provider("one", &one.provider.base())
        .provider("two", &two.provider.base())
        .route("main", targets);
    let gateway = Gateway::start(&config).await;
    let mut asked_before = 0;
    let replies = flood(
        gateway.address,
        &Request::chat(body),
        REQUESTS,
        RATE,
        |number| {
            if number == REQUESTS / 2 {
                asked_before = one.provider.count();
                one.kill();
            }
        },
    )
    .await;
    none_failed(&replies);
    assert_eq!(replies.len(), REQUESTS);
    assert!(asked_before > REQUESTS / 8, "{asked_before} before it died");
    replies
}

#[tokio::test]
async fn the_death_of_an_equal_is_not_noticed() {
    killed(ASK, "{ provider: one }, { provider: two }").await;
}

#[tokio::test]
async fn nor_is_the_death_of_a_whole_tier() {
    killed(ASK, "{ provider: one }, { provider: two, tier: 2 }").await;
}

#[tokio::test]
async fn nor_is_it_by_those_who_wait_for_a_stream() {
    let targets = "{ provider: one }, { provider: two }";
    for reply in killed(ASK_STREAM, targets).await {
        assert_eq!(reply.text(), whole("hello"));
    }
}
