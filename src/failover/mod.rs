//! What to do after a failed attempt: a pure function of what happened and where the call stands.

use crate::config::snapshot::{Causes, Retry};
use crate::error::Reason;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// How an attempt ended before anything went to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// No connection: refused, not resolved, no TLS, or not in time.
    Unreachable,
    /// Connected, then reset or closed before the headers.
    Reset,
    /// Connected, then silent for too long.
    Timeout,
    /// A stream began in time, and had no content in time.
    NoToken,
    /// An error, as a status or inside a 200.
    Answered(Meaning),
    /// A 200 with no content and a bare stop, or with nothing at all.
    Empty,
    /// The answer broke off before anything of it went to the caller.
    Truncated,
}

/// What a provider's error means, whatever its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub kind: Kind,
    /// The status the error stands for: the provider's own, or for an error inside a 200 the one
    /// it states or amounts to.
    pub status: u16,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    pub reason: Reason,
}

/// The rows of the failover table that begin with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This account asks too often.
    RateLimited,
    /// The provider has no capacity for anyone.
    Overloaded,
    /// The provider failed.
    ServerError,
    /// Our key is not accepted.
    Credentials,
    /// Our money or our quota is used up.
    Quota,
    /// The request is too long for this model.
    ContextLength,
    /// The provider refuses what the request says.
    ContentFilter,
    /// The request itself is at fault in another way.
    Rejected,
}

impl Kind {
    /// The label this kind has in answers, logs and metrics.
    pub fn reason(self) -> Reason {
        match self {
            Kind::RateLimited => Reason::ProviderRateLimited,
            Kind::Overloaded => Reason::ProviderOverloaded,
            Kind::ServerError => Reason::ProviderError,
            Kind::Credentials => Reason::ProviderAuth,
            Kind::Quota => Reason::ProviderQuota,
            Kind::ContextLength => Reason::ProviderContextLength,
            Kind::ContentFilter => Reason::ProviderContentFilter,
            Kind::Rejected => Reason::ProviderRejected,
        }
    }
}

/// What the plan holds after the target that has just failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    None,
    SameTier,
    LaterTier,
}

/// Where the call stands.
#[derive(Debug)]
pub struct Standing<'a> {
    pub retry: &'a Retry,
    pub attempts_left: u32,
    /// Until the deadline.
    pub time_left: Duration,
    /// This target already had its second chance.
    pub retried_here: bool,
    pub following: Following,
    /// How many back-offs this call has waited through.
    pub backoff_step: u32,
    /// Drawn by the caller, evenly from 0 to 1.
    pub jitter: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is the caller's own matter and goes out as it is.
    Deliver,
    /// The same target.
    Again { after: Duration },
    /// The next target of the plan, at once. `wider`: only models whose context is larger or
    /// unknown, and where the plan holds none, the same as `Deliver`.
    Next { wider: bool },
    /// Nothing is left to try: the last error is reported, in the form that befits it.
    Stop,
}

/// The failover table. A wait is always shorter than the time left, so that something remains for
/// the attempt after it.
pub fn judge(happened: &Happened, standing: &Standing) -> Verdict {
    let causes = &standing.retry.causes;
    if !named(happened, causes) || standing.attempts_left == 0 || standing.time_left.is_zero() {
        return end(happened);
    }
    match happened {
        // Only a target whose answer promises better of a second try gets one. A silent target
        // would cost its whole timeout again, and a dead one would be dead still.
        Happened::Unreachable
        | Happened::Reset
        | Happened::Timeout
        | Happened::NoToken
        | Happened::Empty
        | Happened::Truncated => next(happened, standing, false),
        Happened::Answered(meaning) => match meaning.kind {
            // Without a time to wait for, waiting would be a guess.
            Kind::RateLimited | Kind::Overloaded => again_or_next(
                happened,
                standing,
                patient_wait(meaning.retry_after, standing),
            ),
            Kind::ServerError => {
                let wait = match meaning.retry_after {
                    None => Some(backoff(standing)),
                    asked => patient_wait(asked, standing),
                };
                again_or_next(happened, standing, wait)
            }
            Kind::ContextLength => next(happened, standing, true),
            Kind::Credentials | Kind::Quota | Kind::ContentFilter | Kind::Rejected => {
                next(happened, standing, false)
            }
        },
    }
}

