//! The models of one provider: the file's own words over the catalogue's.

use crate::catalog::{Known, KnownModel, Status, catalog};
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::Ordered;
use crate::config::snapshot::{ProviderModel, Quantization, Scores};
use crate::config::validate::facts;
use crate::config::validate::names::{foreign_name, is_name, name};
use crate::config::validate::price::Pricing;
use std::collections::HashMap;
use std::sync::Arc;

pub type Models = HashMap<Arc<str>, Arc<ProviderModel>>;

pub fn models(
    report: &mut Report,
    provider: &Place,
    own: &Ordered<file::Model>,
    known: Option<&Known>,
    pricing: Pricing<'_>,
) -> Models {
    let none = Default::default();
    let known = known.map_or(&none, |known| &known.models);
    let mut models: Models = HashMap::new();
    for (id, model) in known {
        models.insert(id.as_str().into(), Arc::new(ready(id, model, pricing)));
    }
    let overridden = |id: &String| own.0.iter().any(|(own, _)| own == id);
    let prices = known
        .iter()
        .filter(|(id, _)| !overridden(id))
        .filter_map(|(_, model)| model.price.as_ref());
    let oldest = prices.map(|price| catalog().date(price)).min();
    if let Some(date) = oldest.filter(|date| pricing.is_old(date)) {
        let message = format!("the catalogue's prices for it are of {date}, over a year old");
        report.warn(provider, message);
    }
    for (id, file) in &own.0 {
        let place = provider.key("models").key(id.as_str());
        if !is_name(id) {
            report.error(
                &place,
                "a model id has up to 256 letters, digits and signs only",
            );
        }
        if let Some(model) = model(report, &place, file, id, known.get(id), pricing) {
            models.insert(id.as_str().into(), Arc::new(model));
        }
    }
    models
}

/// What the catalogue says holds only for the name it says it of.
fn model(
    report: &mut Report,
    place: &Place,
    file: &file::Model,
    id: &str,
    known: Option<&KnownModel>,
    pricing: Pricing<'_>,
) -> Option<ProviderModel> {
    let known = known
        .filter(|known| file.name.as_ref().is_none_or(|name| known.is_called(name)))
        .map(|known| ready(id, known, pricing));
    let name: Arc<str> = match (&file.name, &known) {
        (Some(name), _) => {
            let long = place.key("name");
            let at = if report.root.find(&long).is_some() {
                &long
            } else {
                place
            };
            foreign_name(report, at, name);
            name.as_str().into()
        }
        (None, Some(known)) => known.name.clone(),
        (None, None) => {
            report.missing(
                place,
                "name",
                "missing: the provider's own name for the model",
            );
            return None;
        }
    };
    if file.context == Some(0) {
        report.error(&place.key("context"), "is 0; leave it out if it is unknown");
    }
    if let Some(served_as) = &file.served_as {
        self::name(report, &place.key("served_as"), served_as);
    }
    let price = match &file.price {
        Some(file) => pricing.price(report, &place.key("price"), file),
        None => known.as_ref().and_then(|known| known.price.clone()),
    };
    let also = known.as_ref().map(|known| known.also.clone());
    let status = known.as_ref().map_or(Status::Served, |known| known.status);
    let replaced_by = known.as_ref().and_then(|known| known.replaced_by.clone());
    Some(ProviderModel {
        name,
        also: also.unwrap_or_default(),
        status,
        replaced_by,
        context: file
            .context
            .or(known.as_ref().and_then(|known| known.context)),
        price,
        served_as: match &file.served_as {
            Some(served_as) => Some(served_as.as_str().into()),
            None => known.as_ref().and_then(|known| known.served_as.clone()),
        },
        capabilities: match &file.capabilities {
            Some(list) => Some(facts::capabilities(
                report,
                &place.key("capabilities"),
                list,
            )),
            None => known.as_ref().and_then(|known| known.capabilities),
        },
        quantization: match &file.quantization {
            Some(word) => facts::quantization(report, &place.key("quantization"), word),
            None => known.as_ref().and_then(|known| known.quantization),
        },
        scores: facts::scores(report, &place.key("scores"), &file.scores),
    })
}

fn ready(id: &str, known: &KnownModel, pricing: Pricing<'_>) -> ProviderModel {
    let model = catalog().models.get(id);
    let capabilities = model.and_then(|model| model.capabilities.as_ref());
    let quantization = known.quantization.as_deref();
    let price = known.price.as_ref();
    ProviderModel {
        name: known.name.as_str().into(),
        context: known.context,
        also: known.also.iter().map(|also| also.as_str().into()).collect(),
        price: price.and_then(|price| pricing.of_catalogue(price)),
        status: known.status,
        replaced_by: known.replaced_by.as_deref().map(Arc::from),
        served_as: known.served_as.as_deref().map(Arc::from),
        capabilities: capabilities.map(|list| list.iter().copied().collect()),
        quantization: quantization.and_then(Quantization::named),
        scores: Scores::default(),
    }
}
