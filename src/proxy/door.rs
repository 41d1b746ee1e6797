//! The first moments of a connection: what it speaks, and that it speaks at all.

use crate::proxy::service::Gateway;
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

pub struct Door {
    header_timeout: Duration,
    keepalive: Duration,
    proxy: Arc<HttpProxy<Gateway>>,
    http1: Arc<Speaker>,
}

impl Door {
    pub fn new(proxy: HttpProxy<Gateway>, header_timeout: Duration, keepalive: Duration) -> Door {
        let proxy = Arc::new(proxy);
        Door {
            header_timeout,
            keepalive,
            http1: Arc::new(Speaker::new(&proxy, header_timeout, keepalive, false)),
            proxy,
        }
    }

    /// HTTP/2 connections are told apart: one that never sends a request is closed.
    async fn http2(&self, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let speaker = Speaker::new(&self.proxy, self.header_timeout, self.keepalive, true);
        let speaker = Arc::new(speaker);
        let served = speaker.process_new(stream, shutdown);
        tokio::pin!(served);
        tokio::select! {
            stream = &mut served => return stream,
            () = sleep(self.header_timeout) => {}
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
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        // With TLS the protocol was agreed on in the handshake.
        if stream.get_ssl_digest().is_some() {
            return match stream.selected_alpn_proto() {
                Some(ALPN::H2) => self.http2(stream, shutdown).await,
                _ => self.http1.process_new(stream, shutdown).await,
            };
        }
        let mut first = [0; FIRST.len()];
        timeout(self.header_timeout, stream.try_peek(&mut first))
            .await
            .ok()?
            .ok()?;
        if first != FIRST {
            return self.http1.process_new(stream, shutdown).await;
        }
        let mut preface = [0; PREFACE];
        timeout(self.header_timeout, stream.try_peek(&mut preface))
            .await
            .ok()?
            .ok()?;
        self.http2(stream, shutdown).await
    }

    async fn cleanup(&self) {
        // Wakes the connections that wait for their next request, so that they close.
        self.proxy.http_cleanup().await;
    }
}

/// The proxy, with the timeouts of a connection's first request.
struct Speaker {
    proxy: Arc<HttpProxy<Gateway>>,
    header_timeout: Duration,
    options: HttpServerOptions,
    /// Whether anything has been asked yet.
    asked: AtomicBool,
}

impl Speaker {
    fn new(
        proxy: &Arc<HttpProxy<Gateway>>,
        header_timeout: Duration,
        keepalive: Duration,
        h2c: bool,
    ) -> Speaker {
        let mut options = HttpServerOptions::default();
        options.h2c = h2c;
        options.h2_idle_timeout = Some(keepalive);
        // A connection that still has all of these has not had its first request.
        options.keepalive_request_limit = Some(u32::MAX);
        Speaker {
            proxy: Arc::clone(proxy),
            header_timeout,
            options,
            asked: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl HttpServerApp for Speaker {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.asked.store(true, Ordering::Relaxed);
        if session.get_keepalive_reuses_remaining() == Some(u32::MAX)
            && session.get_keepalive().is_some()
        {
            let seconds =
                self.header_timeout.as_secs() + u64::from(self.header_timeout.subsec_nanos() > 0);
            session.set_keepalive(Some(seconds.max(1)));
        }
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
