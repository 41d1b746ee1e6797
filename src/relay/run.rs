//! The loop: try, judge, go on, until an answer is delivered or nothing is left to try.

use crate::body::scan::Scan;
use crate::config::snapshot::{Endpoint, Provider, Retry, Route};
use crate::dialect::rate_limits::{self, Of};
use crate::dialect::tail::Tail;
use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::failover::{Happened, Kind, Standing, Verdict, judge};
use crate::health::grant::Grant;
use crate::limits::buffers::Reservation;
use crate::limits::rates::Which;
use crate::pricing::Micros;
use crate::relay::Means;
use crate::relay::attempt::{self, Failed, Opened};
use crate::relay::bill;
use crate::relay::caller::Caller;
use crate::relay::carry::{Begun, carry};
use crate::relay::climb::Climb;
use crate::relay::deliver::{self, Manner};
use crate::relay::elsewhere;
use crate::relay::give_up::{Last, give_up, no_target, out_of_time};
use crate::relay::line::{Line, parted};
use crate::relay::prepare::{self, Variant, Wish};
use crate::relay::pump::Pump;
use crate::routing::plan::{Excluded, Step};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::{Attempt, Tale};
use crate::telemetry::trace_context::TraceContext;
use bytes::Bytes;
use pingora::Error;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::sleep;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything the loop needs to know of one request.
pub struct Job<'a> {
    pub route: &'a Route,
    /// The route's, or what becomes of it by what the caller says.
    pub retry: &'a Retry,
    pub steps: &'a [Step<'a>],
    /// Whom a rule keeps from this request.
    pub excluded: &'a [Excluded<'a>],
    pub wish: Wish<'a>,
    pub endpoint: Endpoint,
    /// All there are: whoever quotes one of our credentials is not to be heard.
    pub providers: &'a [Arc<Provider>],
    /// Of the request target, below the provider's base path.
    pub below: &'a str,
    pub query: Option<&'a str>,
    pub body: Bytes,
    /// The body's share of all that may be held.
    pub reservation: Option<Reservation>,
    pub scan: &'a Scan,
    /// The caller wants to be told the usage of its stream.
    pub asks_usage: bool,
    /// How many tokens the call may use, as far as it can be told beforehand, and how many of them
    /// are its prompt's.
    pub tokens: u64,
    pub prompt: u64,
    /// What keeps a caller's calls together, where the route does.
    pub sticky: Option<u64>,
    /// Where the call stands in a trace, if it does.
    pub context: Option<TraceContext>,
    pub started: Instant,
    /// Of the work up to the commit.
    pub deadline: Instant,
    /// The caller's own bound on the whole.
    pub bound: Option<Instant>,
}

impl Job<'_> {
    /// Nothing will be sent again, so the memory is others'.
    pub fn release_body(&mut self) {
        self.body = Bytes::new();
        self.reservation = None;
    }
}

