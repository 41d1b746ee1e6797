//! `overspill check`: every mistake at once, where it is and what to write instead.

use crate::harness::gateway::{Directory, run};
use crate::harness::*;

pub const GOOD: &str = "\
server:
  listen: 127.0.0.1:8080
  admin: 127.0.0.1:9090
providers:
  one:
    driver: openai
    base_url: http://127.0.0.1:1/v1
    api_key: sk-one-upstream
    models: { \"acme/chat\": { name: one-chat } }
routes:
  - name: main
    match: { models: [\"acme/*\"] }
    targets: [{ provider: one }]
";

pub struct Said {
    pub code: Option<i32>,
    pub text: String,
}

fn check_with(yaml: impl AsRef<[u8]>, environment: &[(String, String)]) -> Said {
    let files = Directory::new();
    let path = files.write("overspill.yaml", yaml);
    let start = Instant::now();
    let output = run(&["check", path.to_str().unwrap()], environment);
    assert!(start.elapsed() < ms(20_000), "took {:?}", start.elapsed());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &error;
    assert!(!text.contains("panicked"), "{text}");
    if output.status.code() == Some(1) {
        assert!(!error.trim().is_empty(), "errors go to stderr");
    }
    Said {
        code: output.status.code(),
        text,
    }
}

pub fn check(yaml: impl AsRef<[u8]>) -> Said {
    check_with(yaml, &[])
}

/// One line of what was said holds the place, the path and the hint.
fn points_at(said: &Said, line: usize, path: &str, hint: &str) {
    assert_eq!(said.code, Some(1), "{}", said.text);
    let place = format!("overspill.yaml:{line}");
    let found = said.text.lines().any(|text| {
        let at = text.find(&place).map(|at| &text[at + place.len()..]);
        at.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            && text.contains(path)
            && text.to_lowercase().contains(&hint.to_lowercase())
    });
    assert!(
        found,
        "no line with {place}, {path} and {hint:?}:\n{}",
        said.text
    );
}

#[test]
fn a_good_file_is_fine() {
    let said = check(GOOD);
    assert_eq!(said.code, Some(0), "{}", said.text);
}

#[test]
fn each_mistake_is_placed_and_answered() {
    for (good, bad, line, path, hint) in [
        (
            "  admin:",
            "  drian: 1s\n  admin:",
            3,
            "server.drian",
            "drain",
        ),
        ("providers:", "nonsense: 1\nproviders:", 4, "nonsense", ""),
        (
            "{ provider: one }",
            "{ provider: onee }",
            13,
            "routes[0].targets[0].provider",
            "`one`",
        ),
        (
            "{ provider: one }",
            "{ provder: one }",
            13,
            "routes[0].targets[0]",
            "provider",
        ),
        (
            "{ provider: one }",
            "{ provider: one, priority: 1 }",
            13,
            "routes[0].targets[0].priority",
            "tier",
        ),
        (
            "{ provider: one }",
            "{ provider: one, weight: 0 }",
            13,
            "routes[0].targets",
            "weight",
        ),
        (
            "{ provider: one }",
            "{ provider: one, weight: -1 }",
            13,
            "routes[0].targets[0].weight",
            "",
        ),
        (
            "{ provider: one }",
            "{ provider: one, tier: first }",
            13,
            "routes[0].targets[0].tier",
            "",
        ),
        ("[{ provider: one }]", "[]", 13, "routes[0].targets", ""),
        (
            "  admin:",
            "  header_timeout: 10\n  admin:",
            3,
            "server.header_timeout",
            "10s",
        ),
        (
            "  admin:",
            "  header_timeout: 10 parsecs\n  admin:",
            3,
            "server.header_timeout",
            "",
        ),
        (
            "  admin:",
            "  max_body: 1000000\n  admin:",
            3,
            "server.max_body",
            "MiB",
        ),
        (
            "  listen: 127.0.0.1:8080",
            "  listen: 127.0.0.1:80800",
            2,
            "server.listen",
            "",
        ),
        (
            "  listen: 127.0.0.1:8080",
            "  listen: 0.0.0.0:8080",
            2,
            "",
            "auth: off",
        ),
        (
            "sk-one-upstream",
            "${OVERSPILL_TEST_UNSET}",
            8,
            "providers.one.api_key",
            "OVERSPILL_TEST_UNSET",
        ),
        (
            "sk-one-upstream",
            "${file:/nonexistent/key}",
            8,
            "providers.one.api_key",
            "/nonexistent/key",
        ),
        (
            "sk-one-upstream",
            "\"${UNCLOSED\"",
            8,
            "providers.one.api_key",
            "",
        ),
        (
            "http://127.0.0.1:1/v1",
            "127.0.0.1:1/v1",
            7,
            "providers.one.base_url",
            "http",
        ),
        (
            "http://127.0.0.1:1/v1",
            "ftp://127.0.0.1:1/v1",
            7,
            "providers.one.base_url",
            "http",
        ),
        (
            "driver: openai",
            "driver: opnai",
            6,
            "providers.one.driver",
            "openai",
        ),
        (
            "match: {",
            "mode: steam\n    match: {",
            12,
            "routes[0].mode",
            "stream",
        ),
        (
            "match: {",
            "retry: { for: [429, 5xxx] }\n    match: {",
            12,
            "routes[0].retry.for[1]",
            "5xx",
        ),
        (
            "match: {",
            "retry: { attempts: many }\n    match: {",
            12,
            "routes[0].retry.attempts",
            "",
        ),
        (
            "match: {",
            "timeouts: { conect: 1s }\n    match: {",
            12,
            "routes[0].timeouts.conect",
            "connect",
        ),
        (
            "match: {",
            "balance: wieghted\n    match: {",
            12,
            "routes[0].balance",
            "weighted",
        ),
        (
            "name: main\n",
            "name: main\n    name: again\n",
            12,
            "",
            "name",
        ),
    ] {
        let yaml = GOOD.replacen(good, bad, 1);
        assert_ne!(yaml, GOOD, "{good}");
        points_at(&check(yaml), line, path, hint);
    }
}

#[test]
fn mistakes_further_down_are_placed_too() {
    let second = "  - name: second\n    match: { models: [\"acme/chat\"] }\n    targets: [{ provider: one }]\n";
    points_at(&check(format!("{GOOD}{second}")), 14, "routes[1]", "main");
    let keys = "keys:\n  - { name: a, sha256: xyz }\n";
    points_at(&check(format!("{GOOD}{keys}")), 15, "keys[0].sha256", "");
    let keys = "keys:\n  - { name: a, secret: x1 }\n  - { name: a, secret: x2 }\n";
    points_at(&check(format!("{GOOD}{keys}")), 16, "keys[1]", "");
    let keys = "keys:\n  - { name: a }\n";
    points_at(&check(format!("{GOOD}{keys}")), 15, "keys[0]", "secret");
    let log = "log: { format: jsno }\n";
    points_at(&check(format!("{GOOD}{log}")), 14, "log.format", "json");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let yaml = GOOD
        .replace("  admin:", "  drian: 1s\n  admin:")
        .replace("driver: openai", "driver: opnai")
        .replace("sk-one-upstream", "${OVERSPILL_TEST_UNSET}")
        .replace("provider: one", "provider: onee, priority: 3");
    let said = check(yaml);
    points_at(&said, 3, "server.drian", "drain");
    points_at(&said, 7, "providers.one.driver", "openai");
    points_at(&said, 9, "providers.one.api_key", "OVERSPILL_TEST_UNSET");
    points_at(&said, 14, "routes[0].targets[0].provider", "one");
    points_at(&said, 14, "routes[0].targets[0].priority", "tier");
}

#[test]
fn references_are_resolved() {
    let yaml = GOOD.replace("sk-one-upstream", "\"${OVERSPILL_TEST_KEY}\"");
    let environment = [("OVERSPILL_TEST_KEY".to_string(), "sk-x".to_string())];
    assert_eq!(check_with(yaml, &environment).code, Some(0));
    let yaml = GOOD.replace("sk-one-upstream", "\"${OVERSPILL_TEST_UNSET:-sk-default}\"");
    assert_eq!(check(yaml).code, Some(0));
    let files = Directory::new();
    let key = files.write("key", "sk-from-file\n");
    let yaml = GOOD.replace(
        "sk-one-upstream",
        &format!("\"${{file:{}}}\"", key.display()),
    );
    assert_eq!(check(yaml).code, Some(0));
}

#[test]
fn what_is_legal_but_odd_is_a_warning() {
    let lax = GOOD.replace(
        "driver: openai",
        "driver: openai\n    tls: { verify: false }",
    );
    let lax = lax.replace("http://", "https://");
    let said = check(lax);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text.to_lowercase().contains("warning"),
        "{}",
        said.text
    );
    assert!(said.text.contains("providers.one.tls"), "{}", said.text);
    let unreachable = GOOD.replace(
        "targets: [{ provider: one }]",
        "retry: { for: [] }\n    fallback_models: [\"acme/chat\"]\n    targets: [{ provider: one }]",
    );
    let said = check(unreachable);
    assert!(
        said.text.to_lowercase().contains("warning") || said.code == Some(1),
        "{}",
        said.text
    );
}
