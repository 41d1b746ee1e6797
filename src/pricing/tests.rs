use super::*;
use crate::dialect::stream::glance;
use crate::dialect::usage::Told;
use proptest::prelude::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// `in 0.27, out 0.42, cached 0.07`, in dollars unless it says `CNY`.
fn price(text: &str) -> Price {
    let mut price = Price {
        input: Amount::ZERO,
        cached: None,
        cache_write: None,
        output: Amount::ZERO,
        reasoning: None,
        request: None,
        currency: "USD".into(),
        date: None,
        in_dollars: Rate::ONE,
    };
    for part in text.split(", ") {
        let (name, value) = part.split_once(' ').unwrap();
        match name {
            "in" => price.input = amount(value),
            "out" => price.output = amount(value),
            "cached" => price.cached = Some(amount(value)),
            "written" => price.cache_write = Some(amount(value)),
            "reasoning" => price.reasoning = Some(amount(value)),
            "request" => price.request = Some(amount(value)),
            "rate" => price.in_dollars = Rate::parse(value).unwrap(),
            "per" => price.in_dollars = Rate::parse(value).unwrap().inverse(),
            other => panic!("{other}"),
        }
    }
    price
}

fn told(usage: &str) -> Usage {
    let mut told = Told::default();
    told.read(usage.as_bytes());
    told.usage()
}

/// One line a case: what it shows, the usage as told, the price, and the micro-dollars.
const GOLDEN: &str = include_str!("../../tests/golden/costs.txt");

#[test]
fn the_golden_table() {
    let mut cases = 0;
    for line in GOLDEN.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, usage, priced, expected] = fields[..] else {
            panic!("{line}");
        };
        let priced = (priced != "none").then(|| price(priced));
        let expected = match expected {
            "unknown" => None,
            micros => Some(Micros::new(micros.parse().unwrap())),
        };
        assert_eq!(cost(&told(usage), priced.as_ref()), expected, "{name}");
        cases += 1;
    }
    assert!(cases > 20, "{cases}");
}

