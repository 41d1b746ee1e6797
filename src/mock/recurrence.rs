//! Which requests a fault strikes, and the memory of each model name that this needs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counted, or timed, for each exact model name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Recurrence {
    Always,
    First(u64),
    Every(u64),
    /// Between two times after the first request for that name.
    Span {
        from: Duration,
        length: Duration,
    },
}

impl Recurrence {
    /// A span that begins then; its length stays, or has no end.
    pub fn since(self, from: Duration) -> Recurrence {
        let length = match self {
            Recurrence::Span { length, .. } => length,
            _ => Duration::MAX,
        };
        Recurrence::Span { from, length }
    }

    /// A span of this length; its beginning stays, or is the first request.
    pub fn lasting(self, length: Duration) -> Recurrence {
        let from = match self {
            Recurrence::Span { from, .. } => from,
            _ => Duration::ZERO,
        };
        Recurrence::Span { from, length }
    }
}

/// What was asked for so far.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Turn>>);

struct Turn {
    count: u64,
    first: Instant,
}

impl Turns {
    /// Whether it is this request's turn; asking makes it one request more.
    pub fn strikes(&self, recurrence: Recurrence, model: &str, now: Instant) -> bool {
        if recurrence == Recurrence::Always {
            return true;
        }
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(model.to_owned()).or_insert(Turn {
            count: 0,
            first: now,
        });
        let before = turn.count;
        turn.count += 1;
        match recurrence {
            Recurrence::Always => true,
            Recurrence::First(count) => before < count,
            Recurrence::Every(count) => before.is_multiple_of(count.max(1)),
            Recurrence::Span { from, length } => now
                .saturating_duration_since(turn.first)
                .checked_sub(from)
                .is_some_and(|inside| inside < length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_from_the_first_request_for_a_name() {
        let second = Duration::from_secs(1);
        let span = Recurrence::Always.lasting(2 * second).since(second);
        assert_eq!(
            span,
            Recurrence::Always.since(second).lasting(2 * second),
            "in either order"
        );
        let (turns, start) = (Turns::default(), Instant::now());
        for (after, strikes) in [(0, false), (1, true), (2, true), (3, false), (9, false)] {
            let now = start + after * second;
            assert_eq!(turns.strikes(span, "a", now), strikes, "{after}");
        }
        let open = Recurrence::Always.since(second);
        assert!(!turns.strikes(open, "b", start + 9 * second));
        assert!(turns.strikes(open, "b", start + 99 * second));
    }
}
