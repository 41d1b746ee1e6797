//! One try at one target, up to the point where its answer can be judged. Nothing has gone to the
//! caller yet, so whatever happens here can still be made good by another target.

use crate::body::scan::scan;
use crate::body::splice::Pieces;
use crate::config::snapshot::{Endpoint, Provider};
use crate::dialect::openai::{answer, error};
use crate::error::Reason;
use crate::failover::{Happened, Kind, Meaning};
use crate::relay::Wires;
use crate::relay::commit::{Commit, Decision};
use crate::relay::source::{Broken, Source};
use bytes::{Bytes, BytesMut};
use http::header;
use pingora::ErrorType;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::time::timeout;
use std::time::{Duration, Instant, SystemTime};

/// A non-stream answer up to this size is held, judged, and sent with its length.
pub const HELD: usize = 1024 * 1024;
/// Of an error, this much is read, so that its connection can be used again.
const ERROR_READ: usize = 256 * 1024;
/// Reading that much must not take long: the next target is waiting.
const ERROR_WAIT: Duration = Duration::from_secs(2);
/// A body up to this size leaves in one write; of a larger one nothing is copied.
const JOINED: usize = 64 * 1024;
/// A large body leaves in pieces, each with the full patience of a write.
const PIECE: usize = 256 * 1024;

/// What is sent, and how long the answer may take.
pub struct Request<'a> {
    pub provider: &'a Provider,
    pub endpoint: Endpoint,
    pub head: Box<RequestHeader>,
    pub body: Pieces,
    pub connect: Duration,
    /// Until the first of the answer, or all of it where it is no stream.
    pub answer: Duration,
}

/// What came of it.
pub enum Opened {
    /// A whole answer, its connection already given back.
    Whole(Whole),
    /// A stream at its commit point, or an answer too large to hold.
    Flowing(Box<Flowing>),
    /// An error, as a status or inside a 200, or an answer with nothing in it.
    Failed(Box<Failed>),
}

pub struct Whole {
    pub head: Box<ResponseHeader>,
    pub body: Bytes,
}

pub struct Flowing {
    pub head: Box<ResponseHeader>,
    pub source: Source,
    /// Received and not yet delivered.
    pub held: Vec<Bytes>,
    pub is_stream: bool,
}

pub struct Failed {
    pub happened: Happened,
    /// What the provider said, where it said something.
    pub answer: Option<Whole>,
    /// The request's body had left.
    pub sent: bool,
    pub cause: Option<String>,
}

impl Failed {
    fn lost(happened: Happened, sent: bool, cause: impl ToString) -> Opened {
        Opened::Failed(Box::new(Failed {
            happened,
            answer: None,
            sent,
            cause: Some(cause.to_string()),
        }))
    }
}

pub async fn open(wires: &Wires, request: Request<'_>) -> Opened {
    let endpoint = request.endpoint;
    let provider = request.provider;
    let (mut source, until) = match exchange(wires, request).await {
        Ok(reached) => reached,
        Err(opened) => return opened,
    };
    let Some(head) = source.head() else {
        return Failed::lost(Happened::Reset, true, "no response head");
    };
    let status = head.status.as_u16();
    let is_stream = is_event_stream(head);
    if !(200..300).contains(&status) {
        return refused(wires, provider, source).await;
    }
    let head = Box::new(head.clone());
    let left = until.saturating_duration_since(Instant::now());
    source.set_patience(left);
    let read = if is_stream {
        timeout(left, until_commit(provider, endpoint, &mut source)).await
    } else {
        timeout(left, until_held(&mut source)).await
    };
    match read {
        Err(_) => {
            source.close().await;
            Failed::lost(Happened::Timeout, true, "no answer in time")
        }
        Ok(Err(broken)) => {
            source.close().await;
            lost_midway(broken)
        }
        Ok(Ok(Read::Flowing(held))) => Opened::Flowing(Box::new(Flowing {
            head,
            source,
            held,
            is_stream,
        })),
        Ok(Ok(Read::Meant(meaning, body))) => {
            source.close().await;
            answered(meaning, Whole { head, body })
        }
        Ok(Ok(Read::Whole(body))) => {
            source.release(wires).await;
            judge_whole(provider, endpoint, Whole { head, body })
        }
    }
}

fn lost_midway(broken: Broken) -> Opened {
    match broken {
        Broken::Silent => Failed::lost(Happened::Timeout, true, "the answer stopped"),
        Broken::Cut(cause) => Failed::lost(Happened::Truncated, true, cause),
        Broken::Garbled(cause) => bad_response(cause),
    }
}