/// Does `retry.for` cover this?
fn named(happened: &Happened, causes: &Causes) -> bool {
    match happened {
        Happened::Unreachable => causes.connect,
        Happened::Reset => causes.reset,
        Happened::Timeout | Happened::NoToken => causes.timeout,
        // `stream` stands for every answer that began well and came to nothing; an answer without
        // content, streamed or not, is one of them.
        Happened::Empty | Happened::Truncated => causes.stream,
        Happened::Answered(meaning) => {
            causes.statuses.contains(&meaning.status) || kind_named(meaning, causes)
        }
    }
}

fn kind_named(meaning: &Meaning, causes: &Causes) -> bool {
    match meaning.kind {
        Kind::RateLimited => causes.rate_limited,
        // People write `429` and `5xx` and think of statuses, so an overload belongs to its own.
        // 529 and the vendors' inventions are a rate limit by meaning: either word covers them.
        Kind::Overloaded => match meaning.status {
            429 => causes.rate_limited,
            500..=528 => causes.server_error,
            _ => causes.rate_limited || causes.server_error,
        },
        Kind::ServerError => causes.server_error,
        // Our key, our bill, and a model that is too small are never the caller's fault, so no word
        // of `retry.for` is needed; only `for: []` forbids.
        Kind::Credentials | Kind::Quota | Kind::ContextLength => !causes.is_empty(),
        Kind::ContentFilter => causes.content_filter,
        Kind::Rejected => false,
    }
}

/// What the provider asks to wait, where the route has the patience for it.
fn patient_wait(asked: Option<Duration>, standing: &Standing) -> Option<Duration> {
    asked.filter(|wait| *wait <= standing.retry.patience)
}

/// A second try here, but only where moving on would cross into a later tier or is impossible: an
/// equal that stands ready is always better than a wait.
fn again_or_next(happened: &Happened, standing: &Standing, wait: Option<Duration>) -> Verdict {
    let worth_waiting = standing.following != Following::SameTier && !standing.retried_here;
    match wait.filter(|wait| worth_waiting && *wait < standing.time_left) {
        Some(after) => Verdict::Again { after },
        None => next(happened, standing, false),
    }
}

fn next(happened: &Happened, standing: &Standing, wider: bool) -> Verdict {
    match standing.following {
        Following::None => end(happened),
        Following::SameTier | Following::LaterTier => Verdict::Next { wider },
    }
}

/// How the call ends when no other attempt is made.
fn end(happened: &Happened) -> Verdict {
    match happened {
        // The last empty answer is still an answer: perhaps the model has nothing to say.
        Happened::Empty => Verdict::Deliver,
        Happened::Answered(meaning) => match meaning.kind {
            Kind::ContextLength | Kind::ContentFilter | Kind::Rejected => Verdict::Deliver,
            // Ours and the provider's own troubles are never handed on unseen: a 401 for our key,
            // above all.
            Kind::RateLimited
            | Kind::Overloaded
            | Kind::ServerError
            | Kind::Credentials
            | Kind::Quota => Verdict::Stop,
        },
        Happened::Unreachable
        | Happened::Reset
        | Happened::Timeout
        | Happened::NoToken
        | Happened::Truncated => Verdict::Stop,
    }
}

/// Exponential, with full jitter, so that callers that failed together do not come back together.
fn backoff(standing: &Standing) -> Duration {
    let (least, most) = standing.retry.backoff;
    let grown = 1u32
        .checked_shl(standing.backoff_step)
        .and_then(|by| least.checked_mul(by));
    let ceiling = grown.map_or(most, |grown| grown.min(most));
    let share = standing.jitter.clamp(0.0, 1.0);
    // Fails for a NaN alone, which then waits for nothing.
    Duration::try_from_secs_f64(ceiling.as_secs_f64() * share).unwrap_or_default()
}
