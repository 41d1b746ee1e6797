//! One line a request, written by a thread of its own. A request never waits for it: when the
//! thread falls behind, lines are dropped and counted.

mod destination;

use crate::error::Reason;
use crate::pricing::Micros;
use crate::store::record::Record;
use crate::telemetry::access::destination::Lost;
use crate::telemetry::tale::{Attempt, trace};
use crate::telemetry::trace_context::TraceId;
use prometheus::IntCounter;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

pub use crate::telemetry::access::destination::Destination;

/// A record as one line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since the epoch, at the start.
    time_ms: u64,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    stream: bool,
    /// The first key is not named.
    #[serde(skip_serializing_if = "is_zero")]
    provider_key: usize,
    status: u16,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    attempts: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace: String,
    /// What became of each attempt; of one alone `reason` says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<&'static str>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte_ms: Option<u64>,
    /// Since the start, whoever sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    overhead_us: u64,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_cached: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_reasoning: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_cache_written: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    usage_doubtful: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "dollars")]
    cost_usd: Option<Micros>,
    /// Where the whole is unknown: what is known of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "dollars")]
    cost_known_usd: Option<Micros>,
    /// Some attempt was billed more than the price cap allows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    over_cap: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record) -> Line<'a> {
        let (usage, estimated) = record.usage();
        let cost = record.cost();
        let cost_known = cost.is_partial && cost.known > Micros::ZERO;
        Line {
            time_ms: record.began.duration_since(UNIX_EPOCH).map_or(0, millis),
            request_id: &record.request_id,
            trace_id: record.context.map(|context| context.id),
            method: &record.method,
            path: &record.path,
            key: record.key.as_deref(),
            route: record.route.as_deref(),
            model: record.asked.as_deref(),
            served: record.served.as_deref(),
            provider: record.provider.as_deref(),
            stream: record.stream,
            provider_key: record.provider_key(),
            status: record.status,
            reason: record.end(),
            cause: record.cause.as_deref(),
            attempts: record.attempts.len(),
            trace: trace(&record.attempts),
            reasons: reasons(&record.attempts),
            duration_ms: millis(record.duration),
            first_byte_ms: record.first_byte.map(millis),
            first_token_ms: record.first_token().map(millis),
            overhead_us: u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            tokens_in: usage.input,
            tokens_out: usage.output,
            tokens_cached: usage.cached,
            tokens_reasoning: usage.reasoning,
            tokens_cache_written: usage.written,
            estimated,
            usage_doubtful: usage.doubtful,
            cost_usd: cost.whole().filter(|_| !record.attempts.is_empty()),
            cost_known_usd: cost_known.then_some(cost.known),
            over_cap: record.attempts.iter().any(|attempt| attempt.over_cap),
            gap: record.gap,
        }
    }
}

/// A number with all its six digits, which no floating point could promise.
fn dollars<S: Serializer>(cost: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = cost.and_then(|cost| RawValue::from_string(cost.to_string()).ok());
    number.serialize(serializer)
}

fn reasons(attempts: &[Attempt]) -> Vec<&'static str> {
    if attempts.len() < 2 {
        return Vec::new();
    }
    let reasons = attempts.iter().map(|attempt| attempt.reason);
    reasons
        .map(|reason| reason.map_or("ok", Reason::label))
        .collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Json,
    Text,
}

/// Room for this many lines while the writer is busy.
const BACKLOG: usize = 8192;
/// Written at once, and kept allocated.
const BATCH: usize = 64 * 1024;
/// How late a line may be. A writer that waits for the next line has to be woken by the request
/// that brings it; one that rests costs the requests nothing.
const REST: Duration = Duration::from_millis(5);

pub struct AccessLog {
    sender: SyncSender<Arc<Record>>,
    dropped: IntCounter,
}

impl AccessLog {
    pub fn start(
        shape: Shape,
        mut to: Destination,
        dropped: IntCounter,
    ) -> std::io::Result<AccessLog> {
        let (sender, receiver) = sync_channel(BACKLOG);
        let lost = dropped.clone();
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                let mut trouble = Trouble {
                    lost,
                    is_known: false,
                };
                let write = |lines: &[u8]| trouble.note(to.write(lines));
                write_all(&receiver, shape, write, || std::thread::sleep(REST));
            })?;
        Ok(AccessLog { sender, dropped })
    }

    pub fn write(&self, record: &Arc<Record>) {
        if self.sender.try_send(Arc::clone(record)).is_err() {
            self.dropped.inc();
        }
    }
}

/// What goes wrong with the log is counted, and told once until it goes well again: it is nobody's
/// reason to stop serving.
struct Trouble {
    lost: IntCounter,
    is_known: bool,
}

impl Trouble {
    fn note(&mut self, outcome: Result<(), Lost>) {
        let was_known = std::mem::replace(&mut self.is_known, outcome.is_err());
        match outcome {
            Err(Lost { lines, error }) => {
                self.lost.inc_by(lines as u64);
                if !was_known {
                    tracing::error!("the lines of requests cannot be written: {error}");
                }
            }
            Ok(()) if was_known => tracing::warn!("the lines of requests are written again"),
            Ok(()) => {}
        }
    }
}

