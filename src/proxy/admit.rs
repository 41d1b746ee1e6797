//! From a request's head to a plan: who asks, for what, and may they. One readable function; the
//! order of its questions is the order in which a caller is refused.

use crate::access;
use crate::body::inflate::Coding;
use crate::body::messages::first_messages;
use crate::body::scan::{Scan, ScanError, scan};
use crate::body::stream_options::asks_for_usage;
use crate::config::snapshot::{Balance, Endpoint, Key, Mode, Route, Served, Snapshot, StickyBy};
use crate::error::{Failure, Reason};
use crate::health::choose::{self, Asker};
use crate::proxy::context::Call;
use crate::proxy::intake::{self, Body};
use crate::proxy::passthrough::Refused;
use crate::proxy::{models, passthrough, reply};
use crate::relay::Means;
use crate::relay::run::{self, Job};
use crate::routing::plan::plan;
use crate::routing::sticky::hash;
use crate::routing::table::{self, Asked, Known};
use crate::upstream::headers::REQUEST_ID;
use http::{HeaderMap, HeaderName, Method, header};
use pingora_proxy::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers the request, or leaves it to Pingora's own phases (`Ok(false)`).
pub async fn admit(session: &mut Session, call: &mut Call) -> pingora::Result<bool> {
    let head = session.downstream_session.req_header();
    call.method = head.method.as_str().to_owned();
    call.path = head.uri.path().to_owned();
    call.tale.request_id = request_id(&head.headers);
    let snapshot = Arc::clone(&call.snapshot);
    match route_by_head(session, call, &snapshot) {
        Ok(Admitted::Health) => {
            reply::json(session, 200, "{\"status\":\"ok\"}", &mut call.tale).await?;
        }
        Ok(Admitted::Models(body)) => {
            reply::json(session, 200, body, &mut call.tale).await?;
        }
        Ok(Admitted::Stream(route)) => {
            let sticky = sticky_key(session, call, &route, b"");
            return match passthrough::choose(call, &route, sticky).await {
                Ok(chosen) => {
                    call.passthrough = Some(chosen);
                    Ok(false)
                }
                Err(refused) => {
                    let Refused {
                        failure,
                        retry_after,
                    } = refused;
                    reply::fail(session, failure, None, retry_after, &mut call.tale).await?;
                    Ok(true)
                }
            };
        }
        Ok(Admitted::Call(asked)) => answer(session, call, &snapshot, asked).await?,
        Err(refusal) => {
            let Refusal { failure, endpoint } = refusal;
            reply::fail(session, failure, endpoint, None, &mut call.tale).await?;
        }
    }
    Ok(true)
}

enum Admitted {
    Health,
    Models(String),
    /// Streamed through by this route.
    Stream(Arc<Route>),
    Call(AskedCall),
}

/// A call whose body is worth reading.
struct AskedCall {
    endpoint: Endpoint,
    key: Option<Arc<Key>>,
    coding: Option<Coding>,
    /// The caller's own bound on the whole.
    timeout: Option<Duration>,
}

struct Refusal {
    failure: Failure,
    endpoint: Option<Endpoint>,
}

/// Everything that the head alone decides, before anything more is read.
fn route_by_head(
    session: &Session,
    call: &mut Call,
    snapshot: &Arc<Snapshot>,
) -> Result<Admitted, Refusal> {
    let head = session.downstream_session.req_header();
    let path = head.uri.path();
    let endpoint = Endpoint::at(path);
    let refuse = |failure| Refusal { failure, endpoint };
    if path == "/health" {
        return match head.method {
            Method::GET | Method::HEAD => Ok(Admitted::Health),
            _ => Err(refuse(wrong_method("GET"))),
        };
    }
    let key = access::recognise(&snapshot.keys, &head.headers).map_err(refuse)?;
    call.tale.key = key.as_ref().map(|key| Arc::clone(&key.name));
    if let Some(below) = path.strip_prefix("/v1/models")
        && (below.is_empty() || below.starts_with('/'))
    {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(refuse(wrong_method("GET")));
        }
        return list_models(snapshot, key.as_deref(), below)
            .map(Admitted::Models)
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
    let refuse = |failure| Refusal {
        failure,
        endpoint: Some(endpoint),
    };
    if head.method != Method::POST {
        return Err(refuse(wrong_method("POST")));
    }
    let coding = intake::check_head(session, &snapshot.server).map_err(refuse)?;
    let timeout = callers_timeout(&head.headers).map_err(refuse)?;
    Ok(Admitted::Call(AskedCall {
        endpoint,
        key,
        coding,
        timeout,
    }))
}

