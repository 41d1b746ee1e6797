//! Who of a tier is asked first.

use crate::config::snapshot::{Balance, Candidate, Tier};
use crate::health::board::Board;
use crate::health::grant::bar;
use crate::health::speed::{self, Score};
use crate::pricing;
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
    /// False where only the order is asked for: nothing moves by it.
    pub takes_turn: bool,
}

impl Asker {
    fn all_tokens(&self) -> u64 {
        self.tokens.0.saturating_add(self.tokens.1)
    }
}

/// The places of a tier's candidates in the order in which they are to be tried: the first one is
/// chosen, those after it follow in the file's order, or by price.
///
/// `entered`: the tier is the one that is tried first, so that a turn is taken. Who is not
/// `permitted` leaves its share to the others.
pub fn order(
    board: &Board,
    tier: &Tier,
    entered: bool,
    permitted: &dyn Fn(usize) -> bool,
    asker: &Asker,
    now: Instant,
) -> Order {
    let count = tier.candidates.len();
    if count <= 1 {
        return Order::From(0);
    }
    let is_free = |index: usize| {
        tier.candidates.get(index).is_some_and(|candidate| {
            permitted(index)
                && bar(board, &candidate.target, now, asker.all_tokens(), false).is_none()
        })
    };
    let turn = if entered && asker.takes_turn {
        tier.schedule.next()
    } else {
        tier.schedule.peek()
    };
    match asker.balance {
        Balance::Weighted => Order::From(next_free(tier, turn, asker.takes_turn, is_free)),
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
            Order::From(least_busy::pick(turn, loads).unwrap_or(0))
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
        Balance::Cheapest => Order::Ranked(cheapest(tier, turn, asker)),
        // By what was measured: the plan knows that, and does not ask here.
        Balance::Ranked => Order::From(0),
    }
}

