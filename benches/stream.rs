//! What an event of a stream costs on its way through the pump, in time; and that it costs no
//! memory, which is checked first.

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use overspill::config::snapshot::Endpoint;
use overspill::relay::pump::{Form, Pump};

criterion_group!(benches, steady, pump);
criterion_main!(benches);

const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"#,
    r#""model":"deepseek-chat","choices":[{"index":0,"delta":{"content":" word"},"#,
    r#""finish_reason":null}]}"#,
    "\n\n"
);

/// No stream is longer, so that what is kept of it stays within its bound.
const EVENTS: usize = 10_000;
const WARM: usize = 100;
const BATCH: usize = 64;

/// How a stream arrives: the chunks that come over and over, and the events in all of them.
struct Arrival {
    name: &'static str,
    chunks: Vec<Bytes>,
    events: usize,
}

impl Arrival {
    fn all() -> [Arrival; 4] {
        let (head, tail) = EVENT.split_at(EVENT.len() / 2);
        let escaped = EVENT.replace(" word", r#"\n\"w\u00f6rd\""#);
        let one = |name, chunks: &[&str], events| Arrival {
            name,
            chunks: chunks
                .iter()
                .map(|chunk| Bytes::from(chunk.to_string()))
                .collect(),
            events,
        };
        [
            one("one event a chunk", &[EVENT], 1),
            one("one event a chunk, with escapes", &[&escaped], 1),
            one("one event in two chunks", &[head, tail], 1),
            one("64 events a chunk", &[&EVENT.repeat(BATCH)], BATCH),
        ]
    }

    fn pass(&self, pump: &mut Pump, events: usize) {
        for _ in 0..events.div_ceil(self.events) {
            for chunk in &self.chunks {
                pump.feed(black_box(chunk));
                black_box(pump.take());
            }
        }
    }
}

fn forms() -> [(&'static str, Form); 4] {
    let form = |model: Option<&'static str>, keep| Form {
        endpoint: Endpoint::Chat,
        model: model.map(|model| Bytes::from_static(model.as_bytes())),
        strip_usage: false,
        several: false,
        keep,
    };
    let ours = Some("\"deepseek/deepseek-v3.2\"");
    [
        ("upstream's model", form(None, false)),
        ("upstream's model, kept", form(None, true)),
        ("renamed", form(ours, false)),
        ("renamed, kept", form(ours, true)),
    ]
}

/// Once a stream flows nothing is allocated, but for the text that is kept: that may grow.
fn steady(_: &mut Criterion) {
    for (form_name, form) in forms() {
        let most = if form.keep { EVENTS.ilog2().into() } else { 0 };
        for arrival in Arrival::all() {
            let mut pump = Pump::new(form.clone());
            arrival.pass(&mut pump, WARM);
            let memory = measure(|| arrival.pass(&mut pump, EVENTS));
            let count = memory.count_total;
            let name = arrival.name;
            println!("{name}, {form_name}: {count} allocations in {EVENTS} events");
            assert!(pump.stop().is_none() && pump.has_begun());
            assert_eq!(
                pump.delivered().is_some(),
                form.keep,
                "it has kept the text"
            );
            assert!(count <= most, "more than {most}");
        }
    }
}

fn pump(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream, per event");
    for arrival in Arrival::all() {
        for (form_name, form) in forms() {
            let id = BenchmarkId::new(form_name, arrival.name);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|events| took(&arrival, &form, events));
            });
        }
    }
    group.finish();
}

/// The time that so many events take, in streams of a usual length.
fn took(arrival: &Arrival, form: &Form, events: u64) -> Duration {
    let streams = events.div_ceil(EVENTS as u64).max(1);
    let each = events.div_ceil(streams) as usize;
    let mut took = Duration::ZERO;
    let mut passed = 0;
    for _ in 0..streams {
        let mut pump = Pump::new(form.clone());
        arrival.pass(&mut pump, WARM);
        let start = Instant::now();
        arrival.pass(&mut pump, each);
        took += start.elapsed();
        passed += each.next_multiple_of(arrival.events);
    }
    took.mul_f64(events as f64 / passed as f64)
}
