//! The targets for one request, in the order in which they are to be tried, and for each target
//! left out, why.

use crate::config::snapshot::{Balance, Candidate, Endpoint, Route, Rules, Served, Tier};
use crate::routing::figures::Figures;
use crate::routing::filter::{self, Exclusion, Wants};
use crate::routing::preferences::Partition;
use crate::routing::rank;
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
    /// Those of the route that its model was found in.
    pub rules: &'r Rules,
}

impl Step<'_> {
    /// Its name.
    pub fn provider(&self) -> &str {
        &self.candidate.target.provider.name
    }
}

/// A target that would serve the model, but may not.
#[derive(Debug, Clone, Copy)]
pub struct Excluded<'r> {
    pub candidate: &'r Candidate,
    pub model: &'r str,
    pub why: Exclusion,
}

#[derive(Debug, Default)]
pub struct Plan<'r> {
    pub steps: Vec<Step<'r>>,
    pub excluded: Vec<Excluded<'r>>,
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
        let mut all = Vec::with_capacity(candidates.len());
        self.each(candidates.len(), |place| all.extend(candidates.get(place)));
        all
    }

    fn each(&self, count: usize, mut place: impl FnMut(usize)) {
        match self {
            Order::From(first) => {
                let first = (*first).min(count);
                (first..count).chain(0..first).for_each(place);
            }
            Order::Ranked(places) => places.iter().for_each(|one| place(*one)),
        }
    }
}

/// A model to ask for, and who serves it.
#[derive(Clone, Copy)]
pub struct Leg<'r> {
    /// Its rules hold, and its balance.
    pub route: &'r Route,
    pub served: &'r Served,
    /// As the caller, or the configuration, names the model.
    pub asked: Option<&'r str>,
}

/// What the plan is made for.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// None: any.
    pub endpoint: Option<Endpoint>,
    pub wants: Wants<'a>,
    /// Of the caller's key: providers to be asked first.
    pub prefer: &'a [Arc<str>],
}

/// All steps: the tiers of one leg after those of the other. `figures` tells what was measured of a
/// provider and a model. `order` is told the tier, whether it is the one that is tried first (only
/// there a turn is taken, the others may never be entered), and which places may be asked at all.
pub fn plan<'r, 'f>(
    legs: &[Leg<'r>],
    asking: &Asking<'_>,
    figures: impl Fn(&str, &str) -> Option<&'f Figures>,
    mut order: impl FnMut(&Route, &Tier, bool, &dyn Fn(usize) -> bool) -> Order,
) -> Plan<'r> {
    let mut plan = Plan {
        steps: Vec::with_capacity(4),
        excluded: Vec::new(),
    };
    let mut begins = Vec::with_capacity(legs.len());
    for leg in legs {
        begins.push(plan.steps.len());
        add(&mut plan, leg, asking, &figures, &mut order);
    }
    reorder(&mut plan.steps, &begins, legs, asking, &figures);
    if asking.wants.preferences.no_fallbacks && asking.wants.preferences.order.is_empty() {
        for step in plan.steps.drain(plan.steps.len().min(1)..) {
            plan.excluded.push(Excluded {
                candidate: step.candidate,
                model: step.model,
                why: Exclusion::NoFallback,
            });
        }
    }
    plan
}

/// One leg in the order of the configuration.
fn add<'r, 'f>(
    plan: &mut Plan<'r>,
    leg: &Leg<'r>,
    asking: &Asking<'_>,
    figures: &impl Fn(&str, &str) -> Option<&'f Figures>,
    order: &mut impl FnMut(&Route, &Tier, bool, &dyn Fn(usize) -> bool) -> Order,
) {
    let Leg {
        route,
        served,
        asked,
    } = *leg;
    let mut rank = plan.steps.last().map_or(0, |last| last.rank + 1);
    let mut entered = plan.steps.is_empty();
    let model_of = |candidate: &'r Candidate| {
        let own = served.model.as_deref().or(asked);
        own.unwrap_or(&candidate.upstream_model)
    };
    let label_of =
        |candidate: &'r Candidate| served.model.as_ref().unwrap_or(&candidate.upstream_model);
    let asks = filter::asks(&route.rules, &route.require, &asking.wants);
    for tier in &served.tiers {
        let permitted: Permitted = tier
            .candidates
            .iter()
            .map(|candidate| {
                let provider = &candidate.target.provider;
                let serves = |one| provider.endpoints.contains(&one);
                if !asking.endpoint.is_none_or(serves) {
                    return false;
                }
                if !asks {
                    return true;
                }
                let measured = || figures(&provider.name, label_of(candidate));
                let rules = (&route.rules, &*route.require);
                let why = filter::exclusion(candidate, rules.0, rules.1, &asking.wants, measured);
                plan.excluded.extend(why.map(|why| Excluded {
                    candidate,
                    model: model_of(candidate),
                    why,
                }));
                why.is_none()
            })
            .collect();
        if !permitted.any() {
            continue;
        }
        let order = if route.balance == Balance::Ranked {
            Order::Ranked(ranked(route, tier, &permitted, |candidate| {
                let label = served.model.as_ref().unwrap_or(&candidate.upstream_model);
                figures(&candidate.target.provider.name, label)
            }))
        } else {
            order(route, tier, entered, &|place| permitted.has(place))
        };
        order.each(tier.candidates.len(), |place| {
            let Some(candidate) = tier.candidates.get(place).filter(|_| permitted.has(place))
            else {
                return;
            };
            plan.steps.push(Step {
                candidate,
                model: model_of(candidate),
                model_json: served.model_json.as_ref(),
                label: label_of(candidate),
                rank,
                tier,
                rules: &route.rules,
            });
        });
        entered = false;
        rank += 1;
    }
}

