//! `/api/measures`: what each provider was like, by what was seen of it from here.

use crate::harness::answers::{
    DONE, event, failure, finish, http, last, part, sse_head, stream_reply,
};
use crate::harness::streaming::*;
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;

impl Gateway {
    async fn measures(&self, query: &str) -> Reply {
        let path = format!("/api/measures{query}");
        Request::get(&path).to(self.admin).await
    }

    /// The last five minutes of this provider, once so many requests are over.
    async fn seen(&self, provider: &str, requests: usize) -> Value {
        self.line(requests - 1).await;
        let reply = self.measures("?window=5m").await.expect(200).json();
        let all = reply["measures"].as_array().expect("a list").clone();
        let mut found = all.into_iter().filter(|one| one["provider"] == provider);
        let found = found.next().expect("the provider");
        assert_eq!(found["model"], "acme/chat");
        found["windows"]["5m"].clone()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// Attempts, answers, and the answers that have each of these.
fn counts<const N: usize>(seen: &Value, metrics: [&str; N]) -> (u64, u64, [u64; N]) {
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{seen}"));
    let samples = metrics.map(|metric| count(&seen[metric]["samples"]));
    (count(&seen["attempts"]), count(&seen["answers"]), samples)
}

const SPEEDS: [&str; 5] = ["ttft", "prefill", "decode", "otps", "otpr"];

const FIRST: Duration = ms(300);
const REST: Duration = ms(400);

/// Says `before` after `FIRST`, and the rest of its 7 tokens for 11 within `REST` more.
fn paced(before: String) -> Vec<Act> {
    let told = with(finish("one-chat"), &format!("\"usage\":{USAGE}"));
    vec![
        sse_head(),
        part(ONE.role()),
        Act::Sleep(FIRST),
        part(before),
        Act::Sleep(REST),
        part(event("one-chat", "world")),
        part(told),
        part(DONE),
        last(),
    ]
}

#[tokio::test]
async fn a_stream_is_measured_from_its_first_reasoning_or_content_to_its_end() {
    let content = event("one-chat", "hello");
    let reasoning = chunk_of("one-chat", "{\"reasoning_content\":\"hm\"}", "null");
    for before in [content, reasoning] {
        let one = Provider::always(paced(before)).await;
        let gateway = Gateway::start(&Config::one(&one).logged()).await;
        gateway.chat(ASK_STREAM).await.expect(200);
        let seen = gateway.seen("one", 1).await;
        assert_eq!(counts(&seen, SPEEDS), (1, 1, [1; 5]), "{seen}");
        assert_eq!(number(&seen["success"]), 1.0);
        assert_eq!(number(&seen["otpr"]["avg"]), 7.0);
        // The machine may be late, and is never early.
        let ttft = number(&seen["ttft"]["p90"]);
        let late = FIRST.as_secs_f64() + 0.25;
        assert!((FIRST.as_secs_f64()..late).contains(&ttft), "{ttft}");
        assert!((number(&seen["prefill"]["avg"]) * ttft - 11.0).abs() < 1e-6);
        // What is left after the first token, by one speed and by the other.
        let rest = 7.0 / number(&seen["decode"]["median"]);
        let total = 7.0 / number(&seen["otps"]["p99"]);
        assert!((total - ttft - rest).abs() < 1e-6, "{seen}");
        let late = REST.as_secs_f64() + 0.25;
        assert!((REST.as_secs_f64()..late).contains(&rest), "{rest}");
        assert_eq!(
            (&seen["estimated"], &seen["sampled"]),
            (&0.into(), &false.into())
        );
    }
}

/// How long it took to the end of one answer, by its tokens and their speed.
fn total(seen: &Value) -> f64 {
    number(&seen["otpr"]["avg"]) / number(&seen["otps"]["avg"])
}

#[tokio::test]
async fn an_answer_is_over_with_its_last_word_though_its_end_marker_never_comes() {
    let mut acts = paced(event("one-chat", "hello"));
    // The end marker, and the end of the stream.
    acts.truncate(acts.len() - 2);
    acts.push(Act::Hang);
    let one = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let asked = Instant::now();
    gateway.chat(ASK_STREAM).await.expect(200);
    // It was waited for.
    assert!(asked.elapsed() > FIRST + REST + ms(700));
    let seen = gateway.seen("one", 1).await;
    let paced = (FIRST + REST).as_secs_f64();
    let total = total(&seen);
    assert!((paced..paced + 0.4).contains(&total), "{total}");
}

#[tokio::test]
async fn an_answer_too_large_to_hold_is_over_with_its_last_byte() {
    let body = chat("one-chat", &"0123456789".repeat(150_000));
    let answer = http(200, &[("content-type", "application/json")], body);
    let (before, after) = answer.split_at(answer.len() - 1000);
    let one = Provider::always(vec![
        Act::Write(before.into()),
        Act::Sleep(REST),
        Act::Write(after.into()),
    ])
    .await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK).await.expect(200);
    let seen = gateway.seen("one", 1).await;
    let total = total(&seen);
    let rest = REST.as_secs_f64();
    assert!((rest..rest + 0.6).contains(&total), "{total}");
}

#[tokio::test]
async fn a_caller_who_stops_reading_makes_no_provider_slow() {
    let long = event("one-chat", &"word ".repeat(3000));
    let events = std::iter::repeat_n(long, 1000).chain([finish("one-chat"), DONE.to_owned()]);
    let one = Provider::always(streamed(events)).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    // What the sockets do not hold has to wait.
    tokio::time::sleep(ms(500)).await;
    conn.rest(head, "POST").await;
    let seen = gateway.seen("one", 1).await;
    assert_eq!(counts(&seen, SPEEDS), (1, 1, [1, 1, 0, 0, 1]), "{seen}");
}

#[tokio::test]
async fn a_whole_answer_has_no_first_token() {
    let one = Provider::start(|_, seen| {
        let mut acts = vec![Act::Sleep(ms(100))];
        acts.extend(answers::chat_reply(seen));
        acts
    })
    .await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK).await.expect(200);
    let seen = gateway.seen("one", 1).await;
    assert_eq!(counts(&seen, SPEEDS), (1, 1, [0, 0, 0, 1, 1]), "{seen}");
    for absent in ["ttft", "prefill", "decode"] {
        for stat in ["avg", "median", "p90", "p99"] {
            assert_eq!(seen[absent][stat], Value::Null, "{seen}");
        }
    }
    let otps = number(&seen["otps"]["median"]);
    assert!((4.0..=20.0).contains(&otps), "{otps}");
    assert_eq!(number(&seen["otpr"]["p99"]), 2.0);
}

