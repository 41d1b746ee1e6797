//! The bare Pingora pass-through that the gateway is measured against: `ProxyHttp` with its
//! defaults, one thread, one upstream, nothing else.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::server::Server;
use pingora::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

use crate::Outcome;

struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Serves until the process ends.
pub fn serve(listen: &str, upstream: &str) -> Outcome<()> {
    let mut server = Server::new(None)?;
    server.bootstrap();
    let bare = Bare {
        upstream: upstream.parse()?,
    };
    let mut service = http_proxy_service(&server.configuration, bare);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
