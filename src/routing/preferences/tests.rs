mod forward;
mod properties;
mod read;

use super::*;
use crate::body::scan::scan;
use crate::error::Failure;

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
