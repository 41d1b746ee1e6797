//! The loop: try, judge, go on, until an answer is delivered or nothing is left to try.

use crate::body::scan::Scan;
use crate::body::splice::{self, Pieces};
use crate::config::snapshot::{Endpoint, Provider, ResponseModel, Route};
use crate::dialect::openai::normalise::{Shape, normalise};
use crate::dialect::redact::redact;
use crate::error::{Failure, Reason};
use crate::failover::{Following, Happened, Meaning, Standing, Verdict, judge};
use crate::limits::buffers::Reservation;
use crate::proxy::reply;
use crate::relay::Wires;
use crate::relay::attempt::{self, Failed, Opened, Whole};
use crate::relay::deliver::{self, Manner};
use crate::relay::exchange::Request;
use crate::routing::plan::Step;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::{Attempt, Tale};
use crate::upstream::outline::Outline;
use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::time::sleep;
use pingora_proxy::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything the loop needs to know of one request.
pub struct Job<'a> {
    pub route: &'a Route,
    pub steps: &'a [Step<'a>],
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
    pub started: Instant,
    /// Of the work up to the commit.
    pub deadline: Instant,
    /// The caller's own bound on the whole.
    pub bound: Option<Instant>,
}

/// What is left of a failed attempt until one succeeds.
#[derive(Default)]
struct Last<'a> {
    /// The last provider's answer that a caller may see, and whose it was.
    answer: Option<Said<'a>>,
    reason: Option<Reason>,
    cause: Option<String>,
    /// The soonest that any provider asked to be tried again.
    retry_after: Option<Duration>,
}

/// A provider's answer, what it means where it is an error, and whose it was in the plan.
struct Said<'a> {
    whole: Whole,
    reason: Reason,
    meaning: Option<Meaning>,
    step: &'a Step<'a>,
}

/// Ends with an answer delivered, or with an error when the caller's connection is of no more use.
pub async fn run(
    wires: &Wires,
    metrics: &Metrics,
    session: &mut Session,
    mut job: Job<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let mut at = 0;
    let mut tries: u32 = 0;
    let mut retried_here = false;
    let mut backoffs = 0;
    let mut body_left = false;
    let mut last = Last::default();
    while let Some(step) = job.steps.get(at) {
        let now = Instant::now();
        if now >= job.deadline {
            return out_of_time(session, &job, tale).await;
        }
        tries += 1;
        if body_left {
            metrics.maybe_billed_twice.inc();
        }
        let request = prepare(session, &job, step);
        let opened = tokio::select! {
            biased;
            gone = deliver::gone(session) => Err(gone),
            opened = attempt::open(wires, request) => Ok(opened),
        };
        let took = now.elapsed();
        tale.waited += took;
        let opened = match opened {
            Ok(opened) => opened,
            Err(gone) => {
                let reason = Some(Reason::CallerCancelled);
                note(metrics, &job, step, tale, None, reason, took);
                tale.end(Reason::CallerCancelled);
                return Err(gone);
            }
        };
        let failed = match opened {
            Opened::Whole(whole) => {
                succeeded(metrics, &job, step, tale, whole.head.status.as_u16(), took);
                return deliver::whole(session, whole, &manner(&job, step), tale).await;
            }
            Opened::Flowing(flowing) => {
                succeeded(
                    metrics,
                    &job,
                    step,
                    tale,
                    flowing.head.status.as_u16(),
                    took,
                );
                // Committed: nothing will be sent again, so the memory is others'.
                job.body = Bytes::new();
                job.reservation = None;
                let manner = manner(&job, step);
                return deliver::flowing(wires, session, *flowing, &manner, tale).await;
            }
            Opened::Failed(failed) => failed,
        };
        body_left |= failed.sent;
        let status = failed
            .answer
            .as_ref()
            .map(|whole| whole.head.status.as_u16());
        let reason = reason_of(&failed.happened);
        note(metrics, &job, step, tale, status, Some(reason), took);
        let standing = Standing {
            retry: &job.route.retry,
            attempts_left: job.route.retry.attempts.saturating_sub(tries),
            time_left: job.deadline.saturating_duration_since(Instant::now()),
            retried_here,
            following: following(job.steps, at),
            backoff_step: backoffs,
            jitter: rand::random(),
        };
        if standing.time_left.is_zero() {
            return out_of_time(session, &job, tale).await;
        }
        let verdict = judge(&failed.happened, &standing);
        last.take(*failed, reason, step);
        let (next, after) = match verdict {
            Verdict::Deliver | Verdict::Stop => break,
            Verdict::Again { after } => (Some(at), after),
            Verdict::Next { wider: false } => (Some(at + 1), Duration::ZERO),
            Verdict::Next { wider: true } => (wider(job.steps, at), Duration::ZERO),
        };
        let Some(next) = next else { break };
        if !after.is_zero() {
            backoffs += 1;
            tale.waited += after;
            tokio::select! {
                biased;
                gone = deliver::gone(session) => {
                    tale.end(Reason::CallerCancelled);
                    return Err(gone);
                }
                () = sleep(after) => {}
            }
        }
        retried_here = next == at;
        if let Some(following) = job.steps.get(next)
            && following.rank > step.rank
        {
            metrics
                .spills
                .with_label_values(&[&*job.route.name, reason.label()])
                .inc();
        }
        at = next;
    }
    give_up(session, &job, last, tale).await
}