/// Turns of those that cannot be asked go to the others by their weights.
fn next_free(tier: &Tier, turn: usize, takes: bool, is_free: impl Fn(usize) -> bool) -> usize {
    if is_free(turn) {
        return turn;
    }
    let candidates = tier.candidates.iter().enumerate();
    let free: Vec<(usize, u32)> = candidates
        .filter(|(index, _)| is_free(*index))
        .map(|(index, candidate)| (index, candidate.target.weight))
        .collect();
    let passed = tier.schedule.pass_on(free.into_iter(), takes);
    passed.unwrap_or(turn)
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
fn cheapest(tier: &Tier, turn: usize, asker: &Asker) -> Vec<usize> {
    let (input, output) = asker.tokens;
    let cost = |candidate: &Candidate| match &candidate.price {
        Some(price) => pricing::weight(price, input, output),
        None => u128::MAX,
    };
    // Equals take turns.
    let count = tier.candidates.len();
    let mut ranked: Vec<usize> = (0..count).map(|at| (at + turn) % count.max(1)).collect();
    ranked.sort_by_key(|at| tier.candidates.get(*at).map_or(u128::MAX, cost));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_str;
    use crate::config::snapshot::Snapshot;
    use crate::failover::Happened;
    use crate::health::grant::Grant;

    fn snapshot(balance: &str, targets: &[(u32, &str)]) -> Snapshot {
        let mut text = String::from("auth: off\nproviders:\n");
        let mut list = String::new();
        for (index, (weight, price)) in targets.iter().enumerate() {
            text.push_str(&format!(
                "  p{index}: {{ base_url: 'http://127.0.0.1:{index}1/v1', auth: none, \
                 models: {{ m: {{ name: x {price} }} }} }}\n"
            ));
            list.push_str(&format!("{{ provider: p{index}, weight: {weight} }}, "));
        }
        text.push_str(&format!(
            "routes: [{{ match: {{ models: [m] }}, balance: {balance}, targets: [{list}] }}]"
        ));
        load_str(&text, "test", &|_| None).unwrap().snapshot
    }

    fn firsts(snapshot: &Snapshot, board: &Board, count: usize, sticky: bool) -> Vec<usize> {
        let tier = &snapshot.routes[0].models["m"].tiers[0];
        let now = Instant::now();
        let mut counts = vec![0; tier.candidates.len()];
        for turn in 0..count as u64 {
            let asker = Asker {
                balance: snapshot.routes[0].balance,
                sticky: if sticky {
                    7
                } else {
                    turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                },
                tokens: (1000, 1000),
                drawn: (
                    turn.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                    turn.wrapping_mul(0x2545_f491_4f6c_dd1d),
                ),
                takes_turn: true,
            };
            match order(board, tier, true, &|_| true, &asker, now) {
                Order::From(first) => counts[first] += 1,
                Order::Ranked(places) => counts[places[0]] += 1,
            }
        }
        counts
    }

    fn board(snapshot: &Snapshot) -> Board {
        Board::new(snapshot, &Board::default(), Instant::now())
    }

    fn open(snapshot: &Snapshot, board: &Board, index: usize) {
        let target = &snapshot.routes[0].targets[index];
        for _ in 0..10 {
            let grant = Grant::take(board, target, Instant::now(), 0, false);
            grant.unwrap().failed(Instant::now(), &Happened::Reset);
        }
    }

    #[test]
    fn weights_are_exact_and_an_open_targets_share_goes_to_the_others_by_theirs() {
        let snapshot = snapshot("weighted", &[(4, ""), (1, ""), (5, "")]);
        let board = board(&snapshot);
        assert_eq!(firsts(&snapshot, &board, 500, false), [200, 50, 250]);
        open(&snapshot, &board, 2);
        let counts = firsts(&snapshot, &board, 500, false);
        assert_eq!(counts[2], 0);
        assert!((398..=402).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn an_order_that_is_only_asked_for_moves_nothing() {
        let snapshot = snapshot("weighted", &[(1, ""), (1, ""), (1, "")]);
        let board = board(&snapshot);
        open(&snapshot, &board, 0);
        let tier = &snapshot.routes[0].models["m"].tiers[0];
        let ask = |takes_turn| {
            let asker = Asker {
                balance: snapshot.routes[0].balance,
                sticky: 0,
                tokens: (0, 0),
                drawn: (0, 0),
                takes_turn,
            };
            order(&board, tier, true, &|_| true, &asker, Instant::now())
        };
        for _ in 0..7 {
            let told = ask(false);
            assert_eq!(ask(false), told);
            assert_eq!(ask(true), told);
        }
    }

    #[test]
    fn the_cheapest_is_first_and_an_unknown_price_last() {
        let snapshot = snapshot(
            "cheapest",
            &[
                (1, ""),
                (1, ", price: { input: 2, output: 2 }"),
                (1, ", price: { input: 7.3, output: 7.3, currency: CNY }"),
            ],
        );
        assert_eq!(firsts(&snapshot, &board(&snapshot), 10, false), [0, 0, 10]);
    }

    #[test]
    fn one_key_has_one_target_and_many_keys_all() {
        let snapshot = snapshot("sticky", &[(1, ""), (1, ""), (1, "")]);
        let board = board(&snapshot);
        let mut one = firsts(&snapshot, &board, 100, true);
        one.sort_unstable();
        assert_eq!(one, [0, 0, 100]);
        let many = firsts(&snapshot, &board, 900, false);
        assert!(
            many.iter().all(|count| (200..400).contains(count)),
            "{many:?}"
        );
    }

    #[test]
    fn the_idle_and_the_quick_come_first() {
        let snapshot1 = snapshot("least_busy", &[(1, ""), (1, "")]);
        let board1 = board(&snapshot1);
        let target = &snapshot1.routes[0].targets[0];
        let _held = Grant::take(&board1, target, Instant::now(), 0, false).unwrap();
        assert_eq!(firsts(&snapshot1, &board1, 10, false), [0, 10]);
        let snapshot2 = snapshot("fastest", &[(1, ""), (1, "")]);
        let board2 = board(&snapshot2);
        for (target, millis) in snapshot2.routes[0].targets.iter().zip([900, 20]) {
            let score = &board2.target(target).unwrap().score;
            score.first_token(Instant::now(), std::time::Duration::from_millis(millis));
        }
        assert_eq!(firsts(&snapshot2, &board2, 10, false), [0, 10]);
    }
}
