//! From what a caller asks for to a plan: the one way that requests, explanations and simulations
//! go, so that none of them can say what another does not do.

use crate::config::snapshot::{Endpoint, Key, Route, Rules, Served, Snapshot};
use crate::error::{Failure, Reason, shown};
use crate::health::board::Board;
use crate::health::choose::{self, Asker};
use crate::measure::table::Table;
use crate::routing::filter::{Exclusion, Needs, Wants};
use crate::routing::plan::{Asking, Excluded, Leg, Plan, plan};
use crate::routing::preferences::{By, MaxPrice, Preferences, split_suffix};
use crate::routing::table::{self, Asked};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

/// A request, as far as it matters to who serves it.
#[derive(Clone, Copy)]
pub struct Ask<'h, 'a> {
    pub asked: Asked<'h>,
    /// None: any.
    pub endpoint: Option<Endpoint>,
    /// None where a path says it all.
    pub model: Option<&'a str>,
    pub preferences: &'a Preferences,
    /// What the body asks of whoever serves it: looked for only where somebody's abilities are known.
    pub needs: &'h (dyn Fn() -> Needs + Sync),
    /// What the call may use, in and out.
    pub tokens: (u64, u64),
    /// Two numbers drawn from all of `u64`.
    pub drawn: (u64, u64),
    /// It will be made, and takes its turn; otherwise only the plan is asked for.
    pub takes_turn: bool,
}

/// Who serves it, and whoever else.
pub struct Decision<'r> {
    /// The route whose retries, timeouts and stream rules hold.
    pub route: &'r Arc<Route>,
    pub plan: Plan<'r>,
    /// What keeps its calls together, where the route does.
    pub sticky: u64,
}

/// A model's name without `:nitro` or `:floor`, and what these ask for. A name that the
/// configuration has with its suffix is that name.
pub fn without_suffix<'m>(snapshot: &Snapshot, model: &'m str) -> (&'m str, Option<By>) {
    split_suffix(model, |whole| {
        let mut routes = snapshot.routes.iter();
        routes.any(|route| route.models.contains_key(whole))
    })
}

/// `sticky` gives what a route hashes of this call: of its own route first, and of another model's
/// only where that differs.
pub fn decide<'r>(
    snapshot: &'r Snapshot,
    board: &Board,
    table: &Table,
    ask: &Ask<'_, 'r>,
    sticky: impl Fn(&Route) -> u64,
    now: Instant,
) -> Result<Decision<'r>, Failure> {
    let key = ask.asked.key;
    let (route, legs) = legs(snapshot, ask)?;
    let first: &Route = route;
    let own_sticky = sticky(first);
    let needed = match is_judged(&legs, ask.preferences) {
        true => (ask.needs)(),
        false => Needs::default(),
    };
    let made = |prompt: u64| {
        let needs = Needs { prompt, ..needed };
        let asking = Asking {
            endpoint: ask.endpoint,
            wants: Wants {
                key: key.map(|key| &key.rules),
                preferences: ask.preferences,
                needs,
            },
            prefer: key.map_or(&[], |key| &key.prefer),
        };
        let figures = |provider: &str, model: &str| table.of(provider, model);
        plan(
            &legs,
            &asking,
            figures,
            |route, tier, entered, permitted| {
                let asker = Asker {
                    balance: route.balance,
                    sticky: if std::ptr::eq(route, first) {
                        own_sticky
                    } else {
                        sticky(route)
                    },
                    tokens: ask.tokens,
                    drawn: ask.drawn,
                    takes_turn: ask.takes_turn,
                };
                choose::order(board, tier, entered, permitted, &asker, now)
            },
        )
    };
    let mut plan = made(needed.prompt);
    if plan.steps.is_empty() && is_about_context(&plan) {
        // It was a guess. Where nobody is left by it alone, the providers may count for themselves.
        plan = made(needed.prompt / 2);
    }
    let mut steps = plan.steps.iter();
    // What a target itself names is shown to be what answers: that is to be allowed too.
    if let Some(refused) = steps.find(|step| key.is_some_and(|key| !key.may_use(step.model))) {
        return Err(denied(refused.model));
    }
    Ok(Decision {
        route,
        plan,
        sticky: own_sticky,
    })
}

