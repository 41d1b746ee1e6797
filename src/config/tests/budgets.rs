//! `budget` of a key: exact, and wrong ones with what to write instead.

use super::{lines, load};
use crate::config::money::Micros;
use crate::config::period::Period;
use crate::config::snapshot::Budget;

fn file(top: &str, model: &str, budget: &str) -> String {
    format!(
        "{top}\nproviders: {{ a: {{ base_url: 'http://127.0.0.1:1/v1', auth: none, models: \
         {{ m: {model}, free: free }} }} }}\nroutes: [{{ targets: [{{ provider: a }}] }}]\n\
         keys: [{{ name: other, secret: o }}, {{ name: mobile, secret: m, budget: {budget} }}]\n"
    )
}

const PRICED: &str = "{ name: m, price: { input: 1, output: 2 } }";

fn budget(top: &str, budget: &str) -> Budget {
    let loaded = load(&file(top, PRICED, budget));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{:?}", lines(&problems)));
    let key = loaded
        .snapshot
        .keys
        .all()
        .find(|key| &*key.name == "mobile");
    key.unwrap().budget.unwrap()
}

#[test]
fn amounts_are_whole_micro_dollars() {
    for (top, written, micros, per) in [
        ("", "{ usd: 50, per: month }", 50_000_000, Period::Month),
        ("", "{ per: day, usd: 0.000001 }", 1, Period::Day),
        ("", "{ USD: '12.50', per: week }", 12_500_000, Period::Week),
        (
            "",
            "{ usd: 1e9, per: total }",
            1_000_000_000_000_000,
            Period::Total,
        ),
        ("", "{ cny: 100, per: month }", 13_700_000, Period::Month),
        (
            "currencies: { EUR: 0.5 }",
            "{ eur: 3, per: day }",
            6_000_000,
            Period::Day,
        ),
        // Never nothing.
        (
            "currencies: { IDR: 1000000 }",
            "{ idr: 0.000001, per: day }",
            1,
            Period::Day,
        ),
    ] {
        let limit = Micros::new(micros);
        assert_eq!(budget(top, written), Budget { limit, per }, "{written}");
    }
}

#[test]
fn budgets_that_cannot_be() {
    let nothing = "`0` would let nothing through; leave the budget out for no bound, or take the \
                   key out";
    let no_rate = "is no currency that has a rate; write `usd`, or how much of it a dollar is in \
                   `currencies`, such as `currencies: { CNY: 7.3 }`";
    let no_per = ".per: missing: the window it is for; write `per: month`, or `day`, `week` or \
                  `total`";
    let no_amount = ".usd: missing: how much may be spent; write `usd: 50`, or any currency that \
                     `currencies` has a rate for";
    for (written, expected) in [
        ("{ usd: 50 }", vec![no_per.to_owned()]),
        ("{ per: month }", vec![no_amount.to_owned()]),
        ("{}", vec![no_per.to_owned(), no_amount.to_owned()]),
        ("{ usd: 0, per: month }", vec![format!(".usd: {nothing}")]),
        (
            "{ usd: 0.0, per: month }",
            vec![format!(".usd: {}", nothing.replace("`0`", "`0.0`"))],
        ),
        (
            "{ usd: -5, per: month }",
            vec![".usd: `-5` is not an amount between 0.000001 and 1000000000".to_owned()],
        ),
        (
            "{ usd: 1000000001, per: month }",
            vec![".usd: `1000000001` is not an amount between 0.000001 and 1000000000".to_owned()],
        ),
        (
            "{ usd: 0.0000001, per: month }",
            vec![".usd: `0.0000001` has more than six digits after the point".to_owned()],
        ),
        (
            "{ usd: fifty, per: month }",
            vec![".usd: `fifty` is not an amount such as `50` or `12.50`".to_owned()],
        ),
        ("{ eur: 5, per: month }", vec![format!(".eur: {no_rate}")]),
        (
            "{ cnyy: 5, per: month }",
            vec![format!(".cnyy: {no_rate}; did you mean `cny`?")],
        ),
        (
            "{ usd: 5, cny: 5, per: month }",
            vec![".cny: is a second amount; a budget is in one currency".to_owned()],
        ),
        (
            "{ usd: 5, per: year }",
            vec![
                ".per: `year` is not known here; write one of `day`, `week`, `month`, `total`"
                    .to_owned(),
            ],
        ),
        (
            "{ usd: 5, per: mouth }",
            vec![
                ".per: `mouth` is not known here; write one of `day`, `week`, `month`, `total`; \
                 did you mean `month`?"
                    .to_owned(),
            ],
        ),
        (
            "50",
            vec![": expected a mapping, found a single value".to_owned()],
        ),
    ] {
        let mut found = lines(&load(&file("", PRICED, written)).expect_err(written));
        let mut expected: Vec<String> = expected
            .iter()
            .map(|line| format!("o.yaml:4: keys[1].budget{line}"))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{written}");
    }
}

#[test]
fn what_is_wrong_with_a_rate_is_said_once() {
    let text = file("currencies: { EUR: 0 }", PRICED, "{ eur: 5, per: day }");
    assert_eq!(
        lines(&load(&text).unwrap_err()),
        ["o.yaml:1: currencies.EUR: `0` is not a rate between 0.000001 and 1000000"]
    );
}

fn warned(top: &str, model: &str, budget: &str, key: &str) -> Vec<String> {
    let text = file(top, model, &format!("{budget}, {key}"));
    let text = text.replace(", }", " }");
    let loaded = load(&text).unwrap_or_else(|problems| panic!("{:?}", lines(&problems)));
    let place = "o.yaml:4: keys[1].budget: ";
    let warnings = lines(&loaded.warnings);
    let told = warnings
        .iter()
        .map(|line| line.strip_prefix(place).unwrap_or(line));
    told.map(str::to_owned).collect()
}

#[test]
fn what_leaves_a_budget_without_its_numbers_is_suspicious() {
    const MONTH: &str = "{ usd: 5, per: month }";
    let no_price = "no price is known of any model that this key may use: nothing is reserved, \
                    and only what a provider tells of its cost is counted";
    let forgets = "without a `store` a restart forgets what was spent";
    let longer = |kept: &str| {
        format!("is for longer than `store.retention` ({kept}): a restart forgets what is older")
    };
    assert_eq!(warned("", PRICED, MONTH, ""), [""; 0]);
    assert_eq!(warned("", "m", MONTH, ""), [no_price]);
    assert_eq!(warned("", PRICED, MONTH, "models: [free]"), [no_price]);
    assert_eq!(warned("", PRICED, MONTH, "models: [m]"), [""; 0]);
    assert_eq!(warned("store: off", PRICED, MONTH, ""), [forgets]);
    let short = "store: { retention: 30d }";
    assert_eq!(warned(short, PRICED, MONTH, ""), [longer("30d")]);
    assert_eq!(warned(short, PRICED, "{ usd: 5, per: week }", ""), [""; 0]);
    let total = "{ usd: 5, per: total }";
    assert_eq!(warned("", PRICED, total, ""), [longer("90d")]);
}
