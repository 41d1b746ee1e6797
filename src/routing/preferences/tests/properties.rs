//! Whatever a caller may send.

use super::super::forward::{Forward, forward};
use super::*;
use proptest::prelude::*;

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
        let told = forward(Some(provider.as_bytes()), &with).unwrap();
        match read_body(&body) {
            Ok(said) => {
                let new = prefers(&told);
                prop_assert_eq!(new.max_price, said.max_price.and(max_price));
                prop_assert!(new.excludes(&["b"]) == Some(Exclusion::Ignored));
                prop_assert!(new.place(&["a"]).is_none());
                // Nobody of the order is left: then whoever is behind is no fallback.
                let is_lifted = said.place(&["a"]).is_some() && new.order.is_empty();
                prop_assert_eq!(new.no_fallbacks, said.no_fallbacks && !is_lifted);
                let same = Preferences {
                    max_price: said.max_price,
                    ignore: said.ignore.clone(),
                    order: said.order.clone(),
                    only: said.only.clone(),
                    no_fallbacks: said.no_fallbacks,
                    ..new.clone()
                };
                prop_assert_eq!(same, said);
            }
            Err(failure) => {
                prop_assert!(failure.message.starts_with("`provider"));
                // An operator may write what nobody here knows. The cap holds all the same.
                let told: serde_json::Value = serde_json::from_str(&told).unwrap();
                if !max_price.is_empty() {
                    let new = prefers(&format!(r#"{{"max_price":{}}}"#, told["max_price"]));
                    prop_assert_eq!(new.max_price.and(max_price), new.max_price);
                }
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
