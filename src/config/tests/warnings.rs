use super::{lines, load, load_on};

#[track_caller]
fn warned(text: &str) -> Vec<String> {
    lines(
        &load(text)
            .unwrap_or_else(|problems| panic!("{:?}", lines(&problems)))
            .warnings,
    )
}

#[test]
fn a_plain_file_has_none() {
    let text =
        "providers: { deepseek: { api_key: k } }\nroutes: [{ targets: [{ provider: deepseek }] }]";
    assert_eq!(warned(text), [""; 0]);
}

#[test]
fn suspicious_but_legal() {
    let text = "\
server: { admin: 0.0.0.0:9090, max_body: 2GiB }
providers:
  a: { base_url: https://a.example, api_key: k, tls: { verify: false } }
  b: { base_url: http://b.example, api_key: k }
  c: { base_url: http://127.0.0.1:1, api_key: k, models: { m: { name: m, price: { input: 1, output: 1, date: 2025-07-31 } } } }
routes:
  - match: { path: /a }
    retry: { for: [] }
    targets: [{ provider: a, model: m }, { provider: b, model: m, tier: 2 }]
  - match: { models: [m, n] }
    targets: [{ provider: c }]
  - match: { models: [o] }
    retry: { for: [] }
    targets: [{ provider: a, model: m }, { provider: b, model: m }]
";
    assert_eq!(
        warned(text),
        [
            "o.yaml:1: server.buffers: is smaller than `max_body`: \
             bodies between the two are always refused",
            "o.yaml:1: server.admin: is open to the network without a token; \
             write {address, token} to ask for one",
            "o.yaml:3: providers.a.tls.verify: the provider's certificate is not verified: \
             whoever answers in its place gets the key and every request",
            "o.yaml:4: providers.b.base_url: the key goes over the network in plain text; \
             use `https://`",
            "o.yaml:5: providers.c.models.m.price.date: the price is over a year old",
            "o.yaml:7: routes[0]: `retry.for` is empty: a later tier is never reached",
            "o.yaml:10: routes[1].match.models[1]: no target of this route serves `n`",
        ]
    );
}

#[test]
fn the_catalogue_grows_old_too() {
    let text =
        "providers: { deepseek: { api_key: k } }\nroutes: [{ targets: [{ provider: deepseek }] }]";
    assert_eq!(
        lines(&load_on(text, "2027-07-03").unwrap().warnings),
        [
            "o.yaml:1: providers.deepseek: the catalogue's prices for it are of 2026-07-02, \
          over a year old"
        ]
    );
    assert!(load_on(text, "2027-07-02").unwrap().warnings.is_empty());
}

#[test]
fn what_a_stream_waits_for() {
    let text = "\
providers: { deepseek: { api_key: k } }
defaults:
  timeouts: { first_token: 2m, deadline: 1m }
  stream: { ping_before_commit: true }
routes:
  - match: { path: /a }
    timeouts: { deadline: 5s }
    stream: { ping: off }
    targets: [{ provider: deepseek, model: m }]
  - match: { path: /b }
    timeouts: { first_token: 61s }
    stream: { ping: off, ping_before_commit: true }
    targets: [{ provider: deepseek, model: m }]
  - match: { path: /c }
    timeouts: { first_token: 1m }
    stream: { ping: off, ping_before_commit: false }
    targets: [{ provider: deepseek, model: m }]
";
    let no_pings = "`ping_before_commit: true` has no effect with `ping: off`";
    assert_eq!(
        warned(text),
        [
            "o.yaml:3: defaults.timeouts.first_token: is longer than `deadline` (1m), \
             which ends the wait first",
            &format!("o.yaml:8: routes[0].stream.ping: {no_pings}"),
            "o.yaml:11: routes[1].timeouts.first_token: is longer than `deadline` (1m), \
             which ends the wait first",
            &format!("o.yaml:12: routes[1].stream.ping_before_commit: {no_pings}"),
        ]
    );
}

#[test]
fn pings_off_for_all_are_told_of_once() {
    let text = "\
providers: { deepseek: { api_key: k } }
defaults: { stream: { ping: off, ping_before_commit: true } }
routes:
  - { match: { path: /a }, targets: [{ provider: deepseek, model: m }] }
  - { match: { path: /b }, stream: { ping: 5s }, targets: [{ provider: deepseek, model: m }] }
";
    assert_eq!(
        warned(text),
        ["o.yaml:2: defaults.stream.ping_before_commit: \
          `ping_before_commit: true` has no effect with `ping: off`"]
    );
}

#[test]
fn a_resume_that_nobody_can_carry_out_is_the_default() {
    let text = "\
providers: { openai: { api_key: k }, groq: { api_key: k } }
routes:
  - stream: { resume: prefill }
    targets: [{ provider: openai, model: m }, { provider: groq, model: m, tier: 2 }]
";
    assert_eq!(warned(text), [""; 0]);
}
