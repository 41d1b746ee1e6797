//! What a file says of streams: their silences, their end, and who can carry one on.

use super::{lines, load};
use crate::config::snapshot::{Prefill, Resume, Snapshot, Streaming};
use std::time::Duration;

#[track_caller]
fn ready(text: &str) -> Snapshot {
    match load(text) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => panic!("{:#?}", lines(&problems)),
    }
}

/// Of the one provider that these fields make.
#[track_caller]
fn continues(name: &str, fields: &str) -> (Prefill, Option<String>, bool) {
    let snapshot = ready(&format!(
        "providers: {{ {name}: {{ {fields} }} }}\n\
         routes: [{{ targets: [{{ provider: {name}, model: m }}] }}]"
    ));
    let provider = &snapshot.providers[0];
    (
        provider.prefill,
        provider.prefill_path.clone(),
        provider.inject_usage,
    )
}

#[test]
fn the_defaults() {
    let snapshot = ready(
        "providers: { deepseek: { api_key: k } }\nroutes: [{ targets: [{ provider: deepseek }] }]",
    );
    assert_eq!(
        snapshot.routes[0].stream,
        Streaming {
            ping: Some(Duration::from_secs(15)),
            ping_before_commit: false,
            resume: Resume::Prefill,
        }
    );
}

#[test]
fn a_route_says_otherwise_field_by_field() {
    let snapshot = ready(
        "providers: { deepseek: { api_key: k } }
defaults:
  timeouts: { first_token: 10s, stall: 20s }
  stream: { ping: 5s, ping_before_commit: true, resume: off }
routes:
  - match: { path: /a }
    timeouts: { stall: 300ms }
    stream: { resume: auto }
    targets: [{ provider: deepseek, model: m }]
  - match: { path: /b }
    stream: { ping: 1m, ping_before_commit: false, resume: prefill }
    targets: [{ provider: deepseek, model: m }]
  - match: { path: /c }
    targets: [{ provider: deepseek, model: m }]",
    );
    let [a, b, c] = snapshot.routes.as_slice() else {
        panic!("three")
    };
    assert_eq!(a.timeouts.first_token, Duration::from_secs(10));
    assert_eq!(a.timeouts.stall, Duration::from_millis(300));
    let streaming = |ping, ping_before_commit, resume| Streaming {
        ping: Some(Duration::from_secs(ping)),
        ping_before_commit,
        resume,
    };
    assert_eq!(a.stream, streaming(5, true, Resume::Auto));
    assert_eq!(b.stream, streaming(60, false, Resume::Prefill));
    assert_eq!(c.stream, streaming(5, true, Resume::Off));
}

#[test]
fn off_is_off_however_it_is_spelt() {
    for off in ["off", "\"off\"", "false"] {
        let snapshot = ready(&format!(
            "providers: {{ deepseek: {{ api_key: k }} }}\n\
             routes: [{{ stream: {{ ping: {off}, resume: {off} }}, \
             targets: [{{ provider: deepseek }}] }}]"
        ));
        let stream = snapshot.routes[0].stream;
        assert_eq!((stream.ping, stream.resume), (None, Resume::Off), "{off}");
    }
}

#[test]
fn the_catalogue_knows_who_continues_a_message() {
    for (name, prefill, path) in [
        ("deepseek", Prefill::Prefix, Some("/beta")),
        ("mistral", Prefill::Prefix, None),
        ("moonshot", Prefill::Partial, None),
        ("alibaba", Prefill::Partial, None),
        ("openrouter", Prefill::Assistant, None),
        ("ollama", Prefill::Assistant, None),
        ("vllm", Prefill::ContinueFinalMessage, None),
        ("sglang", Prefill::ContinueFinalMessage, None),
        ("openai", Prefill::None, None),
        ("siliconflow", Prefill::None, None),
    ] {
        let (known, known_path, inject_usage) = continues(name, "api_key: k");
        assert_eq!((known, known_path.as_deref()), (prefill, path), "{name}");
        assert_eq!(inject_usage, name != "mistral", "{name}");
    }
}

#[test]
fn a_provider_nobody_knows_continues_nothing_unless_the_file_says_so() {
    let own = "base_url: \"http://127.0.0.1:1/v1\", auth: none";
    assert_eq!(continues("mine", own), (Prefill::None, None, true));
    for (word, prefill) in [
        ("none", Prefill::None),
        ("assistant", Prefill::Assistant),
        ("prefix", Prefill::Prefix),
        ("partial", Prefill::Partial),
        ("continue_final_message", Prefill::ContinueFinalMessage),
    ] {
        let fields = format!("{own}, prefill: {word}, inject_usage: false");
        assert_eq!(continues("mine", &fields), (prefill, None, false), "{word}");
    }
}

#[test]
fn a_host_is_as_good_as_a_name() {
    assert_eq!(
        continues("mine", "base_url: https://api.mistral.ai/v1, api_key: k"),
        (Prefill::Prefix, None, false)
    );
    let beta = Some("/beta".to_owned());
    assert_eq!(
        continues("mine", "base_url: https://api.deepseek.com/v1, api_key: k"),
        (Prefill::Prefix, beta, true)
    );
}

#[test]
fn the_file_overrides_the_catalogue() {
    assert_eq!(
        continues("mistral", "api_key: k, prefill: none, inject_usage: true"),
        (Prefill::None, None, true)
    );
    // The path belongs to the catalogue's own form.
    assert_eq!(
        continues("deepseek", "api_key: k, prefill: assistant"),
        (Prefill::Assistant, None, true)
    );
}

#[test]
fn a_path_of_the_vendors_holds_at_the_vendors_only() {
    let relay = "api_key: k, base_url: https://relay.example/deepseek";
    assert_eq!(continues("deepseek", relay), (Prefill::Prefix, None, true));
    // A form without a path of its own goes with the name, wherever it is reached.
    let vllm = "base_url: http://10.0.0.5:8000/v1";
    assert_eq!(
        continues("vllm", vllm),
        (Prefill::ContinueFinalMessage, None, true)
    );
}
