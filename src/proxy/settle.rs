//! The end of every request: counted and recorded, exactly once.

use crate::error::Reason;
use crate::proxy::context::Call;
use crate::telemetry::access::Record;
use std::time::{Instant, UNIX_EPOCH};

pub fn settle(call: &mut Call, now: Instant) {
    let tale = &mut call.tale;
    if tale.status == 0 {
        // No answer was begun: whoever dropped the request did it for a caller that is gone.
        tale.end(Reason::CallerCancelled);
    }
    let reason = tale.reason.map_or("ok", Reason::label);
    // Those that failed were counted as they did; the one that answered ends with the answer.
    if let Some(last) = tale.attempts.last()
        && last.reason.is_none()
    {
        let route = tale.route.as_deref().unwrap_or("");
        let attempts = &call.shared.metrics.attempts;
        attempts
            .with_label_values(&[route, &*last.provider, reason])
            .inc();
    }
    let provider = tale.provider.as_deref().unwrap_or("");
    call.shared
        .metrics
        .requests
        .with_label_values(&[
            tale.route.as_deref().unwrap_or(""),
            tale.label.as_deref().unwrap_or(""),
            provider,
            reason,
        ])
        .inc();
    // Zero: nobody came to measure it.
    if !tale.overhead.is_zero() {
        call.shared
            .metrics
            .overhead
            .observe(tale.overhead.as_secs_f64());
    }
    if call.snapshot.log.level < tracing::Level::INFO {
        return;
    }
    let trace = tale.trace();
    let (usage, estimated) = tale.usage();
    call.shared.access.write(Record {
        time_ms: call.began.duration_since(UNIX_EPOCH).map_or(0, millis),
        request_id: std::mem::take(&mut tale.request_id),
        method: std::mem::take(&mut call.method),
        path: std::mem::take(&mut call.path),
        key: tale.key.take(),
        route: tale.route.take(),
        model: tale.asked.take(),
        served: tale.served.take(),
        provider: tale.provider.take(),
        provider_key: tale.attempts.last().map_or(0, |attempt| attempt.key),
        stream: tale.stream,
        status: tale.status,
        reason,
        cause: tale.cause.take(),
        attempts: u32::try_from(tale.attempts.len()).unwrap_or(u32::MAX),
        trace,
        duration_ms: millis(now.saturating_duration_since(call.started)),
        first_byte_ms: tale.first_byte.map(millis),
        overhead_us: u64::try_from(tale.overhead.as_micros()).unwrap_or(u64::MAX),
        bytes_in: tale.bytes_in,
        bytes_out: tale.bytes_out,
        tokens_in: usage.input,
        tokens_out: usage.output,
        tokens_cached: usage.cached,
        tokens_reasoning: usage.reasoning,
        estimated,
        gap: tale.gap,
    });
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
