//! Answers the gateway gives itself, errors above all.

use crate::config::snapshot::Endpoint;
use crate::decide::MOST_NAMED;
use crate::error::{Failure, Reason};
use crate::telemetry::tale::{Attempt, Tale, cost, write_trace};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Version, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long, and how much of, an unread body is swallowed after an early answer, so that a caller
/// who is still sending reads the answer instead of a reset.
const DRAIN_TIME: Duration = Duration::from_secs(10);
const DRAIN_BYTES: usize = 128 * 1024 * 1024;

pub const PROVIDER: HeaderName = HeaderName::from_static("x-overspill-provider");
pub const MODEL: HeaderName = HeaderName::from_static("x-overspill-model");
pub const SERVED_AS: HeaderName = HeaderName::from_static("x-overspill-served-as");
pub const ATTEMPTS: HeaderName = HeaderName::from_static("x-overspill-attempts");
pub const TRACE: HeaderName = HeaderName::from_static("x-overspill-trace");
pub const COST: HeaderName = HeaderName::from_static("x-overspill-cost");
pub const OVERHEAD: HeaderName = HeaderName::from_static("x-overspill-overhead-us");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says about itself. Values that cannot stand in a header are left out.
pub fn describe(head: &mut ResponseHeader, tale: &Tale) -> pingora::Result<()> {
    let mut said = Said {
        head,
        values: BytesMut::with_capacity(TYPICAL),
    };
    said.text(REQUEST_ID, &tale.request_id)?;
    if tale.attempts.is_empty() {
        return Ok(());
    }
    if let Some(provider) = &tale.provider {
        said.text(PROVIDER, provider)?;
    }
    if let Some(served) = &tale.served {
        said.text(MODEL, served)?;
    }
    if let Some(other) = &tale.served_as {
        said.text(SERVED_AS, other)?;
    }
    said.number(ATTEMPTS, tale.attempts.len() as u64)?;
    said.written(TRACE, |value| write_trace(&tale.attempts, value))?;
    // Of a stream it is known only when the head is gone.
    if let Some(cost) = cost(&tale.attempts).whole() {
        said.written(COST, |value| cost.write(value))?;
    }
    let overhead = u64::try_from(tale.overhead.as_micros()).unwrap_or(u64::MAX);
    said.number(OVERHEAD, overhead)
}

/// Of most answers, all that is said.
const TYPICAL: usize = 256;

/// The values stand one behind the other in one piece of memory, of which each header has a part.
struct Said<'h> {
    head: &'h mut ResponseHeader,
    values: BytesMut,
}

impl Said<'_> {
    fn written(
        &mut self,
        name: HeaderName,
        write: impl FnOnce(&mut BytesMut),
    ) -> pingora::Result<()> {
        write(&mut self.values);
        match HeaderValue::from_maybe_shared(self.values.split().freeze()) {
            Ok(value) => self.head.insert_header(name, value),
            Err(_) => Ok(()),
        }
    }

    fn text(&mut self, name: HeaderName, text: &str) -> pingora::Result<()> {
        self.written(name, |value| value.put_slice(text.as_bytes()))
    }

    fn number(&mut self, name: HeaderName, number: u64) -> pingora::Result<()> {
        self.text(name, itoa::Buffer::new().format(number))
    }
}

/// A whole answer from memory.
pub async fn send(
    session: &mut ServerSession,
    mut head: ResponseHeader,
    body: Bytes,
    tale: &mut Tale,
) -> pingora::Result<()> {
    head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    tale.status = head.status.as_u16();
    tale.bytes_out = body.len() as u64;
    write_head(session, head, tale).await?;
    // Pingora leaves the body of an answer to HEAD out on HTTP/1 alone.
    if session.req_header().method == Method::HEAD {
        return finish(session).await;
    }
    if body.len() <= PIECE {
        let patience = session.get_write_timeout();
        bounded(patience, session.write_response_body(body, true)).await?;
    } else {
        write_body(session, body).await?;
        finish(session).await?;
    }
    // Whoever was too slow to send is not waited for again.
    if !matches!(
        tale.reason,
        Some(Reason::CallerTimeout | Reason::CallerDeadline)
    ) {
        drain(session).await;
    }
    Ok(())
}

/// A body leaves in pieces of this size, so that a slow reader has the patience of a write for
/// each of them and not for all.
const PIECE: usize = 64 * 1024;

/// Of all writes to a caller Pingora bounds those of bodies alone.
pub async fn write_head(
    session: &mut ServerSession,
    head: ResponseHeader,
    tale: &Tale,
) -> pingora::Result<()> {
    part_at_the_end(session, tale);
    let patience = session.get_write_timeout();
    bounded(patience, session.write_response_header(Box::new(head))).await
}

/// A request that began before the end was near: its connection ends with it, and it is told so.
pub fn part_at_the_end(session: &mut ServerSession, tale: &Tale) {
    if tale.leaving.load(Ordering::Relaxed) {
        session.set_keepalive(None);
    }
}

pub async fn write_body(session: &mut ServerSession, mut body: Bytes) -> pingora::Result<()> {
    while !body.is_empty() {
        let piece = body.split_to(body.len().min(PIECE));
        session
            .write_response_body(piece, false)
            .await
            .map_err(|error| error.into_down())?;
    }
    Ok(())
}

pub async fn finish(session: &mut ServerSession) -> pingora::Result<()> {
    let patience = session.get_write_timeout();
    bounded(patience, session.write_response_body(Bytes::new(), true)).await
}

