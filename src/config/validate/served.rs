//! Whether what a route is asked for is served there at all.

use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{Match, Pattern, Retry, Target};
use crate::config::suggest::closest;
use std::sync::Arc;

pub fn declares(target: &Target, id: &str) -> bool {
    target.model.is_none() && target.provider.models.contains_key(id)
}

fn is_matched(patterns: &[Pattern], id: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(id))
}

/// Each target must serve something this route can be asked for.
pub fn check_served(
    report: &mut Report,
    place: &Place,
    targets: &[Arc<Target>],
    matches: &Match,
    fallbacks: &[(Place, Arc<str>)],
) {
    for target in targets.iter().filter(|target| target.model.is_none()) {
        let ids = || target.provider.models.keys().map(|id| &**id);
        let serves = ids().any(|id| is_matched(&matches.models, id))
            || fallbacks.iter().any(|(_, id)| declares(target, id));
        if serves {
            continue;
        }
        let literal = matches
            .models
            .iter()
            .find(|pattern| pattern.after.is_none());
        let meant = literal.and_then(|literal| closest(&literal.before, ids()));
        let (place, name) = (place.index(target.index), &target.provider.name);
        let advice = format!("name one with `model`, or declare it in `providers.{name}.models`");
        let message = if target.provider.models.is_empty() {
            format!("`{name}` declares no models; {advice}")
        } else {
            format!("`{name}` serves none of this route's models; {advice}")
        };
        report.error_meaning(&place, message, meant);
    }
}

pub fn check_fallbacks(
    report: &mut Report,
    targets: &[Arc<Target>],
    fallbacks: &[(Place, Arc<str>)],
) {
    for (place, id) in fallbacks {
        if !targets.iter().any(|target| declares(target, id)) {
            let message = format!("no target of this route serves {}", report.quote(place));
            let ids = targets
                .iter()
                .flat_map(|target| target.provider.models.keys());
            let meant = closest(id, ids.map(|id| &**id));
            report.error_meaning(place, message, meant);
        }
    }
}

/// A pattern that nothing here answers to is perhaps misspelt.
pub fn warn_of_unserved(
    report: &mut Report,
    place: &Place,
    targets: &[Arc<Target>],
    matches: &Match,
) {
    if targets.iter().any(|target| target.model.is_some()) {
        return;
    }
    let ids = || {
        targets
            .iter()
            .flat_map(|target| target.provider.models.keys().map(|id| &**id))
    };
    for (index, pattern) in matches.models.iter().enumerate() {
        if !ids().any(|id| pattern.matches(id)) {
            let place = place.index(index);
            let message = format!("no target of this route serves {}", report.quote(&place));
            let meant = closest(&pattern.before, ids());
            report.warn_meaning(&place, message, meant);
        }
    }
}

pub fn warn_of_unreachable(
    report: &mut Report,
    place: &Place,
    retry: &Retry,
    targets: &[Arc<Target>],
    fallback_models: &[Arc<str>],
) {
    let tier = targets.first().map(|target| target.tier);
    let later = targets.iter().any(|target| Some(target.tier) != tier);
    let why = match (retry.causes.is_empty(), retry.attempts) {
        (true, _) => "`retry.for` is empty",
        (false, 1) => "`retry.attempts` is 1",
        _ => return,
    };
    if later || !fallback_models.is_empty() {
        let what = if later {
            "a later tier"
        } else {
            "a fallback model"
        };
        report.warn(place, format!("{why}: {what} is never reached"));
    }
}
