//! The loop: try, judge, go on, until an answer is delivered or nothing is left to try.

use crate::body::scan::Scan;
use crate::config::snapshot::{Endpoint, Provider, Route};
use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::failover::{Following, Happened, Standing, Verdict, judge};
use crate::limits::buffers::Reservation;
use crate::relay::Wires;
use crate::relay::attempt::{self, Failed, Opened};
use crate::relay::carry::carry;
use crate::relay::deliver::{self, Manner};
use crate::relay::elsewhere::Position;
use crate::relay::give_up::{Last, give_up, out_of_time};
use crate::relay::line::Line;
use crate::relay::prepare::{self, Variant};
use crate::relay::pump::Pump;
use crate::routing::plan::Step;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::{Attempt, Tale};
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
    /// The caller wants to be told the usage of its stream.
    pub asks_usage: bool,
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
pub async fn run(
    wires: &Wires,
    metrics: &Metrics,
    session: &mut Session,
    mut job: Job<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let streaming = &job.route.stream;
    let early = job.scan.stream && streaming.ping_before_commit;
    let mut line = Line::new(streaming.ping, early, job.started);
    let mut position = Position { at: 0, tries: 0 };
    let mut retried_here = false;
    let mut backoffs = 0;
    let mut body_left = false;
    let mut last = Last::default();
    while let Some(step) = job.steps.get(position.at) {
        let now = Instant::now();
        if now >= job.deadline {
            return out_of_time(session, &mut line, &job, tale).await;
        }
        position.tries += 1;
        if body_left {
            metrics.maybe_billed_twice.inc();
        }
        let variant = Variant::default();
        let (request, asks_usage) =
            prepare::request(wires, session, &job, step, variant, job.deadline);
        let mut pump = Pump::new(prepare::form(&job, step));
        let opened = line
            .company(session, tale, attempt::open(wires, request, &mut pump))
            .await;
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
            Opened::Whole(_) | Opened::Flowing(_) if line.is_open() && !is_stream(&opened) => {
                Failed::unstreamed()
            }
            Opened::Whole(whole) => {
                job.release_body();
                succeeded(metrics, &job, step, tale, whole.head.status.as_u16(), took);
                if let Some(attempt) = tale.attempts.last_mut() {
                    attempt.usage = whole.usage;
                }
                return deliver::whole(session, whole, &manner(&job, step), tale).await;
            }
            Opened::Flowing(flowing) => {
                let status = flowing.head.status.as_u16();
                succeeded(metrics, &job, step, tale, status, took);
                if flowing.is_stream {
                    return carry(
                        wires, metrics, session, &mut line, &mut job, position, *flowing, pump,
                        tale,
                    )
                    .await;
                }
                job.release_body();
                let manner = manner(&job, step);
                return deliver::flowing(wires, session, &mut line, *flowing, &manner, tale).await;
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
        note(metrics, &job, step, tale, status, Some(reason), took);
        if asks_usage && failed.is_about(b"stream_options") {
            // What the caller did not ask for is not the caller's to fail by.
            let provider = &step.candidate.target.provider;
            wires.habits.refuses_stream_options(&provider.name);
            position.tries -= 1;
            continue;
        }
        let standing = Standing {
            retry: &job.route.retry,
            attempts_left: job.route.retry.attempts.saturating_sub(position.tries),
            time_left: job.deadline.saturating_duration_since(Instant::now()),
            retried_here,
            following: following(job.steps, position.at),
            backoff_step: backoffs,
            jitter: rand::random(),
        };
        if standing.time_left.is_zero() {
            return out_of_time(session, &mut line, &job, tale).await;
        }
        let verdict = judge(&failed.happened, &standing);
        last.take(*failed, reason, step);
        let (next, after) = match verdict {
            Verdict::Deliver | Verdict::Stop => break,
            Verdict::Again { after } => (Some(position.at), after),
            Verdict::Next { wider: false } => (Some(position.at + 1), Duration::ZERO),
            Verdict::Next { wider: true } => (wider(job.steps, position.at), Duration::ZERO),
        };
        let Some(next) = next else { break };
        if !after.is_zero() {
            backoffs += 1;
            tale.waited += after;
            line.company(session, tale, sleep(after))
                .await
                .inspect_err(|_| tale.end(Reason::CallerCancelled))?;
        }
        retried_here = next == position.at;
        if let Some(following) = job.steps.get(next)
            && following.rank > step.rank
        {
            metrics
                .spills
                .with_label_values(&[&*job.route.name, reason.label()])
                .inc();
        }
        position.at = next;
    }
    give_up(session, &mut line, &job, last, tale).await
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
    }
}

/// One more attempt. What failed is counted at once; the end of what answers is not known yet.
pub fn note(
    metrics: &Metrics,
    job: &Job<'_>,
    step: &Step<'_>,
    tale: &mut Tale,
    status: Option<u16>,
    reason: Option<Reason>,
    took: Duration,
) {
    let provider = &step.candidate.target.provider.name;
    if let Some(reason) = reason {
        metrics
            .attempts
            .with_label_values(&[&*job.route.name, provider, reason.label()])
            .inc();
    }
    tale.attempts.push(Attempt {
        provider: Arc::clone(provider),
        status,
        reason,
        took,
        usage: Usage::default(),
        estimated: false,
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
