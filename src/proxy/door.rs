//! The first moments of a connection: what it speaks, and that it speaks at all.

use crate::proxy::service::Gateway;
use crate::proxy::shared::Shared;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use pingora::time::{sleep, timeout};
use pingora_proxy::HttpProxy;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// No request line is shorter than this, and the HTTP/2 preface begins with it and no method.
const FIRST: [u8; 3] = *b"PRI";
const PREFACE: usize = 24;
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

    /// One request after the other. Until the first is there, the connection has the time of a
    /// head; `early_request_filter` gives it that of an idle one.
    async fn http1(&self, stream: Stream, patience: Patience) {
        let leaving = &self.leaving;
        let mut session = ServerSession::new_http1(stream);
        let wait = whole_seconds(patience.header);
        session.set_keepalive((!*leaving.borrow()).then_some(wait));
        let mut left = self.proxy.process_new_http(session, leaving).await;
        while let Some(reused) = left {
            let (stream, settings) = reused.consume();
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            left = self.proxy.process_new_http(session, leaving).await;
        }
    }

    /// HTTP/2 connections are told apart: one that never sends a request is closed.
    async fn http2(
        &self,
        stream: Stream,
        patience: Patience,
        closed: &ShutdownWatch,
    ) -> Option<Stream> {
        // Asked to leave before its first request, a caller would have come for nothing.
        let late = *self.leaving.borrow();
        let leaving = if late { closed } else { &self.leaving };
        let speaker = Speaker::new(&self.proxy, patience.keepalive);
        let speaker = Arc::new(speaker);
        let served = speaker.process_new(stream, leaving);
        tokio::pin!(served);
        tokio::select! {
            stream = &mut served => return stream,
            () = sleep(patience.header) => {}
        }
        if speaker.asked.load(Ordering::Relaxed) {
            served.await
        } else {
            None
        }
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        closed: &ShutdownWatch,
    ) -> Option<Stream> {
        let patience = self.patience();
        // With TLS the protocol was agreed on in the handshake.
        if stream.get_ssl_digest().is_some() {
            return match stream.selected_alpn_proto() {
                Some(ALPN::H2) => self.http2(stream, patience, closed).await,
                _ => {
                    self.http1(stream, patience).await;
                    None
                }
            };
        }
        let mut first = [0; FIRST.len()];
        timeout(patience.header, stream.try_peek(&mut first))
            .await
            .ok()?
            .ok()?;
        if first != FIRST {
            self.http1(stream, patience).await;
            return None;
        }
        let mut preface = [0; PREFACE];
        timeout(patience.header, stream.try_peek(&mut preface))
            .await
            .ok()?
            .ok()?;
        self.http2(stream, patience, closed).await
    }

    async fn cleanup(&self) {
        // Wakes the connections that wait for their next request, so that they close.
        self.proxy.http_cleanup().await;
    }
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
        self.proxy.process_new_http(session, shutdown).await
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
