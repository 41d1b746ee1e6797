//! Who of a tier is asked first, where it is not simply everyone's turn.

use crate::harness::answers::failure;
use crate::harness::fleet::{Mood, by, counts, gated, well};
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

const FOR_GOOD: &str = "{ failures: 50%, last: 10, minimum: 4, interval: 60s }";

fn balanced(providers: &[Provider], balance: &str, targets: &str) -> Config {
    Config::of(providers)
        .route("main", targets)
        .on_route("balance", balance)
}

#[tokio::test]
async fn the_share_of_a_target_that_is_out_goes_to_the_others_by_weight() {
    // The second time the one that is out had nearly all.
    for (weights, shares) in [([4, 1, 5], [400, 100]), ([1, 4, 100], [100, 400])] {
        let mood = Mood::of(vec![failure(500, "down")]);
        let providers = [
            Provider::well().await,
            Provider::well().await,
            mood.provider().await,
        ];
        let [one, two, three] = weights;
        let targets = format!(
            "{{ provider: one, weight: {one} }}, {{ provider: two, weight: {two} }}, \
             {{ provider: three, weight: {three} }}"
        );
        let config =
            balanced(&providers, "weighted", &targets).on_provider("three", "breaker", FOR_GOOD);
        let gateway = Gateway::start(&config).await;
        while providers[2].count() < 4 {
            gateway.served().await;
        }
        let before = counts(&providers);
        let mut conn = Conn::open(gateway.address).await;
        for _ in 0..500 {
            conn.ask(&Request::chat(ASK)).await.expect(200);
        }
        let after = counts(&providers);
        let asked: Vec<_> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        let fair = shares
            .iter()
            .zip(&asked)
            .all(|(share, asked)| asked.abs_diff(*share) <= 1);
        assert!(fair && asked[2] == 0, "{asked:?} of {weights:?}");
    }
}

#[tokio::test]
async fn weight_zero_gets_none_whatever_the_balance() {
    for balance in ["weighted", "fastest", "least_busy", "cheapest", "sticky"] {
        let providers = well(3).await;
        let targets = "{ provider: one }, { provider: two, weight: 0 }, { provider: three }";
        let config = balanced(&providers, balance, targets);
        let gateway = Gateway::start(&config).await;
        let mut conn = Conn::open(gateway.address).await;
        for number in 0..40 {
            let session = format!("session-{number}");
            let request = Request::chat(ASK).header("x-overspill-session", &session);
            conn.ask(&request).await.expect(200);
        }
        let [one, two, three] = counts(&providers)[..] else {
            panic!("three providers");
        };
        assert_eq!((one + three, two), (40, 0), "{balance}");
    }
}

async fn after(pause: Duration) -> Provider {
    Provider::start(move |_, seen| {
        let mut acts = vec![Act::Sleep(pause)];
        match seen.json()["stream"] == true {
            true => acts.extend(answers::stream_reply(&seen.model(), "hello")),
            false => acts.extend(chat_reply(seen)),
        }
        acts
    })
    .await
}

#[tokio::test]
async fn fastest_prefers_the_quick_one() {
    for body in [ASK, ASK_STREAM] {
        let providers = [after(ms(40)).await, after(ms(1)).await];
        let config = balanced(
            &providers,
            "fastest",
            "{ provider: one }, { provider: two }",
        );
        let gateway = Gateway::start(&config).await;
        let mut conn = Conn::open(gateway.address).await;
        for _ in 0..40 {
            conn.ask(&Request::chat(body)).await.expect(200);
        }
        let counts = counts(&providers);
        assert!(counts[1] >= 32, "{counts:?}");
        assert!(counts[0] >= 1, "everyone is measured once: {counts:?}");
    }
}

#[tokio::test]
async fn fastest_notices_that_the_quick_one_has_become_slow() {
    let mood = Mood::default();
    let providers = [after(ms(20)).await, mood.provider().await];
    let config = balanced(
        &providers,
        "fastest",
        "{ provider: one }, { provider: two }",
    );
    let gateway = Gateway::start(&config).await;
    for _ in 0..20 {
        gateway.served().await;
    }
    assert!(providers[1].count() >= 15, "{:?}", counts(&providers));
    mood.set(vec![
        Act::Sleep(ms(300)),
        json_reply(200, chat("two-chat", "hello")),
    ]);
    for _ in 0..5 {
        gateway.served().await;
    }
    let before = counts(&providers);
    for _ in 0..20 {
        gateway.served().await;
    }
    let slow = providers[1].count() - before[1];
    assert!(slow <= 2, "asked {slow} of 20 times though it is slow");
}

#[tokio::test]
async fn least_busy_spreads_by_what_is_in_flight() {
    let (providers, gate) = gated(3).await;
    let targets = "{ provider: one }, { provider: two }, { provider: three }";
    let config = balanced(&providers, "least_busy", targets);
    let gateway = Gateway::start(&config).await;
    let mut first = Vec::new();
    for _ in 0..30 {
        first.push(gateway.held(Request::chat(ASK), &providers).await);
    }
    assert_eq!(counts(&providers), [10, 10, 10]);
    gate.add_permits(30);
    for conn in &mut first {
        conn.reply("POST").await.expect(200);
    }
    for _ in 0..6 {
        first.push(gateway.held(Request::chat(ASK), &providers).await);
    }
    assert_eq!(counts(&providers), [12, 12, 12]);
}

