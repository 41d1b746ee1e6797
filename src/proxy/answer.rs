//! From a request's body to an answer: what it asks for, who is to be asked, and the relay that
//! asks.

use crate::body::asides::{self, Aside};
use crate::body::messages::first_messages;
use crate::body::needs::{self, Format};
use crate::body::scan::{Scan, ScanError, scan};
use crate::body::splice::{apply, cut_in_place};
use crate::body::stream_options::asks_for_usage;
use crate::config::snapshot::{Balance, Capability, Endpoint, Retry, Route, Snapshot, StickyBy};
use crate::decide::{self, Ask, Decision, decide};
use crate::error::{Failure, Reason};
use crate::explain;
use crate::limits::buffers::Reservation;
use crate::proxy::admit::{AskedCall, asked};
use crate::proxy::context::Call;
use crate::proxy::intake::{self, Body};
use crate::proxy::passthrough::Refused;
use crate::proxy::uses::Uses;
use crate::proxy::{reply, spend};
use crate::relay::Means;
use crate::relay::prepare::Wish;
use crate::relay::run::{self, Job};
use crate::routing::filter::Needs;
use crate::routing::plan::Excluded;
use crate::routing::preferences::{self, Preferences};
use crate::routing::sticky::hash;
use bytes::Bytes;
use http::HeaderName;
use pingora::protocols::http::ServerSession;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// Reads the body, finds who serves it, and hands both to the relay.
pub async fn answer(
    session: &mut ServerSession,
    call: &mut Call,
    snapshot: &Arc<Snapshot>,
    asked_call: AskedCall,
) -> pingora::Result<()> {
    let endpoint = asked_call.endpoint;
    let bound = asked_call.timeout.map(|timeout| call.started + timeout);
    let Some(mut understood) = heard(session, call, snapshot, asked_call, bound).await? else {
        return Ok(());
    };
    let bytes = std::mem::take(&mut understood.bytes);
    let reservation = understood.reservation.take();
    let Understood {
        scanned,
        preferences,
        provider_field,
        model,
        ..
    } = &understood;
    let shared = Arc::clone(&call.shared);
    let now = Instant::now();
    let model = model.as_deref();
    let key = call.key.clone();
    let tokens = expected_tokens(&bytes, scanned);
    let needs = || needs_of(&bytes, scanned, endpoint);
    let explains = explain::is_asked(&session.req_header().headers);
    let ask = Ask {
        asked: asked(session, key.as_deref()),
        endpoint: Some(endpoint),
        model,
        preferences,
        needs: &needs,
        tokens,
        drawn: (rand::random(), rand::random()),
        takes_turn: !explains,
    };
    let board = Arc::clone(&call.board);
    board.observe(snapshot, |provider| shared.wires.book.is_well(provider));
    let decided = {
        let table = shared.measures.table();
        let sticky = |route: &Route| sticky_key(session, call, route, &bytes);
        let decided = decide(snapshot, &board, &table, &ask, sticky, now);
        if explains {
            let explained = explain::permitted(key.as_deref()).and_then(|()| {
                let decision = decided?;
                let explained = explain::explain(&decision, &board, &table, &ask, now);
                Ok(explained.with_budget(spend::standing(call)).to_json())
            });
            drop(table);
            let tale = &mut call.tale;
            return match explained {
                Ok(told) => Box::pin(reply::json(session, 200, told, tale)).await,
                Err(failure) => fail(session, failure, endpoint, call).await,
            };
        }
        decided
    };
    let Decision {
        route,
        plan,
        sticky,
    } = match decided {
        Ok(decision) => decision,
        Err(failure) => {
            return fail(session, failure, endpoint, call).await;
        }
    };
    call.tale.route = Some(Arc::clone(&route.name));
    note_excluded(call, &route.name, &plan.excluded);
    if plan.steps.is_empty() {
        let failure = decide::refusal(&plan, route, Some(endpoint));
        return fail(session, failure, endpoint, call).await;
    }
    if let Err(Refused {
        failure,
        retry_after,
    }) = spend::reserve(call, &plan.steps, || {
        Uses::of(&bytes, scanned, endpoint, tokens)
    }) {
        let (endpoint, tale) = (Some(endpoint), &mut call.tale);
        let failing = reply::fail(session, failure, endpoint, retry_after, tale);
        return Box::pin(failing).await;
    }
    let head = session.req_header();
    let query = head.uri.query().map(str::to_owned);
    let deadline = call.started + route.timeouts.deadline;
    let asks_usage = scanned.stream && asks_for_usage(&bytes, scanned);
    let retry = match preferences.models.is_empty() {
        true => Cow::Borrowed(&route.retry),
        false => Cow::Owned(with_other_models(&route.retry)),
    };
    let rules = key.as_ref().map(|key| &key.rules);
    let mut job = Job {
        route,
        steps: &plan.steps,
        excluded: &plan.excluded,
        retry: &retry,
        wish: Wish {
            provider_field: provider_field.as_deref(),
            key: rules,
            preferences,
        },
        endpoint,
        providers: &snapshot.providers,
        below: endpoint.path(),
        query: query.as_deref(),
        body: bytes,
        reservation,
        scan: scanned,
        asks_usage,
        tokens: tokens.0.saturating_add(tokens.1),
        prompt: tokens.0,
        sticky: (route.balance == Balance::Sticky).then_some(sticky),
        context: call.tale.context,
        started: call.started,
        deadline: bound.map_or(deadline, |bound| bound.min(deadline)),
        bound,
    };
    let means = Means {
        wires: &shared.wires,
        board: &board,
        budget: &shared.retry_budget,
        metrics: &shared.metrics,
        stop: &shared.stop,
    };
    run::run(means, session, &mut job, &mut call.tale).await
}