/// Ends with an answer delivered, or with an error when the caller's connection is of no more use.
///
/// What is seldom needed is boxed when it comes to it: it does not have its place in every request.
pub async fn run(
    means: Means<'_>,
    session: &mut ServerSession,
    job: &mut Job<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let Means { wires, metrics, .. } = means;
    let streaming = &job.route.stream;
    let early = job.scan.stream && job.endpoint.streams() && streaming.ping_before_commit;
    let mut line = Line::new(means.stop, streaming.ping, early, job.bound, job.started);
    Caller::is_answered(session);
    let mut usage_refused = false;
    let mut climb = Climb::new(means, job);
    let mut retried_here = false;
    let mut backoffs = 0;
    let mut body_left = false;
    let mut last = Last::default();
    means.budget.request(job.started);
    loop {
        let now = Instant::now();
        if now >= job.deadline {
            return Box::pin(out_of_time(session, &mut line, job, tale)).await;
        }
        let Some((step, mut grant)) = climb.next(job, now, tale) else {
            break;
        };
        if body_left {
            metrics.maybe_billed_twice.inc();
        }
        let (request, asks_usage) = prepare::request(
            wires,
            session,
            job,
            step,
            tale,
            Variant {
                number: tale.attempts.len(),
                key: grant.key,
                continuing: None,
                without_usage: usage_refused,
            },
            job.deadline,
        );
        let keep = elsewhere::is_thinkable(job, &climb.position);
        let mut pump = Box::new(Pump::new(prepare::form(job, step, keep)));
        // Pinned here: it is large, and would be moved.
        let opened = {
            let attempt = pin!(attempt::open(wires, request, &mut pump));
            line.company(session, tale, attempt).await
        };
        let began = now;
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        tale.waited += took;
        let came = Came {
            key: grant.key,
            began,
            took,
            status: None,
            reason: None,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(gone) => {
                grant.left(now);
                abandoned(metrics, job, step, tale, came, &gone);
                return Err(gone);
            }
        };
        if std::mem::take(&mut usage_refused) && !was_refused(&opened) {
            // Without the question it went well: that was it.
            let provider = &step.candidate.target.provider;
            wires.habits.refuses_stream_options(&provider.name);
        }
        // A whole answer that comes where only a stream will do is billed all the same.
        let unwanted = match &opened {
            Opened::Whole(whole) => whole.usage,
            _ => Usage::default(),
        };
        let failed = match opened {
            Opened::Whole(_) | Opened::Flowing(_) if line.is_open() && !is_stream(&opened) => {
                Failed::unstreamed()
            }
            Opened::Whole(whole) => {
                job.release_body();
                let status = Some(whole.head.status.as_u16());
                succeeded(metrics, job, step, tale, Came { status, ..came });
                heed_limits(&grant, &whole.head, now);
                grant.began_to_answer(now);
                let usage = bill::whole(job, step, &whole, tale);
                grant.used(now, usage, job.prompt);
                grant.succeeded(now);
                drop(grant);
                return deliver::whole(session, whole, &manner(job, step), tale).await;
            }
            Opened::Flowing(flowing) => {
                let status = Some(flowing.head.status.as_u16());
                succeeded(metrics, job, step, tale, Came { status, ..came });
                heed_limits(&grant, &flowing.head, now);
                grant.began_to_answer(now);
                if flowing.is_stream {
                    first_token_came(tale);
                    let begun = Begun {
                        flowing,
                        pump,
                        grant,
                        position: climb.position,
                    };
                    return carry(means, session, &mut line, job, begun, tale).await;
                }
                job.release_body();
                let manner = manner(job, step);
                let flowing = *flowing;
                let mut tail = Tail::default();
                let delivered = Box::pin(deliver::flowing(
                    wires, session, &mut line, flowing, &manner, &mut tail, tale,
                ))
                .await;
                let usage = bill::passed(job, step, tail.usage(), tail.seen(), tale);
                grant.used(Instant::now(), usage, job.prompt);
                match tale.reason {
                    None => drop(grant.succeeded(Instant::now())),
                    Some(Reason::ProviderIdle | Reason::ProviderTruncated) => {
                        grant.failed(Instant::now(), &Happened::Truncated);
                    }
                    Some(_) => {}
                }
                return delivered;
            }
            Opened::Failed(failed) => failed,
            // Only what carries on another answer can differ from it.
            Opened::Differs => Failed::unstreamed(),
        };
        body_left |= failed.sent;
        let status = failed
            .answer
            .as_ref()
            .map(|whole| whole.head.status.as_u16());
        let reason = reason_of(&failed.happened);
        let came = Came {
            status,
            reason: Some(reason),
            ..came
        };
        note(metrics, job, step, tale, came);
        let told = failed
            .answer
            .as_ref()
            .map_or(unwanted, |answer| answer.usage);
        bill::failed(job, step, told, tale);
        if let Some(answer) = &failed.answer {
            heed_limits(&grant, &answer.head, now);
        }
        if asks_usage && failed.is_about(b"stream_options") {
            // What the caller did not ask for is not the caller's to fail by.
            usage_refused = true;
            climb.position.tries -= 1;
            continue;
        }
        if is_over(job.deadline, now) && was_cut(&failed.happened) {
            // Our own clock ended it: that says nothing about the target.
            grant.left(now);
            return Box::pin(out_of_time(session, &mut line, job, tale)).await;
        }
        if grant.failed(now, &failed.happened) {
            tracing::warn!("target {} is given up for now", step.candidate.target.id);
        }
        let attempts_left = job.retry.attempts.saturating_sub(climb.position.tries);
        let rotates = may_rotate(&failed.happened)
            && !job.retry.causes.is_empty()
            && attempts_left > 0
            && grant.has_another_key(now);
        drop(grant);
        let standing = Standing {
            retry: job.retry,
            attempts_left,
            time_left: job.deadline.saturating_duration_since(now),
            retried_here,
            following: climb.following(job, now),
            backoff_step: backoffs,
            jitter: rand::random(),
        };
        if standing.time_left.is_zero() {
            return Box::pin(out_of_time(session, &mut line, job, tale)).await;
        }
        let verdict = judge(&failed.happened, &standing);
        let is_free = is_refusal_of_key(&failed.happened);
        last.take(*failed, reason, step);
        let is_named = job.retry.causes.rate_limited;
        if rotates && (is_free || (is_named && means.budget.try_retry(now))) {
            // The key was at fault, not the provider.
            continue;
        }
        let after = match verdict {
            Verdict::Deliver | Verdict::Stop => break,
            Verdict::Again { after } => after,
            Verdict::Next { wider } => {
                if !climb.advance(job, wider) {
                    break;
                }
                Duration::ZERO
            }
        };
        retried_here = matches!(verdict, Verdict::Again { .. });
        if !climb.can_afford(job, retried_here, now) {
            tale.cause = Some("the retry budget is used up".to_owned());
            break;
        }
        climb.because = reason.label();
        if !after.is_zero() {
            backoffs += 1;
            tale.waited += after;
            line.company(session, tale, sleep(after))
                .await
                .inspect_err(|gone| tale.end(parted(gone)))?;
        }
    }
    last.wait(climb.bars.soonest());
    if climb.position.tries == 0 {
        return Box::pin(no_target(session, &mut line, job, &climb.bars, tale)).await;
    }
    Box::pin(give_up(session, &mut line, job, last, tale)).await
}

