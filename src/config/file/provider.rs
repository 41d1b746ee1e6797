//! One of `providers`.

use crate::catalog::Prefill;
use crate::config::file::rules::Data;
use crate::config::host::HostPort;
use crate::config::money::Amount;
use crate::config::secret::Secret;
use crate::config::shape::{List, Ordered};
use crate::config::units::{Percent, Time};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    pub api_key: Option<Secret>,
    pub api_keys: Option<List<Secret>>,
    pub driver: Option<Driver>,
    pub base_url: Option<String>,
    pub region: Option<String>,
    pub addresses: Option<List<Address>>,
    pub proxy: Option<Secret>,
    pub auth: Option<Auth>,
    pub endpoints: Option<List<String>>,
    pub models: Ordered<Model>,
    pub tls: Option<ProviderTls>,
    pub limits: Limits,
    pub breaker: Option<Breaker>,
    pub health: Option<Health>,
    pub prefill: Option<Prefill>,
    pub inject_usage: Option<bool>,
    pub data: Option<Data>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    Openai,
}

/// Also written as the address alone.
#[derive(Debug, Default)]
pub struct Address {
    pub address: Option<HostPort>,
    pub weight: Option<u64>,
}

#[derive(Debug)]
pub enum Auth {
    None,
    Bearer,
    Own {
        header: Option<Ordered<Secret>>,
        query: Option<Ordered<Secret>>,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderTls {
    pub verify: Option<bool>,
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
}

/// Of a provider, and of a target.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub concurrency: Option<u64>,
    pub rpm: Option<u64>,
    pub tpm: Option<u64>,
}

#[derive(Debug)]
pub enum Breaker {
    Off,
    On {
        failures: Option<Percent>,
        window: Option<Time>,
        last: Option<u64>,
        minimum: Option<u64>,
        interval: Option<Time>,
    },
}

/// Also written as `tcp` alone.
#[derive(Debug, Default)]
pub struct Health {
    pub tcp: Option<bool>,
    pub path: Option<String>,
    pub expect: Option<List<u64>>,
    pub interval: Option<Time>,
    pub timeout: Option<Time>,
    pub unhealthy_after: Option<u64>,
    pub healthy_after: Option<u64>,
}

/// Also written as the name alone.
#[derive(Debug, Default)]
pub struct Model {
    pub name: Option<String>,
    pub price: Option<Price>,
    pub context: Option<u64>,
    pub served_as: Option<String>,
    pub capabilities: Option<List<String>>,
    pub quantization: Option<String>,
    pub scores: Ordered<f64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    pub input: Option<Amount>,
    pub output: Option<Amount>,
    pub cached: Option<Amount>,
    pub cache_write: Option<Amount>,
    pub reasoning: Option<Amount>,
    pub request: Option<Amount>,
    pub currency: Option<String>,
    pub date: Option<String>,
}
