//! `targets` of one route.

use crate::catalog::catalog;
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, Ordered};
use crate::config::snapshot::Target;
use crate::config::suggest::closest;
use crate::config::validate::limits::limits;
use crate::config::validate::names::{foreign_name, number};
use crate::config::validate::provider::Accounts;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A tier's turns are laid out in advance, in a table as long as its weights together.
const MAX_TARGETS: usize = 256;

/// The names of all targets so far.
#[derive(Default)]
pub struct Ids(HashSet<Arc<str>>);

impl Ids {
    /// Routes and providers may have slashes in their names, so that two ways could lead to one.
    /// The name, and how many there were before it.
    fn add(&mut self, route: &str, provider: &str, model: Option<&str>) -> (Arc<str>, usize) {
        let number = self.0.len();
        let plain = match model {
            Some(model) => format!("{route}/{provider}/{model}"),
            None => format!("{route}/{provider}"),
        };
        let mut id: Arc<str> = plain.as_str().into();
        let mut count = 1;
        while !self.0.insert(id.clone()) {
            count += 1;
            id = format!("{plain}#{count}").into();
        }
        (id, number)
    }
}

pub fn targets(
    report: &mut Report,
    route: &Place,
    route_name: &str,
    file: &List<file::Target>,
    accounts: &Accounts,
    ids: &mut Ids,
) -> Vec<Arc<Target>> {
    let place = route.key("targets");
    if file.is_empty() {
        report.missing(route, "targets", "missing: at least one target");
        if report.root.find(&place).is_some_and(|node| !node.pruned) {
            report.error(&place, "is empty; name at least one target");
        }
    }
    if file.len() > MAX_TARGETS {
        report.error(&place, format!("has more than {MAX_TARGETS} targets"));
        return vec![];
    }
    let mut targets = Vec::new();
    let mut weights: BTreeMap<u32, (Place, u32)> = BTreeMap::new();
    for (index, file) in file.iter().enumerate() {
        let (Some(file), place) = (file, place.index(index)) else {
            continue;
        };
        let tier = number(report, &place.key("tier"), file.tier, 1, 1..=1000);
        let weight = number(report, &place.key("weight"), file.weight, 1, 0..=1000);
        weights.entry(tier).or_insert((place.clone(), 0)).1 += weight;
        let model: Option<Arc<str>> = file.model.as_deref().map(|model| {
            foreign_name(report, &place.key("model"), model);
            model.into()
        });
        let limits = limits(report, &place.key("limits"), &file.limits);
        let options = options(report, &place.key("options"), &file.options);
        if let Some(provider) = provider(report, &place, file.provider.as_deref(), accounts) {
            let (id, number) = ids.add(route_name, &provider.name, model.as_deref());
            targets.push(Arc::new(Target {
                id,
                number,
                provider,
                index,
                tier,
                weight,
                model,
                limits,
                options,
            }));
        }
    }
    for (tier, (place, weight)) in weights {
        if weight == 0 {
            let message = format!("tier {tier} has no target with a weight above 0");
            report.error(&place.key("weight"), message);
        }
    }
    targets
}

fn provider(
    report: &mut Report,
    target: &Place,
    name: Option<&str>,
    accounts: &Accounts,
) -> Option<Arc<crate::config::snapshot::Provider>> {
    let Some(name) = name else {
        report.missing(
            target,
            "provider",
            "missing: the name of one under `providers`",
        );
        return None;
    };
    let place = target.key("provider");
    let found = accounts.get(name);
    if found.is_none() && !accounts.is_written(name) {
        let mut message = format!("unknown provider {}", report.quote(&place));
        let meant = closest(name, accounts.names());
        if meant.is_none() && catalog().get(name).is_some() {
            message.push_str("; the catalogue knows it: add it under `providers` with its key");
        }
        report.error_meaning(&place, message, meant);
    }
    found.cloned()
}

/// Names and JSON.
fn options(
    report: &mut Report,
    place: &Place,
    file: &Ordered<serde_json::Value>,
) -> Vec<(String, String)> {
    for (name, _) in &file.0 {
        let place = place.key(name.as_str());
        match name.as_str() {
            "model" => report.error(&place, "write `model` on the target itself"),
            "stream" => report.error(&place, "only the caller decides whether to stream"),
            _ => {}
        }
    }
    file.0
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}
