//! The same for what is said of keys, places, limits, breakers and checks.

use super::messages::{expect_provider, expect_route, expect_top};

/// The fields of `vllm`; the expected lines go on from its name.
#[track_caller]
fn expect(fields: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|line| format!("vllm.{line}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect_provider(&format!("vllm: {{ {fields} }}"), &expected);
}

#[test]
fn retry_budgets() {
    for (given, wrong) in [
        ("20", "`20` has no unit; write a percentage such as `20%`"),
        (
            "120%",
            "`120%` is more than the whole; write a percentage up to `100%`",
        ),
        ("a lot", "`a lot` is not a percentage such as `20%`"),
    ] {
        expect_top(
            &format!("server: {{ retry_budget: {given} }}"),
            &[&format!("o.yaml:1: server.retry_budget: {wrong}")],
        );
    }
}

#[test]
fn pools() {
    expect(
        "api_key: a, api_keys: [b]",
        &["api_keys: stands beside `api_key`; remove one of the two"],
    );
    expect(
        "api_keys: []",
        &["api_keys: is empty; name at least one key"],
    );
    expect(
        "api_keys: k",
        &["api_keys: expected a list, found a single value"],
    );
    expect(
        "api_keys: [a, \"\", a]",
        &[
            "api_keys[1]: is empty",
            "api_keys[2]: is the same key as one before it",
        ],
    );
    expect(
        "api_keys: [a, \"${MISSING}\", \"${NEWLINE}\"]",
        &[
            "api_keys[1]: the environment variable `MISSING` is not set; \
             set it, or write `${MISSING:-default}`",
        ],
    );
    expect(
        "api_keys: [a, \"${NEWLINE}\", \"b \"]",
        &[
            "api_keys[1]: has a character that no header carries, \
             such as a line break or a space at its end",
            "api_keys[2]: has a character that no header carries, \
             such as a line break or a space at its end",
        ],
    );
    expect(
        "api_keys: [a], auth: none",
        &["api_keys: is never sent with `auth: none`; remove one of the two"],
    );
    expect(
        "api_keys: [a], auth: { query: { key: b } }",
        &[
            "api_keys: is never sent beside an `auth` with a value of its own; \
           remove one of the two",
        ],
    );
    // What was meant is not called missing as well.
    expect(
        "auth: bearer, api_key: \"${MISSING}\"",
        &["api_key: the environment variable `MISSING` is not set; \
             set it, or write `${MISSING:-default}`"],
    );
    expect_provider(
        "vllm: {}, groq: { api_keys: k }",
        &["groq.api_keys: expected a list, found a single value"],
    );
}

#[test]
fn limits() {
    const NOTHING: &str = "`0` would let nothing through; leave it out for no limit, \
                           or take the provider out of the route";
    expect(
        "limits: { concurrency: 0, rpm: 1.5, tpm: 2000000000000, rps: 1 }",
        &[
            &format!("limits.concurrency: {NOTHING}"),
            "limits.rpm: `1.5` is not a whole number",
            "limits.tpm: `2000000000000` is not between 1 and 1000000000000",
            "limits.rps: unknown field `rps`; did you mean `rpm`?",
        ],
    );
    expect_route(
        "targets: [{ provider: deepseek, limits: { rpm: 0, concurrency: 4294967296 } }]",
        &[
            &format!(".targets[0].limits.rpm: {NOTHING}"),
            ".targets[0].limits.concurrency: `4294967296` is not between 1 and 4294967295",
        ],
    );
    expect_route(
        "match: { path: /a }, mode: stream, \
         targets: [{ provider: deepseek, limits: { rpm: 1, tpm: 1 } }]",
        &[
            ".targets[0].limits.tpm: has no effect with `mode: stream`, \
             which passes bodies as they are; remove it",
        ],
    );
}

#[test]
fn breakers() {
    expect(
        "breaker: { failures: 0%, window: 0s, last: 0, minimum: 5 }",
        &[
            "breaker.failures: `0%` is reached without a failure; \
             write a percentage above it, or `breaker: off` for none",
            "breaker.window: `0s` is not between 1ms and 1d",
            "breaker.last: `0` is not between 1 and 1000",
        ],
    );
    expect(
        "breaker: { failures: 150%, minimum: 21 }",
        &[
            "breaker.failures: `150%` is more than the whole; write a percentage up to `100%`",
            "breaker.minimum: `21` is more than `last` (20): the breaker could never open",
        ],
    );
    expect(
        "breaker: { failures: 5, minimun: 3 }",
        &[
            "breaker.failures: `5` has no unit; write a percentage such as `20%`",
            "breaker.minimun: unknown field `minimun`; did you mean `minimum`?",
        ],
    );
    expect(
        "breaker: on",
        &["breaker: `on` is not known here; write one of `off`, \
             `{failures, window, last, minimum, interval}`"],
    );
    expect(
        "breaker: []",
        &["breaker: expected {failures, window, last, minimum, interval}, or off, found a list"],
    );
}

#[test]
fn addresses() {
    const EXAMPLE: &str = "write one such as `vllm.internal:8000`, `10.0.0.5:8000` or `[::1]:8000`";
    expect(
        "addresses: [10.0.0.5, \"http://a:1\", { weight: 2 }, { address: a:1, weight: 1001 }]",
        &[
            &format!("addresses[0]: `10.0.0.5` has no port; {EXAMPLE}"),
            &format!(
                "addresses[1]: `http://a:1` is a URL, where an address with a port belongs; {EXAMPLE}"
            ),
            "addresses[2].address: missing: an address such as `10.0.0.5:8000`",
            "addresses[3].weight: `1001` is not between 0 and 1000",
        ],
    );
    expect(
        "addresses: [a:1, { address: A:1 }, b:1, a:2]",
        &["addresses[1].address: `A:1` is named twice; give it a `weight`"],
    );
    expect(
        "addresses: [{ address: a:1, weight: 0 }, { address: b:1, weight: 0 }]",
        &["addresses: has no address with a weight above 0"],
    );
    expect(
        "addresses: []",
        &["addresses: is empty; leave it out for the host of `base_url`"],
    );
    expect(
        "addresses: [localhost:8080, 127.0.0.1:8081]",
        &["addresses[0]: is where this gateway itself listens"],
    );
}

#[test]
fn checks() {
    expect(
        "health: { path: health, expect: [200, 200, 99], interval: 1s, timeout: 2s, \
         unhealthy_after: 0, healthy_after: 101 }",
        &[
            "health.path: `health` is not a path; \
             write one from the root of the host, such as `/health`",
            "health.expect[1]: is named twice",
            "health.expect[2]: `99` is not between 200 and 599",
            "health.timeout: `2s` is longer than `interval` (1s), and checks would overtake \
             each other",
            "health.unhealthy_after: `0` is not between 1 and 100",
            "health.healthy_after: `101` is not between 1 and 100",
        ],
    );
    expect(
        "health: { expect: [], interval: 1ms }",
        &[
            "health.path: missing: a path such as `/health`, \
             or `tcp: true` where a connection is enough",
            "health.expect: is empty; leave it out for 200",
            "health.interval: `1ms` is not between 10ms and 1h",
        ],
    );
    expect(
        "health: { tcp: true, path: /a, expect: [200] }",
        &[
            "health.path: is never asked for with `tcp: true`; remove one of the two",
            "health.expect: is never asked for with `tcp: true`; remove one of the two",
        ],
    );
    expect(
        "health: { tcpp: true }",
        &["health.tcpp: unknown field `tcpp`; did you mean `tcp`?"],
    );
    expect(
        "health: http",
        &["health: `http` is not known here; write one of `tcp`, `{path: /health}`"],
    );
    expect(
        "health: { path: \"/a b\" }",
        &["health.path: `/a b` is not a path; \
           write one from the root of the host, such as `/health`"],
    );
}

#[test]
fn proxies() {
    const EXAMPLE: &str = "write one such as `http://proxy.example:3128` or \
                           `http://user:password@proxy.example:3128`";
    expect(
        "proxy: socks5://p:1080",
        &[&format!(
            "proxy: the value does not begin with `http://`, the only way to ask a proxy here; \
             {EXAMPLE}"
        )],
    );
    expect(
        "proxy: http://gate",
        &[&format!("proxy: the value has no port; {EXAMPLE}")],
    );
    expect(
        "proxy: http://127.0.0.1:8080",
        &["proxy: is where this gateway itself listens"],
    );
}

#[test]
fn certificates() {
    expect(
        "base_url: https://h/v1, tls: { ca: /no/such, cert: /no/such, verfy: true }",
        &[
            "tls.key: missing: the path of a PEM file with the private key",
            "tls.ca: `/no/such` cannot be read: No such file or directory (os error 2)",
            "tls.cert: `/no/such` cannot be read: No such file or directory (os error 2)",
            "tls.verfy: unknown field `verfy`; did you mean `verify`?",
        ],
    );
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    expect(
        &format!("base_url: https://h/v1, tls: {{ verify: false, ca: {text} }}"),
        &[
            "tls.ca: is never asked with `verify: false`; remove one of the two",
            &format!("tls.ca: `{text}` holds no certificate in PEM form"),
        ],
    );
}

/// `tier` says the same without a doubt about its direction.
#[test]
fn unknown_fields_of_a_provider_and_a_route() {
    expect(
        "priority: 1",
        &[
            "priority: unknown field `priority`; known here: api_key, api_keys, driver, base_url, \
             region, addresses, proxy, auth, endpoints, models, tls, limits, breaker, health, \
             prefill, inject_usage, data",
        ],
    );
    expect_route(
        "targets: [{ provider: deepseek }], ordr: []",
        &[".ordr: unknown field `ordr`; did you mean `order`?"],
    );
}
