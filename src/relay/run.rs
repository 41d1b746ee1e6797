//! The loop: try, judge, go on, until an answer is delivered or nothing is left to try.

use crate::body::scan::Scan;
use crate::body::splice::{self, Pieces};
use crate::config::snapshot::{Endpoint, Provider, ResponseModel, Route};
use crate::error::Reason;
use crate::failover::{Following, Happened, Standing, Verdict, judge};
use crate::limits::buffers::Reservation;
use crate::relay::Wires;
use crate::relay::attempt::{self, Opened};
use crate::relay::deliver::{self, Manner};
use crate::relay::exchange::Request;
use crate::relay::give_up::{Last, give_up, out_of_time};
use crate::routing::plan::Step;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::{Attempt, Tale};
use crate::upstream::outline::Outline;
use bytes::Bytes;
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

impl Job<'_> {
    /// Committed: nothing will be sent again, so the memory is others'.
    fn release_body(&mut self) {
        self.body = Bytes::new();
        self.reservation = None;
    }
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
                job.release_body();
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
                job.release_body();
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

pub fn manner<'a>(job: &Job<'a>, step: &Step<'a>) -> Manner<'a> {
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

pub fn answers(step: &Step<'_>, tale: &mut Tale) {
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
