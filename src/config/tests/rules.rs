//! Who may serve and who should: each mistake is one line, with its place and what to write
//! instead.

use super::{lines, load};
use crate::config::load::Loaded;
use crate::config::metric::{Metric, Stat};
use crate::config::money::Amount;
use crate::config::snapshot::{Bound, Capability, Quantization, Route};
use std::sync::Arc;

fn file(provider: &str, route: &str, key: &str) -> String {
    format!(
        "providers: {{ deepseek: {{ api_key: k }}, own: {{ base_url: \"http://h/v1\", auth: none, {provider} }} }}\n\
         routes: [{{ targets: [{{ provider: own }}, {{ provider: deepseek }}], {route} }}]\n\
         keys: [{{ name: mobile, secret: x, {key} }}]\n"
    )
}

const MODELS: &str = "models: { m: m }";

/// One line, that begins with this place and has all of these in it.
#[track_caller]
fn one_line(text: &str, place: &str, parts: &[&str]) {
    let found = lines(&load(text).expect_err("nothing was found wrong"));
    let [line] = found.as_slice() else {
        panic!("{found:#?}\nin:\n{text}");
    };
    assert!(line.starts_with(&format!("o.yaml:{place}: ")), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part} in {line}");
    }
}

fn loaded(provider: &str, route: &str) -> Loaded {
    let text = file(provider, route, "");
    load(&text).unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)))
}

/// Of routes and keys alike.
const HARD: [(&str, &str, &[&str]); 17] = [
    (
        "max_price: { input: -1 }",
        "max_price.input",
        &["`-1` is not a price between 0 and 1000000"],
    ),
    (
        "max_price: { output: cheap }",
        "max_price.output",
        &["`cheap` is not a number such as `0.27`"],
    ),
    (
        "max_price: { input: 1, prompt: 1 }",
        "max_price.prompt",
        &["same as `input`", "remove one"],
    ),
    (
        "max_price: { output: 1, completion: 1 }",
        "max_price.completion",
        &["same as `output`"],
    ),
    (
        "max_price: { ouput: 1 }",
        "max_price.ouput",
        &["did you mean `output`?"],
    ),
    (
        "max_price: { input: 1, currency: EUR }",
        "max_price.currency",
        &["`EUR` has no rate", "`currencies`"],
    ),
    (
        "max_price: 1",
        "max_price",
        &["expected", "found a single value"],
    ),
    (
        "regions: [CN]",
        "regions[0]",
        &["`CN` is not a region", "such as `cn`", "in lower case"],
    ),
    ("regions: [cn, \"\"]", "regions[1]", &["is not a region"]),
    ("regions: cn", "regions", &["expected a list"]),
    (
        "data: { collection: never }",
        "data.collection",
        &["`never` is not known here", "`allow`, `deny`"],
    ),
    (
        "data: { zdr: always }",
        "data.zdr",
        &["`always` is not true or false"],
    ),
    (
        "data: { retention: no }",
        "data.retention",
        &["unknown field", "collection, zdr"],
    ),
    (
        "quantizations: [fp8, int5]",
        "quantizations[1]",
        &["`int5` is not known here", "`fp8`", "did you mean"],
    ),
    (
        "prefer: [deepsek]",
        "prefer[0]",
        &["unknown provider `deepsek`", "did you mean `deepseek`?"],
    ),
    (
        "prefer: [openrouter]",
        "prefer[0]",
        &["unknown provider `openrouter`"],
    ),
    (
        "prefer: [own, deepseek, own]",
        "prefer[2]",
        &["is named twice"],
    ),
];

#[test]
fn hard_rules_of_a_route_and_of_a_key() {
    for (field, place, parts) in HARD {
        one_line(
            &file(MODELS, field, ""),
            &format!("2: routes[0].{place}"),
            parts,
        );
        one_line(
            &file(MODELS, "", field),
            &format!("3: keys[0].{place}"),
            parts,
        );
    }
    one_line(
        &file(MODELS, "regions: []", ""),
        "2: routes[0].regions",
        &["is empty, so nobody could serve", "leave it out"],
    );
    for field in ["only", "ignore"] {
        let place = format!("keys[0].{field}[0]");
        let parts = ["unknown provider `deepseke`", "did you mean `deepseek`?"];
        one_line(
            &file(MODELS, "", &format!("{field}: [deepseke]")),
            &format!("3: {place}"),
            &parts,
        );
        // A route's targets say this already.
        let on_route = format!("{field}: [deepseek]");
        one_line(
            &file(MODELS, &on_route, ""),
            &format!("2: routes[0].{field}"),
            &["unknown field"],
        );
    }
}

