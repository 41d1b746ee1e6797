//! The way through somebody else's proxy: a connection that it was asked to make in our place.

use crate::config::snapshot::Proxy;
use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::raw_connect;
use pingora::time::timeout;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

/// A proxy's address that swallows packets leaves time for its next one.
const EACH: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Tunnel {
    proxy: Proxy,
    /// The proxy's addresses, the first to be tried first.
    sockets: Vec<SocketAddr>,
    host: String,
    port: u16,
}

impl Tunnel {
    /// To this host and port. The proxy resolves the name: it may see what we do not.
    pub fn new(proxy: &Proxy, sockets: Vec<SocketAddr>, host: &str, port: u16) -> Tunnel {
        Tunnel {
            proxy: proxy.clone(),
            sockets,
            host: host.to_owned(),
            port,
        }
    }

    async fn dial(&self) -> pingora::Result<(SocketAddr, Stream)> {
        let mut left = self.sockets.iter().peekable();
        let mut failed = None;
        while let Some(socket) = left.next() {
            let connecting = ext::connect(socket, None);
            let connected = if left.peek().is_some() {
                timeout(EACH, connecting).await.unwrap_or_else(|_| {
                    Error::e_explain(ErrorType::ConnectTimedout, socket.to_string())
                })
            } else {
                connecting.await
            };
            match connected {
                Ok(stream) => return Ok((*socket, Stream::from(stream))),
                Err(error) => failed = Some(error),
            }
        }
        let Proxy { host, port, .. } = &self.proxy;
        let cause = format!("the proxy {host}:{port} cannot be reached");
        Err(match failed {
            Some(error) => Error::because(ErrorType::ConnectProxyFailure, cause, error),
            None => Error::explain(ErrorType::ConnectProxyFailure, cause),
        })
    }
}

/// What connections through it have in common.
impl Hash for Tunnel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Proxy {
            host,
            port,
            authorization,
        } = &self.proxy;
        (host, port, &self.host, self.port).hash(state);
        let authorization = authorization.as_ref();
        authorization.map(|secret| secret.expose()).hash(state);
    }
}

#[async_trait]
impl L4Connect for Tunnel {
    async fn connect(&self, _: &PeerAddress) -> pingora::Result<Stream> {
        let (socket, stream) = self.dial().await?;
        let authorization = self.proxy.authorization.as_ref();
        let authorization = authorization.map(|secret| secret.expose().as_bytes().to_vec());
        let headers = authorization
            .iter()
            .map(|value| ("proxy-authorization", value));
        let request = raw_connect::generate_connect_header(&self.host, self.port, headers)?;
        let proxy = HttpPeer::new(socket, false, String::new());
        let refused = |cause: Box<Error>| {
            let Tunnel { host, port, .. } = self;
            let context = format!("the proxy at {socket} opens no way to {host}:{port}");
            Error::because(ErrorType::ConnectProxyFailure, context, cause)
        };
        let (opened, _) = raw_connect::connect(Box::new(stream), &request, &proxy)
            .await
            .map_err(refused)?;
        // What comes back is what went in.
        let opened = opened.into_any().downcast::<Stream>();
        opened.map(|stream| *stream).map_err(|_| {
            let context = "not the connection that was handed over";
            Error::explain(ErrorType::InternalError, context)
        })
    }
}
