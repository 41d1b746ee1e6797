//! What is known of a provider's addresses, and the roster that follows from it.

use crate::config::snapshot::Health;
use crate::health::pulse::Pulse;
use crate::upstream::address::places::Places;
use crate::upstream::address::roster::{Member, Roster};
use crate::upstream::address::{Addresses, Standing, Unresolved, given_up};
use crate::upstream::peer::{KnownPeer, Seat};
use crate::upstream::resolver::{AGAIN, Found};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

pub struct Known {
    /// One for each of the places' hosts. Without addresses: not resolved yet.
    hosts: Vec<Found>,
    /// By the name of the seat.
    pulses: HashMap<Arc<str>, Pulse>,
}

impl Known {
    pub fn hosts(&self) -> &[Found] {
        &self.hosts
    }

    /// At places without a past.
    pub fn new(places: &Places, now: Instant) -> Known {
        let hosts = places.hosts().into_iter();
        Known {
            hosts: hosts.map(|host| start(host, now)).collect(),
            pulses: HashMap::new(),
        }
    }

    /// The same at other places, of which some may be the old ones.
    pub fn moved(&self, from: &Places, to: &Places, now: Instant) -> Known {
        let old = from.hosts();
        let known = |host: &str| {
            let known = old.iter().zip(&self.hosts);
            let known = known.filter(|(old, _)| **old == host);
            known.map(|(_, found)| found.clone()).next()
        };
        let hosts = to.hosts().into_iter();
        Known {
            hosts: hosts
                .map(|host| known(host).unwrap_or_else(|| start(host, now)))
                .collect(),
            pulses: self.pulses.clone(),
        }
    }

    pub fn forget_checks(&mut self) {
        self.pulses.clear();
    }
}

/// Before any lookup: an address leads to itself, a name nowhere yet.
fn start(host: &str, now: Instant) -> Found {
    match host.parse::<IpAddr>() {
        Ok(ip) => Found::literal(ip, now),
        Err(_) => Found {
            ips: Vec::new(),
            renew: now,
        },
    }
}

impl Addresses {
    /// What the resolver said of each host. Where it said nothing the last answer stands.
    pub(super) fn learn(
        &self,
        heard: Vec<Result<Found, Unresolved>>,
        now: Instant,
    ) -> Result<Arc<Roster>, Unresolved> {
        let mut known = self.known();
        let mut failed = None;
        for (host, heard) in known.hosts.iter_mut().zip(heard) {
            match heard {
                Ok(found) => *host = found,
                Err(unresolved) => {
                    host.renew = now + AGAIN;
                    let provider = &*self.provider.name;
                    if !host.ips.is_empty() {
                        tracing::warn!(provider, "{unresolved}; the last addresses stay in use");
                    } else if self.places.hosts().len() > 1 {
                        tracing::warn!(provider, "{unresolved}; the others are used without it");
                    }
                    failed.get_or_insert(unresolved);
                }
            }
        }
        let roster = self.rebuild(&mut known, now);
        roster.ok_or_else(|| failed.unwrap_or_else(given_up))
    }

    /// The roster anew, by what is known now.
    pub(super) fn rebuild(&self, known: &mut Known, now: Instant) -> Option<Arc<Roster>> {
        let identity = self.identity.as_ref().ok()?;
        let seats = self.places.seats(&known.hosts);
        known
            .pulses
            .retain(|name, _| seats.iter().any(|seat| seat.name == *name));
        let member = |seat: Seat| {
            let peer = Arc::new(KnownPeer::new(&self.provider, identity, &seat));
            let fresh = || Pulse::new(now);
            let pulse = known.pulses.entry(seat.name).or_insert_with(fresh);
            Member {
                peer,
                weight: seat.weight,
                is_well: pulse.is_well(),
            }
        };
        let members: Vec<Member> = seats.into_iter().map(member).collect();
        if members.is_empty() {
            return None;
        }
        let renew = known.hosts.iter().map(|host| host.renew).min();
        let before = self.roster.load_full();
        let roster = Roster::new(members, renew.unwrap_or(now), before.as_deref());
        let roster = Arc::new(roster);
        self.roster.store(Some(Arc::clone(&roster)));
        Some(roster)
    }

    /// What a check of this address found: nothing, or what is wrong.
    pub fn checked(&self, address: &str, wrong: Option<String>, rules: &Health, now: Instant) {
        let mut known = self.known();
        let Some(pulse) = known.pulses.get_mut(address) else {
            return;
        };
        if !pulse.checked(wrong, rules, now) {
            return;
        }
        let why = pulse.why.clone();
        self.rebuild(&mut known, now);
        drop(known);
        let provider = &*self.provider.name;
        match why {
            Some(why) => tracing::warn!(provider, address, "an address is out: {why}"),
            None => tracing::info!(provider, address, "an address is back"),
        }
    }

    pub fn standings(&self) -> Vec<Standing> {
        let known = self.known();
        let standing = |(address, pulse): (&Arc<str>, &Pulse)| Standing {
            provider: Arc::clone(&self.provider.name),
            address: Arc::clone(address),
            state: pulse.state,
            why: pulse.why.clone(),
            since: pulse.since,
        };
        known.pulses.iter().map(standing).collect()
    }
}
