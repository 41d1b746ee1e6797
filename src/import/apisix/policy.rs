//! How often, for what and how long: `fallback_strategy` and what stands beside it.

use crate::config::units::show_time;
use crate::import::draft::{Field, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use std::time::Duration;

/// Retries over `instances`, in so many tiers.
pub fn retry(plugin: &mut Fields, instances: usize, tiers: usize, notes: &mut Notes) -> Field {
    let strategy = plugin.take("fallback_strategy");
    let words = strategy.map_or(vec![], |item| known(&item, notes));
    let statuses = plugin.take("fallback_http_statuses");
    let statuses = statuses.map_or(vec![], |item| statuses_of(&item, notes));
    let most = plugin.take("max_retries");
    let most = most.and_then(|item| item.whole(notes, 1_000_000));
    plugin.lose(
        "retry_on_failure_within_ms",
        notes,
        "a failure is judged by what it is, not by how soon it came",
    );
    let mut causes: Vec<String> = Vec::new();
    let mut why: Vec<String> = Vec::new();
    if words.contains(&"http_5xx") {
        causes.extend(["connect", "timeout", "reset", "5xx", "stream"].map(str::to_owned));
        why.push("`http_5xx` covers connections that fail or break, too".to_owned());
    }
    if words.contains(&"http_429") {
        causes.push("429".to_owned());
    }
    causes.extend(statuses);
    let asked = most.map_or(instances, |most| {
        usize::try_from(most)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
    });
    if causes.is_empty() || asked < 2 || instances < 2 {
        let why = match (causes.is_empty(), instances < 2) {
            (_, true) => "one instance: APISIX never asks it twice",
            (true, false) => "without `http_429` or `http_5xx` APISIX never asks another instance",
            (false, false) => "`max_retries: 0`",
        };
        let none = Value::map([("for", Value::List(vec![]))]);
        return Field::new("retry", none).because(why);
    }
    let asked = asked.min(instances);
    let again = (asked - 1).min(tiers - 1);
    if again > 0 {
        why.push(format!(
            "`attempts`: {asked} instances, and before a later tier the same one once more"
        ));
    }
    let fields = Value::map([
        ("for", Value::words(causes)),
        ("attempts", Value::word((asked + again).min(100))),
        ("patience", Value::word("0ms")),
    ]);
    why.push("`patience`: APISIX moves on whatever Retry-After says".to_owned());
    why.iter().fold(Field::new("retry", fields), |field, why| {
        field.because(why.as_str())
    })
}

fn known<'a>(item: &Item<'a>, notes: &mut Notes) -> Vec<&'a str> {
    const KNOWN: [&str; 4] = [
        "instance_health_and_rate_limiting",
        "rate_limiting",
        "http_429",
        "http_5xx",
    ];
    let items = item.one_or_many(notes);
    let mut words = Vec::new();
    for item in items {
        match item.text(notes) {
            Some(word) if KNOWN.contains(&word) => words.push(word),
            Some(_) => notes.error(&item.place, format!("is none of {}", KNOWN.join(", "))),
            None => {}
        }
    }
    words
}

fn statuses_of(item: &Item, notes: &mut Notes) -> Vec<String> {
    let mut statuses = Vec::new();
    for item in item.list(notes) {
        match item.whole(notes, 599) {
            Some(status @ 400..) => statuses.push(status.to_string()),
            Some(_) => notes.error(&item.place, "is not a status from 400 to 599"),
            None => {}
        }
    }
    statuses
}

pub fn timeouts(plugin: &mut Fields, notes: &mut Notes) -> Option<Field> {
    let item = plugin.take("timeout")?;
    let milliseconds = item.whole(notes, 600_000)?.max(1);
    let time = || Value::word(show_time(Duration::from_millis(milliseconds)));
    let names = ["connect", "first_byte", "idle", "response"];
    let field = Field::new("timeouts", Value::map(names.map(|name| (name, time()))));
    Some(field.because(
        "`timeout` is APISIX's for each wait; an answer that is no stream comes in one wait",
    ))
}

pub fn balance(plugin: &mut Fields, notes: &mut Notes) -> Vec<Field> {
    let Some(mut balancer) = plugin.take_fields("balancer", notes) else {
        return vec![];
    };
    let place = balancer.place.clone();
    let algorithm = balancer.take("algorithm");
    let hash_on = balancer.take("hash_on");
    let key = balancer.take("key");
    let text = |item: &Option<Item>, notes: &mut Notes| {
        item.as_ref()
            .and_then(|item| item.text(notes))
            .unwrap_or_default()
            .to_owned()
    };
    let algorithm = match text(&algorithm, notes) {
        word if word.is_empty() => "roundrobin".to_owned(),
        word => word,
    };
    let hash_on = text(&hash_on, notes);
    let key = text(&key, notes);
    balancer.finish(notes);
    let by = match (algorithm.as_str(), hash_on.as_str()) {
        ("roundrobin", _) => return vec![],
        ("chash", "header") => header(&key),
        ("chash", "vars" | "") => match key.strip_prefix("http_") {
            Some(name) => header(&name.replace('_', "-")),
            None if key == "consumer_name" => Some(Value::word("key")),
            None => None,
        },
        ("chash", "consumer") => Some(Value::word("key")),
        _ => None,
    };
    let Some(by) = by else {
        let why = "requests are spread by weight: only a header or the caller's key can be hashed";
        notes.lost(&place, why);
        return vec![];
    };
    let balance = Field::new("balance", Value::word("sticky"));
    vec![
        balance.because("`chash`: the same value always goes to the same target of a tier"),
        Field::new("sticky", Value::List(vec![by, Value::word("message")])).because(
            "without it APISIX hashes the caller's address; here the first messages are hashed",
        ),
    ]
}

fn header(name: &str) -> Option<Value> {
    // As APISIX's variables have it, whatever its letters.
    let name = name
        .strip_prefix("http_")
        .map_or(name.to_owned(), |name| name.replace('_', "-"));
    let valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    valid.then(|| Value::map([("header", Value::text(name))]))
}

/// What the gateway does by itself, or not at all.
pub fn settings(plugin: &mut Fields, notes: &mut Notes) {
    for (name, why) in [
        (
            "logging",
            "each request has its line in the access log, and bodies never go there",
        ),
        (
            "keepalive",
            "connections are kept as long as providers allow",
        ),
        (
            "keepalive_timeout",
            "connections are kept as long as providers allow",
        ),
        (
            "keepalive_pool",
            "connections are kept as long as providers allow",
        ),
        ("streaming_flush_interval_ms", "every token goes on at once"),
        (
            "max_stream_duration_ms",
            "streams end by their silence, not by their length",
        ),
        ("max_response_bytes", "answers have no largest size"),
        ("semantic_opts", "no balance reads what a request means"),
    ] {
        plugin.lose(name, notes, why);
    }
}
