//! What is kept of every request, and the questions that are answered from it.

use crate::harness::answers::failure;
use crate::harness::gateway::Directory;
use crate::harness::*;

fn number(value: &Value, name: &str) -> i64 {
    value[name]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {name} in {value}"))
}

/// The sum of all intervals.
fn total(usage: &Value, name: &str) -> i64 {
    let intervals = usage["intervals"].as_array().unwrap();
    intervals.iter().map(|one| number(one, name)).sum()
}

#[tokio::test]
async fn every_request_is_kept_with_all_its_attempts() {
    let one = Provider::always(vec![failure(401, "no such key")]).await;
    let two = Provider::well().await;
    let config = Config::spill(&one, &two)
        .top("keys: [{ name: mobile, secret: sk-client-mobile }]")
        .stored();
    let gateway = Gateway::start(&config).await;
    let request = Request::chat(ASK)
        .key("sk-client-mobile")
        .header("x-request-id", "of-the-caller");
    gateway.ask(request).await.expect(200);
    let refused = Request::chat(ASK).key("sk-client-wrong");
    gateway.ask(refused).await.expect(401);

    let kept = gateway.keeps(2).await;
    let (refused, served) = (&kept[0], &kept[1]);
    assert_eq!(refused["reason"], "policy_key");
    assert_eq!(refused["attempts"], serde_json::json!([]));
    for (name, value) in [
        ("request_id", "of-the-caller"),
        ("method", "POST"),
        ("path", "/v1/chat/completions"),
        ("key", "mobile"),
        ("route", "main"),
        ("asked", "acme/chat"),
        ("model", "acme/chat"),
        ("served", "acme/chat"),
        ("provider", "two"),
        ("reason", "ok"),
    ] {
        assert_eq!(served[name], value, "{name} in {served}");
    }
    assert_eq!(served["status"], 200);
    let attempts = served["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{served}");
    assert_eq!(attempts[0]["provider"], "one");
    assert_eq!(attempts[0]["status"], 401);
    assert!(
        attempts[0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("provider_")
    );
    assert_eq!(attempts[1]["reason"], "ok");
    assert_eq!(attempts[1]["tokens_in"], 3);
    assert_eq!(attempts[1]["tokens_out"], 2);
    assert_eq!(attempts[1]["estimated"], false);

    let usage = gateway.asked("/api/usage?by=provider,key").await;
    for (name, count) in [
        ("requests", 2),
        ("failures", 0),
        ("refused", 1),
        ("cancelled", 0),
        ("attempts", 2),
        ("failed_attempts", 1),
        ("tokens_in", 3),
        ("tokens_out", 2),
    ] {
        assert_eq!(total(&usage, name), count, "{name} in {usage}");
    }
    let groups = usage["intervals"][0]["groups"].as_array().unwrap();
    let group = |provider: &str| {
        let mut groups = groups.iter();
        groups.find(|group| group["provider"] == provider).unwrap()
    };
    assert_eq!(number(group("one"), "requests"), 0);
    assert_eq!(number(group("one"), "failed_attempts"), 1);
    assert_eq!(number(group("two"), "requests"), 1);
    assert_eq!(number(group("two"), "tokens_in"), 3);
    let nobody = groups.iter().find(|group| group["provider"].is_null());
    assert_eq!(number(nobody.unwrap(), "refused"), 1);
    let only = gateway.asked("/api/usage?provider=one&key=mobile").await;
    assert_eq!(
        (total(&only, "attempts"), total(&only, "tokens_in")),
        (1, 0)
    );
}

#[tokio::test]
async fn intervals_are_half_open_and_none_is_missing() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).stored()).await;
    for _ in 0..5 {
        gateway.chat(ASK).await.expect(200);
        tokio::time::sleep(ms(3)).await;
    }
    let mut kept = gateway.keeps(5).await;
    kept.reverse();
    let moments: Vec<i64> = kept.iter().map(|one| number(one, "time_ms")).collect();
    let (first, last) = (moments[0], moments[4]);
    let count = async |query: String| {
        let usage = gateway.asked(&format!("/api/usage?{query}")).await;
        total(&usage, "requests")
    };
    let from = format!("from={first}");
    assert_eq!(count(format!("{from}&to={}", last + 1)).await, 5);
    assert_eq!(
        count(format!("{from}&to={last}")).await,
        4,
        "`to` is not in it"
    );
    assert_eq!(
        count(format!("from={}&to={}", first + 1, last + 1)).await,
        4
    );
    // Whole quarters of an hour and single rows say the same, however they are cut.
    let (long_ago, later) = (first - 7 * 86_400_000, last + 3_600_000);
    for interval in ["1h", "15m", "7m", "25h", "601s", "9999m"] {
        let query = format!("from={long_ago}&to={later}&interval={interval}");
        assert_eq!(count(query).await, 5, "{interval}");
    }
    let query = format!("/api/usage?from={first}&to={}&interval=1s", first + 10_500);
    let usage = gateway.asked(&query).await;
    let intervals = usage["intervals"].as_array().unwrap();
    assert_eq!(intervals.len(), 11);
    assert_eq!(number(&intervals[10], "to_ms"), first + 10_500);
    assert_eq!(number(&intervals[9], "requests"), 0);
    assert_eq!(total(&usage, "tokens_out"), 5 * 2);
    // By name and by number.
    let day = gateway
        .asked("/api/usage?from=2026-07-02&to=2026-07-03&interval=6h")
        .await;
    assert_eq!(day["intervals"].as_array().unwrap().len(), 4);
    assert_eq!(total(&day, "requests"), 0);
}

