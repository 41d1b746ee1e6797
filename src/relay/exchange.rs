//! A request on its way to a provider, up to the head of the answer.

use crate::body::splice::Pieces;
use crate::config::snapshot::{Endpoint, Provider};
use crate::failover::Happened;
use crate::relay::Wires;
use crate::relay::attempt::{ERROR_WAIT, Failed, Opened, bad_response, lost_midway};
use crate::relay::source::{Source, Way};
use crate::upstream::http1::{Connection, Lost};
use crate::upstream::outline::Outline;
use crate::upstream::peer::KnownPeer;
use pingora::http::ResponseHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::time::timeout;
use pingora::upstreams::peer::Peer;
use pingora::{Error, ErrorType, RetryType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Over HTTP/2 a body up to this size leaves in one write; of a larger one nothing is copied.
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
    'addresses: while let Some(peer) = ahead.take() {
        ahead = peers.next();
        let now = Instant::now();
        let left = connect.saturating_sub(now.saturating_duration_since(began));
        // One address that swallows packets must leave time for the next.
        let share = if ahead.is_some() { left / 2 } else { left };
        let (mut way, reused) = match connected(wires, &peer, share, now).await {
            Ok(connected) => connected,
            Err(error) => {
                cause = error;
                continue;
            }
        };
        loop {
            match converse(&mut way, request, reused && !repeated).await {
                Ok(Said { sent, whole, head }) => {
                    let source = Source::new(way, head, peer, whole).map_err(lost_midway)?;
                    return Ok((source, sent));
                }
                Err(failure) if failure.stale && !repeated => {
                    repeated = true;
                    // Those that are still kept may have died with this one.
                    let left = request.left(request.connect);
                    way = match Box::pin(opened(wires, &peer, left)).await {
                        Ok((way, _)) => way,
                        // So may all that was there: there are other addresses.
                        Err(error) => {
                            cause = error;
                            continue 'addresses;
                        }
                    };
                }
                Err(failure) => {
                    return Err(Failed::lost(failure.happened, failure.sent, failure.cause));
                }
            }
        }
    }
    Err(unreachable(&cause))
}

/// A connection that was kept or a new one, and whether it was kept.
async fn connected(
    wires: &Wires,
    peer: &Arc<KnownPeer>,
    within: Duration,
    now: Instant,
) -> Result<(Way, bool), String> {
    match wires.idle.take(peer.reuse_hash(), now) {
        Some(stream) => Ok((Way::One(Box::new(Connection::new(stream))), true)),
        // Seldom, and large: it does not have its place in every request.
        None => Box::pin(opened(wires, peer, within)).await,
    }
}

