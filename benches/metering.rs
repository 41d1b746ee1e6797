//! What it costs to meter: reading what a provider says was used, and settling a request, once all
//! of it is known. To be held against the CPU time of whole requests, which `load` measures.

use criterion::{Criterion, criterion_group, criterion_main};
use overspill::dialect::usage::Told;
use overspill::measure::Measures;
use overspill::pricing::Micros;
use overspill::proxy::measured;
use overspill::store::record::Record;
use overspill::telemetry::metrics::Metrics;
use overspill::telemetry::tale::Attempt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const USAGE: &[u8] = br#"{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":12,"audio_tokens":0}}"#;

fn read() -> Told {
    let mut told = Told::default();
    told.read(black_box(USAGE));
    told
}

/// A request that one provider answered. None: it was no stream.
fn record(first_token: Option<Duration>) -> Record {
    let (provider, model): (Arc<str>, Arc<str>) = ("siliconflow".into(), "acme/chat".into());
    let took = Duration::from_millis(350);
    Record {
        path: "/v1/chat/completions".to_owned(),
        key: Some("mobile".into()),
        route: Some("main".into()),
        label: Some(Arc::clone(&model)),
        provider: Some(Arc::clone(&provider)),
        stream: first_token.is_some(),
        status: 200,
        overhead: Duration::from_micros(40),
        attempts: vec![Attempt {
            provider,
            model,
            status: Some(200),
            took,
            first_token,
            lasted: took * 2,
            usage: read().usage(),
            cost: Some(Micros::new(350)),
            ..Attempt::default()
        }],
        ..Record::default()
    }
}

fn benches(criterion: &mut Criterion) {
    criterion.bench_function("metering/read what was used", |bencher| {
        bencher.iter(|| read().usage());
    });

    let Ok(metrics) = Metrics::new() else {
        return;
    };
    let start = Instant::now();
    let measures = Measures::new(start);
    measures.follow([("siliconflow".into(), "acme/chat".into())]);
    for (name, first_token) in [
        ("metering/settle an answer", None),
        ("metering/settle a stream", Some(Duration::from_millis(300))),
    ] {
        let record = record(first_token);
        let mut at = start;
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                at += Duration::from_micros(1);
                metrics.count(black_box(&record));
                measured::feed(&measures, black_box(&record), at);
            });
        });
    }
}

criterion_group!(all, benches);
criterion_main!(all);
