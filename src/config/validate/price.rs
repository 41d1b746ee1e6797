//! `price` of a model.

use crate::catalog::{KnownPrice, catalog};
use crate::config::date::Date;
use crate::config::file;
use crate::config::money::Rate;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{Currencies, Price};
use crate::config::suggest::closest;
use crate::config::validate::currency::USD;
use std::sync::Arc;

/// What prices are read by.
#[derive(Clone, Copy)]
pub struct Pricing<'a> {
    pub today: Date,
    pub currencies: &'a Currencies,
}

impl Pricing<'_> {
    pub fn price(self, report: &mut Report, place: &Place, file: &file::Price) -> Option<Price> {
        for (field, amount) in [("input", file.input), ("output", file.output)] {
            if amount.is_none() {
                report.missing(place, field, "missing: a price per million tokens");
            }
        }
        if let Some(date) = &file.date {
            self.date(report, &place.key("date"), date);
        }
        let at = place.key("currency");
        let code = file.currency.as_deref();
        let (currency, in_dollars) = rate(report, &at, code, self.currencies)?;
        Some(Price {
            input: file.input?,
            cached: file.cached,
            cache_write: file.cache_write,
            output: file.output?,
            reasoning: file.reasoning,
            request: file.request,
            currency,
            date: file.date.as_deref().map(Arc::from),
            in_dollars,
        })
    }

    fn date(self, report: &mut Report, place: &Place, date: &str) {
        if Date::parse(date).is_none() {
            let quoted = report.quote(place);
            let message = format!("{quoted} is not a day such as `2026-07-02`");
            report.error(place, message);
        } else if self.is_old(date) {
            report.warn(place, "the price is over a year old");
        }
    }

    pub fn is_old(self, date: &str) -> bool {
        Date::parse(date).is_some_and(|date| date.is_older_than_a_year(self.today))
    }

    /// None where the catalogue's currency has no rate, which a test keeps from happening.
    pub fn of_catalogue(self, known: &KnownPrice) -> Option<Price> {
        let code = known.currency.as_ref().unwrap_or(&catalog().currency);
        let (currency, exchange) = self.currencies.get(code)?;
        let date = known.date.as_ref().unwrap_or(&catalog().priced);
        Some(Price {
            input: known.input,
            cached: known.cached,
            cache_write: known.cache_write,
            output: known.output,
            reasoning: known.reasoning,
            request: known.request,
            currency: Arc::clone(currency),
            date: Some(date.as_str().into()),
            in_dollars: exchange.to_usd,
        })
    }
}

/// A currency, dollars where none is written, and what one of it is in dollars.
pub fn rate(
    report: &mut Report,
    place: &Place,
    code: Option<&str>,
    currencies: &Currencies,
) -> Option<(Arc<str>, Rate)> {
    let code = code.unwrap_or(USD);
    if let Some((code, exchange)) = currencies.get(code) {
        return Some((Arc::clone(code), exchange.to_usd));
    }
    // What is wrong with its rate was said where that stands.
    if !report.was_written(&Place::root().key("currencies").key(code)) {
        let known = currencies.0.keys().map(|code| &**code);
        let meant = closest(code, known);
        let quoted = report.quote(place);
        let message = format!(
            "{quoted} has no rate; write how much of it a dollar is in `currencies`, \
             such as `currencies: {{ CNY: 7.3 }}`"
        );
        report.error_meaning(place, message, meant);
    }
    None
}
