//! The clock of a stream under way: how long it may be silent, and when its caller is to be told
//! that it is still there. Knows the time only as it is told.

use std::time::{Duration, Instant};

/// After the end of an answer its usage and its end marker come at once, or not at all.
const SETTLED: Duration = Duration::from_millis(800);

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without any byte.
    pub idle: Duration,
    /// Without an event that is more than a comment.
    pub stall: Duration,
    /// Between two signs of life to the caller. None: none are given.
    pub ping: Option<Duration>,
    /// The caller's own bound on the whole.
    pub bound: Option<Instant>,
}

#[derive(Debug)]
pub struct Patience {
    limits: Limits,
    byte: Instant,
    payload: Instant,
    spoke: Instant,
    settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    OutOfTime,
    /// The answer had ended, and nothing more came.
    Settled,
    Idle,
    Stall,
    Ping,
}

impl Patience {
    /// `spoke`: when the caller last got something.
    pub fn new(limits: Limits, now: Instant, spoke: Instant) -> Patience {
        Patience {
            limits,
            byte: now,
            payload: now,
            spoke,
            settled: false,
        }
    }

    /// The provider sent something; `settled`: its answer has ended.
    pub fn heard(&mut self, now: Instant, payload: bool, settled: bool) {
        self.byte = now;
        if payload {
            self.payload = now;
        }
        self.settled = settled;
    }

    /// Something went to the caller.
    pub fn spoke(&mut self, now: Instant) {
        self.spoke = now;
    }

    pub fn last_spoke(&self) -> Instant {
        self.spoke
    }

    /// Pings could stand inside an event from here on.
    pub fn hush(&mut self) {
        self.limits.ping = None;
    }

    /// The most urgent of what is due.
    pub fn due(&self, now: Instant) -> Option<Due> {
        self.all()
            .filter(|(at, _)| *at <= now)
            .map(|(_, due)| due)
            .next()
    }

    /// When to ask again.
    pub fn next(&self) -> Option<Instant> {
        self.all().map(|(at, _)| at).min()
    }

    fn all(&self) -> impl Iterator<Item = (Instant, Due)> {
        let limits = &self.limits;
        let after = |since: Instant, wait: Duration, due| Some((since.checked_add(wait)?, due));
        [
            limits.bound.map(|bound| (bound, Due::OutOfTime)),
            after(self.payload, SETTLED, Due::Settled).filter(|_| self.settled),
            after(self.byte, limits.idle, Due::Idle),
            after(self.payload, limits.stall, Due::Stall),
            limits
                .ping
                .and_then(|ping| after(self.spoke, ping, Due::Ping)),
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn patience(start: Instant) -> Patience {
        let limits = Limits {
            idle: MS(1000),
            stall: MS(3000),
            ping: Some(MS(400)),
            bound: Some(start + MS(60_000)),
        };
        Patience::new(limits, start, start)
    }

    #[test]
    fn silence_is_idle_and_comments_only_a_stall() {
        let start = Instant::now();
        let mut quiet = patience(start);
        quiet.hush();
        assert_eq!(quiet.next(), Some(start + MS(1000)));
        assert_eq!(quiet.due(start + MS(999)), None);
        assert_eq!(quiet.due(start + MS(1000)), Some(Due::Idle));
        let mut talker = patience(start);
        talker.hush();
        for at in (0..3000).step_by(500) {
            talker.heard(start + MS(at), false, false);
            assert_eq!(talker.due(start + MS(at)), None);
        }
        assert_eq!(talker.due(start + MS(3000)), Some(Due::Stall));
        talker.heard(start + MS(3000), true, false);
        assert_eq!(talker.due(start + MS(3000)), None);
    }

    #[test]
    fn the_caller_hears_something_at_each_interval_of_silence() {
        let start = Instant::now();
        let mut patience = patience(start);
        assert_eq!(patience.due(start + MS(400)), Some(Due::Ping));
        patience.spoke(start + MS(400));
        assert_eq!(patience.due(start + MS(799)), None);
        assert_eq!(patience.next(), Some(start + MS(800)));
        patience.hush();
        assert_eq!(patience.due(start + MS(900)), None);
    }

    #[test]
    fn an_answer_that_has_ended_is_not_waited_for() {
        let start = Instant::now();
        let mut patience = patience(start);
        patience.heard(start, true, true);
        assert_eq!(patience.due(start + SETTLED), Some(Due::Settled));
        // More content came after all.
        patience.heard(start + MS(100), true, false);
        assert_ne!(patience.due(start + SETTLED), Some(Due::Settled));
    }

    #[test]
    fn the_callers_own_bound_comes_first() {
        let start = Instant::now();
        assert_eq!(
            patience(start).due(start + MS(60_000)),
            Some(Due::OutOfTime)
        );
    }
}
