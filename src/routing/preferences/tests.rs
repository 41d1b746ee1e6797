use super::forward::{Forward, forward};
use super::*;
use crate::body::scan::scan;
use crate::error::{Failure, Reason};
use proptest::prelude::*;

fn read_body(body: &str) -> Result<Preferences, Failure> {
    read(body.as_bytes(), &scan(body.as_bytes()).unwrap())
}

fn prefers(provider: &str) -> Preferences {
    read_body(&format!(r#"{{"model":"m","provider":{provider}}}"#)).unwrap()
}

fn refused(provider: &str) -> String {
    let failure = read_body(&format!(r#"{{"provider":{provider}}}"#)).unwrap_err();
    assert_eq!(failure.param, Some("provider"), "{provider}");
    assert_eq!(failure.reason.status(), 400);
    failure.message
}

fn dollars(text: &str) -> Option<Dollars> {
    Some(Dollars::parse(text).unwrap())
}

fn slugs(names: &[&str]) -> Vec<Slug> {
    names.iter().map(|name| Slug::new(name)).collect()
}

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

#[test]
fn a_base_name_stands_for_its_variants() {
    for (slug, name, matches) in [
        ("deepinfra", "deepinfra", true),
        ("deepinfra", "deepinfra/turbo", true),
        ("DeepInfra", "deepinfra/turbo", true),
        ("deepinfra", "DeepInfra", true),
        ("deepinfra", "deepinfra-eu", false),
        ("deepinfra", "deep", false),
        ("deepinfra/turbo", "deepinfra", false),
        ("deepinfra/turbo", "deepinfra/turbo", true),
        ("deepinfra/turbo", "deepinfra/turbo2", false),
        ("vertex", "vertex/us/east", true),
        ("é", "é/x", true),
        ("e", "é", false),
    ] {
        assert_eq!(Slug::new(slug).matches(name), matches, "{slug} {name}");
    }
}

#[test]
fn only_ignore_and_a_final_order_leave_out() {
    let why = |provider: &str, names: &[&str]| prefers(provider).excludes(names);
    assert_eq!(why("{}", &["a"]), None);
    assert_eq!(why(r#"{"only":["a"]}"#, &["a/x"]), None);
    assert_eq!(why(r#"{"only":["a"]}"#, &["b"]), Some(Exclusion::NotInOnly));
    assert_eq!(why(r#"{"only":["a"]}"#, &["mine", "a"]), None);
    assert_eq!(
        why(r#"{"ignore":["a"]}"#, &["mine", "a"]),
        Some(Exclusion::Ignored)
    );
    assert_eq!(
        why(r#"{"only":["a"],"ignore":["a"]}"#, &["a"]),
        Some(Exclusion::Ignored)
    );
    assert_eq!(why(r#"{"order":["a"]}"#, &["b"]), None);
    let last = r#"{"order":["a"],"allow_fallbacks":false}"#;
    assert_eq!(why(last, &["b"]), Some(Exclusion::NotInOrder));
    assert_eq!(why(last, &["a"]), None);
    assert_eq!(why(r#"{"allow_fallbacks":false}"#, &["b"]), None);
    let order = prefers(r#"{"order":["b","a/x","a"]}"#);
    assert_eq!(order.place(&["a"]), Some(2));
    assert_eq!(order.place(&["a/x"]), Some(1));
    assert_eq!(order.place(&["c", "b"]), Some(0));
    assert_eq!(order.place(&["c"]), None);
}

#[test]
fn a_written_sort_goes_before_a_suffix() {
    let by = |provider: &str, suffix| {
        let sort = prefers(provider).with_suffix(suffix).sort;
        sort.map(|sort| sort.by)
    };
    assert_eq!(by("{}", Some(By::Throughput)), Some(By::Throughput));
    assert_eq!(
        by(r#"{"sort":"latency"}"#, Some(By::Price)),
        Some(By::Latency)
    );
    assert_eq!(by("{}", None), None);
}

fn forwarded(given: Option<&str>, cap: &str, failed: &[&str]) -> Option<String> {
    let with = Forward {
        own: &["or-account", "openrouter"],
        max_price: prefers(&format!(r#"{{"max_price":{cap}}}"#)).max_price,
        failed,
    };
    let new = forward(given.map(str::as_bytes), &with)?;
    // Whatever it is, it is in words that are taken.
    prefers(&new);
    Some(new)
}

#[test]
fn a_cap_and_those_who_failed_are_handed_on() {
    for (given, cap, failed, expected) in [
        (None, "{}", vec![], None),
        (Some("null"), "{}", vec![], None),
        (
            None,
            r#"{"prompt":0.6}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":0.6}}"#),
        ),
        (None, "{}", vec!["sf"], Some(r#"{"ignore":["sf"]}"#)),
        // The lower of each wins.
        (
            Some(r#"{ "max_price" : {"prompt":"1","completion":2,"image":3} , "sort":"price" }"#),
            r#"{"input":0.6,"output":2.4,"request":0.01}"#,
            vec![],
            Some(
                r#"{ "max_price" : {"prompt":0.6,"completion":2,"request":0.01,"image":3} , "sort":"price" }"#,
            ),
        ),
        // Lower already, in their words: not touched.
        (
            Some(r#"{"max_price":{"prompt":"0.10"}}"#),
            r#"{"prompt":0.1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":"0.10"}}"#),
        ),
        // In ours: put in theirs.
        (
            Some(r#"{"max_price":{"input":"0.10"}}"#),
            "{}",
            vec![],
            Some(r#"{"max_price":{"prompt":0.1}}"#),
        ),
        (
            Some(r#"{"zdr":true,"ignore":["A","b"]}"#),
            "{}",
            vec!["a/x", "c"],
            Some(r#"{"zdr":true,"ignore":["a","b","c"]}"#),
        ),
        (
            Some(r#"{"ignore":["A"]}"#),
            "{}",
            vec!["a"],
            Some(r#"{"ignore":["A"]}"#),
        ),
        // Its own name is of no use there.
        (
            Some(r#"{"only":["openrouter","sf"]}"#),
            "{}",
            vec![],
            Some("{}"),
        ),
        (
            Some(r#"{"order":["sf","or-account","deepinfra"],"allow_fallbacks":false}"#),
            "{}",
            vec![],
            Some(r#"{"order":["sf","deepinfra"],"allow_fallbacks":false}"#),
        ),
        (
            Some(r#"{"order":["OpenRouter"],"zdr":true}"#),
            r#"{"prompt":1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":1},"zdr":true}"#),
        ),
        // An operator's own nonsense does not lift the cap.
        (
            Some("7"),
            r#"{"prompt":1}"#,
            vec![],
            Some(r#"{"max_price":{"prompt":1}}"#),
        ),
    ] {
        assert_eq!(
            forwarded(given, cap, &failed).as_deref(),
            expected,
            "{given:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        name in prop::sample::select(vec!["provider", "models"]),
    ) {
        let mut body = format!("{{\"{name}\":").into_bytes();
        body.extend(bytes);
        body.push(b'}');
        if let Ok(scan) = scan(&body) {
            let _ = read(&body, &scan);
        }
    }

    /// Pieces that fit together often enough.
    #[test]
    fn any_object_is_read_or_refused_with_a_message(
        parts in proptest::collection::vec((field(), value()), 0..4),
        cap in (any::<Option<u32>>(), any::<Option<u32>>()),
    ) {
        let fields: Vec<_> = parts.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let provider = format!("{{{}}}", fields.join(","));
        let body = format!(r#"{{"provider":{provider}}}"#);
        let max_price = MaxPrice {
            input: cap.0.map(|cap| Dollars::from_nanos(cap.into())),
            output: cap.1.map(|cap| Dollars::from_nanos(cap.into())),
            ..MaxPrice::default()
        };
        let with = Forward { own: &["a"], max_price, failed: &["b"] };
        let new = prefers(&forward(Some(provider.as_bytes()), &with).unwrap());
        match read_body(&body) {
            Ok(said) => {
                prop_assert_eq!(new.max_price, said.max_price.and(max_price));
                prop_assert!(new.excludes(&["b"]) == Some(Exclusion::Ignored));
                prop_assert!(new.place(&["a"]).is_none());
                let same = Preferences {
                    max_price: said.max_price,
                    ignore: said.ignore.clone(),
                    order: said.order.clone(),
                    only: said.only.clone(),
                    ..new.clone()
                };
                prop_assert_eq!(same, said);
            }
            Err(failure) => {
                prop_assert!(failure.message.starts_with("`provider"));
                prop_assert_eq!(new.max_price, max_price);
            }
        }
    }
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "order",
        "only",
        "ignore",
        "allow_fallbacks",
        "data_collection",
        "zdr",
        "quantizations",
        "sort",
        "preferred_min_throughput",
        "preferred_max_latency",
        "max_price",
        "odd",
    ])
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1e3",
        "0.25",
        "\"0.25\"",
        "\"a\"",
        "\"A/b\"",
        "\"price\"",
        "\"deny\"",
        "\"fp8\"",
        "[]",
        "{}",
        r#"{"by":"price"}"#,
        r#"{"prompt":0.1}"#,
        r#"{"input":"1e-4","completion":3}"#,
        r#"{"p50":1,"p99":2}"#,
        r#"["a","c"]"#,
        r#"["b"]"#,
    ]);
    prop_oneof![
        4 => leaf.clone().prop_map(str::to_owned),
        1 => proptest::collection::vec(leaf, 0..3).prop_map(|items| format!("[{}]", items.join(","))),
    ]
}
