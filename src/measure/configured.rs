//! What a configuration lets be measured.

use crate::config::snapshot::{Candidate, Snapshot};
use crate::measure::table::Pair;
use std::sync::Arc;

/// Every pair that a request may be served by.
pub fn pairs(snapshot: &Snapshot) -> impl Iterator<Item = Pair> {
    candidates(snapshot).map(|(model, candidate)| {
        let provider = &candidate.target.provider.name;
        (Arc::clone(provider), Arc::clone(model))
    })
}

/// Whoever serves anything, with what it is called there. As in plans, a target that names the
/// provider's own model goes by that name.
pub fn candidates(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<str>, &Candidate)> {
    let served = snapshot
        .routes
        .iter()
        .flat_map(|route| route.models.values().chain(&route.any_model));
    served.flat_map(|served| {
        let candidates = served.tiers.iter().flat_map(|tier| &tier.candidates);
        candidates.map(|candidate| {
            let model = served.model.as_ref().unwrap_or(&candidate.upstream_model);
            (model, candidate)
        })
    })
}
