//! `store`: where records go.

use super::{lines, load};
use crate::config::snapshot::{Store, StorePlace};
use std::path::PathBuf;
use std::time::Duration;

const REST: &str = "
providers: { one: { base_url: 'http://one.test/v1', auth: none, models: { a: a } } }
routes: [{ name: all, targets: [{ provider: one }] }]
";

fn store(text: &str) -> Option<Store> {
    load(&format!("{text}{REST}")).unwrap().snapshot.store
}

fn wrong(text: &str) -> Vec<String> {
    lines(&load(&format!("{text}{REST}")).unwrap_err())
}

#[test]
fn nothing_said_is_a_file_beside_it_for_ninety_days() {
    let implied = Store {
        place: StorePlace::Sqlite(PathBuf::from("overspill.db")),
        retention: Duration::from_secs(90 * 86_400),
        queue: 20_000,
        implied: true,
    };
    assert_eq!(store(""), Some(implied.clone()));
    let shorter = Store {
        retention: Duration::from_secs(3600),
        ..implied
    };
    assert_eq!(store("store: { retention: 1h }"), Some(shorter));
    assert_eq!(store("store: off"), None);
    assert_eq!(store("store: false"), None);
}

#[test]
fn a_file_is_named_in_the_usual_ways() {
    for (url, path) in [
        ("sqlite:x.db", "x.db"),
        ("sqlite://x.db", "x.db"),
        ("sqlite:/var/x.db", "/var/x.db"),
        ("sqlite:///var/x.db", "/var/x.db"),
        ("SQLite:a b.db", "a b.db"),
    ] {
        for text in [
            format!("store: '{url}'"),
            format!("store: {{ url: '{url}' }}"),
        ] {
            let store = store(&text).unwrap();
            assert_eq!(store.place, StorePlace::Sqlite(path.into()), "{url}");
            assert!(!store.implied);
        }
    }
}

#[test]
fn a_server_is_named_by_its_url_which_is_never_shown() {
    for url in [
        "postgres://user:sk-secret-word@db.test:5432/records",
        "postgresql://user:sk-secret-word@db.test/records?sslmode=verify-full",
        "postgres://user:sk-secret-word@%2Frun%2Fpostgresql/records",
    ] {
        let text = format!("store: '{url}'{REST}");
        let loaded = load(&text).unwrap();
        let store = loaded.snapshot.store.unwrap();
        assert!(matches!(store.place, StorePlace::Postgres(_)), "{url}");
        for shown in [format!("{store:?}"), loaded.shown.to_string()] {
            assert!(!shown.contains("secret-word"), "{shown}");
        }
    }
}

#[test]
fn what_is_no_store_is_told_what_to_write() {
    for (text, said) in [
        (
            "store: overspill.db",
            "o.yaml:1: store: is no URL of a store; write one such as",
        ),
        (
            "store: { url: 'mysql://h/d' }",
            "o.yaml:1: store.url: is no URL of a store",
        ),
        ("store: 'sqlite:'", "o.yaml:1: store: names no file"),
        ("store: 'sqlite:/var/'", "o.yaml:1: store: names no file"),
        (
            "store: 'sqlite::memory:'",
            "o.yaml:1: store: is a store that nothing is kept in; write `store: off`",
        ),
        (
            "store: 'sqlite:x.db?mode=ro'",
            "o.yaml:1: store: has more than a path",
        ),
        (
            "store: 'postgres://u:p@h:port/d'",
            "o.yaml:1: store: is not a URL as PostgreSQL knows it",
        ),
        (
            "store: 'postgres://h/d?password=sk-secret-word'",
            "o.yaml:1: store: has a parameter that is not known here",
        ),
        (
            "store: { url: 'postgres://h/d?sslmode=sk-secret-word' }",
            "o.yaml:1: store.url: is not a URL as",
        ),
        (
            "store: { retention: 500ms }",
            "o.yaml:1: store.retention: `500ms` is not between 1s and 3650d",
        ),
        (
            "store: { retention: 90 }",
            "o.yaml:1: store.retention: `90` has no unit",
        ),
        (
            "store: { queue: 0 }",
            "o.yaml:1: store.queue: `0` is not between 1 and 10000000",
        ),
        (
            "store: { keep: 1d }",
            "o.yaml:1: store.keep: unknown field `keep`",
        ),
        ("store: [off]", "o.yaml:1: store: "),
    ] {
        let problems = wrong(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].starts_with(said), "{text}: {}", problems[0]);
        assert!(!problems[0].contains("secret-word"), "{}", problems[0]);
    }
}
