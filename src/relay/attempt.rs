//! One try at one target, up to the point where its answer can be judged. Nothing has gone to the
//! caller yet, so whatever happens here can still be made good by another target.

use crate::body::scan::scan;
use crate::config::snapshot::{Endpoint, Provider};
use crate::dialect::openai::{answer, error};
use crate::dialect::stream::glance;
use crate::dialect::usage::{Told, Usage};
use crate::error::Reason;
use crate::failover::{Happened, Kind, Meaning};
use crate::relay::Wires;
use crate::relay::commit::{self, Decision};
use crate::relay::exchange::{Request, exchange};
use crate::relay::pump::Pump;
use crate::relay::source::{Broken, Source};
use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;
use pingora::time::timeout;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A non-stream answer up to this size is held, judged, and sent with its length.
const HELD: usize = 1024 * 1024;
/// Of an error, this much is read, so that its connection can be used again.
const ERROR_READ: usize = 256 * 1024;
/// After the last event the end of the stream comes at once, or the connection is not worth
/// waiting for.
pub const ENDED: Duration = Duration::from_millis(20);
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
    /// It was to carry on another answer, and is a different one.
    Differs,
}

pub struct Whole {
    pub head: Arc<ResponseHeader>,
    pub body: Bytes,
    /// Where the model's name stands, as far as the body was looked into.
    pub model: Option<Range<usize>>,
    pub usage: Usage,
}

pub struct Flowing {
    pub head: Arc<ResponseHeader>,
    pub source: Source,
    /// Received and not yet delivered; of a stream the pump has it.
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

    /// A stream had been promised to the caller.
    pub fn unstreamed() -> Box<Failed> {
        Box::new(Failed {
            happened: Happened::Answered(bad_response()),
            answer: None,
            sent: true,
            cause: Some("it answered a call for a stream with a whole answer".to_owned()),
        })
    }

