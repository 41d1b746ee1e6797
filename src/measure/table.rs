//! The numbers of all pairs of a provider and a model, as they were at one moment.

use crate::measure::quick::Quickly;
use crate::routing::figures::Figures;
use crate::routing::metric::{Metric, Stat, Window};
use std::collections::HashMap;
use std::sync::Arc;

/// A provider's name, and the canonical id of a model it serves.
pub type Pair = (Arc<str>, Arc<str>);

/// Which pairs there are, and the place of each: sorted by model, then by provider.
#[derive(Debug, Default)]
pub struct Names {
    pairs: Vec<Pair>,
    places: ByName<ByName<usize>>,
}

type ByName<T> = HashMap<Arc<str>, T, Quickly>;

impl Names {
    pub fn new(pairs: impl IntoIterator<Item = Pair>) -> Names {
        let mut pairs: Vec<Pair> = pairs.into_iter().collect();
        pairs.sort_unstable_by(|(provider, model), (other, others)| {
            (model, provider).cmp(&(others, other))
        });
        pairs.dedup();
        let mut places: ByName<ByName<usize>> = HashMap::default();
        for (place, (provider, model)) in pairs.iter().enumerate() {
            places
                .entry(Arc::clone(provider))
                .or_default()
                .insert(Arc::clone(model), place);
        }
        Names { pairs, places }
    }

    pub fn place(&self, provider: &str, model: &str) -> Option<usize> {
        self.places.get(provider)?.get(model).copied()
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

/// What routing reads. It never changes: a later one takes its place.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) names: Arc<Names>,
    /// By place.
    pub(super) figures: Vec<Arc<Figures>>,
}

impl Table {
    /// For all that is asked of one target: to find its names costs more than to read a number.
    /// None: nothing serves this model there.
    pub fn of(&self, provider: &str, model: &str) -> Option<&Figures> {
        let place = self.names.place(provider, model)?;
        self.figures.get(place).map(|figures| &**figures)
    }

    /// None: unknown, which is not zero.
    pub fn get(
        &self,
        provider: &str,
        model: &str,
        metric: Metric,
        stat: Option<Stat>,
        window: Window,
    ) -> Option<f64> {
        self.of(provider, model)?.get(metric, stat, window)
    }

    /// By model, then by provider.
    pub fn iter(&self) -> impl Iterator<Item = (&Pair, &Figures)> {
        let figures = self.figures.iter().map(|figures| &**figures);
        self.names.pairs().iter().zip(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<Pair> {
        let provider = |number: usize| format!("provider-{}", number % 40);
        let model = |number: usize| format!("vendor/model-{}", number / 40);
        let numbers = 0..4000;
        numbers
            .map(|number| (provider(number).into(), model(number).into()))
            .collect()
    }

    #[test]
    fn every_pair_is_found_at_its_own_place_and_nothing_else_is() {
        // Each of them twice: as often as routes name it.
        let names = Names::new(pairs().into_iter().chain(pairs()));
        assert_eq!(names.pairs().len(), 4000);
        for (place, (provider, model)) in names.pairs().iter().enumerate() {
            assert_eq!(names.place(provider, model), Some(place));
            assert_eq!(names.place(model, provider), None);
        }
        for (provider, model) in [
            ("", ""),
            ("provider-1", ""),
            ("provider-1", "vendor/model-"),
            ("provider-1", "vendor/model-1 "),
            ("provider-40", "vendor/model-1"),
        ] {
            assert_eq!(names.place(provider, model), None);
        }
    }
}
