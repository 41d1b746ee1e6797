//! `balance` and `sticky`, and what is suspicious beside them.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Balance, By, Pattern, StickyBy, Target};
use crate::config::validate::names::header_name;
use std::sync::Arc;

/// What the file leaves out is as in `base`.
pub fn balance(file: Option<file::Balance>, base: Balance) -> Balance {
    match file {
        None => base,
        Some(file::Balance::Weighted) => Balance::Weighted,
        Some(file::Balance::Fastest) => Balance::Fastest,
        Some(file::Balance::LeastBusy) => Balance::LeastBusy,
        Some(file::Balance::Cheapest) => Balance::Cheapest,
        Some(file::Balance::Sticky) => Balance::Sticky,
        Some(file::Balance::Ranked) => Balance::Ranked,
    }
}

fn word(balance: Balance) -> &'static str {
    match balance {
        Balance::Weighted => "weighted",
        Balance::Fastest => "fastest",
        Balance::LeastBusy => "least_busy",
        Balance::Cheapest => "cheapest",
        Balance::Sticky => "sticky",
        Balance::Ranked => "ranked",
    }
}

pub fn sticky(report: &mut Report, place: &Place, list: &List<file::StickyBy>) -> Vec<StickyBy> {
    let mut by = Vec::new();
    for (place, file) in elements(list, place) {
        let one = match file {
            file::StickyBy::Session => StickyBy::Session,
            file::StickyBy::Key => StickyBy::Key,
            file::StickyBy::Message => StickyBy::Message,
            file::StickyBy::Header(Some(name)) => {
                match header_name(report, &place.key("header"), name) {
                    Some(name) => StickyBy::Header(name),
                    None => continue,
                }
            }
            file::StickyBy::Header(None) => {
                report.missing(&place, "header", "missing: the name of a header");
                continue;
            }
        };
        if by.contains(&one) {
            report.error(&place, "is named twice");
        }
        by.push(one);
    }
    if list.is_empty() {
        report.error(place, "is empty; leave it out for [session, message]");
    }
    by
}

/// `sticky` that this route itself writes.
pub fn check_sticky(report: &mut Report, route: &Place, balance: Balance) {
    let known = !report.was_refused(&route.key("balance"));
    if balance != Balance::Sticky && known {
        let message = format!(
            "has no effect with `balance: {}`; write `balance: sticky`, or remove it",
            word(balance)
        );
        report.error(&route.key("sticky"), message);
    }
}

/// `order` and `balance: ranked` are nothing without each other.
pub fn check_order(report: &mut Report, route: &Place, balance: Balance, order: &[By], own: bool) {
    let order_place = route.key("order");
    if report.is_damaged(&route.key("balance")) || report.is_damaged(&order_place) {
        return;
    }
    if balance == Balance::Ranked && order.is_empty() && !own {
        let message = "ranks by nothing; give the route an `order`, such as \
                       `[{ metric: output_price }]`";
        report.missing(
            route,
            "order",
            &format!("missing: `balance: ranked` {message}"),
        );
    }
    if own && balance != Balance::Ranked {
        let message = format!(
            "has no effect with `balance: {}`; write `balance: ranked`, or remove it",
            word(balance)
        );
        report.error(&order_place, message);
    }
}

/// `sticky` in `defaults` is there for the routes that balance so.
pub fn check_default_sticky(report: &mut Report, mut balances: impl Iterator<Item = Balance>) {
    let root = Place::root();
    let place = root.key("defaults").key("sticky");
    let written = report.root.find(&place).is_some_and(|node| !node.pruned);
    let damaged = [root.key("defaults").key("balance"), root.key("routes")]
        .iter()
        .any(|place| report.is_damaged(place));
    if written && !damaged && !balances.any(|balance| balance == Balance::Sticky) {
        let message = "has no effect: no route has `balance: sticky`; write that, or remove it";
        report.error(&place, message);
    }
}

pub fn warn_of_weights(
    report: &mut Report,
    targets: &Place,
    balance: Balance,
    file: &List<file::Target>,
) {
    if !matches!(balance, Balance::Fastest | Balance::LeastBusy) {
        return;
    }
    // A weight of 0 holds everywhere.
    let first = elements(file, targets)
        .into_iter()
        .find(|(_, target)| target.weight.is_some_and(|weight| weight > 0));
    if let Some((place, _)) = first {
        let message = format!("weights have no effect with `balance: {}`", word(balance));
        report.warn(&place.key("weight"), message);
    }
}

/// Only where there is something to compare with.
pub fn warn_of_prices(
    report: &mut Report,
    place: &Place,
    targets: &[Arc<Target>],
    patterns: &[Pattern],
    fallback_models: &[Arc<str>],
) {
    let asked = |id: &Arc<str>| {
        patterns.is_empty()
            || patterns.iter().any(|pattern| pattern.matches(id))
            || fallback_models.contains(id)
    };
    let live = || targets.iter().filter(|target| target.weight > 0);
    for target in live() {
        if live().filter(|other| other.tier == target.tier).count() < 2 {
            continue;
        }
        let place = place.index(target.index);
        let models = &target.provider.models;
        let unknown = match &target.model {
            Some(name) => {
                let is_priced = models
                    .values()
                    .any(|model| model.name == *name && model.price.is_some());
                (!is_priced).then(|| report.quote(&place.key("model")))
            }
            None => {
                let unpriced = models
                    .iter()
                    .filter(|(id, model)| asked(id) && model.price.is_none());
                let first = unpriced.map(|(id, _)| id).min();
                first.map(|id| format!("`{id}`"))
            }
        };
        if let Some(model) = unknown {
            let message = format!(
                "its price of {model} is unknown, so `balance: cheapest` asks it last; \
                 declare one in `providers.{}.models`",
                target.provider.name
            );
            report.warn(&place, message);
        }
    }
}

pub fn warn_of_limits(
    report: &mut Report,
    place: &Place,
    targets: &[Arc<Target>],
    fallback_models: &[Arc<str>],
) {
    let mut live = targets.iter().filter(|target| target.weight > 0);
    let Some(first) = live.next() else { return };
    let all_limited = !first.limits.is_empty()
        && live.all(|other| other.tier == first.tier && !other.limits.is_empty());
    if all_limited && fallback_models.is_empty() {
        let message = "what goes over has nowhere to spill and is refused; \
                       give the route a target in a later tier, or `fallback_models`";
        report.warn(&place.index(first.index).key("limits"), message);
    }
}