/// Writes until the last sender is gone: whatever is waiting goes out in one write, and it rests
/// when nothing is left.
fn write_all(
    receiver: &Receiver<Arc<Record>>,
    shape: Shape,
    mut write: impl FnMut(&[u8]),
    rest: impl Fn(),
) {
    let mut lines = Vec::new();
    while let Ok(record) = receiver.recv() {
        render(&record, shape, &mut lines);
        let mut more = true;
        while more && lines.len() < BATCH {
            match receiver.try_recv() {
                Ok(record) => render(&record, shape, &mut lines),
                Err(_) => more = false,
            }
        }
        write(&lines);
        empty(&mut lines);
        if !more {
            rest();
        }
    }
}

/// One giant line is no reason to hold its memory for ever.
fn empty(lines: &mut Vec<u8>) {
    lines.clear();
    lines.shrink_to(2 * BATCH);
}

fn render(record: &Record, shape: Shape, lines: &mut Vec<u8>) {
    match shape {
        Shape::Json => {
            // Writing into a vector cannot fail.
            let _ = serde_json::to_writer(&mut *lines, &Line::of(record));
            lines.push(b'\n');
        }
        Shape::Text => {
            let (usage, _) = record.usage();
            let _ = writeln!(
                lines,
                "{} {} {} {} {} key={} model={} served={} provider={} tokens={}/{} attempts={} {}ms {}",
                record.status,
                printable(&record.method),
                printable(&record.path),
                record.end(),
                printable(&record.request_id),
                record.key.as_deref().unwrap_or("-"),
                record.asked.as_deref().map_or("-".into(), printable),
                record.served.as_deref().map_or("-".into(), printable),
                record.provider.as_deref().unwrap_or("-"),
                number(usage.input),
                number(usage.output),
                record.attempts.len(),
                record.duration.as_millis(),
                trace(&record.attempts),
            );
        }
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

/// What a caller sent, quoted where it could forge a line or a field.
fn printable(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '"') {
        format!("{text:?}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_caller_cannot_forge_a_line() {
        // A line feed, next line, a control sequence, and a line separator.
        for forged in [
            "x\n200 GET",
            "x\u{85}200",
            "x\u{9b}2J",
            "x\u{2028}200",
            "x served=y",
        ] {
            let text = || forged.to_owned();
            let record = Record {
                method: text(),
                path: text(),
                request_id: text(),
                asked: Some(text()),
                served: Some(text()),
                ..Record::default()
            };
            for shape in [Shape::Json, Shape::Text] {
                let mut lines = Vec::new();
                render(&record, shape, &mut lines);
                assert_eq!(lines.iter().filter(|&&byte| byte == b'\n').count(), 1);
                let line = String::from_utf8(lines).unwrap();
                let line = line.strip_suffix('\n').unwrap();
                if shape == Shape::Text {
                    assert!(!line.contains(char::is_control), "{line:?}");
                    assert!(!line.contains('\u{2028}'), "{line:?}");
                    assert_eq!(line.matches(&format!("{forged:?}")).count(), 5, "{line}");
                }
            }
        }
    }

    /// For what comes at once, unless it never does.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn what_comes_while_the_writer_rests_goes_out_at_once_and_nothing_is_lost() {
        let (sender, receiver) = sync_channel(BACKLOG);
        let send = |count| (0..count).for_each(|_| sender.send(Arc::default()).unwrap());
        let (resting, rested) = sync_channel(0);
        let (go_on, gone_on) = sync_channel::<()>(0);
        // How many lines each time.
        let writes = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&writes);
        let write = move |lines: &[u8]| {
            let count = lines.iter().filter(|&&byte| byte == b'\n').count();
            written.lock().unwrap().push(count);
        };
        let writer = std::thread::spawn(move || {
            write_all(&receiver, Shape::Text, write, || {
                let _ = resting.send(());
                let _ = gone_on.recv();
            });
        });
        let lines_of_a_batch = {
            let mut line = Vec::new();
            render(&Record::default(), Shape::Text, &mut line);
            BATCH.div_ceil(line.len())
        };
        send(1);
        for count in [3, lines_of_a_batch + 1, 2] {
            rested.recv_timeout(PATIENCE).unwrap();
            send(count);
            go_on.send(()).unwrap();
        }
        rested.recv_timeout(PATIENCE).unwrap();
        drop(sender);
        drop((rested, go_on));
        writer.join().unwrap();
        // Only the batch that was full is followed by the next without a rest.
        assert_eq!(*writes.lock().unwrap(), [1, 3, lines_of_a_batch, 1, 2]);
    }

    #[test]
    fn memory_of_a_giant_line_is_given_back() {
        let mut lines = vec![b'x'; 10 * BATCH];
        empty(&mut lines);
        assert!(lines.is_empty() && lines.capacity() <= 2 * BATCH);
    }
}
