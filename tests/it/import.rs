//! `overspill import`: another gateway's file becomes a configuration of ours that loads, explains
//! itself and serves.

use crate::harness::answers::{event, failure, part, sse_head};
use crate::harness::gateway::{Directory, binary, run};
use crate::harness::*;
use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Told {
    code: Option<i32>,
    yaml: String,
    said: String,
}

impl Told {
    fn fine(self) -> Told {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self
    }

    /// A value for each variable it says is to be set.
    fn environment(&self) -> Vec<(String, String)> {
        let names = self
            .said
            .lines()
            .filter_map(|line| line.strip_prefix("set: "));
        names
            .filter_map(|line| line.split(':').next())
            .map(|name| {
                (
                    name.to_string(),
                    format!("value-of-{}", name.to_lowercase()),
                )
            })
            .collect()
    }

    fn says(&self, start: &str, path: &str) -> bool {
        let line = format!("{start}: {path}:");
        self.said.lines().any(|said| said.starts_with(&line))
    }
}

fn told(arguments: &[&str]) -> Told {
    let start = Instant::now();
    let output = run(&[&["import"], arguments].concat(), &[]);
    assert!(start.elapsed() < ms(20_000), "took {:?}", start.elapsed());
    let told = Told {
        code: output.status.code(),
        yaml: String::from_utf8(output.stdout).unwrap(),
        said: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!told.said.contains("panicked"), "{}", told.said);
    if told.code != Some(0) {
        assert_eq!(
            (told.code, told.yaml.as_str()),
            (Some(1), ""),
            "{}",
            told.said
        );
        assert!(!told.said.trim().is_empty());
    }
    told
}

fn golden(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/import");
    PathBuf::from(folder).join(name)
}

fn of_golden(arguments: &[&str], name: &str) -> Told {
    let path = golden(name);
    told(&[arguments, &[path.to_str().unwrap()]].concat())
}

fn of_text(from: &str, text: impl AsRef<[u8]>) -> Told {
    let files = Directory::new();
    let path = files.write("input", text);
    told(&[from, path.to_str().unwrap()])
}

const GOLDEN: [(&[&str], &str, &str); 6] = [
    (&["apisix"], "api7-deepseek.json", "api7-deepseek.out.yaml"),
    (&["apisix"], "api7-fallback.json", "api7-fallback.out.yaml"),
    (&["apisix"], "api7-services.yaml", "api7-services.out.yaml"),
    (&["apisix"], "apisix-list.json", "apisix-list.out.yaml"),
    (
        &["apisix", "--priority", "larger-first"],
        "apisix.yaml",
        "apisix.out.yaml",
    ),
    (&["litellm"], "litellm.yaml", "litellm.out.yaml"),
];

#[test]
fn each_file_becomes_what_was_agreed_and_passes_check() {
    for (arguments, input, expected) in GOLDEN {
        let told = of_golden(arguments, input).fine();
        let expected = std::fs::read_to_string(golden(expected)).unwrap();
        assert_eq!(told.yaml, expected, "{input}");
        let files = Directory::new();
        let file = files.write("overspill.yaml", &told.yaml);
        let file = file.to_str().unwrap();
        let environment = told.environment();
        let checked = run(&["check", file], &environment);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{input}: {said}");
        // All that it wants was named, and nothing else.
        for (name, _) in &environment {
            let checked = Command::new(binary())
                .args(["check", file])
                .envs(
                    environment
                        .iter()
                        .filter(|(other, _)| other != name)
                        .cloned(),
                )
                .env_remove(name)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert_eq!(checked.status.code(), Some(1), "{input}: {name}");
            assert!(said.contains(name.as_str()), "{input}: {said}");
        }
    }
}

#[test]
fn what_has_no_counterpart_is_said_by_its_path() {
    let told = of_golden(&["apisix", "--priority", "larger-first"], "apisix.yaml").fine();
    for path in [
        "upstreams",
        "routes[1].labels",
        "routes[1].plugins.ai-prompt-guard",
        "routes[1].plugins.ai-proxy-multi.retry_on_failure_within_ms",
        "routes[1].plugins.ai-proxy-multi.instances[3]",
        "routes[2]",
        "consumers[1].plugins.jwt-auth",
    ] {
        assert!(told.says("no counterpart", path), "{path}: {}", told.said);
        assert!(
            told.yaml.contains(&format!("#   {path}:")),
            "{path}: {}",
            told.yaml
        );
    }
    assert!(told.says("warning", "routes[1].vars[1]"), "{}", told.said);
    let told = of_golden(&["litellm"], "litellm.yaml").fine();
    for path in [
        "router_settings.redis_host",
        "model_list[5]",
        "environment_variables",
    ] {
        assert!(told.says("no counterpart", path), "{path}: {}", told.said);
    }
}

