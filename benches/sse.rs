//! What it costs to cut a stream into events and to find each one's payload.

use std::hint::black_box;
use std::ops::ControlFlow;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use overspill::sse::split::Splitter;

criterion_group!(benches, sse);
criterion_main!(benches);

const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"#,
    r#""model":"deepseek-chat","choices":[{"index":0,"delta":{"content":" word"},"#,
    r#""finish_reason":null}]}"#,
    "\n\n"
);

fn sse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sse");
    let stream = Bytes::from(EVENT.repeat(1000));
    let crlf = Bytes::from(EVENT.replace('\n', "\r\n").repeat(1000));
    let long = Bytes::from(format!("data: {}\n\n", "x".repeat(1 << 20)));
    for (name, stream, chunk) in [
        ("small events, 4 KiB chunks", &stream, 4096),
        ("one event a chunk", &stream, EVENT.len()),
        ("CRLF, 4 KiB chunks", &crlf, 4096),
        ("events of 1 MiB, 16 KiB chunks", &long, 16 << 10),
    ] {
        let mut chunks = Vec::new();
        let mut rest = stream.clone();
        while !rest.is_empty() {
            chunks.push(rest.split_to(chunk.min(rest.len())));
        }
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let mut splitter = Splitter::new(4 << 20);
                for chunk in &chunks {
                    let fed = splitter.feed(chunk, |event| {
                        black_box(event.payload());
                        ControlFlow::<()>::Continue(())
                    });
                    black_box(fed.is_ok());
                }
                splitter
            });
        });
    }
    group.finish();
}
