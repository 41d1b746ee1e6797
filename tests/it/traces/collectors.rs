//! Collectors in trouble: no request waits for one, and what they do not take is counted.

use crate::harness::answers::http;
use crate::harness::collector::taken;
use crate::harness::tls::Identity;
use crate::harness::*;

fn busy(status: u16, seconds: &str) -> Vec<Act> {
    vec![Act::Write(http(status, &[("retry-after", seconds)], "{}"))]
}

async fn dropped(gateway: &Gateway, count: f64) {
    gateway
        .counts("overspill_traces_dropped_total", &[], count)
        .await;
}

#[tokio::test]
async fn one_that_is_busy_is_told_again() {
    let provider = Provider::well().await;
    for trouble in [
        busy(429, "0"),
        busy(503, "0"),
        busy(502, "nonsense"),
        vec![Act::Reset],
        vec![Act::Write(b"no HTTP at all\r\n\r\n".to_vec()), Act::Close],
    ] {
        let collector = Collector::first(vec![trouble.clone(), trouble]).await;
        let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
        gateway.chat(ASK).await.expect(200);
        until("it is told again", ms(15_000), || {
            collector.server.count() >= 3
        })
        .await;
        let seen = collector.server.seen();
        assert_eq!(seen[0].body, seen[2].body);
        gateway.chat(ASK).await.expect(200);
        until("it is told the next", ms(15_000), || {
            collector.server.count() >= 4
        })
        .await;
        assert_ne!(collector.server.seen()[3].body, seen[0].body);
        dropped(&gateway, 0.0).await;
        let output = gateway.output();
        assert_eq!(
            output.matches("traces are not taken").count(),
            1,
            "{output}"
        );
        assert_eq!(
            output.matches("traces are taken again").count(),
            1,
            "{output}"
        );
    }
}

#[tokio::test]
async fn it_is_given_the_time_that_it_asks_for() {
    let provider = Provider::well().await;
    let collector = Collector::first(vec![busy(503, "2")]).await;
    let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
    gateway.chat(ASK).await.expect(200);
    until("it is told again", ms(15_000), || {
        collector.server.count() >= 2
    })
    .await;
    let seen = collector.server.seen();
    assert!(seen[1].at - seen[0].at >= ms(1950));
}

#[tokio::test]
async fn what_it_will_never_take_is_dropped_and_counted() {
    let provider = Provider::well().await;
    for status in [400, 401, 404, 500] {
        let collector = Collector::first(vec![vec![json_reply(status, "{}")]]).await;
        let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
        gateway.chat(ASK).await.expect(200);
        gateway.chat(ASK).await.expect(200);
        until("it is told", ms(15_000), || collector.server.count() == 1).await;
        dropped(&gateway, 2.0).await;
        gateway.chat(ASK).await.expect(200);
        until("it is told the next", ms(15_000), || {
            collector.server.count() == 2
        })
        .await;
        dropped(&gateway, 2.0).await;
    }
}

#[tokio::test]
async fn one_that_is_silent_or_gone_holds_nobody_up() {
    let provider = Provider::well().await;
    let silent = Collector::doing(|_, _| vec![Act::Hang]).await;
    let gone = provider::Refusing::new();
    for address in [silent.server.address, gone.address] {
        let config = Config::one(&provider)
            .server("drain: 5s")
            .top(&format!("traces: {{ otlp: \"http://{address}\" }}"));
        let mut gateway = Gateway::start(&config).await;
        let start = Instant::now();
        for _ in 0..50 {
            gateway.chat(ASK).await.expect(200);
        }
        assert!(start.elapsed() < ms(5000), "{:?}", start.elapsed());
        if address == silent.server.address {
            until("it is told", ms(15_000), || silent.server.count() > 0).await;
            gateway.chat(ASK).await.expect(200);
        }
        gateway.signal("TERM");
        let status = gateway.exit(ms(20_000)).await;
        assert_eq!(status.code(), Some(0), "{}", gateway.output());
    }
}