impl<'a> Last<'a> {
    fn take(&mut self, failed: Failed, reason: Reason, step: &'a Step<'a>) {
        if let Happened::Answered(meaning) = &failed.happened
            && let Some(wait) = meaning.retry_after
        {
            self.retry_after = Some(self.retry_after.map_or(wait, |soonest| soonest.min(wait)));
        }
        self.cause = failed.cause;
        self.reason = Some(reason);
        // Our own trouble with a provider's credentials is nothing a caller could act on.
        if !matches!(reason, Reason::ProviderAuth | Reason::ProviderQuota)
            && let Some(whole) = failed.answer
        {
            let meaning = match failed.happened {
                Happened::Answered(meaning) => Some(meaning),
                _ => None,
            };
            self.answer = Some(Said {
                whole,
                reason,
                meaning,
                step,
            });
        }
    }
}

fn prepare<'a>(session: &Session, job: &Job<'a>, step: &Step<'a>) -> Request<'a> {
    let target = &step.candidate.target;
    let provider = &target.provider;
    let body = body(job, step);
    let timeouts = &job.route.timeouts;
    Request {
        provider,
        endpoint: job.endpoint,
        outline: Outline::new(
            provider,
            job.below,
            job.query,
            &session.downstream_session.req_header().headers,
            &job.route.forward,
        ),
        body,
        connect: timeouts.connect,
        write: timeouts.idle,
        answer: if job.scan.stream {
            timeouts.first_byte
        } else {
            timeouts.response
        },
        deadline: job.deadline,
    }
}

/// Every attempt starts from the caller's own bytes.
fn body(job: &Job<'_>, step: &Step<'_>) -> Pieces {
    let options = &step.candidate.target.options;
    if options.is_empty() {
        splice::replace_model(&job.body, job.scan, &step.candidate.upstream_json)
    } else {
        splice::set_fields(&job.body, job.scan, &step.candidate.upstream_json, options)
    }
}

fn manner<'a>(job: &Job<'a>, step: &Step<'a>) -> Manner<'a> {
    let model = match job.route.response_model {
        ResponseModel::Upstream => None,
        ResponseModel::Canonical => step
            .model_json
            .cloned()
            .or_else(|| serde_json::to_vec(step.model).ok().map(Bytes::from)),
    };
    Manner {
        endpoint: job.endpoint,
        forward: &job.route.forward,
        model,
        idle: job.route.timeouts.idle,
        bound: job.bound,
    }
}

fn note(
    metrics: &Metrics,
    job: &Job<'_>,
    step: &Step<'_>,
    tale: &mut Tale,
    status: Option<u16>,
    reason: Option<Reason>,
    took: Duration,
) {
    let provider = &step.candidate.target.provider.name;
    metrics
        .attempts
        .with_label_values(&[
            &*job.route.name,
            provider,
            reason.map_or("ok", Reason::label),
        ])
        .inc();
    tale.attempts.push(Attempt {
        provider: Arc::clone(provider),
        status,
        reason,
        took,
    });
    answers(step, tale);
}

fn answers(step: &Step<'_>, tale: &mut Tale) {
    tale.provider = Some(Arc::clone(&step.candidate.target.provider.name));
    tale.label = Some(Arc::clone(step.label));
    if tale.served.as_deref() != Some(step.model) {
        tale.served = Some(step.model.to_owned());
    }
}

fn succeeded(
    metrics: &Metrics,
    job: &Job<'_>,
    step: &Step<'_>,
    tale: &mut Tale,
    status: u16,
    took: Duration,
) {
    note(metrics, job, step, tale, Some(status), None, took);
    let elapsed = job.started.elapsed();
    tale.first_byte = Some(elapsed);
    tale.overhead = elapsed.saturating_sub(tale.waited);
}

fn reason_of(happened: &Happened) -> Reason {
    match happened {
        Happened::Unreachable => Reason::ProviderUnreachable,
        Happened::Reset => Reason::ProviderReset,
        Happened::Timeout => Reason::ProviderTimeout,
        Happened::Answered(meaning) => meaning.reason,
        Happened::Empty => Reason::ProviderEmpty,
        Happened::Truncated => Reason::ProviderTruncated,
    }
}

