//! The models of one provider: the file's own words over the catalogue's.

use crate::catalog::{Known, KnownModel, catalog};
use crate::config::date::Date;
use crate::config::file;
use crate::config::money::Rate;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::Ordered;
use crate::config::snapshot::{Price, ProviderModel, Scores};
use crate::config::validate::facts;
use crate::config::validate::names::{foreign_name, is_name, name};
use std::collections::HashMap;
use std::sync::Arc;

pub type Models = HashMap<Arc<str>, Arc<ProviderModel>>;

pub fn models(
    report: &mut Report,
    provider: &Place,
    own: &Ordered<file::Model>,
    known: Option<&Known>,
    today: Date,
) -> Models {
    let none = Default::default();
    let known = known.map_or(&none, |known| &known.models);
    let mut models: Models = HashMap::new();
    for (id, model) in known {
        models.insert(id.as_str().into(), Arc::new(ready(model)));
    }
    let overridden = |id: &String| own.0.iter().any(|(own, _)| own == id);
    let priced = known
        .iter()
        .any(|(id, model)| model.price.is_some() && !overridden(id));
    let date = &catalog().priced;
    if priced && is_old(date, today) {
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
        if let Some(model) = model(report, &place, file, known.get(id), today) {
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
    known: Option<&KnownModel>,
    today: Date,
) -> Option<ProviderModel> {
    let known = known
        .filter(|known| file.name.as_ref().is_none_or(|name| *name == known.name))
        .map(ready);
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
        Some(file) => price(report, &place.key("price"), file, today),
        None => known.as_ref().and_then(|known| known.price.clone()),
    };
    Some(ProviderModel {
        name,
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

fn price(report: &mut Report, place: &Place, file: &file::Price, today: Date) -> Option<Price> {
    for (field, amount) in [("input", file.input), ("output", file.output)] {
        match amount {
            None => report.missing(place, field, "missing: a price per million tokens"),
            Some(amount) if (0.0..=1e6).contains(&amount) => {}
            Some(_) => {
                let place = place.key(field);
                let quoted = report.quote(&place);
                report.error(
                    &place,
                    format!("{quoted} is not a price between 0 and 1000000"),
                );
            }
        }
    }
    if let Some(date) = &file.date {
        let place = place.key("date");
        if Date::parse(date).is_none() {
            let quoted = report.quote(&place);
            report.error(
                &place,
                format!("{quoted} is not a day such as `2026-07-02`"),
            );
        } else if is_old(date, today) {
            report.warn(&place, "the price is over a year old");
        }
    }
    let currency = match file.currency {
        None | Some(file::Currency::Usd) => "USD",
        Some(file::Currency::Cny) => "CNY",
    };
    Some(Price {
        input: file.input?,
        output: file.output?,
        currency: currency.to_owned(),
        date: file.date.clone(),
    })
}

fn ready(known: &KnownModel) -> ProviderModel {
    ProviderModel {
        name: known.name.as_str().into(),
        context: known.context,
        price: known.price.map(|(input, output)| Price {
            input,
            output,
            currency: catalog().currency.clone(),
            date: Some(catalog().priced.clone()),
        }),
        served_as: known.served_as.as_deref().map(Arc::from),
        capabilities: None,
        quantization: None,
        scores: Scores::default(),
    }
}

fn is_old(date: &str, today: Date) -> bool {
    Date::parse(date).is_some_and(|date| date.is_older_than_a_year(today))
}

/// What one of a currency is in dollars.
pub fn dollars_for(currency: Option<file::Currency>) -> Rate {
    match currency {
        None | Some(file::Currency::Usd) => Rate::ONE,
        Some(file::Currency::Cny) => Rate::parse("7.3").unwrap_or(Rate::ONE).inverse(),
    }
}
