//! Requests as a collector of traces is told of them, and what of a trace goes on to providers.

mod collectors;
mod context;

use crate::harness::answers::{event, finish, http};
use crate::harness::collector::Span;
use crate::harness::provider::Seen;
use crate::harness::streaming::usage_event;
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;
use std::time::SystemTime;

/// The trace and the span that a provider was told of, and whether it is sampled.
fn told_of(seen: &Seen) -> (String, String, bool) {
    let values = seen.all("traceparent");
    assert_eq!(values.len(), 1, "{:?}", seen.headers);
    let parts: Vec<&str> = values[0].split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        panic!("{values:?}");
    };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16));
    (trace.into(), span.into(), flags == "01")
}

#[tokio::test]
async fn a_request_is_a_span_and_its_attempt_another() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    let model = "{ name: one-chat, price: { input: 1, output: 2 } }";
    let config = Config::one(&provider)
        .with("models", &format!("{{ \"acme/chat\": {model} }}"))
        .logged();
    let gateway = Gateway::start(&config.traced(&collector, ", service: edge")).await;
    let before = SystemTime::now();
    let request = Request::chat(ASK).header("x-request-id", "my-id");
    gateway.ask(request).await.expect(200);
    let told = collector.only().await;

    let root = &told.root;
    assert_eq!(root.text("name"), "chat acme/chat");
    assert_eq!(root.parent(), None);
    assert_eq!(root.0["status"], serde_json::json!({}));
    root.has(&[
        ("http.request.method", "POST"),
        ("url.path", "/v1/chat/completions"),
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "acme/chat"),
        ("gen_ai.response.model", "acme/chat"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "2"),
        ("overspill.request_id", "my-id"),
        ("overspill.route", "main"),
        ("overspill.provider", "one"),
        ("overspill.attempts", "1"),
    ]);
    let cost = Some(Value::from(0.000_007));
    assert_eq!(root.get("overspill.cost_usd"), cost);
    for absent in ["error.type", "overspill.key", "overspill.stream"] {
        assert_eq!(root.get(absent), None, "{absent}");
    }

    let [attempt] = &told.attempts[..] else {
        panic!("{told:?}");
    };
    assert_eq!(attempt.text("name"), "chat acme/chat");
    assert_eq!(attempt.text("traceId"), root.text("traceId"));
    assert_eq!(attempt.0["status"], serde_json::json!({}));
    let port = provider.address.port().to_string();
    attempt.has(&[
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "acme/chat"),
        ("gen_ai.provider.name", "one"),
        ("gen_ai.system", "one"),
        ("gen_ai.usage.output_tokens", "2"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("overspill.attempt", "1"),
    ]);
    assert_eq!(attempt.get("gen_ai.server.time_to_first_token"), None);
    assert_eq!(attempt.get("overspill.cost_usd"), cost);

    let epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(root.began() + ms(1) >= epoch(before) && root.ended() <= epoch(SystemTime::now()));
    assert!(attempt.began() >= root.began() && attempt.ended() <= root.ended());
    assert!(attempt.ended() > attempt.began());

    let (trace, span, sampled) = told_of(&provider.only());
    assert_eq!((trace, span), (root.text("traceId"), attempt.id()));
    assert!(sampled);
    assert_eq!(gateway.line(0).await["trace_id"], root.text("traceId"));

    let body = collector.server.only();
    assert_eq!(
        (body.method.as_str(), body.target.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(body.get("content-type"), Some("application/json"));
    let resource = body.json()["resourceSpans"][0]["resource"]["attributes"].clone();
    let service = serde_json::json!({"key": "service.name", "value": {"stringValue": "edge"}});
    assert_eq!(resource[0], service);
}

#[tokio::test]
async fn each_attempt_is_told_with_its_own_end() {
    let one = Provider::always(vec![Act::Sleep(ms(60)), answers::failure(503, "down")]).await;
    let refusing = provider::Refusing::new();
    let two = Provider::start(|_, seen| {
        let mut acts = chat_reply(seen);
        acts.insert(0, Act::Sleep(ms(60)));
        acts
    })
    .await;
    let collector = Collector::start().await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("gone", &refusing.base())
        .provider("two", &two.base())
        .route(
            "main",
            "{ provider: one }, { provider: gone, tier: 2 }, { provider: two, tier: 3 }",
        )
        .on_route("retry", "{ attempts: 9, patience: 0s, backoff: 1ms..2ms }");
    let gateway = Gateway::start(&config.traced(&collector, "")).await;
    let reply = gateway.chat(ASK).await.expect(200);
    let told = collector.only().await;
    let attempts = &told.attempts;
    assert_eq!(
        reply.get("x-overspill-attempts"),
        Some(&*attempts.len().to_string())
    );
    assert!(!told.root.failed());

    let of = |name: &str| -> Vec<&Span> {
        let named = |span: &&Span| span.get("overspill.provider").unwrap() == name;
        attempts.iter().filter(named).collect()
    };
    let (first, gone, last) = (of("one"), of("gone"), of("two"));
    for span in &first {
        assert!(span.failed());
        assert_eq!(span.text("name"), "chat acme/chat");
        span.has(&[("http.response.status_code", "503")]);
        let reason = span.get("error.type").unwrap();
        assert!(
            reason.as_str().unwrap().starts_with("provider_"),
            "{reason}"
        );
        assert_eq!(span.0["status"]["message"], reason);
        assert!(span.ended() - span.began() >= ms(55));
    }
    for span in &gone {
        assert!(span.failed());
        span.has(&[("error.type", "provider_unreachable")]);
        assert_eq!(span.get("http.response.status_code"), None);
    }
    let [last] = last[..] else { panic!("{told:?}") };
    assert!(!last.failed() && last.ended() - last.began() >= ms(55));
    assert!(!first.is_empty() && !gone.is_empty());
    // One after the other, each with a span of its own that its provider was told of.
    for pair in attempts.windows(2) {
        assert!(pair[0].ended() <= pair[1].began(), "{told:?}");
        assert_ne!(pair[0].id(), pair[1].id());
    }
    let spans =
        |seen: Vec<Seen>| -> Vec<String> { seen.iter().map(|seen| told_of(seen).1).collect() };
    let ids: Vec<String> = first.iter().map(|span| span.id()).collect();
    assert_eq!(spans(one.seen()), ids);
    assert_eq!(spans(two.seen()), [last.id()]);
    let number = attempts.len();
    last.has(&[
        ("overspill.attempt", &number.to_string()),
        ("http.request.resend_count", &(number - 1).to_string()),
    ]);
    assert_eq!(attempts[0].get("http.request.resend_count"), None);
}

#[tokio::test]
async fn what_fails_for_good_is_an_error_and_what_the_caller_did_is_none() {
    let provider = Provider::always(vec![answers::failure(500, "down")]).await;
    let collector = Collector::start().await;
    let config = Config::one(&provider)
        .on_route("retry", "{ for: [] }")
        .top("keys: [{ name: mobile, secret: sk-of-the-caller }]")
        .traced(&collector, "");
    let gateway = Gateway::start(&config).await;
    let ask = |body: &str| Request::chat(body).key("sk-of-the-caller");
    gateway.ask(ask(ASK)).await.expect(500);
    let made_up = ASK.replace("acme/chat", "made-up");
    gateway.ask(ask(&made_up)).await.expect(404);
    gateway.chat(ASK).await.expect(401);
    gateway
        .ask(Request::new("BREW", &format!("/teapot/{}", "x".repeat(3000))).key("sk-of-the-caller"))
        .await;
    gateway.get("/health").await.expect(200);
    let told = collector.requests(4).await;
    let ended = |reason: &str| {
        let mut found = told
            .iter()
            .filter(|told| told.root.get("error.type").expect("a reason") == reason);
        found.next().unwrap_or_else(|| panic!("{reason}: {told:?}"))
    };
    let failed = ended("provider_error");
    assert!(failed.root.failed() && failed.attempts[0].failed());
    failed.root.has(&[
        ("overspill.key", "mobile"),
        ("http.response.status_code", "500"),
    ]);

    let unknown = ended("caller_unknown_model");
    assert!(!unknown.root.failed() && unknown.attempts.is_empty());
    // A name of a caller's making is told, but names nothing.
    assert_eq!(unknown.root.text("name"), "chat");
    unknown.root.has(&[("gen_ai.request.model", "made-up")]);
    assert_eq!(unknown.root.get("overspill.cost_usd"), None);

    let denied = told
        .iter()
        .find(|told| told.root.get("http.response.status_code").unwrap() == "401");
    let denied = denied.expect("the refusal");
    assert!(!denied.root.failed() && denied.attempts.is_empty());
    assert_eq!(denied.root.get("overspill.key"), None);

    let odd = told.iter().find(|told| told.root.text("name") == "_OTHER");
    let odd = &odd.expect("the teapot").root;
    odd.has(&[("http.request.method", "_OTHER")]);
    assert_eq!(odd.get("url.path").unwrap().as_str().unwrap().len(), 256);
    assert_eq!(told.len(), 4, "health is told of: {told:?}");
}

#[tokio::test]
async fn a_stream_has_its_first_token_and_its_end() {
    let acts = vec![
        answers::sse_head(),
        Act::Sleep(ms(150)),
        answers::part(event("one-chat", "hello")),
        Act::Sleep(ms(150)),
        answers::part(finish("one-chat")),
        answers::part(usage_event("one-chat")),
        answers::part(answers::DONE),
        answers::last(),
    ];
    let provider = Provider::always(acts).await;
    let collector = Collector::start().await;
    let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let told = collector.only().await;
    let [attempt] = &told.attempts[..] else {
        panic!("{told:?}");
    };
    assert_eq!(told.root.get("overspill.stream"), Some(true.into()));
    let first = attempt.event("gen_ai.first_token").expect("a first token");
    assert!(first - attempt.began() >= ms(145), "{told:?}");
    assert!(attempt.ended() - first >= ms(145), "{told:?}");
    assert!(attempt.ended() <= told.root.ended());
    let wait = attempt.get("gen_ai.server.time_to_first_token").unwrap();
    let wait = Duration::from_secs_f64(wait.as_f64().expect("seconds"));
    assert!((first - attempt.began()).abs_diff(wait) < ms(1));
    let begun = told
        .root
        .event("overspill.first_byte")
        .expect("a first byte");
    assert!(begun >= first && begun < first + ms(140), "{told:?}");
    attempt.has(&[
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "2"),
    ]);
}

