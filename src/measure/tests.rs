//! Windows, draws, reloads and threads; and all of it against the plainest way to reckon it.

use super::*;
use crate::measure::ring::MOST;
use crate::measure::sample::{Answer, Told};
use crate::routing::figures::SPEEDS;
use crate::routing::metric::{Metric, Stat, Window};
use proptest::prelude::*;

fn pair(provider: &str, model: &str) -> Pair {
    (provider.into(), model.into())
}

/// Of one pair, from this moment on.
fn measures() -> (Measures, Instant) {
    let start = Instant::now();
    let measures = Measures::new(start);
    measures.follow([pair("p", "m")]);
    (measures, start)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A stream whose first token came after a second, of so many tokens in the second after it.
fn stream(tokens: u64) -> Sample {
    Sample::Answered(Answer::new(Told {
        first_token: Some(seconds(1)),
        total: Some(seconds(2)),
        input: Some(10),
        output: Some(tokens),
        is_estimated: false,
    }))
}

fn get(table: &Table, metric: Metric, stat: Stat, window: Window) -> Option<f64> {
    table.get("p", "m", metric, Some(stat), window)
}

#[test]
fn failures_lower_success_and_enter_no_speed() {
    let (measures, start) = measures();
    for tokens in 1..=100 {
        measures.feed("p", "m", stream(tokens), start);
    }
    for _ in 0..25 {
        measures.feed("p", "m", Sample::Failed, start);
    }
    let table = measures.exact(start);
    for window in Window::ALL {
        let get = |metric, stat| get(&table, metric, stat, window).unwrap();
        assert_eq!(get(Metric::Success, Stat::Avg), 0.8);
        assert_eq!(get(Metric::Decode, Stat::Avg), 50.5);
        assert!((get(Metric::Decode, Stat::P90) - 10.9).abs() < 1e-9);
        assert!((get(Metric::Decode, Stat::P99) - 1.99).abs() < 1e-9);
        let seen = table.of("p", "m").unwrap().seen(window);
        assert_eq!((seen.attempts, seen.answers), (125, 100));
        assert_eq!(seen.spreads.get(Metric::Decode).unwrap().samples, 100);
        assert!(!seen.is_sampled);
    }
}

#[test]
fn only_failures_leave_the_speeds_unknown() {
    let (measures, start) = measures();
    measures.feed("p", "m", Sample::Failed, start);
    let table = measures.exact(start);
    assert_eq!(
        table.get("p", "m", Metric::Success, None, Window::Hour),
        Some(0.0)
    );
    for metric in SPEEDS {
        assert_eq!(get(&table, metric, Stat::P90, Window::Hour), None);
    }
}

#[test]
fn nothing_measured_is_unknown() {
    let (measures, start) = measures();
    let table = measures.exact(start);
    for metric in Metric::ALL {
        for window in Window::ALL {
            assert_eq!(get(&table, metric, Stat::Avg, window), None);
        }
    }
    assert!(table.of("p", "other").is_none());
    assert!(table.of("other", "m").is_none());
}

#[test]
fn what_is_older_than_a_window_leaves_it() {
    let (measures, start) = measures();
    measures.feed("p", "m", stream(10), start);
    measures.feed("p", "m", Sample::Failed, start);
    measures.feed("p", "m", stream(30), start + seconds(200));
    let at = |after: u64, window| {
        let table = measures.exact(start + seconds(after));
        let tokens = get(&table, Metric::Otpr, Stat::Avg, window);
        (tokens, get(&table, Metric::Success, Stat::Avg, window))
    };
    let both = (Some(20.0), Some(2.0 / 3.0));
    let last = (Some(30.0), Some(1.0));
    assert_eq!(at(299, Window::FiveMinutes), both);
    assert_eq!(at(300, Window::FiveMinutes), last);
    assert_eq!(at(500, Window::FiveMinutes), (None, None));
    assert_eq!(at(3599, Window::Hour), both);
    assert_eq!(at(3600, Window::Hour), last);
    assert_eq!(at(3800, Window::Hour), (None, None));
    assert_eq!(at(86_399, Window::Day), both);
    assert_eq!(at(86_400, Window::Day), last);
    assert_eq!(at(86_600, Window::Day), (None, None));
}

#[test]
fn what_is_known_survives_a_reload_and_what_is_gone_is_forgotten() {
    let (measures, start) = measures();
    measures.feed("p", "m", stream(10), start);
    measures.exact(start);
    measures.follow([pair("p", "m"), pair("p", "n"), pair("q", "m")]);
    let kept = |table: &Table| get(table, Metric::Otpr, Stat::Avg, Window::Hour);
    assert_eq!(kept(&measures.table()), Some(10.0));
    measures.feed("q", "m", stream(20), start);
    let names: Vec<Pair> = measures
        .table()
        .iter()
        .map(|(pair, _)| pair.clone())
        .collect();
    assert_eq!(names, [pair("p", "m"), pair("q", "m"), pair("p", "n")]);
    measures.follow([pair("q", "m")]);
    // A request that began before the reload ends after it.
    measures.feed("p", "m", stream(10), start);
    assert!(measures.exact(start).of("p", "m").is_none());
    measures.follow([pair("p", "m"), pair("q", "m")]);
    let table = measures.exact(start);
    assert_eq!(kept(&table), None);
    let other = table.get("q", "m", Metric::Otpr, Some(Stat::Avg), Window::Hour);
    assert_eq!(other, Some(20.0));
}

#[test]
fn the_background_follows_small_windows_at_once_and_large_ones_soon() {
    let (measures, start) = measures();
    let attempts = || {
        let table = measures.table();
        let figures = table.of("p", "m").unwrap();
        figures.seen(Window::FiveMinutes).attempts
    };
    measures.feed("p", "m", stream(10), start);
    assert_eq!(attempts(), 0);
    measures.renew(start);
    assert_eq!(attempts(), 1);
    for _ in 0..500 {
        measures.feed("p", "m", stream(10), start);
    }
    measures.renew(start);
    assert_eq!(attempts(), 501);
    // One of five hundred: not worth it, until some time is over.
    measures.feed("p", "m", stream(10), start + seconds(1));
    measures.renew(start + seconds(1));
    assert_eq!(attempts(), 501);
    measures.renew(start + seconds(6));
    assert_eq!(attempts(), 502);
    // Without anything new what grows old goes all the same.
    measures.renew(start + seconds(302));
    assert_eq!(attempts(), 0);
}

/// Of so many, spread over the window, with one to a thousand tokens in turn.
fn flood(measures: &Measures, start: Instant, count: u64, over: Duration) {
    for number in 0..count {
        let at = start + over.mul_f64(number as f64 / count as f64);
        measures.feed("p", "m", stream(number % 1000 + 1), at);
        if number % 4 == 0 {
            measures.feed("p", "m", Sample::Failed, at);
        }
    }
}

#[test]
fn more_than_are_kept_are_drawn_evenly() {
    let (measures, start) = measures();
    let count = 300_000;
    flood(&measures, start, count, seconds(290));
    let table = measures.exact(start + seconds(290));
    for window in Window::ALL {
        let seen = table.of("p", "m").unwrap().seen(window);
        let kept = seen.spreads.get(Metric::Otpr).unwrap().samples;
        assert!(seen.is_sampled);
        assert!((MOST / 3..=MOST).contains(&kept), "{kept}");
        let near = |found: f64, expected: f64, by: f64| {
            assert!((found - expected).abs() < by, "{found} for {expected}");
        };
        near(seen.answers as f64, count as f64, count as f64 * 0.15);
        near(seen.success.unwrap(), 0.8, 0.03);
        let get = |stat| get(&table, Metric::Otpr, stat, window).unwrap();
        near(get(Stat::Avg), 500.0, 50.0);
        near(get(Stat::Median), 500.0, 75.0);
        near(get(Stat::P90), 100.0, 45.0);
    }
}

#[test]
fn after_a_flood_the_draw_stays_even_and_the_window_becomes_exact_again() {
    let (measures, start) = measures();
    // Fast in the flood, slow after it.
    for number in 0..20_000u64 {
        measures.feed(
            "p",
            "m",
            stream(1000),
            start + Duration::from_millis(number),
        );
    }
    let quiet = start + seconds(100);
    for number in 0..100u64 {
        measures.feed("p", "m", stream(10), quiet + seconds(number));
    }
    // All are in the window: two hundred fast ones for each slow one.
    let table = measures.exact(start + seconds(200));
    let fast = get(&table, Metric::Otpr, Stat::P90, Window::FiveMinutes);
    assert_eq!(fast, Some(1000.0));
    // A quarter of the flood is left: what was kept whole since does not outweigh it.
    let at = start + seconds(300) + Duration::from_millis(15_000);
    measures.feed("p", "m", stream(10), at);
    let table = measures.exact(at);
    let average = get(&table, Metric::Otpr, Stat::Avg, Window::FiveMinutes).unwrap();
    assert!(average > 900.0, "{average}");
    // Some of the flood only.
    let mut now = at;
    for number in 0..1000 {
        now = start + seconds(330 + number);
        measures.feed("p", "m", stream(20), now);
    }
    let table = measures.exact(now);
    let seen = table.of("p", "m").unwrap().seen(Window::FiveMinutes);
    assert_eq!((seen.attempts, seen.is_sampled), (300, false));
    let slow = get(&table, Metric::Otpr, Stat::Avg, Window::FiveMinutes);
    assert_eq!(slow, Some(20.0));
}

#[test]
fn a_storm_of_failures_does_not_wash_the_speeds_out() {
    let (measures, start) = measures();
    for tokens in 1..=100 {
        measures.feed("p", "m", stream(tokens), start);
    }
    for _ in 0..100_000 {
        measures.feed("p", "m", Sample::Failed, start);
    }
    let table = measures.exact(start);
    let average = get(&table, Metric::Otpr, Stat::Avg, Window::FiveMinutes);
    assert_eq!(average, Some(50.5));
    let success = get(&table, Metric::Success, Stat::Avg, Window::FiveMinutes).unwrap();
    assert!((0.0008..0.0012).contains(&success), "{success}");
}

#[test]
fn estimated_answers_count_and_are_marked() {
    let (measures, start) = measures();
    let estimated = Told {
        total: Some(seconds(1)),
        output: Some(50),
        is_estimated: true,
        ..Told::default()
    };
    measures.feed("p", "m", Sample::Answered(Answer::new(estimated)), start);
    measures.feed("p", "m", stream(100), start);
    let table = measures.exact(start);
    let seen = table.of("p", "m").unwrap().seen(Window::Hour);
    assert_eq!(seen.estimated, 1);
    assert_eq!(seen.spreads.get(Metric::Otps).unwrap().samples, 2);
}

#[test]
fn memory_is_bounded_and_feeding_allocates_nothing() {
    let (measures, start) = measures();
    let flood = |from: u64, count: u64| {
        for number in from..from + count {
            let at = start + Duration::from_micros(number * 10);
            measures.feed("p", "m", stream(10), at);
            measures.feed("p", "m", Sample::Failed, at);
        }
    };
    let grown = allocation_counter::measure(|| flood(0, 10_000));
    // Three windows, twice `MOST` samples each.
    assert!(grown.bytes_current < 400 * 1024, "{grown:?}");
    let steady = allocation_counter::measure(|| flood(10_000, 200_000));
    assert_eq!((steady.count_total, steady.bytes_current), (0, 0));
}

#[test]
fn many_feed_while_others_read_and_reload() {
    let (measures, start) = measures();
    const FEEDERS: u64 = 4;
    const EACH: u64 = 20_000;
    std::thread::scope(|scope| {
        for feeder in 0..FEEDERS {
            let measures = &measures;
            scope.spawn(move || {
                for number in 0..EACH {
                    let at = start + Duration::from_micros(number);
                    let sample = if number % 4 == 0 {
                        Sample::Failed
                    } else {
                        stream(feeder + 1)
                    };
                    measures.feed("p", "m", sample, at);
                }
            });
        }
        for turn in 0..50u64 {
            measures.renew(start + Duration::from_millis(turn));
            let table = measures.table();
            if let Some(average) = get(&table, Metric::Otpr, Stat::Avg, Window::Day) {
                assert!((1.0..=4.0).contains(&average), "{average}");
            }
            let others = (turn % 2 == 0).then(|| pair("q", "m"));
            measures.follow([pair("p", "m")].into_iter().chain(others));
        }
    });
    let table = measures.exact(start + seconds(1));
    let seen = table.of("p", "m").unwrap().seen(Window::Day);
    let all = (FEEDERS * EACH) as f64;
    assert!((seen.attempts as f64 - all).abs() < all * 0.15, "{seen:?}");
    assert!((seen.success.unwrap() - 0.75).abs() < 0.04, "{seen:?}");
}

#[derive(Debug, Clone)]
struct Fed {
    after: Duration,
    /// None: it failed.
    told: Option<Told>,
}

fn any_fed() -> impl Strategy<Value = Fed> {
    let tokens = || prop_oneof![Just(None), Just(Some(0)), (1..100_000u64).prop_map(Some)];
    let told = (
        proptest::option::of(0..5_000u64),
        0..10_000u64,
        tokens(),
        tokens(),
    );
    let told = told.prop_map(|(first, total, input, output)| Told {
        first_token: first.map(Duration::from_millis),
        total: Some(Duration::from_millis(total)),
        input,
        output,
        is_estimated: false,
    });
    let after = prop_oneof![0..2_000u64, 0..600_000u64, 0..20_000_000u64];
    (after, proptest::option::weighted(0.8, told)).prop_map(|(after, told)| Fed {
        after: Duration::from_millis(after),
        told,
    })
}

/// By the formula, without any care for speed.
fn plainly(metric: Metric, told: &Told) -> Option<f64> {
    let over = |tokens: Option<u64>, time: f64| {
        let tokens = tokens.filter(|tokens| *tokens > 0)?;
        (time > 0.0).then(|| tokens as f64 / time)
    };
    let first = told.first_token.map(|time| time.as_secs_f64());
    let total = told.total.unwrap_or_default().as_secs_f64();
    match metric {
        Metric::Ttft => first.filter(|time| *time > 0.0),
        Metric::Prefill => over(told.input, first?),
        Metric::Decode => over(told.output, total - first.filter(|time| *time > 0.0)?),
        Metric::Otps => over(told.output, total),
        Metric::Otpr => over(told.output, 1.0),
        _ => None,
    }
}

fn plain_stat(metric: Metric, stat: Stat, mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    if stat == Stat::Avg {
        let count = values.len() as f64;
        return (count > 0.0).then(|| values.iter().sum::<f64>() / count);
    }
    let percent = match (stat, metric) {
        (Stat::Median, _) => 50.0,
        (Stat::P90, Metric::Ttft) => 90.0,
        (Stat::P90, _) => 10.0,
        (_, Metric::Ttft) => 99.0,
        _ => 1.0,
    };
    let place = percent / 100.0 * (values.len().checked_sub(1)? as f64);
    let (low, high) = (values[place as usize], values[place.ceil() as usize]);
    Some(low * (1.0 - place.fract()) + high * place.fract())
}

proptest! {
    #[test]
    fn numbers_are_those_of_the_plainest_reckoning(fed in prop::collection::vec(any_fed(), 0..80)) {
        let (measures, start) = measures();
        let mut now = start;
        let mut all = Vec::new();
        for one in fed {
            now += one.after;
            let sample = one.told.map_or(Sample::Failed, |told| Sample::Answered(Answer::new(told)));
            measures.feed("p", "m", sample, now);
            all.push((now, one.told));
        }
        let table = measures.exact(now);
        for window in Window::ALL {
            let inside: Vec<&Option<Told>> = all
                .iter()
                .filter(|(at, _)| now.duration_since(*at) < window.length())
                .map(|(_, told)| told)
                .collect();
            let answers = inside.iter().filter(|told| told.is_some()).count();
            let success = (!inside.is_empty()).then(|| answers as f64 / inside.len() as f64);
            prop_assert_eq!(get(&table, Metric::Success, Stat::Avg, window), success);
            for metric in SPEEDS {
                let values: Vec<f64> = inside
                    .iter()
                    .filter_map(|told| plainly(metric, told.as_ref()?))
                    .collect();
                for stat in Stat::ALL {
                    let expected = plain_stat(metric, stat, values.clone());
                    let found = get(&table, metric, stat, window);
                    prop_assert_eq!(found.is_some(), expected.is_some());
                    if let (Some(found), Some(expected)) = (found, expected) {
                        let is_near = (found - expected).abs() <= expected.abs() * 1e-9;
                        prop_assert!(is_near, "{:?} {:?}: {} for {}", metric, stat, found, expected);
                    }
                }
            }
        }
    }
}
