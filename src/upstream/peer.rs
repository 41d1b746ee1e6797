//! A provider's address as Pingora's connector wants it.

use crate::config::snapshot::Provider;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// Below the idle time after which providers close a connection themselves: the fewer connections
/// are stale when taken from the pool, the better.
pub const IDLE: Duration = Duration::from_secs(45);

/// More than any sane provider allows on one connection; the provider's own bound holds too.
const H2_STREAMS: usize = 100;

pub fn peer(provider: &Provider, address: SocketAddr) -> HttpPeer {
    // An empty server name would switch verification off, so the host always goes in.
    let mut peer = HttpPeer::new(address, provider.tls, provider.host.clone());
    // Two providers behind one address never share connections: what differs between them
    // (verification, credentials of a later handshake) is not all part of the pool's own key.
    peer.group_key = group(provider);
    let options = &mut peer.options;
    options.idle_timeout = Some(IDLE);
    options.verify_cert = provider.verify;
    options.verify_hostname = provider.verify;
    options.max_h2_streams = H2_STREAMS;
    if provider.tls {
        options.alpn = ALPN::H2H1;
    }
    peer
}

fn group(provider: &Provider) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&*provider.name, &provider.host, provider.verify).hash(&mut hasher);
    hasher.finish()
}
