//! The lines of requests: where they go, and what they tell.

use crate::harness::answers::{failure, stream_reply};
use crate::harness::gateway::{Directory, free_address, run};
use crate::harness::*;
use std::path::Path;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = read(path);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn a_file_has_a_line_a_request_and_is_found_again_after_it_was_moved() {
    let one = Provider::well().await;
    // Relative to the configuration.
    let config = Config::one(&one).top("log: { access: access.log }");
    let gateway = Gateway::start(&config).await;
    let path = gateway.beside("access.log");
    let ask = async |id: &str| {
        let request = Request::chat(ASK).header("x-request-id", id);
        gateway.ask(request).await.expect(200);
    };
    ask("first").await;
    until("a line", ms(5000), || lines(&path).len() == 1).await;
    assert_eq!(lines(&path)[0]["request_id"], "first");
    let moved = path.with_file_name("access.log.1");
    std::fs::rename(&path, &moved).unwrap();
    ask("second").await;
    until("a line in a new file", ms(5000), || lines(&path).len() == 1).await;
    assert_eq!(lines(&path)[0]["request_id"], "second");
    assert_eq!(lines(&moved).len(), 1);
    // Diagnostics stay where they were, and no line of a request is among them.
    assert!(
        !gateway.output().contains("request_id"),
        "{}",
        gateway.output()
    );
}

#[tokio::test]
async fn a_full_disk_is_counted_and_told_once_and_stops_nobody() {
    let one = Provider::well().await;
    let config = Config::one(&one).top("log: { access: /dev/full }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..3 {
        gateway.chat(ASK).await.expect(200);
    }
    gateway
        .counts("overspill_log_lines_dropped_total", &[], 3.0)
        .await;
    let said = gateway.output();
    assert_eq!(said.matches("cannot be written").count(), 1, "{said}");
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_a_start_that_fails_with_its_name() {
    let files = Directory::new();
    let one = Provider::well().await;
    for name in ["missing/access.log", "."] {
        let config = Config::one(&one).top(&format!("log: {{ access: {name} }}"));
        let yaml = config.yaml(&free_address().to_string(), &free_address().to_string());
        let path = files.write("overspill.yaml", yaml);
        let output = run(&["serve", "-c", path.to_str().unwrap()], &[]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("cannot open the log {}", files.path().join(name).display());
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[tokio::test]
async fn the_place_of_the_log_takes_a_restart() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&one).top("log: { access: access.log }")).await;
    gateway.rewrite(&Config::one(&one).top("log: { access: other.log }"));
    let reply = gateway.reload().await.expect(200).json();
    assert_eq!(reply["warnings"][0]["path"], "log.access", "{reply}");
    gateway.chat(ASK).await.expect(200);
    let path = gateway.beside("access.log");
    until("a line", ms(5000), || lines(&path).len() == 1).await;
}

#[tokio::test]
async fn a_line_tells_the_whole_story() {
    let one = Provider::always(vec![failure(429, "busy")]).await;
    let two =
        Provider::always([vec![Act::Sleep(ms(60))], stream_reply("two-chat", "hello")].concat())
            .await;
    let config = Config::spill(&one, &two)
        .top("keys: [{ name: mobile, secret: sk-client-a }]")
        .logged();
    let gateway = Gateway::start(&config).await;
    let request = Request::chat(ASK_STREAM).key("sk-client-a");
    gateway.ask(request).await.expect(200);
    let line = gateway.tells("ok").await;
    let said = |field: &str| line[field].clone();
    assert_eq!(said("key"), "mobile");
    assert_eq!(said("route"), "main");
    assert_eq!(said("model"), "acme/chat");
    assert_eq!(said("served"), "acme/chat");
    assert_eq!(said("provider"), "two");
    assert_eq!(said("attempts"), 2);
    let reasons = serde_json::json!(["provider_rate_limited", "ok"]);
    assert_eq!(said("reasons"), reasons);
    assert_eq!(said("stream"), true);
    assert_eq!(said("status"), 200);
    let first_token = line["first_token_ms"].as_u64().expect("a first token");
    let duration = line["duration_ms"].as_u64().expect("a duration");
    assert!((60..=duration).contains(&first_token), "{line}");
    for (field, what) in [
        ("time_ms", 1_600_000_000_000),
        ("bytes_in", 1),
        ("bytes_out", 1),
    ] {
        assert!(
            line[field].as_u64().is_some_and(|value| value >= what),
            "{field}: {line}"
        );
    }
    // One attempt alone needs no list, and what is no stream has no first token.
    let gateway = Gateway::start(&Config::one(&Provider::well().await).logged()).await;
    gateway.get("/v1/models").await.expect(200);
    let line = gateway.line(0).await;
    assert!(
        line.get("reasons").is_none() && line.get("first_token_ms").is_none(),
        "{line}"
    );
}

#[tokio::test]
async fn a_path_without_end_is_cut() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let long = format!("/v1/{}", "x".repeat(30_000));
    Request::get(&long).to(gateway.address).await.expect(404);
    let line = gateway.line(0).await;
    let path = line["path"].as_str().expect("a path");
    assert!(
        path.starts_with("/v1/xxx") && path.ends_with("x…"),
        "{path}"
    );
    assert!(path.len() < 1100, "{} bytes", path.len());
}
