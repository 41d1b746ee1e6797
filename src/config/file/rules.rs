//! Who may serve a request, and who should: of a route, of a key, of all.

use crate::config::money::Amount;
use serde::Deserialize;

/// Per million tokens, and per request. OpenRouter's names are taken too.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    pub input: Option<Amount>,
    pub prompt: Option<Amount>,
    pub output: Option<Amount>,
    pub completion: Option<Amount>,
    pub request: Option<Amount>,
    pub currency: Option<String>,
}

/// Of a provider: what it does. Of a route or a key: what is asked of a provider.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    pub collection: Option<Collection>,
    pub zdr: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    Allow,
    Deny,
}

/// One of `require`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bound {
    pub metric: Option<String>,
    pub stat: Option<String>,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// One of `order`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct By {
    pub metric: Option<String>,
    pub stat: Option<String>,
}
