//! Candidates put in order by what is known and measured of them.

use crate::config::metric::{Metric, Stat, Window};
use crate::config::snapshot::{By, Candidate};
use crate::routing::figures::Figures;
use crate::routing::preferences::{self, Preferences};
use std::cmp::Ordering;

/// None: unknown, which is not zero.
pub fn value(
    candidate: &Candidate,
    figures: Option<&Figures>,
    metric: Metric,
    stat: Stat,
    window: Window,
) -> Option<f64> {
    let dollars = |amount: crate::config::money::Amount| amount.billionths() as f64 / 1e9;
    match metric {
        Metric::InputPrice => candidate.facts.dollars.map(|one| dollars(one.input)),
        Metric::OutputPrice => candidate.facts.dollars.map(|one| dollars(one.output)),
        metric if metric.is_score() => candidate.facts.scores.get(metric),
        metric => figures?.get(metric, Some(stat), window),
    }
}

/// The better one first; what is unknown comes last.
pub fn compare(metric: Metric, one: Option<f64>, other: Option<f64>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) if metric.ascending() => one.total_cmp(&other),
        (Some(one), Some(other)) => other.total_cmp(&one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Everything that `order` compares two candidates by, in its order.
pub fn keys(
    candidate: &Candidate,
    figures: Option<&Figures>,
    order: &[By],
) -> impl Iterator<Item = Option<f64>> {
    let value = move |by: &By| value(candidate, figures, by.metric, by.stat, Window::default());
    order.iter().map(value)
}

pub fn compare_all(order: &[By], one: &[Option<f64>], other: &[Option<f64>]) -> Ordering {
    let pairs = order.iter().zip(one.iter().zip(other));
    pairs.fold(Ordering::Equal, |so_far, (by, (one, other))| {
        so_far.then_with(|| compare(by.metric, *one, *other))
    })
}

/// What a caller's `sort` compares by; prices, input and output together, as a request weighs them.
pub fn sort_key(
    candidate: &Candidate,
    figures: Option<&Figures>,
    by: preferences::By,
) -> (Metric, Option<f64>) {
    let window = Window::FiveMinutes;
    let measured = |metric| value(candidate, figures, metric, Stat::Median, window);
    match by {
        preferences::By::Price => {
            let prices = candidate
                .facts
                .dollars
                .map(|one| one.input.billionths() as f64 + one.output.billionths() as f64);
            (Metric::InputPrice, prices)
        }
        preferences::By::Throughput => (Metric::Otps, measured(Metric::Otps)),
        preferences::By::Latency => (Metric::Ttft, measured(Metric::Ttft)),
    }
}

/// It is as fast as the caller would like; what was never measured is not.
pub fn is_fast_enough(
    candidate: &Candidate,
    figures: Option<&Figures>,
    preferences: &Preferences,
) -> bool {
    let window = Window::FiveMinutes;
    let reaches = |metric: Metric, (of, bound): (u8, f64)| {
        let stat = match of {
            0..=50 => Stat::Median,
            // Nothing is kept of three in four: what nine in ten reach says more.
            51..=90 => Stat::P90,
            _ => Stat::P99,
        };
        let value = value(candidate, figures, metric, stat, window);
        value.is_some_and(|value| {
            if metric.ascending() {
                value <= bound
            } else {
                value >= bound
            }
        })
    };
    let mut throughput = preferences.min_throughput.iter();
    let mut latency = preferences.max_latency.iter();
    throughput.all(|bound| reaches(Metric::Otps, bound))
        && latency.all(|bound| reaches(Metric::Ttft, bound))
}

#[cfg(test)]
mod tests;
