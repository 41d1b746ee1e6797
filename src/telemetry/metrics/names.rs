//! The names of a configuration, and what is left of those that are not in it any more.

use crate::config::snapshot::{Keys, Snapshot};
use crate::telemetry::metrics::gen_ai::{ANSWERED, ASKED, PROVIDER};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::LabelPair;
use std::collections::{HashMap, HashSet};

/// Whose series stay.
pub struct Names<'s> {
    routes: HashSet<&'s str>,
    /// Route, provider.
    targets: HashSet<(&'s str, &'s str)>,
    providers: HashSet<&'s str>,
    models: HashSet<&'s str>,
    /// Provider, model as it is labelled.
    served: HashSet<(&'s str, &'s str)>,
    keys: HashSet<&'s str>,
}

impl<'s> Names<'s> {
    pub fn of(snapshot: &'s Snapshot) -> Names<'s> {
        let mut names = Names {
            routes: HashSet::new(),
            targets: HashSet::new(),
            providers: HashSet::new(),
            models: HashSet::new(),
            served: HashSet::new(),
            keys: HashSet::new(),
        };
        if let Keys::Known(keys) = &snapshot.keys {
            names.keys.extend(keys.values().map(|key| &*key.name));
        }
        for route in &snapshot.routes {
            names.routes.insert(&route.name);
            for target in &route.targets {
                names.targets.insert((&route.name, &target.provider.name));
                names.providers.insert(&target.provider.name);
            }
            for served in route.models.values().chain(&route.any_model) {
                let candidates = served.tiers.iter().flat_map(|tier| &tier.candidates);
                for candidate in candidates {
                    let model = served.model.as_ref().unwrap_or(&candidate.upstream_model);
                    names.models.insert(model);
                    let provider = &candidate.target.provider.name;
                    names.served.insert((provider, model));
                }
            }
        }
        names
    }

    /// Nothing is named by an empty label, so nothing has left.
    pub fn has_key(&self, key: &str) -> bool {
        key.is_empty() || self.keys.contains(key)
    }

    pub fn serves(&self, provider: &str, model: &str) -> bool {
        match (provider, model) {
            ("", "") => true,
            (provider, "") => self.providers.contains(provider),
            ("", model) => self.models.contains(model),
            both => self.served.contains(&both),
        }
    }

    fn tries(&self, route: &str, provider: &str) -> bool {
        match (route, provider) {
            ("", "") => true,
            (route, "") => self.routes.contains(route),
            ("", provider) => self.providers.contains(provider),
            both => self.targets.contains(&both),
        }
    }

    /// Removes every series that names what is not here.
    pub fn sweep<B: MetricVecBuilder>(&self, family: &MetricVec<B>) {
        let collected = family.collect();
        let series = collected.iter().flat_map(|family| family.get_metric());
        for series in series {
            let labels = series.get_label();
            if !self.know(labels) {
                let labels: HashMap<&str, &str> = labels
                    .iter()
                    .map(|label| (label.name(), label.value()))
                    .collect();
                // It was there just now, and nobody else removes any.
                let _ = family.remove(&labels);
            }
        }
    }

    fn know(&self, labels: &[LabelPair]) -> bool {
        let value = |names: &[&str]| {
            labels
                .iter()
                .find(|label| names.contains(&label.name()))
                .map_or("", |label| label.value())
        };
        let provider = value(&["provider", PROVIDER]);
        let models = [value(&["model", ASKED]), value(&[ANSWERED])];
        self.has_key(value(&["key"]))
            && self.tries(value(&["route"]), provider)
            && models.iter().all(|model| self.serves(provider, model))
    }
}