#[test]
fn the_direction_of_priority_is_asked_for_with_both_readings() {
    let told = of_golden(&["apisix"], "apisix.yaml");
    assert_eq!(told.code, Some(1));
    for part in [
        "apisix.yaml:41:",
        "routes[1].plugins.ai-proxy-multi.instances",
        "larger number first (here `sf` and `self-hosted`)",
        "1 the highest (here `azure`)",
        "--priority larger-first",
        "--priority smaller-first",
    ] {
        assert!(told.said.contains(part), "{part}: {}", told.said);
    }
    let first = |direction| {
        let told = of_golden(&["apisix", "--priority", direction], "apisix.yaml").fine();
        let line = told.yaml.lines().find(|line| line.contains("tier: 1"));
        line.unwrap().to_string()
    };
    assert!(first("larger-first").contains("siliconflow"));
    assert!(first("smaller-first").contains("azure-openai"));
}

#[test]
fn equal_priorities_need_no_direction_and_contradictions_get_none() {
    let guide = std::fs::read_to_string(golden("api7-fallback.json")).unwrap();
    let equal = guide.replace("\"priority\": 2", "\"priority\": 1");
    let told = of_text("apisix", &equal).fine();
    assert!(
        !told.yaml.contains("tier") && !told.said.contains("warning"),
        "{}",
        told.said
    );
    // API7's form says smaller first, and the names say the opposite.
    let odd = guide
        .replace("\"name\": \"deepseek\"", "\"name\": \"backup\"")
        .replace("\"name\": \"openai\"", "\"name\": \"primary\"");
    let told = of_text("apisix", &odd);
    assert!(told.said.contains("contradicts itself"), "{}", told.said);
    // In APISIX's own form nothing is said about it, and nothing is assumed.
    let told = of_text("apisix", guide.replace("\"paths\"", "\"uris\""));
    assert!(
        told.said.contains("nothing in the file says"),
        "{}",
        told.said
    );
    assert_eq!(told.code, Some(1));
}

#[test]
fn secrets_are_neither_written_nor_said() {
    for (arguments, input, _) in GOLDEN {
        let told = of_golden(arguments, input).fine();
        for secret in [
            "sk-",
            "azure-key",
            "alice-secret",
            "never-shown",
            "user:pass",
        ] {
            let all = format!("{}{}", told.yaml, told.said);
            assert!(!all.contains(secret), "{input}: {secret}");
        }
    }
    let told = of_text(
        "apisix",
        r#"{"uri": "/a", "plugins": {"ai-proxy": {"provider": "openai-compatible",
            "auth": {"header": {"Authorization": "Bearer ${file:/etc/passwd}"}},
            "options": {"model": "m ${HOME} # x", "user": "${HOME}"},
            "override": {"endpoint": "http://10.0.0.1:8000/v1/chat/completions?key=sk-in-the-query"}}}}"#,
    )
    .fine();
    let all = format!("{}{}", told.yaml, told.said);
    assert!(
        !all.contains("passwd") && !all.contains("sk-in-the-query"),
        "{all}"
    );
    assert!(told.yaml.contains("m $${HOME} # x"), "{}", told.yaml);
}