fn following(steps: &[Step<'_>], at: usize) -> Following {
    match (steps.get(at), steps.get(at + 1)) {
        (Some(here), Some(next)) if next.rank > here.rank => Following::LaterTier,
        (_, Some(_)) => Following::SameTier,
        (_, None) => Following::None,
    }
}

/// The next step whose context is larger than the one that was too small. Another provider of the
/// same model has the same context, unless the configuration says that it has more.
fn wider(steps: &[Step<'_>], at: usize) -> Option<usize> {
    let here = steps.get(at)?;
    let failed = here.candidate.context;
    let later = steps.iter().enumerate().skip(at + 1);
    later
        .filter(|(_, step)| match (step.candidate.context, failed) {
            (Some(context), Some(failed)) => context > failed,
            (Some(_), None) | (None, _) => step.model != here.model,
        })
        .map(|(index, _)| index)
        .next()
}

async fn out_of_time(session: &mut Session, job: &Job<'_>, tale: &mut Tale) -> pingora::Result<()> {
    let failure = if job.bound.is_some_and(|bound| bound <= job.deadline) {
        Failure::new(
            Reason::CallerDeadline,
            "no answer within x-overspill-timeout: allow more, or ask for less",
        )
    } else {
        Failure::new(
            Reason::ProviderTimeout,
            "no provider answered within the route's deadline: try again later",
        )
    };
    account(job, tale);
    reply::fail(session, failure, Some(job.endpoint), None, tale).await
}

/// Every attempt failed, or the answer is the caller's own matter.
async fn give_up(
    session: &mut Session,
    job: &Job<'_>,
    last: Last<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    account(job, tale);
    let reason = last.reason.unwrap_or(Reason::GatewayNoTarget);
    // An empty answer is the last word only where nothing worse came after it.
    let said = last
        .answer
        .filter(|said| said.meaning.is_some() || reason == Reason::ProviderEmpty);
    let Some(Said {
        whole,
        reason,
        meaning,
        step,
    }) = said
    else {
        let failure = Failure {
            cause: last.cause,
            ..Failure::new(reason, own_words(reason))
        };
        return reply::fail(session, failure, Some(job.endpoint), last.retry_after, tale).await;
    };
    tale.end(reason);
    tale.cause = last.cause;
    // Whose words these are: the last provider may have said nothing at all.
    answers(step, tale);
    let Some(meaning) = meaning else {
        // A 200 with nothing in it goes out as it came.
        return deliver::whole(session, whole, &manner(job, step), tale).await;
    };
    // Whichever of our credentials it quotes.
    let secrets = job.providers.iter().flat_map(|provider| &provider.secrets);
    let body = Bytes::from(redact(&whole.body, secrets).into_owned());
    let mut head = deliver::head(&whole.head, &job.route.forward, tale)?;
    if head.status.as_u16() < 400 {
        // An error that came as a 200, or a redirect: it goes out as what it is.
        head.set_status(meaning.status)?;
    }
    let body = spoken(&meaning, body, &mut head, job.endpoint, tale)?;
    advise(&mut head, last.retry_after)?;
    reply::send(session, head, body, tale).await
}

/// An error in the caller's dialect: untouched where it is already, else wrapped.
fn spoken(
    meaning: &Meaning,
    body: Bytes,
    head: &mut ResponseHeader,
    endpoint: Endpoint,
    tale: &Tale,
) -> pingora::Result<Bytes> {
    match normalise(meaning, &body) {
        Shape::AsItIs => Ok(body),
        Shape::Wrap { message, upstream } => {
            head.insert_header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )?;
            let failure = Failure::new(meaning.reason, message);
            let upstream = Some(upstream).filter(|upstream| !upstream.is_null());
            Ok(reply::error_body(&failure, upstream, Some(endpoint), tale))
        }
    }
}

fn advise(head: &mut ResponseHeader, soonest: Option<Duration>) -> pingora::Result<()> {
    if soonest.is_some() {
        // Several providers may have asked for different waits: the soonest counts.
        head.remove_header(&header::RETRY_AFTER);
    }
    reply::advise_retry(head, soonest)
}

fn account(job: &Job<'_>, tale: &mut Tale) {
    let elapsed = job.started.elapsed();
    tale.overhead = elapsed.saturating_sub(tale.waited);
}

fn own_words(reason: Reason) -> &'static str {
    match reason {
        Reason::ProviderUnreachable => "no provider could be reached: try again shortly",
        Reason::ProviderReset => "the provider closed the connection without an answer: try again",
        Reason::ProviderTimeout => "the provider did not answer in time: try again later",
        Reason::ProviderTruncated => "the provider broke off its answer: try again",
        Reason::ProviderAuth | Reason::ProviderQuota => {
            "the gateway's own account at the provider was refused: its operator has to mend that"
        }
        Reason::ProviderBadResponse => "the provider's answer could not be read: try again",
        _ => "no provider answered: try again shortly",
    }
}
