//! The end of a request that no target answered: whose words the caller is given, and in what form.

use crate::config::snapshot::Endpoint;
use crate::decide;
use crate::dialect::openai::normalise::{Shape, normalise};
use crate::dialect::redact::redact;
use crate::error::{Failure, Reason};
use crate::failover::{Happened, Meaning};
use crate::proxy::reply;
use crate::relay::attempt::{Failed, Whole, is_event_stream};
use crate::relay::bars::Bars;
use crate::relay::deliver;
use crate::relay::line::Line;
use crate::relay::run::{Job, answers, manner};
use crate::routing::plan::Step;
use crate::telemetry::tale::Tale;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde_json::Value;
use std::time::Duration;

/// What is left of a failed attempt until one succeeds.
#[derive(Default)]
pub struct Last<'a> {
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

impl<'a> Last<'a> {
    /// Someone may be asked again after this.
    pub fn wait(&mut self, wait: Option<Duration>) {
        if let Some(wait) = wait {
            self.retry_after = Some(self.retry_after.map_or(wait, |soonest| soonest.min(wait)));
        }
    }

    pub fn take(&mut self, failed: Failed, reason: Reason, step: &'a Step<'a>) {
        if let Happened::Answered(meaning) = &failed.happened {
            self.wait(meaning.retry_after);
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

/// Nobody could be asked.
pub async fn no_target(
    session: &mut ServerSession,
    line: &mut Line<'_>,
    job: &Job<'_>,
    bars: &Bars,
    tale: &mut Tale,
) -> pingora::Result<()> {
    account(job, tale);
    let failure = bars.failure(tale);
    refuse(session, line, job, failure, bars.soonest(), tale).await
}

/// The deadline is over before an answer was there.
pub async fn out_of_time(
    session: &mut ServerSession,
    line: &mut Line<'_>,
    job: &Job<'_>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    let failure = if job.bound.is_some_and(|bound| bound <= job.deadline) {
        Failure::new(
            Reason::CallerDeadline,
            "no answer within x-overspill-timeout: allow more, or ask for less",
        )
    } else {
        Failure::new(
            Reason::ProviderDeadline,
            "no provider answered within the route's deadline: try again later",
        )
    };
    account(job, tale);
    refuse(session, line, job, failure, None, tale).await
}

/// An error as a status, or as the one event of a stream that was opened early.
async fn refuse(
    session: &mut ServerSession,
    line: &mut Line<'_>,
    job: &Job<'_>,
    failure: Failure,
    retry_after: Option<Duration>,
    tale: &mut Tale,
) -> pingora::Result<()> {
    if !line.is_open() {
        return reply::fail(session, failure, Some(job.endpoint), retry_after, tale).await;
    }
    tale.end(failure.reason);
    let event = error_event(&failure, None, job.endpoint, tale);
    tale.cause = failure.cause;
    line.write(session, event, tale).await?;
    line.finish(session, tale).await
}

/// A stream that breaks says so itself, and does not say that it is done.
pub fn error_event(
    failure: &Failure,
    upstream: Option<Value>,
    endpoint: Endpoint,
    tale: &Tale,
) -> Bytes {
    event(
        endpoint,
        &reply::error_body(failure, upstream, Some(endpoint), tale),
    )
}

/// An error's data as an event of this endpoint's streams.
pub fn event(endpoint: Endpoint, data: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(data.len() + 32);
    match endpoint {
        Endpoint::Messages | Endpoint::Responses => event.put_slice(b"event: error\n"),
        _ => {}
    }
    // A line feed would end the line.
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

/// Nobody answered, and where a rule kept somebody out who might have, that is what is to be known.
fn kept_out(job: &Job<'_>, reason: Reason) -> Failure {
    if job.excluded.is_empty() {
        return Failure::new(reason, own_words(reason));
    }
    let message = format!(
        "{} ({reason}); others may not serve this request: {}",
        own_words(reason),
        decide::named(job.excluded)
    );
    let mut of_policy = job.excluded.iter().map(|one| one.why.reason());
    let of_operator = of_policy.find(|reason| reason.status() == 503);
    Failure::new(of_operator.unwrap_or(reason), message)
}

/// Every attempt failed, or the answer is the caller's own matter.
pub async fn give_up(
    session: &mut ServerSession,
    line: &mut Line<'_>,
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
            ..kept_out(job, reason)
        };
        return refuse(session, line, job, failure, last.retry_after, tale).await;
    };
    tale.end(reason);
    tale.cause = last.cause;
    // Whose words these are: the last provider may have said nothing at all.
    answers(step, tale);
    let Some(meaning) = meaning else {
        // A 200 with nothing in it goes out as it came.
        if line.is_open() && !is_event_stream(&whole.head) {
            let failure = Failure::new(reason, own_words(reason));
            return refuse(session, line, job, failure, None, tale).await;
        }
        if line.is_open() {
            line.write(session, whole.body, tale).await?;
            return line.finish(session, tale).await;
        }
        return deliver::whole(session, whole, &manner(job, step), tale).await;
    };
    // Whichever of our credentials it quotes.
    let secrets = job.providers.iter().flat_map(|provider| &provider.secrets);
    let body = Bytes::from(redact(&whole.body, secrets).into_owned());
    if line.is_open() {
        let event = told(&meaning, body, job.endpoint, tale);
        line.write(session, event, tale).await?;
        return line.finish(session, tale).await;
    }
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
        Shape::AsItIs => {
            if is_event_stream(head) {
                // It came as an event, and goes out as what it is.
                head.insert_header(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )?;
            }
            Ok(body)
        }
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

/// A provider's error as the one event of a stream: as it is where callers can read it, else
/// wrapped.
pub fn told(meaning: &Meaning, data: Bytes, endpoint: Endpoint, tale: &Tale) -> Bytes {
    match normalise(meaning, &data) {
        Shape::AsItIs => event(endpoint, &data),
        Shape::Wrap { message, upstream } => {
            let failure = Failure::new(meaning.reason, message);
            let upstream = Some(upstream).filter(|upstream| !upstream.is_null());
            error_event(&failure, upstream, endpoint, tale)
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
        Reason::ProviderTimeout | Reason::ProviderFirstToken => {
            "the provider did not answer in time: try again later"
        }
        Reason::ProviderTruncated => "the provider broke off its answer: try again",
        Reason::ProviderAuth | Reason::ProviderQuota => {
            "the gateway's own account at the provider was refused: its operator has to mend that"
        }
        Reason::ProviderEmpty => "the provider's answer was empty: try again",
        Reason::ProviderBadResponse => "the provider's answer could not be read: try again",
        _ => "no provider answered: try again shortly",
    }
}
