//! What is known of the providers by name: data, embedded, read once. An operator's own file
//! overrides any of it.

mod known;
mod model;
mod price;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use known::{
    Collection, DataPolicy, Elsewhere, ErrorRule, KeepAlive, Known, KnownAuth, Means, Prefill,
    ReasoningField,
};
pub use model::{Capability, KnownModel, Model, Status};
pub use price::KnownPrice;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut catalog: Catalog =
        serde_yaml::from_str(include_str!("providers.yaml")).unwrap_or_default();
    catalog.models = serde_yaml::from_str(include_str!("models.yaml")).unwrap_or_default();
    catalog
});

/// The catalogue as embedded.
pub fn catalog() -> &'static Catalog {
    &CATALOG
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The day all prices here were read, unless one has its own.
    pub priced: String,
    /// The currency of all prices here, unless one has its own.
    pub currency: String,
    /// Where the prices were read.
    pub source: String,
    pub providers: BTreeMap<String, Known>,
    /// By canonical id.
    #[serde(skip)]
    pub models: BTreeMap<String, Model>,
}

const THIS_MACHINE: &str = "127.0.0.1";

impl Catalog {
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.providers.get(name)
    }

    /// Who a provider is: by its name, else by the host it is reached at, unless that is this
    /// machine, which says nothing about what listens there.
    pub fn vendor(&self, name: &str, host: &str) -> Option<(&str, &Known)> {
        let by_host = || {
            self.providers
                .iter()
                .find(|(_, known)| host != THIS_MACHINE && known.is_at(host))
        };
        let found = self.providers.get_key_value(name).or_else(by_host);
        found.map(|(name, known)| (name.as_str(), known))
    }

    /// The price's own day and currency, or the catalogue's.
    pub fn date<'a>(&'a self, price: &'a KnownPrice) -> &'a str {
        price.date.as_deref().unwrap_or(&self.priced)
    }

    pub fn currency<'a>(&'a self, price: &'a KnownPrice) -> &'a str {
        price.currency.as_deref().unwrap_or(&self.currency)
    }
}
