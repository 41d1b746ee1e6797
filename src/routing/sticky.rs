//! The same key to the same target, so that its prompt cache is warm; the next one while that is
//! hot.
//!
//! Every target draws a number from the key and its own name, scaled by its weight, and the
//! highest wins. So each key has an order of its own over all targets, and without one of them
//! only the keys it won move, each to its second.

/// A target as this choice sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `hash` of its name, made once.
    pub name: u64,
    /// At zero it is never chosen.
    pub weight: u32,
    pub in_flight: u32,
}

/// How far above its share of the load a target may be.
const BOUND: f64 = 1.25;

/// With so few in flight for it no target is hot, whatever the others carry: a cold cache would
/// cost more.
const EASE: f64 = 4.0;

/// The place of the chosen one in `places`, which is gone through twice.
pub fn pick(key: u64, places: impl Iterator<Item = Place> + Clone) -> Option<usize> {
    let (mut in_flight, mut weights) = (1.0, 0.0);
    for place in places.clone().filter(|place| place.weight > 0) {
        in_flight += f64::from(place.in_flight);
        weights += f64::from(place.weight);
    }
    let bound_by_weight = BOUND * in_flight / weights;
    let (mut cool, mut any) = (Best::default(), Best::default());
    for (index, place) in places.enumerate() {
        if place.weight == 0 {
            continue;
        }
        let affinity = affinity(key, &place);
        any.offer(index, affinity);
        let bound = (bound_by_weight * f64::from(place.weight)).max(EASE);
        if f64::from(place.in_flight) < bound {
            cool.offer(index, affinity);
        }
    }
    // All can be hot only when the load changed between the two passes.
    cool.index.or(any.index)
}

/// The higher, the earlier in the key's order.
pub fn affinity(key: u64, place: &Place) -> f64 {
    let drawn = mix(key ^ mix(place.name));
    // Above 0 and below 1, in the 53 bits that an `f64` holds.
    let uniform = ((drawn >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(place.weight) / uniform.ln()
}

/// The same in every process and version: replicas of the gateway agree without talking.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// The finaliser of SplitMix64: every bit of the result hangs on every bit given.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[derive(Default)]
struct Best {
    index: Option<usize>,
    affinity: f64,
}

impl Best {
    fn offer(&mut self, index: usize, affinity: f64) {
        if self.index.is_none() || affinity > self.affinity {
            self.index = Some(index);
            self.affinity = affinity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(targets: &[(&str, u32)]) -> Vec<Place> {
        let place = |&(name, weight): &(&str, u32)| Place {
            name: hash(name.as_bytes()),
            weight,
            in_flight: 0,
        };
        targets.iter().map(place).collect()
    }

    fn key(number: u32) -> u64 {
        hash(format!("session-{number}").as_bytes())
    }

    fn choose(key: u64, places: &[Place]) -> usize {
        pick(key, places.iter().copied()).unwrap()
    }

    #[test]
    fn a_session_stays_where_its_cache_is() {
        let targets = places(&[("a", 1), ("b", 1), ("c", 1)]);
        for session in 0..100 {
            let home = choose(key(session), &targets);
            for _ in 0..20 {
                assert_eq!(choose(key(session), &targets), home);
            }
        }
    }

    #[test]
    fn sessions_spread_by_weight() {
        let targets = places(&[("a", 4), ("b", 1), ("never", 0), ("c", 5)]);
        let mut counts = [0; 4];
        for session in 0..20_000 {
            counts[choose(key(session), &targets)] += 1;
        }
        for (count, expected) in counts.into_iter().zip([8_000, 2_000, 0, 10_000]) {
            assert!(i32::abs(count - expected) <= 300, "{counts:?}");
        }
    }

    #[test]
    fn removing_a_target_moves_only_its_keys_and_spreads_them() {
        let before = places(&[("a", 2), ("b", 1), ("c", 1), ("d", 1)]);
        let mut after = before.clone();
        after.remove(1);
        let mut taken_over = [0; 3];
        for session in 0..10_000 {
            let home = choose(key(session), &before);
            let now = choose(key(session), &after);
            if home == 1 {
                taken_over[now] += 1;
            } else {
                assert_eq!(after[now], before[home]);
            }
        }
        assert!(
            taken_over.iter().all(|&count| count > 300),
            "{taken_over:?}"
        );
    }

    #[test]
    fn a_heavier_target_only_wins_keys() {
        let before = places(&[("a", 1), ("b", 1), ("c", 1)]);
        let after = places(&[("a", 1), ("b", 3), ("c", 1)]);
        for session in 0..5_000 {
            let (home, now) = (choose(key(session), &before), choose(key(session), &after));
            assert!(now == home || now == 1);
        }
    }

    #[test]
    fn the_order_of_the_file_does_not_matter() {
        let one = places(&[("a", 1), ("b", 1), ("c", 1)]);
        let other = places(&[("c", 1), ("a", 1), ("b", 1)]);
        for session in 0..1_000 {
            let (here, there) = (choose(key(session), &one), choose(key(session), &other));
            assert_eq!(one[here], other[there]);
        }
    }

    #[test]
    fn one_session_of_everybody_makes_no_hot_spot() {
        let mut targets = places(&[("a", 1), ("b", 1), ("c", 1)]);
        for _ in 0..90 {
            let chosen = choose(key(1), &targets);
            targets[chosen].in_flight += 1;
        }
        let loads: Vec<u32> = targets.iter().map(|place| place.in_flight).collect();
        assert!(loads.iter().all(|&load| load <= 39), "{loads:?}");
        assert_eq!(loads.iter().sum::<u32>(), 90);
    }

    #[test]
    fn a_hot_home_spills_to_the_same_second_and_is_taken_again_when_it_cools() {
        let mut targets = places(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let home = choose(key(7), &targets);
        targets[home].in_flight = 50;
        let second = choose(key(7), &targets);
        assert_ne!(second, home);
        let mut without = targets.clone();
        let expected = targets[second];
        without.remove(home);
        assert_eq!(without[choose(key(7), &without)], expected);
        targets[home].in_flight = 1;
        assert_eq!(choose(key(7), &targets), home);
    }

    #[test]
    fn a_few_requests_of_a_session_at_once_stay_together_when_all_is_quiet() {
        let mut targets = places(&[("a", 1), ("b", 1), ("c", 1)]);
        let home = choose(key(3), &targets);
        for in_flight in 0..4 {
            targets[home].in_flight = in_flight;
            assert_eq!(choose(key(3), &targets), home);
        }
        targets[home].in_flight = 4;
        assert_ne!(choose(key(3), &targets), home);
    }

    #[test]
    fn some_target_is_always_found() {
        let mut targets = places(&[("a", 1), ("b", 100), ("c", 3)]);
        for session in 0..5_000 {
            let chosen = choose(key(session % 3), &targets);
            targets[chosen].in_flight += 1;
        }
        assert_eq!(pick(1, places(&[("a", 0)]).into_iter()), None);
        assert_eq!(pick(1, std::iter::empty()), None);
    }

    #[test]
    fn two_hundred_targets_share_evenly() {
        let names: Vec<String> = (0..200).map(|number| format!("target-{number}")).collect();
        let named: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let targets = places(&named);
        let mut counts = vec![0u32; 200];
        for session in 0..20_000 {
            counts[choose(key(session), &targets)] += 1;
        }
        assert!(
            counts.iter().all(|count| (60..150).contains(count)),
            "{counts:?}"
        );
    }
}
