//! Routes that stream through: any method, any body, upgrades. They take Pingora's own phases,
//! with the same choice of target and the same rewriting as a call.

use crate::config::snapshot::{Auth, Key, Route, Target};
use crate::decide;
use crate::dialect::openai::error::meaning;
use crate::dialect::redact::redact;
use crate::error::{Failure, Reason};
use crate::failover::{Happened, Kind};
use crate::health::choose::{Asker, order};
use crate::health::grant::Grant;
use crate::pricing::Micros;
use crate::proxy::answer::{self, note_excluded};
use crate::proxy::context::{Call, Passthrough};
use crate::proxy::{reply, spend};
use crate::relay::bars::Bars;
use crate::relay::caller::Caller;
use crate::relay::deliver;
use crate::routing::filter::{Needs, Wants};
use crate::routing::plan::{Asking, Leg, plan};
use crate::routing::preferences::Preferences;
use crate::routing::table;
use crate::telemetry::tale::Attempt;
use crate::upstream::rewrite;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The provider refused our own credentials: nothing its answer says is the caller's.
pub const ACCOUNT_REFUSED: ErrorType = ErrorType::new("AccountRefused");

/// An error's body is read in blocks of this size.
const BLOCK: usize = 64 * 1024;
/// Of a block, this much waits for the next: no credential is longer, so none is cut in two.
const OVERLAP: usize = 8 * 1024;

/// Chooses who serves the call, for the phases that follow.
pub async fn enter(
    session: &ServerSession,
    call: &mut Call,
    route: &Arc<Route>,
) -> Result<(), Refused> {
    let sticky = answer::sticky_key(session, call, route, b"");
    let key = call.key.clone();
    call.passthrough = Some(choose(call, route, key.as_deref(), sticky).await?);
    Caller::is_eager(session);
    Ok(())
}

/// The target whose turn it is, and where it is. There is one try, at the first address that takes
/// a connection: a body that streams through is nowhere to be sent again from.
async fn choose(
    call: &mut Call,
    route: &Arc<Route>,
    key: Option<&Key>,
    sticky: u64,
) -> Result<Passthrough, Refused> {
    call.tale.route = Some(Arc::clone(&route.name));
    if leads_elsewhere(&call.path) {
        return Err(Failure::new(
            Reason::CallerBadRequest,
            "the path has a `.` or `..` in it: write it without",
        )
        .into());
    }
    // What it costs is not read: it is held to what others have spent.
    spend::enter(call)?;
    let (target, mut grant) = take_turn(call, route, key, sticky)?;
    let provider = Arc::clone(&target.provider);
    call.tale.provider = Some(Arc::clone(&provider.name));
    let began = Instant::now();
    let found = timeout(
        route.timeouts.connect,
        call.shared.wires.book.peers(&provider, None, began),
    )
    .await;
    call.tale.waited += began.elapsed();
    // All that is left is waiting for one side or the other.
    call.tale.overhead = call.started.elapsed().saturating_sub(call.tale.waited);
    let found = match found {
        Ok(Ok(mut peers)) => match peers.next() {
            Some(peer) => Ok((peer, peers)),
            None => Err(unreachable().cause("no address")),
        },
        Ok(Err(error)) => Err(unreachable().cause(error)),
        Err(_) => Err(unreachable().cause("the name was not resolved in time")),
    };
    let (peer, others) = found.inspect_err(|failure| {
        grant.failed(Instant::now(), &Happened::Unreachable);
        note(call, None, Some(failure.reason));
    })?;
    let below = match call.path.strip_prefix("/v1") {
        // Below `/v1` here is below the base path there.
        Some(below) if below.starts_with('/') => below.to_owned(),
        _ => call.path.clone(),
    };
    Ok(Passthrough {
        route: Arc::clone(route),
        provider,
        grant,
        peer,
        others,
        below,
        held: None,
    })
}

