//! How the targets of a route are chosen among, and what they are called.

use super::messages::{expect_route, expect_top};
use super::{lines, load};
use crate::config::load::Loaded;
use crate::config::snapshot::{Balance, Route, StickyBy};
use http::HeaderName;

#[track_caller]
fn loaded(text: &str) -> Loaded {
    load(text).unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)))
}

const TARGETS: &str = "targets: [{ provider: deepseek, model: m }]";

/// Three routes: their own fields, after these of `defaults`.
#[track_caller]
fn balanced(defaults: &str, routes: [&str; 3]) -> Vec<(Balance, Vec<StickyBy>)> {
    let [a, b, c] = routes.map(|fields| format!("{fields}, {TARGETS}"));
    let snapshot = loaded(&format!(
        "providers: {{ deepseek: {{ api_key: k }} }}
defaults: {{ {defaults} }}
routes:
  - {{ match: {{ path: /a }}, {a} }}
  - {{ match: {{ path: /b }}, {b} }}
  - {{ match: {{ path: /c }}, {c} }}"
    ))
    .snapshot;
    let chosen = |route: &std::sync::Arc<Route>| (route.balance, route.sticky.clone());
    snapshot.routes.iter().map(chosen).collect()
}

#[test]
fn a_route_says_otherwise() {
    let usual = vec![StickyBy::Session, StickyBy::Message];
    let found = balanced("", ["balance: fastest", "balance: least_busy", "name: c"]);
    assert_eq!(
        found,
        [
            (Balance::Fastest, usual.clone()),
            (Balance::LeastBusy, usual.clone()),
            (Balance::Weighted, usual.clone()),
        ]
    );
    let found = balanced(
        "balance: sticky, sticky: [key]",
        [
            "sticky: [session, { header: X-User }, key, message]",
            "balance: cheapest",
            "name: c",
        ],
    );
    let all = vec![
        StickyBy::Session,
        StickyBy::Header(HeaderName::from_static("x-user")),
        StickyBy::Key,
        StickyBy::Message,
    ];
    assert_eq!(
        found,
        [
            (Balance::Sticky, all),
            (Balance::Cheapest, vec![StickyBy::Key]),
            (Balance::Sticky, vec![StickyBy::Key]),
        ]
    );
    // In `defaults` it is enough that one route asks for it.
    let found = balanced("sticky: [key]", ["balance: sticky", "name: b", "name: c"]);
    assert_eq!(found[0], (Balance::Sticky, vec![StickyBy::Key]));
}

