//! From a request's head to a plan: who asks, for what, and may they. One readable function; the
//! order of its questions is the order in which a caller is refused.

use crate::access;
use crate::body::inflate::Coding;
use crate::config::snapshot::{Endpoint, Key, Mode, Route, Snapshot};
use crate::error::{Failure, Reason, shown};
use crate::explain;
use crate::proxy::context::Call;
use crate::proxy::passthrough::Refused;
use crate::proxy::{answer, intake, models, reply, spend};
use crate::routing::table::{self, Asked, Known};
use crate::telemetry::trace_context::TraceContext;
use crate::upstream::headers::REQUEST_ID;
use http::{HeaderMap, Method, header};
use pingora::protocols::http::ServerSession;
use std::sync::Arc;
use std::time::Duration;

/// Asked so often that nobody wants to be told of it.
const HEALTH: &str = "/health";

/// What becomes of a request, by its head.
pub enum Admitted {
    /// Streamed through by this route.
    Stream(Arc<Route>),
    /// Answered by the gateway itself.
    Own(Work),
}

/// What there is to do for an answer of our own.
pub enum Work {
    Health,
    Models(String),
    Call(AskedCall),
    Refusal(Refusal),
}

pub fn admit(session: &ServerSession, call: &mut Call) -> Admitted {
    let head = session.req_header();
    call.method = head.method.as_str().to_owned();
    call.path = head.uri.path().to_owned();
    call.tale.request_id = request_id(&head.headers);
    if call.path != HEALTH {
        let sample = call.snapshot.traces.as_ref().map(|traces| traces.sample);
        call.tale.context = TraceContext::of(&head.headers, sample, rand::random);
    }
    let snapshot = Arc::clone(&call.snapshot);
    match route_by_head(session, call, &snapshot) {
        Ok(admitted) => admitted,
        Err(refusal) => Admitted::Own(Work::Refusal(refusal)),
    }
}

/// Answers the request.
pub async fn perform(
    session: &mut ServerSession,
    call: &mut Call,
    work: Work,
) -> pingora::Result<()> {
    match work {
        Work::Health => reply::json(session, 200, "{\"status\":\"ok\"}", &mut call.tale).await,
        Work::Models(body) => reply::json(session, 200, body, &mut call.tale).await,
        Work::Call(asked) => {
            let snapshot = Arc::clone(&call.snapshot);
            answer::answer(session, call, &snapshot, asked).await
        }
        Work::Refusal(refusal) => {
            let Refusal {
                failure,
                endpoint,
                retry_after,
            } = refusal;
            reply::fail(session, failure, endpoint, retry_after, &mut call.tale).await
        }
    }
}

/// A call whose body is worth reading.
pub struct AskedCall {
    pub endpoint: Endpoint,
    pub coding: Option<Coding>,
    /// The caller's own bound on the whole.
    pub timeout: Option<Duration>,
}

pub struct Refusal {
    failure: Failure,
    endpoint: Option<Endpoint>,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(failure: Failure, endpoint: Option<Endpoint>) -> Refusal {
        Refusal {
            failure,
            endpoint,
            retry_after: None,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal {
            retry_after: refused.retry_after,
            ..Refusal::new(refused.failure, None)
        }
    }
}

/// Everything that the head alone decides, before anything more is read.
fn route_by_head(
    session: &ServerSession,
    call: &mut Call,
    snapshot: &Arc<Snapshot>,
) -> Result<Admitted, Refusal> {
    let head = session.req_header();
    let path = head.uri.path();
    let endpoint = Endpoint::at(path);
    let refuse = |failure| Refusal::new(failure, endpoint);
    if path == HEALTH {
        return match head.method {
            Method::GET | Method::HEAD => Ok(Admitted::Own(Work::Health)),
            _ => Err(refuse(wrong_method("GET"))),
        };
    }
    let key = access::recognise(&snapshot.keys, &head.headers).map_err(refuse)?;
    call.tale.key = key.as_ref().map(|key| Arc::clone(&key.name));
    call.key.clone_from(&key);
    if let Some(below) = path.strip_prefix("/v1/models")
        && (below.is_empty() || below.starts_with('/'))
    {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(refuse(wrong_method("GET")));
        }
        return list_models(snapshot, key.as_deref(), below, head.uri.query())
            .map(|body| Admitted::Own(Work::Models(body)))
            .map_err(refuse);
    }
    let asked = asked(session, key.as_deref());
    if table::knows(&snapshot.routes, path) == Known::Nothing {
        return Err(refuse(Failure::new(
            Reason::CallerNotFound,
            format!("nothing is served at {}", shown(path)),
        )));
    }
    let Some(first) = table::open_to(&snapshot.routes, asked).next() else {
        return Err(refuse(no_route(asked.route)));
    };
    if first.mode == Mode::Stream {
        return Ok(Admitted::Stream(Arc::clone(first)));
    }
    // A path of one's own speaks the chat dialect, unless it is one of the standard ones.
    let endpoint = endpoint.unwrap_or(Endpoint::Chat);
    let refuse = |failure| Refusal::new(failure, Some(endpoint));
    if head.method != Method::POST {
        return Err(refuse(wrong_method("POST")));
    }
    let coding = intake::check_head(session, &snapshot.server).map_err(refuse)?;
    let timeout = callers_timeout(&head.headers).map_err(refuse)?;
    if let Err(failure) = spend::check(call)
        && !explain::is_asked(&head.headers)
    {
        return Err(refuse(failure));
    }
    Ok(Admitted::Own(Work::Call(AskedCall {
        endpoint,
        coding,
        timeout,
    })))
}

