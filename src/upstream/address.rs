//! Where a provider is: its names resolved asynchronously, kept for as long as the answers say,
//! and refreshed behind the calls that use them; its addresses in turn, the healthy ones first.

mod book;
mod known;
mod places;
mod ring;
mod roster;

pub use crate::upstream::address::book::{Book, Standing};
pub use crate::upstream::address::roster::Choice;
pub use crate::upstream::resolver::Unresolved;

use crate::config::snapshot::Provider;
use crate::upstream::address::known::Known;
use crate::upstream::address::places::Places;
use crate::upstream::address::roster::Roster;
use crate::upstream::identity::Identity;
use crate::upstream::peer::KnownPeer;
use crate::upstream::resolver::{Found, resolve};
use arc_swap::ArcSwapOption;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Mutex as Turnstile, OwnedMutexGuard};
use tokio::task::JoinHandle;

/// The addresses of one provider.
pub struct Addresses {
    provider: Arc<Provider>,
    places: Places,
    identity: Result<Identity, Unresolved>,
    /// What the roster is made of. Held for moments, and never by a call.
    known: Mutex<Known>,
    roster: ArcSwapOption<Roster>,
    /// Whose lock it is asks the resolver: one at a time.
    asking: Arc<Turnstile<LastFailure>>,
}

/// When and why there was no address at all, unless there has been one since.
type LastFailure = Option<(Instant, Unresolved)>;

impl Addresses {
    /// `before` is what was known under this name.
    pub fn new(
        provider: Arc<Provider>,
        before: Option<&Addresses>,
        now: Instant,
    ) -> Arc<Addresses> {
        let places = Places::of(&provider);
        let mut known = match before {
            Some(before) => before.known().moved(&before.places, &places, now),
            None => Known::new(&places, now),
        };
        if provider.health.is_none() {
            known.forget_checks();
        }
        let name = &provider.name;
        let identity = Identity::load(&provider.client_tls).map_err(|error| {
            tracing::error!(provider = &**name, "cannot use the files of `tls`: {error}");
            Unresolved(format!("cannot use the files of `tls`: {error}"))
        });
        let addresses = Addresses {
            provider,
            places,
            identity,
            known: Mutex::new(known),
            roster: ArcSwapOption::empty(),
            asking: Arc::default(),
        };
        addresses.rebuild(&mut addresses.known(), now);
        Arc::new(addresses)
    }

    pub fn is_of(&self, provider: &Provider) -> bool {
        std::ptr::eq(&*self.provider, provider)
    }

    /// Whether a snapshot still names this provider.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.provider) > 1
    }

    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// The addresses, the next in turn first. Waits for a resolver only when nothing is known yet:
    /// an answer past its time is used once more while a new one is fetched, and a dead resolver
    /// leaves the last answer standing.
    pub async fn choose(
        self: &Arc<Self>,
        key: Option<u64>,
        now: Instant,
    ) -> Result<Choice, Unresolved> {
        Ok(Choice::new(self.roster(now).await?, key))
    }

    /// Every address there is, for those who check them. None: not resolved yet.
    pub fn known_peers(self: &Arc<Self>, now: Instant) -> Option<Vec<Arc<KnownPeer>>> {
        let roster = self.roster.load_full()?;
        self.keep_fresh(&roster, now);
        Some(roster.peers().to_vec())
    }

    async fn roster(self: &Arc<Self>, now: Instant) -> Result<Arc<Roster>, Unresolved> {
        match self.roster.load_full() {
            Some(roster) => {
                self.keep_fresh(&roster, now);
                Ok(roster)
            }
            None => {
                self.identity.as_ref().map_err(Clone::clone)?;
                self.first(self.due(now)).await
            }
        }
    }

    /// Whether a check left it one address at least. What is not resolved may well be well.
    pub fn is_well(&self) -> bool {
        let roster = self.roster.load();
        roster.as_ref().is_none_or(|roster| roster.is_well())
    }

    fn keep_fresh(self: &Arc<Self>, roster: &Roster, now: Instant) {
        if now >= roster.renew {
            self.refresh(self.due(now));
        }
    }

    /// Looks up the names whose time has come.
    fn due(&self, now: Instant) -> impl Heard + use<> {
        let hosts = self.known().hosts().to_vec();
        let names = self.places.hosts().into_iter().map(str::to_owned);
        let due: Vec<(String, Found)> = names.zip(hosts).collect();
        async move {
            // All at once: one that is silent holds none of the others up.
            let asked: Vec<JoinHandle<_>> = due
                .into_iter()
                .map(|(name, known)| {
                    tokio::spawn(async move {
                        if now < known.renew && !known.ips.is_empty() {
                            return Ok(known);
                        }
                        resolve(&name).await
                    })
                })
                .collect();
            let mut heard = Vec::with_capacity(asked.len());
            for answer in asked {
                heard.push(answer.await.unwrap_or_else(|_| Err(given_up())));
            }
            heard
        }
    }

    /// Asks behind the callers' backs, unless somebody does.
    fn refresh(self: &Arc<Self>, heard: impl Heard) {
        if let Ok(asking) = Arc::clone(&self.asking).try_lock_owned() {
            drop(self.ask(asking, heard));
        }
    }

    /// The first answer, asked for once for all who wait for it. They share a failure too:
    /// otherwise each would wait for its own, one after another.
    async fn first(self: &Arc<Self>, heard: impl Heard) -> Result<Arc<Roster>, Unresolved> {
        let began = Instant::now();
        let asking = Arc::clone(&self.asking).lock_owned().await;
        if let Some(roster) = self.roster.load_full() {
            return Ok(roster);
        }
        if let Some((at, unresolved)) = &*asking
            && *at >= began
        {
            return Err(unresolved.clone());
        }
        let answer = self.ask(asking, heard).await;
        answer.unwrap_or_else(|_| Err(given_up()))
    }

    /// In a task of its own, so that a caller who leaves takes nothing from the others. The lock
    /// goes with it, and is free again however the task ends.
    fn ask(
        self: &Arc<Self>,
        mut asking: OwnedMutexGuard<LastFailure>,
        heard: impl Heard,
    ) -> JoinHandle<Result<Arc<Roster>, Unresolved>> {
        let addresses = Arc::clone(self);
        tokio::spawn(async move {
            let heard = heard.await;
            let now = Instant::now();
            let roster = addresses.learn(heard, now);
            *asking = roster.as_ref().err().map(|failed| (now, failed.clone()));
            roster
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn given_up() -> Unresolved {
    Unresolved("the lookup was given up".to_owned())
}

/// What a resolver says in the end of each host. Nothing is asked before it is polled.
trait Heard: Future<Output = Vec<Result<Found, Unresolved>>> + Send + 'static {}

impl<F: Future<Output = Vec<Result<Found, Unresolved>>> + Send + 'static> Heard for F {}

#[cfg(test)]
mod tests;
