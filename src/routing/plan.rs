//! The targets for one request, in the order in which they are to be tried.

use crate::config::snapshot::{Candidate, Endpoint, Route, Served, Tier};
use bytes::Bytes;
use std::sync::Arc;

/// One entry of the plan.
#[derive(Debug, Clone, Copy)]
pub struct Step<'r> {
    pub candidate: &'r Candidate,
    /// The canonical id of what answers here.
    pub model: &'r str,
    /// The same as a JSON string, where it was known before the request.
    pub model_json: Option<&'r Bytes>,
    /// The same for metrics: always a name from the configuration.
    pub label: &'r Arc<str>,
    /// Rises with every tier and every other model: entering a higher one is spilling.
    pub rank: u32,
    /// Where it stands among its equals.
    pub tier: &'r Tier,
}

impl Step<'_> {
    /// Its name.
    pub fn provider(&self) -> &str {
        &self.candidate.target.provider.name
    }
}

/// In which order the candidates of one tier are tried, by their places.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// From this one on, round to it.
    From(usize),
    Ranked(Vec<usize>),
}

impl Order {
    /// The candidates, in this order.
    pub fn of<'c>(&self, candidates: &'c [Candidate]) -> Vec<&'c Candidate> {
        match self {
            Order::From(first) => {
                let (before, from) = candidates.split_at((*first).min(candidates.len()));
                from.iter().chain(before).collect()
            }
            Order::Ranked(places) => places
                .iter()
                .filter_map(|place| candidates.get(*place))
                .collect(),
        }
    }
}

/// All steps: the asked model's tiers first, then each fallback model's. `order` is told whether a
/// tier is the one that is tried first: only there a turn is taken, the others may never be entered.
pub fn plan<'r>(
    route: &'r Route,
    served: &'r Served,
    asked: Option<&'r str>,
    endpoint: Endpoint,
    may_use: impl Fn(&str) -> bool,
    mut order: impl FnMut(&Tier, bool) -> Order,
) -> Vec<Step<'r>> {
    let mut steps = Vec::with_capacity(4);
    let mut rank = 0;
    add(&mut steps, &mut rank, served, asked, endpoint, &mut order);
    for model in &route.fallback_models {
        if asked == Some(&**model) || !may_use(model) {
            continue;
        }
        if let Some(other) = route.models.get(model) {
            add(
                &mut steps,
                &mut rank,
                other,
                Some(model),
                endpoint,
                &mut order,
            );
        }
    }
    steps
}

fn add<'r>(
    steps: &mut Vec<Step<'r>>,
    rank: &mut u32,
    served: &'r Served,
    asked: Option<&'r str>,
    endpoint: Endpoint,
    order: &mut impl FnMut(&Tier, bool) -> Order,
) {
    for tier in &served.tiers {
        let planned = steps.len();
        let mut push = |candidate: &'r Candidate| {
            if !candidate.target.provider.endpoints.contains(&endpoint) {
                return;
            }
            steps.push(Step {
                candidate,
                model: served
                    .model
                    .as_deref()
                    .or(asked)
                    .unwrap_or(&candidate.upstream_model),
                model_json: served.model_json.as_ref(),
                label: served.model.as_ref().unwrap_or(&candidate.upstream_model),
                rank: *rank,
                tier,
            });
        };
        match order(tier, *rank == 0) {
            Order::From(first) => {
                let (before, from) = tier.candidates.split_at(first.min(tier.candidates.len()));
                from.iter().chain(before).for_each(&mut push);
            }
            Order::Ranked(places) => places
                .iter()
                .filter_map(|place| tier.candidates.get(*place))
                .for_each(&mut push),
        }
        if steps.len() > planned {
            *rank += 1;
        }
    }
}
