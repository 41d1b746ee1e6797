//! What was spent before this process counted: the store is asked for it, and asked again for a
//! while, because a predecessor may still be ending its calls.

use crate::config::money::Micros;
use std::time::{Duration, SystemTime};

/// Between two questions, doubled with each answer.
const PAUSE: Duration = Duration::from_secs(1);
/// So many answers take over an hour: longer than anybody drains.
const ANSWERS: u32 = 12;

#[derive(Debug)]
pub struct Recall {
    /// From here on it is counted here.
    since: SystemTime,
    spent: Micros,
    answers: u32,
    due: SystemTime,
}

impl Recall {
    pub fn new(now: SystemTime) -> Recall {
        Recall {
            since: now,
            spent: Micros::ZERO,
            answers: 0,
            due: now,
        }
    }

    pub fn spent(&self) -> Micros {
        self.spent
    }

    /// Whether all of a window that began at `start` is counted.
    pub fn is_known(&self, start: SystemTime) -> bool {
        self.answers > 0 || start >= self.since
    }

    /// From when to when is to be asked for, if it is time to ask.
    pub fn is_due(&self, now: SystemTime, start: SystemTime) -> Option<(SystemTime, SystemTime)> {
        let is_due = self.answers < ANSWERS && now >= self.due && start < self.since;
        is_due.then_some((start, self.since))
    }

    /// The latest answer is all there was.
    pub fn learn(&mut self, now: SystemTime, spent: Micros) {
        self.spent = spent;
        self.put_off(now, PAUSE * 2u32.saturating_pow(self.answers));
        self.answers += 1;
    }

    pub fn failed(&mut self, now: SystemTime) {
        self.put_off(now, PAUSE);
    }

    /// Another window has begun: nothing of it came before.
    pub fn forget(&mut self) {
        self.spent = Micros::ZERO;
        self.answers = 0;
    }

    fn put_off(&mut self, now: SystemTime, pause: Duration) {
        self.due = now.checked_add(pause).unwrap_or(now);
    }
}
