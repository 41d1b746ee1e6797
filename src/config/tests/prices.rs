//! Prices and currencies: exact, and wrong ones with what to write instead.

use super::load;
use super::messages::{expect_provider, expect_top};
use crate::config::snapshot::{Price, Snapshot};

fn priced(top: &str, price: &str) -> Price {
    let text = format!(
        "{top}\nproviders: {{ a: {{ base_url: 'http://127.0.0.1:1/v1', auth: none, \
         models: {{ m: {{ name: m, price: {price} }} }} }} }}\n\
         routes: [{{ targets: [{{ provider: a }}] }}]"
    );
    let snapshot: Snapshot = load(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .snapshot;
    snapshot.providers[0].models["m"].price.clone().unwrap()
}

#[test]
fn a_price_in_full() {
    let price = priced(
        "",
        "{ input: 0.2288, cached: 0.0028, cache_write: '0.3', output: 1e-3, reasoning: 16, \
         request: .005, currency: CNY, date: 2026-07-02 }",
    );
    let shown = [
        Some(price.input),
        price.cached,
        price.cache_write,
        Some(price.output),
        price.reasoning,
        price.request,
    ]
    .map(|amount| amount.unwrap().to_string());
    assert_eq!(shown, ["0.2288", "0.0028", "0.3", "0.001", "16", "0.005"]);
    assert_eq!(
        (&*price.currency, price.date.as_deref()),
        ("CNY", Some("2026-07-02"))
    );
}

/// What a price of 4 is in dollars.
fn four(top: &str, currency: &str) -> String {
    let price = priced(
        top,
        &format!("{{ input: 4, output: 4, currency: {currency} }}"),
    );
    price.in_dollars.price(price.input).to_string()
}

#[test]
fn rates_are_as_configured() {
    assert_eq!(four("", "USD"), "4");
    assert_eq!(four("", "CNY"), "0.548");
    assert_eq!(four("currencies: { CNY: 8 }", "CNY"), "0.5");
    assert_eq!(
        four("currencies: { CNY: { from_usd: 8, to_usd: 0.2 } }", "CNY"),
        "0.8"
    );
    assert_eq!(four("currencies: { EUR: { to_usd: 1.1 } }", "EUR"), "4.4");
    assert_eq!(four("currencies: { EUR: 0.5 }", "EUR"), "8");
}

#[test]
fn currencies_that_cannot_be() {
    for (field, expected) in [
        (
            "USD: 2",
            "USD: is what all others are measured in; remove it",
        ),
        (
            "yuan: 7",
            "yuan: a currency is three capital letters, such as `CNY`",
        ),
        (
            "CNY: 0",
            "CNY: `0` is not a rate between 0.000001 and 1000000",
        ),
        ("CNY: -7.3", "CNY: `-7.3` is not a rate such as `7.3`"),
        ("CNY: .nan", "CNY: `.nan` is not a rate such as `7.3`"),
        (
            "CNY: {}",
            "CNY.from_usd: missing: how much of it a dollar is",
        ),
        (
            "CNY: { from_usd: x }",
            "CNY.from_usd: `x` is not a rate such as `7.3`",
        ),
        (
            "CNY: [7.3]",
            "CNY: expected how much of it a dollar is, or {from_usd, to_usd}, found a list",
        ),
    ] {
        let expected = format!("o.yaml:1: currencies.{expected}");
        expect_top(&format!("currencies: {{ {field} }}"), &[&expected]);
    }
}

#[test]
fn what_is_wrong_with_a_rate_is_said_once() {
    let text = "currencies: { EUR: 0 }\n\
                providers: { a: { base_url: 'http://127.0.0.1:1/v1', auth: none, models: \
                { m: { name: m, price: { input: 1, output: 1, currency: EUR } } } } }\n\
                routes: [{ targets: [{ provider: a }] }]";
    let problems = super::lines(&load(text).unwrap_err());
    assert_eq!(
        problems,
        ["o.yaml:1: currencies.EUR: `0` is not a rate between 0.000001 and 1000000"]
    );
}

#[test]
fn prices_that_cannot_be() {
    for (price, expected) in [
        (
            "cached: -0.1",
            "cached: `-0.1` is not a price between 0 and 1000000",
        ),
        (
            "request: 1000001",
            "request: `1000001` is not a price between 0 and 1000000",
        ),
        (
            "reasoning: free",
            "reasoning: `free` is not a number such as `0.27`",
        ),
        (
            "cache_write: 0.0000000001",
            "cache_write: `0.0000000001` has more than nine digits after the point",
        ),
        (
            "currency: usd",
            "currency: `usd` has no rate; write how much of it a dollar is in \
          `currencies`, such as `currencies: { CNY: 7.3 }`; did you mean `USD`?",
        ),
        (
            "cache: 1",
            "cache: unknown field `cache`; did you mean `cached`?",
        ),
    ] {
        expect_provider(
            &format!(
                "vllm: {{ models: {{ a: {{ name: a, price: {{ input: 1, output: 1, {price} }} }} }} }}"
            ),
            &[&format!("vllm.models.a.price.{expected}")],
        );
    }
}
