//! Who of a tier is asked first.

use crate::config::snapshot::{Balance, Candidate, Tier};
use crate::health::board::Board;
use crate::health::grant::bar;
use crate::health::speed::{self, Score};
use crate::routing::least_busy::{self, Load};
use crate::routing::plan::Order;
use crate::routing::sticky::{self, Place};
use std::sync::Arc;
use std::time::Instant;

/// What the choice may depend on besides the targets' state.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub balance: Balance,
    /// The call's own key for consistent hashing.
    pub sticky: u64,
    /// What the call may use, in and out.
    pub tokens: (u64, u64),
    /// Two numbers drawn from all of `u64`.
    pub drawn: (u64, u64),
}

impl Asker {
    fn all_tokens(&self) -> u64 {
        self.tokens.0.saturating_add(self.tokens.1)
    }
}

/// The places of a tier's candidates in the order in which they are to be tried: the first one is
/// chosen, those after it follow in the file's order, or by price.
pub fn order(board: &Board, tier: &Tier, asker: &Asker, now: Instant) -> Order {
    let count = tier.candidates.len();
    if count <= 1 {
        return Order::From(0);
    }
    let is_free = |index: usize| {
        tier.candidates.get(index).is_some_and(|candidate| {
            bar(board, &candidate.target, now, asker.all_tokens(), false).is_none()
        })
    };
    match asker.balance {
        Balance::Weighted => Order::From(next_free(tier, count, is_free)),
        Balance::LeastBusy => {
            let loads = tier
                .candidates
                .iter()
                .enumerate()
                .map(|(index, candidate)| Load {
                    in_flight: in_flight(board, candidate),
                    weight: if is_free(index) {
                        candidate.target.weight
                    } else {
                        0
                    },
                });
            Order::From(least_busy::pick(tier.schedule.next(), loads).unwrap_or(0))
        }
        Balance::Sticky => {
            let places = tier
                .candidates
                .iter()
                .enumerate()
                .map(|(index, candidate)| Place {
                    name: board
                        .target(&candidate.target)
                        .map_or(0, |target| target.name),
                    in_flight: in_flight(board, candidate),
                    weight: if is_free(index) {
                        candidate.target.weight
                    } else {
                        0
                    },
                });
            Order::From(sticky::pick(asker.sticky, places).unwrap_or(0))
        }
        Balance::Fastest => Order::From(fastest(board, tier, asker, now, is_free)),
        Balance::Cheapest => Order::Ranked(cheapest(tier, asker)),
    }
}

/// Turns of those that cannot be asked go to the others by their weights.
fn next_free(tier: &Tier, count: usize, is_free: impl Fn(usize) -> bool) -> usize {
    let first = tier.schedule.next();
    let mut turn = first;
    for _ in 0..4 * count {
        if is_free(turn) {
            return turn;
        }
        turn = tier.schedule.next();
    }
    (0..count).find(|index| is_free(*index)).unwrap_or(first)
}

fn in_flight(board: &Board, candidate: &Candidate) -> u32 {
    board
        .target(&candidate.target)
        .map_or(0, |target| target.score.in_flight())
}

fn fastest(
    board: &Board,
    tier: &Tier,
    asker: &Asker,
    now: Instant,
    is_free: impl Fn(usize) -> bool,
) -> usize {
    let free: Vec<(usize, &Arc<Score>)> = tier
        .candidates
        .iter()
        .enumerate()
        .filter(|(index, _)| is_free(*index))
        .filter_map(|(index, candidate)| Some((index, &board.target(&candidate.target)?.score)))
        .collect();
    let scores: Vec<&Score> = free.iter().map(|(_, score)| &***score).collect();
    let (first, second) = asker.drawn;
    speed::pick(now, &scores, first, second)
        .and_then(|picked| free.get(picked))
        .map_or(0, |(index, _)| *index)
}

/// An unknown price is the highest.
fn cheapest(tier: &Tier, asker: &Asker) -> Vec<usize> {
    let cost = |candidate: &Candidate| match &candidate.price {
        Some(price) => price.of(asker.tokens.0, asker.tokens.1),
        None => f64::INFINITY,
    };
    // Equals take turns.
    let turn = tier.schedule.next();
    let count = tier.candidates.len();
    let mut ranked: Vec<usize> = (0..count).map(|at| (at + turn) % count.max(1)).collect();
    ranked.sort_by(|one, other| {
        let cost_at = |at: &usize| tier.candidates.get(*at).map_or(f64::INFINITY, cost);
        cost_at(one).total_cmp(&cost_at(other))
    });
    ranked
}
