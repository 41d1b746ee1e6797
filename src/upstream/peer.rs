//! A provider's address as Pingora's connector wants it.

use crate::config::snapshot::Provider;
use crate::upstream::identity::Identity;
use crate::upstream::tunnel::Tunnel;
use pingora::connectors::L4Connect;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::upstreams::peer::{HttpPeer, Peer, PeerOptions};
use pingora::utils::tls::CertKey;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Below the idle time after which providers close a connection themselves: the fewer connections
/// are stale when taken from the pool, the better.
pub const IDLE: Duration = Duration::from_secs(45);

/// More than any sane provider allows on one connection; the provider's own bound holds too.
const H2_STREAMS: usize = 100;

/// One place to connect to.
#[derive(Debug, Clone)]
pub struct Seat {
    /// What people know it by: the address, or through a proxy what the proxy is told.
    pub name: Arc<str>,
    pub socket: SocketAddr,
    /// The share of calls it takes beside others. 0: only when the others are out of reach.
    pub weight: u32,
    /// The way there, unless it is straight.
    pub tunnel: Option<Arc<Tunnel>>,
}

/// A peer that is asked again and again: what its pool knows it by is computed once.
#[derive(Clone, Debug)]
pub struct KnownPeer {
    name: Arc<str>,
    http: HttpPeer,
    hash: u64,
}

impl KnownPeer {
    pub fn new(provider: &Provider, identity: &Identity, seat: &Seat) -> KnownPeer {
        let http = peer(provider, identity, seat);
        KnownPeer {
            name: Arc::clone(&seat.name),
            hash: http.reuse_hash(),
            http,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
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

    fn get_client_cert_key(&self) -> Option<&Arc<CertKey>> {
        self.http.get_client_cert_key()
    }

    /// The pool keeps each connection under the hash of the peer it was made for, so the kernel
    /// need not be asked once a request where it leads.
    fn matches_fd<V: std::os::fd::AsRawFd>(&self, _fd: V) -> bool {
        true
    }
}

fn peer(provider: &Provider, identity: &Identity, seat: &Seat) -> HttpPeer {
    // An empty server name would switch verification off, so the host always goes in.
    let mut peer = HttpPeer::new(seat.socket, provider.tls, provider.host.clone());
    // Two providers behind one address never share connections: what differs between them
    // (verification, the way there, what was shown in the handshake) is not all part of the pool's
    // own key.
    peer.group_key = group(provider, identity, seat);
    peer.client_cert_key = identity.shown.clone();
    let verify = provider.client_tls.verify;
    let options = &mut peer.options;
    options.idle_timeout = Some(IDLE);
    options.verify_cert = verify;
    options.verify_hostname = verify;
    options.ca = identity.trusted.clone();
    options.max_h2_streams = H2_STREAMS;
    if provider.tls {
        options.alpn = ALPN::H2H1;
    }
    let tunnel = seat.tunnel.clone();
    options.custom_l4 = tunnel.map(|tunnel| tunnel as Arc<dyn L4Connect + Send + Sync>);
    peer
}

fn group(provider: &Provider, identity: &Identity, seat: &Seat) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&*provider.name, &provider.host, identity.mark).hash(&mut hasher);
    seat.tunnel.hash(&mut hasher);
    hasher.finish()
}