/// What the caller says. None: it was not understood, and told so.
async fn heard(
    session: &mut ServerSession,
    call: &mut Call,
    snapshot: &Arc<Snapshot>,
    asked_call: AskedCall,
    bound: Option<Instant>,
) -> pingora::Result<Option<Understood>> {
    let began = Instant::now();
    let AskedCall {
        endpoint, coding, ..
    } = asked_call;
    let buffers = Arc::clone(&call.shared.buffers);
    let read = intake::read(session, coding, &snapshot.server, &buffers, bound).await;
    call.tale.waited += began.elapsed();
    let failure = match read? {
        Ok(body) => match understood(call, snapshot, endpoint, body) {
            Ok(understood) => return Ok(Some(understood)),
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    fail(session, failure, endpoint, call).await?;
    Ok(None)
}

/// Seldom, and large: it does not have its place in every request.
async fn fail(
    session: &mut ServerSession,
    failure: Failure,
    endpoint: Endpoint,
    call: &mut Call,
) -> pingora::Result<()> {
    let tale = &mut call.tale;
    Box::pin(reply::fail(session, failure, Some(endpoint), None, tale)).await
}

/// Whoever names other models wants them for whatever one of them will not do.
fn with_other_models(retry: &Retry) -> Retry {
    let mut retry = retry.clone();
    retry.causes.content_filter |= !retry.causes.is_empty();
    retry
}

/// A body, and what its caller wants by it.
struct Understood {
    /// Without what is said to the gateway alone.
    bytes: Bytes,
    reservation: Option<Reservation>,
    scanned: Scan,
    preferences: Preferences,
    /// The `provider` object as it was written.
    provider_field: Option<Bytes>,
    /// Without its suffix.
    model: Option<String>,
}

fn understood(
    call: &mut Call,
    snapshot: &Snapshot,
    endpoint: Endpoint,
    body: Body,
) -> Result<Understood, Failure> {
    let Body {
        mut bytes,
        mut reservation,
    } = body;
    call.tale.bytes_in = bytes.len() as u64;
    let mut scanned = scan(&bytes).map_err(|error| bad_body(&error))?;
    call.tale.stream = scanned.stream;
    let asked = scanned.model.as_ref().map(|model| model.text.clone());
    call.tale.asked.clone_from(&asked);
    if !speaks_of_providers(endpoint) {
        scanned.asides = scanned.asides.in_our_form(&bytes);
    }
    let (mut preferences, mut provider_field) = (Preferences::default(), None);
    if !scanned.asides.is_empty() {
        preferences = preferences::read(&bytes, &scanned)?;
        let provider = scanned.asides.get(Aside::Provider);
        let provider = provider.and_then(|member| bytes.get(member.value.clone()));
        provider_field = provider.map(Bytes::copy_from_slice);
        let cuts = asides::cut(&bytes, &scanned, &Aside::ALL);
        bytes = match cut_in_place(bytes, &cuts) {
            Ok(bytes) => bytes,
            Err(held) => {
                // What is left is a body of its own, and for a moment both are here.
                let buffers = &call.shared.buffers;
                let own = Reservation::new(buffers, held.len()).ok_or_else(intake::overloaded)?;
                let left = apply(&held, cuts).joined();
                drop(held);
                reservation = own;
                left
            }
        };
        scanned = scan(&bytes).map_err(|error| bad_body(&error))?;
    }
    let model = asked.map(|asked| {
        let (model, by) = decide::without_suffix(snapshot, &asked);
        preferences = std::mem::take(&mut preferences).with_suffix(by);
        model.to_owned()
    });
    Ok(Understood {
        bytes,
        reservation: Some(reservation),
        scanned,
        preferences,
        provider_field,
        model,
    })
}

/// Whom a rule left out, for the record, the answer and the metrics.
pub fn note_excluded(call: &mut Call, route: &str, excluded: &[Excluded<'_>]) {
    for one in excluded {
        let (provider, why) = (&one.candidate.target.provider.name, one.why.label());
        call.tale.left_out.push((Arc::clone(provider), why));
        let counter = &call.shared.metrics.excluded;
        counter.with_label_values(&[route, why]).inc();
    }
}

/// Where OpenRouter's words are at home. Elsewhere a provider may have its own of these names.
fn speaks_of_providers(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Chat
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::Embeddings
    )
}

/// What whoever serves it has to be able to do.
fn needs_of(body: &[u8], scan: &Scan, endpoint: Endpoint) -> Needs {
    let top = needs::needs(body, scan);
    let parts = needs::parts(body, scan);
    let needed = [
        (Capability::Tools, top.tools),
        (Capability::ResponseFormat, top.format != Format::Text),
        (Capability::Vision, parts.images),
    ];
    let capabilities = needed.into_iter().filter(|(_, needed)| *needed);
    // What is no text is many bytes and few tokens; and only a conversation is one prompt, where
    // others have a list of them.
    let is_conversation = matches!(
        endpoint,
        Endpoint::Chat | Endpoint::Responses | Endpoint::Messages
    );
    let is_judged = is_conversation && !parts.images && !parts.other;
    Needs {
        capabilities: capabilities.map(|(one, _)| one).collect(),
        prompt: match is_judged {
            true => needs::fewest_tokens(body, scan),
            false => 0,
        },
    }
}

/// Of an answer, whatever a call says: none is longer, and a lie must not fill a limit.
pub const MOST: u64 = 100_000;

/// What the call may use, in and out: four bytes a token, and what it allows the answer.
fn expected_tokens(body: &[u8], scan: &Scan) -> (u64, u64) {
    /// Where the call says nothing.
    const USUAL: u64 = 500;
    let allowed = allowed(body, scan).unwrap_or(USUAL);
    (body.len() as u64 / 4, allowed.min(MOST))
}

/// The bound that the call itself sets to its answer.
pub fn allowed(body: &[u8], scan: &Scan) -> Option<u64> {
    let value = body.get(scan.limit.clone()?)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// What keeps a caller's calls at one target: the first of the route's list that this call has.
pub fn sticky_key(session: &ServerSession, call: &Call, route: &Route, body: &[u8]) -> u64 {
    if route.balance != Balance::Sticky {
        return 0;
    }
    let headers = &session.req_header().headers;
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

fn bad_body(error: &ScanError) -> Failure {
    if error.is_about_model() {
        Failure::new(Reason::CallerBadModel, error.to_string()).param("model")
    } else {
        Failure::new(Reason::CallerBadJson, error.to_string())
    }
}
