//! Where a provider is: its name resolved asynchronously, kept for as long as the answer says, and
//! refreshed behind the calls that use it.

use crate::config::snapshot::Provider;
use crate::upstream::peer::peer;
use arc_swap::ArcSwapOption;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use pingora::upstreams::peer::HttpPeer;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// An answer is used at least this long, however short its own time to live.
const SHORTEST: Duration = Duration::from_secs(5);
/// And no longer than this, so that a moved provider is found again.
const LONGEST: Duration = Duration::from_secs(300);

/// One answer: the addresses, ready to connect to.
struct Answer {
    /// IPv4 first: not every machine that resolves an IPv6 address can reach it.
    peers: Vec<Arc<HttpPeer>>,
    /// How many of them take turns; the others are asked only when these are out of reach.
    turning: usize,
    fresh_until: Instant,
}

/// The addresses to try for one connection, in this order.
pub struct Choice {
    answer: Arc<Answer>,
    turn: usize,
    tried: usize,
}

impl Iterator for Choice {
    type Item = Arc<HttpPeer>;

    fn next(&mut self) -> Option<Arc<HttpPeer>> {
        let turning = self.answer.turning;
        let at = if self.tried < turning {
            self.turn.wrapping_add(self.tried).checked_rem(turning)?
        } else {
            self.tried
        };
        self.tried += 1;
        self.answer.peers.get(at).cloned()
    }
}

/// The addresses of one provider.
pub struct Addresses {
    provider: Arc<Provider>,
    answer: ArcSwapOption<Answer>,
    refreshing: AtomicBool,
    turn: AtomicUsize,
}

/// Why there is no address.
#[derive(Debug)]
pub struct Unresolved(String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Addresses {
    pub fn new(provider: Arc<Provider>) -> Arc<Addresses> {
        let literal = provider.host.parse::<IpAddr>().ok().map(|ip| {
            let address = SocketAddr::new(ip, provider.port);
            Arc::new(Answer {
                peers: vec![Arc::new(peer(&provider, address))],
                turning: 1,
                // Nothing to ask: a century is for ever.
                fresh_until: Instant::now() + Duration::from_secs(100 * 365 * 86_400),
            })
        });
        Arc::new(Addresses {
            provider,
            answer: ArcSwapOption::new(literal),
            refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        })
    }

    /// The addresses, the next in turn first. Waits for a resolver only when nothing is known yet: an answer
    /// past its time is used once more while a new one is fetched, and a dead resolver leaves the
    /// last answer standing.
    pub async fn choose(self: &Arc<Self>, now: Instant) -> Result<Choice, Unresolved> {
        if let Some(answer) = self.answer.load_full() {
            if now >= answer.fresh_until && !self.refreshing.swap(true, Ordering::AcqRel) {
                let addresses = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(unresolved) = addresses.refresh().await {
                        tracing::warn!(
                            provider = &*addresses.provider.name,
                            "{unresolved}; the last addresses stay in use"
                        );
                    }
                    addresses.refreshing.store(false, Ordering::Release);
                });
            }
            return Ok(self.pick(answer));
        }
        let answer = self.refresh().await?;
        Ok(self.pick(answer))
    }

    fn pick(&self, answer: Arc<Answer>) -> Choice {
        Choice {
            answer,
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
            tried: 0,
        }
    }

    async fn refresh(&self) -> Result<Arc<Answer>, Unresolved> {
        let host = &self.provider.host;
        let lookup = resolver()?
            .lookup_ip(host.as_str())
            .await
            .map_err(|error| Unresolved(format!("cannot resolve {host}: {error}")))?;
        let now = Instant::now();
        let fresh_until = lookup.valid_until().clamp(now + SHORTEST, now + LONGEST);
        let mut ips: Vec<IpAddr> = lookup.iter().collect();
        ips.sort_by_key(IpAddr::is_ipv6);
        if ips.is_empty() {
            return Err(Unresolved(format!("{host} resolves to no address")));
        }
        let v4 = ips.iter().filter(|ip| ip.is_ipv4()).count();
        let port = self.provider.port;
        let answer = Arc::new(Answer {
            turning: if v4 > 0 { v4 } else { ips.len() },
            peers: ips
                .into_iter()
                .map(|ip| Arc::new(peer(&self.provider, SocketAddr::new(ip, port))))
                .collect(),
            fresh_until,
        });
        self.answer.store(Some(Arc::clone(&answer)));
        Ok(answer)
    }
}

/// One resolver for all: the machine's own settings, hosts file included.
fn resolver() -> Result<&'static TokioResolver, Unresolved> {
    static RESOLVER: OnceLock<Result<TokioResolver, String>> = OnceLock::new();
    RESOLVER
        .get_or_init(|| {
            let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
                // No readable resolv.conf: the hosts file alone still answers for `localhost`.
                tracing::warn!("cannot read the machine's resolver settings: {error}");
                TokioResolver::builder_with_config(
                    ResolverConfig::default(),
                    TokioRuntimeProvider::default(),
                )
            });
            builder.build().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| Unresolved(format!("no resolver: {error}")))
}

/// The addresses of every provider, by its name.
pub struct Book(HashMap<Arc<str>, Arc<Addresses>>);

impl Book {
    pub fn new(providers: &[Arc<Provider>]) -> Book {
        Book(
            providers
                .iter()
                .map(|provider| {
                    (
                        Arc::clone(&provider.name),
                        Addresses::new(Arc::clone(provider)),
                    )
                })
                .collect(),
        )
    }

    pub async fn peers(&self, provider: &Provider, now: Instant) -> Result<Choice, Unresolved> {
        match self.0.get(&provider.name) {
            Some(addresses) => addresses.choose(now).await,
            None => Err(Unresolved(format!("{} is not known", provider.name))),
        }
    }
}