#[tokio::test]
async fn what_waits_is_told_before_the_end() {
    let provider = Provider::well().await;
    let collector = Collector::start().await;
    // Without an admin port the end comes at once.
    let config = Config::one(&provider).server("admin: off");
    let config = config.traced(&collector, "");
    let mut gateway = Gateway::without_admin(&config).await;
    for _ in 0..20 {
        gateway.chat(ASK).await.expect(200);
    }
    let start = Instant::now();
    gateway.signal("TERM");
    gateway.exit(ms(15_000)).await;
    assert_eq!(
        collector.requests(20).await.len(),
        20,
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn many_are_told_at_once_over_one_connection() {
    let provider = Provider::well().await;
    // The second time it closes, as servers do that have been idle for long.
    let collector = Collector::doing(|n, _| match n {
        1 => [taken(), vec![Act::Close]].concat(),
        _ => taken(),
    })
    .await;
    let gateway = Gateway::start(&Config::one(&provider).traced(&collector, "")).await;
    for round in 1..=3 {
        for _ in 0..20 {
            gateway.chat(ASK).await.expect(200);
        }
        collector.requests(20 * round).await;
    }
    assert!(
        collector.server.count() <= 6,
        "{}",
        collector.server.count()
    );
    let connections = collector.server.connections().len();
    assert!(connections <= 2, "{connections} connections");
    dropped(&gateway, 0.0).await;
    let mut ids: Vec<_> = collector.spans().iter().map(|span| span.id()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all), (120, 120));
}

#[tokio::test]
async fn another_collector_is_told_after_a_reload() {
    let provider = Provider::well().await;
    let (one, two) = (Collector::start().await, Collector::start().await);
    let gateway = Gateway::start(&Config::one(&provider)).await;
    gateway.chat(ASK).await.expect(200);
    for collector in [&one, &two] {
        gateway.rewrite(&Config::one(&provider).traced(collector, ""));
        gateway.reload().await.expect(200);
        gateway.chat(ASK).await.expect(200);
        collector.only().await;
    }
    gateway.rewrite(&Config::one(&provider));
    gateway.reload().await.expect(200);
    gateway.chat(ASK).await.expect(200);
    assert_eq!(provider.seen().pop().unwrap().get("traceparent"), None);
    assert_eq!((one.server.count(), two.server.count()), (1, 1));
}

#[tokio::test]
async fn its_headers_reach_it_and_nobody_else() {
    let provider = Provider::well().await;
    let collector = Collector::first(vec![busy(503, "0"), vec![Act::Reset]]).await;
    let config = Config::one(&provider)
        .top("log: { format: json, level: trace }")
        .env("TOKEN", "sk-canary-of-the-collector")
        .traced(
            &collector,
            ", headers: { authorization: \"Bearer ${TOKEN}\", x-team: sk-canary-written-out }",
        );
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    until("it is told", ms(15_000), || collector.server.count() >= 3).await;
    let seen = collector.server.seen().pop().unwrap();
    let bearer = "Bearer sk-canary-of-the-collector";
    assert_eq!(seen.all("authorization"), [bearer]);
    assert_eq!(seen.all("x-team"), ["sk-canary-written-out"]);
    let shown = Request::get("/api/config").to(gateway.admin).await;
    let shown = shown.expect(200).text();
    assert!(shown.contains("x-team"), "{shown}");
    let metrics = gateway.metrics().await;
    let asked = format!("{:?}", provider.only().headers);
    for text in [gateway.output(), shown, metrics, asked] {
        assert!(!text.contains("sk-canary"), "{text}");
    }
    assert!(!String::from_utf8_lossy(&seen.body).contains("sk-"));
}

#[tokio::test]
async fn one_behind_tls_is_told_if_it_is_who_it_says() {
    let provider = Provider::well().await;
    let identity = Identity::new();
    for is_trusted in [true, false] {
        let acceptor = identity.acceptor(&["http/1.1"]);
        let server = Provider::tls(acceptor, |_, _| taken()).await;
        let collector = Collector { server };
        let files = gateway::Directory::new();
        let other = Identity::new();
        let trusted = if is_trusted { &identity } else { &other };
        let trusted = files.write("trusted.pem", &trusted.cert_pem);
        let port = collector.server.address.port();
        let config = Config::one(&provider)
            .top(&format!(
                "traces: {{ otlp: \"https://localhost:{port}/otlp\" }}"
            ))
            .env("SSL_CERT_FILE", trusted.to_str().unwrap());
        let gateway = Gateway::start(&config).await;
        gateway.chat(ASK).await.expect(200);
        if is_trusted {
            collector.only().await;
            assert_eq!(collector.server.only().target, "/otlp/v1/traces");
        } else {
            until("it is not believed", ms(15_000), || {
                gateway.output().contains("traces are not taken")
            })
            .await;
            assert_eq!(collector.server.count(), 0);
        }
    }
}