fn asked<'a>(session: &'a Session, key: Option<&'a Key>) -> Asked<'a> {
    let head = session.downstream_session.req_header();
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

/// Reads the body, finds who serves it, and hands both to the relay.
async fn answer(
    session: &mut Session,
    call: &mut Call,
    snapshot: &Arc<Snapshot>,
    asked_call: AskedCall,
) -> pingora::Result<()> {
    let AskedCall {
        endpoint,
        key,
        coding,
        timeout,
    } = asked_call;
    let began = Instant::now();
    let bound = timeout.map(|timeout| call.started + timeout);
    let shared = Arc::clone(&call.shared);
    let read = intake::read(session, coding, &snapshot.server, &shared.buffers, bound).await;
    call.tale.waited += began.elapsed();
    let Body { bytes, reservation } = match read? {
        Ok(body) => body,
        Err(failure) => {
            return reply::fail(session, failure, Some(endpoint), None, &mut call.tale).await;
        }
    };
    call.tale.bytes_in = bytes.len() as u64;
    let scanned = match scan(&bytes) {
        Ok(scanned) => scanned,
        Err(error) => {
            let failure = bad_body(&error);
            return reply::fail(session, failure, Some(endpoint), None, &mut call.tale).await;
        }
    };
    call.tale.stream = scanned.stream;
    let model = scanned.model.as_ref().map(|model| model.text.as_str());
    call.tale.asked = model.map(str::to_owned);
    let asked = asked(session, key.as_deref());
    let found = find(snapshot, asked, model, key.as_deref());
    let (route, served) = match found {
        Ok(found) => found,
        Err(failure) => {
            return reply::fail(session, failure, Some(endpoint), None, &mut call.tale).await;
        }
    };
    call.tale.route = Some(Arc::clone(&route.name));
    let may_use = |model: &str| key.as_ref().is_none_or(|key| key.may_use(model));
    let tokens = expected_tokens(&bytes, &scanned);
    let now = Instant::now();
    let asker = Asker {
        balance: route.balance,
        sticky: sticky_key(session, call, &route, &bytes),
        tokens,
        endpoint: Some(endpoint),
        drawn: (rand::random(), rand::random()),
    };
    let board = Arc::clone(&call.board);
    board.observe(snapshot, |provider| shared.wires.book.is_well(provider));
    let steps = plan(
        &route,
        &served,
        model,
        endpoint,
        may_use,
        |tier, entered| choose::order(&board, tier, entered, &asker, now),
    );
    if steps.is_empty() {
        let failure = Failure::new(
            Reason::GatewayNoTarget,
            format!(
                "no provider of route `{}` serves the {} endpoint for this model",
                route.name,
                endpoint.name()
            ),
        );
        return reply::fail(session, failure, Some(endpoint), None, &mut call.tale).await;
    }
    if let Some(refused) = steps.iter().find(|step| !may_use(step.model)) {
        let failure = denied(refused.model);
        return reply::fail(session, failure, Some(endpoint), None, &mut call.tale).await;
    }
    let query = session
        .downstream_session
        .req_header()
        .uri
        .query()
        .map(str::to_owned);
    let deadline = call.started + route.timeouts.deadline;
    let asks_usage = scanned.stream && asks_for_usage(&bytes, &scanned);
    let job = Job {
        route: &route,
        steps: &steps,
        endpoint,
        providers: &snapshot.providers,
        below: endpoint.path(),
        query: query.as_deref(),
        body: bytes,
        reservation: Some(reservation),
        scan: &scanned,
        asks_usage,
        tokens: tokens.0.saturating_add(tokens.1),
        prompt: tokens.0,
        sticky: (route.balance == Balance::Sticky).then_some(asker.sticky),
        started: call.started,
        deadline: bound.map_or(deadline, |bound| bound.min(deadline)),
        bound,
    };
    let means = Means {
        wires: &shared.wires,
        board: &board,
        budget: &shared.retry_budget,
        metrics: &shared.metrics,
    };
    run::run(means, session, job, &mut call.tale).await
}

/// What the call may use, in and out: four bytes a token, and what it allows the answer.
fn expected_tokens(body: &[u8], scan: &Scan) -> (u64, u64) {
    /// Where the call says nothing.
    const USUAL: u64 = 500;
    /// Whatever it says: no answer is longer, and a lie must not fill a limit.
    const MOST: u64 = 100_000;
    let allowed = scan
        .limit
        .clone()
        .and_then(|span| std::str::from_utf8(body.get(span)?).ok()?.parse().ok());
    (body.len() as u64 / 4, allowed.unwrap_or(USUAL).min(MOST))
}

/// What keeps a caller's calls at one target: the first of the route's list that this call has.
fn sticky_key(session: &Session, call: &Call, route: &Route, body: &[u8]) -> u64 {
    if route.balance != Balance::Sticky {
        return 0;
    }
    let headers = &session.downstream_session.req_header().headers;
    let header = |name: &HeaderName| headers.get(name).map(|value| hash(value.as_bytes()));
    let found = route.sticky.iter().find_map(|by| match by {
        StickyBy::Session => header(&HeaderName::from_static("x-overspill-session")),
        StickyBy::Header(name) => header(name),
        StickyBy::Key => call.tale.key.as_ref().map(|key| hash(key.as_bytes())),
        StickyBy::Message => first_messages(body).map(hash),
    });
    // Nothing to hold on to: anywhere, but evenly.
    found.unwrap_or_else(|| hash(call.tale.request_id.as_bytes()))
}

fn find(
    snapshot: &Snapshot,
    asked: Asked<'_>,
    model: Option<&str>,
    key: Option<&Key>,
) -> Result<(Arc<Route>, Arc<Served>), Failure> {
    let found = table::open_to(&snapshot.routes, asked)
        .find_map(|route| Some((route, table::serves(route, model)?)));
    match (found, model) {
        (Some((route, served)), _) => {
            if let Some(model) = model
                && key.is_some_and(|key| !key.may_use(model))
            {
                return Err(denied(model));
            }
            Ok((Arc::clone(route), Arc::clone(served)))
        }
        (None, None) => Err(Failure::new(
            Reason::CallerBadModel,
            "`model` is missing: name one that /v1/models lists",
        )
        .param("model")),
        (None, Some(model)) => Err(Failure::new(
            Reason::CallerUnknownModel,
            format!(
                "the model `{}` is not served here: /v1/models lists those that are",
                shown(model)
            ),
        )
        .param("model")),
    }
}

fn denied(model: &str) -> Failure {
    Failure::new(
        Reason::PolicyModel,
        format!("this key may not use the model `{}`", shown(model)),
    )
    .param("model")
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

fn list_models(snapshot: &Snapshot, key: Option<&Key>, below: &str) -> Result<String, Failure> {
    let Some(id) = below.strip_prefix('/') else {
        return Ok(models::list(snapshot, key));
    };
    let id = table::unescaped(id);
    models::one(snapshot, key, &id).ok_or_else(|| {
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

fn bad_body(error: &ScanError) -> Failure {
    if error.is_about_model() {
        Failure::new(Reason::CallerBadModel, error.to_string()).param("model")
    } else {
        Failure::new(Reason::CallerBadJson, error.to_string())
    }
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
        None => format!("{:032x}", rand::random::<u128>()),
    }
}

/// A caller's text in a message: short, and on one line.
fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
