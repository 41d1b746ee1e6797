//! A request on its way to a provider, up to the head of the answer.

use crate::body::splice::Pieces;
use crate::config::snapshot::{Endpoint, Provider};
use crate::failover::Happened;
use crate::relay::Wires;
use crate::relay::attempt::{ERROR_WAIT, Failed, Opened, bad_response, lost_midway};
use crate::relay::source::Source;
use crate::upstream::outline::Outline;
use crate::upstream::peer::KnownPeer;
use pingora::protocols::http::client::HttpSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType, RetryType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A body up to this size leaves in one write; of a larger one nothing is copied.
const JOINED: usize = 64 * 1024;
/// A large body leaves in pieces, each with the full patience of a write.
const PIECE: usize = 256 * 1024;
/// A connection that dies later than this after the request went out did not die in the pool.
const STALE: Duration = Duration::from_secs(3);

/// What is sent, and how long the answer may take.
pub struct Request<'a> {
    pub provider: &'a Arc<Provider>,
    pub endpoint: Endpoint,
    /// Calls of the same one go to the same address.
    pub sticky: Option<u64>,
    pub outline: Outline<'a>,
    pub body: Pieces,
    pub connect: Duration,
    /// Between two pieces of the request that the provider takes.
    pub write: Duration,
    /// Until the head of the answer.
    pub head: Duration,
    /// What it means that there is none by then.
    pub no_head: Happened,
    /// Until a stream's first content.
    pub first_token: Duration,
    /// Until all of an answer that is no stream.
    pub whole: Duration,
    /// When all of this has to be over.
    pub deadline: Instant,
}

impl Request<'_> {
    fn left(&self, most: Duration) -> Duration {
        most.min(self.deadline.saturating_duration_since(Instant::now()))
    }
}

/// The head has arrived within its time: the source, and when the request had gone out.
pub async fn exchange(wires: &Wires, request: &Request<'_>) -> Result<(Source, Instant), Opened> {
    let began = Instant::now();
    let connect = request.left(request.connect);
    let unreachable =
        |cause: &dyn ToString| Failed::lost(Happened::Unreachable, false, cause.to_string());
    let peers = wires.book.peers(request.provider, request.sticky, began);
    let found = timeout(connect, peers).await;
    let mut peers = match found {
        Ok(Ok(peers)) => peers,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(unreachable(&"the name was not resolved in time")),
    };
    let mut ahead = peers.next();
    let mut repeated = false;
    let mut cause = "no address".to_owned();
    while let Some(peer) = ahead.take() {
        ahead = peers.next();
        let left = connect.saturating_sub(began.elapsed());
        // One address that swallows packets must leave time for the next.
        let share = if ahead.is_some() { left / 2 } else { left };
        let (mut session, reused) = match connected(wires, &peer, share).await {
            Ok(connected) => connected,
            Err(error) => {
                cause = error;
                continue;
            }
        };
        loop {
            match converse(&mut session, request, reused && !repeated).await {
                Ok((sent, whole)) => {
                    let source = Source::new(session, peer, whole).map_err(lost_midway)?;
                    return Ok((source, sent));
                }
                Err(failure) if failure.stale && !repeated => {
                    repeated = true;
                    // Whatever the pool still holds may have died with this one. HTTP/2 keeps no
                    // dead connections.
                    let connector = match *session {
                        HttpSession::H1(_) => &wires.fresh,
                        _ => &wires.connector,
                    };
                    let left = request.left(request.connect);
                    match timeout(left, connector.get_http_session(&*peer)).await {
                        Ok(Ok((again, _))) => session = Box::new(again),
                        Ok(Err(error)) => return Err(unreachable(&error)),
                        Err(_) => return Err(unreachable(&"no connection in time")),
                    }
                }
                Err(failure) => {
                    return Err(Failed::lost(failure.happened, failure.sent, failure.cause));
                }
            }
        }
    }
    Err(unreachable(&cause))
}

/// A connection from the pool or a new one.
async fn connected(
    wires: &Wires,
    peer: &Arc<KnownPeer>,
    within: Duration,
) -> Result<(Box<HttpSession>, bool), String> {
    let connector = &wires.connector;
    let connecting = async {
        match connector.get_http_session(&**peer).await {
            // The pooled connection was just going, or the server does not speak HTTP/2 after all.
            Err(error) if is_about_http2(&error) => {
                if *error.etype() != ErrorType::H2Error {
                    connector.prefer_h1(&**peer);
                }
                connector.get_http_session(&**peer).await
            }
            connected => connected,
        }
    };
    match timeout(within, connecting).await {
        Ok(Ok((session, reused))) => Ok((Box::new(session), reused)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no connection in time".to_owned()),
    }
}

fn is_about_http2(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::H2Error | ErrorType::H2Downgrade | ErrorType::InvalidH2
    )
}

struct Failure {
    happened: Happened,
    sent: bool,
    /// The connection had died before it could be used.
    stale: bool,
    cause: String,
}

/// Sends the request and waits for the head of the answer: when the request had gone out, and
/// whether all of it did.
async fn converse(
    session: &mut HttpSession,
    request: &Request<'_>,
    reused: bool,
) -> Result<(Instant, bool), Failure> {
    let began = Instant::now();
    let failure = |error: Box<Error>, sent| {
        let (happened, dead) = classify(&error, reused);
        Failure {
            happened,
            sent,
            stale: dead && began.elapsed() < STALE,
            cause: error.to_string(),
        }
    };
    session.set_write_timeout(Some(request.left(request.write)));
    let head = request
        .outline
        .head(request.body.len())
        .map_err(|error| failure(error, false))?;
    session
        .write_request_header(head)
        .await
        .map_err(|error| failure(error, false))?;
    let sent = send_body(session, request).await;
    let gone = Instant::now();
    let answer = request.left(request.head);
    // A provider may refuse a body it has not read: its answer may be there although the
    // connection broke, or stands still, under our writing.
    let wait = if sent.is_ok() { answer } else { ERROR_WAIT };
    match timeout(wait, read_head(session)).await {
        Ok(Ok(())) => Ok((gone, sent.is_ok())),
        Ok(Err(error)) => Err(failure(error, sent.is_ok())),
        Err(_) => Err(Failure {
            happened: request.no_head.clone(),
            sent: sent.is_ok(),
            stale: false,
            cause: "no response head in time".to_owned(),
        }),
    }
}

async fn send_body(session: &mut HttpSession, request: &Request<'_>) -> pingora::Result<()> {
    if request.body.len() <= JOINED {
        let body = request.body.joined();
        session.write_request_body(body, true).await?;
    } else {
        for piece in request.body.iter() {
            let mut rest = piece.clone();
            while !rest.is_empty() {
                session.set_write_timeout(Some(request.left(request.write)));
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
        let Some(head) = session.response_header() else {
            continue;
        };
        if head.status == 101 {
            return Error::e_explain(
                ErrorType::InvalidHTTPHeader,
                "switched protocols without being asked",
            );
        }
        if !head.status.is_informational() {
            return Ok(());
        }
    }
}

/// What an error before the head means, and whether the connection had died before it was used:
/// then the provider saw nothing of the request.
fn classify(error: &Error, reused: bool) -> (Happened, bool) {
    let dead = reused
        && match error.retry {
            RetryType::Decided(retry) => retry,
            RetryType::ReusedOnly => true,
        };
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => (Happened::Timeout, false),
        ErrorType::InvalidHTTPHeader => (Happened::Answered(bad_response()), false),
        // A write fails only on a connection that is gone.
        ErrorType::WriteError => (Happened::Reset, reused),
        _ => (Happened::Reset, dead),
    }
}
