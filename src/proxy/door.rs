//! The first moments of a connection: what it speaks, and that it speaks at all.

use crate::proxy::arrival::{first_bytes, has_head, next_bytes};
use crate::proxy::handover::{Remains, serve};
use crate::proxy::service::Gateway;
use crate::proxy::shared::Shared;
use crate::relay::caller::Caller;
use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::l4::stream::Stream as PlainStream;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use pingora::time::sleep;
use pingora_proxy::HttpProxy;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How HTTP/2 begins where nothing was agreed on.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Uploads at full speed need more than the 64 KiB that HTTP/2 starts with.
const H2_STREAM_WINDOW: u32 = 1024 * 1024;
const H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What a connection is given, by the configuration that it began with.
#[derive(Clone, Copy)]
struct Patience {
    header: Duration,
    keepalive: Duration,
}

pub struct Door {
    proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    /// True once callers are asked to leave, which is before the port closes.
    leaving: ShutdownWatch,
}

impl Door {
    pub fn new(proxy: HttpProxy<Gateway>, shared: Arc<Shared>, leaving: ShutdownWatch) -> Door {
        let proxy = Arc::new(proxy);
        Door {
            proxy,
            shared,
            leaving,
        }
    }

    fn patience(&self) -> Patience {
        let current = self.shared.current.load();
        let server = &current.snapshot.server;
        Patience {
            header: server.header_timeout,
            keepalive: server.keepalive,
        }
    }

    /// Everything that a connection brings.
    async fn receive(self: Arc<Self>, mut stream: Stream, closed: ShutdownWatch) {
        let patience = self.patience();
        // With TLS the protocol was agreed on in the handshake.
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return Box::pin(self.http2(stream, patience, &closed)).await;
        }
        let Some(mut come) = first_bytes(&mut stream, patience.header).await else {
            return;
        };
        if stream.get_ssl_digest().is_none() {
            while come.len() < PREFACE.len() && PREFACE.starts_with(&come) {
                match first_bytes(&mut stream, patience.header).await {
                    Some(more) => come.extend_from_slice(&more),
                    None => return,
                }
            }
            if come.starts_with(PREFACE) {
                let Some(stream) = put_back(stream, &come) else {
                    return;
                };
                return Box::pin(self.http2(stream, patience, &closed)).await;
            }
        }
        self.http1(Caller::on(stream), come, patience.header, closed)
            .await;
    }

    /// One request after the other, beginning with what has come of the first. A head that has
    /// begun to come has the time of the first head, or that of an idle connection.
    async fn http1(
        &self,
        mut stream: Stream,
        mut come: BytesMut,
        mut wait: Duration,
        mut closed: ShutdownWatch,
    ) {
        loop {
            let mut session = ServerSession::new_http1(stream);
            session.set_keepalive((!*self.leaving.borrow()).then_some(whole_seconds(wait)));
            session.set_pipelined_prefix(come);
            let mut remains = self.serve(session).await;
            while let Remains::Streamed(reused) = remains {
                let (stream, settings) = reused.consume();
                Caller::asks_again(&stream);
                let mut session = ServerSession::new_http1(stream);
                if let Some(settings) = settings {
                    settings.apply_to_session(&mut session);
                }
                remains = self.serve(session).await;
            }
            let Remains::Open(reusable) = remains else {
                return;
            };
            wait = self.patience().keepalive;
            let (left, begun) = reusable.into_parts();
            stream = left;
            Caller::asks_again(&stream);
            come = begun.unwrap_or_default();
            if !has_head(&come) {
                match next_bytes(&mut stream, wait, &mut closed).await {
                    Some(next) if come.is_empty() => come = next,
                    Some(next) => come.extend_from_slice(&next),
                    None => return,
                }
            }
        }
    }

    /// The session has its place in what it is served by, and not here too.
    fn serve(&self, session: ServerSession) -> impl Future<Output = Remains> + Send {
        serve(self.proxy.process_new_http(session, &self.leaving))
    }

    /// HTTP/2 connections are told apart: one that never sends a request is closed.
    async fn http2(&self, stream: Stream, patience: Patience, closed: &ShutdownWatch) {
        // Asked to leave before its first request, a caller would have come for nothing.
        let late = *self.leaving.borrow();
        let leaving = if late { closed } else { &self.leaving };
        let speaker = Speaker::new(&self.proxy, patience.keepalive);
        let speaker = Arc::new(speaker);
        let served = speaker.process_new(stream, leaving);
        tokio::pin!(served);
        tokio::select! {
            _ = &mut served => return,
            () = sleep(patience.header) => {}
        }
        if speaker.asked.load(Ordering::Relaxed) {
            served.await;
        }
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        closed: &ShutdownWatch,
    ) -> Option<Stream> {
        // Whoever opened the connection has room for a handshake, some 9 KiB, for as long as it
        // waits here.
        tokio::spawn(Arc::clone(self).receive(stream, closed.clone()));
        None
    }

    async fn cleanup(&self) {
        // Wakes those that wait in the pipeline, so that they close.
        self.proxy.http_cleanup().await;
    }
}

/// What was read of a connection without TLS, to be read once more.
fn put_back(stream: Stream, bytes: &[u8]) -> Option<Stream> {
    let mut plain = stream.into_any().downcast::<PlainStream>().ok()?;
    plain.rewind(bytes);
    Some(plain)
}

/// Whole seconds are all that Pingora counts in; none at all would mean for ever.
pub fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// The proxy behind one HTTP/2 connection.
struct Speaker {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    /// Whether anything has been asked yet.
    asked: AtomicBool,
}

impl Speaker {
    fn new(proxy: &Arc<HttpProxy<Gateway>>, keepalive: Duration) -> Speaker {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(keepalive);
        Speaker {
            proxy: Arc::clone(proxy),
            options,
            asked: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl HttpServerApp for Speaker {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.asked.store(true, Ordering::Relaxed);
        match serve(self.proxy.process_new_http(session, shutdown)).await {
            Remains::Streamed(reused) => Some(reused),
            Remains::Open(_) | Remains::Closed => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.initial_window_size(H2_STREAM_WINDOW);
        options.initial_connection_window_size(H2_CONNECTION_WINDOW);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
