//! Health on both ports, and the first numbers.

use crate::harness::answers::failure;
use crate::harness::*;

#[tokio::test]
async fn health_is_told_to_anyone_and_asks_nobody() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).top("keys: [{ name: a, secret: sk-client-a }]");
    let gateway = Gateway::start(&config).await;
    gateway.get("/health").await.expect(200);
    for path in ["/health/live", "/health/ready"] {
        Request::get(path).to(gateway.admin).await.expect(200);
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn the_two_ports_do_not_serve_each_others_paths() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    gateway.get("/metrics").await.expect(404);
    gateway.get("/health/ready").await.expect(404);
    Request::chat(ASK).to(gateway.admin).await.expect(404);
    Request::get("/v1/models")
        .to(gateway.admin)
        .await
        .expect(404);
    assert_eq!(provider.connections().len(), 0);
}

/// The sum of a counter over its labels, where they contain all of `labels`.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn requests_and_attempts_are_counted() {
    let one = Provider::always(vec![failure(429, "busy")]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    for _ in 0..3 {
        gateway.chat(ASK).await.expect(200);
    }
    gateway.chat("{}").await.expect(400);
    let made_up = "label-from-a-client";
    gateway
        .chat(format!("{{\"model\":\"{made_up}\"}}"))
        .await
        .expect(404);
    // A request is counted when it has ended, which its client may see a moment earlier.
    let start = Instant::now();
    let metrics = loop {
        let metrics = gateway.metrics().await;
        if sum(&metrics, "overspill_requests_total", &[]) == 5.0 {
            break metrics;
        }
        assert!(start.elapsed() < ms(3000), "{metrics}");
        tokio::time::sleep(ms(10)).await;
    };
    let mut ours = metrics
        .lines()
        .filter(|line| line.starts_with("overspill_"));
    assert!(ours.next().is_some(), "{metrics}");
    assert!(!metrics.contains(made_up), "{metrics}");
    assert_eq!(
        sum(&metrics, "overspill_attempts_total", &["\"one\""]),
        3.0,
        "{metrics}"
    );
    assert_eq!(
        sum(&metrics, "overspill_attempts_total", &["\"two\""]),
        3.0,
        "{metrics}"
    );
}

#[tokio::test]
async fn a_client_that_left_is_counted_too() {
    let one = Provider::always(vec![Act::Hang]).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the provider is asked", ms(5000), || one.count() == 1).await;
    drop(conn);
    until("the provider is hung up on", ms(1000), || one.all_closed()).await;
    let start = Instant::now();
    loop {
        let metrics = gateway.metrics().await;
        if sum(&metrics, "overspill_requests_total", &["caller_cancelled"]) == 1.0 {
            break;
        }
        assert!(start.elapsed() < ms(3000), "{metrics}");
        tokio::time::sleep(ms(10)).await;
    }
}

#[tokio::test]
async fn a_token_guards_the_numbers_but_not_the_health() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).server("admin: { address: ADMIN, token: sk-admin-token }");
    let gateway = Gateway::start(&config).await;
    Request::get("/health/live")
        .to(gateway.admin)
        .await
        .expect(200);
    let numbers = || Request::get("/metrics");
    numbers().to(gateway.admin).await.expect(401);
    numbers()
        .key("sk-admin-toke")
        .to(gateway.admin)
        .await
        .expect(401);
    numbers()
        .key("sk-admin-token")
        .to(gateway.admin)
        .await
        .expect(200);
}