/// Which candidates of a tier may be asked. A route has at most 256 targets.
#[derive(Default)]
struct Permitted([u64; 4], usize);

impl FromIterator<bool> for Permitted {
    fn from_iter<I: IntoIterator<Item = bool>>(all: I) -> Self {
        let mut permitted = Permitted::default();
        for is in all {
            if let Some(word) = permitted.0.get_mut(permitted.1 / 64) {
                *word |= u64::from(is) << (permitted.1 % 64);
            }
            permitted.1 += 1;
        }
        permitted
    }
}

impl Permitted {
    fn has(&self, place: usize) -> bool {
        let word = self.0.get(place / 64);
        word.is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    fn any(&self) -> bool {
        self.0 != [0; 4]
    }
}

/// Ties keep the order of the file.
fn ranked<'f>(
    route: &Route,
    tier: &Tier,
    permitted: &Permitted,
    figures: impl Fn(&Candidate) -> Option<&'f Figures>,
) -> Vec<usize> {
    let (order, count) = (&*route.order, tier.candidates.len());
    // The keys of all candidates one after another, and for each place where its own begin.
    let mut keys = Vec::with_capacity(count * order.len());
    let mut places = Vec::with_capacity(count);
    for (place, candidate) in tier.candidates.iter().enumerate() {
        if permitted.has(place) {
            places.push((place, keys.len()));
            keys.extend(rank::keys(candidate, figures(candidate), order));
        }
    }
    let of = |begin: usize| keys.get(begin..begin + order.len()).unwrap_or_default();
    places.sort_by(|(_, one), (_, other)| rank::compare_all(order, of(*one), of(*other)));
    places.into_iter().map(|(place, _)| place).collect()
}

/// Where a step goes by what is preferred, before anything the configuration says of tiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    leg: usize,
    /// Who prefers it: the request, the key, the route, nobody.
    by: u8,
    place: usize,
    slow: bool,
}

/// What callers, keys and routes prefer comes first, whatever its tier.
fn reorder<'r, 'f>(
    steps: &mut Vec<Step<'r>>,
    begins: &[usize],
    legs: &[Leg<'r>],
    asking: &Asking<'_>,
    figures: &impl Fn(&str, &str) -> Option<&'f Figures>,
) {
    let preferences = asking.wants.preferences;
    let is_fast = preferences.min_throughput.is_empty() && preferences.max_latency.is_empty();
    let sorts = preferences.sort.is_some();
    let prefers = !preferences.order.is_empty()
        || !asking.prefer.is_empty()
        || legs.iter().any(|leg| !leg.route.prefer.is_empty());
    if is_fast && !sorts && !prefers {
        return;
    }
    let apart = preferences
        .sort
        .is_none_or(|sort| sort.partition == Partition::Model);
    let mut keyed: Vec<_> = steps
        .drain(..)
        .enumerate()
        .map(|(at, step)| {
            let leg = begins.partition_point(|begin| *begin <= at).max(1) - 1;
            let provider = &step.candidate.target.provider;
            let measured = (sorts || !is_fast)
                .then(|| figures(&provider.name, step.label))
                .flatten();
            let route = legs.get(leg).map(|leg| leg.route);
            let position = |list: &[Arc<str>]| list.iter().position(|name| *name == provider.name);
            let (by, place) = preferences
                .place(&[&*provider.name, &*provider.vendor])
                .map(|place| (0, place))
                .or_else(|| position(asking.prefer).map(|place| (1, place)))
                .or_else(|| position(&route?.prefer).map(|place| (2, place)))
                .unwrap_or((3, 0));
            let group = Group {
                leg: if apart { leg } else { 0 },
                by,
                place,
                slow: !is_fast && !rank::is_fast_enough(step.candidate, measured, preferences),
            };
            let key = preferences
                .sort
                .map(|sort| rank::sort_key(step.candidate, measured, sort.by));
            (group, key, step)
        })
        .collect();
    keyed.sort_by(|(group, key, _), (other_group, other_key, _)| {
        group.cmp(other_group).then_with(|| match (key, other_key) {
            (Some((metric, one)), Some((_, other))) => rank::compare(*metric, *one, *other),
            _ => std::cmp::Ordering::Equal,
        })
    });
    // Those preferred alike, and all that are sorted, are equals; else a tier remains a tier.
    let mut rank = 0;
    let mut before = None;
    steps.extend(keyed.into_iter().map(|(group, _, mut step)| {
        let tier = (group.by == 3 && !sorts).then_some(step.rank);
        let here = (group.leg, group.by, group.slow, tier);
        if before.is_some_and(|before| before != here) {
            rank += 1;
        }
        before = Some(here);
        step.rank = rank;
        step
    }));
}
