//! What is spent, what is reserved, and when it begins anew.

use super::*;
use crate::config::load::load_str;
use proptest::prelude::*;
use std::time::UNIX_EPOCH;

const HOUR: u64 = 3600;
/// 2026-11-21 12:00:00 UTC, a Saturday.
const NOON: u64 = 1_795_262_400;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn account(limit: u64, per: Period) -> Arc<Account> {
    Account::new("mobile".into(), Micros::new(limit), per, at(NOON))
}

/// Spent and reserved.
fn stands(account: &Account, now: u64) -> (u64, u64) {
    let standing = account.standing(at(now));
    (standing.spent.get(), standing.reserved.get())
}

fn spend(account: &Arc<Account>, now: u64, micros: u64) {
    let call = account.reserve(at(now), Micros::ZERO).unwrap();
    call.settle(Micros::new(micros));
}

#[test]
fn the_true_cost_takes_the_place_of_what_was_reserved_once() {
    let account = account(100, Period::Day);
    let reserve = |most| account.reserve(at(NOON), Micros::new(most)).unwrap();
    let (dear, cheap, dropped) = (reserve(30), reserve(20), reserve(10));
    assert_eq!(stands(&account, NOON), (0, 60));
    dear.settle(Micros::new(45));
    assert_eq!(stands(&account, NOON), (45, 30));
    cheap.settle(Micros::ZERO);
    assert_eq!(stands(&account, NOON), (45, 10));
    drop(dropped);
    assert_eq!(stands(&account, NOON), (45, 0));
    assert_eq!(account.standing(at(NOON)).left(), Micros::new(55));
}

#[test]
fn what_is_reserved_stands_in_the_way_until_it_is_settled() {
    let account = account(100, Period::Day);
    let whole = account.reserve(at(NOON), Micros::new(5000)).unwrap();
    let refused = account.reserve(at(NOON), Micros::ZERO).unwrap_err();
    assert!(!refused.standing.is_spent());
    assert_eq!(refused.standing.left(), Micros::ZERO);
    // Nothing is spent: it is worth waiting.
    assert_eq!(account.check(at(NOON)), Ok(()));
    whole.settle(Micros::new(99));
    let last = account.reserve(at(NOON), Micros::new(40)).unwrap();
    last.settle(Micros::new(1));
    let refused = account.reserve(at(NOON), Micros::ZERO).unwrap_err();
    assert!(refused.standing.is_spent());
    assert_eq!(account.check(at(NOON)), Err(refused));
}

#[test]
fn a_new_window_begins_with_nothing_and_owes_nothing_to_the_old_one() {
    let account = account(100, Period::Day);
    spend(&account, NOON, 100);
    let midnight = NOON + 12 * HOUR;
    assert!(account.reserve(at(midnight - 1), Micros::ZERO).is_err());
    assert_eq!(stands(&account, midnight), (0, 0));
    let standing = account.standing(at(midnight));
    assert_eq!(standing.window.start, at(midnight));
    assert_eq!(standing.window.end, Some(at(midnight + 24 * HOUR)));

    let over_midnight = account.reserve(at(midnight), Micros::new(30)).unwrap();
    let next = midnight + 24 * HOUR;
    let other = account.reserve(at(next), Micros::new(20)).unwrap();
    assert_eq!(stands(&account, next), (0, 20));
    over_midnight.settle(Micros::new(90));
    assert_eq!(stands(&account, next), (0, 20), "it began the day before");
    other.settle(Micros::new(15));
    assert_eq!(stands(&account, next), (15, 0));
}

#[test]
fn a_total_never_begins_anew() {
    let account = account(100, Period::Total);
    spend(&account, NOON, 100);
    let later = NOON + 20 * 365 * 24 * HOUR;
    assert!(account.reserve(at(later), Micros::ZERO).is_err());
    assert_eq!(account.standing(at(later)).window.end, None);
}

#[test]
fn a_clock_that_is_corrected_at_midnight_begins_no_day_twice() {
    let account = account(100, Period::Day);
    let midnight = NOON + 12 * HOUR;
    spend(&account, midnight, 100);
    // Back in the day before, by seconds.
    assert!(account.reserve(at(midnight - 5), Micros::ZERO).is_err());
    assert!(account.reserve(at(midnight + 5), Micros::ZERO).is_err());
    // A clock that was years ahead is not believed for years.
    spend(&account, midnight + 1000 * 24 * HOUR, 100);
    assert_eq!(stands(&account, midnight), (0, 0));
    assert_eq!(account.standing(at(midnight)).window.start, at(midnight));
}

fn budgets(keys: &str, before: &Budgets, now: u64) -> Budgets {
    let text = format!(
        "providers: {{ one: {{ base_url: 'http://one.test/v1', auth: none, models: {{ a: a }} }} }}
routes: [{{ targets: [{{ provider: one }}] }}]
keys: [{{ name: free, secret: f }}, {keys}]
"
    );
    let snapshot = load_str(&text, "o.yaml", &|_| None).unwrap().snapshot;
    Budgets::new(&snapshot, before, at(now))
}

