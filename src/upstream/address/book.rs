//! The addresses of every provider, by its name.

use crate::config::snapshot::Provider;
use crate::health::pulse::State;
use crate::upstream::address::{Addresses, Choice, Unresolved};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

pub struct Book {
    pages: ArcSwap<Pages>,
    changed: Notify,
}

#[derive(Default)]
struct Pages {
    now: HashMap<Arc<str>, Arc<Addresses>>,
    /// Of earlier snapshots, as long as a request holds one: it goes where it was sent, with the
    /// credentials that belong there.
    earlier: Vec<Arc<Addresses>>,
}

/// How one address is.
#[derive(Debug, Clone)]
pub struct Standing {
    pub provider: Arc<str>,
    pub address: Arc<str>,
    pub state: State,
    /// What the last check found amiss.
    pub why: Option<String>,
    pub since: Instant,
}

impl Book {
    pub fn new(providers: &[Arc<Provider>]) -> Book {
        Book {
            pages: ArcSwap::from_pointee(Pages::default().turned(providers)),
            changed: Notify::new(),
        }
    }

    /// The providers of a new snapshot. What is known of an address under the same provider's name
    /// stays known.
    pub fn reload(&self, providers: &[Arc<Provider>]) {
        let turned = self.pages.load().turned(providers);
        self.pages.store(Arc::new(turned));
        self.changed.notify_one();
    }

    /// The addresses to try, the one whose turn it is first; with a key the one it stays at.
    pub async fn peers(
        &self,
        provider: &Provider,
        key: Option<u64>,
        now: Instant,
    ) -> Result<Choice, Unresolved> {
        let addresses = self.pages.load().find(provider);
        match addresses {
            Some(addresses) => addresses.choose(key, now).await,
            None => Err(Unresolved(format!("{} is not known", provider.name))),
        }
    }

    /// False when every address of the provider failed its checks: its targets need not be asked
    /// while there are others.
    pub fn is_well(&self, provider: &Provider) -> bool {
        let addresses = self.pages.load().find(provider);
        addresses.is_none_or(|addresses| addresses.is_well())
    }

    /// Of every provider of the current snapshot.
    pub fn addresses(&self) -> Vec<Arc<Addresses>> {
        self.pages.load().now.values().cloned().collect()
    }

    /// How each address is, by provider and address.
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings: Vec<Standing> = self
            .addresses()
            .iter()
            .flat_map(|addresses| addresses.standings())
            .collect();
        standings.sort_by(|a, b| (&a.provider, &a.address).cmp(&(&b.provider, &b.address)));
        standings
    }

    #[cfg(test)]
    pub fn held_over(&self) -> usize {
        self.pages.load().earlier.len()
    }

    /// Waits for the next snapshot. One waits at a time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Pages {
    fn turned(&self, providers: &[Arc<Provider>]) -> Pages {
        let now = Instant::now();
        let page = |provider: &Arc<Provider>| {
            let before = self.now.get(&provider.name).map(|before| &**before);
            let addresses = Addresses::new(Arc::clone(provider), before, now);
            (Arc::clone(&provider.name), addresses)
        };
        let is_over = |page: &Addresses| providers.iter().all(|provider| !page.is_of(provider));
        let earlier = self.now.values().chain(&self.earlier);
        let earlier = earlier.filter(|page| is_over(page) && page.is_held());
        Pages {
            earlier: earlier.cloned().collect(),
            now: providers.iter().map(page).collect(),
        }
    }

    fn find(&self, provider: &Provider) -> Option<Arc<Addresses>> {
        let current = self.now.get(&provider.name);
        current
            .into_iter()
            .chain(&self.earlier)
            .find(|page| page.is_of(provider))
            .cloned()
    }
}
