use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const NONE: Settings = Settings {
    concurrency: None,
    rpm: None,
    tpm: None,
    returns_below: 1.0,
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn full(taken: Result<Permit, Full>) -> (Which, Duration) {
    let full = taken.unwrap_err();
    (full.which, full.retry_after)
}

#[test]
fn without_limits_everything_passes() {
    let now = Instant::now();
    let rates = Rates::new(now, NONE);
    let held: Vec<Permit> = (0..10_000)
        .map(|_| rates.try_take(now, 1_000_000).unwrap())
        .collect();
    assert_eq!(rates.in_flight(), 10_000);
    drop(held);
    assert_eq!(rates.in_flight(), 0);
    assert_eq!(rates.left(now, Which::Tokens), None);
}

#[test]
fn a_caller_gets_exactly_its_places_and_each_one_back_at_once() {
    let now = Instant::now();
    let rates = Rates::new(
        now,
        Settings {
            concurrency: Some(3),
            ..NONE
        },
    );
    let mut held: Vec<Permit> = (0..3).map(|_| rates.try_take(now, 0).unwrap()).collect();
    assert_eq!(full(rates.try_take(now, 0)), (Which::Concurrency, SOON));
    held.pop();
    held.push(rates.try_take(now, 0).unwrap());
    assert!(rates.try_take(now, 0).is_err());
}

#[test]
fn a_full_target_takes_traffic_again_only_below_nine_tenths() {
    let now = Instant::now();
    let rates = Rates::new(
        now,
        Settings {
            concurrency: Some(20),
            returns_below: 0.9,
            ..NONE
        },
    );
    let mut held: Vec<Permit> = (0..20).map(|_| rates.try_take(now, 0).unwrap()).collect();
    held.truncate(19);
    held.push(rates.try_take(now, 0).unwrap());
    assert!(
        rates.room(now, 0).is_err(),
        "turned away: from here on it counts as full"
    );
    held.truncate(18);
    assert!(rates.room(now, 0).is_err());
    assert!(rates.try_take(now, 0).is_err());
    held.truncate(17);
    held.extend((0..3).map(|_| rates.try_take(now, 0).unwrap()));
    assert!(rates.try_take(now, 0).is_err());
}

#[test]
fn the_smallest_limits_are_not_stuck_by_their_distance() {
    let now = Instant::now();
    for limit in 1..=10 {
        let rates = Rates::new(
            now,
            Settings {
                concurrency: Some(limit),
                returns_below: 0.0,
                ..NONE
            },
        );
        let held: Vec<Permit> = (0..limit)
            .map(|_| rates.try_take(now, 0).unwrap())
            .collect();
        assert!(rates.try_take(now, 0).is_err());
        drop(held);
        assert!(rates.try_take(now, 0).is_ok(), "limit {limit}");
    }
}

#[test]
fn the_request_after_the_last_of_a_minute_is_told_when_to_come_back() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            rpm: Some(5),
            ..NONE
        },
    );
    for second in 0..5 {
        rates.try_take(start + seconds(second * 2), 0).unwrap();
    }
    let now = start + seconds(10);
    assert_eq!(full(rates.try_take(now, 0)), (Which::Requests, seconds(51)));
    assert!(rates.try_take(start + seconds(60), 0).is_err());
    assert!(rates.try_take(start + seconds(61), 0).is_ok());
    assert!(
        rates.try_take(start + seconds(61), 0).is_err(),
        "one came back, not five"
    );
}

#[test]
fn a_reply_larger_than_estimated_is_paid_by_those_that_follow() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            tpm: Some(100),
            ..NONE
        },
    );
    let mut permit = rates.try_take(start, 0).unwrap();
    permit.settle(start + seconds(3), 120);
    drop(permit);
    let now = start + seconds(4);
    assert_eq!(full(rates.try_take(now, 0)), (Which::Tokens, seconds(60)));
    assert_eq!(
        rates.left(now, Which::Tokens),
        Some(Left {
            limit: 100,
            remaining: 0,
            reset: seconds(60)
        })
    );
    let later = start + seconds(64);
    rates.try_take(later, 100).unwrap();
    assert_eq!(
        full(rates.try_take(later, 0)).0,
        Which::Tokens,
        "nothing is left, not even for what is thought to be free"
    );
}

#[test]
fn what_was_estimated_too_high_comes_back() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            tpm: Some(1000),
            ..NONE
        },
    );
    let mut permit = rates.try_take(start, 900).unwrap();
    assert!(rates.try_take(start, 200).is_err());
    permit.settle(start, 100);
    permit.settle(start, 150);
    let left = rates.left(start, Which::Tokens).unwrap();
    assert_eq!(left.remaining, 850);
    // Also long after the minute in which it was taken: then there is nothing to give back.
    let late = start + seconds(600);
    rates.try_take(late, 1000).unwrap();
    permit.settle(late, 0);
    assert_eq!(rates.left(late, Which::Tokens).unwrap().remaining, 0);
}

#[test]
fn a_request_estimated_above_the_whole_limit_passes_alone() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            tpm: Some(1000),
            ..NONE
        },
    );
    rates.try_take(start, 1).unwrap();
    assert!(rates.try_take(start, 5000).is_err());
    let later = start + seconds(61);
    rates.try_take(later, 5000).unwrap();
    assert!(rates.try_take(later, 1).is_err());
}