pub async fn write_continue(session: &mut ServerSession) -> pingora::Result<()> {
    let patience = session.get_write_timeout();
    // It is no answer: the connection stays as it is.
    session.set_close_on_response_before_downstream_finish(false);
    let written = bounded(patience, session.write_continue_response()).await;
    session.set_close_on_response_before_downstream_finish(true);
    written
}

async fn bounded(
    patience: Option<Duration>,
    write: impl Future<Output = pingora::Result<()>>,
) -> pingora::Result<()> {
    let Some(patience) = patience else {
        return write.await.map_err(|error| error.into_down());
    };
    match timeout(patience, write).await {
        Ok(written) => written.map_err(|error| error.into_down()),
        Err(_) => {
            Err(Error::explain(ErrorType::WriteTimedout, "the caller does not read").into_down())
        }
    }
}

/// A JSON answer with no more to say about itself than its request id.
pub async fn json(
    session: &mut ServerSession,
    status: u16,
    body: impl Into<Bytes>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build_no_case(status, Some(10))?;
    head.insert_header(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )?;
    describe(&mut head, tale)?;
    send(session, head, body.into(), tale).await
}

/// An error, in the dialect of the endpoint that was called.
pub async fn fail(
    session: &mut ServerSession,
    failure: Failure,
    endpoint: Option<Endpoint>,
    retry_after: Option<Duration>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    tale.end(failure.reason);
    let status = failure.reason.status();
    let body = error_body(&failure, None, endpoint, tale);
    let mut head = ResponseHeader::build_no_case(status, Some(12))?;
    head.insert_header(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )?;
    if failure.reason == Reason::CallerMethod {
        let allowed = if endpoint.is_some() { "POST" } else { "GET" };
        head.insert_header(header::ALLOW, HeaderValue::from_static(allowed))?;
    }
    if failure.reason == Reason::PolicyKey {
        head.insert_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))?;
    }
    if failure.reason == Reason::PolicyBudget {
        advise_on_budget(&mut head, retry_after)?;
    }
    advise_retry(&mut head, retry_after)?;
    describe(&mut head, tale)?;
    tale.cause = failure.cause;
    send(session, head, body, tale).await
}

/// The vendors' SDKs do as this header says, whatever the status. A budget that is used up is not
/// worth another try; one that others have reserved is, when they have ended.
fn advise_on_budget(
    head: &mut ResponseHeader,
    retry_after: Option<Duration>,
) -> pingora::Result<()> {
    let Some(wait) = retry_after else {
        return head.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"));
    };
    head.insert_header(SHOULD_RETRY, HeaderValue::from_static("true"))?;
    head.insert_header(
        header::RETRY_AFTER,
        HeaderValue::from(wait.as_secs().max(1)),
    )
}

/// Every 429 and 503 says when to come back.
pub fn advise_retry(
    head: &mut ResponseHeader,
    retry_after: Option<Duration>,
) -> pingora::Result<()> {
    let status = head.status.as_u16();
    if (status == 429 || status == 503) && !head.headers.contains_key(header::RETRY_AFTER) {
        let wait = retry_after.unwrap_or(Duration::from_secs(1));
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        head.insert_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))?;
    }
    Ok(())
}

/// The error object: OpenAI's with ours beside it, or Anthropic's on `/v1/messages`.
pub fn error_body(
    failure: &Failure,
    upstream: Option<Value>,
    endpoint: Option<Endpoint>,
    tale: &Tale,
) -> Bytes {
    let reason = failure.reason;
    let attempts: Vec<Value> = tale.attempts.iter().map(attempt).collect();
    let mut metadata = json!({
        "reason": reason.label(),
        "request_id": tale.request_id,
        "attempts": attempts,
    });
    if let (false, Some(metadata)) = (tale.left_out.is_empty(), metadata.as_object_mut()) {
        let left_out = tale.left_out.iter().take(MOST_NAMED);
        let left_out = left_out.map(|(provider, why)| json!({"provider": **provider, "why": why}));
        metadata.insert("left_out".to_owned(), left_out.collect());
    }
    if let (Some(upstream), Some(metadata)) = (upstream, metadata.as_object_mut()) {
        metadata.insert("upstream".to_owned(), upstream);
    }
    let body = if endpoint == Some(Endpoint::Messages) {
        json!({
            "type": "error",
            "error": {"type": anthropic_kind(reason), "message": failure.message, "metadata": metadata},
            "request_id": tale.request_id,
        })
    } else {
        json!({
            "error": {
                "message": failure.message,
                "type": reason.kind(),
                "param": failure.param,
                "code": reason.code(),
                "metadata": metadata,
            }
        })
    };
    Bytes::from(body.to_string())
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "provider": &*attempt.provider,
        "status": attempt.status,
        "reason": attempt.reason.map(Reason::label),
        "ms": u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn anthropic_kind(reason: Reason) -> &'static str {
    match reason.status() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Swallows what is left of a request body that was answered early.
async fn drain(session: &mut ServerSession) {
    if session.is_body_done() {
        return;
    }
    // Whoever waits for `100 Continue` has not begun to send.
    if expects_continue(session) && session.body_bytes_read() == 0 {
        return;
    }
    let swallow = async {
        let mut swallowed = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            swallowed += chunk.len();
            if swallowed > DRAIN_BYTES {
                break;
            }
        }
    };
    let _ = timeout(DRAIN_TIME, swallow).await;
}

pub fn expects_continue(session: &ServerSession) -> bool {
    let head = session.req_header();
    head.version != Version::HTTP_10
        && head
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
