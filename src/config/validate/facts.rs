//! What a provider and its models are said to be: what the rules of routes, keys and callers are
//! held against.

use crate::catalog::{Collection, DataPolicy};
use crate::config::file;
use crate::config::metric::Metric;
use crate::config::place::Place;
use crate::config::problem::{Report, not_known};
use crate::config::shape::{List, Ordered, elements};
use crate::config::snapshot::{Capabilities, Capability, Quantization, Scores};
use crate::config::suggest::closest;
use std::sync::Arc;

pub fn capabilities(report: &mut Report, place: &Place, list: &List<String>) -> Capabilities {
    let names = Capability::ALL.map(Capability::name);
    let mut found = Capabilities::default();
    for (place, word) in elements(list, place) {
        match Capability::ALL.into_iter().find(|one| one.name() == word) {
            Some(one) => found.add(one),
            None => unknown(report, &place, word, &names),
        }
    }
    found
}

pub fn quantization(report: &mut Report, place: &Place, word: &str) -> Option<Quantization> {
    let found = Quantization::named(word);
    if found.is_none() {
        unknown(
            report,
            place,
            word,
            &Quantization::ALL.map(Quantization::name),
        );
    }
    found
}

pub fn quantizations(report: &mut Report, place: &Place, list: &List<String>) -> Vec<Quantization> {
    let words = elements(list, place).into_iter();
    words
        .filter_map(|(place, word)| quantization(report, &place, word))
        .collect()
}

pub fn scores(report: &mut Report, place: &Place, file: &Ordered<f64>) -> Scores {
    let names: Vec<&str> = Metric::ALL
        .into_iter()
        .filter(|metric| metric.is_score())
        .map(Metric::name)
        .collect();
    let mut scores = Scores::default();
    for (name, score) in &file.0 {
        let place = place.key(name.as_str());
        match Metric::parse(name) {
            Ok(metric) if metric.is_score() => {
                if (0.0..=100.0).contains(score) {
                    scores.0.push((metric, *score));
                } else {
                    let message = format!("{} is not between 0 and 100", report.quote(&place));
                    report.error(&place, message);
                }
            }
            _ => {
                let message = format!("`{name}` {}", not_known(&names));
                report.error_meaning(&place, message, closest(name, names.iter().copied()));
            }
        }
    }
    scores
}

/// A word for where a provider works: `cn`, `us`, `eu`, or any other that routes go by.
pub fn region(report: &mut Report, place: &Place, word: &str) -> Option<Arc<str>> {
    let valid = (1..=64).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if valid {
        return Some(word.into());
    }
    let message = format!(
        "{} is not a region: write a word such as `cn`, `us` or `eu-west`, in lower case",
        report.quote(place)
    );
    report.error(place, message);
    None
}

/// Whether it collects what it is sent, and whether it keeps nothing: the file's word, else the
/// catalogue's.
pub fn data(file: Option<file::Data>, known: Option<DataPolicy>) -> (Option<bool>, Option<bool>) {
    let file = file.unwrap_or_default();
    let known = known.unwrap_or_default();
    let collects = file
        .collection
        .map(|collection| collection == file::Collection::Allow);
    let is_known_to = known
        .collection
        .map(|collection| collection == Collection::Allow);
    (collects.or(is_known_to), file.zdr.or(known.zdr))
}

fn unknown(report: &mut Report, place: &Place, word: &str, known: &[&str]) {
    let message = format!("{} {}", report.quote(place), not_known(known));
    report.error_meaning(place, message, closest(word, known.iter().copied()));
}
