//! What a call cost: in the answer's header, in the access line, and to the micro-dollar.

mod whole;

use crate::harness::answers::{DONE, event, failure, finish, json_reply, part, sse_head};
use crate::harness::streaming::*;
use crate::harness::*;

const PRICE: &str = "{ input: 2, output: 8, cached: 0.5 }";
/// 1000 tokens in, 600 of them cached, 250 out: 800 + 300 + 2000 micro-dollars.
const TOLD: &str = "{\"prompt_tokens\":1000,\"completion_tokens\":250,\"total_tokens\":1250,\"prompt_tokens_details\":{\"cached_tokens\":600}}";
const COST: f64 = 0.0031;

/// The models of a provider with this price, as YAML.
fn models(name: &str, price: &str) -> String {
    format!("{{ \"acme/chat\": {{ name: {name}-chat, price: {price} }} }}")
}

fn priced(one: &Provider, price: &str) -> Config {
    Config::one(one)
        .with("models", &models("one", price))
        .logged()
}

/// Two tiers, each with its price; the second knows how to go on.
fn spilling(one: &Provider, two: &Provider, prices: [Option<&str>; 2]) -> Config {
    let mut config = Config::spill(one, two)
        .with("prefill", "assistant")
        .logged();
    for (name, price) in ["one", "two"].into_iter().zip(prices) {
        if let Some(price) = price {
            config = config.on_provider(name, "models", &models(name, price));
        }
    }
    config
}

/// A stream that tells this usage in its last chunk.
fn telling(name: &str, usage: &str) -> Vec<Act> {
    let model = format!("{name}-chat");
    let end = with(finish(&model), &format!("\"usage\":{usage}"));
    streamed([event(&model, "hello"), end, DONE.to_string()])
}

/// The line of the one streamed call.
async fn line_of(config: &Config) -> Value {
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    // It was not known when the head went out.
    assert_eq!(reply.get("x-overspill-cost"), None);
    gateway.line(0).await
}

/// The value of the series of this family, whose it is and all.
async fn counted(gateway: &Gateway, family: &str, labels: &str) -> Option<f64> {
    let metrics = gateway.metrics().await;
    let value = |line: &str| {
        line.strip_prefix(&format!("{family}{{{labels}}} "))?
            .parse()
            .ok()
    };
    metrics.lines().find_map(value)
}

const SPENT: &str = "overspill_cost_dollars_total";
const UNPRICED: &str = "overspill_unpriced_attempts_total";

#[tokio::test]
async fn what_a_key_has_spent_is_a_metric_of_each_provider_and_model() {
    let one = Provider::first(vec![
        vec![failure(503, "busy")],
        vec![failure(503, "busy")],
        telling("one", TOLD),
        telling("one", TOLD),
    ])
    .await;
    let two = Provider::always(telling("two", TOLD)).await;
    let config = spilling(&one, &two, [Some(PRICE), None])
        .top("keys: [{ name: mobile, secret: sk-client-a }]");
    let gateway = Gateway::start(&config).await;
    for number in 0..3 {
        let request = Request::chat(ASK_STREAM).key("sk-client-a");
        gateway.ask(request).await.expect(200);
        gateway.line(number).await;
    }
    gateway.counts("overspill_in_flight", &[], 0.0).await;
    let labels =
        |provider: &str| format!("key=\"mobile\",model=\"acme/chat\",provider=\"{provider}\"");
    let spent = counted(&gateway, SPENT, &labels("one")).await.unwrap();
    assert!((spent - 2.0 * COST).abs() < 1e-9, "{spent}");
    // What is unknown is in no sum, and is told of; what failed and gave nothing is neither.
    assert_eq!(counted(&gateway, SPENT, &labels("two")).await, None);
    assert_eq!(counted(&gateway, UNPRICED, &labels("two")).await, Some(1.0));
    assert_eq!(counted(&gateway, UNPRICED, &labels("one")).await, None);
}

