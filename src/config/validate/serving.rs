//! Who serves what in one route, laid out so that a request only looks up.

use crate::config::snapshot::{Candidate, Pattern, Served, Target, Tier};
use crate::routing::balance::Schedule;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// By declared canonical id, and for whatever else the route matches.
pub type Serving = (HashMap<Arc<str>, Arc<Served>>, Option<Arc<Served>>);

pub fn serving(
    targets: &[Arc<Target>],
    patterns: &[Pattern],
    fallback_models: &[Arc<str>],
) -> Serving {
    let asked = |id: &str| patterns.is_empty() || patterns.iter().any(|p| p.matches(id));
    let mut ids: BTreeSet<Arc<str>> = fallback_models.iter().cloned().collect();
    for target in targets {
        match target.model {
            // Whatever it is asked for; the route's own words name some of it.
            Some(_) => {
                let literals = patterns.iter().filter(|pattern| pattern.after.is_none());
                ids.extend(literals.map(|literal| Arc::from(literal.before.as_str())));
            }
            None => {
                let declared = target.provider.models.keys();
                ids.extend(declared.filter(|id| asked(id)).cloned());
            }
        }
    }
    let mut models = HashMap::new();
    for id in ids {
        let candidates = targets.iter().filter_map(|target| match &target.model {
            Some(own) => asked(&id).then(|| candidate(target, own)),
            None => {
                let model = target.provider.models.get(&id)?;
                Some(candidate(target, &model.name))
            }
        });
        if let Some(served) = served(Some(id.clone()), candidates) {
            models.insert(id, served);
        }
    }
    let own = targets
        .iter()
        .filter_map(|target| target.model.as_ref().map(|model| candidate(target, model)));
    (models, served(None, own))
}

/// None where nobody would ever be asked.
fn served(
    model: Option<Arc<str>>,
    candidates: impl Iterator<Item = Candidate>,
) -> Option<Arc<Served>> {
    let mut tiers: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates.filter(|candidate| candidate.target.weight > 0) {
        tiers
            .entry(candidate.target.tier)
            .or_default()
            .push(candidate);
    }
    let tiers: Vec<Tier> = tiers
        .into_iter()
        .map(|(number, candidates)| {
            let weights: Vec<u32> = candidates
                .iter()
                .map(|candidate| candidate.target.weight)
                .collect();
            Tier {
                number,
                candidates,
                schedule: Schedule::new(&weights),
            }
        })
        .collect();
    (!tiers.is_empty()).then(|| Arc::new(Served { model, tiers }))
}

fn candidate(target: &Arc<Target>, name: &Arc<str>) -> Candidate {
    let models = &target.provider.models;
    let known = models.values().find(|model| model.name == *name);
    Candidate {
        target: target.clone(),
        upstream_model: name.clone(),
        upstream_json: serde_json::Value::from(&**name).to_string().into(),
        context: known.and_then(|model| model.context),
    }
}
