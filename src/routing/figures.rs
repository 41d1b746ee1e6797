//! What was measured of one provider serving one model, as numbers to compare.

use crate::routing::metric::{Metric, Stat, Window};

/// The metrics that are one number a request.
pub const SPEEDS: [Metric; 5] = [
    Metric::Ttft,
    Metric::Prefill,
    Metric::Decode,
    Metric::Otps,
    Metric::Otpr,
];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    windows: [Seen; 3],
}

impl Figures {
    pub fn seen(&self, window: Window) -> &Seen {
        let [five_minutes, hour, day] = &self.windows;
        match window {
            Window::FiveMinutes => five_minutes,
            Window::Hour => hour,
            Window::Day => day,
        }
    }

    pub fn set(&mut self, window: Window, seen: Seen) {
        let [five_minutes, hour, day] = &mut self.windows;
        *match window {
            Window::FiveMinutes => five_minutes,
            Window::Hour => hour,
            Window::Day => day,
        } = seen;
    }

    /// None: unknown, which is not zero. Prices and scores are nobody's measurement: they stand in
    /// the configuration. `stat` counts for nothing where the metric needs none.
    pub fn get(&self, metric: Metric, stat: Option<Stat>, window: Window) -> Option<f64> {
        let seen = self.seen(window);
        match metric {
            Metric::Success => seen.success,
            _ => seen.spreads.get(metric)?.get(stat?),
        }
    }
}

/// What a window holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Those that say something about the provider; answers among them.
    pub attempts: u64,
    pub answers: u64,
    /// More came than are kept: these numbers are of an even draw of them, and both counts are
    /// reckoned from it.
    pub is_sampled: bool,
    pub success: Option<f64>,
    /// Of the answers that the speeds are of, so many have reckoned tokens.
    pub estimated: usize,
    pub spreads: Spreads,
}

/// One a metric of `SPEEDS`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spreads([Spread; SPEEDS.len()]);

impl Spreads {
    /// `values` gives all there are of a metric, in any order.
    pub fn of(mut values: impl FnMut(Metric, &mut Vec<f64>)) -> Spreads {
        let mut all = Vec::new();
        Spreads(SPEEDS.map(|metric| {
            all.clear();
            values(metric, &mut all);
            Spread::of(metric, &mut all)
        }))
    }

    /// Of what was measured elsewhere.
    pub fn told(of: impl FnMut(Metric) -> Spread) -> Spreads {
        Spreads(SPEEDS.map(of))
    }

    pub fn get(&self, metric: Metric) -> Option<&Spread> {
        let place = SPEEDS.iter().position(|speed| *speed == metric)?;
        self.0.get(place)
    }
}

/// Many numbers in a few.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    pub samples: usize,
    /// In the order of `Stat::ALL`; of no meaning without samples.
    stats: [f64; Stat::ALL.len()],
}

impl Spread {
    /// Sorts `values`.
    pub fn of(metric: Metric, values: &mut [f64]) -> Spread {
        values.sort_unstable_by(f64::total_cmp);
        let samples = values.len();
        let average = values.iter().sum::<f64>() / samples.max(1) as f64;
        let stats = Stat::ALL.map(|stat| match stat.quantile(metric) {
            Some(below) => quantile(values, below).unwrap_or(0.0),
            None => average,
        });
        Spread { samples, stats }
    }

    /// `stats` in the order of `Stat::ALL`.
    pub fn told(samples: usize, stats: [f64; Stat::ALL.len()]) -> Spread {
        Spread { samples, stats }
    }

    pub fn get(&self, stat: Stat) -> Option<f64> {
        let of = Stat::ALL.into_iter().zip(self.stats);
        let found = of.into_iter().find(|(one, _)| *one == stat);
        found.filter(|_| self.samples > 0).map(|(_, number)| number)
    }
}

/// Between two neighbours the line that joins them counts.
fn quantile(sorted: &[f64], below: f64) -> Option<f64> {
    let place = below * (sorted.len().checked_sub(1)? as f64);
    let lower = *sorted.get(place.floor() as usize)?;
    let upper = *sorted.get(place.ceil() as usize)?;
    Some(lower + (upper - lower) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to_hundred() -> Vec<f64> {
        // Not in order: nobody promises any.
        (0..100).map(|n| f64::from(n * 37 % 100 + 1)).collect()
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    }

    #[test]
    fn nine_of_ten_do_at_least_so_well() {
        for (metric, p90, p99) in [
            (Metric::Ttft, 90.1, 99.01),
            (Metric::Prefill, 10.9, 1.99),
            (Metric::Decode, 10.9, 1.99),
            (Metric::Otps, 10.9, 1.99),
            (Metric::Otpr, 10.9, 1.99),
        ] {
            let spread = Spread::of(metric, &mut one_to_hundred());
            near(spread.get(Stat::Avg), 50.5);
            near(spread.get(Stat::Median), 50.5);
            near(spread.get(Stat::P90), p90);
            near(spread.get(Stat::P99), p99);
            assert_eq!(spread.samples, 100);
        }
    }

    #[test]
    fn few_samples_and_none() {
        let one = Spread::of(Metric::Otps, &mut [7.0]);
        let two = Spread::of(Metric::Ttft, &mut [3.0, 1.0]);
        for stat in Stat::ALL {
            assert_eq!(one.get(stat), Some(7.0));
            assert_eq!(Spread::of(Metric::Otps, &mut []).get(stat), None);
            assert_eq!(Spread::default().get(stat), None);
        }
        near(two.get(Stat::Median), 2.0);
        near(two.get(Stat::P90), 2.8);
        near(two.get(Stat::P99), 2.98);
    }

    #[test]
    fn each_number_stands_where_it_is_looked_for() {
        let mut figures = Figures::default();
        for window in Window::ALL {
            let length = window.length().as_secs_f64();
            let spreads = Spreads::of(|metric, values| {
                let place = SPEEDS.iter().position(|one| *one == metric).unwrap();
                values.push(length + place as f64);
            });
            let seen = Seen {
                success: Some(length),
                spreads,
                ..Seen::default()
            };
            figures.set(window, seen);
        }
        for window in Window::ALL {
            let length = window.length().as_secs_f64();
            for (place, metric) in SPEEDS.into_iter().enumerate() {
                let expected = Some(length + place as f64);
                assert_eq!(figures.get(metric, Some(Stat::P90), window), expected);
                assert_eq!(figures.get(metric, None, window), None);
            }
            assert_eq!(figures.get(Metric::Success, None, window), Some(length));
            assert_eq!(
                figures.get(Metric::Success, Some(Stat::P99), window),
                Some(length)
            );
            for metric in Metric::ALL {
                if metric.is_price() || metric.is_score() {
                    assert_eq!(figures.get(metric, Some(Stat::Avg), window), None);
                }
            }
        }
    }
}
