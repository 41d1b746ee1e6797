//! What a caller may ask for: `/v1/models`.

use crate::config::snapshot::{Key, Mode, ProviderModel, Snapshot};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One entry a canonical id, from the first route and target that serve it.
fn visible<'s>(snapshot: &'s Snapshot, key: Option<&Key>) -> BTreeMap<&'s str, Value> {
    let mut entries = BTreeMap::new();
    for route in &snapshot.routes {
        let closed = route.mode == Mode::Stream
            || (!route.matches.keys.is_empty()
                && key.is_none_or(|key| !route.matches.keys.contains(&key.name)));
        if closed {
            continue;
        }
        for (id, served) in &route.models {
            if key.is_some_and(|key| !key.may_use(id)) || entries.contains_key(&**id) {
                continue;
            }
            let declared = served
                .tiers
                .iter()
                .flat_map(|tier| &tier.candidates)
                .find_map(|candidate| candidate.target.provider.models.get(id));
            entries.insert(&**id, entry(id, declared.map(|model| &**model)));
        }
    }
    entries
}

fn entry(id: &str, declared: Option<&ProviderModel>) -> Value {
    let mut entry = Map::new();
    entry.insert("id".to_owned(), json!(id));
    entry.insert("object".to_owned(), json!("model"));
    entry.insert("created".to_owned(), json!(0));
    entry.insert(
        "owned_by".to_owned(),
        json!(id.split_once('/').map_or("overspill", |(owner, _)| owner)),
    );
    if let Some(model) = declared {
        if let Some(context) = model.context {
            entry.insert("context_length".to_owned(), json!(context));
        }
        if let Some(price) = &model.price {
            let mut shown = Map::new();
            shown.insert("input".to_owned(), json!(price.input));
            shown.insert("output".to_owned(), json!(price.output));
            shown.insert("unit".to_owned(), json!("million tokens"));
            shown.insert("currency".to_owned(), json!(price.currency));
            if let Some(date) = &price.date {
                shown.insert("date".to_owned(), json!(date));
            }
            entry.insert("price".to_owned(), Value::Object(shown));
        }
        if let Some(served_as) = &model.served_as {
            entry.insert("served_as".to_owned(), json!(&**served_as));
        }
    }
    Value::Object(entry)
}

pub fn list(snapshot: &Snapshot, key: Option<&Key>) -> String {
    let data: Vec<Value> = visible(snapshot, key).into_values().collect();
    json!({"object": "list", "data": data}).to_string()
}

pub fn one(snapshot: &Snapshot, key: Option<&Key>, id: &str) -> Option<String> {
    visible(snapshot, key).get(id).map(Value::to_string)
}