/// Timers count whole milliseconds, and may ring that much before their time.
const EARLY: Duration = Duration::from_millis(2);

/// Whether this is the moment of the deadline, as near as timers tell it.
pub fn is_over(deadline: Instant, now: Instant) -> bool {
    deadline.saturating_duration_since(now) < EARLY
}

/// It would perhaps have gone on, had there been time.
pub fn was_cut(happened: &Happened) -> bool {
    matches!(
        happened,
        Happened::Timeout | Happened::NoToken | Happened::Unreachable
    )
}

/// With another key it could be another answer.
fn may_rotate(happened: &Happened) -> bool {
    matches!(happened, Happened::Answered(meaning)
        if matches!(meaning.kind, Kind::Credentials | Kind::Quota | Kind::RateLimited))
}

/// Each key is refused once and then left out, so that no storm can come of it.
fn is_refusal_of_key(happened: &Happened) -> bool {
    matches!(happened, Happened::Answered(meaning)
        if matches!(meaning.kind, Kind::Credentials | Kind::Quota))
}

/// What a provider says about how much more it will take.
pub fn heed_limits(grant: &Grant, head: &ResponseHeader, now: Instant) {
    for told in rate_limits::told(&head.headers) {
        let which = match told.of {
            Of::Requests => Which::Requests,
            Of::Tokens => Which::Tokens,
        };
        grant.told_limits(now, which, told.remaining, told.reset);
    }
}

