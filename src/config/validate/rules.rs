//! `max_price`, `regions`, `data`, `quantizations`, `prefer`, `only`, `ignore`, `require` and
//! `order`: who may serve a request, and who should.

use crate::config::file;
use crate::config::metric::{Metric, Stat};
use crate::config::money::{Amount, Rate};
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Bound, By, Cap, Currencies, DataRule};
use crate::config::suggest::closest;
use crate::config::validate::facts::region;
use crate::config::validate::price::rate;
use crate::config::validate::provider::Accounts;
use std::sync::Arc;

/// What may be named.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub accounts: &'a Accounts,
    pub currencies: &'a Currencies,
}

/// In dollars, whatever it was written in.
pub fn cap(report: &mut Report, place: &Place, file: &file::Cap, known: Known<'_>) -> Cap {
    let at = place.key("currency");
    let rate = rate(report, &at, file.currency.as_deref(), known.currencies);
    let rate = rate.map_or(Rate::ONE, |(_, rate)| rate);
    let mut either = |ours: Option<Amount>, theirs: Option<Amount>, names: [&str; 2]| {
        if ours.is_some() && theirs.is_some() {
            let [ours, theirs] = names;
            let message = format!("says the same as `{ours}`; remove one of the two");
            report.error(&place.key(theirs), message);
        }
        ours.or(theirs).map(|amount| rate.price(amount))
    };
    Cap {
        input: either(file.input, file.prompt, ["input", "prompt"]),
        output: either(file.output, file.completion, ["output", "completion"]),
        request: file.request.map(|amount| rate.price(amount)),
    }
}

pub fn regions(report: &mut Report, place: &Place, list: &List<String>) -> Vec<Arc<str>> {
    if list.is_empty() {
        report.error(
            place,
            "is empty, so nobody could serve; leave it out for any region",
        );
    }
    let words = elements(list, place).into_iter();
    words
        .filter_map(|(place, word)| region(report, &place, word))
        .collect()
}

pub fn data(file: file::Data) -> DataRule {
    DataRule {
        deny_collection: file.collection == Some(file::Collection::Deny),
        zdr: file.zdr == Some(true),
    }
}

/// Names of providers.
pub fn providers(
    report: &mut Report,
    place: &Place,
    list: &List<String>,
    accounts: &Accounts,
) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for (place, name) in elements(list, place) {
        if !accounts.is_written(name) {
            let message = format!("unknown provider {}", report.quote(&place));
            report.error_meaning(&place, message, closest(name, accounts.names()));
        }
        if names.iter().any(|known| **known == *name.as_str()) {
            report.error(&place, "is named twice");
        }
        names.push(name.as_str().into());
    }
    names
}

pub fn require(report: &mut Report, place: &Place, list: &List<file::Bound>) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for (place, file) in elements(list, place) {
        let words = (file.metric.as_deref(), file.stat.as_deref());
        let Some((metric, stat)) = metric(report, &place, words) else {
            continue;
        };
        for (field, bound) in [("min", file.min), ("max", file.max)] {
            if bound.is_some_and(|bound| !bound.is_finite()) {
                let place = place.key(field);
                let message = format!("{} is not a number", report.quote(&place));
                report.error(&place, message);
            }
        }
        match (file.min, file.max) {
            (None, None) if !report.is_damaged(&place) => {
                report.missing(&place, "min", "missing: `min` or `max`, or both");
            }
            (Some(min), Some(max)) if min > max => {
                report.error(&place.key("min"), "is above `max`, so nobody could serve");
            }
            _ => {}
        }
        bounds.push(Bound {
            metric,
            stat,
            min: file.min,
            max: file.max,
        });
    }
    bounds
}

pub fn order(report: &mut Report, place: &Place, list: &List<file::By>) -> Vec<By> {
    let mut order = Vec::new();
    for (place, file) in elements(list, place) {
        let words = (file.metric.as_deref(), file.stat.as_deref());
        order.extend(metric(report, &place, words).map(|(metric, stat)| By { metric, stat }));
    }
    if list.is_empty() {
        report.error(place, "is empty; name at least one metric, or leave it out");
    }
    order
}

fn metric(
    report: &mut Report,
    place: &Place,
    (metric, stat): (Option<&str>, Option<&str>),
) -> Option<(Metric, Stat)> {
    let Some(word) = metric else {
        report.missing(place, "metric", "missing: the name of a metric");
        return None;
    };
    let metric = match Metric::parse(word) {
        Ok(metric) => metric,
        Err(unknown) => {
            report.error(&place.key("metric"), unknown.to_string());
            return None;
        }
    };
    let at = place.key("stat");
    match stat.map(Stat::parse) {
        None if metric.needs_stat() => {
            let message = format!(
                "missing: `{}` is measured many times; say avg, median, p90 or p99",
                metric.name()
            );
            report.missing(place, "stat", &message);
            None
        }
        None => Some((metric, Stat::Avg)),
        Some(Err(unknown)) => {
            report.error(&at, unknown.to_string());
            None
        }
        Some(Ok(_)) if !metric.needs_stat() => {
            let message = format!(
                "has no meaning for `{}`, which is one number; remove it",
                metric.name()
            );
            report.error(&at, message);
            None
        }
        Some(Ok(stat)) => Some((metric, stat)),
    }
}
