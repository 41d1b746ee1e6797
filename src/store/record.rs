//! What became of one request: made once, when it is over, and shared by whoever keeps or counts it.

use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::pricing::Total;
use crate::telemetry::tale::{self, Attempt};
use crate::telemetry::trace_context::TraceContext;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct Record {
    pub began: SystemTime,
    pub request_id: String,
    /// Where it stands in a trace, if it does.
    pub context: Option<TraceContext>,
    pub method: String,
    pub path: String,
    /// The name of the caller's key.
    pub key: Option<Arc<str>>,
    pub route: Option<Arc<str>>,
    /// As the caller asked.
    pub asked: Option<String>,
    /// The canonical id of what answered.
    pub served: Option<String>,
    /// The same for metrics: a name from the configuration, never a caller's.
    pub label: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub stream: bool,
    /// 0: nothing was answered.
    pub status: u16,
    /// None: it ended well.
    pub reason: Option<Reason>,
    pub cause: Option<String>,
    pub attempts: Vec<Attempt>,
    pub duration: Duration,
    pub first_byte: Option<Duration>,
    pub overhead: Duration,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Malformed events were left out of the stream.
    pub gap: bool,
}

impl Record {
    /// It is to be told of as a trace.
    pub fn is_traced(&self) -> bool {
        self.context.is_some_and(|context| context.is_told())
    }

    /// How it ended, as a label.
    pub fn end(&self) -> &'static str {
        self.reason.map_or("ok", Reason::label)
    }

    /// The tokens of all attempts together, and whether any of them are reckoned.
    pub fn usage(&self) -> (Usage, bool) {
        tale::usage(&self.attempts)
    }

    /// What all attempts cost together.
    pub fn cost(&self) -> Total {
        tale::cost(&self.attempts)
    }

    /// Since the start, to the first reasoning or content of a stream.
    pub fn first_token(&self) -> Option<Duration> {
        let came = |attempt: &Attempt| Some(attempt.began.saturating_add(attempt.first_token?));
        self.attempts.iter().find_map(came)
    }

    /// Which key of the provider answered, by its place in the list.
    pub fn provider_key(&self) -> usize {
        self.attempts.last().map_or(0, |attempt| attempt.key)
    }
}

impl Default for Record {
    fn default() -> Record {
        Record {
            began: UNIX_EPOCH,
            request_id: String::new(),
            context: None,
            method: String::new(),
            path: String::new(),
            key: None,
            route: None,
            asked: None,
            served: None,
            label: None,
            provider: None,
            stream: false,
            status: 0,
            reason: None,
            cause: None,
            attempts: Vec::new(),
            duration: Duration::ZERO,
            first_byte: None,
            overhead: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            gap: false,
        }
    }
}