#[tokio::test]
async fn a_metric_over_time_is_told_by_intervals() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&one).stored()).await;
    for _ in 0..3 {
        gateway.chat(ASK).await.expect(200);
    }
    let kept = gateway.keeps(3).await;
    let start = number(&kept[2], "time_ms");
    let metric = async |rest: &str| {
        let target = format!("/api/query_metric?model=acme/chat&start_time={start}&{rest}");
        gateway.asked(&target).await["intervals"].clone()
    };
    let end = start + 180_000;
    let rest = format!("provider=one&metric=otpr&stat=raw&interval=1&end_time={end}");
    let intervals = metric(&rest).await;
    assert_eq!(intervals[0]["values"], serde_json::json!([2.0, 2.0, 2.0]));
    assert_eq!(intervals[2]["values"], serde_json::json!([]));
    assert_eq!(intervals.as_array().unwrap().len(), 3);
    let success = metric("provider=one&metric=success").await;
    assert_eq!(success[0]["values"], serde_json::json!([1.0]));
    let nobody = metric("provider=two&metric=success").await;
    assert_eq!(nobody[0]["values"], serde_json::json!([]));
    let target = "/api/query_metric?model=acme/chat&provider=one&metric=speed";
    let reply = Request::get(target).to(gateway.admin).await.expect(400);
    assert!(reply.text().contains("prefill"), "{}", reply.text());
}

#[tokio::test]
async fn requests_come_page_by_page_and_by_what_they_are() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&one).stored()).await;
    for number in 0..5 {
        let request = Request::chat(ASK).header("x-request-id", &format!("no-{number}"));
        gateway.ask(request).await.expect(200);
    }
    gateway.chat(r#"{"model":"acme/other"}"#).await.expect(404);
    gateway.keeps(6).await;
    let mut seen = Vec::new();
    let mut next = String::new();
    for _ in 0..3 {
        let page = gateway
            .asked(&format!("/api/requests?limit=2&reason=ok{next}"))
            .await;
        let ids = page["requests"].as_array().unwrap();
        seen.extend(
            ids.iter()
                .map(|one| one["request_id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(name) => next = format!("&before={name}"),
            None => assert_eq!(seen.len(), 5, "{page}"),
        }
    }
    assert_eq!(seen, ["no-4", "no-3", "no-2", "no-1", "no-0"]);
    for (query, count) in [
        ("model=acme/other", 1),
        ("model=acme/chat", 5),
        ("provider=one", 5),
        ("provider=two", 0),
        ("reason=caller_unknown_model", 1),
        ("route=main&provider=one&limit=3", 3),
        ("key=nobody", 0),
    ] {
        let page = gateway.asked(&format!("/api/requests?{query}")).await;
        assert_eq!(page["requests"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_wrong_question_is_told_what_to_write() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).stored()).await;
    gateway.store_is(true).await;
    for (target, said) in [
        ("/api/usage?by=vendor", "model, provider, key, route"),
        ("/api/usage?interval=60", "has no unit"),
        ("/api/usage?interval=-1m", "is not a time"),
        ("/api/usage?form=0", "did you mean `from`"),
        ("/api/usage?from=2&to=1", "is not before"),
        ("/api/usage?from=%00", "is not a moment"),
        ("/api/usage?from=1&from=2", "given twice"),
        ("/api/usage?interval=1s", "write a longer one"),
        ("/api/requests?limit=0", "from 1 to 1000"),
        ("/api/requests?before='--", "its `next`"),
    ] {
        let reply = Request::get(target).to(gateway.admin).await.expect(400);
        let message = reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(said), "{target}: {message}");
    }
    // What would be SQL is a name like any other.
    let target = "/api/usage?model='%20OR%201=1--&by=model";
    assert_eq!(total(&gateway.asked(target).await, "requests"), 0);
    let reply = Request::post("/api/usage", "").to(gateway.admin).await;
    reply.expect(405);
}

#[tokio::test]
async fn without_a_store_that_is_said_and_nothing_is_written() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    gateway.chat(ASK).await.expect(200);
    let reply = Request::get("/api/usage")
        .to(gateway.admin)
        .await
        .expect(404);
    let message = reply.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("store:"), "{message}");
    assert!(!gateway.metrics().await.contains("overspill_store_up"));
    assert!(!gateway.database().exists());
}

