//! What a changed model costs: slices when the body is sent in pieces, a copy when it is joined.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use overspill::body::scan::scan;
use overspill::body::splice::{replace_model, set_fields};

criterion_group!(benches, splice);
criterion_main!(benches);

fn splice(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("splice");
    let model = Bytes::from_static(b"\"deepseek-ai/DeepSeek-V3.2\"");
    let options = [("temperature".to_owned(), "0.2".to_owned())];
    for (name, size) in [("1KB", 1 << 10), ("32KB", 32 << 10), ("1MB", 1 << 20)] {
        let body = Bytes::from(format!(
            r#"{{"model":"deepseek/deepseek-v3.2","temperature":1,"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "words ".repeat(size / 6)
        ));
        let Ok(scan) = scan(&body) else { continue };
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("replace model", name), |bencher| {
            bencher.iter(|| replace_model(black_box(&body), &scan, &model));
        });
        group.bench_function(BenchmarkId::new("replace model, joined", name), |bencher| {
            bencher.iter(|| replace_model(black_box(&body), &scan, &model).joined());
        });
        group.bench_function(BenchmarkId::new("set a field", name), |bencher| {
            bencher.iter(|| set_fields(black_box(&body), &scan, &model, &options, Vec::new()));
        });
    }
    group.finish();
}
