//! What a caller may ask for: `/v1/models`.

use crate::catalog::Status;
use crate::config::money::Amount;
use crate::config::snapshot::{Exchange, Key, Mode, Price, ProviderModel, Snapshot};
use crate::error::{Failure, Reason};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What prices are to be shown in. None: as they are.
pub type Currency<'s> = Option<(&'s Arc<str>, Exchange)>;

/// `?currency=CNY`
pub fn currency<'s>(snapshot: &'s Snapshot, query: Option<&str>) -> Result<Currency<'s>, Failure> {
    let fields = query.unwrap_or_default().split('&');
    let Some(code) = fields
        .rev()
        .find_map(|field| field.strip_prefix("currency="))
    else {
        return Ok(None);
    };
    match snapshot.currencies.get(code) {
        Some(currency) => Ok(Some(currency)),
        None => {
            let codes = snapshot.currencies.0.keys().map(|code| &**code);
            let known: Vec<&str> = codes.collect();
            let message = format!("`currency` is none of {}", known.join(", "));
            Err(Failure::new(Reason::CallerBadRequest, message).param("currency"))
        }
    }
}

/// One entry a canonical id, from the first route and target that serve it.
fn visible<'s>(
    snapshot: &'s Snapshot,
    key: Option<&Key>,
    currency: Currency<'_>,
) -> BTreeMap<&'s str, Value> {
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
            entries.insert(&**id, entry(id, declared.map(|model| &**model), currency));
        }
    }
    entries
}

fn entry(id: &str, declared: Option<&ProviderModel>, currency: Currency<'_>) -> Value {
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
        if let Some(price) = model.price.clone() {
            let price = match currency {
                Some((code, exchange)) => price.into_currency(code, exchange),
                None => price,
            };
            entry.insert("price".to_owned(), shown(&price));
        }
        if let Some(served_as) = &model.served_as {
            entry.insert("served_as".to_owned(), json!(&**served_as));
        }
        if model.status != Status::Served {
            entry.insert("status".to_owned(), json!(model.status.word()));
        }
        if let Some(other) = &model.replaced_by {
            entry.insert("replaced_by".to_owned(), json!(&**other));
        }
    }
    Value::Object(entry)
}

fn shown(price: &Price) -> Value {
    let amounts = [
        ("input", Some(price.input)),
        ("cached", price.cached),
        ("cache_write", price.cache_write),
        ("output", Some(price.output)),
        ("reasoning", price.reasoning),
        ("request", price.request),
    ];
    let mut shown = Map::new();
    for (name, amount) in amounts {
        if let Some(amount) = amount {
            shown.insert(name.to_owned(), number(amount));
        }
    }
    shown.insert("unit".to_owned(), json!("million tokens"));
    shown.insert("currency".to_owned(), json!(&*price.currency));
    if let Some(date) = &price.date {
        shown.insert("date".to_owned(), json!(&**date));
    }
    Value::Object(shown)
}

fn number(amount: Amount) -> Value {
    amount.to_string().parse().unwrap_or(Value::Null)
}

pub fn list(snapshot: &Snapshot, key: Option<&Key>, currency: Currency<'_>) -> String {
    let data: Vec<Value> = visible(snapshot, key, currency).into_values().collect();
    json!({"object": "list", "data": data}).to_string()
}

pub fn one(
    snapshot: &Snapshot,
    key: Option<&Key>,
    id: &str,
    currency: Currency<'_>,
) -> Option<String> {
    visible(snapshot, key, currency)
        .get(id)
        .map(Value::to_string)
}
