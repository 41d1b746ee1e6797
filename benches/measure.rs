//! What it costs to measure: an attempt that is fed, a number that is read, and a table that is
//! made in the background.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use overspill::measure::Measures;
use overspill::measure::sample::{Answer, Sample, Told};
use overspill::routing::metric::{Metric, Stat, Window};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PROVIDERS: usize = 10;
const MODELS: usize = 10;

fn provider(number: usize) -> String {
    format!("provider-{}", number % PROVIDERS)
}

fn model(number: usize) -> String {
    format!("vendor/model-number-{}", number % MODELS)
}

fn answer(number: u64) -> Sample {
    Sample::Answered(Answer::new(Told {
        first_token: Some(Duration::from_micros(200_000 + number % 100_000)),
        total: Some(Duration::from_micros(2_000_000 + number % 1_000_000)),
        input: Some(1000 + number % 500),
        output: Some(300 + number % 200),
        is_estimated: false,
    }))
}

/// Each window of each pair holds as many as are kept.
fn full(start: Instant) -> Measures {
    let measures = Measures::new(start);
    let pairs = (0..PROVIDERS * MODELS)
        .map(|number| (provider(number / MODELS).into(), model(number).into()));
    measures.follow(pairs);
    for number in 0..(PROVIDERS * MODELS) as u64 * 1500 {
        let place = number as usize;
        let (provider, model) = (provider(place / MODELS), model(place));
        measures.feed(&provider, &model, answer(number), start);
    }
    measures
}

fn benches(criterion: &mut Criterion) {
    let start = Instant::now();
    let measures = full(start);
    measures.exact(start);

    let mut number = 0;
    criterion.bench_function("measure/feed an answer", |bencher| {
        bencher.iter(|| {
            number += 1;
            let now = start + Duration::from_micros(number);
            measures.feed("provider-3", "vendor/model-number-7", answer(number), now);
        });
    });

    let table = measures.table();
    criterion.bench_function("measure/read a number", |bencher| {
        bencher.iter(|| {
            let provider = black_box("provider-3");
            let model = black_box("vendor/model-number-7");
            let stat = Some(Stat::P90);
            table.get(provider, model, Metric::Otps, stat, Window::Hour)
        });
    });

    criterion.bench_function("measure/renew 100 pairs, nothing new", |bencher| {
        bencher.iter(|| measures.renew(start));
    });

    criterion.bench_function("measure/renew 100 pairs, all anew", |bencher| {
        bencher.iter_batched(
            || {
                let measures = full(start);
                measures.renew(start);
                let later = start + Duration::from_secs(1);
                for place in 0..PROVIDERS * MODELS {
                    let (provider, model) = (provider(place / MODELS), model(place));
                    for _ in 0..8 {
                        measures.feed(&provider, &model, Sample::Failed, later);
                    }
                }
                measures
            },
            |measures| measures.exact(start + Duration::from_secs(1)),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(all, benches);
criterion_main!(all);
