//! The ready form of a provider: where it is, who we are there, and what it may be asked.

use crate::catalog::{Prefill, Status};
use crate::config::secret::Secret;
use crate::config::snapshot::rules::{Capabilities, Quantization, Scores};
use crate::config::snapshot::{Endpoint, Price};
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An account somewhere that serves models under its own names.
#[derive(Debug)]
pub struct Provider {
    pub name: Arc<str>,
    pub index: usize,
    /// The catalogue's name for whoever stands behind it, which its errors are read by; its own
    /// where the catalogue knows neither name nor host.
    pub vendor: Arc<str>,
    /// Where it works on what it is sent. Empty: unknown.
    pub regions: Vec<Arc<str>>,
    pub tls: bool,
    pub client_tls: ClientTls,
    /// Host name or address without port or brackets: the SNI, and what is resolved unless there
    /// are `addresses`.
    pub host: String,
    pub port: u16,
    /// Where it is reached instead. Empty: at `host` and `port`.
    pub addresses: Vec<Address>,
    /// Connections go through this one.
    pub proxy: Option<Proxy>,
    /// The `Host` header: with the port where it is not the scheme's own.
    pub authority: HeaderValue,
    /// `/v1`: never ends in a slash; empty for a base URL at the root.
    pub base_path: String,
    /// Never empty. One a key of the pool; `Auth::None` alone where no key is sent.
    pub keys: Vec<Auth>,
    /// Every credential of this provider, to be struck from what it sends back.
    pub secrets: Vec<Secret>,
    pub endpoints: Vec<Endpoint>,
    /// Of all its targets together.
    pub limits: Limits,
    /// None: its targets are never taken out for failing.
    pub breaker: Option<Breaker>,
    /// None: its addresses are not asked how they are.
    pub health: Option<Health>,
    /// How it is asked to continue an assistant message.
    pub prefill: Prefill,
    /// The base path for such a request, where it is another.
    pub prefill_path: Option<String>,
    /// Streams are asked for their usage with `stream_options.include_usage`.
    pub inject_usage: bool,
    /// It may collect what it is sent. None: unknown.
    pub collects: Option<bool>,
    /// It keeps nothing of what it is sent. None: unknown.
    pub zdr: Option<bool>,
    /// Canonical id → how this provider serves it.
    pub models: HashMap<Arc<str>, Arc<ProviderModel>>,
}

impl Provider {
    /// Who we are there as long as no key of the pool is preferred to another.
    pub fn first_key(&self) -> &Auth {
        self.keys.first().unwrap_or(&Auth::None)
    }
}

#[derive(Debug)]
pub struct ProviderModel {
    /// The provider's own name.
    pub name: Arc<str>,
    /// Its other names for the same model.
    pub also: Vec<Arc<str>>,
    pub context: Option<u64>,
    pub price: Option<Price>,
    /// An alias of another canonical model: which one really answers.
    pub served_as: Option<Arc<str>>,
    pub status: Status,
    /// The model to ask for instead.
    pub replaced_by: Option<Arc<str>>,
    /// None: unknown.
    pub capabilities: Option<Capabilities>,
    pub quantization: Option<Quantization>,
    pub scores: Scores,
}

impl ProviderModel {
    pub fn is_called(&self, name: &str) -> bool {
        *self.name == *name || self.also.iter().any(|also| **also == *name)
    }
}

/// How a provider is told who calls. Header values are marked sensitive.
#[derive(Clone)]
pub enum Auth {
    None,
    Header {
        name: HeaderName,
        value: HeaderValue,
    },
    /// Already percent-encoded: `key=abc`.
    Query {
        pair: Secret,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Auth::None => f.write_str("none"),
            Auth::Header { name, .. } => write!(f, "header {name}: ***"),
            Auth::Query { .. } => f.write_str("query ***"),
        }
    }
}

/// How we know the provider, and how it knows us.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// Verify the upstream certificate and its name. False only by `tls: {verify: false}`.
    pub verify: bool,
    /// PEM: whom to trust, instead of those that everybody trusts.
    pub ca: Option<PathBuf>,
    /// PEM: the certificate we show and its key.
    pub cert: Option<(PathBuf, PathBuf)>,
}

/// One socket a provider is reached at, or a name for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Lower case, without brackets.
    pub host: String,
    pub port: u16,
    /// 0: never asked.
    pub weight: u32,
}

/// What is asked to connect in our place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Lower case, without brackets.
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

/// How much may be asked at once and within a minute. None: any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub concurrency: Option<u32>,
    pub rpm: Option<u64>,
    pub tpm: Option<u64>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// When a target that fails is taken out, and how it comes back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// The share of failures it opens at: above 0, at most 1.
    pub failures: f64,
    /// Older outcomes do not count,
    pub window: Duration,
    /// nor do any before the last so many.
    pub last: usize,
    /// With fewer outcomes than these nothing opens. Never above `last`.
    pub minimum: u32,
    /// Between two probes of an open one.
    pub interval: Duration,
}

/// How an address is asked whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub probe: Probe,
    pub interval: Duration,
    /// Never above `interval`.
    pub timeout: Duration,
    /// So many failures in a row.
    pub unhealthy_after: u32,
    /// So many successes in a row.
    pub healthy_after: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Http {
        /// From the root of the host, not below `base_path`.
        path: String,
        /// Never empty.
        expect: Vec<u16>,
    },
    /// A connection is enough.
    Tcp,
}
