//! The parsed form: the grammar of `overspill.yaml`, and nothing about what it means.
//!
//! Everything is optional here, so that whatever is found wrong can be taken out and the rest still
//! be read. What must be there is `validate`'s to say.

mod budget;
mod provider;
mod rules;

use crate::config::money::Rate;
use crate::config::secret::Secret;
use crate::config::shape::{List, OneOrMany, Ordered};
use crate::config::units::{Percent, Size, Time, TimeRange};
use crate::config::words::{Cause, Pause, SocketAddress};
use serde::Deserialize;

pub use crate::config::file::budget::Budget;
pub use crate::config::file::provider::{
    Address, Auth, Breaker, Driver, Health, Limits, Model, Price, Provider, ProviderTls,
};
pub use crate::config::file::rules::{Bound, By, Cap, Collection, Data};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub server: Server,
    pub providers: Ordered<Provider>,
    pub routes: List<Route>,
    pub defaults: Policy,
    pub keys: List<Key>,
    pub auth: Option<Access>,
    pub log: Log,
    pub traces: Option<Traces>,
    pub currencies: Ordered<Currency>,
    pub store: Option<Store>,
}

/// Also written as `from_usd` alone.
#[derive(Debug, Default)]
pub struct Currency {
    pub from_usd: Option<Rate>,
    pub to_usd: Option<Rate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: Option<OneOrMany<Listen>>,
    pub admin: Option<Admin>,
    pub threads: Option<u64>,
    pub max_body: Option<Size>,
    pub header_timeout: Option<Time>,
    pub body_timeout: Option<Time>,
    pub write_timeout: Option<Time>,
    pub buffers: Option<Size>,
    pub keepalive: Option<Time>,
    pub drain: Option<Time>,
    pub retry_budget: Option<Percent>,
    pub upgrade_socket: Option<String>,
}

/// Also written as the address alone.
#[derive(Debug, Default)]
pub struct Listen {
    pub address: Option<SocketAddress>,
    pub tls: Option<ListenTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenTls {
    pub cert: Option<String>,
    pub key: Option<String>,
}

/// Also written as the address alone.
#[derive(Debug)]
pub enum Admin {
    Off,
    At {
        address: Option<SocketAddress>,
        token: Option<Secret>,
    },
}

/// What a route may say and `defaults` may say for all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    pub retry: Retry,
    pub timeouts: Timeouts,
    pub stream: Option<Streaming>,
    pub forward: Option<List<String>>,
    pub fallback_models: Option<List<String>>,
    pub response_model: Option<ResponseModel>,
    pub balance: Option<Balance>,
    pub sticky: Option<List<StickyBy>>,
    pub max_price: Option<Cap>,
    pub regions: Option<List<String>>,
    pub data: Option<Data>,
    pub quantizations: Option<List<String>>,
    pub prefer: Option<List<String>>,
    pub require: Option<List<Bound>>,
    pub order: Option<List<By>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    pub name: Option<String>,
    #[serde(rename = "match")]
    pub matches: Match,
    pub mode: Option<Mode>,
    pub targets: List<Target>,
    // The fields of `Policy`: serde's flatten would lose positions and unknown fields.
    pub retry: Retry,
    pub timeouts: Timeouts,
    pub stream: Option<Streaming>,
    pub forward: Option<List<String>>,
    pub fallback_models: Option<List<String>>,
    pub response_model: Option<ResponseModel>,
    pub balance: Option<Balance>,
    pub sticky: Option<List<StickyBy>>,
    pub max_price: Option<Cap>,
    pub regions: Option<List<String>>,
    pub data: Option<Data>,
    pub quantizations: Option<List<String>>,
    pub prefer: Option<List<String>>,
    pub require: Option<List<Bound>>,
    pub order: Option<List<By>>,
}

impl Route {
    /// Moves the fields of a policy out.
    pub fn take_policy(&mut self) -> Policy {
        Policy {
            retry: std::mem::take(&mut self.retry),
            timeouts: std::mem::take(&mut self.timeouts),
            stream: self.stream.take(),
            forward: self.forward.take(),
            fallback_models: self.fallback_models.take(),
            response_model: self.response_model,
            balance: self.balance,
            sticky: self.sticky.take(),
            max_price: self.max_price.take(),
            regions: self.regions.take(),
            data: self.data.take(),
            quantizations: self.quantizations.take(),
            prefer: self.prefer.take(),
            require: self.require.take(),
            order: self.order.take(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    pub models: List<String>,
    pub path: Option<String>,
    pub host: Option<OneOrMany<String>>,
    pub headers: Ordered<String>,
    pub keys: List<String>,
    pub tags: List<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Call,
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseModel {
    Canonical,
    Upstream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    Weighted,
    Fastest,
    LeastBusy,
    Cheapest,
    Sticky,
    Ranked,
}

/// Also `{header: name}`.
#[derive(Debug)]
pub enum StickyBy {
    Session,
    Key,
    Message,
    Header(Option<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    pub provider: Option<String>,
    pub model: Option<String>,
    pub tier: Option<u64>,
    pub weight: Option<u64>,
    pub limits: Limits,
    pub options: Ordered<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    #[serde(rename = "for")]
    pub causes: Option<List<Cause>>,
    pub attempts: Option<u64>,
    pub patience: Option<Time>,
    pub backoff: Option<TimeRange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    pub connect: Option<Time>,
    pub first_byte: Option<Time>,
    pub first_token: Option<Time>,
    pub idle: Option<Time>,
    pub stall: Option<Time>,
    pub response: Option<Time>,
    pub deadline: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streaming {
    pub ping: Option<Pause>,
    pub ping_before_commit: Option<bool>,
    pub resume: Option<Resume>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    Prefill,
    Auto,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    pub name: Option<String>,
    pub secret: Option<Secret>,
    pub sha256: Option<Secret>,
    pub models: List<String>,
    pub prefer: List<String>,
    pub only: List<String>,
    pub ignore: List<String>,
    pub max_price: Option<Cap>,
    pub regions: List<String>,
    pub data: Option<Data>,
    pub quantizations: List<String>,
    pub explain: Option<bool>,
    pub budget: Option<Budget>,
}

/// `auth: off`.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: Option<LogFormat>,
    pub level: Option<Level>,
    pub access: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    pub otlp: Option<String>,
    pub headers: Ordered<Secret>,
    pub sample: Option<Percent>,
    pub service: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Also written as the URL alone.
#[derive(Debug)]
pub enum Store {
    Off,
    At {
        url: Option<Secret>,
        retention: Option<Time>,
        queue: Option<u64>,
    },
}