#[test]
fn a_refusal_by_one_limit_takes_nothing_from_the_others() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            concurrency: Some(10),
            rpm: Some(10),
            tpm: Some(100),
            returns_below: 1.0,
        },
    );
    rates.try_take(start, 100).unwrap();
    for _ in 0..50 {
        assert_eq!(full(rates.try_take(start, 10)).0, Which::Tokens);
    }
    assert_eq!(rates.left(start, Which::Requests).unwrap().remaining, 9);
    assert_eq!(rates.in_flight(), 0);
}

#[test]
fn of_two_limits_in_the_way_the_longer_wait_is_told() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            concurrency: Some(1),
            rpm: Some(1),
            ..NONE
        },
    );
    let _held = rates.try_take(start, 0).unwrap();
    assert_eq!(
        full(rates.try_take(start, 0)),
        (Which::Requests, seconds(61))
    );
}

#[test]
fn what_never_left_the_house_is_not_counted() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            concurrency: Some(1),
            rpm: Some(1),
            tpm: Some(10),
            ..NONE
        },
    );
    for _ in 0..100 {
        rates.try_take(start, 10).unwrap().never_sent(start);
    }
    assert_eq!(rates.in_flight(), 0);
}

#[test]
fn the_providers_own_word_narrows_until_its_reset() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            rpm: Some(1000),
            ..NONE
        },
    );
    rates.told(start, Which::Requests, 2, seconds(20));
    rates.told(start, Which::Concurrency, 0, seconds(20));
    rates.try_take(start, 0).unwrap();
    rates.try_take(start, 0).unwrap();
    let now = start + seconds(5);
    assert_eq!(full(rates.try_take(now, 0)), (Which::Requests, seconds(15)));
    assert!(rates.try_take(start + seconds(20), 0).is_ok());

    let rates = Rates::new(start, NONE);
    rates.told(start, Which::Tokens, 500, seconds(20));
    assert_eq!(
        full(rates.try_take(start, 600)),
        (Which::Tokens, seconds(20))
    );
    rates.told(start, Which::Tokens, 700, seconds(20));
    assert!(rates.try_take(start, 600).is_ok(), "the latest word holds");
}

#[test]
fn a_provider_cannot_widen_our_limit_nor_close_itself_for_a_year() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            rpm: Some(1),
            ..NONE
        },
    );
    rates.told(start, Which::Requests, 1000, seconds(20));
    rates.try_take(start, 0).unwrap();
    assert!(rates.try_take(start, 0).is_err());
    rates.told(start, Which::Requests, 0, Duration::MAX);
    assert_eq!(full(rates.try_take(start, 0)).1, BELIEVED);
    assert!(rates.try_take(start + BELIEVED, 0).is_ok());
}

#[test]
fn a_reload_keeps_what_is_in_use() {
    let start = Instant::now();
    let rates = Rates::new(
        start,
        Settings {
            concurrency: Some(5),
            ..NONE
        },
    );
    let _held: Vec<Permit> = (0..4).map(|_| rates.try_take(start, 0).unwrap()).collect();
    rates.configure(Settings {
        concurrency: Some(4),
        rpm: Some(100),
        ..NONE
    });
    assert!(rates.try_take(start, 0).is_err());
    assert_eq!(rates.left(start, Which::Requests).unwrap().remaining, 96);
}

#[test]
fn threads_together_never_hold_more_places_than_there_are() {
    let now = Instant::now();
    let rates = Rates::new(
        now,
        Settings {
            concurrency: Some(7),
            ..NONE
        },
    );
    let (holding, taken) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    if let Ok(permit) = rates.try_take(now, 1) {
                        taken.fetch_add(1, Ordering::Relaxed);
                        assert!(holding.fetch_add(1, Ordering::SeqCst) < 7);
                        holding.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!(taken.load(Ordering::Relaxed) > 0);
    assert_eq!(rates.in_flight(), 0);
}

#[test]
fn a_steady_crowd_gets_the_limit_and_hardly_less() {
    for a_second in [2, 3, 7, 49] {
        let start = Instant::now();
        let rates = Rates::new(
            start,
            Settings {
                rpm: Some(60),
                ..NONE
            },
        );
        let granted: Vec<Duration> = (0..a_second * 600)
            .map(|request| Duration::from_millis(request * 1000 / a_second))
            .filter(|&at| rates.try_take(start + at, 0).is_ok())
            .collect();
        assert!(
            (580..=600).contains(&granted.len()),
            "{} in ten minutes",
            granted.len()
        );
        for minute in granted.windows(61) {
            assert!(minute[60] - minute[0] >= seconds(60));
        }
    }
}

proptest! {
    #[test]
    fn no_sixty_seconds_hold_more_than_the_limit(
        pauses in prop::collection::vec((0u64..4_000, 1u64..40), 1..400)
    ) {
        let start = Instant::now();
        let rates = Rates::new(start, Settings { rpm: Some(30), tpm: Some(400), ..NONE });
        let mut granted: VecDeque<(Duration, u64)> = VecDeque::new();
        let mut now = Duration::ZERO;
        for (millis, tokens) in pauses {
            now += Duration::from_millis(millis);
            match rates.try_take(start + now, tokens) {
                Ok(_) => granted.push_back((now, tokens)),
                Err(full) => {
                    // The wait told is enough, and not a second more than it takes.
                    let back = start + now + full.retry_after;
                    prop_assert!(rates.room(back, tokens).is_ok());
                    break;
                }
            }
            granted.retain(|&(at, _)| now - at < Duration::from_secs(60));
            prop_assert!(granted.len() <= 30);
            prop_assert!(granted.iter().map(|&(_, tokens)| tokens).sum::<u64>() <= 400);
        }
    }
}
