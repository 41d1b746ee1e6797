//! Names that clients make up are never labels: nothing grows with them. `CLIENT_NAMES` says how
//! many there are.

use crate::harness::vitals::Vitals;
use crate::harness::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

const CLIENTS: usize = 4;
const WARM_UP: u64 = 4_000;
/// What a million kept names, or a hundred thousand series, could not hide in.
const ROOM: u64 = 4 << 20;

fn names() -> u64 {
    match std::env::var("CLIENT_NAMES") {
        Ok(number) => number.parse().expect("CLIENT_NAMES is a number"),
        Err(_) => 20_000,
    }
}

/// A name of its own in every place where a client may write one.
fn asking(number: u64) -> Request {
    let name = format!("made-up-{number}");
    let model = match number % 4 {
        // Nobody serves it.
        0 => format!("acme/{name}"),
        // Served under any name at all.
        _ => format!("any/{name}"),
    };
    let key = match number % 4 {
        1 => format!("sk-{name}"),
        _ => "sk-client-a".to_string(),
    };
    let path = match number % 4 {
        2 => format!("/v1/{name}"),
        _ => "/v1/chat/completions".to_string(),
    };
    let body = ASK.replace("acme/chat", &model);
    Request::post(&path, body)
        .key(&key)
        .header("x-request-id", &name)
        .header("x-overspill-session", &name)
        .header("user-agent", &name)
}

async fn ask_all(gateway: &Gateway, from: u64, to: u64) {
    let next = Arc::new(AtomicU64::new(from));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (next, address) = (next.clone(), gateway.address);
        clients.spawn(async move {
            let mut conn = Conn::open(address).await;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= to {
                    return;
                }
                let status = conn.ask(&asking(number)).await;
                let expected = [404, 401, 404, 200][(number % 4) as usize];
                let reply = status.expect(expected);
                if reply.get("connection") == Some("close") {
                    conn = Conn::open(address).await;
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
    gateway
        .counts("overspill_requests_total", &[], to as f64)
        .await;
    gateway.counts("overspill_in_flight", &[], 0.0).await;
}

/// All series, without their values.
fn series(metrics: &str) -> BTreeSet<&str> {
    let named = metrics.lines().filter(|line| !line.starts_with('#'));
    named
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_grows_with_what_clients_make_up() {
    let one = Provider::counting(|_, seen| answers::chat_reply(seen)).await;
    let config = Config::one(&one)
        .route("any", "{ provider: one, model: one-chat }")
        .on_route("match", "{ models: [\"any/*\"] }")
        .top("keys: [{ name: mobile, secret: sk-client-a }]")
        .top("log: { level: warn }");
    let gateway = Gateway::start(&config).await;
    ask_all(&gateway, 0, WARM_UP).await;
    let before = gateway.metrics().await;
    let memory = Vitals::of(gateway.process()).memory;

    ask_all(&gateway, WARM_UP, WARM_UP + names()).await;
    let after = gateway.metrics().await;
    assert!(!after.contains("made-up"), "{after}");
    assert_eq!(series(&after), series(&before));
    // Only the digits of the numbers have grown.
    let grown = after.len().saturating_sub(before.len());
    assert!(grown < 10 * series(&after).len(), "{grown} bytes more");
    let grown = Vitals::of(gateway.process()).memory.saturating_sub(memory);
    assert!(grown < ROOM, "{} KiB more in memory", grown >> 10);
}
