//! Nothing said about a file shows a secret in it, or what a reference brought.

use super::{lines, load};
use crate::config::problem::Problem;

const SECRET: &str = "sk-0123456789abcdef";

fn said(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n{problem:?}\n"))
        .collect()
}

#[test]
fn no_message_shows_a_secret() {
    let templates = [
        "providers: { deepseek: SECRET }",
        "providers: { deepseek: [SECRET] }",
        "providers: { deepseek: { api_key: [SECRET] } }",
        "providers: { deepseek: { api_key: { a: SECRET } } }",
        "providers: { deepseek: { api_keys: [SECRET] } }",
        "providers: { deepseek: { api_keys: SECRET } }",
        "providers: { deepseek: { api_keys: [SECRET, SECRET] } }",
        "providers: { deepseek: { api_keys: [\"SECRET\\n\"] } }",
        "providers: { deepseek: { api_keys: [{ SECRET: a }] } }",
        "providers: { deepseek: { proxy: SECRET } }",
        "providers: { deepseek: { proxy: \"http://user:SECRET@host\" } }",
        "providers: { deepseek: { proxy: [\"http://user:SECRET@host:1\"] } }",
        "providers: { deepseek: { api_key: \"SECRET\\n\" } }",
        "providers: { deepseek: { api_key: SECRET, auth: SECRET } }",
        "providers: { deepseek: { auth: { header: SECRET } } }",
        "providers: { deepseek: { auth: { header: { a: \"SECRET\\n\" } } } }",
        "providers: { deepseek: { auth: { header: { a: SECRET, b: SECRET } } } }",
        "providers: { deepseek: { auth: { query: [SECRET] } } }",
        "providers: { vllm: { base_url: \"https://user:SECRET@host/v1\" } }",
        "keys: [SECRET]",
        "keys: [{ name: a, secret: \"SECRET SECRET\" }]",
        "keys: [{ name: a, sha256: SECRET }]",
        "keys: SECRET",
        "server: { admin: { address: 0.0.0.0:1, token: \"SECRET x\" } }",
        "auth: SECRET",
        // The same secret a second time, where none belongs.
        "keys: [{ name: a, secret: SECRET }]\nroutes: [{ targets: [{ provider: SECRET }] }]",
        "keys: [{ name: a, secret: SECRET }]\nSECRET: x",
    ];
    for template in templates {
        let text = template.replace("SECRET", SECRET);
        let problems = load(&text).unwrap_err();
        let said = said(&problems);
        assert!(!said.contains(SECRET), "{template}: {said}");
        assert!(!problems.is_empty());
    }
}

#[test]
fn no_message_shows_what_a_reference_brought() {
    for field in [
        "server: { max_body: \"REF\" }",
        "server: { listen: \"REF\" }",
        "server: { threads: \"REF\" }",
        "server: { listen: { address: 127.0.0.1:1, tls: { cert: \"REF\", key: \"x REF\" } } }",
        "providers: { vllm: { base_url: \"REF\" } }",
        "providers: { vllm: { proxy: \"REF\", addresses: [\"REF\", \"REF:0\"] } }",
        "providers: { vllm: { limits: { rpm: \"REF\" }, breaker: \"REF\", health: \"REF\" } }",
        "providers: { vllm: { health: { path: \"REF\", expect: [\"REF\"], timeout: \"REF\" } } }",
        "providers: { groq: { tls: { ca: \"REF\", cert: \"/REF\" } } }",
        "routes: [{ balance: \"REF\", sticky: [\"REF\", { header: \"REF x\" }] }]",
        "providers: { vllm: { driver: \"REF\", endpoints: [\"REF\"] } }",
        "providers: { vllm: { models: { a: { name: a, price: { input: \"REF\", date: \"REF\" } } } } }",
        "routes: [{ name: \"REF x\", match: { path: \"REF\", host: \"REF/\", keys: [\"REF\"] } }]",
        "routes: [{ match: { models: [\"*REF*\"] }, targets: [{ provider: \"REF\", tier: \"REF\" }] }]",
        "routes: [{ forward: [\"REF x\"], retry: { for: [\"REF\"] }, fallback_models: [\"REF x\"] }]",
        "keys: [{ name: \"REF x\", secret: a, models: [\"**REF\"] }]",
        "log: { level: \"REF\" }",
        "routes: [{ name: \"REF\" }, { name: \"REF\" }]",
    ] {
        let text = field.replace("REF", "${KEY}");
        let said = said(&load(&text).unwrap_err());
        assert!(!said.contains("sk-from-environment"), "{field}: {said}");
    }
    let problems = load("providers: { vllm: { base_url: \"http://${HOST}:${PORT}/\" } }");
    let expected = "o.yaml:1: providers.vllm.base_url: the value of `${HOST}` and `${PORT}` \
                    is not a URL; write one such as `https://api.example.com/v1`";
    assert!(lines(&problems.unwrap_err()).contains(&expected.to_owned()));
}

#[test]
fn a_snapshot_does_not_print_them() {
    let text = format!(
        "server: {{ admin: {{ address: 127.0.0.1:1, token: {SECRET}1 }} }}\n\
         providers:\n\
         \x20 deepseek: {{ api_keys: [{SECRET}2, {SECRET}7] }}\n\
         \x20 vllm: {{ auth: {{ query: {{ k: {SECRET}3 }} }}, models: {{ a: b }}, \
         proxy: \"http://user:{SECRET}6@127.0.0.1:1\" }}\n\
         \x20 sglang: {{ auth: {{ header: {{ k: Bearer {SECRET}4 }} }}, models: {{ a: b }} }}\n\
         routes: [{{ targets: [{{ provider: deepseek }}, {{ provider: vllm }}, {{ provider: sglang }}] }}]\n\
         keys: [{{ name: a, secret: {SECRET}5 }}]\n"
    );
    let loaded = load(&text).unwrap();
    let printed = format!("{loaded:?}");
    assert!(printed.contains("deepseek-chat"));
    assert!(!printed.contains(SECRET), "{printed}");
    let [_, _, sglang] = loaded.snapshot.providers.as_slice() else {
        panic!("three providers")
    };
    let struck: Vec<&str> = sglang
        .secrets
        .iter()
        .map(|secret| secret.expose())
        .collect();
    assert_eq!(struck, [format!("Bearer {SECRET}4"), format!("{SECRET}4")]);
}