#[tokio::test]
async fn who_carries_a_stream_on_has_a_span_too() {
    let broken = vec![
        answers::sse_head(),
        answers::part(ONE.say("Hello ")),
        Act::Sleep(ms(50)),
        Act::Close,
    ];
    let one = Provider::always(broken).await;
    let two = Provider::always(TWO.stream(["world"])).await;
    let collector = Collector::start().await;
    let config = Config::spill(&one, &two)
        .with("prefill", "assistant")
        .traced(&collector, "");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    Said::of(&reply).whole("Hello world");
    let told = collector.only().await;
    let [first, second] = &told.attempts[..] else {
        panic!("{told:?}");
    };
    assert!(first.failed() && !second.failed() && !told.root.failed());
    first.has(&[("error.type", "provider_truncated")]);
    assert!(first.ended() - first.began() >= ms(45));
    assert!(first.ended() <= second.began());
    assert_eq!(told_of(&one.only()).1, first.id());
    assert_eq!(told_of(&two.only()).1, second.id());
}

#[tokio::test]
async fn a_caller_that_leaves_is_told_of_as_one() {
    let provider = Provider::always(vec![Act::Hang]).await;
    let collector = Collector::start().await;
    let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the provider is asked", ms(5000), || provider.count() == 1).await;
    drop(conn);
    let told = collector.only().await;
    told.root.has(&[("error.type", "caller_cancelled")]);
    assert_eq!(told.root.get("http.response.status_code"), None);
    assert!(!told.root.failed() && !told.attempts[0].failed());
}

#[tokio::test]
async fn what_streams_through_is_told_of_as_well() {
    let reply = Act::Write(http(200, &[("content-type", "audio/mpeg")], "sound"));
    let provider = Provider::always(vec![reply]).await;
    let collector = Collector::start().await;
    let config = crate::passthrough::through(&provider).traced(&collector, "");
    let gateway = Gateway::start(&config).await;
    let request = Request::post("/v1/audio/translations", "{}")
        .header("tracestate", "a=b")
        .header("traceparent", "nonsense");
    gateway.ask(request).await.expect(200);
    let told = collector.only().await;
    assert_eq!(told.root.text("name"), "POST audio");
    let [attempt] = &told.attempts[..] else {
        panic!("{told:?}");
    };
    assert_eq!(attempt.text("name"), "POST");
    attempt.has(&[("gen_ai.provider.name", "one")]);
    let seen = provider.only();
    assert_eq!(told_of(&seen).1, attempt.id());
    assert_eq!(seen.get("tracestate"), None);
}
