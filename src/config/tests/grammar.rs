//! What a right file becomes.

use super::load;
use crate::config::snapshot::{Auth, Endpoint, Keys, LogFormat, Mode, ResponseModel, Snapshot};
use sha2::{Digest, Sha256};
use std::time::Duration;

#[track_caller]
fn ready(text: &str) -> Snapshot {
    match load(text) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => panic!("{:#?}", super::lines(&problems)),
    }
}

const LEAST: &str =
    "providers: { deepseek: { api_key: k } }\nroutes: [{ targets: [{ provider: deepseek }] }]\n";

#[test]
fn the_defaults() {
    let snapshot = ready(LEAST);
    let server = &snapshot.server;
    assert_eq!(server.listen.len(), 1);
    assert_eq!(server.listen[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(
        server.admin.as_ref().unwrap().address.to_string(),
        "127.0.0.1:9090"
    );
    assert_eq!(
        (server.threads, server.max_body, server.buffers),
        (0, 32 << 20, 1 << 30)
    );
    let times = [
        server.header_timeout,
        server.body_timeout,
        server.write_timeout,
        server.keepalive,
        server.drain,
    ];
    assert_eq!(times.map(|time| time.as_secs()), [10, 30, 30, 75, 600]);
    let route = &snapshot.routes[0];
    assert_eq!((&*route.name, route.mode), ("route-1", Mode::Call));
    assert_eq!(route.response_model, ResponseModel::Canonical);
    let retry = &route.retry;
    assert_eq!((retry.attempts, retry.patience.as_secs()), (4, 2));
    assert_eq!(
        retry.backoff,
        (Duration::from_millis(250), Duration::from_secs(2))
    );
    let causes = &retry.causes;
    assert!(causes.connect && causes.timeout && causes.reset && causes.stream);
    assert!(causes.rate_limited && causes.server_error && !causes.content_filter);
    let limits = &route.timeouts;
    let times = [
        limits.connect,
        limits.first_byte,
        limits.first_token,
        limits.idle,
        limits.stall,
        limits.response,
        limits.deadline,
    ];
    assert_eq!(
        times.map(|time| time.as_secs()),
        [2, 60, 60, 30, 120, 600, 900]
    );
    assert!(matches!(snapshot.keys, Keys::Open));
    assert_eq!(
        (snapshot.log.format, snapshot.log.level),
        (LogFormat::Auto, tracing::Level::INFO)
    );
}

#[test]
fn the_server_in_full() {
    let snapshot = ready(&format!(
        "server:
  listen: [127.0.0.1:1, {{ address: \"[::1]:${{PORT}}\" }}]
  admin: {{ address: 127.0.0.1:2, token: t }}
  threads: \"${{THREADS:-4}}\"
  max_body: 1MiB
  drain: 0s
log: {{ format: json, level: debug }}
{LEAST}"
    ));
    let listen: Vec<String> = snapshot
        .server
        .listen
        .iter()
        .map(|listen| listen.address.to_string())
        .collect();
    assert_eq!(listen, ["127.0.0.1:1", "[::1]:8443"]);
    assert_eq!(snapshot.server.admin.unwrap().token.unwrap().expose(), "t");
    assert_eq!(
        (snapshot.server.threads, snapshot.server.max_body),
        (4, 1 << 20)
    );
    assert_eq!(snapshot.log.level, tracing::Level::DEBUG);
    for off in ["off", "\"off\"", "false"] {
        assert!(
            ready(&format!("server: {{ admin: {off} }}\n{LEAST}"))
                .server
                .admin
                .is_none()
        );
        let open = format!("server: {{ listen: 0.0.0.0:80 }}\nauth: {off}\n{LEAST}");
        assert!(matches!(ready(&open).keys, Keys::Open));
    }
}

#[test]
fn the_catalogue_fills_in_and_the_file_overrides() {
    let snapshot = ready(
        "providers:
  siliconflow:
    api_key: k
    endpoints: [chat, models]
    models:
      deepseek/deepseek-r1: { price: { input: 9, output: 9.5, currency: CNY } }
      deepseek/deepseek-v3.2: other-name
      acme/new: { name: new, context: 5, served_as: acme/old }
  azure-openai: { api_key: k, base_url: https://me.openai.azure.com/openai/v1/ }
  ollama: {}
routes: [{ targets: [{ provider: siliconflow }] }]",
    );
    let [silicon, azure, ollama] = snapshot.providers.as_slice() else {
        panic!("three")
    };
    assert_eq!(
        (&*silicon.host, silicon.port, silicon.tls),
        ("api.siliconflow.cn", 443, true)
    );
    assert_eq!(
        (silicon.base_path.as_str(), silicon.client_tls.verify),
        ("/v1", true)
    );
    assert_eq!(silicon.endpoints, [Endpoint::Chat]);
    let Auth::Header { name, value } = silicon.first_key() else {
        panic!("a bearer")
    };
    assert_eq!(
        (name.as_str(), value.as_bytes()),
        ("authorization", &b"Bearer k"[..])
    );
    assert!(value.is_sensitive());
    let r1 = &silicon.models["deepseek/deepseek-r1"];
    assert_eq!(
        (&*r1.name, r1.context),
        ("deepseek-ai/DeepSeek-R1", Some(164_000))
    );
    let price = r1.price.as_ref().unwrap();
    let shown = (price.input.to_string(), price.output.to_string());
    assert_eq!(shown, ("9".to_owned(), "9.5".to_owned()));
    assert_eq!(&*price.currency, "CNY");
    // Under another name it is another model: the catalogue's facts do not hold.
    let v32 = &silicon.models["deepseek/deepseek-v3.2"];
    assert_eq!(
        (&*v32.name, v32.context, v32.price.is_none()),
        ("other-name", None, true)
    );
    assert_eq!(
        silicon.models["acme/new"].served_as.as_deref(),
        Some("acme/old")
    );
    let price = silicon.models["qwen/qwen3-32b"].price.as_ref().unwrap();
    assert_eq!(
        (price.input.to_string().as_str(), price.date.as_deref()),
        ("0.14", Some("2026-07-02"))
    );
    let Auth::Header { name, .. } = azure.first_key() else {
        panic!("a header")
    };
    assert_eq!(
        (name.as_str(), azure.base_path.as_str()),
        ("api-key", "/openai/v1")
    );
    assert!(matches!(ollama.keys.as_slice(), [Auth::None]));
    assert_eq!(ollama.authority, "127.0.0.1:11434");
}

#[test]
fn own_credentials() {
    let snapshot = ready(
        "providers:
  a: { base_url: http://a, auth: { query: { key: a/b c } }, models: { m: m } }
  b: { base_url: http://b, auth: { header: { X-Key: abc } } }
  c: { base_url: http://c, auth: none }
routes: [{ targets: [{ provider: a }] }]",
    );
    let [a, b, c] = snapshot.providers.as_slice() else {
        panic!("three")
    };
    let Auth::Query { pair } = a.first_key() else {
        panic!("a query")
    };
    assert_eq!(pair.expose(), "key=a%2Fb%20c");
    let Auth::Header { name, value } = b.first_key() else {
        panic!("a header")
    };
    assert_eq!((name.as_str(), value.as_bytes()), ("x-key", &b"abc"[..]));
    assert!(matches!(c.keys.as_slice(), [Auth::None]));
}

#[test]
fn defaults_and_routes_merge_field_by_field() {
    let snapshot = ready(
        "providers: { deepseek: { api_key: k } }
defaults:
  timeouts: { idle: 5s, connect: 1s }
  retry: { attempts: 7, for: [429, 401, 429] }
  forward: [X-Team]
  response_model: upstream
routes:
  - match: { path: /a }
    timeouts: { connect: 3s }
    retry: { for: [] }
    targets: [{ provider: deepseek, model: m }]
  - match: { path: /b }
    forward: []
    response_model: canonical
    balance: weighted
    targets: [{ provider: deepseek, model: m }]",
    );
    let [a, b] = snapshot.routes.as_slice() else {
        panic!("two")
    };
    assert_eq!(
        (a.timeouts.idle.as_secs(), a.timeouts.connect.as_secs()),
        (5, 3)
    );
    assert_eq!((a.retry.attempts, a.retry.causes.is_empty()), (7, true));
    assert_eq!(
        (a.forward[0].as_str(), a.response_model),
        ("x-team", ResponseModel::Upstream)
    );
    assert_eq!((b.timeouts.connect.as_secs(), b.forward.len()), (1, 0));
    assert_eq!(
        (b.retry.causes.rate_limited, &b.retry.causes.statuses),
        (true, &vec![401])
    );
    assert_eq!(b.response_model, ResponseModel::Canonical);
}

#[test]
fn who_serves_what() {
    let snapshot = ready(
        "providers:
  one: { base_url: http://one, auth: none, models: { a/x: x1, a/y: { name: y1, context: 9 }, b/z: z1 } }
  two: { base_url: http://two, auth: none, models: { a/x: x2 } }
  own: { base_url: http://own, auth: none }
routes:
  - match: { models: [\"a/*\", c/literal] }
    fallback_models: [b/z]
    targets:
      - { provider: one, weight: 3 }
      - { provider: two }
      - { provider: two, weight: 0 }
      - { provider: own, model: \"any \\\"thing\\\"\", tier: 2, options: { temperature: 0.2, stop: [\"x\"], seed: ~ } }
  - match: { path: /plain }
    targets: [{ provider: one, model: y1 }]
  - match: { path: /files/*, host: Files.Example, keys: [k] }
    mode: stream
    targets: [{ provider: own }]
keys: [{ name: k, secret: s }]",
    );
    let [calls, plain, files] = snapshot.routes.as_slice() else {
        panic!("three")
    };
    let mut ids: Vec<&str> = calls.models.keys().map(|id| &**id).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a/x", "a/y", "b/z", "c/literal"]);
    let names = |id: &str| -> Vec<Vec<&str>> {
        let tiers = &calls.models[id].tiers;
        tiers
            .iter()
            .map(|tier| tier.candidates.iter().map(|c| &*c.upstream_model).collect())
            .collect()
    };
    let own = "any \"thing\"";
    assert_eq!(names("a/x"), [vec!["x1", "x2"], vec![own]]);
    assert_eq!(names("a/y"), [vec!["y1"], vec![own]]);
    // A fallback to another model never means a target that serves one model whatever is asked.
    assert_eq!(names("b/z"), [vec!["z1"]]);
    assert_eq!(names("c/literal"), [vec![own]]);
    let turns: Vec<usize> = (0..4)
        .map(|_| calls.models["a/x"].tiers[0].schedule.next())
        .collect();
    assert_eq!(turns.iter().filter(|turn| **turn == 0).count(), 3);
    let any = &calls.any_model.as_ref().unwrap().tiers;
    assert_eq!((any[0].number, any[0].candidates.len()), (2, 1));
    let candidate = &any[0].candidates[0];
    assert_eq!(&candidate.upstream_json[..], br#""any \"thing\"""#);
    let options = [
        ("temperature", "0.2"),
        ("stop", "[\"x\"]"),
        ("seed", "null"),
    ];
    assert_eq!(
        candidate.target.options,
        options.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    assert_eq!(candidate.target.index, 3);
    assert_eq!(calls.models["a/y"].tiers[0].candidates[0].context, Some(9));
    assert_eq!(
        plain.any_model.as_ref().unwrap().tiers[0].candidates[0].context,
        Some(9)
    );
    assert!(plain.models.is_empty());
    assert_eq!(
        (files.mode, &files.matches.hosts[0].before),
        (Mode::Stream, &"files.example".to_owned())
    );
    assert_eq!(files.targets.len(), 1);
}

#[test]
fn keys_are_known_by_their_hash() {
    let hash = format!("{:x}", Sha256::digest(b"two")).to_uppercase();
    let snapshot = ready(&format!(
        "server: {{ listen: 0.0.0.0:1 }}
keys:
  - {{ name: one, secret: \"${{KEY}}\", models: [\"deepseek/*\"] }}
  - {{ name: two, sha256: {hash} }}
{LEAST}"
    ));
    let Keys::Known(keys) = &snapshot.keys else {
        panic!("keys")
    };
    let find = |secret: &[u8]| keys.get(&<[u8; 32]>::from(Sha256::digest(secret)));
    let one = find(b"sk-from-environment").unwrap();
    assert!(&*one.name == "one" && one.may_use("deepseek/x") && !one.may_use("qwen/x"));
    assert!(&*find(b"two").unwrap().name == "two" && find(b"three").is_none());
}

#[test]
fn anchors_spare_repetition() {
    let snapshot = ready(
        "providers: { deepseek: { api_key: k } }
routes:
  - { match: { path: /a }, retry: &quick { attempts: 2 }, targets: &both [{ provider: deepseek, model: m }] }
  - { match: { path: /b }, retry: *quick, targets: *both }",
    );
    assert_eq!(snapshot.routes[1].retry.attempts, 2);
    assert_eq!(snapshot.routes[1].targets.len(), 1);
}
