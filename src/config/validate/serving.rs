//! Who serves what in one route, laid out so that a request only looks up.

use crate::config::snapshot::{Candidate, Facts, Pattern, ProviderModel, Served, Target, Tier};
use bytes::Bytes;
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
    // What a target with a model of its own sends is the same whatever was asked.
    let own: Vec<Option<Candidate>> = targets.iter().map(own_candidate).collect();
    let mut models = HashMap::new();
    for id in ids {
        let candidates = targets
            .iter()
            .zip(&own)
            .filter_map(|(target, own)| match own {
                Some(own) => asked(&id).then(|| own.clone()),
                None => {
                    let model = target.provider.models.get(&id)?;
                    Some(candidate(target, &model.name, Some(model)))
                }
            });
        if let Some(served) = served(Some(id.clone()), candidates) {
            models.insert(id, served);
        }
    }
    (models, served(None, own.into_iter().flatten()))
}

/// For a route that streams through: whose turn it is, whatever the body holds.
pub fn streaming(targets: &[Arc<Target>]) -> Serving {
    let unnamed: Arc<str> = Arc::from("");
    let candidates = targets
        .iter()
        .map(|target| candidate(target, &unnamed, None));
    (HashMap::new(), served(None, candidates))
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
        .map(|(number, candidates)| Tier::new(number, candidates))
        .collect();
    (!tiers.is_empty()).then(|| {
        Arc::new(Served {
            model_json: model.as_deref().map(json_string),
            model,
            tiers,
        })
    })
}

fn own_candidate(target: &Arc<Target>) -> Option<Candidate> {
    let name = target.model.as_ref()?;
    let known = target
        .provider
        .models
        .values()
        .find(|model| model.is_called(name));
    Some(candidate(target, name, known))
}

fn candidate(
    target: &Arc<Target>,
    name: &Arc<str>,
    known: Option<&Arc<ProviderModel>>,
) -> Candidate {
    Candidate {
        target: target.clone(),
        upstream_model: name.clone(),
        upstream_json: json_string(name),
        context: known.and_then(|model| model.context),
        price: known.and_then(|model| model.price.clone()),
        served_as: known.and_then(|model| model.served_as.clone()),
        facts: facts(target, known),
    }
}

fn facts(target: &Target, known: Option<&Arc<ProviderModel>>) -> Facts {
    let provider = &target.provider;
    Facts {
        collects: provider.collects,
        zdr: provider.zdr,
        capabilities: known.and_then(|model| model.capabilities),
        quantization: known.and_then(|model| model.quantization),
        scores: known.map(|model| model.scores.clone()).unwrap_or_default(),
        dollars: known.and_then(|model| Some(model.price.as_ref()?.dollars())),
    }
}

fn json_string(text: &str) -> Bytes {
    serde_json::Value::from(text).to_string().into()
}

#[cfg(test)]
mod tests {
    use crate::config::load::load_str;
    use crate::config::snapshot::Snapshot;

    #[test]
    fn a_models_name_is_ready_to_be_spliced() {
        let text = "
providers:
  one: { base_url: 'http://127.0.0.1:1/v1', auth: none, models: { a/b: { name: b } } }
routes:
  - { name: declared, match: { models: [a/*] }, targets: [{ provider: one }] }
  - { name: own, match: { path: /x }, targets: [{ provider: one, model: c }] }
server: { listen: '127.0.0.1:0' }
";
        let snapshot: Snapshot = load_str(text, "o.yaml", &|_| None).unwrap().snapshot;
        let [declared, own] = snapshot.routes.as_slice() else {
            panic!("two routes")
        };
        let served = &declared.models["a/b"];
        assert_eq!(served.model_json.as_deref(), Some(&b"\"a/b\""[..]));
        assert_eq!(own.any_model.as_ref().unwrap().model_json, None);
    }
}
