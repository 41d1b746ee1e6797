//! All that is remembered of one provider serving one model.

use crate::measure::ring::{Moment, Ring, nanos};
use crate::measure::sample::{Answer, Sample};
use crate::routing::figures::{Figures, Seen, Spreads};
use crate::routing::metric::Window;
use crate::routing::sticky;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A window's numbers are made again once so large a part of its samples is another, or so large
/// a part of its length is over.
const SHARE: usize = 50;
const PART: u32 = 60;

#[derive(Debug)]
pub struct Series {
    kept: Mutex<Kept>,
    /// Taken only by those who make the numbers, one at a time.
    made: Mutex<Made>,
}

#[derive(Debug)]
struct Kept {
    fed: u64,
    /// In the order of `Window::ALL`.
    windows: [Rings; 3],
}

#[derive(Debug)]
struct Rings {
    answers: Ring<Answer>,
    /// Apart, so that a storm of failures does not wash the speeds out.
    failures: Ring<()>,
}

#[derive(Debug, Default)]
struct Made {
    figures: Arc<Figures>,
    at: [Moment; 3],
    levels: [Levels; 3],
}

/// Of the answers, and of the failures.
type Levels = (usize, usize);

/// What a window held at one moment.
struct Held {
    answers: Vec<Answer>,
    failures: usize,
    levels: Levels,
}

impl Series {
    pub fn new() -> Series {
        Series {
            kept: Mutex::new(Kept {
                fed: 0,
                windows: Window::ALL.map(|window| Rings {
                    answers: Ring::new(window.length()),
                    failures: Ring::new(window.length()),
                }),
            }),
            made: Mutex::default(),
        }
    }

    pub fn feed(&self, now: Moment, sample: Sample) {
        let Kept { fed, windows } = &mut *lock(&self.kept);
        // As good as drawn: nobody chooses when to come by it.
        let drawn = sticky::hash(&fed.to_le_bytes());
        *fed = fed.wrapping_add(1);
        for rings in windows {
            match sample {
                Sample::Answered(answer) => rings.answers.push(now, answer, drawn),
                Sample::Failed => rings.failures.push(now, (), drawn),
            }
        }
    }

    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&lock(&self.made).figures)
    }

    /// Makes the numbers again where that is due, or with `all` wherever anything has changed.
    /// False: they are what they were.
    pub fn renew(&self, now: Moment, all: bool) -> bool {
        let mut made = lock(&self.made);
        let Made {
            figures,
            at,
            levels,
        } = &mut *made;
        let mut fresh: Option<Figures> = None;
        let before = at.iter_mut().zip(levels);
        for ((place, window), (at, levels)) in Window::ALL.into_iter().enumerate().zip(before) {
            let is_late = now.saturating_sub(*at) >= nanos(window.length() / PART);
            // Given back between two windows: those who feed wait for one of them at most.
            let held = {
                let mut kept = lock(&self.kept);
                let rings = kept.windows.get_mut(place);
                rings.and_then(|rings| rings.held(now, all || is_late, *levels))
            };
            let Some(held) = held else {
                continue;
            };
            *at = now;
            *levels = held.levels;
            let fresh = fresh.get_or_insert_with(|| Figures::clone(figures));
            fresh.set(window, held.seen());
        }
        let Some(fresh) = fresh else {
            return false;
        };
        *figures = Arc::new(fresh);
        true
    }
}

impl Default for Series {
    fn default() -> Series {
        Series::new()
    }
}

impl Rings {
    /// What is in the window, if it is worth looking at. Copied, so that those who feed it do not
    /// wait for what is made of it.
    fn held(&mut self, now: Moment, is_late: bool, before: Levels) -> Option<Held> {
        self.answers.expire(now);
        self.failures.expire(now);
        let levels = (self.answers.level(now), self.failures.level(now));
        let changes = *self.answers.changes() + *self.failures.changes();
        let kept = self.answers.len() + self.failures.len();
        let is_other = changes > 0 && (is_late || changes.saturating_mul(SHARE) >= kept);
        if !is_other && levels == before {
            return None;
        }
        *self.answers.changes() = 0;
        *self.failures.changes() = 0;
        Some(Held {
            answers: self.answers.read(now).collect(),
            failures: self.failures.read(now).count(),
            levels,
        })
    }
}

impl Held {
    fn seen(&self) -> Seen {
        let (answers_level, failures_level) = self.levels;
        let answers = (self.answers.len() as u64) << answers_level;
        let failures = (self.failures as u64) << failures_level;
        let attempts = answers + failures;
        Seen {
            attempts,
            answers,
            is_sampled: self.levels != (0, 0),
            success: (attempts > 0).then(|| answers as f64 / attempts as f64),
            estimated: self.answers.iter().filter(|one| one.is_estimated()).count(),
            spreads: Spreads::of(|metric, values| {
                values.extend(self.answers.iter().filter_map(|one| one.speed(metric)));
            }),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
