//! Reading a request's body: bounded, inflated, into one piece of memory that was reserved first.

use crate::body::inflate::{Coding, Inflater};
use crate::config::snapshot::Server;
use crate::error::{Failure, Reason};
use crate::limits::buffers::{Buffers, Full, Growing, Reservation};
use crate::proxy::reply;
use bytes::Bytes;
use http::header;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A body and the share of the buffers it holds.
pub struct Body {
    pub bytes: Bytes,
    pub reservation: Reservation,
}

/// Small pieces bound what one call of a decoder may put out before its bounds are checked again.
const INFLATE_STEP: usize = 4096;

/// What the head alone already forbids.
pub fn check_head(session: &ServerSession, server: &Server) -> Result<Option<Coding>, Failure> {
    let head = session.req_header();
    if let Some(value) = head.headers.get(header::CONTENT_TYPE)
        && !is_json(value.as_bytes())
    {
        return Err(Failure::new(
            Reason::CallerUnsupportedMedia,
            "this endpoint takes JSON: send `content-type: application/json`",
        ));
    }
    let mut codings = head.headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(value), None) => Coding::named(value.as_bytes()).map_err(|_| unknown_coding())?,
        (Some(_), Some(_)) => return Err(unknown_coding()),
    };
    if announced(session).is_some_and(|length| length > server.max_body) {
        return Err(too_large(server.max_body));
    }
    Ok(coding)
}

fn unknown_coding() -> Failure {
    Failure::new(
        Reason::CallerUnsupportedMedia,
        "this content-encoding is not known here: use gzip, zstd, br, or none",
    )
}

fn is_json(value: &[u8]) -> bool {
    let essence = value.split(|&byte| byte == b';').next().unwrap_or(value);
    let essence = essence.trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
        || (essence.len() > 5
            && essence
                .get(essence.len() - 5..)
                .is_some_and(|tail| tail.eq_ignore_ascii_case(b"+json")))
}

fn announced(session: &ServerSession) -> Option<usize> {
    let value = session.get_header(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.trim().parse().ok()
}

/// Reads the body to its end. `Ok(Err)` is the caller's or the gateway's fault and can be
/// answered; `Err` is a connection that broke.
pub async fn read(
    session: &mut ServerSession,
    coding: Option<Coding>,
    server: &Server,
    buffers: &Arc<Buffers>,
    bound: Option<Instant>,
) -> pingora::Result<Result<Body, Failure>> {
    // One timer for both protocols: Pingora has its own on HTTP/1 alone.
    session.set_read_timeout(None);
    // What is announced of a compressed body says nothing of its real size.
    let length = announced(session).filter(|_| coding.is_none());
    let mut body = match Growing::new(buffers, length, server.max_body) {
        Ok(body) => body,
        Err(full) => return Ok(Err(refused(full, server))),
    };
    if reply::expects_continue(session) {
        reply::write_continue(session).await?;
    }
    match coding {
        None => {
            while let Some(chunk) = match next(session, server.body_timeout, bound).await? {
                Ok(chunk) => chunk,
                Err(failure) => return Ok(Err(failure)),
            } {
                if body.is_empty() && length == Some(chunk.len()) {
                    let (_, reservation) = body.into_parts();
                    return Ok(Ok(Body {
                        bytes: chunk,
                        reservation,
                    }));
                }
                if let Err(full) = body.append(&chunk) {
                    return Ok(Err(refused(full, server)));
                }
            }
        }
        Some(coding) => {
            // The decoder's own memory is the caller's doing too.
            let Some(_window) = Reservation::new(buffers, coding.window()) else {
                return Ok(Err(refused(Full::Gateway, server)));
            };
            let mut inflater = match Inflater::new(coding, body) {
                Ok(inflater) => inflater,
                Err(error) => {
                    return Ok(Err(Failure::new(
                        Reason::GatewayInternal,
                        "the body could not be inflated",
                    )
                    .cause(error)));
                }
            };
            while let Some(chunk) = match next(session, server.body_timeout, bound).await? {
                Ok(chunk) => chunk,
                Err(failure) => return Ok(Err(failure)),
            } {
                for piece in chunk.chunks(INFLATE_STEP) {
                    if inflater.feed(piece).is_err() {
                        let full = inflater.inner().full();
                        return Ok(Err(
                            full.map_or_else(broken_coding, |full| refused(full, server))
                        ));
                    }
                }
            }
            body = match inflater.finish() {
                Ok(body) => body,
                Err(error) => {
                    return Ok(Err(match error.kind() {
                        std::io::ErrorKind::FileTooLarge => refused(Full::Body, server),
                        std::io::ErrorKind::OutOfMemory => refused(Full::Gateway, server),
                        _ => broken_coding(),
                    }));
                }
            };
        }
    }
    let (data, reservation) = body.into_parts();
    Ok(Ok(Body {
        bytes: Bytes::from(data),
        reservation,
    }))
}

/// The next piece, or why there is none in time.
async fn next(
    session: &mut ServerSession,
    patience: Duration,
    bound: Option<Instant>,
) -> pingora::Result<Result<Option<Bytes>, Failure>> {
    let left = bound.map(|bound| bound.saturating_duration_since(Instant::now()));
    let wait = left.map_or(patience, |left| left.min(patience));
    let read = timeout(wait, session.read_request_body()).await;
    match read {
        Ok(Ok(chunk)) => return Ok(Ok(chunk)),
        Ok(Err(error)) => return Err(error.into_down()),
        Err(_) => {}
    }
    Ok(Err(if wait < patience {
        Failure::new(
            Reason::CallerDeadline,
            "x-overspill-timeout was over before the request's body was there: allow more",
        )
    } else {
        Failure::new(
            Reason::CallerTimeout,
            format!("nothing of the request's body came for {patience:?}: send it faster"),
        )
    }))
}

fn refused(full: Full, server: &Server) -> Failure {
    match full {
        Full::Body => too_large(server.max_body),
        Full::Gateway => overloaded(),
    }
}

pub fn overloaded() -> Failure {
    Failure::new(
        Reason::GatewayOverloaded,
        "the gateway holds as many request bodies as it may: try again shortly",
    )
}

fn too_large(max: usize) -> Failure {
    Failure::new(
        Reason::CallerTooLarge,
        format!("the body is larger than the {max} bytes that are accepted here"),
    )
}

fn broken_coding() -> Failure {
    Failure::new(
        Reason::CallerBadRequest,
        "the body is not what its content-encoding says: it cannot be inflated",
    )
}
