//! Providers that change while a test runs, and many callers at once.

use super::answers::chat_reply;
use super::client::{Conn, Reply, Request};
use super::config::Config;
use super::gateway::Gateway;
use super::provider::{Act, Provider, Seen};
use super::{ASK, Duration, Instant, ms, until};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What a provider does with every request from now on; at first it answers well.
#[derive(Clone, Default)]
pub struct Mood(Arc<Mutex<Option<Vec<Act>>>>);

impl Mood {
    pub fn of(acts: Vec<Act>) -> Mood {
        let mood = Mood::default();
        mood.set(acts);
        mood
    }

    pub fn set(&self, acts: Vec<Act>) {
        *self.0.lock().unwrap() = Some(acts);
    }

    pub fn mend(&self) {
        *self.0.lock().unwrap() = None;
    }

    pub async fn provider(&self) -> Provider {
        let mood = self.clone();
        Provider::start(move |_, seen| {
            let acts = mood.0.lock().unwrap().clone();
            acts.unwrap_or_else(|| chat_reply(seen))
        })
        .await
    }
}

/// So many providers that wait for a permit before each answer.
pub async fn gated(count: usize) -> (Vec<Provider>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let mut providers = Vec::new();
    for _ in 0..count {
        let hold = gate.clone();
        let script =
            move |_: usize, seen: &Seen| [vec![Act::Gate(hold.clone())], chat_reply(seen)].concat();
        providers.push(Provider::start(script).await);
    }
    (providers, gate)
}

/// A provider that can die as a process dies: its listener and all of its connections at once.
pub struct Mortal {
    pub provider: Provider,
    runtime: Option<Runtime>,
}

impl Mortal {
    pub async fn start(script: impl FnMut(usize, &Seen) -> Vec<Act> + Send + 'static) -> Mortal {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let started = runtime.spawn(Provider::start(script));
        Mortal {
            provider: started.await.expect("the provider"),
            runtime: Some(runtime),
        }
    }

    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}

/// So many providers called `one`, `two` and so on, without fault.
pub async fn well(count: usize) -> Vec<Provider> {
    let mut providers = Vec::new();
    for _ in 0..count {
        providers.push(Provider::well().await);
    }
    providers
}

pub const NAMES: [&str; 4] = ["one", "two", "three", "four"];

impl Config {
    /// Providers by the names of `NAMES`, and no route yet.
    pub fn of(providers: &[Provider]) -> Config {
        let named = NAMES.iter().zip(providers);
        named.fold(Config::new(), |config, (name, provider)| {
            config.provider(name, &provider.base())
        })
    }
}

pub fn counts(providers: &[Provider]) -> Vec<usize> {
    providers.iter().map(Provider::count).collect()
}

/// Who answered.
pub fn by(reply: &Reply) -> String {
    let provider = reply.get("x-overspill-provider");
    provider.expect("a provider").to_string()
}

impl Gateway {
    /// Asks, is answered, and says by whom.
    pub async fn served(&self) -> String {
        by(&self.chat(ASK).await.expect(200))
    }

    /// Asks over and over until this provider answers; how long that took. All are answered well.
    pub async fn served_by(&self, provider: &str, limit: Duration) -> Duration {
        let start = Instant::now();
        while self.served().await != provider {
            assert!(start.elapsed() < limit, "{provider} is not used again");
            tokio::time::sleep(ms(5)).await;
        }
        start.elapsed()
    }

    /// Asks and lets the answer wait; returns when one of these has been asked.
    pub async fn held<'a>(
        &self,
        request: Request,
        among: impl IntoIterator<Item = &'a Provider> + Clone,
    ) -> Conn {
        let asked = || {
            let counts = among.clone().into_iter().map(Provider::count);
            counts.sum::<usize>()
        };
        let before = asked();
        let mut conn = Conn::open(self.address).await;
        conn.send(&request.bytes()).await;
        until("it is asked", ms(5000), || asked() > before).await;
        conn
    }
}

/// Asks so often, evenly so many times a second or as fast as the machine can; the answers, in the
/// order of their ends. `each` is told how many were asked so far.
pub async fn flood(
    address: SocketAddr,
    request: &Request,
    count: usize,
    per_second: u32,
    mut each: impl FnMut(usize),
) -> Vec<Reply> {
    let idle: Arc<Mutex<Vec<Conn>>> = Arc::default();
    let bytes: Arc<[u8]> = request.bytes().into();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut asked = JoinSet::new();
    for number in 0..count {
        ticks.tick().await;
        each(number);
        let (idle, bytes) = (idle.clone(), bytes.clone());
        asked.spawn(async move {
            let free = idle.lock().unwrap().pop();
            let mut conn = match free {
                Some(conn) => conn,
                None => Conn::open(address).await,
            };
            conn.send(&bytes).await;
            let reply = conn.reply("POST").await;
            if reply.broken.is_none() && reply.get("connection") != Some("close") {
                idle.lock().unwrap().push(conn);
            }
            reply
        });
    }
    let mut replies = Vec::new();
    while let Some(reply) = asked.join_next().await {
        replies.push(reply.expect("an answer"));
    }
    replies
}

/// Every one of them was answered well.
pub fn none_failed(replies: &[Reply]) {
    let failed = replies
        .iter()
        .filter(|reply| reply.status != 200 || reply.broken.is_some());
    let failed: Vec<_> = failed.map(|reply| (reply.status, reply.text())).collect();
    let some = failed.iter().take(3).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{} failed: {some:?}", failed.len());
}
