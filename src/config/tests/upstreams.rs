//! What a file says of a provider becomes: its keys, places, limits, breaker and checks.

use super::{lines, load};
use crate::config::snapshot::{
    Address, Auth, Breaker, ClientTls, Health, Limits, Probe, Provider, Snapshot,
};
use std::sync::Arc;
use std::time::Duration;

#[track_caller]
fn ready(text: &str) -> Snapshot {
    match load(text) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => panic!("{:#?}", lines(&problems)),
    }
}

/// Of one provider, `vllm`, with these fields.
#[track_caller]
fn provider(fields: &str) -> Arc<Provider> {
    let snapshot = ready(&format!(
        "providers: {{ vllm: {{ {fields} }} }}\n\
         routes: [{{ targets: [{{ provider: vllm, model: m }}] }}]"
    ));
    snapshot.providers[0].clone()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_defaults() {
    let vllm = provider("");
    assert!(matches!(vllm.keys.as_slice(), [Auth::None]));
    assert!(vllm.limits.is_empty() && vllm.addresses.is_empty());
    assert!(vllm.health.is_none() && vllm.proxy.is_none());
    let breaker = Breaker {
        failures: 0.5,
        window: 30 * SECOND,
        last: 20,
        minimum: 10,
        interval: 5 * SECOND,
    };
    assert_eq!(vllm.breaker, Some(breaker));
    let tls = ClientTls {
        verify: true,
        ca: None,
        cert: None,
    };
    assert_eq!(vllm.client_tls, tls);
}

#[test]
fn the_designs_example() {
    let snapshot = ready(
        r#"
server:
  listen: 127.0.0.1:8080
  admin: 127.0.0.1:9090
  retry_budget: 20%
providers:
  deepseek: { api_key: "${KEY}" }
  siliconflow:
    api_keys: ["${SF_KEY_1:-one}", "${SF_KEY_2:-two}"]
    limits: { concurrency: 200, rpm: 10000, tpm: 2000000 }
    breaker: { failures: 50%, window: 30s, last: 20, minimum: 10, interval: 5s }
  openrouter: { api_key: "${KEY}" }
  vllm:
    driver: openai
    base_url: http://vllm.internal:8000/v1
    addresses: [{ address: 10.0.0.5:8000, weight: 2 }, 10.0.0.6:8000]
    auth: none
    models:
      qwen/qwen3-32b: { name: Qwen/Qwen3-32B, price: { input: 0, output: 0 }, context: 131072 }
    health: { path: /health, expect: [200], interval: 5s, timeout: 1s, unhealthy_after: 3, healthy_after: 2 }
routes:
  - name: deepseek-hybrid
    match: { models: ["deepseek/*"] }
    targets:
      - { provider: siliconflow, weight: 3 }
      - { provider: deepseek, weight: 1 }
      - { provider: openrouter, tier: 2 }
    balance: weighted
  - name: deepseek-path
    match: { path: /deepseek }
    targets: [{ provider: deepseek, model: deepseek-chat, options: { temperature: 0.2 } }]
defaults:
  balance: weighted
"#,
    );
    assert_eq!(snapshot.server.retry_budget, 0.2);
    let [_, silicon, _, vllm] = snapshot.providers.as_slice() else {
        panic!("four")
    };
    let limits = Limits {
        concurrency: Some(200),
        rpm: Some(10_000),
        tpm: Some(2_000_000),
    };
    assert_eq!((silicon.keys.len(), silicon.limits), (2, limits));
    let address = |host: &str, weight| Address {
        host: host.to_owned(),
        port: 8000,
        weight,
    };
    assert_eq!(
        vllm.addresses,
        [address("10.0.0.5", 2), address("10.0.0.6", 1)]
    );
    let health = Health {
        probe: Probe::Http {
            path: "/health".to_owned(),
            expect: vec![200],
        },
        interval: 5 * SECOND,
        timeout: SECOND,
        unhealthy_after: 3,
        healthy_after: 2,
    };
    assert_eq!(vllm.health, Some(health));
}

#[test]
fn a_retry_budget() {
    let rest = "providers: { vllm: {} }\nroutes: [{ targets: [{ provider: vllm, model: m }] }]";
    let budget = |text: &str| ready(&format!("{text}\n{rest}")).server.retry_budget;
    assert_eq!(budget(""), 0.2);
    assert_eq!(budget("server: { retry_budget: 0% }"), 0.0);
    assert_eq!(budget("server: { retry_budget: 12.5% }"), 0.125);
}

#[test]
fn a_pool_of_keys() {
    let sent = |provider: &Provider| -> Vec<String> {
        let value = |key: &Auth| match key {
            Auth::Header { name, value } => {
                assert!(value.is_sensitive());
                format!("{name}: {}", value.to_str().unwrap())
            }
            other => panic!("{other:?}"),
        };
        provider.keys.iter().map(value).collect()
    };
    let pool = provider("api_keys: [one, \"${KEY}\"]");
    let expected = [
        "authorization: Bearer one",
        "authorization: Bearer sk-from-environment",
    ];
    assert_eq!(sent(&pool), expected);
    let secrets: Vec<&str> = pool.secrets.iter().map(|secret| secret.expose()).collect();
    assert_eq!(secrets, ["one", "sk-from-environment"]);
    assert_eq!(
        sent(&provider("api_keys: [a], auth: bearer")),
        ["authorization: Bearer a"]
    );
    let snapshot = ready(
        "providers: { azure-openai: { api_keys: [a, b], base_url: https://me.example/v1 } }\n\
         routes: [{ targets: [{ provider: azure-openai, model: m }] }]",
    );
    assert_eq!(sent(&snapshot.providers[0]), ["api-key: a", "api-key: b"]);
}

#[test]
fn limits_of_a_target_are_its_own() {
    let snapshot = ready(
        "providers: { vllm: { limits: { concurrency: 9 } } }
routes:
  - targets: [{ provider: vllm, model: m, limits: { tpm: 5 } }, { provider: vllm, model: m, tier: 2 }]",
    );
    let [first, second] = snapshot.routes[0].targets.as_slice() else {
        panic!("two")
    };
    assert_eq!(
        (first.limits.tpm, first.limits.concurrency),
        (Some(5), None)
    );
    assert!(second.limits.is_empty());
    assert_eq!(first.provider.limits.concurrency, Some(9));
}

#[test]
fn a_breaker_in_part_and_off() {
    let breaker = |fields: &str| provider(&format!("breaker: {fields}")).breaker;
    for off in ["off", "\"off\"", "false"] {
        assert_eq!(breaker(off), None, "{off}");
    }
    let open = breaker("{ failures: 100%, last: 5 }").unwrap();
    assert_eq!((open.failures, open.last, open.minimum), (1.0, 5, 5));
    assert_eq!(breaker("{}").unwrap().minimum, 10);
}

#[test]
fn addresses_by_name() {
    let vllm = provider("addresses: [{ address: \"[0:0::1]:${PORT}\", weight: 0 }, Replica-1:80]");
    let found: Vec<(&str, u16, u32)> = vllm
        .addresses
        .iter()
        .map(|address| (address.host.as_str(), address.port, address.weight))
        .collect();
    assert_eq!(found, [("::1", 8443, 0), ("replica-1", 80, 1)]);
}

#[test]
fn checks_by_connection() {
    let health = |fields: &str| {
        provider(&format!("health: {fields}"))
            .health
            .clone()
            .unwrap()
    };
    let plain = health("tcp");
    assert_eq!((&plain.probe, plain.interval), (&Probe::Tcp, 5 * SECOND));
    assert_eq!((plain.unhealthy_after, plain.healthy_after), (3, 2));
    // A short interval shortens the timeout that is not written.
    let quick = health("{ tcp: true, interval: 500ms }");
    assert_eq!((&quick.probe, quick.timeout), (&Probe::Tcp, SECOND / 2));
    let path = health("{ tcp: false, path: \"/a?b=c\", expect: [204, 200] }");
    let probe = Probe::Http {
        path: "/a?b=c".to_owned(),
        expect: vec![204, 200],
    };
    assert_eq!((path.probe, path.timeout), (probe, SECOND));
}

#[test]
fn out_through_a_proxy() {
    let proxy = provider("proxy: \"http://user:pass@Proxy.internal:3128\"")
        .proxy
        .clone();
    let proxy = proxy.unwrap();
    assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.internal", 3128));
    assert_eq!(proxy.authorization.unwrap().expose(), "Basic dXNlcjpwYXNz");
}

#[test]
fn certificates_of_ones_own() {
    let name = format!("overspill-client-tls-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|file| directory.join(file));
    std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let tls = provider(&format!(
        "base_url: https://vllm.internal/v1, \
         tls: {{ ca: {c}, cert: {c}, key: {k} }}",
        c = cert.display(),
        k = key.display()
    ))
    .client_tls
    .clone();
    std::fs::remove_dir_all(&directory).unwrap();
    let expected = ClientTls {
        verify: true,
        ca: Some(cert.clone()),
        cert: Some((cert, key)),
    };
    assert_eq!(tls, expected);
}

#[test]
fn a_base_url_beside_addresses_is_only_a_name() {
    let text = |fields: &str| {
        format!(
            "providers: {{ vllm: {{ base_url: http://{fields} }} }}\n\
             routes: [{{ targets: [{{ provider: vllm, model: m }}] }}]"
        )
    };
    let warned = |fields: &str| lines(&load(&text(fields)).unwrap().warnings).len();
    assert_eq!(warned("127.0.0.1:8080, addresses: [10.0.0.5:80]"), 0);
    // Whether a key is sent in plain text is judged by where it goes.
    assert_eq!(warned("10.0.0.5:80, api_key: k"), 1);
    assert_eq!(
        warned("10.0.0.5:80, api_key: k, addresses: [127.0.0.1:1]"),
        0
    );
    assert_eq!(
        warned("localhost:80, api_key: k, addresses: [10.0.0.5:80]"),
        1
    );
    assert_eq!(
        warned("localhost:80, api_key: k, proxy: http://10.0.0.1:1"),
        1
    );
}