/// The first target of the plan that may be asked, or the least bad.
fn take_turn(
    call: &mut Call,
    route: &Route,
    key: Option<&Key>,
    sticky: u64,
) -> Result<(Arc<Target>, Grant), Refused> {
    let Some(served) = &route.any_model else {
        return Err(Refused::from(Failure::new(
            Reason::GatewayNoTarget,
            format!("route `{}` has no target with a weight", route.name),
        )));
    };
    let now = Instant::now();
    let asker = Asker {
        balance: route.balance,
        sticky,
        tokens: (0, 0),
        drawn: (rand::random(), rand::random()),
        takes_turn: true,
    };
    let board = Arc::clone(&call.board);
    let book = &call.shared.wires.book;
    board.observe(&call.snapshot, |provider| book.is_well(provider));
    let leg = Leg {
        route,
        served,
        asked: None,
    };
    let asking = Asking {
        endpoint: None,
        wants: Wants {
            key: key.map(|key| &key.rules),
            preferences: &Preferences::default(),
            needs: Needs::default(),
        },
        prefer: key.map_or(&[], |key| &key.prefer),
    };
    // Nothing is measured of what is not read.
    let plan = plan(
        &[leg],
        &asking,
        |_, _| None,
        |_, tier, entered, permitted| order(&board, tier, entered, permitted, &asker, now),
    );
    note_excluded(call, &route.name, &plan.excluded);
    if plan.steps.is_empty() {
        return Err(decide::refusal(&plan, route, None).into());
    }
    let mut bars = Bars::default();
    for regardless in [false, true] {
        for step in &plan.steps {
            let target = &step.candidate.target;
            match Grant::take(&board, target, now, 0, regardless) {
                Ok(grant) => {
                    if let (true, Some((_, why))) = (step.rank > 0, call.tale.left_out.last()) {
                        let spills = &call.shared.metrics.spills;
                        spills.with_label_values(&[&*route.name, why]).inc();
                    }
                    return Ok((Arc::clone(target), grant));
                }
                Err(bar) if !regardless => {
                    let left_out = (Arc::clone(&target.provider.name), bar.label());
                    call.tale.left_out.push(left_out);
                    bars.add(bar);
                }
                Err(_) => {}
            }
        }
    }
    Err(Refused {
        failure: bars.failure(&call.tale),
        retry_after: bars.soonest(),
    })
}

/// Why nothing is asked, and when it may be worth another try.
pub struct Refused {
    pub failure: Failure,
    pub retry_after: Option<Duration>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused {
            failure,
            retry_after: None,
        }
    }
}

/// Whether a path climbs out of what its beginning promises, in any spelling that a provider may
/// understand: a route that matches `/v1/audio/*` opens nothing but that.
fn leads_elsewhere(path: &str) -> bool {
    table::unescaped(path)
        .split(['/', '\\'])
        // Some take what follows a semicolon for a parameter of the segment.
        .filter_map(|segment| segment.split(';').next())
        .any(|name| name == "." || name == "..")
}

fn unreachable() -> Failure {
    Failure::new(
        Reason::ProviderUnreachable,
        "the provider could not be reached: try again shortly",
    )
}

/// What came of the one try.
fn note(call: &mut Call, status: Option<u16>, reason: Option<Reason>) {
    let (Some(route), Some(provider)) = (&call.tale.route, &call.tale.provider) else {
        return;
    };
    if let Some(reason) = reason {
        let metrics = &call.shared.metrics;
        metrics.attempted(route, provider, reason.label());
    }
    let took = call.started.elapsed();
    call.tale.attempts.push(Attempt {
        provider: Arc::clone(provider),
        status,
        reason,
        took,
        lasted: took,
        cost: reason.map(|_| Micros::ZERO),
        key: call
            .passthrough
            .as_ref()
            .map_or(0, |chosen| chosen.grant.key),
        ..Attempt::default()
    });
}

/// The try ended for this reason, if no answer has told of it before.
pub fn failed(call: &mut Call, reason: Reason) {
    if call.passthrough.is_some() && call.tale.attempts.is_empty() {
        note(call, None, Some(reason));
    }
    let happened = match reason {
        Reason::ProviderUnreachable => Happened::Unreachable,
        Reason::ProviderReset => Happened::Reset,
        Reason::ProviderTimeout => Happened::Timeout,
        Reason::ProviderTruncated => Happened::Truncated,
        // The caller's own, or told already when the answer began.
        _ => return,
    };
    if let Some(chosen) = &mut call.passthrough {
        chosen.grant.failed(Instant::now(), &happened);
    }
}

