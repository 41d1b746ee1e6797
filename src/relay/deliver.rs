//! An answer on its way to the caller. From here on nothing can be taken back.

use crate::body::passing::ModelPassing;
use crate::body::scan::model_span;
use crate::body::splice::{self, Edit};
use crate::config::snapshot::Endpoint;
use crate::error::{Failure, Reason};
use crate::proxy::reply;
use crate::relay::Wires;
use crate::relay::attempt::{Flowing, Whole, is_event_stream};
use crate::relay::pump::Pump;
use crate::relay::source::{Broken, Source};
use crate::telemetry::tale::Tale;
use crate::upstream::headers;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Version, header};
use pingora::http::ResponseHeader;
use pingora::time::sleep;
use pingora::{Error, ErrorType};
use pingora_proxy::Session;
use std::time::{Duration, Instant};

/// How an answer is to look to the caller.
pub struct Manner<'a> {
    pub endpoint: Endpoint,
    pub forward: &'a [HeaderName],
    /// The name that callers know, as a JSON string. None: the provider's own stays.
    pub model: Option<Bytes>,
    /// Between two bytes of the answer.
    pub idle: Duration,
    /// The caller's own bound on the whole.
    pub bound: Option<Instant>,
}

/// The head of a provider's answer as the caller may see it.
pub fn head(
    upstream: &ResponseHeader,
    forward: &[HeaderName],
    tale: &Tale,
) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(upstream.status, Some(12))?;
    for (name, value) in headers::to_caller(&upstream.headers, forward) {
        head.append_header(name.clone(), value.clone())?;
    }
    if let Some(id) = upstream.headers.get(headers::REQUEST_ID) {
        head.insert_header(headers::PROVIDER_REQUEST_ID, id.clone())?;
    }
    reply::describe(&mut head, tale)?;
    Ok(head)
}

/// A whole answer, its model's name the one that callers know.
pub async fn whole(
    session: &mut Session,
    answer: Whole,
    manner: &Manner<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let head = head(&answer.head, manner.forward, tale)?;
    let body = renamed(&answer, manner.model.as_ref());
    reply::send(session, head, body, tale).await
}

fn renamed(answer: &Whole, model: Option<&Bytes>) -> Bytes {
    let body = answer.body.clone();
    let Some(model) = model else { return body };
    if is_event_stream(&answer.head) {
        // A stream that ended before it said anything.
        let mut pump = Pump::new(Some(model.clone()));
        let mut whole = BytesMut::from(&*pump.feed(body));
        whole.extend_from_slice(&pump.finish());
        return whole.freeze();
    }
    match answer.model.clone().or_else(|| model_span(&body)) {
        Some(span) if body.get(span.clone()) != Some(model) => {
            let edit = Edit {
                span,
                with: model.clone(),
            };
            splice::apply(&body, [edit]).joined()
        }
        _ => body,
    }
}

/// An answer that is still arriving: each piece goes on as it comes.
pub async fn flowing(
    wires: &Wires,
    session: &mut Session,
    answer: Flowing,
    manner: &Manner<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let mut head = head(&answer.head, manner.forward, tale)?;
    tale.status = head.status.as_u16();
    if session.downstream_session.req_header().version != Version::HTTP_10 {
        // HTTP/2 frames what it sends by itself, and Pingora drops this there.
        head.insert_header(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        )?;
    }
    reply::write_head(session, head)
        .await
        .inspect_err(|error| tale.end(callers_fault(error)))?;
    let mut source = answer.source;
    source.set_patience(Some(manner.idle));
    let is_json = answer
        .head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let model = manner.model.clone().filter(|_| answer.is_stream || is_json);
    let mut passing = Passing::new(answer.is_stream, model);
    for chunk in answer.held {
        write(session, passing.feed(chunk), tale).await?;
    }
    match pass(session, &mut source, &mut passing, manner.bound, tale).await? {
        None => {
            source.release(wires).await;
            write(session, passing.finish(), tale).await?;
        }
        Some(end) => {
            drop(source);
            let (reason, message) = match end {
                End::OutOfTime => (
                    Reason::CallerDeadline,
                    "x-overspill-timeout was over before the answer was: allow more",
                ),
                End::Broken(Broken::Silent) => (
                    Reason::ProviderTimeout,
                    "the provider went silent in the middle of its answer",
                ),
                End::Broken(Broken::Cut(cause) | Broken::Garbled(cause)) => {
                    tale.cause = Some(cause);
                    (
                        Reason::ProviderTruncated,
                        "the provider broke off in the middle of its answer",
                    )
                }
            };
            tale.end(reason);
            if !answer.is_stream {
                // Closed without the last chunk: the only way to say that this is not all.
                return Error::e_explain(ErrorType::ReadError, message);
            }
            let event = last_event(Failure::new(reason, message), manner.endpoint, tale);
            write(session, event, tale).await?;
        }
    }
    reply::finish(session)
        .await
        .inspect_err(|error| tale.end(callers_fault(error)))
}

