//! The ready form of prices and currencies.

use crate::config::money::{Amount, Rate};
use crate::config::snapshot::rules::Dollars;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of a million tokens; None where the general one holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    pub input: Amount,
    /// None: as `input`.
    pub cached: Option<Amount>,
    /// None: as `input`.
    pub cache_write: Option<Amount>,
    pub output: Amount,
    /// None: as `output`.
    pub reasoning: Option<Amount>,
    /// For each request, besides its tokens.
    pub request: Option<Amount>,
    pub currency: Arc<str>,
    pub date: Option<Arc<str>>,
    /// What one of the currency is in dollars.
    pub in_dollars: Rate,
}

/// The two ways between a currency and the dollar. They need not cancel out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    pub from_usd: Rate,
    pub to_usd: Rate,
}

/// By code; the dollar itself is among them.
#[derive(Debug)]
pub struct Currencies(pub BTreeMap<Arc<str>, Exchange>);

impl Currencies {
    pub fn get(&self, code: &str) -> Option<(&Arc<str>, Exchange)> {
        let found = self.0.get_key_value(code);
        found.map(|(code, exchange)| (code, *exchange))
    }
}

impl Price {
    /// In dollars, as caps are.
    pub fn dollars(&self) -> Dollars {
        let convert = |amount: Amount| self.in_dollars.price(amount);
        Dollars {
            input: convert(self.input),
            output: convert(self.output),
            request: convert(self.request.unwrap_or_default()),
        }
    }

    /// The same in another currency.
    pub fn into_currency(self, code: &Arc<str>, exchange: Exchange) -> Price {
        if self.currency == *code {
            return self;
        }
        let convert = |amount: Amount| exchange.from_usd.price(self.in_dollars.price(amount));
        Price {
            input: convert(self.input),
            cached: self.cached.map(convert),
            cache_write: self.cache_write.map(convert),
            output: convert(self.output),
            reasoning: self.reasoning.map(convert),
            request: self.request.map(convert),
            currency: Arc::clone(code),
            date: self.date,
            in_dollars: exchange.to_usd,
        }
    }
}