pub fn asked<'a>(session: &'a ServerSession, key: Option<&'a Key>) -> Asked<'a> {
    let head = session.req_header();
    let host = head
        .uri
        .authority()
        .map(|authority| authority.host())
        .or_else(|| head.headers.get(header::HOST)?.to_str().ok())
        .unwrap_or("");
    Asked {
        path: head.uri.path(),
        host: table::bare_host(host),
        headers: &head.headers,
        key,
        route: head
            .headers
            .get("x-overspill-route")
            .and_then(|value| value.to_str().ok()),
    }
}

fn no_route(named: Option<&str>) -> Failure {
    match named {
        Some(name) => Failure::new(
            Reason::CallerNotFound,
            format!(
                "no route `{}` (x-overspill-route) takes this request",
                shown(name)
            ),
        ),
        None => Failure::new(
            Reason::CallerNotFound,
            "no route takes this request: its host, headers or key match none",
        ),
    }
}

fn list_models(
    snapshot: &Snapshot,
    key: Option<&Key>,
    below: &str,
    query: Option<&str>,
) -> Result<String, Failure> {
    let currency = models::currency(snapshot, query)?;
    let Some(id) = below.strip_prefix('/') else {
        return Ok(models::list(snapshot, key, currency));
    };
    let id = table::unescaped(id);
    models::one(snapshot, key, &id, currency).ok_or_else(|| {
        Failure::new(
            Reason::CallerUnknownModel,
            format!("the model `{}` is not served here", shown(&id)),
        )
        .param("model")
    })
}

fn wrong_method(allowed: &str) -> Failure {
    Failure::new(
        Reason::CallerMethod,
        format!("this path takes {allowed} alone"),
    )
}

/// `x-overspill-timeout: 800ms`
fn callers_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = headers.get("x-overspill-timeout") else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| crate::config::units::Time::parse(text).ok())
        .map(|time| time.0)
        .filter(|timeout| !timeout.is_zero())
        .map(Some)
        .ok_or_else(|| {
            Failure::new(
                Reason::CallerBadRequest,
                "x-overspill-timeout is no time: write `800ms`, `30s` or `2m`",
            )
        })
}

/// The caller's own id where it is one that can be logged and sent back, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let own = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        });
    match own {
        Some(id) => id.to_owned(),
        None => hex(rand::random()),
    }
}

/// All 32 digits: what `{:032x}` gives, in less than half the time.
fn hex(id: u128) -> String {
    let digit = |place: usize| match (id >> (124 - 4 * place)) & 15 {
        nibble @ 0..10 => b'0' + nibble as u8,
        nibble => b'a' + (nibble - 10) as u8,
    };
    let digits: [u8; 32] = std::array::from_fn(digit);
    // All of them are ASCII.
    String::from_utf8(digits.to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_all_its_digits() {
        for id in [0, 1, 0xabc, u128::MAX, 0x0123_4567_89ab_cdef << 60] {
            assert_eq!(hex(id), format!("{id:032x}"));
        }
    }
}