/// The answer has gone, whole.
pub fn ended(call: &mut Call) {
    if call.tale.reason.is_none()
        && let Some(chosen) = &mut call.passthrough
    {
        chosen.grant.succeeded(Instant::now());
    }
}

/// No connection to this address: nothing has left yet, so the next one is tried, if there is one.
pub fn not_connected(call: &mut Call, mut error: Box<Error>) -> Box<Error> {
    if let Some(chosen) = &mut call.passthrough
        && let Some(next) = chosen.others.next()
    {
        chosen.peer = next;
        error.set_retry(true);
    }
    error
}

/// The peer with this route's timeouts.
pub fn peer(chosen: &Passthrough) -> Box<HttpPeer> {
    let mut peer = chosen.peer.http().clone();
    let timeouts = &chosen.route.timeouts;
    let options = &mut peer.options;
    options.total_connection_timeout = Some(timeouts.connect);
    options.connection_timeout = Some(timeouts.connect);
    // Each read and write on its own: an upload may take hours, silence may not. The wait for the
    // head counts as one read, so it has the time of an answer.
    options.read_timeout = Some(timeouts.response);
    options.write_timeout = Some(timeouts.idle);
    Box::new(peer)
}

/// The caller's request becomes the provider's, who is there to take it.
pub async fn rewrite_request(
    session: &mut ServerSession,
    call: &Call,
    request: &mut RequestHeader,
) -> pingora::Result<()> {
    let Some(chosen) = &call.passthrough else {
        return Ok(());
    };
    let forward = &chosen.route.forward;
    let provider = &chosen.provider;
    let auth = provider.keys.get(chosen.grant.key).unwrap_or(&Auth::None);
    let context = call.tale.context.as_ref();
    rewrite::passthrough(provider, auth, &chosen.below, forward, context, request)?;
    if reply::expects_continue(session) {
        reply::write_continue(session).await?;
    }
    if session.is_body_done() {
        end_body(session, &mut None);
    }
    Ok(())
}

/// Nothing more of the request comes, unless it becomes another protocol.
pub fn end_body(session: &ServerSession, last: &mut Option<Bytes>) {
    // An empty last piece would end the body in chunks once more, and be the next request's.
    if last.as_ref().is_some_and(Bytes::is_empty) {
        *last = None;
    }
    if !session.is_upgrade_req() {
        Caller::is_answered(session);
    }
}

/// An error may quote a credential of ours, so its body is read before it goes on. What is struck
/// out changes its length: without one, Pingora frames it anew.
pub fn hold_error(call: &mut Call, response: &mut ResponseHeader) {
    let Some(chosen) = &mut call.passthrough else {
        return;
    };
    let length = response.headers.get(header::CONTENT_LENGTH);
    let is_empty = call.method == "HEAD" || length.is_some_and(|length| length == "0");
    let is_encoded = response.headers.contains_key(header::CONTENT_ENCODING);
    if response.status.as_u16() < 400 || is_empty || is_encoded {
        return;
    }
    response.remove_header(&header::CONTENT_LENGTH);
    chosen.held = Some(BytesMut::new());
}

