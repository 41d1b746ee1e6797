//! What is taken, and what is refused with which words.

use super::*;
use crate::error::Reason;

#[test]
fn every_field_is_read() {
    let all = prefers(
        r#" { "order" : ["DeepInfra/Turbo","b"], "only":["b"],"ignore":["c"],
        "allow_fallbacks":false,"require_parameters":true,"data_collection":"deny","zdr":true,
        "quantizations":["fp8","unknown"],"sort":"price","preferred_min_throughput":50,
        "preferred_max_latency":{"p50":1,"p90":2.5},
        "max_price":{"prompt":0.6,"completion":"2.40","request":0,"image":1e-3,"audio":" 1 "}}"#,
    );
    let expected = Preferences {
        order: slugs(&["deepinfra/turbo", "b"]),
        only: slugs(&["b"]),
        ignore: slugs(&["c"]),
        no_fallbacks: true,
        require_parameters: true,
        deny_collection: true,
        zdr: true,
        quantizations: vec![Quantization::Fp8, Quantization::Unknown],
        sort: Some(Sort {
            by: By::Price,
            partition: Partition::Model,
        }),
        min_throughput: Percentiles {
            p50: Some(50.0),
            ..Percentiles::default()
        },
        max_latency: Percentiles {
            p50: Some(1.0),
            p90: Some(2.5),
            ..Percentiles::default()
        },
        max_price: MaxPrice {
            input: dollars("0.6"),
            output: dollars("2.4"),
            request: dollars("0"),
            image: dollars("0.001"),
            audio: dollars("1"),
        },
        models: Vec::new(),
    };
    assert_eq!(all, expected);
}

