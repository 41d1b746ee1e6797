//! A provider's address as Pingora's connector wants it.

use crate::config::snapshot::Provider;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// Below the idle time after which providers close a connection themselves: the fewer connections
/// are stale when taken from the pool, the better.
pub const IDLE: Duration = Duration::from_secs(45);

/// More than any sane provider allows on one connection; the provider's own bound holds too.
const H2_STREAMS: usize = 100;

/// A peer that is asked again and again: what its pool knows it by is computed once.
#[derive(Clone, Debug)]
pub struct KnownPeer {
    http: HttpPeer,
    hash: u64,
}

impl KnownPeer {
    pub fn new(provider: &Provider, address: SocketAddr) -> KnownPeer {
        let http = peer(provider, address);
        KnownPeer {
            hash: http.reuse_hash(),
            http,
        }
    }

    pub fn http(&self) -> &HttpPeer {
        &self.http
    }
}

impl fmt::Display for KnownPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.http.fmt(f)
    }
}

impl Peer for KnownPeer {
    fn address(&self) -> &PeerAddress {
        self.http.address()
    }

    fn tls(&self) -> bool {
        self.http.tls()
    }

    fn sni(&self) -> &str {
        self.http.sni()
    }

    fn reuse_hash(&self) -> u64 {
        self.hash
    }

    fn get_peer_options(&self) -> Option<&PeerOptions> {
        self.http.get_peer_options()
    }

    fn get_mut_peer_options(&mut self) -> Option<&mut PeerOptions> {
        self.http.get_mut_peer_options()
    }

    /// The pool keeps each connection under the hash of the peer it was made for, so the kernel
    /// need not be asked once a request where it leads.
    fn matches_fd<V: std::os::fd::AsRawFd>(&self, _fd: V) -> bool {
        true
    }
}

fn peer(provider: &Provider, address: SocketAddr) -> HttpPeer {
    // An empty server name would switch verification off, so the host always goes in.
    let mut peer = HttpPeer::new(address, provider.tls, provider.host.clone());
    // Two providers behind one address never share connections: what differs between them
    // (verification, credentials of a later handshake) is not all part of the pool's own key.
    peer.group_key = group(provider);
    let options = &mut peer.options;
    options.idle_timeout = Some(IDLE);
    options.verify_cert = provider.client_tls.verify;
    options.verify_hostname = provider.client_tls.verify;
    options.max_h2_streams = H2_STREAMS;
    if provider.tls {
        options.alpn = ALPN::H2H1;
    }
    peer
}

fn group(provider: &Provider) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&*provider.name, &provider.host, provider.client_tls.verify).hash(&mut hasher);
    hasher.finish()
}