#[test]
fn a_body_that_is_never_read_has_no_price() {
    let text = "providers: { deepseek: { api_key: k } }
defaults: { balance: cheapest }
routes: [{ match: { path: /a/* }, mode: stream, targets: [{ provider: deepseek }] }]";
    assert_eq!(loaded(text).snapshot.routes[0].balance, Balance::Weighted);
    const UNREAD: &str =
        "has no effect with `mode: stream`, which passes bodies as they are; remove it";
    let stream = "match: { path: /a/* }, mode: stream, targets: [{ provider: deepseek }]";
    expect_route(
        &format!("{stream}, balance: cheapest"),
        &[&format!(".balance: {UNREAD}")],
    );
    expect_route(
        &format!("{stream}, balance: sticky, sticky: [key, message]"),
        &[&format!(".sticky[1]: {UNREAD}")],
    );
}

#[test]
fn rules_for_all_routes_shut_no_unread_one_in_silence() {
    const LIFTED: [(&str, &str, &str); 3] = [
        ("max_price", "{ input: 1 }", "{}"),
        ("quantizations", "[fp8]", "[]"),
        ("require", "[{ metric: success, min: 0.9 }]", "[]"),
    ];
    for (field, rule, lifted) in LIFTED {
        let text = |own: &str| {
            format!(
                "providers: {{ deepseek: {{ api_key: k }} }}
defaults: {{ {field}: {rule} }}
routes: [{{ match: {{ path: /a/* }}, mode: stream, {own} targets: [{{ provider: deepseek }}] }}]"
            )
        };
        let problems = lines(&load(&text("")).expect_err("nobody could serve"));
        assert!(
            problems.len() == 1 && problems[0].contains(&format!("write `{field}: {lifted}` here")),
            "{problems:#?}"
        );
        let snapshot = loaded(&text(&format!("{field}: {lifted},"))).snapshot;
        let route = &snapshot.routes[0];
        assert!(route.rules.max_price.is_empty() && route.require.is_empty());
        assert!(route.rules.quantizations.is_empty());
        let own = lines(&load(&text(&format!("{field}: {rule},"))).expect_err("no effect"));
        assert!(
            own.len() == 1 && own[0].contains("has no effect"),
            "{own:#?}"
        );
    }
}

#[test]
fn wrong_words() {
    expect_route(
        &format!("{TARGETS}, balance: fastes"),
        &[
            ".balance: `fastes` is not known here; write one of `weighted`, `fastest`, \
             `least_busy`, `cheapest`, `sticky`, `ranked`; did you mean `fastest`?",
        ],
    );
    expect_route(
        &format!("{TARGETS}, balance: stiky, sticky: [key]"),
        &[
            ".balance: `stiky` is not known here; write one of `weighted`, `fastest`, \
             `least_busy`, `cheapest`, `sticky`, `ranked`; did you mean `sticky`?",
        ],
    );
    expect_route(
        &format!("{TARGETS}, balance: sticky, sticky: []"),
        &[".sticky: is empty; leave it out for [session, message]"],
    );
    expect_route(
        &format!(
            "{TARGETS}, balance: sticky, \
             sticky: [key, key, {{}}, {{ header: a b }}, {{ header: A }}, {{ header: a }}, header]"
        ),
        &[
            ".sticky[1]: is named twice",
            ".sticky[2].header: missing: the name of a header",
            ".sticky[3].header: `a b` is not a header name",
            ".sticky[5]: is named twice",
            ".sticky[6]: `header` is not known here; \
             write one of `session`, `{header: name}`, `key`, `message`",
        ],
    );
}

#[test]
fn sticky_without_its_balance() {
    expect_route(
        &format!("{TARGETS}, sticky: [key]"),
        &[".sticky: has no effect with `balance: weighted`; \
           write `balance: sticky`, or remove it"],
    );
    expect_route(
        &format!("{TARGETS}, balance: least_busy, sticky: [key]"),
        &[".sticky: has no effect with `balance: least_busy`; \
           write `balance: sticky`, or remove it"],
    );
    expect_top(
        "defaults: { sticky: [key] }",
        &[
            "o.yaml:1: defaults.sticky: has no effect: no route has `balance: sticky`; \
           write that, or remove it",
        ],
    );
    expect_top(
        "defaults: { balance: stick, sticky: [key] }",
        &[
            "o.yaml:1: defaults.balance: `stick` is not known here; write one of `weighted`, \
             `fastest`, `least_busy`, `cheapest`, `sticky`, `ranked`; did you mean `sticky`?",
        ],
    );
}

#[test]
fn every_target_has_a_name_of_its_own() {
    let snapshot = loaded(
        "providers:
  a: { base_url: http://a, auth: none, models: { m: m } }
  b/c: { base_url: http://b, auth: none, models: { m: m } }
  c: { base_url: http://c, auth: none, models: { m: m } }
routes:
  - { name: a, match: { path: /a }, targets: [{ provider: a }, { provider: a, tier: 2 }, { provider: a, model: x/y }, { provider: b/c }, { provider: a }] }
  - { name: a/b, match: { path: /b }, targets: [{ provider: c }] }
  - { match: { path: /c }, targets: [{ provider: c }] }",
    )
    .snapshot;
    let ids: Vec<&str> = snapshot
        .routes
        .iter()
        .flat_map(|route| route.targets.iter().map(|target| &*target.id))
        .collect();
    assert_eq!(
        ids,
        [
            "a/a",
            "a/a#2",
            "a/a/x/y",
            "a/b/c",
            "a/a#3",
            "a/b/c#2",
            "route-3/c"
        ]
    );
}

#[test]
fn suspicious_but_legal() {
    let text = "\
providers:
  a: { base_url: https://a.example, api_key: k, models: { m: m, n: { name: n, price: { input: 1, output: 1 } } } }
  b: { base_url: https://b.example, api_key: k, models: { n: { name: n, price: { input: 1, output: 1 } } } }
routes:
  - match: { models: [n, m] }
    balance: cheapest
    targets: [{ provider: a }, { provider: b }, { provider: b, model: o }, { provider: b, model: n }]
  - match: { path: /alone }
    balance: cheapest
    targets: [{ provider: a }, { provider: b, tier: 2, model: o }]
  - match: { path: /fast }
    balance: fastest
    targets: [{ provider: a, weight: 0 }, { provider: a, weight: 2 }, { provider: b, weight: 3 }]
  - match: { path: /busy }
    balance: least_busy
    targets: [{ provider: a }, { provider: b, weight: 1 }]
  - match: { path: /limited }
    targets: [{ provider: a, limits: { rpm: 1 } }, { provider: b, limits: { tpm: 1 } }]
  - match: { path: /spills }
    targets: [{ provider: a, limits: { rpm: 1 } }, { provider: b, limits: { rpm: 1 }, tier: 2 }]
  - match: { path: /shares }
    targets: [{ provider: a, limits: { rpm: 1 } }, { provider: b }]
  - match: { path: /falls }
    fallback_models: [m]
    targets: [{ provider: a, limits: { rpm: 1 } }]
";
    let unknown = |model: &str, provider: &str| {
        format!(
            "its price of `{model}` is unknown, so `balance: cheapest` asks it last; \
             declare one in `providers.{provider}.models`"
        )
    };
    assert_eq!(
        lines(&loaded(text).warnings),
        [
            format!("o.yaml:7: routes[0].targets[0]: {}", unknown("m", "a")),
            format!("o.yaml:7: routes[0].targets[2]: {}", unknown("o", "b")),
            "o.yaml:13: routes[2].targets[1].weight: \
             weights have no effect with `balance: fastest`"
                .to_owned(),
            "o.yaml:16: routes[3].targets[1].weight: \
             weights have no effect with `balance: least_busy`"
                .to_owned(),
            "o.yaml:18: routes[4].targets[0].limits: what goes over has nowhere to spill and is \
             refused; give the route a target in a later tier, or `fallback_models`"
                .to_owned(),
        ]
    );
}
