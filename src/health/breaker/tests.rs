use super::*;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

const SETTINGS: Settings = Settings {
    failures: 0.5,
    window: Duration::from_secs(30),
    last: 20,
    minimum: 10,
    interval: Duration::from_secs(5),
};

fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count)
}

fn tell(breaker: &Arc<Breaker>, now: Instant, outcomes: &[bool]) {
    for &ok in outcomes {
        let attempt = breaker.begin(now).unwrap();
        if ok {
            attempt.succeeded(now);
        } else {
            attempt.failed(now);
        }
    }
}

/// A breaker that opened at `now`.
fn open(now: Instant) -> Arc<Breaker> {
    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, now, &[false; 10]);
    assert!(matches!(breaker.allows(now), Gate::Open { .. }));
    breaker
}

#[test]
fn one_random_error_takes_nothing_out_of_service() {
    let now = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, now, &[false]);
    tell(&breaker, now, &[true; 500]);
    tell(&breaker, now, &[false; 9]);
    assert_eq!(breaker.allows(now), Gate::Closed);
}

#[test]
fn half_of_the_last_twenty_opens_it_and_nine_prove_nothing() {
    let now = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, now, &[false; 9]);
    assert_eq!(breaker.allows(now), Gate::Closed);
    tell(&breaker, now, &[false]);
    assert_eq!(breaker.allows(now), Gate::Open { left: seconds(5.0) });
    let state = breaker.state(now);
    assert_eq!((state.since, state.failures), (Some(now), 1.0));

    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, now, &[true; 1000]);
    tell(&breaker, now, &[false; 9]);
    assert_eq!(breaker.state(now).failures, 0.45);
    tell(&breaker, now, &[false]);
    assert_eq!(breaker.state(now).failures, 0.5);
    assert!(breaker.begin(now).is_none());
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let start = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, start, &[false; 9]);
    assert_eq!(breaker.state(start + seconds(30.0)).failures, 1.0);
    assert_eq!(breaker.state(start + seconds(30.1)).failures, 0.0);
    tell(&breaker, start, &[false; 9]);
    let later = start + seconds(30.1);
    tell(&breaker, later, &[false]);
    assert_eq!(breaker.allows(later), Gate::Closed);
    assert_eq!(breaker.state(later).failures, 1.0);
    assert_eq!(breaker.state(later + seconds(31.0)).failures, 0.0);
}

#[test]
fn a_thousand_cancelled_requests_change_nothing() {
    let now = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    tell(&breaker, now, &[true, false, true]);
    let before = breaker.state(now);
    for _ in 0..1000 {
        drop(breaker.begin(now));
    }
    assert_eq!(breaker.state(now), before);
}

#[test]
fn it_is_back_within_one_interval_of_recovery() {
    let start = Instant::now();
    let breaker = open(start);
    // Down until 12.3 s; a request every 100 ms.
    let mut back = None;
    for step in 1..300 {
        let now = start + Duration::from_millis(100) * step;
        let Some(attempt) = breaker.begin(now) else {
            continue;
        };
        if now < start + seconds(12.3) {
            attempt.failed(now);
        } else {
            attempt.succeeded(now);
            back.get_or_insert(now);
        }
    }
    let back = back.unwrap() - start;
    assert!(
        back <= seconds(12.3 + 5.0),
        "back only {back:?} after the start"
    );
    let state = breaker.state(start + seconds(30.0));
    assert_eq!((state.gate, state.failures), (Gate::Closed, 0.0));
    assert_eq!(state.since, Some(start + back));
}

#[test]
fn a_failed_probe_costs_one_interval_and_one_request() {
    let start = Instant::now();
    let breaker = open(start);
    let due = start + seconds(5.0);
    assert_eq!(breaker.allows(due), Gate::Probe);
    let probe = breaker.begin(due).unwrap();
    assert!(probe.is_probe());
    assert!(breaker.begin(due).is_none(), "one probe at a time");
    probe.failed(due + seconds(0.2));
    assert_eq!(
        breaker.allows(due + seconds(0.2)),
        Gate::Open { left: seconds(4.8) }
    );
    assert_eq!(breaker.allows(due + seconds(5.0)), Gate::Probe);
    assert_eq!(
        breaker.state(due).since,
        Some(start),
        "it has been open all the while"
    );
}

#[test]
fn a_probe_whose_caller_left_is_given_back_at_once() {
    let start = Instant::now();
    let breaker = open(start);
    let due = start + seconds(5.0);
    for _ in 0..100 {
        let probe = breaker.begin(due).unwrap();
        assert!(probe.is_probe());
        drop(probe);
    }
    breaker.begin(due).unwrap().succeeded(due);
    assert_eq!(breaker.allows(due), Gate::Closed);
}

