//! `routes`, in the order of the file.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Balance, Mode, Route};
use crate::config::suggest::closest;
use crate::config::validate::access::KeyNames;
use crate::config::validate::balance::{
    check_default_sticky, check_order, check_sticky, warn_of_limits, warn_of_prices,
    warn_of_weights,
};
use crate::config::validate::matches::{hides, matches};
use crate::config::validate::names;
use crate::config::validate::policy::{Policy, overlay};
use crate::config::validate::rules::Known;
use crate::config::validate::served::{
    check_fallbacks, check_served, declares, warn_of_unreachable, warn_of_unserved,
};
use crate::config::validate::serving::{serving, streaming};
use crate::config::validate::target::{Ids, targets};
use std::collections::HashMap;
use std::sync::Arc;

pub fn routes(
    report: &mut Report,
    file: List<file::Route>,
    defaults: &Policy,
    known: Known<'_>,
    keys: &KeyNames,
) -> Vec<Arc<Route>> {
    let root = Place::root();
    let place = root.key("routes");
    if file.is_empty() {
        report.missing(&root, "routes", "missing: at least one route");
        if report.root.find(&place).is_some_and(|node| !node.pruned) {
            report.error(&place, "is empty; give at least one route");
        }
    }
    let mut names_so_far = Names::default();
    let mut ids = Ids::default();
    let mut routes: Vec<Arc<Route>> = Vec::new();
    for (index, file) in file.into_iter().enumerate() {
        let Some(file) = file else { continue };
        let place = place.index(index);
        let name = names_so_far.add(report, &place, index, file.name.as_deref());
        let reader = Reader {
            place,
            defaults,
            known,
            keys,
        };
        let index = routes.len();
        let Some(route) = reader.route(report, file, name, index, &mut ids) else {
            continue;
        };
        if let Some(earlier) = routes.iter().find(|earlier| hides(earlier, &route)) {
            let message = format!(
                "is never reached: {} before it takes all it would; \
                 move this route up, or narrow one of the two",
                names_so_far.shown(report, &earlier.name)
            );
            report.error(&reader.place, message);
        }
        routes.push(Arc::new(route));
    }
    check_default_fallbacks(report, defaults, &routes);
    check_default_sticky(report, routes.iter().map(|route| route.balance));
    routes
}

/// A model that no route at all can fall back to.
fn check_default_fallbacks(report: &mut Report, defaults: &Policy, routes: &[Arc<Route>]) {
    for (place, id) in &defaults.fallback_models {
        if !routes.is_empty() && !routes.iter().any(|route| route.models.contains_key(id)) {
            let message = format!("no route serves {}", report.quote(place));
            let ids = routes
                .iter()
                .flat_map(|route| route.models.keys().map(|id| &**id));
            let meant = closest(id, ids);
            report.error_meaning(place, message, meant);
        }
    }
}

/// The names given so far, with the route that has each.
#[derive(Default)]
struct Names(HashMap<Arc<str>, Place>);

impl Names {
    fn add(
        &mut self,
        report: &mut Report,
        place: &Place,
        index: usize,
        given: Option<&str>,
    ) -> Arc<str> {
        let name: Arc<str> = match given {
            Some(name) => name.into(),
            None => format!("route-{}", index + 1).into(),
        };
        let at = place.key("name");
        if given.is_some() && !names::name(report, &at, &name) {
            return name;
        }
        match self.0.get(&name) {
            Some(first) if given.is_some() => {
                let message = format!("{} is the name of {first} already", report.quote(&at));
                report.error(&at, message);
            }
            Some(first) => {
                let message = format!("`{name}`, its name by default, is that of {first} already");
                report.error(place, message);
            }
            None => {
                self.0.insert(name.clone(), place.clone());
            }
        }
        name
    }

    /// As the file has it: the name may have come through a reference.
    fn shown(&self, report: &Report, name: &str) -> String {
        match self.0.get(name) {
            Some(place) if report.root.find(&place.key("name")).is_some() => {
                format!("{place} ({})", report.quote(&place.key("name")))
            }
            Some(place) => place.to_string(),
            None => "a route".to_owned(),
        }
    }
}

/// What a route leaves to `defaults`.
struct Inherits {
    max_price: bool,
    quantizations: bool,
    require: bool,
}

impl Inherits {
    /// What is not known of anybody whose bodies are not read: nobody could serve.
    fn refuse_what_bars_all(&self, report: &mut Report, place: &Place, policy: &Policy) {
        let rules = &policy.rules;
        for (field, bars, lifted) in [
            (
                "max_price",
                self.max_price && !rules.max_price.is_empty(),
                "{}",
            ),
            (
                "quantizations",
                self.quantizations && !rules.quantizations.is_empty(),
                "[]",
            ),
            ("require", self.require && !policy.require.is_empty(), "[]"),
        ] {
            if bars {
                let message = format!(
                    "nobody could serve: `{field}` of `defaults` cannot be judged with `mode: \
                     stream`, which reads no model; write `{field}: {lifted}` here if it is not \
                     to hold"
                );
                report.error(place, message);
            }
        }
    }
}

struct Reader<'a> {
    place: Place,
    defaults: &'a Policy,
    known: Known<'a>,
    keys: &'a KeyNames,
}

