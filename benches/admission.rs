//! What is asked of a request before its body is read, and the memory its body is given.

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use overspill::access::recognise;
use overspill::config::load::load_str;
use overspill::limits::buffers::{Buffers, Growing};
use std::fmt::Write;
use std::hint::black_box;

fn benches(criterion: &mut Criterion) {
    let mut text = String::from(
        "providers:\n  p: { base_url: \"http://127.0.0.1:9/v1\", auth: none, models: { m: x } }\n\
         routes:\n  - targets: [{ provider: p }]\nkeys:\n",
    );
    for key in 0..1000 {
        let _ = writeln!(
            text,
            "  - {{ name: key-{key}, secret: \"sk-secret-number-{key}\" }}"
        );
    }
    let snapshot = load_str(&text, "bench", &|_| None)
        .expect("a good configuration")
        .snapshot;
    for (name, value) in [
        ("known key", "Bearer sk-secret-number-500"),
        ("unknown key", "Bearer sk-secret-number-5000"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(value));
        criterion.bench_function(&format!("admission/{name} of 1000"), |bencher| {
            bencher.iter(|| recognise(&snapshot.keys, black_box(&headers)).is_ok());
        });
    }

    let buffers = Buffers::new(1 << 30);
    let chunk = vec![7; 64 * 1024];
    for (name, announced) in [("announced", Some(512 * 1024)), ("chunked", None)] {
        criterion.bench_function(&format!("admission/512 KB {name}"), |bencher| {
            bencher.iter(|| {
                let mut body = Growing::new(&buffers, announced, 1 << 20).expect("room");
                for _ in 0..8 {
                    body.append(black_box(&chunk)).expect("room");
                }
                body.into_parts().0.len()
            });
        });
    }
}

criterion_group!(all, benches);
criterion_main!(all);