#[tokio::test]
async fn what_costs_by_the_request_and_tells_no_tokens_is_spent_all_the_same() {
    let image = Provider::always(vec![json_reply(200, "{\"data\":[{\"url\":\"x\"}]}")]).await;
    let price = "{ input: 0, output: 0, request: 0.04 }";
    let config = priced(&image, price).on_provider("one", "endpoints", "[images]");
    let gateway = Gateway::start(&config).await;
    let body = "{\"model\":\"acme/chat\",\"prompt\":\"a mill\"}";
    let reply = Request::post("/v1/images/generations", body);
    gateway.ask(reply).await.expect(200);
    costs(&gateway.line(0).await, 0.04);
    gateway.counts("overspill_in_flight", &[], 0.0).await;
    let labels = "key=\"\",model=\"acme/chat\",provider=\"one\"";
    assert_eq!(counted(&gateway, SPENT, labels).await, Some(0.04));
}

/// Whoever leaves before the usage is told pays for what has come all the same.
#[tokio::test]
async fn messages_and_responses_that_break_off_are_reckoned_by_what_came() {
    let typed =
        |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n");
    let piece = |text: &str| {
        let delta =
            format!("\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}");
        typed("content_block_delta", &delta)
    };
    let start = "\"message\":{\"id\":\"1\",\"model\":\"one-chat\",\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}";
    let messages = begun(
        [
            typed("message_start", start),
            piece("a"),
            piece("b"),
            piece("c"),
        ],
        [Act::Close],
    );
    let piece = |text: &str| {
        typed(
            "response.output_text.delta",
            &format!("\"delta\":\"{text}\""),
        )
    };
    let responses = begun([piece("a"), piece("b"), piece("c")], [Act::Close]);
    for (path, acts, tokens) in [("messages", messages, 4), ("responses", responses, 3)] {
        let one = Provider::always(acts).await;
        let config = priced(&one, "{ input: 0, output: 8 }").on_provider(
            "one",
            "endpoints",
            "[messages, responses]",
        );
        let gateway = Gateway::start(&config).await;
        let ask = Request::post(&format!("/v1/{path}"), ASK_STREAM);
        gateway.ask(ask).await.expect(200);
        let line = gateway.line(0).await;
        assert_eq!(line["reason"], "provider_truncated", "{line}");
        assert_eq!(line["tokens_out"], tokens, "{line}");
        assert_eq!(line["estimated"], true, "{line}");
        costs(&line, f64::from(tokens) * 8e-6);
    }
}

#[track_caller]
fn costs(line: &Value, dollars: f64) {
    let found = line["cost_usd"]
        .as_f64()
        .unwrap_or_else(|| panic!("{line}"));
    assert!((found - dollars).abs() < 1e-9, "{dollars}: {line}");
    assert!(line.get("cost_known_usd").is_none(), "{line}");
}

#[track_caller]
fn costs_unknown(line: &Value) {
    assert!(line.get("cost_usd").is_none(), "{line}");
}

#[tokio::test]
async fn a_stream_costs_the_same_wherever_its_usage_stands() {
    let usage = format!("\"usage\":{TOLD}");
    let growing = usage.replace("\"completion_tokens\":250", "\"completion_tokens\":2");
    let extra = format!("data: {{\"model\":\"one-chat\",\"choices\":[],{usage}}}\n\n");
    let in_choice =
        finish("one-chat").replacen("\"choices\":[{", &format!("\"choices\":[{{{usage},"), 1);
    let groq = format!("\"x_groq\":{{\"id\":\"g\",{usage}}}");
    let (first, end) = (event("one-chat", "hello"), finish("one-chat"));
    for events in [
        vec![first.clone(), end.clone(), extra.clone()],
        vec![first.clone(), with(end.clone(), &usage)],
        vec![with(first.clone(), &growing), with(end.clone(), &usage)],
        vec![first.clone(), in_choice, extra],
        vec![first.clone(), with(end.clone(), &groq)],
    ] {
        let sent = [&events[..], &[DONE.to_string()]].concat();
        let one = Provider::always(streamed(sent)).await;
        costs(&line_of(&priced(&one, PRICE)).await, COST);
    }
}

#[tokio::test]
async fn a_failed_attempt_costs_nothing() {
    let one = Provider::always(vec![answers::failure(500, "down")]).await;
    let two = Provider::always(telling("two", TOLD)).await;
    // Not even where its price is unknown, or by the request.
    for price in [None, Some("{ input: 9, output: 9, request: 1 }")] {
        let line = line_of(&spilling(&one, &two, [price, Some(PRICE)])).await;
        assert!(line["attempts"].as_u64() > Some(1), "{line}");
        costs(&line, COST);
    }
}

