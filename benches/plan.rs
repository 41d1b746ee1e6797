//! From a model's name to an ordered list of targets: what it costs with few and with many.

use criterion::{Criterion, criterion_group, criterion_main};
use overspill::config::load::load_str;
use overspill::config::snapshot::{Endpoint, Snapshot};
use overspill::decide::{Ask, decide};
use overspill::health::board::Board;
use overspill::measure::{Measures, configured};
use overspill::routing::filter::Needs;
use overspill::routing::preferences::Preferences;
use overspill::routing::table::Asked;
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

/// What a route with every rule costs: caps, bounds on what was measured, and an order.
fn ruled(targets: usize) -> Snapshot {
    use std::fmt::Write;
    let mut text = String::from("auth: off\nproviders:\n");
    for target in 0..targets {
        let _ = writeln!(
            text,
            "  p{target}: {{ base_url: \"http://127.0.0.1:{}/v1\", auth: none, region: cn, models: \
             {{ m/last: {{ name: x, price: {{ input: 0.{target:02}, output: 1.{target:02} }}, \
             scores: {{ gpqa: {} }} }} }} }}",
            10_000 + target,
            50 + target % 40
        );
    }
    text.push_str(
        "routes:\n  - match: { models: [\"m/last\"] }\n    balance: ranked\n    \
         max_price: { input: 0.9, output: 1.9 }\n    regions: [cn]\n    \
         require: [{ metric: gpqa, min: 55 }, { metric: output_price, max: 1.8 }]\n    \
         order: [{ metric: output_price }, { metric: otps, stat: p90 }]\n    targets:\n",
    );
    for target in 0..targets {
        let _ = writeln!(text, "      - {{ provider: p{target} }}");
    }
    load_str(&text, "bench", &|_| None)
        .expect("a good configuration")
        .snapshot
}

fn measure(criterion: &mut Criterion, name: &str, snapshot: &Snapshot) {
    let now = Instant::now();
    let board = Board::new(snapshot, &Board::default(), now);
    let measures = Measures::new(now);
    measures.follow(configured::pairs(snapshot));
    let table = measures.exact(now);
    let headers = http::HeaderMap::new();
    let preferences = Preferences::default();
    let ask = Ask {
        asked: Asked {
            path: "/v1/chat/completions",
            host: "gateway.example",
            headers: &headers,
            key: None,
            route: None,
        },
        endpoint: Some(Endpoint::Chat),
        model: Some("m/last"),
        preferences: &preferences,
        needs: &Needs::default,
        tokens: (100, 100),
        drawn: (0, 0),
        takes_turn: true,
    };
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let decided = decide(snapshot, &board, &table, black_box(&ask), |_| 0, now);
            decided.map(|decision| decision.plan.steps.len()).ok()
        });
    });
}

fn benches(criterion: &mut Criterion) {
    for (routes, targets) in [(1, 2), (50, 5), (50, 200)] {
        let name = format!("plan/{routes} routes, {targets} targets");
        measure(criterion, &name, &snapshot(routes, targets));
    }
    measure(
        criterion,
        "plan/50 targets, caps, regions, require, order",
        &ruled(50),
    );
}

criterion_group!(plans, benches);
criterion_main!(plans);