#[test]
fn a_stream_from_before_the_outage_decides_nothing() {
    let start = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    let before: Vec<Attempt> = (0..40).map(|_| breaker.begin(start).unwrap()).collect();
    tell(&breaker, start, &[false; 10]);
    let mut before = before.into_iter();
    before.next().unwrap().succeeded(start);
    assert!(
        matches!(breaker.allows(start), Gate::Open { .. }),
        "not closed by it"
    );
    before.next().unwrap().failed(start + seconds(4.0));
    let due = start + seconds(5.0);
    assert_eq!(breaker.allows(due), Gate::Probe, "nor kept open longer");
    breaker.begin(due).unwrap().succeeded(due);
    for old in before {
        old.failed(due);
    }
    assert_eq!(
        breaker.allows(due),
        Gate::Closed,
        "nor opened again by those that time out"
    );
    assert_eq!(breaker.state(due).failures, 0.0);
}

#[test]
fn a_probe_of_an_earlier_outage_does_not_end_a_later_one() {
    let start = Instant::now();
    let breaker = open(start);
    let due = start + seconds(5.0);
    let slow = breaker.begin(due).unwrap();
    breaker.begin_regardless(due).succeeded(due);
    tell(&breaker, due, &[false; 10]);
    slow.succeeded(due);
    assert!(matches!(breaker.allows(due), Gate::Open { .. }));

    let breaker = open(start);
    let slow = breaker.begin(due).unwrap();
    breaker.begin_regardless(due).succeeded(due);
    tell(&breaker, due, &[false; 10]);
    let later = due + seconds(5.0);
    let _probe = breaker.begin(later).unwrap();
    drop(slow);
    assert!(breaker.begin(later).is_none(), "nor give its probe away");
}

#[test]
fn the_least_bad_may_be_tried_and_its_success_closes_it() {
    let start = Instant::now();
    let breaker = open(start);
    let attempt = breaker.begin_regardless(start);
    assert!(!attempt.is_probe());
    attempt.failed(start + seconds(1.0));
    assert_eq!(
        breaker.allows(start + seconds(1.0)),
        Gate::Open { left: seconds(4.0) }
    );
    breaker
        .begin_regardless(start)
        .succeeded(start + seconds(2.0));
    assert_eq!(breaker.allows(start + seconds(2.0)), Gate::Closed);
}

#[test]
fn who_opens_or_closes_it_learns_so_for_the_log() {
    let now = Instant::now();
    let breaker = Breaker::new(SETTINGS);
    let turned: Vec<bool> = (0..10)
        .map(|_| breaker.begin(now).unwrap().failed(now))
        .collect();
    assert_eq!(turned.iter().position(|&turned| turned), Some(9));
    let due = now + seconds(5.0);
    assert!(!breaker.begin(due).unwrap().failed(due));
    assert!(breaker.begin_regardless(due).succeeded(due));
    assert!(!breaker.begin(due).unwrap().succeeded(due));
}

#[test]
fn a_reload_keeps_what_was_learnt() {
    let start = Instant::now();
    let breaker = open(start);
    breaker.configure(Settings {
        interval: seconds(60.0),
        ..SETTINGS
    });
    assert_eq!(
        breaker.allows(start + seconds(5.0)),
        Gate::Open {
            left: seconds(55.0)
        }
    );
}

#[test]
fn odd_settings_still_open() {
    let now = Instant::now();
    let breaker = Breaker::new(Settings {
        minimum: 50,
        last: 4,
        failures: 0.75,
        interval: Duration::MAX,
        window: Duration::MAX,
    });
    tell(&breaker, now, &[true, false, false, false]);
    assert_eq!(
        breaker.allows(now),
        Gate::Open {
            left: Duration::MAX
        }
    );
}

#[test]
fn of_many_threads_exactly_one_gets_the_probe() {
    let start = Instant::now();
    for _ in 0..50 {
        let breaker = open(start);
        let due = start + seconds(5.0);
        let probes = AtomicUsize::new(0);
        let gate = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    gate.wait();
                    let attempt = breaker.begin(due);
                    probes.fetch_add(usize::from(attempt.is_some()), Ordering::Relaxed);
                    gate.wait();
                    if let Some(attempt) = attempt {
                        attempt.failed(due);
                    }
                });
            }
        });
        assert_eq!(probes.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn after_a_storm_from_many_threads_nothing_is_stuck() {
    let start = Instant::now();
    let breaker = Breaker::new(Settings {
        interval: Duration::from_millis(2),
        ..SETTINGS
    });
    let probing = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..8u32 {
            let (breaker, probing) = (&breaker, &probing);
            scope.spawn(move || {
                for step in 0..4000u32 {
                    let now = start + Duration::from_micros(u64::from(step) * 10);
                    let Some(attempt) = breaker.begin(now) else {
                        continue;
                    };
                    if attempt.is_probe() {
                        assert_eq!(probing.fetch_add(1, Ordering::SeqCst), 0);
                        probing.fetch_sub(1, Ordering::SeqCst);
                    }
                    match (step + thread) % 3 {
                        0 => _ = attempt.failed(now),
                        1 if step % 7 == 0 => _ = attempt.succeeded(now),
                        _ => drop(attempt),
                    }
                }
            });
        }
    });
    let late = start + seconds(60.0);
    breaker.begin(late).unwrap().succeeded(late);
    assert_eq!(breaker.allows(late), Gate::Closed);
}

