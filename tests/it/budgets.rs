//! What a key may spend: counted to the micro-dollar, and nobody is asked once it is spent.

mod kept;
mod reserved;

use crate::harness::answers::{DONE, event, failure, finish, json_reply, part, sse_head};
use crate::harness::streaming::*;
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

const KEY: &str = "sk-client-a";
/// 1000 tokens in, 250 out, at 2 and 8: 4000 micro-dollars.
const TOLD: &str = "{\"prompt_tokens\":1000,\"completion_tokens\":250,\"total_tokens\":1250}";
const COST: i64 = 4000;
/// What `ASK` may cost at most: a token for four of its bytes, and the usual length of an answer.
const MOST: i64 = (ASK.len() as i64 / 4) * 2 + 500 * 8;

/// One provider with a price, and two keys: `mobile` with this budget, `other` without one.
fn limited(one: &Provider, budget: &str) -> Config {
    let models = "{ \"acme/chat\": { name: one-chat, price: { input: 2, output: 8 } } }";
    Config::one(one)
        .with("models", models)
        .logged()
        .top(&format!(
            "keys: [{{ name: mobile, secret: {KEY}, explain: true, budget: {budget} }}, \
         {{ name: other, secret: sk-client-b }}]"
        ))
}

fn whole_answer(usage: &str) -> Vec<Act> {
    let body = chat("one-chat", "hello");
    let mut json: Value = serde_json::from_str(&body).unwrap();
    json["usage"] = serde_json::from_str(usage).unwrap();
    vec![json_reply(200, json.to_string())]
}

fn telling(name: &str) -> Vec<Act> {
    let model = format!("{name}-chat");
    let end = with(finish(&model), &format!("\"usage\":{TOLD}"));
    streamed([event(&model, "hello"), end, DONE.to_string()])
}

fn mine(body: &str) -> Request {
    Request::chat(body).key(KEY)
}

/// How the one budget stands, once nothing is under way any more.
async fn stands(gateway: &Gateway) -> Value {
    gateway.counts("overspill_in_flight", &[], 0.0).await;
    let all = gateway.asked("/api/budgets").await;
    assert_eq!(all["budgets"].as_array().unwrap().len(), 1, "{all}");
    all["budgets"][0].clone()
}

async fn spent(gateway: &Gateway) -> i64 {
    stands(gateway).await["spent_micros"].as_i64().unwrap()
}

#[track_caller]
fn refused(reply: Reply) -> Value {
    let body = crate::refusals::refused(reply, 402, "policy_budget");
    assert_eq!(body["error"]["code"], "insufficient_quota", "{body}");
    body
}

#[tokio::test]
async fn a_budget_that_is_spent_ends_in_a_refusal_that_no_provider_hears_of() {
    let one = Provider::always(whole_answer(TOLD)).await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 0.009, per: month }")).await;
    for number in 1..=3 {
        gateway.ask(mine(ASK)).await.expect(200);
        assert_eq!(spent(&gateway).await, number * COST);
    }
    let reply = gateway.ask(mine(ASK)).await;
    assert_eq!(reply.get("x-should-retry"), Some("false"));
    assert_eq!(reply.get("retry-after"), None);
    let body = refused(reply);
    let message = body["error"]["message"].as_str().unwrap();
    for said in [
        "`mobile`",
        "0.012000 of 0.009000 dollars a month",
        "-01 at 00:00 UTC",
    ] {
        assert!(message.contains(said), "{said} in {message}");
    }
    let stream = gateway.ask(mine(ASK_STREAM)).await;
    refused(stream);
    assert_eq!(one.count(), 3);

    // Nobody else pays for it, and what costs nothing is still answered.
    gateway
        .ask(Request::chat(ASK).key("sk-client-b"))
        .await
        .expect(200);
    gateway
        .ask(Request::get("/v1/models").key(KEY))
        .await
        .expect(200);
    let explained = mine(ASK).header("x-overspill-explain", "1");
    let explained = gateway.ask(explained).await.expect(200).json();
    let asked = gateway
        .asked("/api/explain?model=acme/chat&key=mobile")
        .await;
    for told in [explained, asked] {
        assert_eq!(told["budget"]["spent_micros"], 3 * COST, "{told}");
        assert!(
            told["words"].to_string().contains("nothing is left"),
            "{told}"
        );
    }
    let other = gateway
        .asked("/api/explain?model=acme/chat&key=other")
        .await;
    assert_eq!(other.get("budget"), None);
    assert_eq!(one.count(), 4);

    let budget = stands(&gateway).await;
    for (name, value) in [
        ("limit_micros", 9000),
        ("spent_micros", 3 * COST),
        ("reserved_micros", 0),
        ("left_micros", 0),
    ] {
        assert_eq!(budget[name], value, "{name} in {budget}");
    }
    assert_eq!(
        (&budget["key"], &budget["per"]),
        (&"mobile".into(), &"month".into())
    );
    let [from, to] = ["from_ms", "to_ms"].map(|name| budget[name].as_i64().unwrap());
    const DAY: i64 = 86_400_000;
    assert!(from % DAY == 0 && to % DAY == 0, "{budget}");
    assert!((28 * DAY..=31 * DAY).contains(&(to - from)), "{budget}");
    let label = ["reason=\"policy_budget\""];
    gateway
        .counts("overspill_requests_total", &label, 2.0)
        .await;
    for (name, dollars) in [("limit", 0.009), ("spent", 0.012), ("reserved", 0.0)] {
        let name = format!("overspill_budget_{name}_dollars");
        gateway.counts(&name, &["key=\"mobile\""], dollars).await;
        gateway.counts(&name, &[], dollars).await;
    }
}