#[tokio::test]
async fn failures_and_empty_answers_lower_success_and_nothing_else() {
    let empty = || vec![json_reply(200, chat("one-chat", ""))];
    let silent = stream_reply("one-chat", "");
    let one = Provider::first(vec![
        vec![failure(500, "broken")],
        empty(),
        silent,
        vec![failure(429, "busy")],
        vec![failure(503, "overloaded")],
    ])
    .await;
    let two = Provider::start(|_, seen| match seen.json()["stream"] == true {
        true => stream_reply("two-chat", "hello"),
        false => chat_reply(seen),
    })
    .await;
    let config = Config::beside(&one, &two)
        .on_provider("one", "breaker", "off")
        .logged();
    let gateway = Gateway::start(&config).await;
    for body in [ASK, ASK, ASK_STREAM, ASK, ASK, ASK] {
        gateway.chat(body).await.expect(200);
    }
    let seen = gateway.seen("one", 6).await;
    assert_eq!(counts(&seen, SPEEDS), (6, 1, [0, 0, 0, 1, 1]), "{seen}");
    assert!((number(&seen["success"]) - 1.0 / 6.0).abs() < 1e-9);
    let seen = gateway.seen("two", 6).await;
    assert_eq!(counts(&seen, ["ttft"]), (5, 5, [1]), "{seen}");
    assert_eq!(number(&seen["success"]), 1.0);
}

