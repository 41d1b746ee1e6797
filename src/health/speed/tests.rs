use super::*;

/// The same numbers every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count)
}

fn measured(now: Instant, took: &[f64]) -> Vec<Arc<Score>> {
    took.iter()
        .map(|&took| {
            let score = Score::new();
            score.first_token(now, seconds(took));
            score
        })
        .collect()
}

/// How often each is chosen in so many requests one after another.
fn counts(now: Instant, scores: &[Arc<Score>], requests: usize) -> Vec<usize> {
    let mut dice = Dice(7);
    let mut counts = vec![0; scores.len()];
    for _ in 0..requests {
        counts[pick(now, scores, dice.roll(), dice.roll()).unwrap()] += 1;
    }
    counts
}

#[test]
fn the_fastest_is_preferred_and_the_slowest_never_chosen() {
    let now = Instant::now();
    let counts = counts(now, &measured(now, &[0.3, 0.9, 2.0]), 3000);
    assert!(counts[0] > 1800 && counts[1] > 800, "{counts:?}");
    assert_eq!(counts[2], 0);
}

#[test]
fn a_crowd_spreads_by_speed() {
    let now = Instant::now();
    let scores = measured(now, &[0.2, 0.4]);
    let mut dice = Dice(11);
    let mut held = Vec::new();
    for _ in 0..300 {
        let chosen = pick(now, &scores, dice.roll(), dice.roll()).unwrap();
        held.push(scores[chosen].began(now));
    }
    assert!(
        (195..=205).contains(&scores[0].in_flight()),
        "{}",
        scores[0].in_flight()
    );
    drop(held);
    assert_eq!(scores[0].in_flight() + scores[1].in_flight(), 0);
}

#[test]
fn a_target_that_slows_down_is_left_within_a_few_answers() {
    let now = Instant::now();
    let scores = measured(now, &[0.3, 0.5]);
    for _ in 0..5 {
        scores[0].first_token(now, seconds(4.0));
    }
    assert_eq!(counts(now, &scores, 100), [0, 100]);
}

#[test]
fn one_slow_answer_does_not_keep_a_target_out_for_good() {
    let start = Instant::now();
    let scores = measured(start, &[0.3, 3.0]);
    let mut tried = 0;
    for second in 0..1800 {
        let now = start + seconds(f64::from(second));
        let chosen = pick(now, &scores, 0, u64::MAX).unwrap();
        tried += chosen;
        scores[chosen].first_token(now, seconds([0.3, 3.0][chosen]));
    }
    assert!(
        (2..=10).contains(&tried),
        "tried {tried} times in half an hour"
    );
}

#[test]
fn failures_count_against_it_and_are_forgotten() {
    let start = Instant::now();
    let scores = measured(start, &[0.4, 0.6]);
    for _ in 0..5 {
        scores[0].failed(start);
    }
    assert_eq!(counts(start, &scores, 100), [0, 100]);
    let later = start + seconds(90.0);
    scores[0].first_token(later, seconds(0.4));
    scores[1].first_token(later, seconds(0.6));
    assert_eq!(counts(later, &scores, 100), [100, 0]);

    let scores = measured(start, &[0.4, 0.6]);
    for _ in 0..5 {
        scores[0].failed(start);
    }
    for _ in 0..10 {
        scores[0].first_token(start, seconds(0.4));
    }
    assert_eq!(counts(start, &scores, 100), [100, 0], "also by answers");
}

#[test]
fn a_target_that_fails_at_once_attracts_nobody() {
    let now = Instant::now();
    let scores = vec![Score::new(), Score::new()];
    scores[1].first_token(now, seconds(0.3));
    for _ in 0..10 {
        scores[0].failed(now);
    }
    assert_eq!(counts(now, &scores, 100), [0, 100]);
}

#[test]
fn a_target_that_is_back_is_eased_in() {
    let start = Instant::now();
    let scores = measured(start, &[0.3, 0.3]);
    scores[0].failed(start);
    scores[0].returned(start);
    let share_after = |after: f64| {
        let now = start + seconds(after);
        let mut held = Vec::new();
        for _ in 0..110 {
            let chosen = pick(now, &scores, 0, u64::MAX).unwrap();
            held.push(scores[chosen].began(now));
        }
        scores[0].in_flight()
    };
    let shares = [0.0, 15.0, 30.0].map(share_after);
    assert!((8..=12).contains(&shares[0]), "{shares:?}");
    assert!((15..=20).contains(&shares[1]), "{shares:?}");
    assert_eq!(shares[2], 55);
}

#[test]
fn the_unmeasured_is_tried_but_takes_no_stampede() {
    let now = Instant::now();
    let scores = vec![Score::new(), Score::new()];
    scores[0].first_token(now, seconds(0.6));
    let held: Vec<InFlight> = (0..30)
        .map(|_| scores[pick(now, &scores, 0, u64::MAX).unwrap()].began(now))
        .collect();
    assert!(
        (18..=22).contains(&scores[1].in_flight()),
        "{}",
        scores[1].in_flight()
    );
    drop(held);
}

#[test]
fn the_guard_measures_and_a_caller_that_leaves_is_no_failure() {
    let start = Instant::now();
    let score = Score::new();
    let request = score.began(start);
    request.first_token(start + seconds(2.0));
    assert!((score.score(start + seconds(2.0)) - 4.0).abs() < 0.01);
    drop(request);
    drop(score.began(start));
    let now = start + seconds(2.0);
    assert!((score.score(now) - 2.0).abs() < 0.01);
    score.began(now).failed(now);
    assert!(score.score(now) > 3.0);
}

#[test]
fn all_are_drawn_and_the_edges_hold() {
    let now = Instant::now();
    assert_eq!(pick::<Arc<Score>>(now, &[], 1, 2), None);
    assert_eq!(
        pick(now, &measured(now, &[1.0]), u64::MAX, u64::MAX),
        Some(0)
    );
    let equals: Vec<Score> = (0..200).map(|_| Score::default()).collect();
    let borrowed: Vec<&Score> = equals.iter().collect();
    let mut dice = Dice(3);
    let mut seen = [false; 200];
    for _ in 0..5000 {
        seen[pick(now, &borrowed, dice.roll(), dice.roll()).unwrap()] = true;
    }
    assert!(seen.iter().all(|&seen| seen));
}