/// What a request needs makes a difference.
fn is_judged(legs: &[Leg<'_>], preferences: &Preferences) -> bool {
    let mut tiers = legs.iter().flat_map(|leg| &leg.served.tiers);
    preferences.require_parameters
        || tiers.any(|tier| {
            let mut candidates = tier.candidates.iter();
            candidates.any(|one| one.context.is_some() || one.facts.capabilities.is_some())
        })
}

fn is_about_context(plan: &Plan<'_>) -> bool {
    let mut excluded = plan.excluded.iter();
    excluded.any(|one| matches!(one.why, Exclusion::Context { .. }))
}

/// The asked model, then the caller's own list, else the route's.
fn legs<'r>(
    snapshot: &'r Snapshot,
    ask: &Ask<'_, 'r>,
) -> Result<(&'r Arc<Route>, Vec<Leg<'r>>), Failure> {
    let key = ask.asked.key;
    let listed = || {
        let listed = ask.preferences.models.iter();
        listed.map(|model| without_suffix(snapshot, model).0)
    };
    let model = ask.model.or_else(|| listed().next());
    let (route, served) = find(snapshot, ask.asked, model, key)?;
    let leg = |route: &'r Arc<Route>, served: &'r Arc<Served>, asked| Leg {
        route,
        served,
        asked,
    };
    let mut legs = vec![leg(route, served, model)];
    for other in listed() {
        // With a suffix and without it is the same model.
        if legs.iter().all(|leg| leg.asked != Some(other)) {
            let (route, served) = find(snapshot, ask.asked, Some(other), key)?;
            legs.push(leg(route, served, Some(other)));
        }
    }
    if ask.preferences.models.is_empty() {
        let may_use = |model: &str| key.is_none_or(|key| key.may_use(model));
        for other in &route.fallback_models {
            let served = route.models.get(other);
            if model != Some(&**other) && may_use(other) {
                legs.extend(served.map(|served| leg(route, served, Some(&**other))));
            }
        }
    }
    Ok((route, legs))
}

fn find<'r>(
    snapshot: &'r Snapshot,
    asked: Asked<'_>,
    model: Option<&str>,
    key: Option<&Key>,
) -> Result<(&'r Arc<Route>, &'r Arc<Served>), Failure> {
    let found = table::open_to(&snapshot.routes, asked)
        .find_map(|route| Some((route, table::serves(route, model)?)));
    match (found, model) {
        (Some(_), Some(model)) if key.is_some_and(|key| !key.may_use(model)) => Err(denied(model)),
        (Some(found), _) => Ok(found),
        (None, None) => Err(Failure::new(
            Reason::CallerBadModel,
            "`model` is missing: name one that /v1/models lists",
        )
        .param("model")),
        (None, Some(model)) => Err(Failure::new(
            Reason::CallerUnknownModel,
            format!(
                "the model `{}` is not served here: /v1/models lists those that are",
                shown(model)
            ),
        )
        .param("model")),
    }
}

fn denied(model: &str) -> Failure {
    Failure::new(
        Reason::PolicyModel,
        format!("this key may not use the model `{}`", shown(model)),
    )
    .param("model")
}

/// Why a plan without steps is none: each target with what leaves it out.
pub fn refusal(plan: &Plan<'_>, route: &Route, endpoint: Option<Endpoint>) -> Failure {
    let Some(first) = plan.excluded.first() else {
        let endpoint = endpoint.map_or("this", Endpoint::name);
        let message = format!(
            "no provider of route `{}` serves the {endpoint} endpoint for this model",
            route.name
        );
        return Failure::new(Reason::GatewayNoTarget, message);
    };
    // What the caller can mend comes last: where an operator's rule stands in the way of one, that
    // is the answer.
    let reasons = || plan.excluded.iter().map(|one| one.why.reason());
    let is_callers = |reason: &Reason| reason.status() < 500;
    let reason = reasons()
        .find(|reason| !is_callers(reason))
        .unwrap_or(first.why.reason());
    let message = format!(
        "no target may serve this request: {}",
        named(&plan.excluded)
    );
    Failure::new(reason, message)
}

/// All that a route may have. Whoever asks for many models at once is not told of more.
pub const MOST_NAMED: usize = 256;

/// Each target that was left out, and why.
pub fn named(excluded: &[Excluded<'_>]) -> String {
    let mut text = String::new();
    for (at, one) in excluded.iter().take(MOST_NAMED).enumerate() {
        let provider = &one.candidate.target.provider.name;
        let between = if at == 0 { "" } else { "; " };
        let _ = write!(text, "{between}{provider}: {}", one.why);
    }
    let more = excluded.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    text
}

/// The lowest of all caps of one request.
pub fn max_price(route: &Rules, key: Option<&Rules>, preferences: &Preferences) -> MaxPrice {
    let key = key.map(|rules| rules.max_price).unwrap_or_default();
    let ours = MaxPrice::of_cap(route.max_price.and(key));
    ours.and(preferences.max_price)
}
