//! A committed stream on its way to the caller, from one provider or, when it breaks, from several:
//! the caller holds the beginning of one single answer at all times, and is told how it ended.

use crate::dialect::redact::redact;
use crate::error::{Failure, Reason};
use crate::failover::{Happened, Kind, Meaning};
use crate::health::grant::Grant;
use crate::relay::Means;
use crate::relay::attempt::{ENDED, Flowing, event_meaning};
use crate::relay::bill;
use crate::relay::elsewhere::{self, Position, Search};
use crate::relay::line::{Line, gone, over};
use crate::relay::patience::{Due, Limits, Patience};
use crate::relay::pump::{Pump, Stop};
use crate::relay::run::{Job, is_over};
use crate::relay::source::{Broken, Source};
use crate::relay::{deliver, give_up};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::Tale;
use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use std::time::Instant;
use tokio::time::sleep_until;

/// Why a stream ends before its own end.
pub struct Interruption {
    pub reason: Reason,
    message: &'static str,
    cause: Option<String>,
    /// What the provider said about it.
    said: Option<(Meaning, Bytes)>,
    /// The provider did well, but its answer is another one.
    differs: bool,
}

impl Interruption {
    fn new(reason: Reason, message: &'static str) -> Interruption {
        Interruption {
            reason,
            message,
            cause: None,
            said: None,
            differs: false,
        }
    }

    /// What it was as an attempt: an answer that differs is whole in itself.
    fn of_attempt(&self) -> Reason {
        if self.differs {
            Reason::ProviderBadResponse
        } else {
            self.reason
        }
    }

    /// What it says about its target's health. None: nothing.
    fn happened(&self) -> Option<Happened> {
        match (&self.said, self.reason) {
            (Some((meaning, _)), _) => Some(Happened::Answered(meaning.clone())),
            (None, Reason::CallerDeadline) => None,
            (None, _) if self.differs => None,
            (None, _) => Some(Happened::Truncated),
        }
    }

    /// Another provider may do better: it was no word about the request itself.
    pub fn may_be_mended(&self) -> bool {
        match &self.said {
            Some((meaning, _)) => !matches!(
                meaning.kind,
                Kind::ContextLength | Kind::ContentFilter | Kind::Rejected
            ),
            None => self.reason != Reason::CallerDeadline && !self.differs,
        }
    }
}

/// A stream at its commit, and whose it is. What is large stays where it is, on the heap.
pub struct Begun {
    pub flowing: Box<Flowing>,
    pub pump: Box<Pump>,
    pub grant: Grant,
    pub position: Position,
}

/// From the commit to the end.
pub async fn carry(
    means: Means<'_>,
    session: &mut ServerSession,
    line: &mut Line<'_>,
    job: &mut Job<'_>,
    begun: Begun,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let Begun {
        flowing,
        mut pump,
        mut grant,
        mut position,
    } = begun;
    if !line.is_open() {
        let head = deliver::head(&flowing.head, &job.route.forward, tale)?;
        line.open(session, head, tale).await?;
    }
    if !elsewhere::is_thinkable(job, &position) {
        job.release_body();
        pump.forget();
    }
    let mut source = flowing.source;
    let mut how = None;
    loop {
        let passed = pass(session, line, &mut source, &mut pump, job, tale).await;
        let now = Instant::now();
        if let Some(step) = job.steps.get(position.at) {
            let usage = bill::streamed(job, step, &pump, tale);
            grant.used(now, usage, job.prompt);
        }
        count_gaps(means.metrics, job, &position, &mut pump, tale);
        let interruption = match passed? {
            Ok(()) => {
                grant.succeeded(now);
                drop(grant);
                count_resumed(means.metrics, job, &position, how);
                line.write(session, pump.take(), tale).await?;
                line.finish(session, tale).await?;
                source.finish(ENDED).await;
                if source.is_done() {
                    source.release(means.wires).await;
                }
                return Ok(());
            }
            Err(interruption) => interruption,
        };
        drop(source);
        if let Some(happened) = interruption.happened() {
            grant.failed(now, &happened);
        }
        // Its provider did not deliver, whatever becomes of the answer.
        if let Some(attempt) = tale.attempts.last_mut() {
            let reason = interruption.of_attempt();
            attempt.reason = Some(reason);
            attempt.lasted = now
                .saturating_duration_since(job.started)
                .saturating_sub(attempt.began);
            let metrics = &means.metrics;
            metrics.attempted(&job.route.name, &attempt.provider, reason.label());
        }
        let mut search = Search {
            means,
            job,
            origin: position.at,
            position: &mut position,
            interruption: &interruption,
        };
        // Seldom, and large: it does not have its place in every stream.
        let found = Box::pin(search.run(session, line, &mut pump, tale)).await?;
        (source, grant, how) = match found {
            Some((source, grant, how)) => (source, grant, Some(how)),
            None if job
                .bound
                .is_some_and(|bound| is_over(bound, Instant::now())) =>
            {
                let late = late(Due::OutOfTime);
                return Box::pin(broken_off(session, line, job, late, &pump, tale)).await;
            }
            None => {
                let end = broken_off(session, line, job, interruption, &pump, tale);
                return Box::pin(end).await;
            }
        };
    }
}

