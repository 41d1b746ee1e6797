//! Where a provider is: its name resolved asynchronously, kept for as long as the answer says, and
//! refreshed behind the calls that use it.

use crate::config::snapshot::Provider;
use crate::upstream::peer::KnownPeer;
use arc_swap::{ArcSwap, ArcSwapOption};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

/// An answer is used at least this long, however short its own time to live.
const SHORTEST: Duration = Duration::from_secs(5);
/// And no longer than this, so that a moved provider is found again.
const LONGEST: Duration = Duration::from_secs(300);

/// One answer: the addresses, ready to connect to.
struct Answer {
    /// IPv4 first: not every machine that resolves an IPv6 address can reach it.
    peers: Vec<Arc<KnownPeer>>,
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
    type Item = Arc<KnownPeer>;

    fn next(&mut self) -> Option<Arc<KnownPeer>> {
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
    /// Whose lock it is asks the resolver: one at a time.
    asking: Arc<Mutex<LastFailure>>,
    turn: AtomicUsize,
}

/// When and why the resolver did not answer, unless it has since.
type LastFailure = Option<(Instant, Unresolved)>;

/// Why there is no address.
#[derive(Debug, Clone)]
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
                peers: vec![Arc::new(KnownPeer::new(&provider, address))],
                turning: 1,
                // Nothing to ask: a century is for ever.
                fresh_until: Instant::now() + Duration::from_secs(100 * 365 * 86_400),
            })
        });
        Arc::new(Addresses {
            provider,
            answer: ArcSwapOption::new(literal),
            asking: Arc::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// Whether these are the addresses of this provider, as this configuration has it.
    fn lead_to(&self, provider: &Arc<Provider>) -> bool {
        let own = &self.provider;
        let same = || {
            (own.port, own.tls) == (provider.port, provider.tls)
                && own.host == provider.host
                && own.addresses == provider.addresses
                && own.client_tls == provider.client_tls
                && own.proxy == provider.proxy
        };
        Arc::ptr_eq(own, provider) || same()
    }

    /// The addresses, the next in turn first. Waits for a resolver only when nothing is known yet:
    /// an answer past its time is used once more while a new one is fetched, and a dead resolver
    /// leaves the last answer standing.
    pub async fn choose(self: &Arc<Self>, now: Instant) -> Result<Choice, Unresolved> {
        let resolved = || resolve(Arc::clone(&self.provider));
        let answer = match self.answer.load_full() {
            Some(answer) => {
                if now >= answer.fresh_until {
                    self.refresh(now, resolved());
                }
                answer
            }
            None => self.first(resolved()).await?,
        };
        Ok(self.pick(answer))
    }

    fn pick(&self, answer: Arc<Answer>) -> Choice {
        Choice {
            answer,
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
            tried: 0,
        }
    }

    /// Asks behind the callers' backs, unless somebody does, or did in vain a moment ago.
    fn refresh(self: &Arc<Self>, now: Instant, resolved: impl Resolved) {
        let Ok(asking) = Arc::clone(&self.asking).try_lock_owned() else {
            return;
        };
        let in_vain = |failed: &(Instant, Unresolved)| now < failed.0 + SHORTEST;
        if !asking.as_ref().is_some_and(in_vain) {
            drop(self.ask(asking, resolved));
        }
    }

    /// The first answer, asked for once for all who wait for it. They share a failure too:
    /// otherwise each would wait for its own, one after another.
    async fn first(self: &Arc<Self>, resolved: impl Resolved) -> Result<Arc<Answer>, Unresolved> {
        let began = Instant::now();
        let asking = Arc::clone(&self.asking).lock_owned().await;
        if let Some(answer) = self.answer.load_full() {
            return Ok(answer);
        }
        if let Some((at, unresolved)) = &*asking
            && *at >= began
        {
            return Err(unresolved.clone());
        }
        self.ask(asking, resolved).await.unwrap_or_else(|_| {
            let host = &self.provider.host;
            Err(Unresolved(format!("the lookup of {host} was given up")))
        })
    }

    /// In a task of its own, so that a caller who leaves takes nothing from the others. The lock
    /// goes with it, and is free again however the task ends.
    fn ask(
        self: &Arc<Self>,
        mut asking: OwnedMutexGuard<LastFailure>,
        resolved: impl Resolved,
    ) -> JoinHandle<Result<Arc<Answer>, Unresolved>> {
        let addresses = Arc::clone(self);
        tokio::spawn(async move {
            let answer = resolved.await.map(Arc::new);
            match &answer {
                Ok(answer) => {
                    addresses.answer.store(Some(Arc::clone(answer)));
                    *asking = None;
                }
                Err(unresolved) => {
                    if addresses.answer.load().is_some() {
                        tracing::warn!(
                            provider = &*addresses.provider.name,
                            "{unresolved}; the last addresses stay in use"
                        );
                    }
                    *asking = Some((Instant::now(), unresolved.clone()));
                }
            }
            answer
        })
    }
}

/// What a resolver says in the end. Nothing is asked before it is polled.
trait Resolved: Future<Output = Result<Answer, Unresolved>> + Send + 'static {}

impl<F: Future<Output = Result<Answer, Unresolved>> + Send + 'static> Resolved for F {}

async fn resolve(provider: Arc<Provider>) -> Result<Answer, Unresolved> {
    let host = &provider.host;
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
    Ok(Answer {
        turning: if v4 > 0 { v4 } else { ips.len() },
        peers: ips
            .into_iter()
            .map(|ip| {
                Arc::new(KnownPeer::new(
                    &provider,
                    SocketAddr::new(ip, provider.port),
                ))
            })
            .collect(),
        fresh_until,
    })
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

fn pages(providers: &[Arc<Provider>], known: &Pages) -> Pages {
    let addresses = |provider: &Arc<Provider>| {
        find(known, provider).unwrap_or_else(|| Addresses::new(Arc::clone(provider)))
    };
    providers
        .iter()
        .map(|provider| (Arc::clone(&provider.name), vec![addresses(provider)]))
        .collect()
}

fn find(pages: &Pages, provider: &Arc<Provider>) -> Option<Arc<Addresses>> {
    let page = pages.get(&provider.name)?;
    let found = page.iter().find(|one| one.lead_to(provider))?;
    Some(Arc::clone(found))
}

/// The addresses of every provider, by its name. A request goes by the provider of its own
/// snapshot, which may by now lead elsewhere than the newest of that name.
pub struct Book(ArcSwap<Pages>);

type Pages = HashMap<Arc<str>, Vec<Arc<Addresses>>>;

impl Book {
    pub fn new(providers: &[Arc<Provider>]) -> Book {
        Book(ArcSwap::from_pointee(pages(providers, &Pages::new())))
    }

    /// From now on these are the providers. Who leads where one of the same name led before keeps
    /// its answer.
    pub fn follow(&self, providers: &[Arc<Provider>]) {
        self.0.rcu(|known| pages(providers, known));
    }

    pub async fn peers(
        &self,
        provider: &Arc<Provider>,
        now: Instant,
    ) -> Result<Choice, Unresolved> {
        let known = find(&self.0.load(), provider);
        let addresses = known.unwrap_or_else(|| self.add(provider));
        addresses.choose(now).await
    }

    /// One that a newer configuration has no more, for the requests that still go by it.
    fn add(&self, provider: &Arc<Provider>) -> Arc<Addresses> {
        let fresh = Addresses::new(Arc::clone(provider));
        self.0.rcu(|known| {
            let mut pages = Pages::clone(known);
            if find(&pages, provider).is_none() {
                let page = pages.entry(Arc::clone(&provider.name)).or_default();
                page.push(Arc::clone(&fresh));
            }
            pages
        });
        fresh
    }
}

#[cfg(test)]
mod tests;
