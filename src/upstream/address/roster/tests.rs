use super::*;
use crate::config::load::load_str;
use crate::upstream::identity::Identity;
use crate::upstream::peer::Seat;
use std::collections::HashMap;

fn roster(members: &[(&str, u32, bool)]) -> Arc<Roster> {
    after(None, members)
}

fn after(before: Option<&Roster>, members: &[(&str, u32, bool)]) -> Arc<Roster> {
    let text = "
providers:
  one: { base_url: 'http://nowhere.invalid/v1', auth: none, models: { a: { name: a } } }
routes: [{ name: all, targets: [{ provider: one }] }]
server: { listen: '127.0.0.1:0' }
";
    let snapshot = load_str(text, "o.yaml", &|_| None).unwrap().snapshot;
    let provider = snapshot.providers.first().unwrap();
    let member = |(name, weight, is_well): &(&str, u32, bool)| {
        let seat = Seat {
            name: (*name).into(),
            socket: "127.0.0.1:1".parse().unwrap(),
            weight: *weight,
            tunnel: None,
        };
        Member {
            peer: Arc::new(KnownPeer::new(provider, &Identity::default(), &seat)),
            weight: *weight,
            is_well: *is_well,
        }
    };
    let members = members.iter().map(member).collect();
    Arc::new(Roster::new(members, Instant::now(), before))
}

fn order(roster: &Arc<Roster>, key: Option<u64>) -> String {
    let choice = Choice::new(Arc::clone(roster), key);
    choice.map(|peer| peer.name().to_string()).collect()
}

#[test]
fn turns_go_by_weight_and_everybody_is_tried_once() {
    let roster = roster(&[("a", 2, true), ("b", 1, true), ("c", 1, true)]);
    let orders: Vec<String> = (0..400).map(|_| order(&roster, None)).collect();
    let mut firsts = HashMap::new();
    for order in &orders {
        *firsts.entry(&order[..1]).or_insert(0) += 1;
        assert!(["abc", "bca", "cab"].contains(&&**order), "{order}");
    }
    assert_eq!((firsts["a"], firsts["b"], firsts["c"]), (200, 100, 100));
}

#[test]
fn spares_wait_behind_those_in_turn_and_the_unhealthy_behind_all() {
    let mixed = roster(&[
        ("x", 1, false),
        ("a", 1, true),
        ("s", 0, true),
        ("b", 1, true),
    ]);
    let mut orders = [order(&mixed, None), order(&mixed, None)];
    orders.sort();
    assert_eq!(orders, ["absx", "basx"]);
    let last = roster(&[("s", 0, true), ("x", 1, false)]);
    assert_eq!(order(&last, None), "sx");
    let nobody = roster(&[("x", 1, false), ("y", 1, false)]);
    let mut orders = [order(&nobody, None), order(&nobody, None)];
    orders.sort();
    assert_eq!(orders, ["xy", "yx"]);
}

#[test]
fn a_key_stays_where_it_is_and_only_those_of_a_lost_one_move() {
    let all = roster(&[("a", 1, true), ("b", 1, true), ("c", 1, true)]);
    let without = roster(&[("a", 1, true), ("b", 1, false), ("c", 1, true)]);
    for key in (0..500u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let (before, after) = (order(&all, Some(key)), order(&without, Some(key)));
        assert_eq!(before, order(&all, Some(key)));
        assert!(before[..1] == after[..1] || before.starts_with('b'));
        assert!(after.ends_with('b'));
    }
}

#[test]
fn huge_weights_keep_their_proportions() {
    assert_eq!(scaled(&[u32::MAX, u32::MAX], 1000), [500, 500]);
    assert_eq!(scaled(&[1_000_000, 1], 1000), [999, 1]);
    assert_eq!(scaled(&[3, 1], 1000), [3, 1]);
}

#[test]
fn a_new_roster_of_the_same_ones_goes_on_where_the_last_was() {
    let members = [("a", 1, true), ("b", 1, true), ("s", 0, true)];
    let first = roster(&members);
    assert_eq!(order(&first, None), "abs");
    let second = after(Some(&first), &members);
    assert_eq!(order(&second, None), "bas");
    let third = after(Some(&second), &[("b", 1, true), ("c", 1, true)]);
    assert_eq!(order(&third, None), "bc");
}
