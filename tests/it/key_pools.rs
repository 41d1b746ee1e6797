//! Several keys for one provider: they share the work, and one that is no good is left out.

use crate::harness::answers::{failure, failure_with, http};
use crate::harness::fleet::by;
use crate::harness::*;
use crate::refusals::refused;
use std::collections::HashMap;

const KEYS: [&str; 3] = ["sk-pool-aaaa", "sk-pool-bbbb", "sk-pool-cccc"];

/// `one` with these keys, and its answers by the place of the key it is asked with.
async fn pool(answer: impl Fn(usize, &provider::Seen) -> Vec<Act> + Send + 'static) -> Provider {
    Provider::start(move |_, seen| {
        let key = key_of(seen);
        let place = KEYS.iter().position(|known| *known == key);
        answer(place.expect("one of the keys"), seen)
    })
    .await
}

fn key_of(seen: &provider::Seen) -> String {
    let all = seen.all("authorization");
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
        .strip_prefix("Bearer ")
        .expect("a bearer")
        .to_string()
}

/// The only provider of its route.
fn config(one: &Provider) -> Config {
    keyed(Config::new().provider("one", &one.base()))
        .route("main", "{ provider: one }")
        .logged()
}

/// The last provider has these keys.
fn keyed(config: Config) -> Config {
    let keys = format!("[{}]", KEYS.join(", "));
    config.without("api_key").with("api_keys", &keys)
}

/// How often each key was used.
fn used(one: &Provider) -> [usize; 3] {
    let mut counts = HashMap::new();
    for seen in one.seen() {
        *counts.entry(key_of(&seen)).or_insert(0) += 1;
    }
    KEYS.map(|key| counts.get(key).copied().unwrap_or(0))
}

/// No key, nor any part of one that would help, in anything the gateway wrote.
async fn nothing_leaked(gateway: &Gateway, replies: &[Reply]) {
    let told = [gateway.output(), gateway.metrics().await];
    let answered = replies
        .iter()
        .map(|reply| format!("{:?} {}", reply.head, reply.text()));
    for text in told.into_iter().chain(answered) {
        assert!(!text.contains("sk-pool"), "{text}");
    }
}

#[tokio::test]
async fn keys_take_turns() {
    let one = pool(|_, seen| chat_reply(seen)).await;
    let gateway = Gateway::start(&config(&one)).await;
    for _ in 0..30 {
        gateway.served().await;
    }
    assert_eq!(used(&one), [10, 10, 10]);
    nothing_leaked(&gateway, &[]).await;
}

fn json_error(status: u16, body: &str) -> Vec<Act> {
    let kind = [("content-type", "application/json")];
    vec![Act::Write(http(status, &kind, body))]
}

#[tokio::test]
async fn a_key_that_is_refused_is_left_out_and_the_caller_sees_nothing_of_it() {
    for (status, body) in [
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-pool-bbbb"}}"#,
        ),
        (
            402,
            r#"{"error":{"message":"pay first","code":"insufficient_credits"}}"#,
        ),
        (
            429,
            r#"{"error":{"message":"exceeded your current quota","code":"insufficient_quota"}}"#,
        ),
        (
            403,
            r#"{"error":{"message":"the balance of this key is used up"}}"#,
        ),
    ] {
        let one = pool(move |place, seen| match place {
            1 => json_error(status, body),
            _ => chat_reply(seen),
        })
        .await;
        let gateway = Gateway::start(&config(&one)).await;
        let mut replies = Vec::new();
        for _ in 0..21 {
            replies.push(gateway.chat(ASK).await.expect(200));
        }
        let [first, refused, third] = used(&one);
        assert_eq!((first + third, refused), (21, 1), "{status}");
        assert!(first.abs_diff(third) <= 2, "{first} and {third} times");
        nothing_leaked(&gateway, &replies).await;
    }
}

#[tokio::test]
async fn when_every_key_is_refused_the_gateway_says_so_and_asks_no_more() {
    for status in [401, 402] {
        let one = pool(move |place, _| {
            let text = format!("{} is no good", KEYS[place]);
            vec![failure(status, &text)]
        })
        .await;
        let gateway = Gateway::start(&config(&one)).await;
        let mut replies = Vec::new();
        for body in [ASK, ASK, ASK_STREAM, ASK] {
            let reply = gateway.chat(body).await;
            let text = reply.text();
            assert!(!text.contains("sk-pool"), "{text}");
            refused(reply, 502, "provider_");
            assert_eq!(used(&one), [1, 1, 1], "each was tried, once");
        }
        let auth = gateway.chat(ASK).await;
        replies.push(gateway.chat(ASK).await);
        refused(auth, 502, "provider_auth");
        assert_eq!(one.count(), 3);
        nothing_leaked(&gateway, &replies).await;
    }
}