#[test]
fn who_says_nothing_prefers_nothing() {
    let nulls: Vec<_> = [
        "order",
        "only",
        "ignore",
        "allow_fallbacks",
        "require_parameters",
        "data_collection",
        "zdr",
        "quantizations",
        "sort",
        "preferred_min_throughput",
        "preferred_max_latency",
        "max_price",
        "enforce_distillable_text",
    ]
    .iter()
    .map(|name| format!(r#""{name}":null"#))
    .collect();
    for provider in [
        "null",
        "{}",
        r#"{"order":[],"only":[],"ignore":[],"quantizations":[],"max_price":{}}"#,
        r#"{"allow_fallbacks":true,"require_parameters":false,"zdr":false}"#,
        r#"{"data_collection":"allow","enforce_distillable_text":false}"#,
        r#"{"preferred_min_throughput":{"p50":null},"max_price":{"prompt":null}}"#,
        &format!("{{{}}}", nulls.join(",")),
    ] {
        assert!(prefers(provider).is_empty(), "{provider}");
    }
    for body in [
        "{}",
        r#"{"models":null}"#,
        r#"{"models":[]}"#,
        r#"{"route":"fallback"}"#,
    ] {
        assert!(read_body(body).unwrap().is_empty(), "{body}");
    }
}

#[test]
fn a_sort_is_a_word_or_an_object() {
    let sort = |text: &str| {
        let sort = prefers(&format!(r#"{{"sort":{text}}}"#)).sort.unwrap();
        (sort.by, sort.partition)
    };
    assert_eq!(sort(r#""throughput""#), (By::Throughput, Partition::Model));
    assert_eq!(sort(r#""l\u0061tency""#), (By::Latency, Partition::Model));
    assert_eq!(sort(r#"{"by":"price"}"#), (By::Price, Partition::Model));
    assert_eq!(
        sort(r#"{"by":"price","partition":null}"#),
        (By::Price, Partition::Model)
    );
    assert_eq!(
        sort(r#"{"partition":"none","by":"latency"}"#),
        (By::Latency, Partition::None)
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_to_send() {
    for (provider, expected) in [
        ("[]", "`provider` must be an object"),
        ("\"deepseek\"", "`provider` must be an object"),
        (
            r#"{"oder":["a"]}"#,
            "`provider` has an unknown field `oder`; the known ones are order, only,",
        ),
        (r#"{"":1}"#, "unknown field ``"),
        (r#"{"\n\u202e":1}"#, r"unknown field `\n\u{202e}`"),
        (
            r#"{"only":["a"],"onl\u0079":[]}"#,
            "`provider` has two fields `only`",
        ),
        (r#"{"zdr":null,"zdr":true}"#, "two fields `zdr`"),
        (
            r#"{"order":"a"}"#,
            "`provider.order` must be an array of strings",
        ),
        (
            r#"{"order":["a",1]}"#,
            "`provider.order[1]` must be a string",
        ),
        (
            r#"{"ignore":["a","b",null]}"#,
            "`provider.ignore[2]` must be a string",
        ),
        (
            r#"{"only":[""]}"#,
            "`provider.only[0]` must be the name of a provider",
        ),
        (
            r#"{"allow_fallbacks":"false"}"#,
            "`provider.allow_fallbacks` must be true or false",
        ),
        (
            r#"{"require_parameters":1}"#,
            "`provider.require_parameters` must be true",
        ),
        (
            r#"{"data_collection":true}"#,
            "`provider.data_collection` must be one of allow, deny",
        ),
        (r#"{"zdr":[]}"#, "`provider.zdr` must be"),
        (
            r#"{"quantizations":["fp8","q4"]}"#,
            "`provider.quantizations[1]` must be one of int4, int8, fp4,",
        ),
        (
            r#"{"sort":"cheap"}"#,
            "`provider.sort` must be one of price, throughput, latency",
        ),
        (r#"{"sort":["price"]}"#, "`provider.sort` must be one of"),
        (r#"{"sort":{}}"#, "`provider.sort` needs `by`"),
        (
            r#"{"sort":{"by":"x"}}"#,
            "`provider.sort.by` must be one of",
        ),
        (
            r#"{"sort":{"by":"price","partition":"all"}}"#,
            "`provider.sort.partition` must be one of model, none",
        ),
        (
            r#"{"sort":{"by":"price","order":1}}"#,
            "`provider.sort` has an unknown field `order`; the known ones are by, partition",
        ),
        (
            r#"{"preferred_min_throughput":"50"}"#,
            "`provider.preferred_min_throughput` must be a number",
        ),
        (r#"{"preferred_max_latency":-1}"#, "not negative"),
        (
            r#"{"preferred_max_latency":{"p90":[]}}"#,
            "`provider.preferred_max_latency.p90` must be",
        ),
        (
            r#"{"preferred_max_latency":{"p95":1}}"#,
            "unknown field `p95`; the known ones are p50, p75, p90, p99",
        ),
        (
            r#"{"max_price":1}"#,
            "`provider.max_price` must be an object",
        ),
        (
            r#"{"max_price":{"prompt":-0.1}}"#,
            "`provider.max_price.prompt` must be a number of dollars",
        ),
        (
            r#"{"max_price":{"completion":"free"}}"#,
            "`provider.max_price.completion` must be a number",
        ),
        (
            r#"{"max_price":{"image":true}}"#,
            "`provider.max_price.image` must be",
        ),
        (
            r#"{"max_price":{"tokens":1}}"#,
            "unknown field `tokens`; the known ones are prompt, completion,",
        ),
        (
            r#"{"max_price":{"prompt":1,"input":1}}"#,
            "both `prompt` and `input`",
        ),
        (
            r#"{"max_price":{"output":1,"completion":1}}"#,
            "both `completion` and `output`",
        ),
        (
            r#"{"enforce_distillable_text":true}"#,
            "`provider.enforce_distillable_text` cannot be true",
        ),
        (r#"{"enforce_distillable_text":1}"#, "must be true or false"),
        (r#"{"order" ["a"]}"#, "`provider` is not valid JSON"),
        (r#"{"zdr":truer}"#, "`provider` is not valid JSON"),
        (
            r#"{"order":["\ud800"]}"#,
            "`provider.order[0]` must be a string",
        ),
    ] {
        let message = refused(provider);
        assert!(message.contains(expected), "{provider}: {message}");
        assert!(message.ends_with('.'), "{message}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let many = |count: usize| format!(r#"{{"order":[{}"a"]}}"#, "\"a\",".repeat(count - 1));
    assert_eq!(prefers(&many(64)).order.len(), 64);
    assert!(refused(&many(65)).contains("`provider.order` has more than 64 entries"));
    let long = |length: usize| format!(r#"{{"only":["{}"]}}"#, "a".repeat(length));
    assert_eq!(prefers(&long(128)).only.len(), 1);
    assert!(refused(&long(129)).contains("`provider.only[0]`"));
    let blank = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    assert!(prefers(&blank(16 * 1024)).is_empty());
    assert!(refused(&blank(16 * 1024 + 1)).contains("`provider` is longer than 16 KiB"));
    let message = refused(&format!(r#"{{"{}":1}}"#, "x".repeat(10_000)));
    assert!(message.len() < 500 && message.contains("xxx…"));
}

#[test]
fn a_second_aside_is_refused_like_a_second_model() {
    for (body, param) in [
        (r#"{"provider":{},"provider":{}}"#, "provider"),
        (r#"{"provider":null,"pr\u006fvider":null}"#, "provider"),
        (r#"{"models":["a"],"models":["a"]}"#, "models"),
        (r#"{"route":"fallback","route":"fallback"}"#, "route"),
    ] {
        let failure = read_body(body).unwrap_err();
        assert_eq!(failure.param, Some(param));
        assert!(
            failure
                .message
                .contains(&format!("two `{param}` fields; send one"))
        );
    }
}

#[test]
fn models_are_a_short_list_of_ids() {
    let models = |list: &str| read_body(&format!(r#"{{"models":{list}}}"#));
    assert_eq!(
        models(r#"["a","b:floor","a","\u0062"]"#).unwrap().models,
        ["a", "b:floor", "b"]
    );
    let many = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
    assert_eq!(models(&many(16)).unwrap().models, ["a"]);
    for (list, expected) in [
        ("\"a\"", "`models` must be an array of strings"),
        ("{}", "`models` must be an array of strings"),
        ("[\"a\",7]", "`models[1]` must be a string"),
        ("[\"\"]", "`models[0]` is empty"),
        (
            &format!("[\"{}\"]", "x".repeat(257)),
            "`models[0]` is longer than 256 bytes",
        ),
        (&many(17), "`models` has more than 16 entries"),
        (
            &format!("[\"{}\"]", "x".repeat(20_000)),
            "`models` is longer than 16 KiB",
        ),
        ("[\"a\" \"b\"]", "`models` is not valid JSON"),
    ] {
        let failure = models(list).unwrap_err();
        assert!(failure.message.contains(expected), "{}", failure.message);
        assert_eq!(failure.param, Some("models"));
    }
    let broken = models("[tru]").unwrap_err();
    assert_eq!(broken.reason, Reason::CallerBadJson);
}