/// Passes on what comes until it ends or breaks, or the caller leaves.
async fn pass(
    session: &mut ServerSession,
    line: &mut Line<'_>,
    source: &mut Source,
    pump: &mut Pump,
    job: &Job<'_>,
    tale: &mut Tale,
) -> pingora::Result<Result<(), Interruption>> {
    let timeouts = &job.route.timeouts;
    let limits = Limits {
        idle: timeouts.idle,
        stall: timeouts.stall,
        ping: job.route.stream.ping,
        bound: job.bound,
    };
    let mut patience = Patience::new(limits, Instant::now(), line.last_spoke());
    line.write(session, pump.take(), tale).await?;
    let mut settled = pump.is_settled();
    patience.heard(Instant::now(), true, settled);
    if !pump.is_read() {
        patience.hush();
    }
    let timer = sleep_until(patience.next().unwrap_or_else(Instant::now).into());
    tokio::pin!(timer);
    let stop = line.stopped();
    tokio::pin!(stop);
    loop {
        if let Some(stop) = pump.take_stop() {
            return Ok(stopped(stop, source, job, tale).inspect(|()| pump.complete()));
        }
        tokio::select! {
            biased;
            left = gone(session) => {
                tale.end(Reason::CallerCancelled);
                return Err(left);
            }
            read = source.read() => {
                match read {
                    Ok(Some(chunk)) => {
                        pump.feed(chunk);
                        // What came together goes on together.
                        while let Ok(Some(chunk)) = source.at_hand() {
                            pump.feed(chunk);
                        }
                    }
                    Ok(None) => pump.end(),
                    Err(broken) => {
                        // Its last event may have come without the blank line after it.
                        pump.end();
                        if pump.is_whole() {
                            pump.complete();
                            return Ok(Ok(()));
                        }
                        line.write(session, pump.take(), tale).await?;
                        return Ok(Err(lost(broken)));
                    }
                }
                let now = Instant::now();
                let says = pump.take_payload();
                if says {
                    tale.came(now.saturating_duration_since(job.started));
                }
                patience.heard(now, says, pump.is_settled());
                if !pump.is_read() {
                    patience.hush();
                }
                if pump.is_settled() != settled {
                    settled = !settled;
                    rearm(timer.as_mut(), &patience);
                }
                let out = pump.take();
                if !out.is_empty() {
                    line.write(session, out, tale).await?;
                    tale.handed_on(line.last_spoke().saturating_duration_since(now));
                    patience.spoke(now);
                    // A provider that is ahead of its caller leaves nothing to wait for.
                    if line.is_over() && !pump.has_finished() {
                        tale.end(Reason::GatewayStopped);
                        return Err(over());
                    }
                }
            }
            () = &mut timer => {
                let now = Instant::now();
                match patience.due(now) {
                    None => {}
                    Some(Due::Ping) => {
                        Box::pin(line.ping(session, tale)).await?;
                        patience.spoke(now);
                    }
                    Some(Due::Settled) => {
                        pump.complete();
                        return Ok(Ok(()));
                    }
                    // Every choice has ended, and no other has begun for so long.
                    Some(Due::Idle | Due::Stall | Due::OutOfTime) if pump.has_finished() => {
                        pump.complete();
                        return Ok(Ok(()));
                    }
                    Some(due) => return Ok(Err(late(due))),
                }
                rearm(timer.as_mut(), &patience);
            }
            stop = &mut stop => {
                if pump.has_finished() {
                    pump.complete();
                    return Ok(Ok(()));
                }
                tale.end(Reason::GatewayStopped);
                return Err(stop);
            }
        }
    }
}