#[test]
fn require_and_order() {
    for (field, place, parts) in [
        (
            "require: [{ metric: sucess, min: 1 }]",
            "require[0].metric",
            &["did you mean `success`?"][..],
        ),
        (
            "require: [{ metric: otps, min: 1 }]",
            "require[0].stat",
            &["missing", "say avg, median, p90 or p99"],
        ),
        (
            "require: [{ metric: otps, stat: p50, min: 1 }]",
            "require[0].stat",
            &["unknown stat \"p50\"", "median"],
        ),
        (
            "require: [{ metric: mmlu, stat: avg, min: 1 }]",
            "require[0].stat",
            &["has no meaning for `mmlu`", "remove it"],
        ),
        (
            "require: [{ metric: mmlu }]",
            "require[0].min",
            &["missing: `min` or `max`"],
        ),
        (
            "require: [{ metric: mmlu, minimum: 1 }]",
            "require[0].minimum",
            &["known here: metric, stat, min, max"],
        ),
        (
            "require: [{ metric: mmlu, min: 2, max: 1 }]",
            "require[0].min",
            &["is above `max`"],
        ),
        (
            "require: [{ metric: mmlu, min: much }]",
            "require[0].min",
            &["`much` is not a number"],
        ),
        (
            "require: [{ metric: mmlu, max: .inf }]",
            "require[0].max",
            &["is not a number"],
        ),
        (
            "require: [{ min: 1 }]",
            "require[0].metric",
            &["missing: the name of a metric"],
        ),
        (
            "balance: ranked, order: []",
            "order",
            &["is empty; name at least one metric"],
        ),
        (
            "balance: ranked, order: [{ metric: cost }]",
            "order[0].metric",
            &["unknown metric \"cost\"", "output_price"],
        ),
        (
            "balance: ranked, order: [{ metric: ttft }]",
            "order[0].stat",
            &["`ttft` is measured many times"],
        ),
        (
            "balance: ranked, order: [{ metric: gpqa, desc: true }]",
            "order[0].desc",
            &["known here: metric, stat"],
        ),
        (
            "balance: ranked",
            "order",
            &[
                "`balance: ranked` ranks by nothing",
                "[{ metric: output_price }]",
            ],
        ),
        (
            "order: [{ metric: gpqa }]",
            "order",
            &[
                "no effect with `balance: weighted`",
                "write `balance: ranked`",
            ],
        ),
    ] {
        one_line(
            &file(MODELS, field, ""),
            &format!("2: routes[0].{place}"),
            parts,
        );
    }
}

#[test]
fn what_a_provider_is_said_to_be() {
    let model = |facts: &str| format!("models: {{ m: {{ name: m, {facts} }} }}");
    for (facts, place, parts) in [
        (
            "capabilities: [tool]",
            "capabilities[0]",
            &["`tool` is not known here", "did you mean `tools`?"][..],
        ),
        ("capabilities: tools", "capabilities", &["expected a list"]),
        (
            "quantization: fp9",
            "quantization",
            &["`fp9` is not known here", "`bf16`"],
        ),
        (
            "scores: { gpqa: 101 }",
            "scores.gpqa",
            &["`101` is not between 0 and 100"],
        ),
        (
            "scores: { gpqa: -1 }",
            "scores.gpqa",
            &["`-1` is not between 0 and 100"],
        ),
        (
            "scores: { gpqa: .nan }",
            "scores.gpqa",
            &["is not a number"],
        ),
        (
            "scores: { gpqa: good }",
            "scores.gpqa",
            &["`good` is not a number"],
        ),
        (
            "scores: { gqpa: 1 }",
            "scores.gqpa",
            &["not known here", "`aime2024`", "did you mean `gpqa`?"],
        ),
        (
            "scores: { ttft: 1 }",
            "scores.ttft",
            &["not known here", "`ceval`"],
        ),
    ] {
        let place = format!("1: providers.own.models.m.{place}");
        one_line(&file(&model(facts), "", ""), &place, parts);
    }
    for (field, place, parts) in [
        (
            "region: Europe",
            "region",
            &["`Europe` is not a region"][..],
        ),
        (
            "data: { collection: perhaps }",
            "data.collection",
            &["`allow`, `deny`"],
        ),
    ] {
        let place = format!("1: providers.own.{place}");
        one_line(&file(&format!("{MODELS}, {field}"), "", ""), &place, parts);
    }
    for (tags, place, part) in [
        ("[\"a b\"]", "tags[0]", "is not a name"),
        ("[\"a,b\"]", "tags[0]", "is not a name"),
        ("cn", "tags", "expected a list"),
    ] {
        let route = format!("match: {{ tags: {tags} }}");
        let place = format!("2: routes[0].match.{place}");
        one_line(&file(MODELS, &route, ""), &place, &[part]);
    }
}

#[test]
fn what_is_right_is_what_it_says() {
    let provider = "region: eu-west, data: { collection: deny, zdr: true }, \
                    models: { m: { name: m, quantization: fp8, capabilities: [tools], \
                    scores: { gpqa: 0, ceval: 100 } } }";
    let route = "balance: ranked, require: [{ metric: otps, stat: average, min: 0, max: 0 }], \
                 order: [{ metric: ceval }], max_price: { prompt: 7.3, completion: 0, currency: CNY }";
    let snapshot = loaded(provider, route).snapshot;
    let route: &Arc<Route> = &snapshot.routes[0];
    let bound = Bound {
        metric: Metric::Otps,
        stat: Stat::Avg,
        min: Some(0.0),
        max: Some(0.0),
    };
    assert_eq!(route.require, [bound]);
    let cap = route.rules.max_price;
    assert_eq!(
        (cap.input, cap.output),
        (Amount::parse("1.0001").ok(), Some(Amount::ZERO))
    );
    let facts = &route.models["m"].tiers[0].candidates[0].facts;
    assert_eq!((facts.collects, facts.zdr), (Some(false), Some(true)));
    assert_eq!(facts.quantization, Some(Quantization::Fp8));
    assert_eq!(facts.scores.get(Metric::Gpqa), Some(0.0));
    assert_eq!(facts.scores.get(Metric::Mmlu), None);
    let capabilities = facts.capabilities.unwrap();
    assert!(capabilities.has(Capability::Tools) && !capabilities.has(Capability::Vision));
}
