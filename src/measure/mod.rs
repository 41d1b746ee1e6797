//! How fast and how sure each provider serves each model, from settled attempts alone.
//!
//! What is fed goes into sliding windows. Now and then numbers are made of them in the background,
//! as a table that never changes: routing reads that one, and never a sample.

pub mod configured;
pub mod quick;
pub mod ring;
pub mod sample;
pub mod series;
pub mod table;

#[cfg(test)]
mod tests;

use crate::measure::ring::{Moment, nanos};
use crate::measure::sample::Sample;
use crate::measure::series::Series;
use crate::measure::table::{Names, Pair, Table};
use arc_swap::{ArcSwap, Guard};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Before the first moment: longer than the longest window, so that none begins before time does.
const BEFORE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

#[derive(Debug)]
pub struct Measures {
    /// Moments are counted from here.
    start: Instant,
    measured: ArcSwap<Measured>,
    table: ArcSwap<Table>,
    /// Held while a table is made: the last one made is the one that stays.
    making: Mutex<()>,
}

#[derive(Debug, Default)]
struct Measured {
    names: Arc<Names>,
    /// By place.
    series: Vec<Arc<Series>>,
}

impl Measures {
    /// Of no pair yet.
    pub fn new(now: Instant) -> Measures {
        Measures {
            start: now,
            measured: ArcSwap::default(),
            table: ArcSwap::default(),
            making: Mutex::new(()),
        }
    }

    /// From now on of these pairs. What is known of any of them stays known, all else is forgotten.
    pub fn follow(&self, pairs: impl IntoIterator<Item = Pair>) {
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.measured.load_full();
        let names = Arc::new(Names::new(pairs));
        let series = names.pairs().iter().map(|(provider, model)| {
            let known = before.find(provider, model).map(Arc::clone);
            known.unwrap_or_default()
        });
        let series = series.collect();
        let measured = Arc::new(Measured { names, series });
        self.measured.store(Arc::clone(&measured));
        self.table.store(Arc::new(measured.table()));
    }

    /// What a pair that is not configured did is nobody's business any more.
    pub fn feed(&self, provider: &str, model: &str, sample: Sample, now: Instant) {
        if let Some(series) = self.measured.load().find(provider, model) {
            series.feed(self.moment(now), sample);
        }
    }

    /// The latest table.
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Makes another table where enough has changed since the last. For the background: what it
    /// does takes time.
    pub fn renew(&self, now: Instant) {
        self.make(now, false);
    }

    /// A table of all there is at this moment.
    pub fn exact(&self, now: Instant) -> Arc<Table> {
        self.make(now, true);
        self.table.load_full()
    }

    fn make(&self, now: Instant, all: bool) {
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = self.measured.load();
        let now = self.moment(now);
        let mut is_other = false;
        for series in &measured.series {
            is_other |= series.renew(now, all);
        }
        if is_other {
            self.table.store(Arc::new(measured.table()));
        }
    }

    fn moment(&self, now: Instant) -> Moment {
        nanos(BEFORE + now.saturating_duration_since(self.start))
    }
}

impl Measured {
    fn find(&self, provider: &str, model: &str) -> Option<&Arc<Series>> {
        self.series.get(self.names.place(provider, model)?)
    }

    fn table(&self) -> Table {
        Table {
            names: Arc::clone(&self.names),
            figures: self.series.iter().map(|series| series.figures()).collect(),
        }
    }
}
