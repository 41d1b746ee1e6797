//! Whose turn it is among equals: smooth weighted round robin, laid out once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One full round of smooth weighted round robin as a list, and a cursor into it. Over any window
/// of requests each candidate gets its share to within one, without a lock.
#[derive(Debug)]
pub struct Schedule {
    round: Box<[u16]>,
    cursor: AtomicUsize,
    /// Turns that had to be given to others.
    passed: AtomicUsize,
}

impl Schedule {
    /// One entry of `weights` a candidate, all above zero.
    pub fn new(weights: &[u32]) -> Schedule {
        let divisor = weights
            .iter()
            .copied()
            .fold(0, greatest_common_divisor)
            .max(1);
        let shares: Vec<i64> = weights
            .iter()
            .map(|weight| i64::from(weight / divisor))
            .collect();
        let total: i64 = shares.iter().sum();
        let mut credit = vec![0i64; shares.len()];
        let mut round = Vec::new();
        for _ in 0..total {
            for (credit, share) in credit.iter_mut().zip(&shares) {
                *credit += share;
            }
            // The last of several equals would do too, but the file's order is what people expect.
            let mut best: Option<(usize, i64)> = None;
            for (index, &credit) in credit.iter().enumerate() {
                if best.is_none_or(|(_, most)| credit > most) {
                    best = Some((index, credit));
                }
            }
            let Some((winner, _)) = best else { break };
            if let Some(credit) = credit.get_mut(winner) {
                *credit -= total;
            }
            round.push(u16::try_from(winner).unwrap_or(u16::MAX));
        }
        Schedule {
            round: round.into(),
            cursor: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
        }
    }

    /// The candidate whose turn it is.
    pub fn next(&self) -> usize {
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.round.len()).unwrap_or(0);
        self.round.get(at).copied().map_or(0, usize::from)
    }

    /// Whose turn would be next. Nobody takes it by this.
    pub fn peek(&self) -> usize {
        let turn = self.cursor.load(Ordering::Relaxed);
        let at = turn.checked_rem(self.round.len()).unwrap_or(0);
        self.round.get(at).copied().map_or(0, usize::from)
    }

    /// Who gets a turn that its owner cannot take: the others by their weights, exactly. `free`:
    /// places and weights, gone through twice. `takes`: it is taken, not only looked at.
    pub fn pass_on(
        &self,
        free: impl Iterator<Item = (usize, u32)> + Clone,
        takes: bool,
    ) -> Option<usize> {
        let total: u64 = free.clone().map(|(_, weight)| u64::from(weight)).sum();
        let turn = match takes {
            true => self.passed.fetch_add(1, Ordering::Relaxed),
            false => self.passed.load(Ordering::Relaxed),
        } as u64;
        let mut rest = turn.checked_rem(total)?;
        for (place, weight) in free {
            match rest.checked_sub(u64::from(weight)) {
                Some(less) => rest = less,
                None => return Some(place),
            }
        }
        None
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    match a.checked_rem(b) {
        None => a,
        Some(rest) => greatest_common_divisor(b, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], turns: usize) -> Vec<usize> {
        let schedule = Schedule::new(weights);
        let mut counts = vec![0; weights.len()];
        for _ in 0..turns {
            counts[schedule.next()] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_exact() {
        assert_eq!(counts(&[4, 1], 500), [400, 100]);
        assert_eq!(counts(&[3, 1], 500), [375, 125]);
        assert_eq!(counts(&[1000, 1], 1001), [1000, 1]);
        assert_eq!(counts(&[7], 3), [3]);
    }

    #[test]
    fn a_turn_that_cannot_be_taken_goes_to_the_others_by_their_weights() {
        let schedule = Schedule::new(&[1, 4, 100]);
        let mut counts = [0; 3];
        for _ in 0..500 {
            let turn = match schedule.next() {
                2 => schedule
                    .pass_on([(0, 1), (1, 4)].into_iter(), true)
                    .unwrap(),
                turn => turn,
            };
            counts[turn] += 1;
        }
        assert!((98..=102).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[2], 0);
        assert_eq!(schedule.pass_on([].into_iter(), true), None);
        assert_eq!(schedule.pass_on([(0, 0)].into_iter(), true), None);
    }

    #[test]
    fn turns_are_spread_not_bunched() {
        let schedule = Schedule::new(&[5, 1, 1]);
        let turns: Vec<usize> = (0..7).map(|_| schedule.next()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    }
}