#[tokio::test]
async fn the_refusal_is_anthropics_where_its_words_are_spoken() {
    let one = Provider::always(whole_answer(TOLD)).await;
    let config = limited(&one, "{ usd: 0.001, per: total }").on_provider(
        "one",
        "endpoints",
        "[chat, messages]",
    );
    let gateway = Gateway::start(&config).await;
    gateway.ask(mine(ASK)).await.expect(200);
    stands(&gateway).await;
    let reply = gateway
        .ask(Request::post("/v1/messages", ASK).key(KEY))
        .await;
    assert_eq!(reply.get("x-should-retry"), Some("false"));
    let body = reply.expect(402).json();
    assert_eq!(body["error"]["type"], "billing_error", "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("operator"),
        "a total has no next window: {message}"
    );
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn streams_are_counted_and_each_part_of_a_resumed_one() {
    let told = "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}";
    let first = with(event("one-chat", "hello "), told);
    let broken = vec![sse_head(), part(first), Act::Sleep(ms(50)), Act::Close];
    let one = Provider::first(vec![telling("one"), broken]).await;
    let two = Provider::always(telling("two")).await;
    let price = |name: &str| {
        format!("{{ \"acme/chat\": {{ name: {name}-chat, price: {{ input: 2, output: 8 }} }} }}")
    };
    let config = Config::spill(&one, &two)
        .with("prefill", "assistant")
        .on_provider("one", "models", &price("one"))
        .on_provider("two", "models", &price("two"))
        .top(&format!(
            "keys: [{{ name: mobile, secret: {KEY}, budget: {{ usd: 1, per: week }} }}]"
        ));
    let gateway = Gateway::start(&config).await;
    gateway.ask(mine(ASK_STREAM)).await.expect(200);
    assert_eq!(spent(&gateway).await, COST);
    let reply = gateway.ask(mine(ASK_STREAM)).await.expect(200);
    assert!(reply.text().contains("[DONE]"), "{}", reply.text());
    assert_eq!((one.count(), two.count()), (2, 1));
    assert_eq!(spent(&gateway).await, COST + 280 + COST);
}

/// Whoever leaves pays for what has come, and gives the rest of the reservation back.
#[tokio::test]
async fn a_caller_that_leaves_gives_back_what_it_did_not_use() {
    let events = [event("one-chat", "a"), event("one-chat", "b")];
    let one = Provider::first(vec![vec![Act::Hang], begun(events, [Act::Hang])]).await;
    let gateway = Gateway::start(&limited(&one, "{ usd: 1, per: day }")).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&mine(ASK).bytes()).await;
    until("the provider is asked", ms(5000), || one.count() == 1).await;
    let budget = &gateway.asked("/api/budgets").await["budgets"][0];
    assert_eq!(budget["reserved_micros"], MOST, "{budget}");
    drop(conn);
    let budget = stands(&gateway).await;
    assert_eq!(
        (&budget["spent_micros"], &budget["reserved_micros"]),
        (&0.into(), &0.into())
    );

    let mut conn = Conn::open(gateway.address).await;
    conn.send(&mine(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "\"b\"").await;
    drop(conn);
    // Two tokens out, and a quarter of the request's bytes in.
    let prompt = ASK_STREAM.len() as i64 / 4;
    assert_eq!(spent(&gateway).await, prompt * 2 + 2 * 8);
    assert_eq!(stands(&gateway).await["reserved_micros"], 0);
}

#[tokio::test]
async fn what_fails_costs_nothing_and_what_is_billed_above_a_cap_is_counted() {
    let dear = TOLD.replacen('{', "{\"cost\":2.5,", 1);
    let one = Provider::first(vec![vec![failure(400, "no")], whole_answer(&dear)]).await;
    let config = limited(&one, "{ usd: 2, per: day }").on_route("max_price", "{ output: 8 }");
    let gateway = Gateway::start(&config).await;
    gateway.ask(mine(ASK)).await.expect(400);
    assert_eq!(spent(&gateway).await, 0);
    gateway.ask(mine(ASK)).await.expect(200);
    gateway
        .counts("overspill_price_cap_exceeded_total", &[], 1.0)
        .await;
    assert_eq!(spent(&gateway).await, 2_500_000);
    refused(gateway.ask(mine(ASK)).await);
    assert_eq!(one.count(), 2);
}

#[tokio::test]
async fn routes_that_stream_through_are_closed_to_whoever_has_spent_all() {
    let one = Provider::always(whole_answer(TOLD)).await;
    let config = limited(&one, "{ usd: 0.001, per: day }")
        .route("audio", "{ provider: one }")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    let audio = || Request::post("/v1/audio/translations", "sound").key(KEY);
    gateway.ask(audio()).await.expect(200);
    // Nobody knows what that cost.
    assert_eq!(spent(&gateway).await, 0);
    gateway.ask(mine(ASK)).await.expect(200);
    assert_eq!(spent(&gateway).await, COST);
    refused(gateway.ask(audio()).await);
    assert_eq!(one.count(), 2);
}