#[test]
fn a_reload_keeps_what_is_known_of_the_same_budget() {
    let key = |budget: &str| format!("{{ name: mobile, secret: m, budget: {budget} }}");
    let first = budgets(&key("{ usd: 0.0001, per: day }"), &Budgets::default(), NOON);
    assert!(first.of("free").is_none());
    let mobile = first.of("mobile").unwrap();
    spend(mobile, NOON, 60);
    let under_way = mobile.reserve(at(NOON), Micros::new(40)).unwrap();

    let smaller = budgets(&key("{ usd: 0.00005, per: day }"), &first, NOON);
    let mobile = smaller.of("mobile").unwrap();
    assert_eq!(stands(mobile, NOON), (60, 40));
    assert!(mobile.standing(at(NOON)).is_spent(), "it is less now");
    under_way.settle(Micros::new(7));
    assert_eq!(stands(mobile, NOON), (67, 0));

    // Another window is another budget, and so is one that was gone.
    let weekly = budgets(&key("{ usd: 1, per: week }"), &smaller, NOON);
    assert_eq!(stands(weekly.of("mobile").unwrap(), NOON), (0, 0));
    let none = budgets("{ name: mobile, secret: m }", &smaller, NOON);
    assert_eq!(none.accounts().count(), 0);
}

#[test]
fn what_was_spent_before_counts_as_soon_as_it_is_known() {
    let account = account(100, Period::Day);
    let morning = at(NOON - 12 * HOUR);
    assert_eq!(account.unknown(at(NOON)), Some((morning, at(NOON))));
    assert!(!account.standing(at(NOON)).is_complete);
    spend(&account, NOON, 30);
    account.not_learnt(at(NOON));
    assert_eq!(account.unknown(at(NOON)), None, "not at once again");
    assert!(account.unknown(at(NOON + 1)).is_some());

    account.learn(at(NOON + 1), morning, Micros::new(50));
    assert_eq!(stands(&account, NOON + 1), (80, 0));
    assert!(account.standing(at(NOON + 1)).is_complete);
    // A predecessor was still ending its calls: the latest answer is all there was.
    account.learn(at(NOON + 9), morning, Micros::new(70));
    assert_eq!(stands(&account, NOON + 9), (100, 0));
    assert!(account.check(at(NOON + 9)).is_err());

    let midnight = NOON + 12 * HOUR;
    assert_eq!(
        account.unknown(at(midnight)),
        None,
        "all of it is counted here"
    );
    account.learn(at(midnight), morning, Micros::new(70));
    assert_eq!(stands(&account, midnight), (0, 0));
    assert!(account.standing(at(midnight)).is_complete);
}

#[test]
fn the_store_is_asked_for_an_hour_and_then_left_alone() {
    let account = account(100, Period::Month);
    let start = account.standing(at(NOON)).window.start;
    let mut asked = Vec::new();
    for second in 0..3 * HOUR {
        if account.unknown(at(NOON + second)).is_some() {
            asked.push(second);
            account.learn(at(NOON + second), start, Micros::new(1));
        }
    }
    assert_eq!(asked.get(..4), Some(&[0, 1, 3, 7][..]));
    assert!(asked.len() < 20, "{asked:?}");
    assert!(
        (1000..2 * HOUR).contains(asked.last().unwrap()),
        "{asked:?}"
    );
}

/// What may happen, whatever the order.
#[derive(Debug, Clone)]
enum Step {
    Begin(u64),
    /// One of those under way ends, having cost this share of what it was taken to cost.
    End(usize, u64),
    Drop(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..400u64).prop_map(Step::Begin),
        3 => (any::<usize>(), 0..=100u64).prop_map(|(which, share)| Step::End(which, share)),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => (0..5 * HOUR).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn nothing_passes_the_budget_by_more_than_one_reservation(
        steps in steps(),
        limit in 1..1000u64,
    ) {
        let account = account(limit, Period::Day);
        let mut now = NOON;
        let mut under_way: Vec<(Reservation, u64)> = Vec::new();
        // By the day that a call began in.
        let mut spent = 0;
        let mut day = account.lock().turn;
        let mut largest = 0;
        for step in steps {
            match step {
                Step::Begin(most) => match account.reserve(at(now), Micros::new(most)) {
                    Ok(call) => {
                        largest = largest.max(most);
                        under_way.push((call, most));
                    }
                    Err(refused) => {
                        let reserved = under_way.iter().filter(|(call, _)| call.turn == day);
                        let reserved: u64 = reserved.map(|(_, most)| most).sum();
                        prop_assert!(spent + reserved >= limit);
                        prop_assert_eq!(refused.standing.is_spent(), spent >= limit);
                    }
                },
                Step::End(which, _) | Step::Drop(which) if !under_way.is_empty() => {
                    let (call, most) = under_way.swap_remove(which % under_way.len());
                    let cost = match step {
                        Step::End(_, share) => most * share / 100,
                        _ => 0,
                    };
                    if call.turn == day {
                        spent += cost;
                    }
                    match step {
                        Step::End(..) => call.settle(Micros::new(cost)),
                        _ => drop(call),
                    }
                }
                Step::End(..) | Step::Drop(_) => {}
                Step::Wait(seconds) => {
                    now += seconds;
                    account.standing(at(now));
                    let turn = account.lock().turn;
                    if turn != day {
                        (day, spent, largest) = (turn, 0, 0);
                    }
                }
            }
            let reserved = under_way.iter().filter(|(call, _)| call.turn == day);
            let reserved: u64 = reserved.map(|(_, most)| most).sum();
            prop_assert_eq!(stands(&account, now), (spent, reserved));
            prop_assert!(spent + reserved < limit + largest.max(1));
        }
    }
}

/// The same with real threads: whatever the interleaving, no more than one call is too many.
#[test]
fn threads_cannot_overspend_together() {
    let account = account(1000, Period::Day);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Ok(call) = account.reserve(at(NOON), Micros::new(30)) {
                    std::thread::yield_now();
                    call.settle(Micros::new(30));
                }
            });
        }
    });
    let (spent, reserved) = stands(&account, NOON);
    assert_eq!(reserved, 0);
    // A thread gives up when all that is left is reserved: some of that may have come back.
    assert!(spent < 1030, "{spent}");
    assert!(spent >= 1000 - 8 * 30, "{spent}");
}
