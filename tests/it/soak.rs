//! Many streams, faults of every kind, and clients that leave when they like: afterwards nothing
//! is left of any of them. `make soak` runs it long; `SOAK_STREAMS` says how long.

use crate::harness::vitals::Vitals;
use crate::harness::*;
use overspill::mock::{Behaviour, serve};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What the first provider does, in the mock's words; the second is always well.
const FAULTS: [&str; 24] = [
    "ok",
    "pace=5ms",
    "comments,first-token=150ms",
    "reasoning",
    "usage-every",
    "crlf,split",
    "cut,at=10",
    "cut,at=1,pace=2ms",
    "cut-reset,at=10",
    "cut-inside,at=10",
    "stall,at=5",
    "stall=150ms,at=5",
    "hang",
    "endless-comments,pace=20ms",
    "reset",
    "close",
    "reset-after-headers",
    "503",
    "429",
    "500-once",
    "error-mid,at=5",
    "malformed,at=5",
    "no-done",
    "error-200",
];
const CLIENTS: u64 = 64;
/// Of the streams before the ones that are measured.
const WARM_UP: std::ops::Range<u64> = 200..1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind() {
    let streams = match std::env::var("SOAK_STREAMS") {
        Ok(number) => number.parse().expect("SOAK_STREAMS is a number"),
        Err(_) => 400,
    };
    let (one, one_runs) = mock(Behaviour::named("one").chunks(20)).await;
    let (two, two_runs) = mock(Behaviour::named("two").chunks(20).by_model(false)).await;
    let gateway = Gateway::start(&config(&one, &two)).await;
    let idle = Vitals::of(gateway.process());
    let whole = Arc::new(the_whole_answer(&gateway).await);

    round(
        &gateway,
        0,
        (streams / 4).clamp(WARM_UP.start, WARM_UP.end),
        &whole,
    )
    .await;
    settled(&gateway).await;
    let warm = Vitals::of(gateway.process());
    round(&gateway, 1 << 32, streams, &whole).await;
    settled(&gateway).await;
    let end = Vitals::of(gateway.process());
    println!("idle {idle:?}\nwarm {warm:?}\nend  {end:?}");

    assert!(end.threads <= warm.threads, "{warm:?} {end:?}");
    let most = (warm.memory + warm.memory / 10).max(warm.memory + (8 << 20));
    assert!(end.memory <= most, "{warm:?} {end:?}");
    // Without providers no connection is worth keeping.
    one_runs.abort();
    two_runs.abort();
    until("its sockets are closed", ms(30_000), || {
        Vitals::of(gateway.process()).sockets <= idle.sockets + 4
    })
    .await;
    gateway.get("/health").await.expect(200);
}

/// A provider of the project's own, and its task.
async fn mock(behaviour: Behaviour) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    (base, tokio::spawn(serve(listener, behaviour)))
}

/// A model for each fault; those of odd number have nobody to turn to.
fn config(one: &str, two: &str) -> Config {
    let models = |step: usize| {
        let each = FAULTS.iter().enumerate().step_by(step);
        let written = each.map(|(n, words)| format!("\"acme/{n}\": {{ name: \"m+{words}\" }}"));
        format!("{{ {} }}", Vec::from_iter(written).join(", "))
    };
    Config::new()
        .server("threads: 2")
        .provider("one", one)
        .with("models", &models(1))
        .provider("two", two)
        .with("models", &models(2))
        .route("main", "{ provider: one }, { provider: two, tier: 2 }")
        .on_route(
            "timeouts",
            "{ first_byte: 400ms, first_token: 400ms, idle: 300ms, stall: 300ms, response: 400ms }",
        )
        .on_route("stream", "{ ping: 100ms, resume: auto }")
        .top("log: { format: json }")
}

fn asking(number: u64, stream: bool) -> Request {
    let model = format!("acme/{}", number % FAULTS.len() as u64);
    let body = if stream { ASK_STREAM } else { ASK };
    Request::chat(body.replace("acme/chat", &model))
}

async fn the_whole_answer(gateway: &Gateway) -> String {
    let reply = gateway.ask(asking(0, true)).await.expect(200);
    let said = Said::of(&reply);
    assert_eq!(said.done, 1);
    said.content
}

/// Nothing is in flight, and no memory is reserved.
async fn settled(gateway: &Gateway) {
    let start = Instant::now();
    loop {
        let metrics = gateway.metrics().await;
        let zero = |name: &str| metrics.lines().any(|line| line == format!("{name} 0"));
        if zero("overspill_in_flight") && zero("overspill_buffers_bytes") {
            return;
        }
        assert!(start.elapsed() < ms(10_000), "still in flight:\n{metrics}");
        tokio::time::sleep(ms(20)).await;
    }
}

/// So many streams, `CLIENTS` at a time; `seed` makes their chances unlike those of other rounds.
async fn round(gateway: &Gateway, seed: u64, streams: u64, whole: &Arc<String>) {
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (next, whole, address) = (next.clone(), whole.clone(), gateway.address);
        clients.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= streams {
                    return;
                }
                let client = Client {
                    number,
                    chance: Chance(seed + number),
                };
                client.run(address, &whole).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client");
    }
}

struct Client {
    number: u64,
    chance: Chance,
}

impl Client {
    async fn run(mut self, address: std::net::SocketAddr, whole: &str) {
        let request = asking(self.number, self.chance.below(8) > 0);
        let mut conn = Conn::open(address).await;
        match self.chance.below(20) {
            0 => {
                let bytes = request.bytes();
                let some = self.chance.below(bytes.len() as u64) as usize;
                conn.send(&bytes[..some]).await;
                self.leave(conn);
            }
            1..=7 => {
                conn.send(&request.bytes()).await;
                let time = ms(self.chance.below(400));
                let _ = tokio::time::timeout(time, conn.reply("POST")).await;
                self.leave(conn);
            }
            _ => self.judge(&conn.ask(&request).await, whole),
        }
    }

    /// Politely, or not.
    fn leave(&mut self, conn: Conn) {
        if self.chance.below(2) == 0 {
            conn.wire.io.tcp().set_zero_linger().expect("a socket");
        }
    }

    /// An answer, or the truth about its end.
    fn judge(&self, reply: &Reply, whole: &str) {
        let words = FAULTS[self.number as usize % FAULTS.len()];
        let text = reply.text();
        assert_eq!(reply.broken, None, "{words}: {text}");
        if reply.status != 200 {
            assert!(reply.json()["error"].is_object(), "{words}: {text}");
            return;
        }
        if !text.contains("data:") {
            reply.json();
            return;
        }
        let said = Said::of(reply);
        assert_eq!(
            said.done + usize::from(said.error.is_some()),
            1,
            "{words}: {text}"
        );
        assert!(whole.starts_with(&said.content), "{words}: {text}");
        if said.done == 1 {
            assert_eq!(said.content, whole, "{words}: {text}");
        }
    }
}

/// Numbers without a pattern, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
