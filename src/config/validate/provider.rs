//! `providers`: what the file says of each, over what the catalogue knows.

use crate::catalog::{Known, catalog};
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::{Report, not_known};
use crate::config::shape::{Ordered, elements};
use crate::config::snapshot::{Currencies, Endpoint, Prefill, Provider, Server};
use crate::config::suggest::closest;
use crate::config::validate::Context;
use crate::config::validate::auth::credentials;
use crate::config::validate::breaker::breaker;
use crate::config::validate::client_tls::client_tls;
use crate::config::validate::endpoint_url::EndpointUrl;
use crate::config::validate::facts;
use crate::config::validate::health;
use crate::config::validate::limits::limits;
use crate::config::validate::model::models;
use crate::config::validate::names::is_name;
use crate::config::validate::price::Pricing;
use crate::config::validate::reach::{Reach, reach};
use crate::config::validate::region::{known_there, regions};
use std::sync::Arc;

const DEFAULT_ENDPOINTS: [Endpoint; 3] =
    [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];

/// Accepted in `endpoints`, since providers list it: the gateway answers it by itself.
const MODELS: &str = "models";

/// The providers of the file.
#[derive(Default)]
pub struct Accounts {
    ready: Vec<Arc<Provider>>,
    /// Those that were wrong too: a target that names one is not wrong for it.
    written: Vec<Arc<str>>,
}

impl Accounts {
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.ready.iter().find(|provider| &*provider.name == name)
    }

    pub fn is_written(&self, name: &str) -> bool {
        self.written.iter().any(|written| &**written == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(|name| &**name)
    }

    pub fn into_ready(self) -> Vec<Arc<Provider>> {
        self.ready
    }
}

pub fn providers(
    report: &mut Report,
    file: Ordered<file::Provider>,
    server: &Server,
    context: Context<'_>,
    currencies: &Currencies,
) -> Accounts {
    let root = Place::root();
    let place = root.key("providers");
    let written = report
        .root
        .find(&place)
        .map(|node| node.keys())
        .unwrap_or_default();
    if written.is_empty() {
        report.missing(&root, "providers", "missing: at least one provider");
        if report.root.find(&place).is_some_and(|node| !node.pruned) {
            report.error(&place, "is empty; name at least one provider");
        }
    }
    let mut accounts = Accounts {
        ready: vec![],
        written,
    };
    for (name, file) in file.0 {
        let place = place.key(name.as_str());
        let index = accounts.ready.len();
        let one = One {
            place,
            name: name.as_str(),
            index,
            server,
            context,
            pricing: Pricing {
                today: context.today,
                currencies,
            },
        };
        if let Some(provider) = one.provider(report, &file) {
            accounts.ready.push(Arc::new(provider));
        }
    }
    accounts
}

struct One<'a> {
    place: Place,
    name: &'a str,
    index: usize,
    server: &'a Server,
    context: Context<'a>,
    pricing: Pricing<'a>,
}

impl One<'_> {
    fn provider(&self, report: &mut Report, file: &file::Provider) -> Option<Provider> {
        // There is one dialect so far, and naming it changes nothing.
        let (Some(file::Driver::Openai) | None) = file.driver;
        if !is_name(self.name) {
            report.error(
                &self.place,
                "a provider's name has letters, digits and signs only",
            );
        }
        let known = known_there(report, &self.place, self.name, file);
        let known = known.as_deref();
        let reach = reach(report, &self.place, self.name, file, known, self.server);
        let credentials = credentials(report, &self.place, file, known);
        let endpoints = self.endpoints(report, file, known);
        let models = models(report, &self.place, &file.models, known, self.pricing);
        let limits = limits(report, &self.place.key("limits"), &file.limits);
        let breaker = breaker(report, &self.place.key("breaker"), file.breaker.as_ref());
        let health_place = self.place.key("health");
        let health = file.health.as_ref();
        let health = health.map(|file| health::health(report, &health_place, file));
        let (reach, (keys, secrets)) = (reach?, credentials?);
        reach.warn_of_plain_text(report, &self.place, &keys);
        let Reach {
            url,
            addresses,
            proxy,
        } = reach;
        let directory = self.context.directory;
        let client_tls = client_tls(report, &self.place, file.tls.as_ref(), url.tls, directory);
        let vendor = catalog().vendor(self.name, &url.host);
        // Its host does not always tell which of several regions it is in.
        let by_host = vendor.map(|(_, known)| known);
        let by_host = by_host.filter(|known| known.elsewhere.is_empty());
        let (prefill, prefill_path) = prefill(file, vendor.map(|(_, known)| known), &url);
        let takes_usage = vendor.and_then(|(_, known)| known.inject_usage);
        let (collects, zdr) = facts::data(file.data, vendor.map(|(_, known)| known.data));
        Some(Provider {
            name: self.name.into(),
            index: self.index,
            vendor: vendor.map_or(self.name, |(vendor, _)| vendor).into(),
            regions: regions(file, known.or(by_host)),
            tls: url.tls,
            client_tls,
            host: url.host,
            port: url.port,
            addresses,
            proxy,
            authority: url.authority,
            base_path: url.base_path,
            keys,
            secrets,
            endpoints,
            limits,
            breaker,
            health,
            prefill,
            prefill_path,
            inject_usage: file.inject_usage.or(takes_usage).unwrap_or(true),
            collects,
            zdr,
            models,
        })
    }

    fn endpoints(
        &self,
        report: &mut Report,
        file: &file::Provider,
        known: Option<&Known>,
    ) -> Vec<Endpoint> {
        let place = self.place.key("endpoints");
        let Some(words) = &file.endpoints else {
            let words = known.and_then(|known| known.endpoints.as_ref());
            return words.map_or(DEFAULT_ENDPOINTS.to_vec(), |words| {
                words.iter().filter_map(|word| named(word)).collect()
            });
        };
        let mut endpoints = Vec::new();
        for (place, word) in elements(words, &place) {
            match named(word) {
                Some(endpoint) if !endpoints.contains(&endpoint) => endpoints.push(endpoint),
                Some(_) => report.error(&place, "is named twice"),
                None if word == MODELS => {}
                None => {
                    let known = Endpoint::ALL
                        .map(Endpoint::name)
                        .into_iter()
                        .chain([MODELS]);
                    let known: Vec<&str> = known.collect();
                    let message = format!("{} {}", report.quote(&place), not_known(&known));
                    report.error_meaning(&place, message, closest(word, known));
                }
            }
        }
        if words.is_empty() {
            report.error(
                &place,
                "is empty; leave it out for chat, completions and embeddings",
            );
        }
        endpoints
    }
}

fn named(word: &str) -> Option<Endpoint> {
    Endpoint::ALL
        .into_iter()
        .find(|endpoint| endpoint.name() == word)
}

/// The form in which it continues an assistant message, and the base path for it: a path of the
/// vendor's own is found at the vendor's only.
fn prefill(
    file: &file::Provider,
    vendor: Option<&Known>,
    url: &EndpointUrl,
) -> (Prefill, Option<String>) {
    let Some(vendor) = vendor else {
        return (file.prefill.unwrap_or_default(), None);
    };
    let path = vendor.prefill_path.as_ref();
    let is_own = vendor
        .base_url
        .as_deref()
        .and_then(|own| EndpointUrl::parse(own).ok())
        .is_some_and(|own| own.is_same_server(url));
    let prefill = file.prefill.unwrap_or(vendor.prefill);
    let path = path.filter(|_| is_own && prefill == vendor.prefill);
    (prefill, path.cloned())
}
