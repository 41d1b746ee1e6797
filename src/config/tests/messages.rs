//! A bad file in, exactly these lines out.

use super::{lines, load};
use crate::config::load::load_str;

const ROUTES: &str = "routes: [{ targets: [{ provider: deepseek }] }]\n";
const PROVIDERS: &str = "providers: { deepseek: { api_key: k } }\n";

#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = lines(&load(text).expect_err("nothing was found wrong"));
    assert_eq!(found, expected, "in:\n{text}");
}

/// The line goes before a file that is right without it.
#[track_caller]
pub fn expect_top(line: &str, expected: &[&str]) {
    expect(&format!("{line}\n{PROVIDERS}{ROUTES}"), expected);
}

/// The fields of one provider, `vllm`.
#[track_caller]
pub fn expect_provider(fields: &str, expected: &[&str]) {
    let routes = "routes: [{ targets: [{ provider: vllm, model: m }] }]";
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("o.yaml:1: providers.{line}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect(&format!("providers: {{ {fields} }}\n{routes}"), &expected);
}

/// The fields of the one route.
#[track_caller]
pub fn expect_route(fields: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|line| format!("o.yaml:2: routes[0]{line}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    expect(&format!("{PROVIDERS}routes: [{{ {fields} }}]\n"), &expected);
}

#[test]
fn five_at_once_in_the_order_of_the_file() {
    let text = "\
server:
  max_body: 32
providers:
  siliconflow: { api_key: \"${SF_KEY}\" }
  deepseek: { api_key: \"${KEY}\" }
  openrouter: { api_key: \"${KEY}\" }
routes:
  - name: hybrid
    match: { models: [\"deepseek/*\"] }
    targets:
      - { provider: siliconflow, weight: 3 }
      - { provider: deepseek, priority: 2 }
      - { provider: openruter, tier: 2 }
  - name: never
    match: { models: [deepseek/deepseek-r1] }
    targets: [{ provider: deepseek }]
";
    expect(
        text,
        &[
            "o.yaml:2: server.max_body: `32` has no unit; write a size such as `32MiB` or `1GiB`",
            "o.yaml:4: providers.siliconflow.api_key: the environment variable `SF_KEY` is not \
             set; set it, or write `${SF_KEY:-default}`",
            "o.yaml:12: routes[0].targets[1].priority: systems disagree about the direction of \
             `priority`; write `tier`: the smaller is tried first",
            "o.yaml:13: routes[0].targets[2].provider: unknown provider `openruter`; \
             did you mean `openrouter`?",
            "o.yaml:14: routes[1]: is never reached: routes[0] (`hybrid`) before it takes all it \
             would; move this route up, or narrow one of the two",
        ],
    );
}

#[test]
fn files_without_a_grammar() {
    const EMPTY: &str = "o.yaml:1: the file is empty; it needs at least `providers` and `routes`";
    expect("", &[EMPTY]);
    expect("---\n# nothing\n", &[EMPTY]);
    expect("[]", &["o.yaml:1: expected a mapping, found a list"]);
    expect(
        "hello",
        &["o.yaml:1: expected a mapping, found a single value"],
    );
    expect(
        "{}",
        &[
            "o.yaml:1: providers: missing: at least one provider",
            "o.yaml:1: routes: missing: at least one route",
        ],
    );
    expect(
        "providers: {}\nroutes: []\n",
        &[
            "o.yaml:1: providers: is empty; name at least one provider",
            "o.yaml:2: routes: is empty; give at least one route",
        ],
    );
    expect(
        "providers:\nroutes:\n",
        &[
            "o.yaml:1: providers: is empty; give it a value or leave it out",
            "o.yaml:2: routes: is empty; give it a value or leave it out",
        ],
    );
}

#[test]
fn unknown_fields_and_duplicates() {
    expect_top(
        "sever: {}",
        &["o.yaml:1: sever: unknown field `sever`; did you mean `server`?"],
    );
    expect_top(
        "zebra: off",
        &["o.yaml:1: zebra: unknown field `zebra`; \
           known here: server, providers, routes, defaults, keys, auth, log, traces, currencies, store"],
    );
    expect_top(
        "log: { level: info, level: warn }",
        &["o.yaml:1: log: `level` is given twice; the first one stands"],
    );
    // The field that was meant is not called missing as well.
    expect(
        &format!("provider: {{ deepseek: {{ api_key: k }} }}\n{ROUTES}"),
        &[
            "o.yaml:1: provider: unknown field `provider`; did you mean `providers`?",
            "o.yaml:2: routes[0].targets[0].provider: unknown provider `deepseek`; \
             the catalogue knows it: add it under `providers` with its key",
        ],
    );
}

#[test]
fn server() {
    expect_top(
        "server: { listen: [\":80\", 127.0.0.1:9090, 127.0.0.1:9090] }",
        &[
            "o.yaml:1: server.admin: is the same as `server.listen`: \
             the admin port is one of its own",
            "o.yaml:1: server.listen[0]: `:80` is not an address with a port; write one such as \
             `127.0.0.1:8080`, `0.0.0.0:8080` or `[::1]:8080`",
            "o.yaml:1: server.listen[2]: `127.0.0.1:9090` is listened on already",
        ],
    );
    expect_top(
        "server: { threads: 9999, drain: 20, keepalive: 0s, buffers: 5 B }",
        &[
            "o.yaml:1: server.threads: `9999` is not between 0 and 1024",
            "o.yaml:1: server.drain: `20` has no unit; \
             write a time such as `10s`, `800ms` or `5m`",
            "o.yaml:1: server.keepalive: `0s` is not between 1ms and 1d",
            "o.yaml:1: server.buffers: `5 B` is not a size such as `32MiB` or `1GiB`; \
             the units are B, KB, KiB, MB, MiB, GB, GiB, TiB",
        ],
    );
    expect_top(
        "server: { threads: \"4\", admin: [] }",
        &[
            "o.yaml:1: server.threads: `4` is not a whole number: leave out the quotes",
            "o.yaml:1: server.admin: expected an address such as `127.0.0.1:9090`, \
             {address, token}, or off, found a list",
        ],
    );
    let cert = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    expect_top(
        &format!("server: {{ listen: {{ address: 127.0.0.1:1, tls: {{ cert: {cert} }} }} }}"),
        &[
            "o.yaml:1: server.listen.tls.key: missing: \
             the path of a PEM file with the private key",
            &format!("o.yaml:1: server.listen.tls.cert: `{cert}` holds no certificate in PEM form"),
        ],
    );
    expect_top(
        "server: { listen: { address: 127.0.0.1:1, tls: { cert: /no/such, key: / } } }",
        &[
            "o.yaml:1: server.listen.tls.cert: `/no/such` cannot be read: \
             No such file or directory (os error 2)",
            "o.yaml:1: server.listen.tls.key: `/` cannot be read: it is not a regular file",
        ],
    );
}

#[test]
fn providers() {
    expect_provider(
        "vllm: { models: { a: , b: { context: 5 } } }",
        &[
            "vllm.models.a: is empty; give it a value or leave it out",
            "vllm.models.b.name: missing: the provider's own name for the model",
        ],
    );
    expect_provider(
        "vllm: {}, groq: {}, mine: { base_url: \"http://h\" }, azure-openai: { api_key: k }",
        &[
            "groq.api_key: missing: this provider wants a key",
            "mine.api_key: missing: give a key, or write `auth: none` if it wants none",
            "azure-openai.base_url: missing: each account has its own, \
             such as `https://RESOURCE.openai.azure.com/openai/v1`",
        ],
    );
    expect_provider(
        "vllm: {}, grok: { api_key: k }",
        &[
            "grok.base_url: missing: the catalogue does not know this provider; \
           write one such as `https://api.example.com/v1`; did you mean `groq`?",
        ],
    );
    expect_provider(
        "vllm: { driver: anthropic, endpoints: [chat, chat, embedings], tls: {} }",
        &[
            "vllm.driver: `anthropic` is not known here; write `openai`",
            "vllm.endpoints[1]: is named twice",
            "vllm.endpoints[2]: `embedings` is not known here; write one of `chat`, \
             `completions`, `embeddings`, `responses`, `messages`, `rerank`, `moderations`, \
             `images`, `speech`, `models`; did you mean `embeddings`?",
            "vllm.tls: has no effect on an `http://` base URL; remove it",
        ],
    );
    expect_provider(
        "vllm: { prefill: continue, inject_usage: maybe }",
        &[
            "vllm.prefill: `continue` is not known here; write one of `none`, `assistant`, \
             `prefix`, `partial`, `continue_final_message`",
            "vllm.inject_usage: `maybe` is not true or false",
        ],
    );
    expect_provider(
        "vllm: { prefill: partail }",
        &[
            "vllm.prefill: `partail` is not known here; write one of `none`, `assistant`, \
           `prefix`, `partial`, `continue_final_message`; did you mean `partial`?",
        ],
    );
    expect_provider(
        "vllm: { base_url: \"http://localhost:8080/v1\" }",
        &["vllm.base_url: is where this gateway itself listens"],
    );
    expect_provider(
        "vllm: { base_url: vllm.internal/v1 }",
        &["vllm.base_url: `vllm.internal/v1` is not a URL; \
           write one such as `https://api.example.com/v1`"],
    );
    expect_provider(
        "vllm: { models: { a: { name: a, price: { input: -1, currency: EUR, date: 1.2 } } } }",
        &[
            "vllm.models.a.price.output: missing: a price per million tokens",
            "vllm.models.a.price.input: `-1` is not a price between 0 and 1000000",
            "vllm.models.a.price.currency: `EUR` has no rate; write how much of it a dollar is \
             in `currencies`, such as `currencies: { CNY: 7.3 }`",
            "vllm.models.a.price.date: `1.2` is not a day such as `2026-07-02`",
        ],
    );
    expect_provider(
        "vllm: { models: { a: { name: a, price: { input: .inf, output: 1e400 } } } }",
        &[
            "vllm.models.a.price.input: `.inf` is not a number such as `0.27`",
            "vllm.models.a.price.output: `1e400` is not a price between 0 and 1000000",
        ],
    );
}

#[test]
fn credentials() {
    for (fields, expected) in [
        ("api_key: \"\"", "api_key: is empty"),
        (
            "api_key: k, auth: none",
            "api_key: is never sent with `auth: none`; \
                                    remove one of the two",
        ),
        ("auth: bearer", "api_key: missing: `auth: bearer` sends it"),
        ("auth: {}", "auth: needs one of `header` and `query`"),
        (
            "auth: { header: {} }",
            "auth.header: needs one name with its value, \
                                  such as {api-key: \"${API_KEY}\"}",
        ),
        (
            "auth: { header: { \"a b\": c } }",
            "auth.header: has a name that is no header name",
        ),
        (
            "auth: { header: { Content-Length: 5 } }",
            "auth.header: `content-length` cannot carry a credential; write the header that the \
             provider reads its key from, such as `api-key`",
        ),
        (
            "auth: { header: { transfer-encoding: chunked } }",
            "auth.header: `transfer-encoding` cannot carry a credential; write the header that \
             the provider reads its key from, such as `api-key`",
        ),
        ("auth: { query: { key: \"\" } }", "auth.query.key: is empty"),
        (
            "auth: { heder: { a: b } }",
            "auth.heder: unknown field `heder`; did you mean `header`?",
        ),
        (
            "api_key: k, auth: { header: { a: b } }",
            "api_key: is never sent beside an `auth` with \
                                                    a value of its own; remove one of the two",
        ),
        (
            "api_key: \"${NEWLINE}\"",
            "api_key: has a character that no header carries, \
                                     such as a line break or a space at its end",
        ),
    ] {
        let fields = format!("vllm: {{ {fields} }}");
        expect_provider(&fields, &[&format!("vllm.{expected}")]);
    }
}

#[test]
fn matches() {
    const T: &str = "targets: [{ provider: deepseek }]";
    expect_route(
        &format!("match: {{ models: [\"a*b*\", \"\"], path: v1, host: \"h:80\" }}, {T}"),
        &[
            ".match.models[0]: `a*b*` has more than one `*`",
            ".match.models[1]: `` is empty; leave it out to match anything",
            ".match.path: `v1` does not begin with `/`",
            ".match.host: `h:80` is not a host; write it without scheme, port and path",
        ],
    );
    expect_route(
        &format!("match: {{ headers: {{ \"x y\": z }}, keys: [mobile] }}, {T}"),
        &[
            ".match.headers[\"x y\"]: stands under a name that is no header name",
            ".match.keys[0]: unknown key `mobile`",
        ],
    );
    expect_route(
        "match: { models: [gpt-5] }, targets: [{ provider: deepseek }]",
        &[
            ".targets[0]: `deepseek` serves none of this route's models; name one with `model`, \
           or declare it in `providers.deepseek.models`",
        ],
    );
    expect_route(
        "match: { models: [deepseek/deepsek-r1] }, targets: [{ provider: deepseek }]",
        &[
            ".targets[0]: `deepseek` serves none of this route's models; name one with `model`, \
           or declare it in `providers.deepseek.models`; did you mean `deepseek/deepseek-r1`?",
        ],
    );
}

#[test]
fn targets() {
    expect_route("name: a", &[".targets: missing: at least one target"]);
    expect_route(
        "targets: []",
        &[".targets: is empty; name at least one target"],
    );
    expect_route(
        "targets: [{ weight: 0 }, { provider: deepseek, tier: 0, weight: 1001 }]",
        &[
            ".targets[0].provider: missing: the name of one under `providers`",
            ".targets[1].tier: `0` is not between 1 and 1000",
            ".targets[1].weight: `1001` is not between 0 and 1000",
        ],
    );
    expect_route(
        "targets: [{ provider: deepseek }, { provider: deepseek, tier: 2, weight: 0 }]",
        &[".targets[1].weight: tier 2 has no target with a weight above 0"],
    );
    expect_route(
        "targets: [{ provider: deepseek, options: { model: x, stream: true } }]",
        &[
            ".targets[0].options.model: write `model` on the target itself",
            ".targets[0].options.stream: only the caller decides whether to stream",
        ],
    );
    expect_route(
        "targets: [{ provdier: deepseek }, 5]",
        &[
            ".targets[0].provdier: unknown field `provdier`; did you mean `provider`?",
            ".targets[1]: expected a mapping, found a single value",
        ],
    );
}

#[test]
fn policies() {
    const T: &str = "targets: [{ provider: deepseek }]";
    expect_route(
        &format!("{T}, retry: {{ for: [conect, 200], attempts: 0, backoff: 2s..1s }}"),
        &[
            ".retry.for[0]: `conect` is not known here; write one of `connect`, `timeout`, \
             `reset`, `429`, `5xx`, `stream`, `content_filter`, `400 to 599`; \
             did you mean `connect`?",
            ".retry.for[1]: `200` is not known here; write one of `connect`, `timeout`, \
             `reset`, `429`, `5xx`, `stream`, `content_filter`, `400 to 599`",
            ".retry.attempts: `0` is not between 1 and 100",
            ".retry.backoff: `2s..1s` is backwards: the smaller time comes first",
        ],
    );
    expect_route(
        &format!("{T}, balance: rankd, timeouts: {{ idle: 5, deadline: 2d }}"),
        &[
            ".balance: `rankd` is not known here; write one of `weighted`, `fastest`, \
             `least_busy`, `cheapest`, `sticky`, `ranked`; did you mean `ranked`?",
            ".timeouts.idle: `5` has no unit; write a time such as `10s`, `800ms` or `5m`",
            ".timeouts.deadline: `2d` is not between 1ms and 1d",
        ],
    );
    expect_route(
        &format!("{T}, timeouts: {{ first_token: 0s, stall: 2d, first_tokn: 5s }}"),
        &[
            ".timeouts.first_token: `0s` is not between 1ms and 1d",
            ".timeouts.stall: `2d` is not between 1ms and 1d",
            ".timeouts.first_tokn: unknown field `first_tokn`; did you mean `first_token`?",
        ],
    );
    expect_route(
        &format!("{T}, stream: {{ ping: 0s, ping_before_commit: yes, resume: prefil }}"),
        &[
            ".stream.ping: `0s` would ping without a pause; write `off` for no pings",
            ".stream.ping_before_commit: `yes` is not true or false",
            ".stream.resume: `prefil` is not known here; \
             write one of `prefill`, `auto`, `off`; did you mean `prefill`?",
        ],
    );
    for (ping, expected) in [
        (
            "offf",
            "`offf` is not known here; write one of `off`, `a time such as 15s`; \
             did you mean `off`?",
        ),
        (
            "true",
            "`true` is not known here; write one of `off`, `a time such as 15s`",
        ),
        (
            "15",
            "`15` has no unit; write a time such as `10s`, `800ms` or `5m`",
        ),
        ("2d", "`2d` is not between 1ms and 1d"),
    ] {
        expect_route(
            &format!("{T}, stream: {{ ping: {ping} }}"),
            &[&format!(".stream.ping: {expected}")],
        );
    }
    expect_route(
        &format!("{T}, stream: {{ pings: 1s }}"),
        &[".stream.pings: unknown field `pings`; did you mean `ping`?"],
    );
    expect_route(
        &format!("{T}, stream: off"),
        &[".stream: expected a mapping, found a single value"],
    );
    expect_route(
        &format!("{T}, forward: [x-team, Cookie, \"a b\", x-overspill-tags]"),
        &[
            ".forward[1]: `Cookie` never goes upstream; remove it",
            ".forward[2]: `a b` is not a header name",
            ".forward[3]: `x-overspill-tags` never goes upstream; remove it",
        ],
    );
    expect_route(
        &format!("{T}, fallback_models: [qwen/qwen3-32b, deepseek/deepsek-r1]"),
        &[
            ".fallback_models[0]: no target of this route serves `qwen/qwen3-32b`",
            ".fallback_models[1]: no target of this route serves `deepseek/deepsek-r1`; \
             did you mean `deepseek/deepseek-r1`?",
        ],
    );
    expect_top(
        "defaults: { timeouts: { idle: 0s }, fallback_models: [gpt-5], mode: call }",
        &[
            "o.yaml:1: defaults.timeouts.idle: `0s` is not between 1ms and 1d",
            "o.yaml:1: defaults.fallback_models[0]: no route serves `gpt-5`",
            "o.yaml:1: defaults.mode: unknown field `mode`; known here: \
             retry, timeouts, stream, forward, fallback_models, response_model, balance, sticky, \
             max_price, regions, data, quantizations, prefer, require, order",
        ],
    );
}

#[test]
fn stream_routes() {
    expect_route(
        "mode: stream, match: { models: [a] }, response_model: upstream, stream: { ping: off }, \
         targets: [{ provider: deepseek, model: x, options: { a: 1 } }]",
        &[
            ".match.models: `mode: stream` never reads the body, so it cannot see the model; \
             match by path, host, headers or keys",
            ".response_model: has no effect with `mode: stream`, \
             which passes bodies as they are; remove it",
            ".stream: has no effect with `mode: stream`, \
             which passes bodies as they are; remove it",
            ".targets[0].model: has no effect with `mode: stream`, \
             which passes bodies as they are; remove it",
            ".targets[0].options: has no effect with `mode: stream`, \
             which passes bodies as they are; remove it",
        ],
    );
}

#[test]
fn hidden_routes() {
    let hidden = |earlier: &str, later: &str| {
        let text = format!(
            "{PROVIDERS}routes:\n\
             - {{ match: {{ {earlier} }}, targets: [{{ provider: deepseek, model: m }}] }}\n\
             - {{ match: {{ {later} }}, targets: [{{ provider: deepseek, model: m }}] }}\n\
             keys: [{{ name: a, secret: a }}, {{ name: b, secret: b }}]\n"
        );
        match load(&text) {
            Ok(_) => false,
            Err(problems) => {
                let found = lines(&problems);
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].starts_with("o.yaml:4: routes[1]: is never reached: routes[0]"));
                true
            }
        }
    };
    for (earlier, later) in [
        ("", "models: [x]"),
        ("", "path: /v1/chat/completions"),
        ("models: [\"a/*\"]", "models: [a/b, \"a/c*\"]"),
        ("models: [\"*\"]", "models: [x], host: h"),
        ("path: /v1/*", "models: [x]"),
        ("path: /a/*", "path: /a/b"),
        ("host: [\"*.x\", y]", "host: Y"),
        ("headers: { X-A: \"*\" }", "headers: { x-a: b, x-c: d }"),
        ("keys: [a, b]", "keys: [b]"),
    ] {
        assert!(hidden(earlier, later), "{earlier} | {later}");
    }
    for (earlier, later) in [
        ("models: [x]", ""),
        ("", "path: /deepseek"),
        ("", "path: /v1/audio/*"),
        ("models: [\"a/*\"]", "models: [a/b, b/b]"),
        ("path: /v1/chat/*", "models: [x]"),
        ("models: [x], host: h", "models: [x]"),
        ("headers: { x-a: b }", "headers: { x-a: \"*\" }"),
        ("keys: [a]", "keys: [a, b]"),
        ("keys: [a]", ""),
    ] {
        assert!(!hidden(earlier, later), "{earlier} | {later}");
    }
}

#[test]
fn keys() {
    expect_top(
        "keys: [{ name: a }, { secret: \"\" }, { name: a, secret: x, sha256: y }, { name: \"b c\", secret: x y }]",
        &[
            "o.yaml:1: keys[0].secret: missing: give `secret` or `sha256`",
            "o.yaml:1: keys[1].name: missing: the name by which logs call this key",
            "o.yaml:1: keys[1].secret: is empty",
            "o.yaml:1: keys[2].name: `a` is the name of keys[0] already",
            "o.yaml:1: keys[2].sha256: stands beside `secret`; remove one of the two",
            "o.yaml:1: keys[3].name: `b c` is not a name: up to 256 letters, digits and signs, \
             without spaces, quotes, commas or `*`",
            "o.yaml:1: keys[3].secret: has spaces or other characters that no bearer token has",
        ],
    );
    expect_top(
        "keys: [{ name: a, secret: x }, { name: b, secret: x }, { name: c, sha256: 12ab }]",
        &[
            "o.yaml:1: keys[1].secret: is the same secret as that of a key before it",
            "o.yaml:1: keys[2].sha256: is not a SHA-256: 64 hexadecimal digits",
        ],
    );
    expect_top(
        "server: { listen: 0.0.0.0:8080 }",
        &[
            "o.yaml:1: server.listen: the data port would be open to the network without keys; \
           give `keys`, or write `auth: off` if that is meant",
        ],
    );
    expect_top(
        "{ auth: off, keys: [{ name: a, secret: x }] }",
        &["o.yaml:2: not valid YAML: did not find expected <document start>"],
    );
    expect_top(
        "keys: [{ name: a, secret: x }]\nauth: off",
        &[
            "o.yaml:2: auth: keys are given, and `auth: off` asks for none; \
           remove one of the two",
        ],
    );
    expect_top(
        "auth: on",
        &["o.yaml:1: auth: the value is not known here; write `off`"],
    );
}

#[test]
fn a_file_that_cannot_be_read() {
    let env = |_: &str| None;
    let missing = super::super::load::load(std::path::Path::new("/no/such.yaml"), &env);
    let expected = "/no/such.yaml:1: cannot be read: No such file or directory (os error 2)";
    assert_eq!(lines(&missing.unwrap_err()), [expected]);
    let path = std::env::temp_dir().join(format!("overspill-utf8-{}", std::process::id()));
    std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    let found = lines(&super::super::load::load(&path, &env).unwrap_err());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found, [format!("{}:2: not valid UTF-8", path.display())]);
}

#[test]
fn errors_have_an_end() {
    let many: String = (0..500).map(|n| format!("field{n}: x\n")).collect();
    assert_eq!(load_str(&many, "m", &|_| None).unwrap_err().len(), 100);
}
