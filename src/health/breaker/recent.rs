//! What a breaker remembers: the last outcomes, or the window, whichever is shorter.

use super::Settings;
use std::collections::VecDeque;
use std::time::Instant;

/// The outcomes that count.
#[derive(Debug, Default)]
pub struct Recent {
    outcomes: VecDeque<(Instant, bool)>,
    failed: usize,
}

impl Recent {
    pub fn push(&mut self, now: Instant, ok: bool, settings: &Settings) {
        self.outcomes.push_back((now, ok));
        self.failed += usize::from(!ok);
        self.forget(now, settings);
    }

    pub fn forget(&mut self, now: Instant, settings: &Settings) {
        while let Some(&(at, ok)) = self.outcomes.front() {
            let old = now.saturating_duration_since(at) > settings.window;
            if !old && self.outcomes.len() <= settings.last.max(1) {
                break;
            }
            self.outcomes.pop_front();
            self.failed -= usize::from(!ok);
        }
    }

    pub fn share(&self) -> f64 {
        self.failed as f64 / self.outcomes.len().max(1) as f64
    }

    pub fn too_bad(&self, settings: &Settings) -> bool {
        // A minimum above what is remembered would never be reached.
        let minimum = (settings.minimum as usize).min(settings.last).max(1);
        self.outcomes.len() >= minimum && self.share() >= settings.failures
    }
}