#[tokio::test]
async fn what_is_the_callers_own_matter_is_not_measured() {
    let one = Provider::first(vec![
        vec![failure(400, "what is that?")],
        vec![Act::Hang],
        begun([ONE.role(), ONE.say("hello")], [Act::Hang]),
        vec![Act::Hang],
    ])
    .await;
    let timeouts = "{ response: 5s, deadline: 5s }";
    let config = Config::one(&one).on_route("timeouts", timeouts).logged();
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(400);
    // Two callers leave: before the answer, and in the middle of it.
    for (number, body) in [(1, ASK), (2, ASK_STREAM)] {
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&Request::chat(body).bytes()).await;
        until("it is asked", ms(5000), || one.count() == number + 1).await;
        if body == ASK_STREAM {
            let head = conn.head().await;
            conn.body_until(&mut head.framing("POST"), "hello").await;
        }
        drop(conn);
        assert_eq!(gateway.line(number).await["reason"], "caller_cancelled");
    }
    let hasty = Request::chat(ASK).header("x-overspill-timeout", "200ms");
    gateway.ask(hasty).await.expect(504);
    gateway.chat("{}").await.expect(400);
    let seen = gateway.seen("one", 5).await;
    assert_eq!(counts(&seen, SPEEDS), (0, 0, [0; 5]), "{seen}");
    assert_eq!(seen["success"], Value::Null);
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failure_and_who_carries_it_on_shows_no_speed() {
    let one = Provider::always(begun(
        [ONE.role(), ONE.say("hello ")],
        [Act::Sleep(ms(50)), Act::Close],
    ))
    .await;
    let two = Provider::always(streamed([
        TWO.role(),
        TWO.say("world"),
        finish("two-chat"),
        DONE.to_owned(),
    ]))
    .await;
    let config = Config::spill(&one, &two).with("prefill", "assistant");
    let gateway = Gateway::start(&config.logged()).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(reply.text().contains("world"), "{}", reply.text());
    let broke = gateway.seen("one", 1).await;
    assert_eq!(counts(&broke, SPEEDS), (1, 0, [0; 5]), "{broke}");
    let went_on = gateway.seen("two", 1).await;
    assert_eq!(counts(&went_on, SPEEDS), (1, 1, [0; 5]), "{went_on}");
}

#[tokio::test]
async fn tokens_nobody_told_are_reckoned_and_marked() {
    let one = Provider::always(stream_reply("one-chat", "hello")).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let seen = gateway.seen("one", 1).await;
    assert_eq!(seen["estimated"], 1, "{seen}");
    assert_eq!(counts(&seen, ["ttft", "otps", "otpr"]), (1, 1, [1; 3]));
}

#[tokio::test]
async fn measures_survive_a_reload_and_go_with_their_target() {
    let one = Provider::well().await;
    let two = Provider::well().await;
    let config = Config::beside(&one, &two).logged();
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    assert_eq!(gateway.seen("one", 1).await["attempts"], 1);
    gateway.rewrite(&config.clone().on_route("forward", "[x-team]"));
    gateway.reload().await.expect(200);
    assert_eq!(gateway.seen("one", 1).await["attempts"], 1);

    let without = Config::new()
        .provider("two", &two.base())
        .route("main", "{ provider: two }")
        .logged();
    gateway.rewrite(&without);
    gateway.reload().await.expect(200);
    let left = gateway.measures("").await.expect(200).json();
    let left = left["measures"].as_array().expect("a list");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["provider"], "two");
    gateway.rewrite(&config);
    gateway.reload().await.expect(200);
    assert_eq!(gateway.seen("one", 1).await["attempts"], 0);
}

