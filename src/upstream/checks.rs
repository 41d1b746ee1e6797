//! Looks at every address of every provider with `health`, again and again.
//!
//! Runs beside the calls until it is dropped. `Book::reload` is all that it has to be told of a
//! new snapshot.

use crate::config::snapshot::Health;
use crate::upstream::address::{Addresses, Book};
use crate::upstream::peer::KnownPeer;
use crate::upstream::probe;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A name that leads to new addresses is noticed this soon.
const LOOK: Duration = Duration::from_secs(1);
/// The first checks of a snapshot begin within this time, not all at once.
const SPREAD: Duration = Duration::from_millis(200);
/// At most this part of an interval is added to it.
const JITTER: f32 = 0.1;

pub struct Checks {
    book: Arc<Book>,
    /// Made when there is something to check. Nothing is given back to it: a kept connection may
    /// hide that no new one is taken.
    connector: OnceLock<Arc<Connector>>,
}

/// By provider and address.
type Key = (Arc<str>, Arc<str>);

/// When each address is looked at next.
#[derive(Default)]
struct Timetable {
    due: HashMap<Key, Instant>,
    /// The same for the next round: who is not asked about in this one is forgotten.
    kept: HashMap<Key, Instant>,
}

impl Timetable {
    /// Whether its time has come: the first time within `first`, then every `interval`, which is
    /// drawn out a little so that checks do not march in step.
    fn has_come(&mut self, key: Key, first: Duration, interval: Duration, now: Instant) -> bool {
        let longest = interval.mul_f32(1.0 + JITTER);
        let due = self.due.remove(&key);
        // A shorter interval of a new snapshot holds at once.
        let due = due.map_or_else(
            || now + first.mul_f32(rand::random()),
            |due| due.min(now + longest),
        );
        let has_come = due <= now;
        let next = if has_come {
            now + interval.mul_f32(1.0 + JITTER * rand::random::<f32>())
        } else {
            due
        };
        self.kept.insert(key, next);
        has_come
    }

    /// Ends a round: when the next has something to do.
    fn turn(&mut self) -> Option<Instant> {
        self.due = std::mem::take(&mut self.kept);
        self.due.values().min().copied()
    }
}

impl Checks {
    pub fn new(book: Arc<Book>) -> Checks {
        Checks {
            book,
            connector: OnceLock::new(),
        }
    }

    fn connector(&self) -> Arc<Connector> {
        let made = || Arc::new(Connector::new(Some(ConnectorOptions::new(1))));
        Arc::clone(self.connector.get_or_init(made))
    }

    /// For ever. What is under way when this is dropped ends with it.
    pub async fn run(&self) {
        let mut timetable = Timetable::default();
        let mut under_way = JoinSet::new();
        loop {
            let next = self.begin_due(&mut timetable, &mut under_way);
            while under_way.try_join_next().is_some() {}
            tokio::select! {
                () = self.book.changed() => {}
                () = until(next) => {}
            }
        }
    }

    /// Begins the checks whose time has come. When the next will be due; None: there is nothing
    /// to check.
    fn begin_due(&self, timetable: &mut Timetable, under_way: &mut JoinSet<()>) -> Option<Instant> {
        let asked = self.book.addresses().into_iter();
        let asked = asked.filter(|addresses| addresses.provider().health.is_some());
        let asked: Vec<Arc<Addresses>> = asked.collect();
        if !asked.is_empty() {
            // The first time that takes a while, which is not to be counted.
            self.connector();
        }
        let now = Instant::now();
        for addresses in asked {
            let Some(rules) = &addresses.provider().health else {
                continue;
            };
            let key = |address| (Arc::clone(&addresses.provider().name), address);
            let Some(peers) = addresses.known_peers(now) else {
                if timetable.has_come(key("".into()), Duration::ZERO, LOOK, now) {
                    let addresses = Arc::clone(&addresses);
                    // Whoever calls hears of a failure; here the next look asks again.
                    under_way.spawn(async move { drop(addresses.choose(None, now).await) });
                }
                continue;
            };
            let first = SPREAD.min(rules.interval);
            for peer in peers {
                let key = key(Arc::clone(peer.name()));
                if timetable.has_come(key, first, rules.interval, now) {
                    under_way.spawn(self.check(&addresses, peer, rules.clone()));
                }
            }
        }
        timetable.turn().map(|next| next.min(now + LOOK))
    }

    fn check(
        &self,
        addresses: &Arc<Addresses>,
        peer: Arc<KnownPeer>,
        rules: Health,
    ) -> impl Future<Output = ()> + Send + use<> {
        let connector = self.connector();
        let addresses = Arc::clone(addresses);
        async move {
            let wrong = probe::look(&connector, addresses.provider(), &peer, &rules).await;
            addresses.checked(peer.name(), wrong, &rules, Instant::now());
        }
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(address: &str) -> Key {
        ("one".into(), address.into())
    }

    #[test]
    fn a_check_comes_soon_and_then_at_intervals_with_jitter() {
        let mut timetable = Timetable::default();
        let mut now = Instant::now();
        let mut begun = Vec::new();
        for _ in 0..2000 {
            if timetable.has_come(key("a"), SECOND / 2, SECOND, now) {
                begun.push(now);
            }
            timetable.turn();
            now += Duration::from_millis(10);
        }
        assert!((17..=20).contains(&begun.len()), "{}", begun.len());
        for two in begun.windows(2) {
            let gap = two[1] - two[0];
            assert!(gap >= SECOND && gap <= SECOND + Duration::from_millis(110));
        }
    }

    #[test]
    fn who_is_gone_is_forgotten_and_a_shorter_interval_holds_at_once() {
        let mut timetable = Timetable::default();
        let now = Instant::now();
        for address in ["a", "b"] {
            assert!(timetable.has_come(key(address), Duration::ZERO, 1000 * SECOND, now));
        }
        assert!(timetable.turn() > Some(now));
        assert!(!timetable.has_come(key("a"), Duration::ZERO, SECOND, now));
        assert!(timetable.turn() <= Some(now + SECOND.mul_f32(1.1)));
        // "b" was not asked about: it begins anew.
        assert!(timetable.has_come(key("b"), Duration::ZERO, SECOND, now));
    }
}
