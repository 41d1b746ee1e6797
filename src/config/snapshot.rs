//! The ready form of a configuration: immutable, every name resolved, everything the hot path
//! needs computed once. A request pins one snapshot and keeps it to its end.

mod price;
mod provider;
mod rules;

use crate::config::money::Micros;
use crate::config::period::Period;
use crate::config::secret::Secret;
use crate::routing::balance::Schedule;
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::catalog::Prefill;
pub use crate::config::snapshot::price::{Currencies, Exchange, Price};
pub use crate::config::snapshot::provider::{
    Address, Auth, Breaker, ClientTls, Health, Limits, Probe, Provider, ProviderModel, Proxy,
};
pub use crate::config::snapshot::rules::{
    Bound, By, Cap, Capabilities, Capability, DataRule, Dollars, Facts, Quantization, Rules, Scores,
};

#[derive(Debug)]
pub struct Snapshot {
    pub server: Server,
    pub providers: Vec<Arc<Provider>>,
    /// In the order of the file: the first that matches serves.
    pub routes: Vec<Arc<Route>>,
    pub keys: Keys,
    pub log: Log,
    pub currencies: Currencies,
    /// None: requests are not told of as traces.
    pub traces: Option<Traces>,
    /// None: no record of a request is kept.
    pub store: Option<Store>,
}

impl Snapshot {
    /// All targets, in the order of their numbers.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.routes.iter().flat_map(|route| &route.targets)
    }
}

#[derive(Debug, Clone)]
pub struct Server {
    pub listen: Vec<Listen>,
    pub admin: Option<Admin>,
    /// 0: one a core.
    pub threads: usize,
    pub max_body: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    /// All request bodies in memory together, in bytes.
    pub buffers: usize,
    pub keepalive: Duration,
    pub drain: Duration,
    /// The share of recent requests that retries at a failing target may add, from 0 to 1.
    pub retry_budget: f64,
    /// Where a successor is given the listening sockets. None: at a path made from the first
    /// address.
    pub upgrade_socket: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: Option<ListenTls>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Admin {
    pub address: SocketAddr,
    /// Asked for (as a bearer) by everything on the admin port but the health paths.
    pub token: Option<Secret>,
}

/// Where a record of each request is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub place: StorePlace,
    pub retention: Duration,
    /// Records that may wait while it cannot be written.
    pub queue: usize,
    /// The file does not say where: nobody asked for it, so it may also be left out.
    pub implied: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    Sqlite(PathBuf),
    /// The whole URL, which may have a password.
    Postgres(Secret),
}

#[derive(Debug)]
pub struct Log {
    pub format: LogFormat,
    pub level: tracing::Level,
    pub access: AccessTo,
}

/// Where the line of each request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessTo {
    Stdout,
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Where traces are told, over OTLP.
#[derive(Debug)]
pub struct Traces {
    pub tls: bool,
    /// Without port and brackets.
    pub host: String,
    pub port: u16,
    pub authority: HeaderValue,
    pub path: String,
    /// Credentials, as a rule.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The share of traces begun here that are told, from 0 to 1.
    pub sample: f64,
    /// What the gateway is called there.
    pub service: Arc<str>,
}

/// What the data port serves, and where the same thing stands at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    Rerank,
    Moderations,
    Images,
    Speech,
}

impl Endpoint {
    pub const ALL: [Endpoint; 9] = [
        Endpoint::Chat,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Responses,
        Endpoint::Messages,
        Endpoint::Rerank,
        Endpoint::Moderations,
        Endpoint::Images,
        Endpoint::Speech,
    ];

    /// Answers may come as a stream of events whose places are known.
    pub fn streams(self) -> bool {
        matches!(
            self,
            Endpoint::Chat | Endpoint::Completions | Endpoint::Responses | Endpoint::Messages
        )
    }

    /// The word in `providers.*.endpoints`, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Responses => "responses",
            Endpoint::Messages => "messages",
            Endpoint::Rerank => "rerank",
            Endpoint::Moderations => "moderations",
            Endpoint::Images => "images",
            Endpoint::Speech => "speech",
        }
    }

    /// Below `/v1` here, and below the base path there.
    pub fn path(self) -> &'static str {
        match self {
            Endpoint::Chat => "/chat/completions",
            Endpoint::Completions => "/completions",
            Endpoint::Embeddings => "/embeddings",
            Endpoint::Responses => "/responses",
            Endpoint::Messages => "/messages",
            Endpoint::Rerank => "/rerank",
            Endpoint::Moderations => "/moderations",
            Endpoint::Images => "/images/generations",
            Endpoint::Speech => "/audio/speech",
        }
    }

    /// The endpoint a path of the data port names.
    pub fn at(path: &str) -> Option<Endpoint> {
        let below = path.strip_prefix("/v1")?;
        Endpoint::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == below)
    }
}

