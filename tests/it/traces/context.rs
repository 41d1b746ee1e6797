//! The trace that a request is in already.

use super::told_of;
use crate::harness::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn within_trace(flags: &str) -> Request {
    Request::chat(ASK)
        .header("traceparent", &format!("00-{TRACE}-{PARENT}-{flags}"))
        .header("tracestate", "congo=t61rcWkgMzE")
        .header("tracestate", "rojo=1")
}

#[tokio::test]
async fn the_callers_trace_goes_on() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    // Whoever began it has decided that it is sampled.
    let config = Config::one(&provider).logged();
    let config = config.traced(&collector, ", sample: 0%");
    let gateway = Gateway::start(&config).await;
    gateway.ask(within_trace("01")).await.expect(200);
    let told = collector.only().await;
    assert_eq!(told.root.text("traceId"), TRACE);
    assert_eq!(told.root.parent().as_deref(), Some(PARENT));
    let seen = provider.only();
    let expected = (TRACE.to_owned(), told.attempts[0].id(), true);
    assert_eq!(told_of(&seen), expected);
    assert_eq!(seen.all("tracestate"), ["congo=t61rcWkgMzE", "rojo=1"]);
    assert_eq!(gateway.line(0).await["trace_id"], TRACE);
}

#[tokio::test]
async fn what_is_not_sampled_is_not_told_but_stays_one_trace() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    let config = Config::one(&provider).logged();
    let gateway = Gateway::start(&config.traced(&collector, "")).await;
    gateway.ask(within_trace("00")).await.expect(200);
    let (trace, span, sampled) = told_of(&provider.only());
    assert_eq!((trace.as_str(), sampled), (TRACE, false));
    assert_ne!(span, PARENT);
    assert_eq!(gateway.line(0).await["trace_id"], TRACE);
    // Told after it, and alone.
    gateway.chat(ASK).await.expect(200);
    let told = collector.only().await;
    assert_ne!(told.root.text("traceId"), TRACE);
}

#[tokio::test]
async fn a_share_of_none_tells_of_none() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    let config = Config::one(&provider).traced(&collector, ", sample: 0%");
    let gateway = Gateway::start(&config).await;
    for _ in 0..20 {
        gateway.chat(ASK).await.expect(200);
    }
    let told: Vec<_> = provider.seen().iter().map(told_of).collect();
    assert!(told.iter().all(|(_, _, sampled)| !sampled));
    assert!(told.windows(2).all(|pair| pair[0].0 != pair[1].0));
    gateway.ask(within_trace("01")).await.expect(200);
    collector.only().await;
}

#[tokio::test]
async fn what_is_malformed_begins_a_new_trace() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    let config = Config::one(&provider).logged();
    let gateway = Gateway::start(&config.traced(&collector, "")).await;
    let upper = TRACE.to_uppercase();
    let wrong = [
        "nonsense".to_owned(),
        format!("00-{TRACE}-{PARENT}"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{upper}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01"),
        "caf\u{e9}".repeat(300),
    ];
    for wrong in &wrong {
        let request = Request::chat(ASK)
            .header("traceparent", wrong)
            .header("tracestate", "a=b");
        gateway.ask(request).await.expect(200);
    }
    let twice = within_trace("01").header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    gateway.ask(twice).await.expect(200);
    for seen in provider.seen() {
        let (trace, _, sampled) = told_of(&seen);
        assert_ne!(trace, TRACE);
        assert!(sampled);
        // It belongs to a trace that this one is not.
        assert_eq!(seen.get("tracestate"), None);
    }
    let told = collector.requests(wrong.len() + 1).await;
    assert!(told.iter().all(|told| told.root.parent().is_none()));
}

#[tokio::test]
async fn without_a_collector_the_callers_headers_go_through_as_they_are() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).logged()).await;
    gateway.ask(within_trace("01")).await.expect(200);
    let odd = Request::chat(ASK)
        .header("traceparent", "odd")
        .header("tracestate", "a=b");
    gateway.ask(odd).await.expect(200);
    gateway.chat(ASK).await.expect(200);
    let seen = provider.seen();
    assert_eq!(
        seen[0].all("traceparent"),
        [format!("00-{TRACE}-{PARENT}-01")]
    );
    assert_eq!(seen[0].all("tracestate"), ["congo=t61rcWkgMzE", "rojo=1"]);
    assert_eq!(seen[1].all("traceparent"), ["odd"]);
    assert_eq!(seen[1].all("tracestate"), ["a=b"]);
    assert_eq!(seen[2].get("traceparent"), None);
    // Known for the log all the same.
    assert_eq!(gateway.line(0).await["trace_id"], TRACE);
    assert!(gateway.line(1).await["trace_id"].is_null());
}