/// A new connection, or a request's share of one that speaks HTTP/2 and is there already.
async fn opened(
    wires: &Wires,
    peer: &Arc<KnownPeer>,
    within: Duration,
) -> Result<(Way, bool), String> {
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
        Ok(Ok((HttpSession::H1(session), reused))) => {
            let connection = Connection::new(session.into_inner());
            Ok((Way::One(Box::new(connection)), reused))
        }
        Ok(Ok((session, reused))) => Ok((Way::Two(Box::new(session)), reused)),
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

/// What came of sending a request.
struct Said {
    /// When it had gone out, and whether all of it did.
    sent: Instant,
    whole: bool,
    head: Arc<ResponseHeader>,
}

/// Sends the request and waits for the head of the answer.
async fn converse(way: &mut Way, request: &Request<'_>, reused: bool) -> Result<Said, Failure> {
    let began = Instant::now();
    let failed = |trouble: Trouble, sent| Failure {
        stale: reused && trouble.unheard && began.elapsed() < STALE,
        happened: trouble.happened,
        sent,
        cause: trouble.cause,
    };
    let mut whole = true;
    match send(way, request).await {
        Ok(()) => {}
        Err(Unsent::Hopeless(trouble)) => return Err(failed(trouble, false)),
        Err(Unsent::Body) => whole = false,
    }
    let sent = Instant::now();
    // A provider may refuse a body it has not read: its answer may be there although the
    // connection broke, or stands still, under our writing.
    let wait = request.left(if whole { request.head } else { ERROR_WAIT });
    match timeout(wait, answer(way)).await {
        Ok(Ok(head)) => Ok(Said { sent, whole, head }),
        Ok(Err(trouble)) => Err(failed(trouble, whole)),
        Err(_) => Err(Failure {
            happened: request.no_head.clone(),
            sent: whole,
            stale: false,
            cause: "no response head in time".to_owned(),
        }),
    }
}

/// What went wrong between the request and the head of its answer.
struct Trouble {
    happened: Happened,
    /// Nothing of an answer had come, and the connection is gone.
    unheard: bool,
    cause: String,
}

/// How far a request came.
enum Unsent {
    /// No answer will come.
    Hopeless(Trouble),
    /// The provider has some of it, and may answer all the same.
    Body,
}

async fn send(way: &mut Way, request: &Request<'_>) -> Result<(), Unsent> {
    match way {
        Way::One(connection) => {
            let Some(head) = request.outline.text(request.body.len()) else {
                return Err(Unsent::Hopeless(malformed(
                    "a request that cannot be written",
                )));
            };
            let patience = || request.left(request.write);
            let sent = connection.send(head, &request.body, patience).await;
            sent.map_err(|error| match error {
                Lost::Malformed(why) => Unsent::Hopeless(malformed(why)),
                Lost::Late | Lost::Gone { .. } => Unsent::Body,
            })
        }
        Way::Two(session) => {
            session.set_write_timeout(Some(request.left(request.write)));
            let head = request.outline.head(request.body.len());
            let head = head.map_err(|error| Unsent::Hopeless(trouble(&error)))?;
            let sent = session.write_request_header(head).await;
            sent.map_err(|error| Unsent::Hopeless(trouble(&error)))?;
            let sent = Box::pin(send_body(session, request)).await;
            sent.map_err(|_| Unsent::Body)
        }
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

async fn answer(way: &mut Way) -> Result<Arc<ResponseHeader>, Trouble> {
    match way {
        Way::One(connection) => {
            connection.answer().await.map_err(lost)?;
        }
        Way::Two(session) => {
            let read = read_head(session).await;
            read.map_err(|error| trouble(&error))?;
        }
    }
    way.head().ok_or_else(|| malformed("no response head"))
}

async fn read_head(session: &mut HttpSession) -> pingora::Result<()> {
    loop {
        session.read_response_header().await?;
        let head = session.response_header();
        if head.is_some_and(|head| !head.status.is_informational()) {
            return Ok(());
        }
    }
}

fn malformed(cause: &str) -> Trouble {
    Trouble {
        happened: Happened::Answered(bad_response()),
        unheard: false,
        cause: cause.to_owned(),
    }
}

fn lost(lost: Lost) -> Trouble {
    match lost {
        Lost::Malformed(why) => malformed(why),
        Lost::Late => Trouble {
            happened: Happened::Timeout,
            unheard: false,
            cause: "it did not go on in time".to_owned(),
        },
        Lost::Gone { heard, cause } => Trouble {
            happened: Happened::Reset,
            unheard: !heard,
            cause,
        },
    }
}

/// The same of HTTP/2, as Pingora tells it.
fn trouble(error: &Error) -> Trouble {
    let (happened, unheard) = match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => (Happened::Timeout, false),
        ErrorType::InvalidHTTPHeader => (Happened::Answered(bad_response()), false),
        // A write fails only on a connection that is gone.
        ErrorType::WriteError => (Happened::Reset, true),
        _ => {
            let unheard = match error.retry {
                RetryType::Decided(retry) => retry,
                RetryType::ReusedOnly => true,
            };
            (Happened::Reset, unheard)
        }
    };
    Trouble {
        happened,
        unheard,
        cause: error.to_string(),
    }
}
