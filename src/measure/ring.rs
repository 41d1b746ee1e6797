//! The samples of a sliding window, in bounded memory however many come.
//!
//! Every sample draws a level: half of them reach the first, a quarter the second, and so on. As
//! long as the window holds no more than `MOST`, all are kept and every number is exact. When one
//! more comes, the threshold rises by one level, and what does not reach it goes: what stays is
//! an even draw of all there were, whatever they say and whenever they came. When few are left the
//! threshold falls again; until the last sample from before that has left the window, the newer
//! ones are read by the higher threshold too, so that the draw stays even.

use std::collections::VecDeque;
use std::time::Duration;

/// Kept at once.
pub const MOST: usize = 1024;
/// Below this the threshold falls.
const FEW: usize = MOST / 4;
/// The last level is for one of 2^39: no window holds so many.
const LEVELS: usize = 40;

/// Nanoseconds since some moment at least the longest window ago.
pub type Moment = u64;

#[derive(Debug)]
pub struct Ring<T> {
    length: u64,
    /// In the order in which they came.
    kept: VecDeque<Kept<T>>,
    threshold: usize,
    /// When each threshold was last given up for a lower one.
    left: [Moment; LEVELS],
    changes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Kept<T> {
    at: Moment,
    level: u8,
    value: T,
}

impl<T: Copy> Ring<T> {
    pub fn new(length: Duration) -> Ring<T> {
        Ring {
            length: nanos(length),
            kept: VecDeque::new(),
            threshold: 0,
            left: [0; LEVELS],
            changes: 0,
        }
    }

    /// `drawn`: a number at random, from all of `u64`.
    pub fn push(&mut self, now: Moment, value: T, drawn: u64) {
        self.expire(now);
        let level = (drawn.leading_zeros() as usize).min(LEVELS - 1);
        if level < self.threshold {
            return;
        }
        while self.kept.len() >= MOST && self.threshold < LEVELS - 1 {
            self.threshold += 1;
            let threshold = self.threshold;
            self.kept
                .retain(|kept| usize::from(kept.level) >= threshold);
        }
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        if level < self.threshold {
            return;
        }
        self.kept.push_back(Kept {
            at: now,
            level: u8::try_from(level).unwrap_or(u8::MAX),
            value,
        });
        self.changes += 1;
    }

    /// Forgets what is older than the window.
    pub fn expire(&mut self, now: Moment) {
        let begin = self.begin(now);
        while self.kept.front().is_some_and(|kept| kept.at <= begin) {
            self.kept.pop_front();
            self.changes += 1;
        }
        if self.threshold > 0 && self.kept.len() < FEW {
            if let Some(left) = self.left.get_mut(self.threshold) {
                *left = now;
            }
            self.threshold -= 1;
        }
    }

    /// By which level those in the window are to be read: each of them stands for two to the power
    /// of it.
    pub fn level(&self, now: Moment) -> usize {
        let begin = self.begin(now);
        let given_up = self.left.iter().rposition(|left| *left > begin);
        given_up.unwrap_or(0).max(self.threshold)
    }

    /// An even draw of those in the window; all of them at level 0.
    pub fn read(&self, now: Moment) -> impl Iterator<Item = T> {
        let begin = self.begin(now);
        let level = self.level(now);
        self.kept
            .iter()
            .filter(move |kept| kept.at > begin && usize::from(kept.level) >= level)
            .map(|kept| kept.value)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many have come and gone since this was last set to zero.
    pub fn changes(&mut self) -> &mut usize {
        &mut self.changes
    }

    fn begin(&self, now: Moment) -> Moment {
        now.saturating_sub(self.length)
    }
}

pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