/// Why an answer ends before its own end.
enum End {
    Broken(Broken),
    OutOfTime,
}

async fn until(bound: Option<Instant>) {
    if let Some(bound) = bound {
        sleep(bound.saturating_duration_since(Instant::now())).await;
    }
}

/// Passes on what comes until it ends or breaks, or the caller leaves.
async fn pass(
    session: &mut Session,
    source: &mut Source,
    passing: &mut Passing,
    bound: Option<Instant>,
    tale: &mut Tale,
) -> pingora::Result<Option<End>> {
    let out_of_time = until(bound);
    tokio::pin!(out_of_time);
    loop {
        let read = tokio::select! {
            biased;
            gone = gone(session) => {
                tale.end(Reason::CallerCancelled);
                return Err(gone);
            }
            read = source.next() => read,
            () = &mut out_of_time, if bound.is_some() => return Ok(Some(End::OutOfTime)),
        };
        match read {
            Ok(Some(chunk)) => write(session, passing.feed(chunk), tale).await?,
            Ok(None) => return Ok(None),
            Err(broken) => return Ok(Some(End::Broken(broken))),
        }
    }
}

/// Resolves when the caller has left.
pub async fn gone(session: &mut Session) -> Box<Error> {
    loop {
        match session.downstream_session.read_body_or_idle(true).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => return error.into_down(),
        }
    }
}

async fn write(session: &mut Session, bytes: Bytes, tale: &mut Tale) -> pingora::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    tale.bytes_out += bytes.len() as u64;
    reply::write_body(session, bytes)
        .await
        .inspect_err(|error| tale.end(callers_fault(error)))
}

fn callers_fault(error: &Error) -> Reason {
    match error.etype() {
        ErrorType::WriteTimedout => Reason::CallerTimeout,
        _ => Reason::CallerCancelled,
    }
}

/// A stream that breaks says so itself, and does not say that it is done.
fn last_event(failure: Failure, endpoint: Endpoint, tale: &Tale) -> Bytes {
    let body = reply::error_body(&failure, None, Some(endpoint), tale);
    let mut event = BytesMut::with_capacity(body.len() + 32);
    if endpoint == Endpoint::Messages {
        event.put_slice(b"event: error\n");
    }
    event.put_slice(b"data: ");
    event.put_slice(&body);
    event.put_slice(b"\n\n");
    event.freeze()
}

/// What changes in an answer as it passes.
enum Passing {
    Events(Pump),
    Json(ModelPassing),
    Unchanged,
}

impl Passing {
    fn new(is_stream: bool, model: Option<Bytes>) -> Passing {
        match (is_stream, model) {
            (true, model) => Passing::Events(Pump::new(model)),
            (false, Some(model)) => Passing::Json(ModelPassing::new(model)),
            (false, None) => Passing::Unchanged,
        }
    }

    fn feed(&mut self, chunk: Bytes) -> Bytes {
        match self {
            Passing::Events(pump) => pump.feed(chunk),
            Passing::Json(passing) => {
                let mut out = BytesMut::with_capacity(chunk.len() + 64);
                passing.feed(&chunk, &mut out);
                out.freeze()
            }
            Passing::Unchanged => chunk,
        }
    }

    fn finish(&mut self) -> Bytes {
        match self {
            Passing::Events(pump) => pump.finish(),
            Passing::Json(_) | Passing::Unchanged => Bytes::new(),
        }
    }
}
