//! `budget` of a key: what it may spend, and what makes that hard to know.

use crate::config::file;
use crate::config::money::Rate;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Budget, Key, Keys, Mode, Route, Store};
use crate::config::suggest::closest;
use crate::config::units::show_time;
use crate::config::validate::rules::Known;
use std::sync::Arc;

const PER: &str = "missing: the window it is for; write `per: month`, or `day`, `week` or `total`";
const AMOUNT: &str = "missing: how much may be spent; write `usd: 50`, \
                      or any currency that `currencies` has a rate for";

pub fn budget(
    report: &mut Report,
    place: &Place,
    file: &file::Budget,
    known: Known<'_>,
) -> Option<Budget> {
    if file.per.is_none() {
        report.missing(place, "per", PER);
    }
    if file.amounts.is_empty() && !report.is_damaged(place) {
        report.missing(place, "usd", AMOUNT);
    }
    let mut limit = None;
    for (field, amount) in &file.amounts {
        let at = place.key(field.as_str());
        let Some(rate) = rate_of(report, &at, field, known) else {
            continue;
        };
        if limit.is_some() {
            report.error(&at, "is a second amount; a budget is in one currency");
        }
        limit = Some(amount.in_dollars(rate));
    }
    Some(Budget {
        limit: limit?,
        per: file.per?,
    })
}

/// The name of the field is the currency, in small letters or in capital ones.
fn rate_of(report: &mut Report, at: &Place, field: &str, known: Known<'_>) -> Option<Rate> {
    let code = field.to_ascii_uppercase();
    if let Some((_, exchange)) = known.currencies.get(&code) {
        return Some(exchange.to_usd);
    }
    // What is wrong with its rate was said where that stands.
    if !report.was_written(&Place::root().key("currencies").key(code)) {
        let codes = known.currencies.0.keys();
        let codes: Vec<String> = codes.map(|code| code.to_ascii_lowercase()).collect();
        let fields = codes.iter().map(String::as_str).chain(["per"]);
        let message = "is no currency that has a rate; write `usd`, or how much of it a dollar \
                       is in `currencies`, such as `currencies: { CNY: 7.3 }`";
        report.error_meaning(at, message, closest(field, fields));
    }
    None
}

/// What is legal, and yet leaves a budget without the numbers it is to be held by.
pub fn suspicious(
    report: &mut Report,
    file: &List<file::Key>,
    keys: &Keys,
    routes: &[Arc<Route>],
    store: Option<&Store>,
) {
    for (place, key) in elements(file, &Place::root().key("keys")) {
        let named = |known: &&Arc<Key>| key.name.as_deref() == Some(&*known.name);
        let Some(key) = keys.all().find(named) else {
            continue;
        };
        let Some(budget) = key.budget else {
            continue;
        };
        let at = place.key("budget");
        if !has_price(key, routes) {
            report.warn(
                &at,
                "no price is known of any model that this key may use: nothing is reserved, \
                 and only what a provider tells of its cost is counted",
            );
        }
        let Some(store) = store else {
            let message = "without a `store` a restart forgets what was spent";
            report.warn(&at, message);
            continue;
        };
        if budget
            .per
            .longest()
            .is_none_or(|longest| store.retention < longest)
        {
            let message = format!(
                "is for longer than `store.retention` ({}): a restart forgets what is older",
                show_time(store.retention)
            );
            report.warn(&at, message);
        }
    }
}

/// Somebody whose price is known serves it a model.
fn has_price(key: &Key, routes: &[Arc<Route>]) -> bool {
    let open = routes.iter().filter(|route| {
        let only = &route.matches.keys;
        route.mode == Mode::Call && (only.is_empty() || only.contains(&key.name))
    });
    open.flat_map(|route| route.models.values().chain(&route.any_model))
        .filter(|served| served.model.as_ref().is_none_or(|model| key.may_use(model)))
        .flat_map(|served| &served.tiers)
        .flat_map(|tier| &tier.candidates)
        .any(|candidate| candidate.price.is_some())
}
