//! The configuration, read again under way.

use crate::harness::answers::{DONE, either, event, last, part, sse_head};
use crate::harness::crowd::Crowd;
use crate::harness::tls::Identity;
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

fn to(provider: &Provider, name: &str) -> Config {
    Config::new()
        .provider(name, &provider.base())
        .route("main", &format!("{{ provider: {name} }}"))
}

async fn served_by(gateway: &Gateway) -> String {
    let reply = gateway.chat(ASK).await.expect(200);
    reply.get("x-overspill-provider").unwrap().to_owned()
}

async fn becomes(gateway: &Gateway, name: &str) {
    let start = Instant::now();
    while served_by(gateway).await != name {
        assert!(
            start.elapsed() < ms(10_000),
            "never {name}: {}",
            gateway.output()
        );
        tokio::time::sleep(ms(20)).await;
    }
}

async fn shown(gateway: &Gateway) -> Value {
    let shown = Request::get("/api/config").to(gateway.admin).await;
    shown.expect(200).json()
}

#[tokio::test]
async fn hundreds_of_reloads_under_load_fail_nobody() {
    let (one, two) = (Provider::start(either).await, Provider::start(either).await);
    let (first, second) = (to(&one, "one"), to(&two, "two"));
    let gateway = Gateway::start(&first).await;
    let crowd = Crowd::of(8, gateway.address);
    let full = std::env::var_os("FULL").is_some_and(|full| full == "1");
    let times = if full { 1000 } else { 200 };
    for time in 0..times {
        gateway.rewrite(if time % 2 == 0 { &second } else { &first });
        gateway.reload().await.expect(200);
    }
    assert!(crowd.leave().await > 100);
    assert!(one.count() > 20 && two.count() > 20);
    assert_eq!(served_by(&gateway).await, "one");
    let taken = gateway
        .meter("overspill_config_reloads_total{result=\"taken\"}")
        .await;
    // Whoever looks at the file may have come between a rewrite and the call to read it.
    assert!(taken >= f64::from(times), "{taken}");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_told_everywhere() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = Gateway::start(&to(&one, "one")).await;
    let bad = to(&two, "two").server("drian: 5s").top("nonsense: 1");
    gateway.rewrite(&bad);

    let reply = gateway.reload().await.expect(422).json();
    let problems = reply["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{reply}");
    assert_eq!(problems[0]["path"], "server.drian");
    assert_eq!(problems[0]["suggestion"], "drain");
    assert_eq!(problems[0]["line"], 5);
    assert_eq!(problems[1]["path"], "nonsense");
    assert!(problems[1]["message"].as_str().unwrap().contains("unknown"));

    assert_eq!(served_by(&gateway).await, "one");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("overspill_config_stale 1"), "{metrics}");
    assert!(metrics.contains("overspill_config_reloads_total{result=\"refused\"}"));
    until("both are in the log", ms(5000), || {
        let said = gateway.output();
        said.contains("drian") && said.contains("nonsense")
    })
    .await;
    let state = shown(&gateway).await;
    assert_eq!(state["stale"], true);
    assert_eq!(state["last_failure"]["problems"][0]["path"], "server.drian");
    assert!(state["config"]["providers"]["one"].is_object());

    gateway.rewrite(&to(&two, "two"));
    assert_eq!(
        gateway.reload().await.expect(200).json()["warnings"],
        serde_json::json!([])
    );
    assert_eq!(served_by(&gateway).await, "two");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("overspill_config_stale 0"), "{metrics}");
    assert_eq!(shown(&gateway).await["last_failure"], Value::Null);
}

#[tokio::test]
async fn a_file_that_changes_is_read_by_itself() {
    let (one, two) = (Provider::well().await, Provider::well().await);
    let gateway = Gateway::start(&to(&one, "one")).await;
    gateway.rewrite(&to(&two, "two"));
    becomes(&gateway, "two").await;
    // Written over instead of replaced.
    let (address, admin) = (gateway.address.to_string(), gateway.admin.to_string());
    let text = to(&one, "one").yaml(&address, &admin);
    gateway.write("overspill.yaml", &text);
    becomes(&gateway, "one").await;
}

#[tokio::test]
async fn a_bad_file_is_not_read_again_and_again() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&to(&one, "one")).await;
    gateway.rewrite_as("nonsense: 1");
    let refused = || gateway.output().matches("was refused").count();
    until("the file is refused", ms(10_000), || refused() > 0).await;
    tokio::time::sleep(ms(3000)).await;
    assert_eq!(refused(), 1, "{}", gateway.output());
}

#[tokio::test]
async fn a_secret_in_a_file_of_its_own_is_followed() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&to(&one, "one")).await;
    gateway.write("key", "sk-first-key");
    gateway.rewrite(&to(&one, "one").with("api_key", "\"${file:key}\""));
    gateway.reload().await.expect(200);
    let key = || {
        one.seen()
            .last()
            .unwrap()
            .get("authorization")
            .unwrap()
            .to_owned()
    };
    gateway.chat(ASK).await.expect(200);
    assert_eq!(key(), "Bearer sk-first-key");
    gateway.write("key", "sk-another-key");
    let start = Instant::now();
    while key() != "Bearer sk-another-key" {
        assert!(start.elapsed() < ms(10_000), "{}", gateway.output());
        tokio::time::sleep(ms(50)).await;
        gateway.chat(ASK).await.expect(200);
    }
    assert_eq!(one.connections().len(), 1, "the provider is where it was");
    let shown = shown(&gateway).await;
    assert_eq!(
        shown["config"]["providers"]["one"]["api_key"],
        "${file:key}"
    );
    assert!(!gateway.output().contains("sk-another-key"));
}