#[tokio::test]
async fn one_key_that_is_refused_is_not_worn_out() {
    let one = Provider::always(vec![failure(401, "no such key")]).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    for _ in 0..5 {
        refused(gateway.chat(ASK).await, 502, "provider_auth");
    }
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn a_provider_without_a_good_key_gives_way_to_the_next() {
    let one = pool(|_, _| vec![failure(401, "no")]).await;
    let two = Provider::well().await;
    let config = keyed(Config::new().provider("one", &one.base()))
        .provider("two", &two.base())
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    for number in 0..10 {
        let reply = gateway.chat(ASK).await.expect(200);
        assert_eq!(by(&reply), "two");
        let attempts = if number == 0 { "4" } else { "1" };
        assert_eq!(reply.get("x-overspill-attempts"), Some(attempts));
    }
    assert_eq!((used(&one), two.count()), ([1, 1, 1], 10));
}

#[tokio::test]
async fn a_limited_key_rests_and_another_goes_on_at_once() {
    let one = pool(|place, seen| match place {
        0 => vec![failure_with(429, "slow down", &[("retry-after", "1")])],
        _ => chat_reply(seen),
    })
    .await;
    let two = Provider::well().await;
    let config = keyed(Config::new().provider("one", &one.base()))
        .provider("two", &two.base())
        // Patience would do, if another key did not do better.
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    let start = Instant::now();
    while used(&one)[0] == 0 {
        assert_eq!(gateway.served().await, "one");
    }
    assert!(start.elapsed() < ms(800), "{:?}", start.elapsed());
    let rests = one
        .seen()
        .iter()
        .find(|seen| key_of(seen) == KEYS[0])
        .unwrap()
        .at;
    while rests.elapsed() < ms(900) {
        assert_eq!(gateway.served().await, "one");
        assert_eq!(used(&one)[0], 1, "it rests");
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn without_a_time_to_rest_another_key_goes_on_all_the_same() {
    let one = pool(|place, seen| match place {
        0 => vec![failure(429, "slow down")],
        _ => chat_reply(seen),
    })
    .await;
    let gateway = Gateway::start(&config(&one)).await;
    for _ in 0..10 {
        assert_eq!(gateway.served().await, "one");
    }
}

/// Limits are an account's, and each key may be of another.
#[tokio::test]
async fn what_a_provider_says_of_one_keys_limits_does_not_hold_for_the_others() {
    let one = pool(|place, seen| {
        let mut headers = vec![("content-type", "application/json")];
        if place == 0 {
            headers.push(("x-ratelimit-remaining-requests", "0"));
            headers.push(("x-ratelimit-reset-requests", "30s"));
        }
        vec![Act::Write(http(
            200,
            &headers,
            chat(&seen.model(), "hello"),
        ))]
    })
    .await;
    let two = Provider::well().await;
    let config = keyed(Config::new().provider("one", &one.base()))
        .provider("two", &two.base())
        .route("main", "{ provider: one }, { provider: two, tier: 2 }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..9 {
        assert_eq!(gateway.served().await, "one");
    }
    let [first, second, third] = used(&one);
    assert_eq!((first, second + third), (1, 8));
}

#[tokio::test]
async fn when_every_key_rests_the_caller_is_told_the_soonest_return() {
    let one = pool(|place, _| {
        let after = ["30", "7", "20"][place];
        vec![failure_with(429, "slow down", &[("retry-after", after)])]
    })
    .await;
    let gateway = Gateway::start(&config(&one)).await;
    for _ in 0..3 {
        let reply = gateway.chat(ASK).await.expect(429);
        let after: u64 = reply.get("retry-after").expect("a time").parse().unwrap();
        assert!((6..=7).contains(&after), "{after}");
        assert_eq!(used(&one), [1, 1, 1]);
    }
    // Among them is one of our own.
    let told = refused(gateway.chat(ASK).await, 429, "provider_rate_limited");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("one"), "{message}");
}

#[tokio::test]
async fn the_log_names_the_key_by_its_place_where_it_is_not_the_first() {
    let one = pool(|place, seen| match place {
        1 => vec![failure(401, "sk-pool-bbbb is no good")],
        _ => chat_reply(seen),
    })
    .await;
    let gateway = Gateway::start(&config(&one)).await;
    for _ in 0..4 {
        gateway.served().await;
    }
    let answered: Vec<_> = one
        .seen()
        .iter()
        .map(key_of)
        .filter(|key| key != KEYS[1])
        .collect();
    for (number, key) in answered.iter().enumerate() {
        let line = gateway.line(number).await;
        let named = line.get("provider_key").and_then(Value::as_u64);
        // The place in `api_keys`, from 0.
        let expected = if key == KEYS[2] { Some(2) } else { None };
        assert_eq!(named, expected, "{line}");
    }
    nothing_leaked(&gateway, &[]).await;
}