#[test]
fn a_blend_costs_the_shares_of_its_parts() {
    let both = told(r#"{"prompt_tokens":1000000,"completion_tokens":1000000}"#);
    let [near, far] = ["in 0.27, out 0.42", "in 0.2288, out 0.3432"]
        .map(|text| cost(&both, Some(&price(text))).unwrap().get());
    assert_eq!((80 * near + 20 * far) / 100, 666_400);
}

#[test]
fn a_sum_says_whether_it_is_whole() {
    let some = |micros| Some(Micros::new(micros));
    assert_eq!(Total::of([some(1), some(2)]).whole(), some(3));
    assert_eq!(Total::of([]).whole(), some(0));
    let partial = Total::of([some(5), None, some(2)]);
    assert_eq!((partial.known, partial.whole()), (Micros::new(7), None));
}

#[test]
fn prices_are_weighed_in_one_currency() {
    let yuan = price("in 4, out 16, per 7.3");
    let dollars = price("in 0.5, out 2.18");
    assert!(weight(&dollars, 1000, 10) < weight(&yuan, 1000, 10));
    assert!(weight(&price("in 0.6, out 0"), 1000, 10) > weight(&yuan, 1000, 10));
    // What costs less than any coin is still less than another.
    assert!(weight(&price("in 0.000000001, out 0"), 1, 0) > weight(&price("in 0, out 0"), 1, 0));
    assert!(weight(&price("in 0, out 0, request 0.001"), 1, 0) > weight(&dollars, 1000, 100));
}

fn digits() -> impl Strategy<Value = String> {
    (0u64..2000, 0u64..10_000).prop_map(|(whole, rest)| format!("{whole}.{rest:04}"))
}

proptest! {
    /// The same usage, told at the end of a stream, in every event, or in a whole answer, costs
    /// the same; and that is what the exact fraction says.
    #[test]
    fn a_stream_costs_what_a_whole_answer_does(
        input in 0u64..10_000_000,
        output in 0u64..10_000_000,
        (cached, reasoning) in (0u64..10_000_000, 0u64..10_000_000),
        (input_at, output_at, cached_at) in (digits(), digits(), digits()),
    ) {
        let price = price(&format!("in {input_at}, out {output_at}, cached {cached_at}"));
        let usage = |output: u64| format!(
            r#"{{"prompt_tokens":{input},"completion_tokens":{output},
                "prompt_tokens_details":{{"cached_tokens":{}}},
                "completion_tokens_details":{{"reasoning_tokens":{}}}}}"#,
            cached.min(input),
            reasoning.min(output)
        );
        let whole = cost(&told(&usage(output)), Some(&price)).unwrap();
        let mut streamed = Told::default();
        for output in [output / 3, output / 2, output] {
            let event = format!(r#"{{"choices":[{{"delta":{{}}}}],"usage":{}}}"#, usage(output));
            let glance = glance(crate::config::snapshot::Endpoint::Chat, event.as_bytes()).unwrap();
            streamed.read(&event.as_bytes()[glance.usage.unwrap()]);
        }
        prop_assert_eq!(cost(&streamed.usage(), Some(&price)), Some(whole));
        let cached = cached.min(input);
        let exact = u128::from(input - cached) * u128::from(price.input.billionths())
            + u128::from(cached) * u128::from(price.cached.unwrap().billionths())
            + u128::from(output) * u128::from(price.output.billionths());
        prop_assert_eq!(u128::from(whole.get()), (exact + 500_000_000) / 1_000_000_000);
    }

    #[test]
    fn no_usage_and_no_price_is_too_much(
        counts in proptest::array::uniform6(proptest::option::of(any::<u64>())),
        amounts in proptest::array::uniform6(0u64..=1_000_000),
        rate in 1u64..=1_000_000,
    ) {
        let [input, output, cached, written, reasoning, own] = counts;
        let usage = Usage {
            input, output, cached, written, reasoning, cost: own.map(Micros::new), doubtful: false,
        };
        let [a, b, c, d, e, f] = amounts;
        let price = price(&format!(
            "in {a}, out {b}, cached {c}, written {d}, reasoning {e}, request {f}, rate {rate}"
        ));
        let found = cost(&usage, Some(&price));
        if let Some(own) = own {
            prop_assert_eq!(found, Some(Micros::new(own)));
        } else if input.is_some() && output.is_some() {
            prop_assert!(found.is_some());
        }
    }
}

#[test]
fn a_cap_allows_what_its_parts_allow_and_the_price_where_it_has_none() {
    let cap = |input: Option<&str>, output: Option<&str>, request: Option<&str>| Cap {
        input: input.map(amount),
        output: output.map(amount),
        request: request.map(amount),
    };
    let price = Dollars {
        input: amount("0.2"),
        output: amount("0.4"),
        request: amount("0.001"),
    };
    let usage = r#"{"prompt_tokens":1000,"completion_tokens":500}"#;
    let untold = r#"{"completion_tokens":500}"#;
    for (usage, cap, micros) in [
        (usage, cap(None, None, None), None),
        (untold, cap(Some("1"), None, None), None),
        (usage, cap(Some("1"), None, None), Some(1000 + 200 + 1000)),
        (usage, cap(None, Some("3"), None), Some(200 + 1500 + 1000)),
        (usage, cap(None, None, Some("0")), Some(200 + 200)),
        (
            usage,
            cap(Some("0.3"), Some("0.5"), Some("0.002")),
            Some(300 + 250 + 2000),
        ),
        // Nothing was said.
        (
            r#"{"prompt_tokens":1000}"#,
            cap(Some("0.3"), Some("0.5"), None),
            Some(300 + 1000),
        ),
    ] {
        let expected = micros.map(Micros::new);
        assert_eq!(allowed(&told(usage), cap, price), expected, "{cap:?}");
    }
}