/// The request itself was not wanted.
fn was_refused(opened: &Opened) -> bool {
    matches!(opened, Opened::Failed(failed)
        if matches!(&failed.happened, Happened::Answered(meaning)
            if matches!(meaning.status, 400 | 422)))
}

fn is_stream(opened: &Opened) -> bool {
    matches!(opened, Opened::Flowing(flowing) if flowing.is_stream)
}

pub fn manner<'a>(job: &Job<'a>, step: &Step<'a>) -> Manner<'a> {
    Manner {
        forward: &job.route.forward,
        model: prepare::shown_model(job, step),
        idle: job.route.timeouts.idle,
        bound: job.bound,
        started: job.started,
    }
}

/// What came of one attempt, as far as it is known.
#[derive(Clone, Copy)]
pub struct Came {
    pub key: usize,
    pub began: Instant,
    pub took: Duration,
    pub status: Option<u16>,
    pub reason: Option<Reason>,
}

/// One more attempt. What failed is counted at once; the end of what answers is not known yet.
pub fn note(metrics: &Metrics, job: &Job<'_>, step: &Step<'_>, tale: &mut Tale, came: Came) {
    let provider = &step.candidate.target.provider.name;
    if let Some(reason) = came.reason {
        metrics.attempted(&job.route.name, provider, reason.label());
    }
    if tale.attempts.is_empty() {
        // Mostly it remains the only one.
        tale.attempts.reserve_exact(1);
    }
    tale.attempts.push(Attempt {
        provider: Arc::clone(provider),
        model: Arc::clone(step.label),
        status: came.status,
        reason: came.reason,
        began: came.began.saturating_duration_since(job.started),
        took: came.took,
        lasted: came.took,
        key: came.key,
        // What fails gives nothing, unless it turns out that it did.
        cost: came.reason.map(|_| Micros::ZERO),
        ..Attempt::default()
    });
    answers(step, tale);
}

/// Nobody is there to be told what comes of the attempt under way.
pub fn abandoned(
    metrics: &Metrics,
    job: &Job<'_>,
    step: &Step<'_>,
    tale: &mut Tale,
    came: Came,
    gone: &Error,
) {
    let reason = Some(parted(gone));
    note(metrics, job, step, tale, Came { reason, ..came });
    tale.end(parted(gone));
}

/// A stream is known as one by its first content.
pub fn first_token_came(tale: &mut Tale) {
    if let Some(attempt) = tale.attempts.last_mut() {
        attempt.first_token = Some(attempt.took);
    }
}

pub fn answers(step: &Step<'_>, tale: &mut Tale) {
    tale.provider = Some(Arc::clone(&step.candidate.target.provider.name));
    tale.label = Some(Arc::clone(step.label));
    tale.served_as.clone_from(&step.candidate.served_as);
    if tale.served.as_deref() != Some(step.model) {
        tale.served = Some(step.model.to_owned());
    }
}

fn succeeded(metrics: &Metrics, job: &Job<'_>, step: &Step<'_>, tale: &mut Tale, came: Came) {
    note(metrics, job, step, tale, came);
    let elapsed = job.started.elapsed();
    tale.first_byte = Some(elapsed);
    tale.overhead = elapsed.saturating_sub(tale.waited);
}

pub fn reason_of(happened: &Happened) -> Reason {
    match happened {
        Happened::Unreachable => Reason::ProviderUnreachable,
        Happened::Reset => Reason::ProviderReset,
        Happened::Timeout => Reason::ProviderTimeout,
        Happened::NoToken => Reason::ProviderFirstToken,
        Happened::Answered(meaning) => meaning.reason,
        Happened::Empty => Reason::ProviderEmpty,
        Happened::Truncated => Reason::ProviderTruncated,
    }
}
