//! The end of every request: counted and recorded, exactly once.

use crate::error::Reason;
use crate::proxy::context::Call;
use crate::proxy::measured;
use crate::store::record::Record;
use std::sync::Arc;
use std::time::Instant;

/// A caller's path and method are kept up to here: a record waits in queues, beside thousands.
const LONGEST: usize = 1024;

pub fn settle(call: &mut Call, now: Instant) {
    let record = record(call, now);
    if let Some(reservation) = call.reservation.take() {
        reservation.settle(record.cost().known);
    }
    let shared = &call.shared;
    shared.metrics.count(&record);
    shared.metrics.price_caps.judge(&record, now);
    measured::feed(&shared.measures, &record, now);
    if call.snapshot.log.level >= tracing::Level::INFO {
        shared.access.write(&record);
    }
    if shared.store.is_none() && !record.is_traced() {
        return;
    }
    // From here on it is shared with others.
    let record = Arc::new(record);
    shared.traces.write(&record);
    if let Some(store) = &shared.store {
        store.write(&record);
    }
}

fn record(call: &mut Call, now: Instant) -> Record {
    let tale = &mut call.tale;
    if tale.status == 0 {
        // No answer was begun: whoever dropped the request did it for a caller that is gone.
        tale.end(Reason::CallerCancelled);
    }
    let duration = now.saturating_duration_since(call.started);
    // Those that failed were counted as they did; the one that answered ends with the answer.
    if let Some(last) = tale.attempts.last_mut()
        && last.reason.is_none()
    {
        let route = tale.route.as_deref().unwrap_or("");
        let end = tale.reason.map_or("ok", Reason::label);
        call.shared.metrics.attempted(route, &last.provider, end);
        last.reason = tale.reason;
        // When the last of a whole answer came is known, unless nobody looked at what came.
        if tale.reason.is_some() || call.passthrough.is_some() {
            last.lasted = duration.saturating_sub(last.began);
        }
    }
    Record {
        began: call.began,
        request_id: std::mem::take(&mut tale.request_id),
        context: tale.context,
        method: shortened(std::mem::take(&mut call.method)),
        path: shortened(std::mem::take(&mut call.path)),
        key: tale.key.take(),
        route: tale.route.take(),
        asked: tale.asked.take(),
        served: tale.served.take(),
        label: tale.label.take(),
        provider: tale.provider.take(),
        stream: tale.stream,
        status: tale.status,
        reason: tale.reason,
        cause: tale.cause.take(),
        attempts: std::mem::take(&mut tale.attempts),
        duration,
        first_byte: tale.first_byte,
        overhead: tale.overhead,
        bytes_in: tale.bytes_in,
        bytes_out: tale.bytes_out,
        gap: tale.gap,
    }
}

fn shortened(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_two_letters() {
        for letter in ["a", "é", "中"] {
            let fits = letter.repeat(LONGEST / letter.len());
            assert_eq!(shortened(fits.clone()), fits);
            let cut = shortened(letter.repeat(LONGEST));
            let kept = if letter.len() == 1 {
                letter.repeat(LONGEST)
            } else {
                format!("{fits}…")
            };
            assert_eq!(cut, kept);
        }
        assert_eq!(shortened("a".repeat(1 << 20)).len(), LONGEST + "…".len());
    }
}