#[derive(Debug)]
pub struct Route {
    pub name: Arc<str>,
    pub index: usize,
    pub matches: Match,
    pub mode: Mode,
    pub targets: Vec<Arc<Target>>,
    pub retry: Retry,
    pub timeouts: Timeouts,
    pub stream: Streaming,
    /// Request headers let through besides the standard ones.
    pub forward: Vec<HeaderName>,
    pub response_model: ResponseModel,
    pub fallback_models: Vec<Arc<str>>,
    pub balance: Balance,
    /// Never empty. For `Balance::Sticky`: the first of these that a request has is hashed.
    pub sticky: Vec<StickyBy>,
    pub rules: Rules,
    /// Providers to be asked first, whatever their tier.
    pub prefer: Vec<Arc<str>>,
    pub require: Vec<Bound>,
    /// Never empty for `Balance::Ranked`.
    pub order: Vec<By>,
    /// Declared canonical id → who serves it here.
    pub models: HashMap<Arc<str>, Arc<Served>>,
    /// Targets that name the provider's model themselves serve whatever this route matches, and a
    /// call without a model.
    pub any_model: Option<Arc<Served>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Read, routed by model, retried.
    Call,
    /// Streamed through as it comes, upgrades included.
    Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseModel {
    Canonical,
    Upstream,
}

/// How those of one tier are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// By turns, each as often as its weight.
    Weighted,
    /// By measured speed.
    Fastest,
    /// By calls in flight.
    LeastBusy,
    /// By the price of this request.
    Cheapest,
    /// What is alike goes to the same one.
    Sticky,
    /// By what `order` names.
    Ranked,
}

/// What makes requests alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StickyBy {
    /// `x-overspill-session`.
    Session,
    Header(HeaderName),
    /// The caller's key.
    Key,
    /// The first system and user message.
    Message,
}

/// All that is given must hold; what is empty or absent holds always.
#[derive(Debug, Default)]
pub struct Match {
    pub models: Vec<Pattern>,
    pub path: Option<Pattern>,
    /// Lower case, without port.
    pub hosts: Vec<Pattern>,
    pub headers: Vec<(HeaderName, Pattern)>,
    /// Names of keys.
    pub keys: Vec<Arc<str>>,
    /// Of `x-overspill-tags`; one of them is enough.
    pub tags: Vec<Arc<str>>,
}

/// A literal, or a literal with one `*` standing for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub before: String,
    /// None: no `*`.
    pub after: Option<String>,
}