/// The provider's answer as the caller may see it; its framing and an accepted upgrade stay.
pub fn rewrite_response(
    session: &mut ServerSession,
    call: &mut Call,
    response: &mut ResponseHeader,
) -> pingora::Result<()> {
    let Some(chosen) = &call.passthrough else {
        return Ok(());
    };
    let route = Arc::clone(&chosen.route);
    let is_upgraded = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if response.status.is_informational() && !is_upgraded {
        // A word in between tells nothing of the answer, and its headers are on no list.
        *response = ResponseHeader::build_no_case(response.status, None)?;
        return Ok(());
    }
    let status = response.status.as_u16();
    let reason = reason_of(status);
    note(call, Some(status), reason);
    tell(call, response);
    if reason == Some(Reason::ProviderAuth) {
        return Error::err_up(ACCOUNT_REFUSED);
    }
    if let Some(reason) = reason {
        call.tale.end(reason);
    }
    call.tale.status = status;
    call.tale.first_byte = Some(call.started.elapsed());
    let mut allowed = deliver::head(response, &route.forward, &call.tale)?;
    const FRAMING: [HeaderName; 12] = [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::ETAG,
        header::LAST_MODIFIED,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
    ];
    for name in FRAMING {
        for value in response.headers.get_all(&name) {
            allowed.append_header(name.clone(), value.clone())?;
        }
    }
    reply::advise_retry(&mut allowed, None)?;
    allowed.set_version(response.version);
    *response = allowed;
    if session.req_header().version == Version::HTTP_10 {
        if !response.headers.contains_key(header::CONTENT_LENGTH) {
            session.set_keepalive(None);
        }
        // It knows no chunks: such a body ends with the connection.
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    if !is_upgraded && session.is_body_done() {
        // It offered to become another protocol, and does not.
        Caller::is_answered(session);
    }
    if is_upgraded {
        // No body any more: either side may be silent as long as the other.
        session.set_read_timeout(Some(route.timeouts.response));
    }
    Ok(())
}

/// What the answer says about its target, as far as that can be told without its body.
fn tell(call: &mut Call, response: &ResponseHeader) {
    let vendor = match &call.passthrough {
        Some(chosen) => Arc::clone(&chosen.provider.vendor),
        None => return,
    };
    let status = response.status.as_u16();
    let meaning = meaning(&vendor, status, &response.headers, b"", SystemTime::now());
    let now = Instant::now();
    if let Some(chosen) = &mut call.passthrough {
        match meaning {
            // A path may be refused where others are not: the key stays as it is.
            Some(meaning) if matches!(meaning.kind, Kind::Credentials | Kind::Quota) => {}
            Some(meaning) if status >= 400 => {
                chosen.grant.failed(now, &Happened::Answered(meaning));
            }
            _ => chosen.grant.began_to_answer(now),
        }
    }
}

fn reason_of(status: u16) -> Option<Reason> {
    match status {
        401 | 402 => Some(Reason::ProviderAuth),
        429 => Some(Reason::ProviderRateLimited),
        400..=499 => Some(Reason::ProviderRejected),
        500.. => Some(Reason::ProviderError),
        _ => None,
    }
}

/// A piece of the answer. Of an error no piece goes on before all credentials in it are struck.
pub fn pass_body(call: &mut Call, body: &mut Option<Bytes>, is_last: bool) {
    let chosen = call.passthrough.as_mut();
    if let Some(held) = chosen.and_then(|chosen| chosen.held.as_mut()) {
        held.extend_from_slice(&body.take().unwrap_or_default());
        if is_last || held.len() > BLOCK {
            let providers = &call.snapshot.providers;
            let secrets = providers.iter().flat_map(|provider| &provider.secrets);
            let mut clean = BytesMut::from(&*redact(held, secrets));
            let overlap = if is_last { 0 } else { OVERLAP.min(clean.len()) };
            *held = clean.split_off(clean.len() - overlap);
            *body = Some(clean.freeze());
        }
    }
    call.tale.bytes_out += body.as_ref().map_or(0, |body| body.len() as u64);
}

/// What is still held when the answer ends with trailers.
pub fn rest_of_body(call: &mut Call) -> Option<Bytes> {
    let mut rest = None;
    pass_body(call, &mut rest, true);
    rest.filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_leads_elsewhere() {
        for path in [
            "/v1/audio/../files/x",
            "/v1/audio/..",
            "/v1/audio/./x",
            "/v1/audio/.",
            "/v1/audio/%2e%2E/files",
            "/v1/audio/.%2e/files",
            "/v1/audio/x%2f..%2Ffiles",
            "/v1/audio/x%5c..%5Cfiles",
            "/v1/audio/x\\..\\files",
            "/v1/audio/..;a=b/files",
            "/v1/audio/..%3b/files",
        ] {
            assert!(leads_elsewhere(path), "{path}");
        }
        for path in [
            "/v1/audio/x",
            "/v1/audio/...",
            "/v1/audio/a..b/..c/d../.e",
            "/v1/audio/a%2fb",
            "/",
            "",
        ] {
            assert!(!leads_elsewhere(path), "{path}");
        }
    }
}
