//! What happened to one request so far, told once: the answer's headers, the error's metadata and
//! the access line all read it from here.

use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::pricing::{Micros, Total};
use crate::telemetry::trace_context::TraceContext;
use bytes::BufMut;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// One try at one target.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    pub provider: Arc<str>,
    /// The canonical id of what was asked there: a name from the configuration, never a caller's.
    pub model: Arc<str>,
    /// None: no answer came.
    pub status: Option<u16>,
    /// None: it answered.
    pub reason: Option<Reason>,
    /// Since the request's start.
    pub began: Duration,
    /// Up to its failure, or to its answer: of a stream, the first content.
    pub took: Duration,
    /// Since its sending, to the first reasoning or content of a stream.
    pub first_token: Option<Duration>,
    /// Up to its failure, or to the last piece of its answer that said anything.
    pub lasted: Duration,
    /// In that time, how long the caller would take no more of what had come.
    pub held_up: Duration,
    /// Which of the provider's keys, by its place in the list.
    pub key: usize,
    /// What it was billed for, as far as its stream has told or shown.
    pub usage: Usage,
    /// Not told by the provider, but reckoned from what came.
    pub estimated: bool,
    /// None: unknown, or not known yet.
    pub cost: Option<Micros>,
    /// It was billed more than the price cap allows for its tokens.
    pub over_cap: bool,
}

impl Attempt {
    /// Its end came when the caller let it come: that says nothing of how fast its provider is.
    pub fn is_held_up(&self) -> bool {
        self.held_up > self.lasted / 10
    }
}

/// A write that takes longer than this waits for its reader.
const STANDSTILL: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub struct Tale {
    pub request_id: String,
    /// Where it stands in a trace, if it does.
    pub context: Option<TraceContext>,
    pub key: Option<Arc<str>>,
    pub route: Option<Arc<str>>,
    /// As the caller asked.
    pub asked: Option<String>,
    /// The canonical id of what answers.
    pub served: Option<String>,
    /// The same for metrics: a name from the configuration, never a caller's.
    pub label: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    /// The model that really answers, where it is another.
    pub served_as: Option<Arc<str>>,
    pub attempts: Vec<Attempt>,
    /// Targets that were not asked at all: provider, and why.
    pub left_out: Vec<(Arc<str>, &'static str)>,
    pub stream: bool,
    /// Of the answer's head; 0 while there is none.
    pub status: u16,
    /// How it ended, once that is known. None at the end: well.
    pub reason: Option<Reason>,
    pub cause: Option<String>,
    /// Spent waiting for the caller's body and for upstreams.
    pub waited: Duration,
    pub overhead: Duration,
    pub first_byte: Option<Duration>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Malformed events were left out of the stream.
    pub gap: bool,
    /// The gateway is on its way out, and callers are asked to come back by another connection.
    pub leaving: Arc<AtomicBool>,
}

impl Tale {
    /// The end, unless one is known already.
    pub fn end(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    /// A piece of the answer under way came, so long after the request's start.
    pub fn came(&mut self, after: Duration) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.lasted = after.saturating_sub(attempt.began);
        }
    }

    /// It took so long to hand a piece on to the caller.
    pub fn handed_on(&mut self, within: Duration) {
        if within > STANDSTILL
            && let Some(attempt) = self.attempts.last_mut()
        {
            attempt.held_up += within;
        }
    }
}

/// `siliconflow;429;312ms, openrouter;200;845ms`
pub fn write_trace(attempts: &[Attempt], to: &mut impl BufMut) {
    let mut digits = itoa::Buffer::new();
    for (number, attempt) in attempts.iter().enumerate() {
        if number > 0 {
            to.put_slice(b", ");
        }
        to.put_slice(attempt.provider.as_bytes());
        to.put_slice(b";");
        let came = match (attempt.status, attempt.reason) {
            (Some(status), _) => digits.format(status),
            (None, Some(reason)) => reason.label(),
            (None, None) => "-",
        };
        to.put_slice(came.as_bytes());
        to.put_slice(b";");
        let took = u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX);
        to.put_slice(digits.format(took).as_bytes());
        to.put_slice(b"ms");
    }
}

/// The same as text.
pub fn trace(attempts: &[Attempt]) -> String {
    let mut text = Vec::new();
    write_trace(attempts, &mut text);
    // Names are text, and all else is ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// The tokens of all attempts together, and whether any of them are reckoned.
pub fn usage(attempts: &[Attempt]) -> (Usage, bool) {
    if let [only] = attempts {
        let usage = Usage {
            cost: None,
            ..only.usage
        };
        return (usage, only.estimated);
    }
    let sum = |part: fn(&Usage) -> Option<u64>| {
        let known = attempts.iter().filter_map(|attempt| part(&attempt.usage));
        known.reduce(u64::saturating_add)
    };
    let usage = Usage {
        input: sum(|usage| usage.input),
        output: sum(|usage| usage.output),
        cached: sum(|usage| usage.cached),
        written: sum(|usage| usage.written),
        reasoning: sum(|usage| usage.reasoning),
        cost: None,
        doubtful: attempts.iter().any(|attempt| attempt.usage.doubtful),
    };
    let estimated = attempts.iter().any(|attempt| attempt.estimated);
    (usage, estimated)
}

/// What all attempts cost together.
pub fn cost(attempts: &[Attempt]) -> Total {
    Total::of(attempts.iter().map(|attempt| attempt.cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_names_each_attempt() {
        let attempt = |provider: &str, status, reason, ms| Attempt {
            provider: provider.into(),
            status,
            reason,
            took: Duration::from_millis(ms),
            ..Attempt::default()
        };
        let attempts = [
            attempt("a", Some(429), Some(Reason::ProviderRateLimited), 312),
            attempt("b", None, Some(Reason::ProviderUnreachable), 1),
            attempt("c", Some(200), None, 845),
        ];
        assert_eq!(
            trace(&attempts),
            "a;429;312ms, b;provider_unreachable;1ms, c;200;845ms"
        );
    }
}
