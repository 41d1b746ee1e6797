//! Who meets a requirement, and in which order.

use crate::cli::rank::measures::Measures;
use crate::config::requirement::Requirement;
use crate::config::snapshot::{Bound, By, Candidate, Exchange, Price, Snapshot};
use crate::routing::figures::Figures;
use crate::routing::filter;
use crate::routing::metric::Window;
use crate::routing::rank;
use std::collections::HashSet;
use std::slice;
use std::sync::Arc;

/// One provider serving one model.
pub struct Service<'s> {
    pub model: &'s Arc<str>,
    candidate: &'s Candidate,
}

impl<'s> Service<'s> {
    fn provider(&self) -> &'s Arc<str> {
        &self.candidate.target.provider.name
    }
}

pub struct Asked<'a> {
    pub requirement: &'a Requirement,
    /// None: all.
    pub model: Option<&'a str>,
    pub currency: &'a Arc<str>,
    pub exchange: Exchange,
}

/// Of one model.
pub struct Ranking<'s> {
    pub model: &'s Arc<str>,
    /// The best one first.
    pub ranked: Vec<Placed<'s>>,
    pub left_out: Vec<Placed<'s>>,
}

pub struct Placed<'s> {
    pub provider: &'s Arc<str>,
    /// One a column.
    pub values: Vec<Option<f64>>,
    /// Everything it falls short of.
    pub why: Vec<String>,
}

/// Everyone whom some route may ask: the first tiers before later ones, else in the order of the
/// file. As in plans, a target that names the provider's own model goes by that name.
pub fn services(snapshot: &Snapshot) -> Vec<Service<'_>> {
    let routes = snapshot.routes.iter();
    let served = routes.flat_map(|route| route.models.values().chain(&route.any_model));
    let mut services = Vec::new();
    let mut known = HashSet::new();
    for served in served {
        for candidate in served.tiers.iter().flat_map(|tier| &tier.candidates) {
            let model = served.model.as_ref().unwrap_or(&candidate.upstream_model);
            let service = Service { model, candidate };
            if known.insert((service.provider(), model)) {
                services.push(service);
            }
        }
    }
    services
}

/// A ranking for each model, by its name.
pub fn rank<'s>(
    services: &[Service<'s>],
    measures: &Measures,
    asked: &Asked<'_>,
) -> Vec<Ranking<'s>> {
    let is_asked = |model: &str| asked.model.is_none_or(|asked| asked == model);
    let models = services.iter().map(|service| service.model);
    let mut models: Vec<&Arc<str>> = models.filter(|model| is_asked(model)).collect();
    models.sort_unstable();
    models.dedup();
    models
        .into_iter()
        .map(|model| {
            let of_model = services.iter().filter(|service| service.model == model);
            one(model, of_model, measures, asked)
        })
        .collect()
}

fn one<'s: 'a, 'a>(
    model: &'s Arc<str>,
    services: impl Iterator<Item = &'a Service<'s>>,
    measures: &Measures,
    asked: &Asked<'_>,
) -> Ranking<'s> {
    let Requirement { require, order } = asked.requirement;
    let columns = asked.columns();
    let mut ranking = Ranking {
        model,
        ranked: Vec::new(),
        left_out: Vec::new(),
    };
    let mut keyed = Vec::new();
    for service in services {
        let candidate = asked.priced(service.candidate);
        let figures = measures.of(service.provider(), model);
        let why = shortcomings(&candidate, require, figures);
        let placed = Placed {
            provider: service.provider(),
            values: values(&candidate, figures, &columns),
            why,
        };
        if placed.why.is_empty() {
            keyed.push((values(&candidate, figures, order), placed));
        } else {
            ranking.left_out.push(placed);
        }
    }
    // Ties keep the order of the file, as in plans.
    keyed.sort_by(|(one, _), (other, _)| rank::compare_all(order, one, other));
    ranking.ranked = keyed.into_iter().map(|(_, placed)| placed).collect();
    ranking
}

fn values(candidate: &Candidate, figures: Option<&Figures>, order: &[By]) -> Vec<Option<f64>> {
    let value = |by: &By| rank::value(candidate, figures, by.metric, by.stat, Window::default());
    order.iter().map(value).collect()
}

/// A plan needs only the first of them.
fn shortcomings(
    candidate: &Candidate,
    require: &[Bound],
    figures: Option<&Figures>,
) -> Vec<String> {
    require
        .iter()
        .filter_map(|bound| filter::by_measure(candidate, slice::from_ref(bound), || figures))
        .map(|why| why.to_string())
        .collect()
}

impl Asked<'_> {
    /// What is compared, then what is required besides, each once.
    pub fn columns(&self) -> Vec<By> {
        let Requirement { require, order } = self.requirement;
        let required = require.iter().map(|bound| By {
            metric: bound.metric,
            stat: bound.stat,
        });
        let mut columns: Vec<By> = Vec::new();
        for by in order.iter().copied().chain(required) {
            if !columns.contains(&by) {
                columns.push(by);
            }
        }
        columns
    }

    /// The same with its price in the currency that is asked for: one number is compared with
    /// another, whatever they count.
    fn priced(&self, candidate: &Candidate) -> Candidate {
        let mut candidate = candidate.clone();
        let convert = |price: Price| price.into_currency(self.currency, self.exchange);
        let price = candidate.price.take().map(convert);
        if let (Some(price), Some(amounts)) = (&price, &mut candidate.facts.dollars) {
            amounts.input = price.input;
            amounts.output = price.output;
            amounts.request = price.request.unwrap_or_default();
        }
        candidate.price = price;
        candidate
    }
}
