//! `traces`.

use super::messages::expect_top;
use super::{lines, load};
use crate::config::snapshot::Traces;

const REST: &str = "
providers: { deepseek: { api_key: k } }
routes: [{ targets: [{ provider: deepseek }] }]
";

fn traces(line: &str) -> (Option<Traces>, Vec<String>) {
    let loaded = load(&format!("{line}\n{REST}")).unwrap();
    (loaded.snapshot.traces, lines(&loaded.warnings))
}

#[test]
fn an_address_is_enough() {
    let (found, warnings) = traces("traces: { otlp: 'http://127.0.0.1:4318' }");
    let found = found.unwrap();
    assert_eq!(
        (found.tls, &*found.host, found.port),
        (false, "127.0.0.1", 4318)
    );
    assert_eq!(
        (found.path.as_str(), &*found.service),
        ("/v1/traces", "overspill")
    );
    assert_eq!(found.sample, 1.0);
    assert!(found.headers.is_empty());
    assert_eq!(warnings, [""; 0]);
    assert!(traces("").0.is_none());
}

#[test]
fn all_that_can_be_said() {
    let (found, warnings) = traces(
        "traces: { otlp: 'https://otel.example/in/', sample: 2.5%, service: edge, \
         headers: { authorization: 'Bearer ${KEY}', X-Scope-OrgID: tenant } }",
    );
    let found = found.unwrap();
    assert_eq!((found.tls, found.port), (true, 443));
    assert_eq!(found.path, "/in/v1/traces");
    assert_eq!(found.authority, "otel.example");
    assert_eq!((found.sample, &*found.service), (0.025, "edge"));
    let headers: Vec<_> = found
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(headers, ["authorization", "x-scope-orgid"]);
    assert_eq!(found.headers[0].1, "Bearer sk-from-environment");
    assert!(found.headers.iter().all(|(_, value)| value.is_sensitive()));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn what_is_legal_and_looks_wrong() {
    let (_, warnings) = traces("traces: { otlp: 'http://otel.example:4317', headers: { a: b } }");
    assert_eq!(
        warnings,
        [
            "o.yaml:1: traces.otlp: the `headers` go over the network in plain text; \
             use `https://`",
            "o.yaml:1: traces.otlp: 4317 is usually the port for gRPC, which is not spoken here; \
             OTLP over HTTP has 4318",
        ]
    );
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    for (fields, wrong) in [
        (
            "sample: 10%",
            "traces.otlp: missing: write a collector's address such as `http://127.0.0.1:4318`",
        ),
        (
            "otlp: 'localhost:4318'",
            "traces.otlp: `localhost:4318` does not begin with `https://` or `http://`; \
             write one such as `http://127.0.0.1:4318`",
        ),
        (
            "otlp: 'grpc://a:4317'",
            "traces.otlp: `grpc://a:4317` does not begin with `https://` or `http://`; \
             write one such as `http://127.0.0.1:4318`",
        ),
        (
            "otlp: 'http://a:4318/v1/traces'",
            "traces.otlp: `http://a:4318/v1/traces` ends in `/v1/traces`, which is added to it; \
             leave that out",
        ),
        (
            "otlp: 'http://user:pass@a:4318'",
            "traces.otlp: the value has a user or password in it, which belongs in `headers`",
        ),
        (
            "otlp: 'http://a', headers: { Host: x }",
            "traces.headers.Host: is set by the gateway itself; leave it out",
        ),
        (
            "otlp: 'http://a', headers: { a: x, A: y }",
            "traces.headers.A: is given twice; leave one of them out",
        ),
        (
            "otlp: 'http://a', headers: { a: '' }",
            "traces.headers.a: is empty",
        ),
        (
            "otlp: 'http://a', headers: { 'a b': x }",
            "traces.headers: has a name that is no header name",
        ),
        (
            "otlp: 'http://a', sample: 0.1",
            "traces.sample: `0.1` has no unit; write a percentage such as `20%`",
        ),
        (
            "otlp: 'http://a', sample: 101%",
            "traces.sample: `101%` is more than the whole; write a percentage up to `100%`",
        ),
        (
            "otlp: 'http://a', service: ''",
            "traces.service: `` is not a service's name: up to 256 characters on one line",
        ),
        (
            "otlp: 'http://a', smaple: 1%",
            "traces.smaple: unknown field `smaple`; did you mean `sample`?",
        ),
    ] {
        expect_top(
            &format!("traces: {{ {fields} }}"),
            &[&format!("o.yaml:1: {wrong}")],
        );
    }
}

#[test]
fn its_headers_are_secrets_and_others_are_not() {
    let text = "
traces: { otlp: 'http://127.0.0.1:4318', headers: { authorization: sk-of-the-collector } }
providers: { deepseek: { api_key: k } }
routes: [{ match: { headers: { x-team: blue } }, targets: [{ provider: deepseek }] }]
";
    let loaded = load(text).unwrap();
    assert_eq!(loaded.shown["traces"]["headers"]["authorization"], "***");
    assert_eq!(loaded.shown["traces"]["otlp"], "http://127.0.0.1:4318");
    assert_eq!(
        loaded.shown["routes"][0]["match"]["headers"]["x-team"],
        "blue"
    );
    assert!(!format!("{loaded:?}").contains("sk-of-the-collector"));
    // Where it stands a second time, and where it cannot be sent.
    for wrong in [
        "traces: { otlp: sk-of-the-collector, headers: { a: sk-of-the-collector } }",
        "traces: { otlp: 'http://a', headers: { a: \"sk-of-the-collector\\n\" } }",
        "traces: { otlp: 'http://a', headers: { sk-of-the-collector x: a } }",
        "traces: { otlp: 'http://a', headers: sk-of-the-collector }",
        "traces: { otlp: 'http://a', headers: { a: [sk-of-the-collector] } }",
    ] {
        let problems = load(&format!("{wrong}\n{REST}")).unwrap_err();
        let said = lines(&problems).join("\n");
        assert!(!said.contains("sk-of-the-collector"), "{wrong}: {said}");
    }
}