/// The head has arrived within its time: the source, and until when the rest may take.
async fn exchange(wires: &Wires, request: Request<'_>) -> Result<(Source, Instant), Opened> {
    let began = Instant::now();
    let found = timeout(request.connect, wires.book.peers(request.provider, began)).await;
    let mut peers = match found {
        Ok(Ok(peers)) => peers,
        Ok(Err(error)) => return Err(Failed::lost(Happened::Unreachable, false, error)),
        Err(_) => {
            return Err(Failed::lost(
                Happened::Unreachable,
                false,
                "the name was not resolved in time",
            ));
        }
    };
    let Some(mut peer) = peers.next() else {
        return Err(Failed::lost(Happened::Unreachable, false, "no address"));
    };
    let mut stale = 0;
    loop {
        // After two connections that had died in the pool, the third is a new one for certain.
        let connector = if stale < 2 {
            &wires.connector
        } else {
            &wires.fresh
        };
        let left = request.connect.saturating_sub(began.elapsed());
        let connected = timeout(left, connector.get_http_session(&*peer)).await;
        let (mut session, reused) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => match peers.next() {
                // One address of several: the others may be well.
                Some(other) => {
                    peer = other;
                    continue;
                }
                None => return Err(Failed::lost(Happened::Unreachable, false, error)),
            },
            Err(_) => {
                return Err(Failed::lost(
                    Happened::Unreachable,
                    false,
                    "no connection in time",
                ));
            }
        };
        match converse(&mut session, &request).await {
            Ok(until) => {
                let source = Source::new(session, peer).map_err(lost_midway)?;
                return Ok((source, until));
            }
            Err(failure) if failure.stale && reused && stale < 2 => stale += 1,
            Err(failure) => {
                session.shutdown().await;
                return Err(failure.opened());
            }
        }
    }
}

struct Failure {
    happened: Happened,
    sent: bool,
    /// The connection had died before a byte of an answer came.
    stale: bool,
    cause: String,
}

impl Failure {
    fn opened(self) -> Opened {
        Failed::lost(self.happened, self.sent, self.cause)
    }
}

/// Sends the request and waits for the head of the answer.
async fn converse(session: &mut HttpSession, request: &Request<'_>) -> Result<Instant, Failure> {
    session.set_write_timeout(Some(request.answer));
    let sent = send(session, request).await;
    let until = Instant::now() + request.answer;
    // A provider may refuse a body it has not read: its answer may be there although the
    // connection broke under our writing.
    let wait = if sent.is_ok() {
        request.answer
    } else {
        ERROR_WAIT
    };
    match timeout(wait, read_head(session)).await {
        Ok(Ok(())) => Ok(until),
        Ok(Err(error)) => {
            let (happened, stale) = classify(&error);
            Err(Failure {
                happened,
                sent: sent.is_ok(),
                stale,
                cause: error.to_string(),
            })
        }
        Err(_) => Err(Failure {
            happened: Happened::Timeout,
            sent: sent.is_ok(),
            stale: false,
            cause: "no response head in time".to_owned(),
        }),
    }
}

async fn send(session: &mut HttpSession, request: &Request<'_>) -> pingora::Result<()> {
    session.write_request_header(request.head.clone()).await?;
    if request.body.len() <= JOINED {
        session
            .write_request_body(request.body.joined(), true)
            .await?;
    } else {
        for piece in request.body.iter() {
            let mut rest = piece.clone();
            while !rest.is_empty() {
                let next = rest.split_to(rest.len().min(PIECE));
                session.write_request_body(next, false).await?;
            }
        }
    }
    session.finish_request_body().await
}

async fn read_head(session: &mut HttpSession) -> pingora::Result<()> {
    loop {
        session.read_response_header().await?;
        let informational = session
            .response_header()
            .is_some_and(|head| head.status.is_informational());
        if !informational {
            return Ok(());
        }
        if session
            .response_header()
            .is_some_and(|head| head.status == 101)
        {
            return pingora::Error::e_explain(
                ErrorType::InvalidHTTPHeader,
                "switched protocols without being asked",
            );
        }
    }
}

/// What an error before the head means, and whether it looks like a connection that had died in
/// the pool.
fn classify(error: &pingora::Error) -> (Happened, bool) {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => (Happened::Timeout, false),
        ErrorType::InvalidHTTPHeader => (Happened::Answered(bad_response_meaning()), false),
        _ => (Happened::Reset, true),
    }
}

fn bad_response_meaning() -> Meaning {
    Meaning {
        kind: Kind::ServerError,
        status: Reason::ProviderBadResponse.status(),
        retry_after: None,
        reason: Reason::ProviderBadResponse,
    }
}

