//! Requirement files: a bad one in, exactly these lines out.

use super::lines;
use crate::config::metric::{Metric, Stat};
use crate::config::requirement::{Requirement, read};
use crate::config::snapshot::{Bound, By};

#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = lines(&read(text, "r.json").expect_err("nothing was found wrong"));
    assert_eq!(found, expected, "in:\n{text}");
}

const ORDER: &str = "order: [{ metric: output_price }]";

#[test]
fn deepseekrouters_json_and_our_words_are_one() {
    let bound = |metric, stat, min, max| Bound {
        metric,
        stat,
        min,
        max,
    };
    let expected = Requirement {
        require: vec![
            bound(Metric::Success, Stat::Avg, Some(0.95), None),
            bound(Metric::Otps, Stat::P90, Some(30.0), Some(1e3)),
            bound(Metric::Ttft, Stat::Avg, None, Some(2.5)),
        ],
        order: vec![
            By {
                metric: Metric::OutputPrice,
                stat: Stat::Avg,
            },
            By {
                metric: Metric::Decode,
                stat: Stat::Median,
            },
        ],
    };
    let json = r#"{
        "filters": [
            {"metric": "success", "min": 0.95},
            {"metric": "otps", "stat": "p90", "min": 30, "max": 1e3},
            {"metric": "ttft", "stat": "average", "max": 2.5}
        ],
        "order": [{"metric": "output_price"}, {"metric": "decode", "stat": "median"}]
    }"#;
    let yaml = "\
require:
  - { metric: success, min: 0.95 }
  - { metric: otps, stat: p90, min: 30, max: 1000 }
  - { metric: ttft, stat: avg, max: 2.5 }
order: [{ metric: output_price }, { metric: decode, stat: median }]
";
    for text in [json, yaml] {
        assert_eq!(read(text, "r").as_ref(), Ok(&expected), "{text}");
    }
    let none = read(&format!("filters: []\n{ORDER}"), "r").unwrap();
    assert!(none.require.is_empty());
    let measured: Vec<Metric> = expected.measured().collect();
    assert_eq!(
        measured,
        [Metric::Ttft, Metric::Decode, Metric::Otps, Metric::Success]
    );
    assert_eq!(none.measured().count(), 0);
}

#[test]
fn both_halves_must_be_there() {
    const FILTERS: &str = "r.json:1: filters: missing: what must hold, such as \
                           `[{metric: success, min: 0.95}]`; `[]` where nothing must";
    const LACKS: &str = "r.json:1: order: missing: what makes one better than another, such as \
                         `[{metric: output_price}]`";
    expect("{}", &[FILTERS, LACKS]);
    expect(ORDER, &[FILTERS]);
    expect("filters: []", &[LACKS]);
    expect("require: []", &[LACKS]);
    expect(
        "{ filters: [], order: [] }",
        &[
            "r.json:1: order: is empty; name what makes one better than another, such as \
           `[{metric: output_price}]`",
        ],
    );
    expect(
        &format!("filters: []\nrequire: []\n{ORDER}"),
        &["r.json:2: require: says the same as `filters`; remove one of the two"],
    );
    // What was meant is not called missing too.
    expect(
        &format!("filter: []\n{ORDER}"),
        &["r.json:1: filter: unknown field `filter`; did you mean `filters`?"],
    );
    expect(
        &format!("filters:\n{ORDER}"),
        &["r.json:1: filters: is empty; give it a value or leave it out"],
    );
    expect("", &["r.json:1: the file is empty"]);
    expect("[]", &["r.json:1: expected a mapping, found a list"]);
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let text = "\
filters:
  - { metric: tftt, stat: p90, max: 1 }
  - { metric: otps, min: 30 }
  - { metric: otps, stat: p95, min: 30 }
  - { metric: gpqa, stat: avg, min: 60 }
  - { metric: success }
  - { metric: success, min: 0.9, max: 0.5 }
  - { metric: mmlu, min: \"60\" }
  - { metric: ceval, min: sixty }
  - { stat: p90, min: 1 }
  - { metric: success, minimum: 1 }
order:
  - { metric: price }
  - { metric: ttft }
  - { metric: ttft, stat: AVG }
  - { metric: output_price, direction: desc }
";
    expect(
        text,
        &[
            "r.json:2: filters[0].metric: unknown metric \"tftt\": did you mean `ttft`? \
             Write one of ttft, prefill, decode, otps, otpr, success, gpqa, aime2024, \
             livecodebench, mmlu, ceval, output_price, input_price",
            "r.json:3: filters[1].stat: missing: `otps` is measured many times; say avg, median, \
             p90 or p99",
            "r.json:4: filters[2].stat: unknown stat \"p95\": did you mean `p90`? \
             Write one of avg, median, p90, p99",
            "r.json:5: filters[3].stat: has no meaning for `gpqa`, which is one number; remove it",
            "r.json:6: filters[4].min: missing: `min` or `max`, or both",
            "r.json:7: filters[5].min: is above `max`, so nobody could serve",
            "r.json:8: filters[6].min: `60` is not a number: leave out the quotes",
            "r.json:9: filters[7].min: `sixty` is not a number",
            "r.json:10: filters[8].metric: missing: the name of a metric",
            "r.json:11: filters[9].minimum: unknown field `minimum`; \
             known here: metric, stat, min, max",
            "r.json:13: order[0].metric: unknown metric \"price\": \
             Write one of ttft, prefill, decode, otps, otpr, success, gpqa, aime2024, \
             livecodebench, mmlu, ceval, output_price, input_price",
            "r.json:14: order[1].stat: missing: `ttft` is measured many times; say avg, median, \
             p90 or p99",
            "r.json:15: order[2].stat: unknown stat \"AVG\": did you mean `avg`? \
             Write one of avg, median, p90, p99",
            "r.json:16: order[3].direction: unknown field `direction`; known here: metric, stat",
        ],
    );
}

#[test]
fn a_bound_that_is_no_number_is_none() {
    for bound in [".nan", ".inf", "-.inf", "1e999"] {
        let text = format!("filters: [{{ metric: success, min: {bound} }}]\n{ORDER}");
        let found = lines(&read(&text, "r.json").expect_err(bound));
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!("r.json:1: filters[0].min: `{bound}` is not a number");
        assert_eq!(found, [expected]);
    }
}
