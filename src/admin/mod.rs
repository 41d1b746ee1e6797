//! The admin port: health, metrics and the configuration. Never on the data port.

mod budgets;
mod config;
mod explain;
mod kept;
mod measures;
mod params;
mod query_metric;
mod requests;
mod targets;
mod usage;

use crate::jobs::reload::Reloader;
use crate::jobs::stage::Stage;
use crate::proxy::shared::{Current, Shared};
use crate::routing::table;
use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

pub struct Admin {
    pub shared: Arc<Shared>,
    pub stage: Arc<Stage>,
    pub reloader: Arc<Reloader>,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let path = head.uri.path();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match path {
            "/health/live" | "/livez" | "/health/ready" | "/readyz" | "/metrics"
            | "/api/config" | "/api/targets" | "/api/measures" | "/api/explain" | "/api/usage"
            | "/api/requests" | "/api/query_metric" | "/api/budgets"
                if !reads =>
            {
                not_allowed("GET")
            }
            "/api/reload" if head.method != Method::POST => not_allowed("POST"),
            "/health/live" | "/livez" => text(StatusCode::OK, "live\n"),
            "/health/ready" | "/readyz" if self.stage.is_ready() => text(StatusCode::OK, "ready\n"),
            "/health/ready" | "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ if !self.lets_in(&head.headers) => text(
                StatusCode::UNAUTHORIZED,
                "send the admin token as a bearer\n",
            ),
            "/metrics" => self.metrics(),
            "/api/config" => config::show(&self.reloader).await,
            "/api/reload" => config::reload(&self.reloader).await,
            "/api/targets" => self.targets(),
            "/api/budgets" => {
                let current = self.shared.current.load();
                let list = budgets::list(&current.budgets, SystemTime::now());
                json(StatusCode::OK, &list)
            }
            "/api/explain" => {
                let current = self.shared.current.load();
                let Current {
                    snapshot,
                    board,
                    budgets,
                } = &**current;
                let measures = &self.shared.measures;
                explain::show(head.uri.query(), |question| {
                    let table = measures.table();
                    let standing = |key: &str| Some(budgets.of(key)?.standing(SystemTime::now()));
                    let now = Instant::now();
                    crate::explain::answer(question, snapshot, board, &table, standing, now)
                })
            }
            "/api/measures" => {
                let measures = &self.shared.measures;
                let current = self.shared.current.load();
                measures::show(head.uri.query(), &current.snapshot, || {
                    measures.exact(Instant::now())
                })
            }
            "/api/usage" | "/api/requests" | "/api/query_metric" => {
                kept::answer(self.shared.store.as_ref(), path, head.uri.query()).await
            }
            _ if path.starts_with("/api/targets/") && head.method != Method::POST => {
                not_allowed("POST")
            }
            _ => match path.strip_prefix("/api/targets/").and_then(switch) {
                Some((id, disabled)) => self.switch(&id, disabled),
                None => text(StatusCode::NOT_FOUND, "nothing is served here\n"),
            },
        }
    }
}

/// `main/one/disable`: which target, and whether it is to be off.
fn switch(below: &str) -> Option<(String, bool)> {
    let (id, word) = below.rsplit_once('/')?;
    let disabled = match word {
        "enable" => false,
        "disable" => true,
        _ => return None,
    };
    Some((table::unescaped(id), disabled))
}

impl Admin {
    fn metrics(&self) -> Response<Vec<u8>> {
        let shared = &self.shared;
        let current = shared.current.load();
        let text = shared.metrics.scrape(&current.snapshot, |metrics| {
            let now = Instant::now();
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            metrics.buffers.set(count(shared.buffers.used() as u64));
            metrics
                .retries_left
                .set(count(shared.retry_budget.left(now)));
            metrics.budgets.measure(&current.budgets, SystemTime::now());
            targets::measure(metrics, &current.board, now);
        });
        answer(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            text,
        )
    }

    fn targets(&self) -> Response<Vec<u8>> {
        let current = self.shared.current.load();
        let book = &self.shared.wires.book;
        let list = targets::list(&current.snapshot, &current.board, book, Instant::now());
        answer(StatusCode::OK, "application/json", list.into_bytes())
    }

    fn switch(&self, id: &str, disabled: bool) -> Response<Vec<u8>> {
        let current = self.shared.current.load();
        if !targets::switch(&current.board, id, disabled) {
            return text(
                StatusCode::NOT_FOUND,
                "no such target: /api/targets lists their ids\n",
            );
        }
        tracing::warn!(
            "target {id} was switched {}",
            if disabled { "off" } else { "on" }
        );
        self.targets()
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let current = self.shared.current.load();
        let admin = current.snapshot.server.admin.as_ref();
        let Some(token) = admin.and_then(|admin| admin.token.as_ref()) else {
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

fn not_allowed(method: &'static str) -> Response<Vec<u8>> {
    let message = format!("this path takes {method} alone\n");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &message);
    let allowed = http::HeaderValue::from_static(method);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn text(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    answer(
        status,
        "text/plain; charset=utf-8",
        text.as_bytes().to_vec(),
    )
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Vec<u8>> {
    answer(status, "application/json", format!("{body}\n").into_bytes())
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
