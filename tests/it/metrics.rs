//! What `/metrics` says of attempts, tokens and keys, and what it forgets.

use crate::harness::answers::{DONE, event, failure, finish};
use crate::harness::streaming::*;
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

const ATTEMPTS: &str = "gen_ai_client_operation_duration_seconds_count";
const TOKENS: &str = "gen_ai_client_token_usage_sum";
const FIRST: &str = "gen_ai_server_time_to_first_token_seconds";
const EACH: &str = "gen_ai_server_time_per_output_token_seconds";

/// The value of the one series that has all of these labels.
fn value(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let mut found = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let line = found
        .next()
        .unwrap_or_else(|| panic!("no {name} {labels:?}:\n{metrics}"));
    assert_eq!(found.next(), None, "several {name} {labels:?}:\n{metrics}");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn told(events: &[String]) -> Vec<Act> {
    let usage = format!("\"usage\":{USAGE}");
    let end = with(finish("one-chat"), &usage);
    streamed([events, &[end, DONE.to_string()]].concat())
}

#[tokio::test]
async fn a_stream_is_measured_from_its_sending_to_its_first_token_and_its_end() {
    let acts = [
        vec![Act::Sleep(ms(120))],
        told(&[event("one-chat", "hel"), event("one-chat", "lo")]),
    ]
    .concat();
    // The pause between the tokens comes before the last event but one.
    let mut acts = acts;
    acts.insert(3, Act::Sleep(ms(180)));
    let one = Provider::always(acts).await;
    let config = Config::one(&one).top("keys: [{ name: mobile, secret: sk-client-a }]");
    let gateway = Gateway::start(&config).await;
    let request = Request::chat(ASK_STREAM).key("sk-client-a");
    gateway.ask(request).await.expect(200);
    gateway.counts(ATTEMPTS, &[], 1.0).await;

    let metrics = gateway.metrics().await;
    let labels = [
        "gen_ai_operation_name=\"chat\"",
        "gen_ai_provider_name=\"one\"",
        "gen_ai_request_model=\"acme/chat\"",
        "gen_ai_response_model=\"acme/chat\"",
    ];
    assert_eq!(value(&metrics, ATTEMPTS, &labels), 1.0);
    let took = value(
        &metrics,
        "gen_ai_client_operation_duration_seconds_sum",
        &labels,
    );
    assert!((0.3..5.0).contains(&took), "{took}");
    let first = value(&metrics, &format!("{FIRST}_sum"), &labels);
    assert!(first >= 0.12 && first <= took - 0.08, "{first} of {took}");
    // Seven tokens: six after the first.
    let each = value(&metrics, &format!("{EACH}_sum"), &labels);
    assert!((each - (took - first) / 6.0).abs() < 1e-6, "{each}");
    for (kind, tokens) in [("input", 11.0), ("output", 7.0)] {
        let kind = format!("gen_ai_token_type=\"{kind}\"");
        assert_eq!(value(&metrics, TOKENS, &[&kind, labels[1]]), tokens);
    }
    let by_key = ["key=\"mobile\"", "model=\"acme/chat\"", "provider=\"one\""];
    for (kind, tokens) in [
        ("input", 11.0),
        ("output", 7.0),
        ("cached", 4.0),
        ("reasoning", 3.0),
    ] {
        let kind = format!("type=\"{kind}\"");
        let labels = [&by_key[..], &[&kind]].concat();
        assert_eq!(value(&metrics, "overspill_tokens_total", &labels), tokens);
    }
    assert!(
        !metrics.contains("overspill_reckoned_attempts_total{"),
        "{metrics}"
    );
}

#[tokio::test]
async fn every_attempt_counts_and_a_failure_says_why() {
    let one = Provider::always(vec![failure(429, "busy")]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    gateway.chat(ASK).await.expect(200);
    gateway.counts(ATTEMPTS, &[], 2.0).await;
    let metrics = gateway.metrics().await;
    let failed = [
        "gen_ai_provider_name=\"one\"",
        "error_type=\"provider_rate_limited\"",
        "gen_ai_request_model=\"acme/chat\"",
        "gen_ai_response_model=\"\"",
    ];
    assert_eq!(value(&metrics, ATTEMPTS, &failed), 1.0);
    let well = ["gen_ai_provider_name=\"two\"", "error_type=\"\""];
    assert_eq!(value(&metrics, ATTEMPTS, &well), 1.0);
    assert!(
        !metrics.contains("overspill_tokens_total{key=\"\",model=\"acme/chat\",provider=\"one\"")
    );
    // What is no stream has no first token.
    assert!(
        !metrics.contains(FIRST) && !metrics.contains(EACH),
        "{metrics}"
    );
    assert!(value(&metrics, "overspill_retry_budget_left", &[]) >= 9.0);
}

#[tokio::test]
async fn tokens_that_were_reckoned_are_no_measure() {
    let events = [
        event("one-chat", "a"),
        event("one-chat", "b"),
        finish("one-chat"),
    ];
    let silent = [&events[..], &[DONE.to_string()]].concat();
    let one = Provider::always(streamed(silent)).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    gateway
        .counts("overspill_reckoned_attempts_total", &["\"one\""], 1.0)
        .await;
    let metrics = gateway.metrics().await;
    assert_eq!(value(&metrics, &format!("{FIRST}_count"), &[]), 1.0);
    assert!(
        !metrics.contains(TOKENS) && !metrics.contains(EACH),
        "{metrics}"
    );
    assert_eq!(
        value(&metrics, "overspill_tokens_total", &["type=\"output\""]),
        2.0
    );
}

#[tokio::test]
async fn buckets_are_the_conventions_own_and_reach_further() {
    let one = Provider::always(told(&[event("one-chat", "a")])).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    gateway.counts(ATTEMPTS, &[], 1.0).await;
    let metrics = gateway.metrics().await;
    let bounds = |name: &str| -> Vec<String> {
        let name = format!("{name}_bucket{{");
        let of = metrics.lines().filter(|line| line.starts_with(&name));
        let bound = |line: &str| Some(line.split("le=\"").nth(1)?.split('"').next()?.to_string());
        of.filter_map(bound).collect()
    };
    let duration = bounds("gen_ai_client_operation_duration_seconds");
    assert_eq!(duration[..3], ["0.01", "0.02", "0.04"]);
    assert_eq!(
        duration[13..],
        ["81.92", "163.84", "327.68", "655.36", "1800", "+Inf"]
    );
    assert_eq!(
        bounds(FIRST)[15..],
        ["10", "30", "60", "120", "300", "600", "+Inf"]
    );
    assert_eq!(bounds(EACH)[..3], ["0.01", "0.025", "0.05"]);
    let tokens = bounds("gen_ai_client_token_usage");
    assert_eq!(tokens[..4], ["1", "4", "16", "64"]);
}

#[tokio::test]
async fn what_leaves_the_configuration_leaves_the_metrics_even_when_it_ends_late() {
    let gate = Arc::new(Semaphore::new(0));
    let held = vec![Act::Gate(gate.clone())];
    let usage = format!("\"usage\":{USAGE}");
    let end = with(finish("two-chat"), &usage);
    let rest = streamed([event("two-chat", "a"), end, DONE.to_string()]);
    let slow = [held, rest].concat();
    let one = Provider::well().await;
    let quick = streamed([event("two-chat", "a"), finish("two-chat"), DONE.to_string()]);
    let two = Provider::start(move |n, _| if n == 1 { slow.clone() } else { quick.clone() }).await;
    let key = |name: &str| format!("{{ name: {name}, secret: sk-{name} }}");
    let both = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .with(
            "models",
            "{ \"acme/gone\": { name: two-chat, price: { input: 1, output: 2 } } }",
        )
        .route("gone", "{ provider: two }")
        .on_route("match", "{ models: [\"acme/gone\"] }")
        .route("main", "{ provider: one }")
        .top(&format!("keys: [{}, {}]", key("stays"), key("leaves")));
    let gateway = Gateway::start(&both).await;
    let gone = ASK_STREAM.replace("acme/chat", "acme/gone");
    let asking = |body: &str, key: &str| Request::chat(body).key(key);
    gateway.ask(asking(ASK, "sk-stays")).await.expect(200);
    gateway.ask(asking(&gone, "sk-leaves")).await.expect(200);
    gateway.counts("overspill_requests_total", &[], 2.0).await;
    // A rule of the route leaves its target out, which counts too.
    let refused = r#"{"model":"acme/gone","provider":{"only":["nobody"]},"messages":[]}"#;
    let refused = asking(refused, "sk-leaves");
    assert!(gateway.ask(refused).await.status >= 400);
    gateway
        .counts("overspill_excluded_total", &["\"gone\""], 1.0)
        .await;
    let names = ["\"gone\"", "\"two\"", "\"acme/gone\"", "\"leaves\""];
    let before = gateway.metrics().await;
    for name in names {
        assert!(before.contains(name), "{name} was never there:\n{before}");
    }
    let spent = before.contains("overspill_cost_dollars_total{key=\"leaves\"");
    assert!(spent, "{before}");

    let mut late = Conn::open(gateway.address).await;
    late.send(&asking(&gone, "sk-leaves").bytes()).await;
    until("the provider is asked", ms(5000), || two.count() == 2).await;
    let fewer = Config::one(&one).top(&format!("keys: [{}]", key("stays")));
    gateway.rewrite(&fewer);
    gateway.reload().await.expect(200);
    forgot(&gateway, &names).await;
    gate.add_permits(1);
    late.reply("POST").await.expect(200);
    gateway.counts("overspill_in_flight", &[], 0.0).await;
    forgot(&gateway, &names).await;

    // What stays has forgotten nothing, and goes on.
    gateway.ask(asking(ASK, "sk-stays")).await.expect(200);
    let labels = ["key=\"stays\"", "type=\"input\""];
    gateway.counts("overspill_tokens_total", &labels, 6.0).await;
    gateway.counts(ATTEMPTS, &["\"one\""], 2.0).await;
}

async fn forgot(gateway: &Gateway, names: &[&str]) {
    let metrics = gateway.metrics().await;
    for name in names {
        assert!(!metrics.contains(name), "{name} is still there:\n{metrics}");
    }
}