impl Reader<'_> {
    /// None where its match is wrong: it cannot be compared with the others.
    fn route(
        &self,
        report: &mut Report,
        mut file: file::Route,
        name: Arc<str>,
        index: usize,
        ids: &mut Ids,
    ) -> Option<Route> {
        let place = &self.place;
        let mode = match file.mode {
            None | Some(file::Mode::Call) => Mode::Call,
            Some(file::Mode::Stream) => Mode::Stream,
        };
        if mode == Mode::Stream {
            self.refuse_for_stream(report, &file);
        }
        let own_fallback = file.fallback_models.is_some();
        let own_sticky = file.sticky.is_some();
        let own_order = file.order.is_some();
        let inherits = Inherits {
            max_price: file.max_price.is_none(),
            quantizations: file.quantizations.is_none(),
            require: file.require.is_none(),
        };
        let policy = overlay(report, place, file.take_policy(), self.defaults, self.known);
        if mode == Mode::Stream {
            inherits.refuse_what_bars_all(report, place, &policy);
        }
        if own_sticky {
            check_sticky(report, place, policy.balance);
        }
        check_order(report, place, policy.balance, &policy.order, own_order);
        let errors = report.count();
        let matches = matches(report, &place.key("match"), &file.matches, self.keys);
        let comparable = errors == report.count()
            && ["match", "mode"]
                .iter()
                .all(|field| !report.is_damaged(&place.key(*field)));
        let targets = targets(
            report,
            place,
            &name,
            &file.targets,
            self.known.accounts,
            ids,
        );
        let all_targets = targets.len() == file.targets.len();
        let mut fallbacks = policy.fallback_models;
        if mode == Mode::Stream {
            fallbacks.clear();
        }
        if comparable && mode == Mode::Call {
            check_served(
                report,
                &place.key("targets"),
                &targets,
                &matches,
                &fallbacks,
            );
            warn_of_unserved(
                report,
                &place.key("match").key("models"),
                &targets,
                &matches,
            );
        }
        if all_targets && own_fallback {
            check_fallbacks(report, &targets, &fallbacks);
        }
        fallbacks.retain(|(_, id)| targets.iter().any(|target| declares(target, id)));
        let fallback_models: Vec<Arc<str>> = fallbacks.into_iter().map(|(_, id)| id).collect();
        warn_of_unreachable(report, place, &policy.retry, &targets, &fallback_models);
        let balance = match (mode, policy.balance) {
            // What a request costs stands in its body. From `defaults`: written here it is refused.
            (Mode::Stream, Balance::Cheapest | Balance::Ranked) => Balance::Weighted,
            (_, balance) => balance,
        };
        let at = place.key("targets");
        warn_of_weights(report, &at, balance, &file.targets);
        warn_of_limits(report, &at, &targets, &fallback_models);
        if balance == Balance::Cheapest {
            warn_of_prices(report, &at, &targets, &matches.models, &fallback_models);
        }
        let (models, any_model) = match mode {
            Mode::Call => serving(&targets, &matches.models, &fallback_models),
            Mode::Stream => streaming(&targets),
        };
        let route = Route {
            name,
            index,
            matches,
            mode,
            targets,
            retry: policy.retry,
            timeouts: policy.timeouts,
            stream: policy.stream,
            forward: policy.forward,
            response_model: policy.response_model,
            fallback_models,
            balance,
            sticky: policy.sticky,
            rules: policy.rules,
            prefer: policy.prefer,
            require: policy.require,
            order: policy.order,
            models,
            any_model,
        };
        comparable.then_some(route)
    }

    /// A stream route passes bodies unread and answers as they come.
    fn refuse_for_stream(&self, report: &mut Report, file: &file::Route) {
        let place = &self.place;
        if !file.matches.models.is_empty() {
            let message = "`mode: stream` never reads the body, so it cannot see the model; \
                           match by path, host, headers or keys";
            report.error(&place.key("match").key("models"), message);
        }
        let mut refuse = |place: &Place, written: bool| {
            if written {
                report.error(
                    place,
                    "has no effect with `mode: stream`, which passes bodies as \
                                     they are; remove it",
                );
            }
        };
        refuse(
            &place.key("fallback_models"),
            file.fallback_models.is_some(),
        );
        refuse(&place.key("response_model"), file.response_model.is_some());
        refuse(&place.key("stream"), file.stream.is_some());
        let by_body = [file::Balance::Cheapest, file::Balance::Ranked];
        refuse(
            &place.key("balance"),
            file.balance
                .is_some_and(|balance| by_body.contains(&balance)),
        );
        // Empty ones lift those of `defaults`.
        let cap = file.max_price.as_ref();
        let has_cap = cap.is_some_and(|cap| *cap != file::Cap::default());
        refuse(&place.key("max_price"), has_cap);
        let quantizations = file.quantizations.as_ref();
        let has_any = quantizations.is_some_and(|list| !list.is_empty());
        refuse(&place.key("quantizations"), has_any);
        let require = file.require.as_ref();
        let has_any = require.is_some_and(|list| !list.is_empty());
        refuse(&place.key("require"), has_any);
        refuse(&place.key("order"), file.order.is_some());
        let sticky = file.sticky.as_deref().unwrap_or_default();
        for (index, by) in sticky.iter().enumerate() {
            let by_body = matches!(by, Some(file::StickyBy::Message));
            refuse(&place.key("sticky").index(index), by_body);
        }
        for (place, target) in elements(&file.targets, &place.key("targets")) {
            refuse(&place.key("model"), target.model.is_some());
            refuse(&place.key("options"), !target.options.0.is_empty());
            refuse(&place.key("limits").key("tpm"), target.limits.tpm.is_some());
        }
    }
}