#[test]
fn hostile_files_get_an_error_with_a_place() {
    let guide = std::fs::read(golden("api7-fallback.json")).unwrap();
    let half = &guide[..guide.len() / 2];
    for (text, place) in [
        (Vec::new(), "input:1:"),
        (b"[]".to_vec(), "has no route"),
        (b"{}".to_vec(), "has no route"),
        (b"\xff\xfe".to_vec(), "not valid UTF-8"),
        (half.to_vec(), "input:"),
        (b"[".repeat(10_000), "input:1:"),
        (b"{\"routes\":".repeat(10_000), "input:1:"),
        (vec![b' '; 5 << 20], "larger than 4MiB"),
        (
            br#"{"uri":"/a","plugins":{"ai-proxy-multi":{"instances":[{"weight":1e400}]}}}"#
                .to_vec(),
            "instances[0].weight",
        ),
        (
            br#"{"uri":"/a","plugins":{"ai-proxy":[]}}"#.to_vec(),
            "plugins.ai-proxy: expected an object, found a list",
        ),
        (
            br#"{"uri":"/a","plugins":{"ai-proxy":{"provider":"depseek"}}}"#.to_vec(),
            "plugins.ai-proxy.provider: is none of",
        ),
    ] {
        let told = of_text("apisix", &text);
        assert_eq!(told.code, Some(1), "{place}");
        assert!(told.said.contains(place), "{place}: {}", told.said);
        assert_eq!(of_text("litellm", &text).code, Some(1), "{place}");
    }
    assert_eq!(told(&["apisix", "/nowhere/at/all"]).code, Some(1));
    assert_eq!(run(&["import", "apisix"], &[]).status.code(), Some(2));
    assert_eq!(run(&["import", "nginx", "x"], &[]).status.code(), Some(2));
}

/// The guide's route, its instances at these addresses, imported and served.
async fn served(guide: &str, instances: &[(&str, &Provider)]) -> Gateway {
    let mut text = std::fs::read_to_string(golden(guide)).unwrap();
    for (model, provider) in instances {
        let options = format!("\"options\": {{ \"model\": \"{model}\" }}");
        let endpoint = format!("http://{}", provider.address);
        let with = format!("{options}, \"override\": {{ \"endpoint\": \"{endpoint}\" }}");
        let compact = text.replace("{\n        \"model\"", "{ \"model\"");
        text = compact
            .replace("chat\"\n      }", "chat\" }")
            .replace(&options, &with);
        assert!(text.contains(&endpoint), "{text}");
    }
    let told = of_text("apisix", text).fine();
    let mut config = Config::written(&told.yaml);
    config.environment = told.environment();
    Gateway::start(&config).await
}

const WITHOUT_MODEL: &str = r#"{"messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn the_guides_route_serves_a_body_without_a_model() {
    let deepseek = Provider::well().await;
    let gateway = served("api7-deepseek.json", &[("deepseek-chat", &deepseek)]).await;
    let request = Request::post("/deepseek", WITHOUT_MODEL)
        .header("authorization", "Bearer the-callers-own")
        .header("cookie", "session=1");
    gateway.ask(request).await.expect(200);
    let seen = deepseek.only();
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/chat/completions")
    );
    assert_eq!(
        seen.all("authorization"),
        ["Bearer value-of-deepseek_api_key"]
    );
    assert_eq!(seen.get("cookie"), None);
    assert_eq!(
        seen.text(),
        r#"{"model":"deepseek-chat","messages":[{"role":"user","content":"hi"}]}"#
    );
    // APISIX asks one instance once.
    let failing = Provider::always(vec![failure(503, "busy")]).await;
    let gateway = served("api7-deepseek.json", &[("deepseek-chat", &failing)]).await;
    let reply = gateway.ask(Request::post("/deepseek", WITHOUT_MODEL)).await;
    assert_eq!((reply.status, failing.count()), (503, 1));
}

#[tokio::test]
async fn the_guides_two_instances_send_everything_to_deepseek() {
    let (deepseek, openai) = (Provider::well().await, Provider::well().await);
    let instances = [("deepseek-chat", &deepseek), ("gpt-4o", &openai)];
    let gateway = served("api7-fallback.json", &instances).await;
    for _ in 0..100 {
        gateway
            .ask(Request::post("/ai", WITHOUT_MODEL))
            .await
            .expect(200);
    }
    assert_eq!((deepseek.count(), openai.connections().len()), (100, 0));
}