#[tokio::test]
async fn what_never_began_costs_nothing_though_it_told_its_prompt() {
    let opening = with(role("one-chat"), "\"usage\":{\"prompt_tokens\":99999}");
    let one = Provider::always(begun([opening], [Act::Close])).await;
    let two = Provider::always(telling("two", TOLD)).await;
    costs(
        &line_of(&spilling(&one, &two, [Some(PRICE), Some(PRICE)])).await,
        COST,
    );
}

/// A stream that says one word and breaks.
fn breaking(usage: &str) -> Vec<Act> {
    let member = format!("\"usage\":{usage}");
    let first = with(event("one-chat", "hello "), &member);
    vec![sse_head(), part(first), Act::Sleep(ms(50)), Act::Close]
}

#[tokio::test]
async fn a_resumed_stream_bills_every_attempt() {
    let told = "{\"prompt_tokens\":100,\"completion_tokens\":10}";
    let one = Provider::always(breaking(told)).await;
    let two = Provider::always(telling("two", TOLD)).await;
    let config = spilling(&one, &two, [Some("{ input: 1, output: 10 }"), Some(PRICE)]);
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.line(0).await;
    assert_eq!(
        (line["attempts"].clone(), line["provider"].clone()),
        (2.into(), "two".into())
    );
    costs(&line, 0.0002 + COST);
    gateway
        .counts("overspill_maybe_billed_twice_total", &[], 1.0)
        .await;
}