#[tokio::test]
async fn the_list_is_sorted_whole_and_can_be_narrowed() {
    let one = Provider::well().await;
    let models = "{ \"acme/chat\": { name: a }, \"acme/a\": { name: b } }";
    let config = Config::new()
        .provider("z", &one.base())
        .with("models", models)
        .provider("b", &one.base())
        .route("main", "{ provider: z }, { provider: b }");
    let gateway = Gateway::start(&config).await;
    let pairs = async |query: &str| {
        let reply = gateway.measures(query).await.expect(200);
        assert_eq!(reply.get("content-type"), Some("application/json"));
        let list = reply.json()["measures"].as_array().expect("a list").clone();
        let pair = |one: &Value| format!("{}@{}", one["model"], one["provider"]).replace('"', "");
        list.iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(pairs("").await, ["acme/a@z", "acme/chat@b", "acme/chat@z"]);
    assert_eq!(pairs("?provider=z").await, ["acme/a@z", "acme/chat@z"]);
    assert_eq!(
        pairs("?model=acme%2Fchat&window=24h").await,
        ["acme/chat@b", "acme/chat@z"]
    );
    assert_eq!(pairs("?model=acme/a&provider=b").await.len(), 0);

    let all = gateway.measures("").await.json();
    let windows = all["measures"][0]["windows"].as_object().expect("windows");
    let mut names: Vec<_> = windows.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["1h", "24h", "5m"]);
    let day = gateway.measures("?window=24h").await.json();
    let windows = day["measures"][0]["windows"].as_object().expect("windows");
    assert_eq!(windows.keys().collect::<Vec<_>>(), ["24h"]);
}

#[tokio::test]
async fn prices_and_scores_stand_beside_what_was_measured() {
    let one = Provider::well().await;
    let models = "{ \"acme/chat\": { name: a, price: { input: 7.3, output: 14.6, currency: CNY }, \
                  scores: { gpqa: 54.6, mmlu: 80 } }, \"acme/a\": { name: b } }";
    let config = Config::one(&one)
        .with("models", models)
        .top("currencies: { CNY: 7.3 }");
    let gateway = Gateway::start(&config).await;
    let list = gateway.measures("").await.expect(200).json();
    let [unknown, known] = &list["measures"].as_array().expect("a list")[..] else {
        panic!("{list}");
    };
    let price: Value = serde_json::json!({ "input": 1.0, "output": 2.0, "request": 0.0 });
    assert_eq!(known["price"], price, "{known}");
    let scores: Value = serde_json::json!({ "gpqa": 54.6, "mmlu": 80.0 });
    assert_eq!(known["scores"], scores, "{known}");
    assert_eq!(unknown["price"], Value::Null, "{unknown}");
    assert_eq!(unknown["scores"], serde_json::json!({}), "{unknown}");
}

#[tokio::test]
async fn bad_parameters_are_told_what_to_write() {
    let one = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    for (query, parameter, said) in [
        ("?window=10m", "window", "5m, 1h, 24h"),
        ("?window=", "window", "5m, 1h, 24h"),
        ("?windows=5m", "windows", "provider, model or window"),
        ("?model=a&model=b", "model", "twice"),
        ("?%ff%00", "\u{fffd}\0", "unknown parameter"),
    ] {
        let error = gateway.measures(query).await.expect(400).json()["error"].clone();
        assert_eq!(error["param"], parameter, "{error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(said), "{query}: {message}");
    }
    let post = Request::post("/api/measures", "").to(gateway.admin).await;
    assert_eq!(post.expect(405).get("allow"), Some("GET"));
}

#[tokio::test]
async fn measures_are_for_those_with_the_token() {
    let one = Provider::well().await;
    let admin = "admin: { address: ADMIN, token: sk-admin }";
    let gateway = Gateway::start(&Config::one(&one).server(admin)).await;
    gateway.measures("").await.expect(401);
    let known = Request::get("/api/measures").key("sk-admin");
    known.to(gateway.admin).await.expect(200);
    gateway.get("/api/measures").await.expect(404);
}
