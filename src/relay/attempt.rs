//! One try at one target, up to the point where its answer can be judged. Nothing has gone to the
//! caller yet, so whatever happens here can still be made good by another target.

use crate::body::scan::scan;
use crate::config::snapshot::{Endpoint, Provider};
use crate::dialect::openai::{answer, error};
use crate::error::Reason;
use crate::failover::{Happened, Kind, Meaning};
use crate::relay::Wires;
use crate::relay::commit::{Commit, Decision};
use crate::relay::exchange::{Request, exchange};
use crate::relay::source::{Broken, Source};
use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;
use pingora::time::timeout;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

/// A non-stream answer up to this size is held, judged, and sent with its length.
const HELD: usize = 1024 * 1024;
/// Of an error, this much is read, so that its connection can be used again.
const ERROR_READ: usize = 256 * 1024;
/// Reading that much must not take long: the next target is waiting.
pub const ERROR_WAIT: Duration = Duration::from_secs(2);

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
    /// Where the model's name stands, as far as the body was looked into.
    pub model: Option<Range<usize>>,
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
    pub fn lost(happened: Happened, sent: bool, cause: impl ToString) -> Opened {
        Opened::Failed(Box::new(Failed {
            happened,
            answer: None,
            sent,
            cause: Some(cause.to_string()),
        }))
    }

    pub fn bad_response(cause: impl ToString) -> Opened {
        Failed::lost(Happened::Answered(bad_response()), true, cause)
    }
}

pub fn bad_response() -> Meaning {
    Meaning {
        kind: Kind::ServerError,
        status: Reason::ProviderBadResponse.status(),
        retry_after: None,
        reason: Reason::ProviderBadResponse,
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
    if !head.status.is_success() {
        return refused(wires, provider, source).await;
    }
    let is_stream = is_event_stream(head);
    let head = Box::new(head.clone());
    let left = until.saturating_duration_since(Instant::now());
    source.set_patience(None);
    let read = if is_stream {
        timeout(left, until_commit(provider, endpoint, &mut source)).await
    } else {
        timeout(left, until_held(&mut source)).await
    };
    match read {
        Err(_) => Failed::lost(Happened::Timeout, true, "no answer in time"),
        Ok(Err(broken)) => lost_midway(broken),
        Ok(Ok(Read::Flowing(held))) => Opened::Flowing(Box::new(Flowing {
            head,
            source,
            held,
            is_stream,
        })),
        Ok(Ok(Read::Meant(meaning, body))) => answered(meaning, head, body),
        Ok(Ok(Read::Whole(body))) => {
            source.release(wires).await;
            judge_whole(provider, endpoint, head, body)
        }
    }
}

pub fn lost_midway(broken: Broken) -> Opened {
    match broken {
        Broken::Silent => Failed::lost(Happened::Timeout, true, "the answer stopped"),
        Broken::Cut(cause) => Failed::lost(Happened::Truncated, true, cause),
        Broken::Garbled(cause) => Failed::bad_response(cause),
    }
}

/// An error status: read to its end within reason, so that the connection can be used again.
async fn refused(wires: &Wires, provider: &Provider, mut source: Source) -> Opened {
    source.set_patience(Some(ERROR_WAIT));
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
    }
    match meaning(provider, &head, &body) {
        Some(meaning) => answered(meaning, head, body),
        None => Failed::bad_response("neither a success nor an error"),
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

fn answered(meaning: Meaning, head: Box<ResponseHeader>, body: Bytes) -> Opened {
    failed(Happened::Answered(meaning), head, body)
}

fn failed(happened: Happened, head: Box<ResponseHeader>, body: Bytes) -> Opened {
    Opened::Failed(Box::new(Failed {
        happened,
        answer: Some(Whole {
            head,
            body,
            model: None,
        }),
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
fn judge_whole(
    provider: &Provider,
    endpoint: Endpoint,
    head: Box<ResponseHeader>,
    body: Bytes,
) -> Opened {
    if error::error_inside(&body)
        && let Some(meaning) = meaning(provider, &head, &body)
    {
        return answered(meaning, head, body);
    }
    let model = match look(endpoint, &head, &body) {
        Look::Answer(model) => model,
        Look::Nothing => return failed(Happened::Empty, head, body),
        Look::Other => {
            // A login page, a proxy's notice, half an object: nobody asked for that.
            return Failed::bad_response("a success whose body is not what was asked for");
        }
    };
    Opened::Whole(Whole { head, body, model })
}

enum Look {
    Answer(Option<Range<usize>>),
    Nothing,
    Other,
}

fn look(endpoint: Endpoint, head: &ResponseHeader, body: &[u8]) -> Look {
    if is_event_stream(head) || answer::is_empty(endpoint, body) {
        // A stream that ended before its commit point said nothing.
        return Look::Nothing;
    }
    match (endpoint, body.trim_ascii_start().first()) {
        // Sound, not text.
        (Endpoint::Speech, _) | (Endpoint::Rerank, Some(b'[')) => Look::Answer(None),
        _ => match scan(body) {
            Ok(scanned) => Look::Answer(scanned.model.map(|model| model.span)),
            Err(error) if error.is_about_model() => Look::Answer(None),
            Err(_) => Look::Other,
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
