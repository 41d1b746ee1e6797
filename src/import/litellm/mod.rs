//! LiteLLM's proxy: `config.yaml`, each `model_name` a route, each deployment a target.

mod deployment;
mod provider;
mod router;
mod weights;

use crate::config::document::Node;
use crate::import::draft::{Draft, Field, Key, Route, Target, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use deployment::Deployment;
use router::Router;

/// The deployments of one `model_name`.
struct Group<'a> {
    model: &'a str,
    deployments: Vec<Deployment>,
}

pub fn draft(root: &Node, notes: &mut Notes, text: &str) -> Draft {
    let mut draft = Draft::new("Made from LiteLLM's configuration.".to_owned(), text);
    let root = Item::root(root);
    let Some(mut fields) = root.fields(notes) else {
        return draft;
    };
    let router = router::read(&mut fields, notes);
    let mut groups: Vec<Group> = Vec::new();
    match fields.take("model_list") {
        Some(list) => {
            for item in list.list(notes) {
                let Some((model, deployment)) = deployment::read(&mut draft, &item, &router, notes)
                else {
                    continue;
                };
                match groups.iter_mut().find(|group| group.model == model) {
                    Some(group) => group.deployments.push(deployment),
                    None => groups.push(Group {
                        model,
                        deployments: vec![deployment],
                    }),
                }
            }
        }
        None => notes.error(
            &root.place.key("model_list"),
            "missing: the models to serve",
        ),
    }
    general(&mut draft, &mut fields, notes);
    fields.finish(notes);
    let is_known = |model: &str| groups.iter().any(|group| group.model == model);
    for place in router.strangers(is_known) {
        notes.lost(place, "is the fallback of a model that is not imported");
    }
    for group in &groups {
        let route = route(&draft, group, &groups, &router, notes);
        draft.routes.push(route);
    }
    if draft.routes.is_empty() && !notes.failed() {
        let lost = notes.first_lost().unwrap_or("the list is empty".to_owned());
        let message = format!("has no model that can be imported; {lost}");
        notes.error(&root.place.key("model_list"), message);
    }
    draft
}

/// `general_settings`: the master key, and much that is not a gateway's.
fn general(draft: &mut Draft, fields: &mut Fields, notes: &mut Notes) {
    let Some(mut general) = fields.take_fields("general_settings", notes) else {
        return;
    };
    if let Some(item) = general.take("master_key")
        && let Some(value) = item.text(notes)
    {
        let secret = draft
            .secrets
            .reference(value, "LITELLM_MASTER_KEY", &item.place);
        draft.keys.push(Key {
            why: vec![
                "`master_key`: as a key it may use every model, and administers nothing".into(),
            ],
            name: "master".to_owned(),
            secret,
        });
    }
    general.lose(
        "database_url",
        notes,
        "keys stand in the file, not in a database",
    );
    general.finish(notes);
}

fn route(
    draft: &Draft,
    group: &Group,
    groups: &[Group],
    router: &Router,
    notes: &mut Notes,
) -> Route {
    let mut route = Route {
        name: draft.route_name(group.model),
        matches: vec![("models".to_owned(), Value::texts([group.model]))],
        ..Route::default()
    };
    route.targets = targets(group, router);
    merge(&mut route.targets);
    let mut fallbacks = Vec::new();
    for (model, place) in router.fallbacks(group.model) {
        match groups.iter().find(|other| other.model == model) {
            Some(other) if other.model != group.model => fallbacks.push(other),
            Some(_) => {}
            None => notes.lost(place, "falls back to a model that is not imported"),
        }
    }
    // What serves a fallback model must stand among the route's targets.
    for other in &fallbacks {
        for mut target in targets(other, router) {
            let named = |known: &Target| known.fields.first() == target.fields.first();
            if !route.targets.iter().any(named) {
                let why = format!("serves the fallback model `{}`", other.model);
                target.why.insert(0, why);
                route.targets.push(target);
            }
        }
    }
    route.fields = router.fields(fallbacks.len());
    if !fallbacks.is_empty() {
        let models = Value::texts(fallbacks.iter().map(|other| other.model));
        let field = Field::new("fallback_models", models);
        route
            .fields
            .push(field.because(router.why_fallbacks(group.model)));
    }
    route
}

fn targets(group: &Group, router: &Router) -> Vec<Target> {
    let weights = weights::weights(&group.deployments, router);
    let weighted = group.deployments.iter().zip(weights);
    weighted
        .map(|(deployment, weight)| {
            let mut target = deployment.target.clone();
            if let Some((weight, by)) = weight {
                target
                    .fields
                    .push(("weight".to_owned(), Value::word(weight)));
                target
                    .why
                    .push(format!("`weight`: in proportion to its `{by}`"));
            }
            target
        })
        .collect()
}

/// A deployment that is written twice is one target.
fn merge(targets: &mut Vec<Target>) {
    let mut merged: Vec<Target> = Vec::new();
    for target in targets.drain(..) {
        if !merged.iter().any(|known| known.fields == target.fields) {
            merged.push(target);
        }
    }
    *targets = merged;
}
