//! What a call costs, by what it used and what that was priced at.

use crate::config::snapshot::{Cap, Dollars, Price};
use crate::dialect::usage::Usage;

use crate::config::money::Rate;
pub use crate::config::money::{Amount, Micros};

/// Prices are in billionths of a currency for a million tokens. So many of those parts, times
/// tokens, make a millionth of the currency.
const PARTS: u64 = 1_000_000_000;
/// A price for a request, in the same parts.
const TOKENS: u128 = 1_000_000;

/// What a call cost. A provider's own word counts; else its tokens are reckoned at their price.
/// None: nobody knows. That is not nothing.
pub fn cost(usage: &Usage, price: Option<&Price>) -> Option<Micros> {
    usage.cost.or_else(|| reckoned(usage, price?))
}

/// Rounded once, half a micro-dollar up.
fn reckoned(usage: &Usage, price: &Price) -> Option<Micros> {
    let parts = prompt(usage, price)?
        .saturating_add(answer(usage, price)?)
        .saturating_add(price_of(TOKENS, price.request.unwrap_or_default()));
    Some(Micros::new(price.in_dollars.convert(parts, PARTS)))
}

/// The most that this may cost under a cap. A part that is not capped may cost its price. None: no
/// cap was set, or the tokens of the prompt are not known.
pub fn allowed(usage: &Usage, cap: Cap, price: Dollars) -> Option<Micros> {
    if cap.is_empty() {
        return None;
    }
    let part = |tokens: u128, cap: Option<Amount>, price| price_of(tokens, cap.unwrap_or(price));
    let parts = part(usage.input?.into(), cap.input, price.input)
        .saturating_add(part(
            usage.output.unwrap_or(0).into(),
            cap.output,
            price.output,
        ))
        .saturating_add(part(TOKENS, cap.request, price.request));
    Some(Micros::new(Rate::ONE.convert(parts, PARTS)))
}

/// What so many tokens, in and out, would weigh: to be compared, not billed.
pub fn weight(price: &Price, input: u64, output: u64) -> u128 {
    let parts = price_of(input.into(), price.input)
        .saturating_add(price_of(output.into(), price.output))
        .saturating_add(price_of(TOKENS, price.request.unwrap_or_default()));
    price.in_dollars.weigh(parts)
}

/// The most that so many tokens may cost: all of them of the dearest kind.
pub fn most(price: &Price, input: u64, output: u64) -> Micros {
    let dearer = |one: Amount, other: Option<Amount>| other.map_or(one, |other| one.max(other));
    let parts = price_of(input.into(), dearer(price.input, price.cache_write))
        .saturating_add(price_of(
            output.into(),
            dearer(price.output, price.reasoning),
        ))
        .saturating_add(price_of(TOKENS, price.request.unwrap_or_default()));
    Micros::new(price.in_dollars.convert(parts, PARTS))
}

fn price_of(tokens: u128, amount: Amount) -> u128 {
    tokens.saturating_mul(u128::from(amount.billionths()))
}

fn prompt(usage: &Usage, price: &Price) -> Option<u128> {
    let cached_at = price.cached.unwrap_or(price.input);
    let written_at = price.cache_write.unwrap_or(price.input);
    let Some(input) = usage.input else {
        // However many there were.
        let is_free = [price.input, cached_at, written_at] == [Amount::ZERO; 3];
        return is_free.then_some(0);
    };
    let cached = usage.cached.unwrap_or(0).min(input);
    let written = usage.written.unwrap_or(0).min(input - cached);
    let fresh = input - cached - written;
    Some(
        price_of(fresh.into(), price.input)
            .saturating_add(price_of(cached.into(), cached_at))
            .saturating_add(price_of(written.into(), written_at)),
    )
}

fn answer(usage: &Usage, price: &Price) -> Option<u128> {
    let reasoning_at = price.reasoning.unwrap_or(price.output);
    let Some(output) = usage.output else {
        return ([price.output, reasoning_at] == [Amount::ZERO; 2]).then_some(0);
    };
    let reasoning = usage.reasoning.unwrap_or(0).min(output);
    Some(
        price_of((output - reasoning).into(), price.output)
            .saturating_add(price_of(reasoning.into(), reasoning_at)),
    )
}

/// What several attempts cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Of those whose cost is known.
    pub known: Micros,
    /// There are others.
    pub is_partial: bool,
}

impl Total {
    pub fn of(costs: impl IntoIterator<Item = Option<Micros>>) -> Total {
        let add = |total: Total, cost: Option<Micros>| Total {
            known: total.known.plus(cost.unwrap_or_default()),
            is_partial: total.is_partial || cost.is_none(),
        };
        costs.into_iter().fold(Total::default(), add)
    }

    /// None: the cost of some part is unknown, and so is the whole.
    pub fn whole(self) -> Option<Micros> {
        (!self.is_partial).then_some(self.known)
    }
}

#[cfg(test)]
mod tests;