#[tokio::test]
async fn a_hangup_reads_it_at_once() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&to(&one, "one")).await;
    for time in 1..=3 {
        gateway.signal("HUP");
        until("it is read", ms(5000), || {
            gateway.output().matches("is in force").count() == time
        })
        .await;
    }
    assert!(gateway.output().contains("Signal"));
}

#[tokio::test]
async fn a_stream_outlives_its_provider() {
    let gate = Arc::new(Semaphore::new(0));
    let acts = vec![
        sse_head(),
        part(event("one-chat", "first")),
        Act::Gate(gate.clone()),
        part(event("one-chat", "second")),
        part(DONE),
        last(),
    ];
    let (one, two) = (Provider::always(acts).await, Provider::well().await);
    let gateway = Gateway::start(&to(&one, "one")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;

    gateway.rewrite(&to(&two, "two"));
    gateway.reload().await.expect(200);
    assert_eq!(served_by(&gateway).await, "two");
    gate.add_permits(1);
    let rest = conn.rest(head, "POST").await.expect(200);
    assert!(rest.text().contains("second") && rest.text().ends_with(DONE));
    // The same connection goes on by the new configuration.
    let reply = conn.ask(&Request::chat(ASK)).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
}

#[tokio::test]
async fn a_request_under_way_goes_on_to_the_targets_it_began_with() {
    let gate = Arc::new(Semaphore::new(0));
    let one = Provider::always(vec![Act::Gate(gate.clone()), Act::Reset]).await;
    let (two, three) = (Provider::well().await, Provider::well().await);
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK).bytes()).await;
    until("the first is asked", ms(5000), || one.count() == 1).await;
    // `two` is somewhere else by now, which is not where this request was to go.
    gateway.rewrite(&to(&three, "two"));
    gateway.reload().await.expect(200);
    gate.add_permits(9);
    let reply = conn.reply("POST").await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert_eq!((two.count(), three.count()), (1, 0));
    gateway.chat(ASK).await.expect(200);
    assert_eq!((two.count(), three.count()), (1, 1));
}

#[tokio::test]
async fn what_takes_a_restart_stays_and_is_warned_of() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&to(&one, "one")).await;
    let elsewhere = to(&one, "one")
        .listen("127.0.0.1:1")
        .server("admin: { address: \"127.0.0.1:2\", token: sk-new-token }")
        .server("threads: 2");
    gateway.rewrite(&elsewhere);
    let reply = gateway.reload().await.expect(200).json();
    let warnings = reply["warnings"].as_array().unwrap();
    let mut paths: Vec<_> = warnings
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["server.admin", "server.listen", "server.threads"]);
    gateway.chat(ASK).await.expect(200);
    // The token is asked for anew each time.
    gateway.reload().await.expect(401);
    let request = Request::post("/api/reload", "").key("sk-new-token");
    request.to(gateway.admin).await.expect(200);
}

#[tokio::test]
async fn the_configuration_is_shown_without_a_secret() {
    let one = Provider::well().await;
    let config = to(&one, "one")
        .server("admin: { address: ADMIN, token: sk-admin-token }")
        .top("keys: [{ name: app, secret: sk-caller-secret }]");
    let gateway = Gateway::start(&config).await;
    let ask = || Request::get("/api/config");
    ask().to(gateway.admin).await.expect(401);
    let reply = ask()
        .key("sk-admin-token")
        .to(gateway.admin)
        .await
        .expect(200);
    for secret in ["sk-admin-token", "sk-caller-secret", "sk-one-upstream"] {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
    assert_eq!(reply.json()["config"]["keys"][0]["name"], "app");
    let put = Request::new("PUT", "/api/reload")
        .to(gateway.admin)
        .await
        .expect(405);
    assert_eq!(put.get("allow"), Some("POST"));
}

#[tokio::test]
async fn limits_and_levels_follow() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&to(&one, "one")).await;
    gateway.chat(ASK).await.expect(200);
    let lines = || gateway.output().matches("request_id").count();
    until("the request is logged", ms(5000), || lines() == 1).await;
    let tight = to(&one, "one")
        .server("max_body: 1KiB")
        .top("log: { level: warn }");
    gateway.rewrite(&tight);
    gateway.reload().await.expect(200);
    let long = ASK.replace("hi", &"x".repeat(2000));
    gateway.chat(long).await.expect(413);
    gateway.chat(ASK).await.expect(200);
    tokio::time::sleep(ms(200)).await;
    assert_eq!(lines(), 1, "{}", gateway.output());
    gateway.rewrite(&to(&one, "one").top("log: { level: info }"));
    gateway.reload().await.expect(200);
    gateway.chat(ASK).await.expect(200);
    until("requests are logged again", ms(5000), || lines() == 2).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_connection_on() {
    let one = Provider::well().await;
    let directory = crate::harness::gateway::Directory::new();
    let put = |identity: &Identity| {
        let cert = directory.write("cert.pem", &identity.cert_pem);
        let key = directory.write("key.pem", &identity.key_pem);
        format!(
            "{{ address: ADDRESS, tls: {{ cert: \"{}\", key: \"{}\" }} }}",
            cert.display(),
            key.display()
        )
    };
    let (first, second) = (Identity::new(), Identity::new());
    let gateway = Gateway::start(&to(&one, "one").listen(&put(&first))).await;
    first.connect(gateway.address, &["http/1.1"]).await;
    put(&second);
    until("it is read by itself", ms(10_000), || {
        gateway.output().contains("is in force")
    })
    .await;
    second.connect(gateway.address, &["http/1.1"]).await;
    // A key that is not the certificate's is refused, and the one before stays.
    directory.write("key.pem", &first.key_pem);
    gateway.reload().await.expect(422);
    second.connect(gateway.address, &["http/1.1"]).await;
}