#[tokio::test]
async fn where_nobody_says_it_is_beside_the_configuration_or_where_the_service_keeps_state() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).top("store: { retention: 30d }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    assert!(gateway.database().exists());

    let state = Directory::new();
    let elsewhere = config
        .clone()
        .env("STATE_DIRECTORY", state.path().to_str().unwrap());
    let gateway = Gateway::start(&elsewhere).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    assert!(state.path().join("overspill.db").exists() && !gateway.database().exists());

    // Where nothing can be written, it serves all the same.
    let nowhere = config.env("STATE_DIRECTORY", "/proc/overspill");
    let gateway = Gateway::start(&nowhere).await;
    gateway.chat(ASK).await.expect(200);
    Request::get("/api/usage")
        .to(gateway.admin)
        .await
        .expect(404);
    let said = gateway.output();
    assert!(said.contains("no record of requests is kept"), "{said}");
}

#[tokio::test]
async fn what_waits_when_it_is_told_to_stop_is_written() {
    let provider = Provider::well().await;
    let mut gateway = Gateway::start(&Config::one(&provider).stored()).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    // They end with the drain, after which there is nobody to ask.
    let address = gateway.address;
    let ask = |_| tokio::spawn(async move { Request::chat(ASK).to(address).await.expect(200) });
    let asked: Vec<_> = (0..40).map(ask).collect();
    for asked in asked {
        asked.await.unwrap();
    }
    gateway.signal("TERM");
    assert_eq!(gateway.exit(ms(20_000)).await.code(), Some(0));
    assert_eq!(rows(&gateway.database(), "requests").await, 41);
    assert_eq!(rows(&gateway.database(), "attempts").await, 41);
}

#[tokio::test]
async fn a_successor_writes_to_the_same_file() {
    let provider = Provider::well().await;
    let runtime = Directory::new();
    let config = Config::one(&provider)
        .stored()
        .env("RUNTIME_DIRECTORY", runtime.path().to_str().unwrap());
    let mut old = Gateway::start(&config).await;
    old.chat(ASK).await.expect(200);
    let new = old.succeeded().await;
    for _ in 0..20 {
        new.chat(ASK).await.expect(200);
    }
    assert_eq!(old.exit(ms(20_000)).await.code(), Some(0));
    new.chat(ASK).await.expect(200);
    new.keeps(22).await;
    let usage = new.asked("/api/usage").await;
    assert_eq!(total(&usage, "requests"), 22);
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).top("store: { url: sqlite:overspill.db, retention: 1s }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.settled().await;
    gateway.keeps(0).await;
    assert_eq!(rows(&gateway.database(), "attempts").await, 0);
    // The sums of a quarter of an hour stay as long as any of it is kept.
    let usage = gateway.asked("/api/usage?interval=15m").await;
    assert!(usage["intervals"].as_array().unwrap().len() >= 96);
}

#[tokio::test]
async fn what_callers_choose_breaks_no_row() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).stored()).await;
    let giant = format!(r#"{{"model":"{}"}}"#, "m".repeat(100_000));
    let strange = r#"{"model":"a\u0000b'; DROP TABLE requests; --"}"#;
    for body in [strange, &giant] {
        let reply = gateway.chat(body).await;
        assert!(reply.status >= 400, "{reply:?}");
    }
    gateway.chat(ASK).await.expect(200);
    let kept = gateway.keeps(3).await;
    assert!(
        kept[1]["asked"]
            .as_str()
            .is_none_or(|asked| asked.len() <= 512)
    );
    assert!(
        kept[2]["asked"]
            .as_str()
            .is_none_or(|asked| !asked.contains('\0'))
    );
}

/// As another program sees them.
pub async fn rows(file: &std::path::Path, table: &str) -> i64 {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = options.connect().await.unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    sqlx::query_scalar(&sql)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}
