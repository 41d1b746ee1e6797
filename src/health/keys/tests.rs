use super::*;
use std::thread;

const SETTINGS: Settings = Settings {
    reprobe: Duration::from_secs(300),
    longest_rest: Duration::from_secs(600),
};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn picks(pool: &Pool, now: Instant, count: usize) -> Vec<usize> {
    (0..count).filter_map(|_| pool.pick(now)).collect()
}

#[test]
fn healthy_keys_take_turns() {
    let pool = Pool::new(3, SETTINGS);
    assert_eq!(picks(&pool, Instant::now(), 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn a_limited_key_rests_and_the_provider_stays() {
    let start = Instant::now();
    let pool = Pool::new(3, SETTINGS);
    pool.limited(1, start, seconds(10));
    assert_eq!(picks(&pool, start, 4), [0, 2, 0, 2]);
    assert_eq!(
        pool.condition(1, start),
        Some(Condition::Limited(seconds(10)))
    );
    assert_eq!(pool.outlook(start), Condition::Ready);
}

#[test]
fn of_keys_that_are_back_the_one_limited_longest_ago_comes_first() {
    let start = Instant::now();
    let pool = Pool::new(3, SETTINGS);
    pool.limited(0, start, seconds(3));
    pool.limited(1, start, seconds(1));
    pool.limited(2, start, seconds(2));
    assert_eq!(picks(&pool, start + seconds(5), 2), [1, 1]);
    pool.limited(1, start + seconds(5), seconds(10));
    assert_eq!(picks(&pool, start + seconds(5), 2), [2, 2]);
    // A minute after the last of them all are equals again.
    let later = start + seconds(80);
    let mut round = picks(&pool, later, 3);
    round.sort_unstable();
    assert_eq!(round, [0, 1, 2]);
}

#[test]
fn when_all_are_limited_the_caller_learns_when_to_come_back() {
    let start = Instant::now();
    let pool = Pool::new(2, SETTINGS);
    pool.limited(0, start, seconds(30));
    pool.limited(1, start, seconds(12));
    assert_eq!(pool.pick(start), None);
    assert_eq!(pool.soonest(start), Some(seconds(12)));
    assert_eq!(pool.outlook(start), Condition::Limited(seconds(12)));
    assert_eq!(pool.pick(start + seconds(12)), Some(1));
}

#[test]
fn a_refused_key_does_not_take_the_provider_down() {
    let start = Instant::now();
    let pool = Pool::new(3, SETTINGS);
    pool.bad(1, start);
    assert_eq!(picks(&pool, start, 4), [0, 2, 0, 2]);
}

#[test]
fn a_refused_key_is_tried_by_one_request_each_interval_until_it_is_taken() {
    let start = Instant::now();
    let pool = Pool::new(2, SETTINGS);
    pool.bad(0, start);
    let mut tried = 0;
    for second in 0..3000 {
        let now = start + seconds(second);
        if pool.pick(now) == Some(0) {
            tried += 1;
            pool.bad(0, now);
        }
    }
    assert_eq!(tried, 9);
    let now = start + seconds(3000);
    assert_eq!(
        picks(&pool, now, 3),
        [0, 1, 1],
        "one, though nothing came of it yet"
    );
    pool.good(0);
    assert_eq!(picks(&pool, now, 4), [0, 1, 0, 1]);
}

#[test]
fn when_all_are_refused_there_is_none_and_it_shows_that_it_is_our_fault() {
    let start = Instant::now();
    let pool = Pool::new(2, SETTINGS);
    pool.bad(0, start);
    pool.bad(1, start + seconds(10));
    let now = start + seconds(10);
    assert_eq!(pool.pick(now), None);
    assert_eq!(pool.outlook(now), Condition::Bad(seconds(290)));
    assert_eq!(pool.soonest(now), Some(seconds(290)));
    // With one key only at its limit, waiting helps: that is what the caller is told.
    let pool = Pool::new(2, SETTINGS);
    pool.bad(0, start);
    pool.limited(1, start, seconds(400));
    assert_eq!(pool.outlook(start), Condition::Limited(seconds(400)));
}

#[test]
fn a_later_shorter_word_does_not_end_a_longer_rest() {
    let start = Instant::now();
    let pool = Pool::new(1, SETTINGS);
    pool.limited(0, start, seconds(30));
    pool.limited(0, start, seconds(1));
    assert_eq!(pool.soonest(start), Some(seconds(30)));
}

#[test]
fn absurd_rests_are_cut() {
    let start = Instant::now();
    let pool = Pool::new(1, SETTINGS);
    pool.limited(0, start, Duration::MAX);
    assert_eq!(pool.soonest(start), Some(seconds(600)));
    let forever = Pool::new(
        1,
        Settings {
            reprobe: Duration::MAX,
            longest_rest: Duration::MAX,
        },
    );
    forever.bad(0, start);
    forever.limited(0, start, Duration::MAX);
    assert_eq!(forever.pick(start + seconds(1_000_000)), None);
}

#[test]
fn a_pool_without_keys_and_a_key_that_is_not_there_do_no_harm() {
    let now = Instant::now();
    let pool = Pool::new(0, SETTINGS);
    pool.bad(3, now);
    pool.limited(3, now, seconds(1));
    pool.good(3);
    assert_eq!(pool.pick(now), None);
    assert_eq!(pool.soonest(now), None);
    assert_eq!(pool.condition(0, now), None);
}

#[test]
fn many_threads_share_the_turns_evenly() {
    let now = Instant::now();
    let pool = Pool::new(4, SETTINGS);
    let counts: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| picks(&pool, now, 1000)))
            .collect();
        let picked: Vec<usize> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        (0..4)
            .map(|key| picked.iter().filter(|&&it| it == key).count())
            .collect()
    });
    assert_eq!(counts, [1000; 4]);
}
