//! From a model's name to an ordered list of targets: what it costs with few and with many.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use overspill::config::load::load_str;
use overspill::config::snapshot::{Balance, Endpoint, Snapshot, Tier};
use overspill::health::board::Board;
use overspill::health::choose::{self, Asker};
use overspill::routing::plan::plan;
use overspill::routing::table::{Asked, open_to, serves};
use std::hint::black_box;
use std::time::Instant;

/// `routes` routes with a model each, the last with `targets` targets.
fn snapshot(routes: usize, targets: usize) -> Snapshot {
    use std::fmt::Write;
    let mut text = String::from("auth: off\nproviders:\n");
    for target in 0..targets {
        let _ = writeln!(
            text,
            "  p{target}: {{ base_url: \"http://127.0.0.1:{}/v1\", auth: none, models: {{ m/last: x }} }}",
            10_000 + target
        );
    }
    text.push_str("routes:\n");
    for route in 1..routes {
        let _ = writeln!(
            text,
            "  - {{ match: {{ models: [\"m/{route}\"] }}, targets: [{{ provider: p0, model: x }}] }}"
        );
    }
    text.push_str("  - match: { models: [\"m/last\"] }\n    targets:\n");
    for target in 0..targets {
        let _ = writeln!(
            text,
            "      - {{ provider: p{target}, weight: {}, tier: {} }}",
            1 + target % 5,
            1 + target % 3
        );
    }
    load_str(&text, "bench", &|_| None)
        .expect("a good configuration")
        .snapshot
}

fn benches(criterion: &mut Criterion) {
    for (routes, targets) in [(1, 2), (50, 5), (50, 200)] {
        let snapshot = snapshot(routes, targets);
        let now = Instant::now();
        let board = Board::new(&snapshot, &Board::default(), now);
        let asker = Asker {
            balance: Balance::Weighted,
            sticky: 0,
            tokens: (100, 100),
            endpoint: Some(Endpoint::Chat),
            drawn: (0, 0),
        };
        let headers = http::HeaderMap::new();
        let asked = Asked {
            path: "/v1/chat/completions",
            host: "gateway.example",
            headers: &headers,
            key: None,
            route: None,
        };
        criterion.bench_function(
            &format!("plan/{routes} routes, {targets} targets"),
            |bencher| {
                bencher.iter_batched(
                    || black_box("m/last"),
                    |model| {
                        let (route, served) = open_to(&snapshot.routes, asked)
                            .find_map(|route| Some((route, serves(route, Some(model))?)))
                            .expect("a route");
                        let order = |tier: &Tier, entered| {
                            choose::order(&board, tier, entered, &asker, now)
                        };
                        plan(route, served, Some(model), Endpoint::Chat, |_| true, order).len()
                    },
                    BatchSize::SmallInput,
                );
            },
        );
    }
}

criterion_group!(all, benches);
criterion_main!(all);
