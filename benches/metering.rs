//! What it costs to meter: reading what a provider says was used, and settling a request, once all
//! of it is known. To be held against the CPU time of whole requests, which `load` measures.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, criterion_group, criterion_main};
use overspill::config::snapshot::AccessTo;
use overspill::dialect::usage::Told;
use overspill::measure::Measures;
use overspill::pricing::Micros;
use overspill::proxy::measured;
use overspill::store::record::Record;
use overspill::telemetry::access::{AccessLog, Destination, Shape};
use overspill::telemetry::metrics::Metrics;
use overspill::telemetry::tale::Attempt;
use prometheus::IntCounter;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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

/// All that is counted of a request in memory, and each part of it alone.
fn counting(criterion: &mut Criterion<CpuTime>) {
    let Ok(metrics) = Metrics::new() else {
        return;
    };
    let start = Instant::now();
    let measures = Measures::new(start);
    measures.follow([("siliconflow".into(), "acme/chat".into())]);
    for (name, first_token) in [
        ("an answer", None),
        ("a stream", Some(Duration::from_millis(300))),
    ] {
        let record = record(first_token);
        let mut at = start;
        let mut tick = || {
            at += Duration::from_micros(1);
            at
        };
        criterion.bench_function(&format!("metering/settle {name}"), |bencher| {
            bencher.iter(|| {
                metrics.count(black_box(&record));
                measured::feed(&measures, black_box(&record), tick());
            });
        });
        criterion.bench_function(&format!("metering/counters of {name}"), |bencher| {
            bencher.iter(|| metrics.count(black_box(&record)));
        });
        criterion.bench_function(&format!("metering/sample of {name}"), |bencher| {
            bencher.iter(|| measured::feed(&measures, black_box(&record), tick()));
        });
    }
}

/// About what a busy core leaves while the writer rests.
const AT_ONCE: u64 = 250;

/// The CPU time of a line: of the request that leaves it and of the thread that writes it
/// together, with making and dropping the record. What a disk adds is the system's.
fn lines(criterion: &mut Criterion<CpuTime>) {
    let file = std::env::temp_dir().join(format!("overspill-lines-{}", std::process::id()));
    criterion.bench_function("metering/a record without a line", |bencher| {
        bencher.iter(|| black_box(told_of(None)));
    });
    for (name, path) in [("nowhere", Path::new("/dev/null")), ("on a disk", &file)] {
        let dropped = IntCounter::new("dropped", "dropped").ok();
        let to = Destination::open(&AccessTo::File(path.to_owned())).ok();
        let (Some(dropped), Some(to)) = (dropped, to) else {
            return;
        };
        let Ok(log) = AccessLog::start(Shape::Json, to, dropped.clone()) else {
            return;
        };
        criterion.bench_function(
            &format!("metering/a record with a line {name}"),
            |bencher| {
                bencher.iter_custom(|count| written(&log, count));
            },
        );
        assert_eq!(dropped.get(), 0, "a line that was dropped was not measured");
    }
    // What is left lies in the system's folder for temporary files.
    let _ = std::fs::remove_file(file);
}

fn written(log: &AccessLog, count: u64) -> Duration {
    let before = CpuTime::now();
    let mut left = count;
    while left > 0 {
        let now = left.min(AT_ONCE);
        for _ in 0..now {
            log.write(&told_of(None));
        }
        left -= now;
        // Longer than the writer rests.
        std::thread::sleep(Duration::from_millis(30));
    }
    CpuTime::now().saturating_sub(before)
}

/// With what a line has to say besides.
fn told_of(first_token: Option<Duration>) -> Record {
    Record {
        began: SystemTime::now(),
        request_id: "f3b1c8d02a7e4965b0c4d7e8f9a1b2c3".to_owned(),
        method: "POST".to_owned(),
        asked: Some("acme/chat".to_owned()),
        served: Some("acme/chat".to_owned()),
        duration: Duration::from_millis(352),
        first_byte: Some(Duration::from_millis(351)),
        bytes_in: 4096,
        bytes_out: 1500,
        ..record(first_token)
    }
}

/// What all threads of this process took of a core. Whoever else is at work on the machine hardly
/// shows in it.
struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
            let told = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            told.split_whitespace().next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.filter_map(of_thread).sum())
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        CpuTime::now()
    }

    fn end(&self, before: Duration) -> Duration {
        CpuTime::now().saturating_sub(before)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, time: &Duration) -> f64 {
        time.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn benches(criterion: &mut Criterion<CpuTime>) {
    criterion.bench_function("metering/read what was used", |bencher| {
        bencher.iter(|| read().usage());
    });
    counting(criterion);
    lines(criterion);
}

criterion_group! {
    name = all;
    config = Criterion::default().with_measurement(CpuTime);
    targets = benches
}
criterion_main!(all);
