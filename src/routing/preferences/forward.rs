//! The `provider` object for a provider that understands it, as OpenRouter does: the one there was,
//! under our bounds.

use super::read::provider;
use super::value::members;
use super::{MaxPrice, Preferences, Slug};
use crate::body::members::changed;
use serde_json::value::RawValue;

/// What is said to a provider that routes for itself.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// The names that this provider itself goes by here.
    pub own: &'a [&'a str],
    /// The most that anything may cost, by all that was said of it.
    pub max_price: MaxPrice,
    /// Who has failed this request already, and need not be asked again by a detour.
    pub failed: &'a [&'a str],
}

/// The new value of `provider`. `given` is its value so far: the caller's, or an operator's own.
///
/// `max_price` becomes the lower of both for each price, `ignore` has those who failed as well. A
/// caller who names this provider in `order` or `only` meant it, and has it: these names are taken
/// out, for they mean nothing there; where that leaves nobody of an `order` who has not failed yet,
/// whoever stands behind it is no fallback. All else stays as it was written, also what only the
/// provider itself understands. `None`: there is nothing to say.
pub fn forward(given: Option<&[u8]>, with: &Forward<'_>) -> Option<String> {
    let given = given
        .and_then(|text| serde_json::from_slice::<&RawValue>(text).ok())
        .filter(|value| value.get().starts_with('{'))
        .map(|value| (value, understood(value)));
    let Some((value, said)) = given else {
        let said = Preferences::default();
        let changes = changes(None, &said, with);
        return (!changes.is_empty())
            .then(|| changed(b"{}", &changes))
            .flatten();
    };
    changed(value.get().as_bytes(), &changes(Some(value), &said, with))
}

/// As much of it as is in our words. A caller's is all of it; an operator's may know more than we.
fn understood(value: &RawValue) -> Preferences {
    provider(value).unwrap_or_else(|_| {
        let known = members(value, "").unwrap_or_default().into_iter();
        let known = known.filter_map(|(name, value)| {
            let name = serde_json::Value::from(name);
            let alone = RawValue::from_string(format!("{{{name}:{value}}}")).ok()?;
            provider(&alone).ok().map(|_| format!("{name}:{value}"))
        });
        let known: Vec<String> = known.collect();
        RawValue::from_string(format!("{{{}}}", known.join(",")))
            .ok()
            .and_then(|value| provider(&value).ok())
            .unwrap_or_default()
    })
}

type Change = (&'static str, Option<String>);

fn changes(value: Option<&RawValue>, said: &Preferences, with: &Forward<'_>) -> Vec<Change> {
    let given = value
        .and_then(|value| members(value, "").ok())
        .unwrap_or_default();
    let text = |name: &str| {
        let member = given.iter().find(|(other, _)| other == name);
        member.map(|(_, value)| *value)
    };
    let mut changes = Vec::new();
    let max_price = said.max_price.and(with.max_price);
    if max_price != said.max_price || text("max_price").is_some_and(has_our_words) {
        changes.push(("max_price", Some(written(&max_price))));
    }
    let failed: Vec<_> = with
        .failed
        .iter()
        .filter(|name| !said.ignore.iter().any(|slug| slug.matches(name)))
        .collect();
    if !failed.is_empty() {
        let mut ignore: Vec<&str> = said.ignore.iter().map(Slug::as_str).collect();
        ignore.extend(failed);
        changes.push(("ignore", Some(serde_json::json!(ignore).to_string())));
    }
    let is_own = |slug: &&Slug| slug.is_any_of(with.own);
    if said.only.iter().any(|slug| is_own(&slug)) {
        changes.push(("only", None));
    }
    if said.order.iter().any(|slug| is_own(&slug)) {
        let others: Vec<&str> = said
            .order
            .iter()
            .filter(|slug| !is_own(slug) && !with.failed.iter().any(|name| slug.matches(name)))
            .map(Slug::as_str)
            .collect();
        if said.no_fallbacks && others.is_empty() {
            changes.push(("allow_fallbacks", None));
        }
        let order = (!others.is_empty()).then(|| serde_json::json!(others).to_string());
        changes.push(("order", order));
    }
    changes
}

/// Prices under the names that we take but OpenRouter does not.
fn has_our_words(max_price: &RawValue) -> bool {
    members(max_price, "").is_ok_and(|prices| {
        prices
            .iter()
            .any(|(name, _)| matches!(name.as_str(), "input" | "output"))
    })
}

fn written(price: &MaxPrice) -> String {
    let prices: Vec<_> = [
        ("prompt", price.input),
        ("completion", price.output),
        ("request", price.request),
        ("image", price.image),
        ("audio", price.audio),
    ]
    .into_iter()
    .filter_map(|(name, price)| Some(format!("\"{name}\":{}", price?)))
    .collect();
    format!("{{{}}}", prices.join(","))
}