#[tokio::test]
async fn a_whole_answer_where_a_stream_was_promised_is_paid_for() {
    let whole = chat("one-chat", "hello").replacen(
        "\"usage\":{\"completion_tokens\":2,\"prompt_tokens\":3,\"total_tokens\":5}",
        &format!("\"usage\":{TOLD}"),
        1,
    );
    assert!(whole.contains(TOLD), "{whole}");
    let one = Provider::always(vec![Act::Sleep(ms(100)), json_reply(200, whole)]).await;
    let two = Provider::always(telling("two", TOLD)).await;
    let config = spilling(&one, &two, [Some(PRICE), Some(PRICE)])
        .on_route("stream", "{ ping: 20ms, ping_before_commit: true }")
        .on_route("retry", "{ for: [] }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.line(0).await;
    costs(&line, COST);
    assert_eq!(line["tokens_out"], 250, "{line}");
}

#[tokio::test]
async fn a_part_of_unknown_price_leaves_the_whole_unknown() {
    let one = Provider::always(breaking("{\"prompt_tokens\":100,\"completion_tokens\":10}")).await;
    let two = Provider::always(telling("two", TOLD)).await;
    let line = line_of(&spilling(&one, &two, [None, Some(PRICE)])).await;
    assert_eq!(line["attempts"], 2, "{line}");
    costs_unknown(&line);
    assert_eq!(line["cost_known_usd"].as_f64(), Some(COST), "{line}");
}

#[tokio::test]
async fn a_broken_stream_costs_what_it_told_and_what_came_after() {
    let told = "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10}";
    let sent = [
        with(event("one-chat", "a"), told),
        event("one-chat", "b"),
        event("one-chat", "c"),
    ];
    let one = Provider::always(begun(sent, [Act::Close])).await;
    let gateway = Gateway::start(&priced(&one, "{ input: 1, output: 10 }")).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.tells("provider_truncated").await;
    assert_eq!(
        (&line["tokens_out"], &line["estimated"]),
        (&12.into(), &true.into()),
        "{line}"
    );
    costs(&line, 0.00022);
}

#[tokio::test]
async fn a_providers_own_cost_wins_and_needs_no_price() {
    let told = TOLD.replacen(
        '{',
        "{\"cost\":0.00123,\"cost_details\":{\"upstream_inference_cost\":9},",
        1,
    );
    for price in [PRICE, "{ input: 0, output: 0 }"] {
        let one = Provider::always(telling("one", &told)).await;
        costs(&line_of(&priced(&one, price)).await, 0.00123);
    }
    let one = Provider::always(telling("one", &told)).await;
    costs(&line_of(&Config::one(&one).logged()).await, 0.00123);
}

#[tokio::test]
async fn absurd_usage_is_marked_and_never_billed() {
    for (told, cost) in [
        // Cut down to what can be.
        (TOLD.replace("600", "60000"), 0.0005 + 0.002),
        (
            TOLD.replace("{\"cached", "{\"cache_write_tokens\":99999,\"cached"),
            COST,
        ),
        // Left out.
        (TOLD.replacen('{', "{\"cost\":-1,", 1), COST),
        (TOLD.replacen('{', "{\"cost\":1e300,", 1), COST),
        (TOLD.replacen('{', "{\"cost\":NaN,", 1), COST),
        (TOLD.replacen('{', "{\"cost\":\"<b>\",", 1), COST),
        // Reckoned instead: one event of text, and a quarter of the request's bytes.
        (TOLD.replace(":250", ":-250"), 0.0011 + 0.000008),
        (TOLD.replace(":250", ":1e99"), 0.0011 + 0.000008),
        (TOLD.replace(":250", ":\"250\""), 0.0011 + 0.000008),
        (TOLD.replace(":250", ":2.5"), 0.0011 + 0.000008),
        (TOLD.replace(":250", ":0"), 0.0011 + 0.000008),
        (
            "{\"prompt_tokens\":99999999999999999999999,\"completion_tokens\":0}".into(),
            (ASK_STREAM.len() / 4 * 2 + 8) as f64 / 1e6,
        ),
    ] {
        let one = Provider::always(telling("one", &told)).await;
        let line = line_of(&priced(&one, PRICE)).await;
        assert_eq!(line["status"], 200, "{line}");
        assert_eq!(line["usage_doubtful"], true, "{told}: {line}");
        costs(&line, cost);
    }
    // What makes no sense as a whole is no usage.
    for told in ["[]", "7", "\"usage\"", "true", "{}"] {
        let one = Provider::always(telling("one", told)).await;
        let line = line_of(&priced(&one, PRICE)).await;
        assert_eq!(line["estimated"], true, "{told}: {line}");
        costs(&line, (ASK_STREAM.len() / 4 * 2 + 8) as f64 / 1e6);
    }
}

#[tokio::test]
async fn tool_calls_without_usage_are_reckoned_too() {
    let call = "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}}]}";
    let sent = [
        chunk_of("one-chat", call, "null"),
        chunk_of("one-chat", call, "null"),
        chunk_of("one-chat", "{}", "\"tool_calls\""),
        DONE.to_string(),
    ];
    let one = Provider::always(streamed(sent)).await;
    let line = line_of(&priced(&one, "{ input: 0, output: 8 }")).await;
    costs(&line, 0.000016);
}

#[tokio::test]
async fn prices_show_in_either_currency() {
    let one = Provider::well().await;
    let price = "{ input: 4, output: 16, cached: 1, currency: CNY, date: 2026-07-02 }";
    let gateway = Gateway::start(&priced(&one, price)).await;
    let shown = async |query: &str| {
        let reply = gateway.get(&format!("/v1/models/acme/chat{query}")).await;
        reply.expect(200).json()["price"].clone()
    };
    let yuan = shown("").await;
    let unit = "million tokens";
    let expected = serde_json::json!({
        "input": 4, "output": 16, "cached": 1, "unit": unit, "currency": "CNY", "date": "2026-07-02"
    });
    assert_eq!(yuan, expected);
    assert_eq!(shown("?currency=CNY").await, expected);
    let dollars = shown("?x=1&currency=USD").await;
    let expected = serde_json::json!({
        "input": 0.548, "output": 2.192, "cached": 0.137, "unit": unit, "currency": "USD",
        "date": "2026-07-02"
    });
    assert_eq!(dollars, expected);
    let list = gateway
        .get("/v1/models?currency=USD")
        .await
        .expect(200)
        .json();
    assert_eq!(list["data"][0]["price"], dollars);
    let wrong = gateway.get("/v1/models?currency=EUR").await;
    let body = crate::refusals::refused(wrong, 400, "caller_bad_request");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("CNY, USD"),
        "{body}"
    );
}