fn bad_response(cause: impl ToString) -> Opened {
    Failed::lost(Happened::Answered(bad_response_meaning()), true, cause)
}

/// An error status: read to its end within reason, so that the connection can be used again.
async fn refused(wires: &Wires, provider: &Provider, mut source: Source) -> Opened {
    source.set_patience(ERROR_WAIT);
    let mut body = BytesMut::new();
    let read = timeout(ERROR_WAIT, async {
        while body.len() <= ERROR_READ {
            match source.next().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    })
    .await;
    let body = body.freeze();
    let Some(head) = source.head().cloned().map(Box::new) else {
        return Failed::lost(Happened::Reset, true, "no response head");
    };
    if matches!(read, Ok(true)) {
        source.release(wires).await;
    } else {
        source.close().await;
    }
    match meaning(provider, &head, &body) {
        Some(meaning) => answered(meaning, Whole { head, body }),
        None => bad_response("neither a success nor an error"),
    }
}

fn meaning(provider: &Provider, head: &ResponseHeader, body: &[u8]) -> Option<Meaning> {
    error::meaning(
        &provider.vendor,
        head.status.as_u16(),
        &head.headers,
        body,
        SystemTime::now(),
    )
}

fn answered(meaning: Meaning, whole: Whole) -> Opened {
    Opened::Failed(Box::new(Failed {
        happened: Happened::Answered(meaning),
        answer: Some(whole),
        sent: true,
        cause: None,
    }))
}

enum Read {
    Whole(Bytes),
    Flowing(Vec<Bytes>),
    /// An error inside a 200.
    Meant(Meaning, Bytes),
}

async fn until_held(source: &mut Source) -> Result<Read, Broken> {
    let Some(first) = source.next().await? else {
        return Ok(Read::Whole(Bytes::new()));
    };
    if source.is_done() {
        return Ok(Read::Whole(first));
    }
    let mut held = vec![first];
    let mut size: usize = held.iter().map(Bytes::len).sum();
    while size <= HELD {
        match source.next().await? {
            Some(chunk) => {
                size += chunk.len();
                held.push(chunk);
            }
            None => return Ok(Read::Whole(join(&held, size))),
        }
    }
    Ok(Read::Flowing(held))
}

fn join(chunks: &[Bytes], size: usize) -> Bytes {
    let mut whole = BytesMut::with_capacity(size);
    for chunk in chunks {
        whole.extend_from_slice(chunk);
    }
    whole.freeze()
}

async fn until_commit(
    provider: &Provider,
    endpoint: Endpoint,
    source: &mut Source,
) -> Result<Read, Broken> {
    let mut commit = Commit::new(endpoint);
    loop {
        let chunk = source.next().await?;
        let ended = chunk.is_none();
        let decision = match chunk {
            Some(chunk) => commit.feed(chunk),
            None => commit.end(),
        };
        match decision {
            // It ended before anything in it was worth committing to.
            Decision::Hold if ended => return Ok(Read::Whole(commit.into_held())),
            Decision::Hold => {}
            Decision::Go => return Ok(Read::Flowing(vec![commit.into_held()])),
            Decision::Error(event) => {
                let meant = source
                    .head()
                    .and_then(|head| meaning(provider, head, &event));
                return Ok(match meant {
                    Some(meaning) => Read::Meant(meaning, event),
                    None => Read::Flowing(vec![commit.into_held()]),
                });
            }
        }
    }
}

/// A whole 200: is it an answer, an error in disguise, or nothing at all?
fn judge_whole(provider: &Provider, endpoint: Endpoint, whole: Whole) -> Opened {
    if let Some(meaning) = meaning(provider, &whole.head, &whole.body) {
        return answered(meaning, whole);
    }
    let is_stream = is_event_stream(&whole.head);
    if !is_stream && !whole.body.is_empty() && !is_answer(endpoint, &whole.body) {
        // A login page, a proxy's notice, half an object: nobody asked for that.
        return bad_response("a success whose body is not what was asked for");
    }
    if is_stream || answer::is_empty(endpoint, &whole.body) {
        return Opened::Failed(Box::new(Failed {
            happened: Happened::Empty,
            answer: Some(whole),
            sent: true,
            cause: None,
        }));
    }
    Opened::Whole(whole)
}

fn is_answer(endpoint: Endpoint, body: &[u8]) -> bool {
    match (endpoint, body.trim_ascii().first()) {
        // Sound, not text.
        (Endpoint::Speech, _) => true,
        (Endpoint::Rerank, Some(b'[')) => true,
        _ => match scan(body) {
            Ok(_) => true,
            Err(error) => error.is_about_model(),
        },
    }
}

pub fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..17)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    })
}