    /// It refuses the request, and says this word.
    pub fn is_about(&self, word: &[u8]) -> bool {
        matches!(&self.happened, Happened::Answered(meaning) if matches!(meaning.status, 400 | 422))
            && self
                .answer
                .as_ref()
                .is_some_and(|answer| memchr::memmem::find(&answer.body, word).is_some())
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

/// A stream goes through the pump from its first byte on.
pub async fn open(wires: &Wires, request: Request<'_>, pump: &mut Pump) -> Opened {
    let endpoint = request.endpoint;
    let provider = request.provider;
    let (mut source, sent) = match exchange(wires, &request).await {
        Ok(reached) => reached,
        Err(opened) => return opened,
    };
    let head = Arc::clone(source.head());
    if !head.status.is_success() {
        // What is seldom needed does not have its place in every request.
        return Box::pin(refused(wires, provider, source)).await;
    }
    let is_stream = is_event_stream(&head);
    source.set_patience(None);
    let most = if is_stream {
        request.first_token
    } else {
        request.whole
    };
    let until = (sent + most).min(request.deadline);
    let left = until.saturating_duration_since(Instant::now());
    let read = if is_stream {
        timeout(left, until_commit(provider, &mut source, pump)).await
    } else {
        timeout(left, until_held(&mut source)).await
    };
    match read {
        Err(_) if is_stream => Failed::lost(Happened::NoToken, true, "no content in time"),
        Err(_) => Failed::lost(Happened::Timeout, true, "no answer in time"),
        Ok(Err(broken)) => lost_midway(broken),
        Ok(Ok(Read::Flowing(held))) => Opened::Flowing(Box::new(Flowing {
            head,
            source,
            held,
            is_stream,
        })),
        Ok(Ok(Read::Meant(meaning, body))) => answered(meaning, head, body),
        Ok(Ok(Read::Empty(body))) => {
            source.finish(ENDED).await;
            if source.is_done() {
                source.release(wires).await;
            }
            match body {
                Some(body) => empty(head, body, pump.usage()),
                None => Failed::lost(Happened::Empty, true, "a stream without an event"),
            }
        }
        Ok(Ok(Read::Differs)) => Opened::Differs,
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
    let head = Arc::clone(source.head());
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

fn answered(meaning: Meaning, head: Arc<ResponseHeader>, body: Bytes) -> Opened {
    failed(Happened::Answered(meaning), head, body)
}

fn failed(happened: Happened, head: Arc<ResponseHeader>, body: Bytes) -> Opened {
    Opened::Failed(Box::new(Failed {
        happened,
        answer: Some(Whole {
            head,
            body,
            model: None,
            usage: Usage::default(),
        }),
        sent: true,
        cause: None,
    }))
}

/// Nothing was said, but it may have been billed.
fn empty(head: Arc<ResponseHeader>, body: Bytes, usage: Usage) -> Opened {
    Opened::Failed(Box::new(Failed {
        happened: Happened::Empty,
        answer: Some(Whole {
            head,
            body,
            model: None,
            usage,
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
    /// A stream that ended with nothing to say. None: without a single event.
    Empty(Option<Bytes>),
    Differs,
}

async fn until_held(source: &mut Source) -> Result<Read, Broken> {
    if let Some(whole) = source.whole(HELD).await? {
        return Ok(Read::Whole(whole));
    }
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
    source: &mut Source,
    pump: &mut Pump,
) -> Result<Read, Broken> {
    loop {
        let decision = match source.read().await? {
            Some(chunk) => commit::feed(pump, chunk),
            None => commit::end(pump),
        };
        match decision {
            Decision::Hold => {}
            Decision::Go => return Ok(Read::Flowing(Vec::new())),
            Decision::Error(event) => {
                let meaning = event_meaning(provider, source.head(), &event);
                return Ok(Read::Meant(meaning, Bytes::from(event)));
            }
            Decision::Empty if pump.is_silent() => return Ok(Read::Empty(None)),
            Decision::Empty => {
                pump.complete();
                return Ok(Read::Empty(Some(pump.take())));
            }
            Decision::Truncated => {
                return Err(Broken::Cut("it ended before its answer did".to_owned()));
            }
            Decision::Differs => return Ok(Read::Differs),
        }
    }
}

/// What an error in the middle of a stream means.
pub fn event_meaning(provider: &Provider, head: &ResponseHeader, event: &[u8]) -> Meaning {
    meaning(provider, head, event).unwrap_or(Meaning {
        kind: Kind::ServerError,
        status: 500,
        retry_after: None,
        reason: Reason::ProviderError,
    })
}

/// A whole 200: is it an answer, an error in disguise, or nothing at all?
fn judge_whole(
    provider: &Provider,
    endpoint: Endpoint,
    head: Arc<ResponseHeader>,
    body: Bytes,
) -> Opened {
    if error::error_inside(&body)
        && let Some(meaning) = meaning(provider, &head, &body)
    {
        return answered(meaning, head, body);
    }
    let (model, usage) = match look(endpoint, &body) {
        Look::Answer { model, usage } => (model, usage),
        Look::Nothing => return empty(head, body.clone(), told_usage(endpoint, &body)),
        Look::Other => {
            // A login page, a proxy's notice, half an object: nobody asked for that.
            return Failed::bad_response("a success whose body is not what was asked for");
        }
    };
    Opened::Whole(Whole {
        head,
        body,
        model,
        usage,
    })
}

enum Look {
    Answer {
        model: Option<Range<usize>>,
        usage: Usage,
    },
    Nothing,
    Other,
}

/// Where it does not stand in its place it may stand with a choice, or in a corner of the vendor's.
fn usage(endpoint: Endpoint, body: &[u8], span: Option<Range<usize>>) -> Usage {
    let is_object = |span: &Range<usize>| body.get(span.start) == Some(&b'{');
    let found = span.filter(is_object).or_else(|| match endpoint {
        Endpoint::Chat | Endpoint::Completions => glance(endpoint, body)?.usage,
        _ => None,
    });
    let mut told = Told::default();
    if let Some(object) = found.and_then(|span| body.get(span)) {
        told.read(object);
    }
    told.usage()
}

fn told_usage(endpoint: Endpoint, body: &[u8]) -> Usage {
    match scan(body) {
        Ok(scanned) => usage(endpoint, body, scanned.usage),
        Err(_) => Usage::default(),
    }
}

fn unread() -> Look {
    Look::Answer {
        model: None,
        usage: Usage::default(),
    }
}

fn look(endpoint: Endpoint, body: &[u8]) -> Look {
    if answer::is_empty(endpoint, body) {
        return Look::Nothing;
    }
    match (endpoint, body.trim_ascii_start().first()) {
        // Sound, not text.
        (Endpoint::Speech, _) | (Endpoint::Rerank, Some(b'[')) => unread(),
        _ => match scan(body) {
            Ok(scanned) => Look::Answer {
                usage: usage(endpoint, body, scanned.usage),
                model: scanned.model.map(|model| model.span),
            },
            Err(error) if error.is_about_model() => unread(),
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
