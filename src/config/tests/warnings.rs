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