#[tokio::test]
async fn the_guides_fallback_answers_where_the_first_cannot() {
    for acts in [
        vec![failure(429, "slow down")],
        vec![failure(500, "broken")],
        vec![failure(503, "busy")],
        vec![Act::Reset],
        vec![Act::Close],
        vec![sse_head(), Act::Reset],
    ] {
        let deepseek = Provider::always(acts).await;
        let openai = Provider::well().await;
        let instances = [("deepseek-chat", &deepseek), ("gpt-4o", &openai)];
        let gateway = served("api7-fallback.json", &instances).await;
        let reply = gateway
            .ask(Request::post("/ai", WITHOUT_MODEL))
            .await
            .expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("openai"));
        assert_eq!(openai.only().model(), "gpt-4o");
        assert_eq!(
            openai.only().get("authorization"),
            Some("Bearer value-of-openai_api_key")
        );
    }
}

#[tokio::test]
async fn the_guides_fallback_is_not_asked_for_the_callers_mistakes() {
    for status in [400, 404, 422] {
        let deepseek = Provider::always(vec![failure(status, "your mistake")]).await;
        let openai = Provider::well().await;
        let instances = [("deepseek-chat", &deepseek), ("gpt-4o", &openai)];
        let gateway = served("api7-fallback.json", &instances).await;
        let reply = gateway.ask(Request::post("/ai", WITHOUT_MODEL)).await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains("your mistake"), "{}", reply.text());
        assert_eq!((deepseek.count(), openai.connections().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_later_ends_with_an_error_and_asks_nobody_else() {
    let begun = part(event("deepseek-chat", "half of it"));
    let deepseek = Provider::always(vec![sse_head(), begun, Act::Reset]).await;
    let openai = Provider::well().await;
    let instances = [("deepseek-chat", &deepseek), ("gpt-4o", &openai)];
    let gateway = served("api7-fallback.json", &instances).await;
    let body = r#"{"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = gateway.ask(Request::post("/ai", body)).await.expect(200);
    let text = reply.text();
    assert!(
        text.contains("half of it") && text.contains("\"error\""),
        "{text}"
    );
    assert!(!text.contains("[DONE]"), "{text}");
    assert_eq!(openai.connections().len(), 0);
}

#[tokio::test]
async fn only_the_named_failures_move_on() {
    for (strategy, goes_on, stays) in [("[\"http_429\"]", 429, 500), ("[\"http_5xx\"]", 500, 429)] {
        let guide = std::fs::read_to_string(golden("api7-fallback.json")).unwrap();
        let guide = guide.replace("[\"http_429\", \"http_5xx\"]", strategy);
        let files = Directory::new();
        let path = files.write("guide.json", guide);
        let name = path.to_str().unwrap();
        for (status, moved) in [(goes_on, true), (stays, false)] {
            let deepseek = Provider::always(vec![failure(status, "of the first")]).await;
            let openai = Provider::well().await;
            let instances = [("deepseek-chat", &deepseek), ("gpt-4o", &openai)];
            let gateway = served(name, &instances).await;
            let reply = gateway.ask(Request::post("/ai", WITHOUT_MODEL)).await;
            assert_eq!(reply.status == 200, moved, "{strategy}: {status}");
            assert_eq!(openai.count() == 1, moved, "{strategy}: {status}");
        }
    }
}

/// Two or three instances of one priority, at these providers.
fn multi(rest: &str, instances: &[(&Provider, u32)]) -> String {
    let instances: Vec<String> = instances
        .iter()
        .enumerate()
        .map(|(number, (provider, weight))| {
            format!(
                r#"{{"name": "i{number}", "provider": "openai-compatible", "weight": {weight},
                    "auth": {{"header": {{"Authorization": "Bearer sk-{number}"}}}},
                    "options": {{"model": "m{number}"}},
                    "override": {{"endpoint": "http://{}"}}}}"#,
                provider.address
            )
        })
        .collect();
    let instances = instances.join(",");
    format!(
        r#"{{"id": "multi", "uri": "/ai", "plugins": {{"ai-proxy-multi": {{{rest}
            "instances": [{instances}]}}}}}}"#
    )
}

async fn serving(from: &str, text: &str) -> Gateway {
    let told = of_text(from, text).fine();
    let mut config = Config::written(&told.yaml);
    config.environment = told.environment();
    Gateway::start(&config).await
}

