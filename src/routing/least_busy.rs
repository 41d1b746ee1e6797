//! The target with the fewest requests in flight for its weight.

/// What each target carries and what it is meant to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub in_flight: u32,
    /// At zero it is never chosen.
    pub weight: u32,
}

impl Load {
    fn is_less_than(self, other: Load) -> bool {
        let product = |load: Load, scale: Load| u64::from(load.in_flight) * u64::from(scale.weight);
        product(self, other) < product(other, self)
    }
}

/// The place of the chosen one in `loads`, which is gone through twice; `turn`
/// decides among the equally busy.
pub fn pick(turn: usize, loads: impl Iterator<Item = Load> + Clone) -> Option<usize> {
    let mut least: Option<(usize, Load)> = None;
    let mut equals = 0usize;
    for (index, load) in loads.clone().enumerate() {
        if load.weight == 0 {
            continue;
        }
        match least {
            Some((_, best)) if best.is_less_than(load) => {}
            Some((_, best)) if !load.is_less_than(best) => equals += 1,
            _ => {
                least = Some((index, load));
                equals = 1;
            }
        }
    }
    let (first, best) = least?;
    if equals == 1 {
        return Some(first);
    }
    loads
        .enumerate()
        .filter(|(_, load)| load.weight > 0 && !best.is_less_than(*load))
        .nth(turn.checked_rem(equals).unwrap_or(0))
        .map_or(Some(first), |(index, _)| Some(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick_at(turn: usize, loads: &[(u32, u32)]) -> Option<usize> {
        let load = |&(in_flight, weight): &(u32, u32)| Load { in_flight, weight };
        pick(turn, loads.iter().map(load))
    }

    #[test]
    fn the_idlest_for_its_weight_is_chosen() {
        assert_eq!(pick_at(0, &[(3, 1), (1, 1), (2, 1)]), Some(1));
        assert_eq!(pick_at(1, &[(3, 4), (1, 1), (2, 1)]), Some(0));
        assert_eq!(pick_at(2, &[(0, 1), (u32::MAX, u32::MAX)]), Some(0));
    }

    #[test]
    fn equals_take_turns() {
        let loads = [(2, 1), (9, 1), (2, 1), (4, 2)];
        let turns: Vec<_> = (0..6).filter_map(|turn| pick_at(turn, &loads)).collect();
        assert_eq!(turns, [0, 2, 3, 0, 2, 3]);
    }

    #[test]
    fn weight_zero_gets_none_and_nobody_is_nobody() {
        assert_eq!(pick_at(0, &[(0, 0), (7, 1)]), Some(1));
        let turns = [0, 1, 2, 3].map(|turn| pick_at(turn, &[(0, 1), (0, 0), (0, 1)]));
        assert_eq!(turns, [Some(0), Some(2), Some(0), Some(2)]);
        assert_eq!(pick_at(0, &[(0, 0)]), None);
        assert_eq!(pick_at(0, &[]), None);
    }

    #[test]
    fn long_requests_spread_by_weight() {
        let mut loads = [(0, 4), (0, 1)];
        for turn in 0..500 {
            loads[pick_at(turn, &loads).unwrap()].0 += 1;
        }
        assert_eq!(loads, [(400, 4), (100, 1)]);
    }
}
