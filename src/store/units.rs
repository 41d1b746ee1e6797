//! Numbers and texts as they are kept: within bounds, so that a sum over years is one that a
//! column can hold, and nothing that a caller sends makes a row that a database refuses.

use crate::telemetry::tale::Attempt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Beyond it nobody counts tokens, bytes or micro-dollars of one call.
const MOST: i64 = 1 << 40;
/// What callers choose (paths, models, ids) is kept up to here.
const LONGEST: usize = 512;

pub fn count(number: u64) -> i64 {
    i64::try_from(number).map_or(MOST, |number| number.min(MOST))
}

/// Micro-dollars. None: it is not known.
pub fn cost(attempt: &Attempt) -> Option<i64> {
    attempt.cost.map(|cost| count(cost.get()))
}

pub fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).map_or(MOST, |micros| micros.min(MOST))
}

/// Microseconds since the epoch; a clock before it is at it.
pub fn moment(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// PostgreSQL takes no zero byte in a text.
pub fn text(text: &str) -> String {
    if text.len() <= LONGEST && !text.contains('\0') {
        return text.to_owned();
    }
    let kept = text.chars().take(LONGEST);
    kept.map(|letter| if letter == '\0' { '\u{fffd}' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absurd_is_bounded() {
        assert_eq!(count(u64::MAX), MOST);
        assert_eq!(micros(Duration::MAX), MOST);
        assert_eq!(moment(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        assert_eq!(text(&"é".repeat(10_000)).chars().count(), LONGEST);
        assert_eq!(text("plain"), "plain");
    }
}
