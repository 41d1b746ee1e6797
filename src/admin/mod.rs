//! The admin port: health and metrics. Never on the data port.

use crate::config::secret::Secret;
use crate::limits::buffers::Buffers;
use crate::telemetry::metrics::Metrics;
use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether new requests are welcome.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

pub struct Admin {
    pub token: Option<Secret>,
    pub metrics: Arc<Metrics>,
    pub buffers: Arc<Buffers>,
    pub readiness: Arc<Readiness>,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match head.uri.path() {
            "/health/live" | "/livez" | "/health/ready" | "/readyz" | "/metrics" if !reads => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path takes GET alone\n",
            ),
            "/health/live" | "/livez" => text(StatusCode::OK, "live\n"),
            "/health/ready" | "/readyz" if self.readiness.is_ready() => {
                text(StatusCode::OK, "ready\n")
            }
            "/health/ready" | "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ if !self.lets_in(&head.headers) => text(
                StatusCode::UNAUTHORIZED,
                "send the admin token as a bearer\n",
            ),
            "/metrics" => {
                let held = i64::try_from(self.buffers.used()).unwrap_or(i64::MAX);
                self.metrics.buffers.set(held);
                answer(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    self.metrics.render(),
                )
            }
            _ => text(StatusCode::NOT_FOUND, "nothing is served here\n"),
        }
    }
}

impl Admin {
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let presented = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // Digests are compared, so that the time it takes says nothing about the token.
        presented.is_some_and(|presented| {
            Sha256::digest(presented) == Sha256::digest(token.expose().as_bytes())
        })
    }
}

fn text(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    answer(
        status,
        "text/plain; charset=utf-8",
        text.as_bytes().to_vec(),
    )
}

fn answer(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, http::HeaderValue::from(length));
    response
}