/// The same rules, written as plainly as they can be said.
struct Naive {
    settings: Settings,
    outcomes: Vec<(Duration, bool)>,
    opened: Option<Duration>,
    probe: Option<Duration>,
    changes: u64,
}

impl Naive {
    fn gate(&self, now: Duration) -> Gate {
        match self.opened {
            None => Gate::Closed,
            Some(from) if now - from >= self.settings.interval && self.probe.is_none() => {
                Gate::Probe
            }
            Some(from) => Gate::Open {
                left: self.settings.interval.saturating_sub(now - from),
            },
        }
    }

    fn outcome(&mut self, now: Duration, began: u64, probe: Option<Duration>, ok: bool) {
        if began != self.changes {
            return;
        }
        if self.opened.is_some() {
            if ok {
                self.outcomes.clear();
                self.probe = None;
                self.opened = None;
                self.changes += 1;
            } else if probe.is_some() {
                self.opened = probe;
                self.probe = None;
            }
            return;
        }
        self.outcomes.push((now, ok));
        let counted: Vec<bool> = self
            .outcomes
            .iter()
            .rev()
            .take(self.settings.last)
            .filter(|(at, _)| now - *at <= self.settings.window)
            .map(|&(_, ok)| ok)
            .collect();
        let failed = counted.iter().filter(|&&ok| !ok).count();
        let enough = counted.len() >= self.settings.minimum as usize;
        if !ok && enough && failed * 2 >= counted.len() {
            self.opened = Some(now);
            self.changes += 1;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Begin,
    Regardless,
    End(prop::sample::Index, bool),
    Leave(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0u64..700).prop_map(Step::Wait),
        6 => Just(Step::Begin),
        1 => Just(Step::Regardless),
        5 => (any::<prop::sample::Index>(), prop::bool::weighted(0.4))
            .prop_map(|(which, ok)| Step::End(which, ok)),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn it_decides_as_the_plain_rules_do(steps in steps()) {
        let settings = Settings {
            failures: 0.5,
            window: Duration::from_millis(2_000),
            last: 8,
            minimum: 4,
            interval: Duration::from_millis(1_000),
        };
        let start = Instant::now();
        let breaker = Breaker::new(settings);
        let mut naive =
            Naive { settings, outcomes: Vec::new(), opened: None, probe: None, changes: 0 };
        let mut under_way: Vec<(Attempt, u64, Option<Duration>)> = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Begin | Step::Regardless => {
                    let gate = naive.gate(now);
                    let attempt = match step {
                        Step::Begin => breaker.begin(start + now),
                        _ => Some(breaker.begin_regardless(start + now)),
                    };
                    let allowed = !matches!(gate, Gate::Open { .. });
                    prop_assert_eq!(attempt.is_some(), allowed || matches!(step, Step::Regardless));
                    if let Some(attempt) = attempt {
                        prop_assert_eq!(attempt.is_probe(), gate == Gate::Probe);
                        let probe = attempt.is_probe().then_some(now);
                        naive.probe = probe.or(naive.probe);
                        under_way.push((attempt, naive.changes, probe));
                    }
                }
                Step::End(which, ok) if !under_way.is_empty() => {
                    let (attempt, began, probe) = under_way.remove(which.index(under_way.len()));
                    if ok {
                        attempt.succeeded(start + now);
                    } else {
                        attempt.failed(start + now);
                    }
                    naive.outcome(now, began, probe, ok);
                }
                Step::Leave(which) if !under_way.is_empty() => {
                    let (attempt, began, probe) = under_way.remove(which.index(under_way.len()));
                    drop(attempt);
                    if probe.is_some() && began == naive.changes {
                        naive.probe = None;
                    }
                }
                Step::End(..) | Step::Leave(_) => {}
            }
            prop_assert_eq!(breaker.allows(start + now), naive.gate(now));
        }
    }
}