#[tokio::test]
async fn weights_and_retries_are_the_files() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = serving("apisix", &multi("", &[(&one, 4), (&two, 1)])).await;
    for _ in 0..50 {
        gateway
            .ask(Request::post("/ai", WITHOUT_MODEL))
            .await
            .expect(200);
    }
    assert_eq!((one.count(), two.count()), (40, 10));
    assert_eq!(one.seen()[0].target, "/v1/chat/completions");

    let failing = async || Provider::always(vec![failure(503, "busy")]).await;
    let three = [failing().await, failing().await, failing().await];
    let instances: Vec<(&Provider, u32)> = three.iter().map(|one| (one, 1)).collect();
    let rest = r#""fallback_strategy": ["http_5xx"], "max_retries": 1,"#;
    let gateway = serving("apisix", &multi(rest, &instances)).await;
    let reply = gateway.ask(Request::post("/ai", WITHOUT_MODEL)).await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("busy"), "{}", reply.text());
    let asked: usize = three.iter().map(Provider::count).sum();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn a_hashed_header_keeps_its_instance() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let rest = r#""balancer": {"algorithm": "chash", "hash_on": "header", "key": "X-Session"},"#;
    let gateway = serving("apisix", &multi(rest, &[(&one, 1), (&two, 1)])).await;
    let mut used = std::collections::HashSet::new();
    for session in 0..20 {
        let mut same = std::collections::HashSet::new();
        for _ in 0..3 {
            let request = Request::post("/ai", WITHOUT_MODEL);
            let request = request.header("x-session", &format!("s{session}"));
            let reply = gateway.ask(request).await.expect(200);
            same.insert(reply.get("x-overspill-provider").unwrap().to_string());
        }
        assert_eq!(same.len(), 1, "{session}: {same:?}");
        used.extend(same);
    }
    assert_eq!(used.len(), 2);
}

#[tokio::test]
async fn consumers_are_keys() {
    let one = Provider::well().await;
    let route =
        multi("", &[(&one, 1)]).replacen("\"plugins\": {", "\"plugins\": {\"key-auth\": {},", 1);
    let consumer = r#"{"username": "alice", "plugins": {"key-auth": {"key": "alices-own"}}}"#;
    let text = format!(r#"{{"routes": [{route}], "consumers": [{consumer}]}}"#);
    let gateway = serving("apisix", &text).await;
    let ask = || Request::post("/ai", WITHOUT_MODEL);
    gateway.ask(ask()).await.expect(401);
    gateway
        .ask(ask().key("value-of-alice_key"))
        .await
        .expect(200);
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn litellms_deployments_orders_and_fallbacks_hold() {
    let failing = Provider::always(vec![failure(500, "broken")]).await;
    let (second, other) = (Provider::well().await, Provider::well().await);
    let deployment = |model: &str, upstream: &str, provider: &Provider, order: u32| {
        format!(
            "  - model_name: {model}\n    litellm_params: {{ model: openai/{upstream}, \
             api_base: \"{}\", api_key: sk-{upstream}, order: {order} }}\n",
            provider.base()
        )
    };
    let text = format!(
        "model_list:\n{}{}{}{}router_settings:\n  num_retries: 3\n  \
         fallbacks: [{{ alone: [chat] }}]\ngeneral_settings: {{ master_key: sk-master }}\n",
        deployment("chat", "first", &failing, 1),
        deployment("chat", "second", &second, 2),
        deployment("alone", "broken", &failing, 1),
        deployment("mini", "small", &other, 1),
    );
    let gateway = serving("litellm", &text).await;
    let ask = |model: &str| {
        let body = WITHOUT_MODEL.replacen('{', &format!("{{\"model\":\"{model}\","), 1);
        Request::chat(body).key("value-of-litellm_master_key")
    };
    let reply = gateway.ask(ask("mini")).await.expect(200);
    assert_eq!(
        (
            reply.json()["model"].as_str(),
            other.only().model().as_str()
        ),
        (Some("mini"), "small")
    );
    let reply = gateway.ask(ask("chat")).await.expect(200);
    assert_eq!(reply.json()["model"], "chat");
    assert_eq!(second.only().model(), "second");
    // Another model answers, and says so.
    let reply = gateway.ask(ask("alone")).await.expect(200);
    assert_eq!(reply.json()["model"], "chat");
    assert_eq!(reply.get("x-overspill-model"), Some("chat"));
    assert_eq!((second.count(), other.count()), (2, 1));
    assert!(failing.count() >= 2);
    gateway.ask(ask("unknown")).await.expect(404);
}