#[tokio::test]
async fn least_busy_avoids_the_one_that_is_stuck() {
    let stuck = Provider::always(vec![Act::Hang]).await;
    let providers = [stuck, Provider::well().await, Provider::well().await];
    let targets = "{ provider: one }, { provider: two }, { provider: three }";
    let config = balanced(&providers, "least_busy", targets);
    let gateway = Gateway::start(&config).await;
    let mut waiting = Vec::new();
    while providers[0].count() == 0 {
        waiting.push(gateway.held(Request::chat(ASK), &providers).await);
    }
    for _ in 0..40 {
        gateway.served().await;
    }
    assert_eq!(providers[0].count(), 1, "the others are idle");
}

#[tokio::test]
async fn a_stream_is_in_flight_to_its_end() {
    let gate = Arc::new(Semaphore::new(0));
    let hold = gate.clone();
    let one = Provider::start(move |_, seen| {
        if seen.json()["stream"] != true {
            return chat_reply(seen);
        }
        let mut acts = answers::stream_reply(&seen.model(), "hello");
        acts.insert(2, Act::Gate(hold.clone()));
        acts
    })
    .await;
    let providers = [one, Provider::well().await];
    let config = balanced(
        &providers,
        "least_busy",
        "{ provider: one }, { provider: two }",
    )
    .on_provider("two", "models", "{ \"acme/other\": { name: two-other } }");
    // Only `one` serves the stream's model.
    let both = "{ \"acme/chat\": { name: c }, \"acme/other\": { name: o } }";
    let gateway = Gateway::start(&config.on_provider("one", "models", both)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "hello").await;
    let other = ASK.replace("acme/chat", "acme/other");
    for _ in 0..10 {
        let reply = gateway.chat(other.clone()).await.expect(200);
        assert_eq!(by(&reply), "two");
    }
    gate.add_permits(1);
    conn.rest(head, "POST").await;
    for _ in 0..10 {
        gateway.chat(other.clone()).await.expect(200);
    }
    let counts = counts(&providers);
    assert!(counts[0] >= 4, "{counts:?}");
}

fn priced(name: &str, price: &str) -> String {
    format!("{{ \"acme/chat\": {{ name: {name}-chat, price: {price} }} }}")
}

#[tokio::test]
async fn cheapest_compares_across_currencies_and_asks_the_unpriced_last() {
    // ¥4 are $0.55, and ¥5 are $0.68.
    for (yuan, order) in [(4, ["two", "one", "three"]), (5, ["one", "two", "three"])] {
        let moods = [Mood::default(), Mood::default(), Mood::default()];
        let mut providers = Vec::new();
        for mood in &moods {
            providers.push(mood.provider().await);
        }
        let yuan = format!("{{ input: {yuan}, output: {yuan}, currency: CNY }}");
        let targets = "{ provider: three }, { provider: one }, { provider: two }";
        let config = balanced(&providers, "cheapest", targets)
            .on_provider(
                "one",
                "models",
                &priced("one", "{ input: 0.6, output: 0.6 }"),
            )
            .on_provider("two", "models", &priced("two", &yuan));
        let gateway = Gateway::start(&config).await;
        for _ in 0..10 {
            assert_eq!(gateway.served().await, order[0]);
        }
        let place = |name: &str| ["one", "two", "three"].iter().position(|n| *n == name);
        for next in 1..3 {
            moods[place(order[next - 1]).unwrap()].set(vec![failure(500, "down")]);
            let reply = gateway.chat(ASK).await.expect(200);
            assert_eq!(by(&reply), order[next]);
            let tried = (next + 1).to_string();
            assert_eq!(reply.get("x-overspill-attempts"), Some(tried.as_str()));
        }
    }
}

#[tokio::test]
async fn cheapest_reckons_with_what_the_call_may_use() {
    let providers = well(2).await;
    let config = balanced(
        &providers,
        "cheapest",
        "{ provider: one }, { provider: two }",
    )
    .on_provider("one", "models", &priced("one", "{ input: 1, output: 10 }"))
    .on_provider("two", "models", &priced("two", "{ input: 5, output: 1 }"));
    let gateway = Gateway::start(&config).await;
    let prompt = "word ".repeat(8000);
    let long = ASK.replace("\"hi\"", &format!("\"{prompt}\""));
    let long = long.replacen('{', "{\"max_tokens\":10,", 1);
    let short = ASK.replacen('{', "{\"max_tokens\":4000,", 1);
    for _ in 0..5 {
        let reply = gateway.chat(long.clone()).await.expect(200);
        assert_eq!(by(&reply), "one", "much in, little out");
        let reply = gateway.chat(short.clone()).await.expect(200);
        assert_eq!(by(&reply), "two", "little in, much out");
    }
}
