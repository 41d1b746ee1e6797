//! The addresses of a provider at one moment, in the order in which they are tried.

use crate::routing::balance::Schedule;
use crate::upstream::address::ring::Ring;
use crate::upstream::peer::KnownPeer;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A round of turns is laid out in full, so weights are scaled down to this sum.
const ROUND: u32 = 1000;
/// Likewise for the ring, which needs more room for each.
const POINTS: u32 = 100;

/// Never changed: when an address falls ill or a name leads elsewhere, there is a new one.
pub struct Roster {
    /// Those that take turns first, then those asked when these are out of reach.
    peers: Vec<Arc<KnownPeer>>,
    turns: Arc<Turns>,
    is_well: bool,
    /// When to look names up again.
    pub renew: Instant,
}

/// Whose turn it is. Goes on from one roster to the next while the same ones take turns.
struct Turns {
    names: Vec<Arc<str>>,
    weights: Vec<u32>,
    /// None where there is nobody to take turns with.
    schedule: Option<Schedule>,
    /// Laid out when the first key is asked for.
    ring: OnceLock<Ring>,
}

impl Turns {
    fn new(names: Vec<Arc<str>>, weights: Vec<u32>) -> Turns {
        Turns {
            schedule: (weights.len() > 1).then(|| Schedule::new(&scaled(&weights, ROUND))),
            names,
            weights,
            ring: OnceLock::new(),
        }
    }

    /// Whose turn it is, or where this key stays.
    fn first(&self, key: Option<u64>) -> usize {
        match (&self.schedule, key) {
            (None, _) => 0,
            (Some(schedule), None) => schedule.next(),
            (Some(_), Some(key)) => self.ring().position(key).unwrap_or(0),
        }
    }

    fn ring(&self) -> &Ring {
        self.ring.get_or_init(|| {
            let names = self.names.iter().map(|name| &**name);
            Ring::new(names.zip(scaled(&self.weights, POINTS)))
        })
    }
}

/// One that may be asked.
pub struct Member {
    pub peer: Arc<KnownPeer>,
    /// 0: only when the others are out of reach.
    pub weight: u32,
    pub is_well: bool,
}

impl Roster {
    /// The healthy take turns by weight. Where nobody is, all do: a check may be wrong.
    pub fn new(mut members: Vec<Member>, renew: Instant, before: Option<&Roster>) -> Roster {
        let rank = |member: &Member| (!member.is_well, member.weight == 0);
        members.sort_by_key(rank);
        let best = members.first().map(rank);
        let turning = members
            .iter()
            .take_while(|member| Some(rank(member)) == best);
        let (names, weights): (Vec<Arc<str>>, Vec<u32>) = turning
            .map(|member| (Arc::clone(member.peer.name()), member.weight.max(1)))
            .unzip();
        let same = before
            .map(|before| &before.turns)
            .filter(|turns| turns.names == names && turns.weights == weights);
        Roster {
            turns: match same {
                Some(turns) => Arc::clone(turns),
                None => Arc::new(Turns::new(names, weights)),
            },
            peers: members.into_iter().map(|member| member.peer).collect(),
            is_well: best.is_some_and(|(is_unwell, _)| !is_unwell),
            renew,
        }
    }

    pub fn peers(&self) -> &[Arc<KnownPeer>] {
        &self.peers
    }

    /// Whether anybody is.
    pub fn is_well(&self) -> bool {
        self.is_well
    }
}

/// In about the same proportions, none of them zero.
fn scaled(weights: &[u32], most: u32) -> Vec<u32> {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let scale = |weight: &u32| {
        let share = u64::from(*weight) * u64::from(most) / sum.max(1);
        u32::try_from(share).unwrap_or(most).max(1)
    };
    if sum <= u64::from(most) {
        weights.to_vec()
    } else {
        weights.iter().map(scale).collect()
    }
}

/// The addresses to try for one connection, in this order.
pub struct Choice {
    roster: Arc<Roster>,
    first: usize,
    tried: usize,
}

impl Choice {
    pub fn new(roster: Arc<Roster>, key: Option<u64>) -> Choice {
        Choice {
            first: roster.turns.first(key),
            roster,
            tried: 0,
        }
    }
}

impl Iterator for Choice {
    type Item = Arc<KnownPeer>;

    fn next(&mut self) -> Option<Arc<KnownPeer>> {
        let turning = self.roster.turns.weights.len();
        let at = if self.tried < turning {
            (self.first + self.tried).checked_rem(turning)?
        } else {
            self.tried
        };
        self.tried += 1;
        self.roster.peers.get(at).cloned()
    }
}

#[cfg(test)]
mod tests;
