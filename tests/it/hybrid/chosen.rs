//! Who a caller wants: exactly those, in that order, and by what was measured.

use super::{fleet, tried, untouched, with};
use crate::harness::answers::{event, failure, finish, last, part, sse_head};
use crate::harness::fleet::{by, well};
use crate::harness::*;

const PRICE: &str = "{ input: 0.27, output: 0.42 }";

#[tokio::test]
async fn exactly_those_are_tried_whom_the_caller_names() {
    let down = async || Provider::always(vec![failure(503, "down")]).await;
    let providers = [down().await, down().await, down().await, down().await];
    let names = ["deepinfra/turbo", "novita-like", "deepinfra", "last"];
    let named: Vec<(&str, String)> = names
        .iter()
        .zip(&providers)
        .map(|(name, provider)| (*name, provider.base()))
        .collect();
    for (field, expected) in [
        (
            r#""order":["last","deepinfra"],"allow_fallbacks":false"#,
            &["last", "deepinfra/turbo", "deepinfra"][..],
        ),
        (
            r#""order":["DeepInfra/Turbo"],"allow_fallbacks":false"#,
            &["deepinfra/turbo"],
        ),
        (
            r#""order":["deepinfra/turbo"]"#,
            &["deepinfra/turbo", "novita-like", "deepinfra", "last"],
        ),
        (r#""only":["deepinfra"]"#, &["deepinfra/turbo", "deepinfra"]),
        (
            r#""only":["deepinfra","last"],"ignore":["deepinfra/turbo"]"#,
            &["deepinfra", "last"],
        ),
        (r#""ignore":["deepinfra"]"#, &["novita-like", "last"]),
        (
            r#""ignore":["deepinfr","novita"],"allow_fallbacks":false"#,
            &["deepinfra/turbo"],
        ),
        (
            r#""order":["novita-like","nobody"],"only":["deepinfra","novita-like"]"#,
            &["novita-like", "deepinfra/turbo", "deepinfra"],
        ),
    ] {
        // Of a gateway that has seen no failure yet.
        let named: Vec<_> = named
            .iter()
            .map(|(name, base)| (*name, base.as_str(), PRICE))
            .collect();
        let config = fleet(&named)
            .route(
                "main",
                "{ provider: deepinfra/turbo }, { provider: novita-like, tier: 2 }, \
                 { provider: deepinfra, tier: 3 }, { provider: last, tier: 4 }",
            )
            .on_route("retry", "{ attempts: 20, backoff: 1ms..2ms }");
        let gateway = Gateway::start(&config).await;
        let before: Vec<usize> = providers.iter().map(Provider::count).collect();
        let reply = gateway
            .chat(with(&format!("\"provider\":{{{field}}}")))
            .await;
        assert_eq!(reply.status, 503, "{field}");
        assert_eq!(tried(&reply), expected, "{field}");
        for ((name, provider), before) in names.iter().zip(&providers).zip(before) {
            let was_asked = provider.count() > before;
            assert_eq!(was_asked, expected.contains(name), "{field}: {name}");
        }
    }
}

/// Streams twenty tokens, the first of them after `wait`, the last `pace` later.
fn paced(wait: Duration, pace: Duration) -> Vec<Act> {
    let told = r#"data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20}}"#;
    vec![
        sse_head(),
        Act::Sleep(wait),
        part(event("any-chat", "hello")),
        Act::Sleep(pace),
        part(finish("any-chat")),
        part(format!("{told}\n\n")),
        part(answers::DONE),
        last(),
    ]
}

#[tokio::test]
async fn measured_speed_and_latency_decide_once_there_was_traffic() {
    // The first begins at once and takes long, the second the other way round.
    let eager = Provider::always(paced(ms(1), ms(1200))).await;
    let brisk = Provider::always(paced(ms(500), ms(1))).await;
    let unknown = Provider::always(paced(ms(1), ms(1))).await;
    let config = fleet(&[
        ("brisk", &brisk.base(), PRICE),
        ("eager", &eager.base(), PRICE),
        ("unknown", &unknown.base(), PRICE),
    ])
    .route(
        "main",
        "{ provider: unknown }, { provider: brisk, tier: 2 }, { provider: eager, tier: 3 }",
    );
    let gateway = Gateway::start(&config).await;
    let stream =
        |provider: &str| ASK_STREAM.replacen('{', &format!("{{\"provider\":{provider},"), 1);
    let ask = async |provider: &str| by(&gateway.chat(stream(provider)).await.expect(200));
    for name in ["eager", "brisk"] {
        for _ in 0..2 {
            ask(&format!(r#"{{"only":["{name}"]}}"#)).await;
        }
    }
    // What was measured is looked at once a second.
    let start = Instant::now();
    while ask(r#"{"sort":"latency","ignore":["unknown"]}"#).await != "eager" {
        assert!(start.elapsed() < ms(5000), "never by latency");
    }
    assert_eq!(unknown.count(), 0);
    let nitro = ASK_STREAM.replace("acme/chat", "acme/chat:nitro");
    assert_eq!(by(&gateway.chat(nitro).await.expect(200)), "brisk");
    for (provider, expected) in [
        (r#"{"sort":"latency"}"#, "eager"),
        (r#"{"sort":"throughput"}"#, "brisk"),
        (r#"{"sort":{"by":"throughput"}}"#, "brisk"),
        (r#"{"sort":{"by":"latency","partition":"none"}}"#, "eager"),
        (r#"{"preferred_max_latency":0.4}"#, "eager"),
        (r#"{"preferred_max_latency":{"p90":0.4}}"#, "eager"),
        (r#"{"preferred_min_throughput":25}"#, "brisk"),
        (r#"{"preferred_max_latency":0.4,"only":["brisk"]}"#, "brisk"),
        (
            r#"{"preferred_max_latency":0.4,"order":["brisk"]}"#,
            "brisk",
        ),
        // Nobody is left out by it, and what cannot be met changes nothing. It comes last: whoever
        // is asked is measured.
        (r#"{"preferred_min_throughput":1000000}"#, "unknown"),
    ] {
        assert_eq!(ask(provider).await, expected, "{provider}");
    }
}

#[tokio::test]
async fn the_cheapest_is_first_by_sort_and_floor_and_what_has_no_price_last() {
    let providers = well(3).await;
    let config = fleet(&[
        ("dear", &providers[0].base(), "{ input: 2, output: 2 }"),
        (
            "cheap",
            &providers[1].base(),
            "{ input: 7.2, output: 7.2, currency: CNY }",
        ),
    ])
    .provider("unpriced", &providers[2].base())
    .route(
        "main",
        "{ provider: unpriced }, { provider: dear, tier: 2 }, { provider: cheap, tier: 3 }",
    );
    let gateway = Gateway::start(&config).await;
    for body in [
        with(r#""provider":{"sort":"price"}"#),
        with(r#""provider":{"sort":{"by":"price"},"max_price":{"prompt":"1","completion":1.0}}"#),
        ASK.replace("acme/chat", "acme/chat:floor"),
    ] {
        assert_eq!(
            by(&gateway.chat(body.clone()).await.expect(200)),
            "cheap",
            "{body}"
        );
    }
    untouched(&providers[0]);
    untouched(&providers[2]);
    let reply = gateway
        .chat(ASK.replace("acme/chat", "acme/chat:turbo"))
        .await;
    assert_eq!(reply.status, 404);
    let odd = with(r#""provider":{"max_prize":{"prompt":1}}"#);
    let reply = gateway.chat(odd).await.expect(400);
    assert!(reply.text().contains("max_prize"), "{}", reply.text());
}
