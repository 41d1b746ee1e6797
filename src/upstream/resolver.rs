//! Names into addresses, never waiting on a thread.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An answer is used at least this long, however short its own time to live.
const SHORTEST: Duration = Duration::from_secs(1);
/// And no longer than this, so that a moved provider is found again.
const LONGEST: Duration = Duration::from_secs(3600);
/// So long after a lookup in vain the next one follows.
pub const AGAIN: Duration = Duration::from_secs(5);

/// Where a name leads, for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// IPv4 first: not every machine that resolves an IPv6 address can reach it.
    pub ips: Vec<IpAddr>,
    /// When to ask again. Some time before the answer's own end, so that a name in use never
    /// grows stale.
    pub renew: Instant,
}

impl Found {
    /// An answer that holds until `until`.
    pub fn new(mut ips: Vec<IpAddr>, until: Instant, now: Instant) -> Found {
        // Resolvers shuffle: the order of the addresses is not to depend on it.
        ips.sort_by_key(|ip| (ip.is_ipv6(), *ip));
        let holds = until.saturating_duration_since(now);
        let holds = holds.clamp(SHORTEST, LONGEST);
        Found {
            ips,
            renew: now + holds.mul_f32(0.8),
        }
    }

    /// An address needs no asking.
    pub fn literal(ip: IpAddr, now: Instant) -> Found {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        Found {
            ips: vec![ip],
            renew: now + CENTURY,
        }
    }
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved(pub String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Asks for the addresses of a name.
pub async fn resolve(host: &str) -> Result<Found, Unresolved> {
    let lookup = resolver()?
        .lookup_ip(host)
        .await
        .map_err(|error| Unresolved(format!("cannot resolve {host}: {error}")))?;
    let ips: Vec<IpAddr> = lookup.iter().collect();
    if ips.is_empty() {
        return Err(Unresolved(format!("{host} resolves to no address")));
    }
    Ok(Found::new(ips, lookup.valid_until(), Instant::now()))
}

/// One resolver for all: the machine's own settings, hosts file included.
fn resolver() -> Result<&'static TokioResolver, Unresolved> {
    static RESOLVER: OnceLock<Result<TokioResolver, String>> = OnceLock::new();
    RESOLVER
        .get_or_init(|| {
            let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
                // No readable resolv.conf: the hosts file alone still answers for `localhost`.
                tracing::warn!("cannot read the machine's resolver settings: {error}");
                TokioResolver::builder_with_config(
                    ResolverConfig::default(),
                    TokioRuntimeProvider::default(),
                )
            });
            // We keep the answers ourselves, and who asks before their end wants a new one.
            builder.options_mut().cache_size = 0;
            builder.build().map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| Unresolved(format!("no resolver: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_live_holds_within_bounds_and_is_never_outlived() {
        let now = Instant::now();
        let renewed = |holds| {
            let found = Found::new(vec![], now + Duration::from_secs(holds), now);
            (found.renew - now).as_secs_f32().round()
        };
        assert_eq!(renewed(100), 80.0);
        assert_eq!(renewed(0), 1.0);
        assert_eq!(renewed(1_000_000), 2880.0);
        let found = Found::new(vec![], now, now);
        assert!(found.renew > now && found.renew < now + SHORTEST);
    }

    #[test]
    fn ipv4_comes_first_in_an_order_of_ours() {
        let ips = ["::2", "10.0.0.2", "::1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        let now = Instant::now();
        let sorted = ["10.0.0.1", "10.0.0.2", "::1", "::2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(Found::new(ips.to_vec(), now, now).ips, sorted);
    }
}