impl Pattern {
    pub fn parse(text: &str) -> Pattern {
        match text.split_once('*') {
            Some((before, after)) => Pattern {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            },
            None => Pattern {
                before: text.to_owned(),
                after: None,
            },
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match &self.after {
            None => text == self.before,
            Some(after) => {
                text.len() >= self.before.len() + after.len()
                    && text.starts_with(self.before.as_str())
                    && text.ends_with(after.as_str())
            }
        }
    }

    /// Everything `other` matches, this one matches too.
    pub fn covers(&self, other: &Pattern) -> bool {
        match (&self.after, &other.after) {
            (_, None) => self.matches(&other.before),
            (None, Some(_)) => false,
            (Some(after), Some(others)) => {
                other.before.starts_with(self.before.as_str()) && others.ends_with(after.as_str())
            }
        }
    }
}

/// One provider serving in one route, with a tier and a weight.
#[derive(Debug)]
pub struct Target {
    /// No other target has it, and it stays the same from one snapshot to the next:
    /// `route/provider`, or `route/provider/model` where the target names its model; from the
    /// second of the same name on with `#2`. Whatever lives longer than a snapshot goes by it.
    pub id: Arc<str>,
    /// Its place among all targets of the snapshot.
    pub number: usize,
    pub provider: Arc<Provider>,
    /// Position in the route.
    pub index: usize,
    pub tier: u32,
    /// 0: never asked.
    pub weight: u32,
    /// The provider's own model name, where the route gives it.
    pub model: Option<Arc<str>>,
    /// Of this target alone; those of its provider hold besides.
    pub limits: Limits,
    /// Top-level fields that the request is given, whatever the caller wrote: name, JSON.
    pub options: Vec<(String, String)>,
}

/// One canonical model in one route: its candidates by tier.
#[derive(Debug)]
pub struct Served {
    /// Canonical id. For a target that names its own model this is the id asked for, or, where
    /// none was, the provider's own name; then it is None here.
    pub model: Option<Arc<str>>,
    /// The same as a JSON string, quotes included, ready to be spliced into an answer.
    pub model_json: Option<bytes::Bytes>,
    /// Ascending by tier.
    pub tiers: Vec<Tier>,
}

#[derive(Debug)]
pub struct Tier {
    pub number: u32,
    /// Those with a weight of zero are left out.
    pub candidates: Vec<Candidate>,
    /// Whose turn it is.
    pub schedule: Schedule,
}

impl Tier {
    /// With its turns laid out by the candidates' weights.
    pub fn new(number: u32, candidates: Vec<Candidate>) -> Tier {
        let weights: Vec<u32> = candidates.iter().map(|one| one.target.weight).collect();
        let schedule = Schedule::new(&weights);
        Tier {
            number,
            candidates,
            schedule,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Candidate {
    pub target: Arc<Target>,
    /// The provider's own name for the model.
    pub upstream_model: Arc<str>,
    /// The same as a JSON string, quotes included, ready to be spliced.
    pub upstream_json: bytes::Bytes,
    pub context: Option<u64>,
    pub price: Option<Price>,
    pub facts: Facts,
    /// The model that really answers, where it is another.
    pub served_as: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
pub struct Retry {
    pub causes: Causes,
    pub attempts: u32,
    pub patience: Duration,
    pub backoff: (Duration, Duration),
}

/// What `retry.for` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    pub connect: bool,
    pub timeout: bool,
    pub reset: bool,
    pub rate_limited: bool,
    pub server_error: bool,
    pub stream: bool,
    pub content_filter: bool,
    /// Single statuses besides.
    pub statuses: Vec<u16>,
}

impl Causes {
    /// `for: []`: no retry of any kind.
    pub fn is_empty(&self) -> bool {
        *self == Causes::default()
    }
}

#[derive(Debug, Clone)]
pub struct Timeouts {
    pub connect: Duration,
    /// A stream's first byte.
    pub first_byte: Duration,
    /// A stream's first content, comments and preamble notwithstanding.
    pub first_token: Duration,
    /// Between two bytes of an answer under way.
    pub idle: Duration,
    /// Between two events of a committed stream, comments notwithstanding.
    pub stall: Duration,
    /// The header of an answer that is no stream.
    pub response: Duration,
    /// All work up to the commit.
    pub deadline: Duration,
}

/// What a stream does while its provider is silent, and when it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streaming {
    /// The silence after which the caller gets a comment, and again after each more of it.
    pub ping: Option<Duration>,
    /// Also while nothing is decided yet, which sends the head of an answer early.
    pub ping_before_commit: bool,
    pub resume: Resume,
}

/// How a committed stream that breaks is carried on by another target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// By those known to continue an assistant message.
    Prefill,
    /// By the others too: answered afresh, what was delivered is skipped.
    Auto,
    Off,
}

#[derive(Debug)]
pub enum Keys {
    /// `auth: off`, or no keys on a loopback address.
    Open,
    /// SHA-256 of the secret → who it is.
    Known(HashMap<[u8; 32], Arc<Key>>),
}

impl Keys {
    /// In no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Key>> {
        let known = match self {
            Keys::Open => None,
            Keys::Known(known) => Some(known.values()),
        };
        known.into_iter().flatten()
    }
}

#[derive(Debug)]
pub struct Key {
    pub name: Arc<str>,
    /// Empty: every model.
    pub models: Vec<Pattern>,
    pub rules: Rules,
    /// Providers to be asked first, whatever their tier.
    pub prefer: Vec<Arc<str>>,
    /// May ask why its calls go where they go.
    pub explain: bool,
    /// None: it may spend whatever it spends.
    pub budget: Option<Budget>,
}

/// What a key may spend in a window of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub limit: Micros,
    pub per: Period,
}

impl Key {
    pub fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }
}
