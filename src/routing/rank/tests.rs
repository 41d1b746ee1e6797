//! Bounds and orders at their edges.

use super::*;
use crate::config::load::load_str;
use crate::config::snapshot::{Bound, Snapshot};
use crate::routing::figures::{Seen, Spread, Spreads};
use crate::routing::filter::{self, Needs, Wants};
use crate::routing::plan::{Asking, Leg, Order, plan};

/// Providers `a`, `b`, … with these facts of the model `m`, in a route with these rules.
fn snapshot(facts: &[&str], rules: &str) -> Snapshot {
    let names = ["a", "b", "c", "d", "e"];
    let providers: String = names
        .iter()
        .zip(facts)
        .map(|(name, facts)| {
            format!(
                "  {name}: {{ base_url: \"http://h/v1\", auth: none, models: {{ m: {{ name: m, {facts} }} }} }}\n"
            )
        })
        .collect();
    let targets: Vec<String> = names
        .iter()
        .zip(facts)
        .map(|(name, _)| format!("{{ provider: {name} }}"))
        .collect();
    let targets = targets.join(", ");
    let text = format!("providers:\n{providers}routes: [{{ targets: [{targets}], {rules} }}]\n");
    load_str(&text, "o.yaml", &|_| None).unwrap().snapshot
}

fn seen(success: f64, otps: f64) -> Figures {
    let mut figures = Figures::default();
    let spreads = Spreads::told(|metric| match metric {
        Metric::Otps => Spread::told(1, [otps; 4]),
        _ => Spread::default(),
    });
    let seen = Seen {
        success: Some(success),
        spreads,
        ..Seen::default()
    };
    figures.set(Window::default(), seen);
    figures
}

/// The order of the plan, the targets left out behind a bar.
fn planned(snapshot: &Snapshot, figures: &[(&str, Figures)]) -> String {
    let route = &snapshot.routes[0];
    let legs = [Leg {
        route,
        served: &route.models["m"],
        asked: Some("m"),
    }];
    let asking = Asking {
        endpoint: None,
        wants: Wants {
            key: None,
            preferences: &Preferences::default(),
            needs: Needs::default(),
        },
        prefer: &[],
    };
    let of = |provider: &str, _: &str| {
        let found = figures.iter().find(|(name, _)| *name == provider);
        found.map(|(_, figures)| figures)
    };
    let plan = plan(&legs, &asking, of, |_, _, _, _| Order::From(0));
    let steps = plan.steps.iter().map(|step| step.provider());
    let left_out = plan.excluded.iter();
    let left_out = left_out.map(|one| &*one.candidate.target.provider.name);
    let all: Vec<&str> = steps.chain(["|"]).chain(left_out).collect();
    all.join("")
}

#[test]
fn a_bound_itself_is_within_and_the_unknown_is_not() {
    let snapshot = snapshot(
        &["price: { input: 0.1, output: 0.42 }, scores: { gpqa: 60 }"],
        "",
    );
    let candidate = &snapshot.routes[0].models["m"].tiers[0].candidates[0];
    let figures = seen(0.95, 30.0);
    let holds = |metric, min, max| {
        let bound = Bound {
            metric,
            stat: Stat::P90,
            min,
            max,
        };
        filter::by_measure(candidate, &[bound], || Some(&figures)).is_none()
    };
    for (metric, value) in [
        (Metric::Success, 0.95),
        (Metric::Otps, 30.0),
        (Metric::Gpqa, 60.0),
        (Metric::InputPrice, 0.1),
        (Metric::OutputPrice, 0.42),
    ] {
        assert!(holds(metric, Some(value), None), "{metric:?}");
        assert!(holds(metric, None, Some(value)), "{metric:?}");
        assert!(holds(metric, Some(value), Some(value)), "{metric:?}");
        assert!(!holds(metric, Some(value + 1e-6), None), "{metric:?}");
        assert!(!holds(metric, None, Some(value - 1e-6)), "{metric:?}");
    }
    for unknown in [Metric::Ttft, Metric::Decode, Metric::Mmlu] {
        assert!(!holds(unknown, Some(0.0), None), "{unknown:?}");
        assert!(!holds(unknown, None, Some(1e9)), "{unknown:?}");
    }
}

#[test]
fn ties_keep_the_order_of_the_file_and_the_unknown_comes_last() {
    let priced = |output: &str| format!("price: {{ input: 0, output: {output} }}");
    let (two, one) = (priced("2"), priced("1"));
    let facts = [&*two, "scores: { gpqa: 1 }", &*one, &*two, &*one];
    let ranked = |order: &str| format!("balance: ranked, order: [{order}]");
    let by_price = snapshot(&facts, &ranked("{ metric: output_price }"));
    for _ in 0..3 {
        assert_eq!(planned(&by_price, &[]), "ceadb|");
    }
    // A second key tells apart those that the first does not, the larger first.
    let order = ranked("{ metric: output_price }, { metric: otps, stat: p99 }");
    let by_both = snapshot(&facts, &order);
    let figures = [
        ("e", seen(1.0, 5.0)),
        ("c", seen(1.0, 4.0)),
        ("d", seen(1.0, 0.0)),
        ("b", seen(1.0, 99.0)),
    ];
    assert_eq!(planned(&by_both, &figures), "ecdab|");
    // Zero is known, and nothing is not zero.
    let by_speed = snapshot(&facts, &ranked("{ metric: otps, stat: avg }"));
    assert_eq!(planned(&by_speed, &figures), "becda|");
}

#[test]
fn who_falls_short_is_left_out_and_free_is_not_unknown() {
    let facts = [
        "price: { input: 0, output: 0 }, scores: { gpqa: 70 }",
        "scores: { gpqa: 70 }",
        "price: { input: 0, output: 1 }, scores: { gpqa: 59.9 }",
    ];
    let rules = "balance: ranked, order: [{ metric: output_price }], \
                 require: [{ metric: gpqa, min: 60 }, { metric: output_price, max: 1 }]";
    assert_eq!(planned(&snapshot(&facts, rules), &[]), "a|bc");
}