/// One timer for the whole stream: it is set to what comes first, and where that has moved on when
/// it fires, to that.
fn rearm(timer: std::pin::Pin<&mut tokio::time::Sleep>, patience: &Patience) {
    if let Some(next) = patience.next() {
        timer.reset(next.into());
    }
}

fn stopped(stop: Stop, source: &Source, job: &Job<'_>, tale: &Tale) -> Result<(), Interruption> {
    match stop {
        Stop::Done => Ok(()),
        Stop::Truncated => Err(Interruption {
            cause: Some("it ended before its answer did".to_owned()),
            ..broke_off()
        }),
        Stop::Differs => Err(Interruption {
            cause: Some("another provider's answer was a different one".to_owned()),
            differs: true,
            ..broke_off()
        }),
        Stop::Error(event) => {
            let provider = tale.provider.as_deref().unwrap_or_default();
            let provider = job.providers.iter().find(|one| &*one.name == provider);
            let Some(provider) = provider else {
                return Err(broke_off());
            };
            let meaning = event_meaning(provider, source.head(), &event);
            Err(Interruption {
                said: Some((meaning.clone(), Bytes::from(event))),
                ..Interruption::new(meaning.reason, "the provider failed in mid-answer")
            })
        }
    }
}

fn broke_off() -> Interruption {
    Interruption::new(
        Reason::ProviderTruncated,
        "the provider broke off in the middle of its answer",
    )
}

fn lost(broken: Broken) -> Interruption {
    match broken {
        Broken::Silent => late(Due::Idle),
        Broken::Cut(cause) | Broken::Garbled(cause) => Interruption {
            cause: Some(cause),
            ..broke_off()
        },
    }
}

fn late(due: Due) -> Interruption {
    match due {
        Due::OutOfTime => Interruption::new(
            Reason::CallerDeadline,
            "x-overspill-timeout was over before the answer was: allow more",
        ),
        Due::Stall => Interruption::new(
            Reason::ProviderStall,
            "the provider sent no more of its answer, though it kept the connection alive",
        ),
        Due::Idle | Due::Settled | Due::Ping => Interruption::new(
            Reason::ProviderIdle,
            "the provider went silent in the middle of its answer",
        ),
    }
}

fn count_gaps(
    metrics: &Metrics,
    job: &Job<'_>,
    position: &Position,
    pump: &mut Pump,
    tale: &mut Tale,
) {
    let gaps = pump.take_gaps();
    if gaps > 0 {
        tale.gap = true;
        let provider = job.steps.get(position.at).map(|step| step.provider());
        metrics
            .stream_gaps
            .with_label_values(&[&*job.route.name, provider.unwrap_or("")])
            .inc_by(gaps);
    }
}

/// The one event that ends a stream which is not whole.
async fn broken_off(
    session: &mut ServerSession,
    line: &mut Line<'_>,
    job: &Job<'_>,
    interruption: Interruption,
    pump: &Pump,
    tale: &mut Tale,
) -> pingora::Result<()> {
    tale.end(interruption.reason);
    tale.cause = interruption.cause.clone();
    let event = match interruption.said {
        Some((meaning, data)) => {
            let secrets = job.providers.iter().flat_map(|provider| &provider.secrets);
            let data = Bytes::from(redact(&data, secrets).into_owned());
            let data = deliver::with_model(data, pump.shown_model());
            give_up::told(&meaning, data, job.endpoint, tale)
        }
        None => {
            let failure = Failure::new(interruption.reason, interruption.message);
            give_up::error_event(&failure, None, job.endpoint, tale)
        }
    };
    if !pump.is_read() {
        // It must not run into what was an event too large to look into.
        line.write(session, Bytes::from_static(b"\n\n"), tale)
            .await?;
    }
    line.write(session, event, tale).await?;
    line.finish(session, tale).await
}

fn count_resumed(metrics: &Metrics, job: &Job<'_>, position: &Position, how: Option<&str>) {
    if let (Some(how), Some(step)) = (how, job.steps.get(position.at)) {
        metrics
            .resumed
            .with_label_values(&[&*job.route.name, step.provider(), how])
            .inc();
    }
}
