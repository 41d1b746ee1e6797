//! An answer that is no stream, on its way to the caller. From here on nothing can be taken back.

use crate::body::passing::ModelPassing;
use crate::body::scan::model_span;
use crate::body::splice::{self, Edit};
use crate::dialect::tail::Tail;
use crate::error::Reason;
use crate::proxy::reply;
use crate::relay::Wires;
use crate::relay::attempt::{Flowing, Whole, is_event_stream};
use crate::relay::line::{Line, gone};
use crate::relay::source::{Broken, Source};
use crate::telemetry::tale::Tale;
use crate::upstream::headers;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::sleep;
use pingora::{Error, ErrorType};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How an answer is to look to the caller.
pub struct Manner<'a> {
    pub forward: &'a [HeaderName],
    /// The name that callers know, as a JSON string. None: the provider's own stays.
    pub model: Option<Bytes>,
    /// Between two bytes of the answer.
    pub idle: Duration,
    /// The caller's own bound on the whole.
    pub bound: Option<Instant>,
    /// When the request began.
    pub started: Instant,
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
    session: &mut ServerSession,
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
    // A stream that ended before it said anything came through the pump.
    let Some(model) = model.filter(|_| !is_event_stream(&answer.head)) else {
        return body;
    };
    let span = answer.model.clone().or_else(|| model_span(&body));
    spliced(body, span, model)
}

/// A JSON object with its model's name the one that callers know.
pub fn with_model(json: Bytes, model: Option<&Bytes>) -> Bytes {
    let Some(model) = model else { return json };
    let span = model_span(&json);
    spliced(json, span, model)
}

fn spliced(body: Bytes, span: Option<Range<usize>>, model: &Bytes) -> Bytes {
    match span {
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

/// An answer too large to hold: each piece goes on as it comes.
pub async fn flowing(
    wires: &Wires,
    session: &mut ServerSession,
    line: &mut Line<'_>,
    answer: Flowing,
    manner: &Manner<'_>,
    tail: &mut Tail,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let head = head(&answer.head, manner.forward, tale)?;
    line.open(session, head, tale).await?;
    let mut source = answer.source;
    source.set_patience(Some(manner.idle));
    let is_json = answer
        .head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let model = manner.model.clone().filter(|_| is_json);
    let mut pieces = Pieces {
        passing: model.map(ModelPassing::new),
        tail,
    };
    for chunk in answer.held {
        line.write(session, pieces.shown(chunk), tale).await?;
    }
    match pass(session, line, &mut source, &mut pieces, manner, tale).await? {
        None => source.release(wires).await,
        Some(end) => {
            drop(source);
            let (reason, message) = match end {
                End::OutOfTime => (
                    Reason::CallerDeadline,
                    "x-overspill-timeout was over before the answer was: allow more",
                ),
                End::Broken(Broken::Silent) => (
                    Reason::ProviderIdle,
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
            // Closed without the last chunk: the only way to say that this is not all.
            return Error::e_explain(ErrorType::ReadError, message);
        }
    }
    line.finish(session, tale).await
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
    session: &mut ServerSession,
    line: &mut Line<'_>,
    source: &mut Source,
    pieces: &mut Pieces<'_>,
    manner: &Manner<'_>,
    tale: &mut Tale,
) -> pingora::Result<Option<End>> {
    let out_of_time = until(manner.bound);
    tokio::pin!(out_of_time);
    let stopped = line.stopped();
    tokio::pin!(stopped);
    loop {
        let read = tokio::select! {
            biased;
            gone = gone(session) => {
                tale.end(Reason::CallerCancelled);
                return Err(gone);
            }
            read = source.next() => read,
            () = &mut out_of_time, if manner.bound.is_some() => return Ok(Some(End::OutOfTime)),
            stop = &mut stopped => {
                tale.end(Reason::GatewayStopped);
                return Err(stop);
            }
        };
        match read {
            Ok(Some(chunk)) => {
                let now = Instant::now();
                tale.came(now.saturating_duration_since(manner.started));
                line.write(session, pieces.shown(chunk), tale).await?;
                tale.handed_on(line.last_spoke().saturating_duration_since(now));
            }
            Ok(None) => return Ok(None),
            Err(broken) => return Ok(Some(End::Broken(broken))),
        }
    }
}

/// An answer that goes by in pieces.
struct Pieces<'a> {
    /// None: the model's name stays.
    passing: Option<ModelPassing>,
    tail: &'a mut Tail,
}

impl Pieces<'_> {
    /// A piece as the caller is to see it.
    fn shown(&mut self, chunk: Bytes) -> Bytes {
        self.tail.feed(&chunk);
        let Some(passing) = &mut self.passing else {
            return chunk;
        };
        let mut out = BytesMut::with_capacity(chunk.len() + 64);
        passing.feed(&chunk, &mut out);
        out.freeze()
    }
}
