//! The same for programs.

use crate::catalog::{Catalog, Known, Model};
use serde_json::{Map, Value, json};

pub fn everything(catalog: &Catalog) -> String {
    let mut all = dated(catalog);
    all.insert("providers".to_owned(), json!(catalog.providers));
    all.insert("models".to_owned(), json!(catalog.models));
    pretty(all)
}

pub fn provider(catalog: &Catalog, name: &str, known: &Known) -> String {
    let mut one = dated(catalog);
    one.insert("provider".to_owned(), json!(name));
    if let Value::Object(fields) = json!(known) {
        one.extend(fields);
    }
    pretty(one)
}

pub fn model(catalog: &Catalog, id: &str, model: &Model) -> String {
    let mut one = dated(catalog);
    one.insert("model".to_owned(), json!(id));
    if let Value::Object(fields) = json!(model) {
        one.extend(fields);
    }
    let providers = catalog.providers.iter().filter_map(|(name, known)| {
        let served = known.models.get(id)?;
        Some((name.clone(), json!(served)))
    });
    one.insert("providers".to_owned(), Value::Object(providers.collect()));
    pretty(one)
}

fn dated(catalog: &Catalog) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("priced".to_owned(), json!(catalog.priced));
    map.insert("currency".to_owned(), json!(catalog.currency));
    map.insert("source".to_owned(), json!(catalog.source));
    map
}

fn pretty(fields: Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(fields))
}
