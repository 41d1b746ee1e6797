//! Answers that are no streams: their cost is known before their head goes out.

use super::*;

/// A whole answer whose `usage` is this, or which has none.
fn answering(usage: Option<&str>) -> String {
    let body = chat("one-chat", "hello");
    let mut json: Value = serde_json::from_str(&body).unwrap();
    json.as_object_mut().unwrap().remove("usage");
    let body = json.to_string();
    match usage {
        Some(usage) => body.replacen('{', &format!("{{\"usage\":{usage},"), 1),
        None => body,
    }
}

/// Header and line for one call, answered so.
async fn asked(config: impl FnOnce(&Provider) -> Config, body: &str) -> (Reply, Value) {
    let one = Provider::always(vec![json_reply(200, body)]).await;
    let gateway = Gateway::start(&config(&one)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    let line = gateway.tells("ok").await;
    (reply, line)
}

#[tokio::test]
async fn header_and_line_say_the_same() {
    let body = answering(Some(TOLD));
    let (reply, line) = asked(|one| priced(one, PRICE), &body).await;
    assert_eq!(reply.get("x-overspill-cost"), Some("0.003100"));
    costs(&line, COST);
    // The rest of the answer is what the provider sent.
    assert_eq!(reply.text(), body.replace("one-chat", "acme/chat"));
}

#[tokio::test]
async fn the_header_counts_all_attempts() {
    let one = Provider::always(vec![answers::failure(500, "down")]).await;
    let two = Provider::always(vec![json_reply(200, answering(Some(TOLD)))]).await;
    let gateway = Gateway::start(&spilling(&one, &two, [None, Some(PRICE)])).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-cost"), Some("0.003100"));
    let line = gateway.line(0).await;
    costs(&line, COST);
}

#[tokio::test]
async fn an_unknown_price_is_not_nothing() {
    let (reply, line) = asked(|one| Config::one(one).logged(), &answering(Some(TOLD))).await;
    assert_eq!(reply.get("x-overspill-cost"), None);
    costs_unknown(&line);
    assert!(line.get("cost_known_usd").is_none(), "{line}");
    let free = "{ input: 0, output: 0 }";
    let (reply, line) = asked(|one| priced(one, free), &answering(Some(TOLD))).await;
    assert_eq!(reply.get("x-overspill-cost"), Some("0.000000"));
    costs(&line, 0.0);
}

#[tokio::test]
async fn every_vendor_is_billed_in_its_own_words() {
    for (usage, price, cost) in [
        (TOLD, "{ input: 2, output: 8, request: 0.01 }", "0.014000"),
        // 8000 micro-yuan.
        (TOLD, "{ input: 4, output: 16, currency: CNY }", "0.001096"),
        (
            "{\"input_tokens\":100,\"cache_read_input_tokens\":1000,\"cache_creation_input_tokens\":200,\"output_tokens\":50}",
            "{ input: 3, output: 15, cached: 0.3, cache_write: 3.75 }",
            "0.002100",
        ),
        (
            "{\"prompt_tokens\":32,\"completion_tokens\":9,\"total_tokens\":246,\"completion_tokens_details\":{\"reasoning_tokens\":205}}",
            "{ input: 0, output: 10, reasoning: 20 }",
            "0.004190",
        ),
        (
            "{\"prompt_tokens\":9,\"completion_tokens\":9,\"cost\":\"0.5\"}",
            PRICE,
            "0.500000",
        ),
    ] {
        let (reply, line) = asked(|one| priced(one, price), &answering(Some(usage))).await;
        assert_eq!(reply.get("x-overspill-cost"), Some(cost), "{usage} {line}");
        costs(&line, cost.parse().unwrap());
    }
}

#[tokio::test]
async fn rates_are_the_configurations() {
    let price = "{ input: 8, output: 0, currency: CNY }";
    for (rate, cost) in [
        ("8", "0.001000"),
        ("{ from_usd: 8, to_usd: 0.2 }", "0.001600"),
    ] {
        let top = format!("currencies: {{ CNY: {rate} }}");
        let (reply, _) = asked(|one| priced(one, price).top(&top), &answering(Some(TOLD))).await;
        assert_eq!(reply.get("x-overspill-cost"), Some(cost), "{rate}");
    }
}

#[tokio::test]
async fn usage_beside_its_place_is_found() {
    let body = answering(None);
    let in_choice = body.replacen(
        "\"choices\":[{",
        &format!("\"choices\":[{{\"usage\":{TOLD},"),
        1,
    );
    let groq = body.replacen(
        '{',
        &format!("{{\"usage\":null,\"x_groq\":{{\"usage\":{TOLD}}},"),
        1,
    );
    for body in [in_choice, groq] {
        let (reply, line) = asked(|one| priced(one, PRICE), &body).await;
        assert_eq!(reply.get("x-overspill-cost"), Some("0.003100"), "{body}");
        assert!(line.get("estimated").is_none(), "{line}");
    }
}

#[tokio::test]
async fn what_is_not_told_is_reckoned_and_marked() {
    // "hello" is two tokens of four bytes.
    let cost = ASK.len() / 4 * 2 + 2 * 8;
    let (reply, line) = asked(|one| priced(one, PRICE), &answering(None)).await;
    assert_eq!(
        reply.get("x-overspill-cost"),
        Some(&*format!("0.{cost:06}"))
    );
    assert_eq!(line["estimated"], true, "{line}");
    assert_eq!(line["tokens_out"], 2, "{line}");
}

const EMBED: &str = "{\"model\":\"acme/chat\",\"input\":\"0123456789\"}";

async fn embedded(answer: String) -> (Reply, Value) {
    let one = Provider::always(vec![json_reply(200, answer)]).await;
    let gateway = Gateway::start(&priced(&one, "{ input: 100, output: 0.1 }")).await;
    let reply = gateway
        .ask(Request::post("/v1/embeddings", EMBED))
        .await
        .expect(200);
    let line = gateway.tells("ok").await;
    (reply, line)
}

#[tokio::test]
async fn embeddings_cost_their_input() {
    let told = "{\"object\":\"list\",\"data\":[],\"model\":\"one-chat\",\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}";
    let (reply, line) = embedded(told.to_owned()).await;
    assert_eq!(reply.get("x-overspill-cost"), Some("0.000700"));
    assert!(line.get("estimated").is_none(), "{line}");
    let untold = "{\"object\":\"list\",\"data\":[],\"model\":\"one-chat\"}";
    let (reply, line) = embedded(untold.to_owned()).await;
    let cost = EMBED.len() / 4 * 100;
    assert_eq!(
        reply.get("x-overspill-cost"),
        Some(&*format!("0.{cost:06}"))
    );
    assert_eq!(line["estimated"], true, "{line}");
}

#[tokio::test]
async fn an_answer_too_large_to_hold_is_billed_by_its_end() {
    let vector = "0.125,".repeat(300_000);
    let usage = "\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}";
    let body = format!("{{\"data\":[{vector}1],\"model\":\"one-chat\",{usage}}}");
    let (reply, line) = embedded(body.clone()).await;
    assert_eq!(reply.text(), body.replace("one-chat", "acme/chat"));
    assert_eq!(reply.get("x-overspill-cost"), None);
    costs(&line, 0.0007);
}

#[tokio::test]
async fn an_error_costs_nothing_and_says_so() {
    let one = Provider::always(vec![answers::failure(500, "down")]).await;
    let gateway = Gateway::start(&Config::one(&one).logged()).await;
    let reply = gateway.chat(ASK).await.expect(500);
    assert_eq!(reply.get("x-overspill-cost"), Some("0.000000"));
    costs(&gateway.line(0).await, 0.0);
    // Where nobody was asked there is nothing to say.
    let refused = gateway.chat("{}").await;
    assert_eq!(refused.get("x-overspill-cost"), None);
    costs_unknown(&gateway.line(1).await);
}

#[tokio::test]
async fn a_caller_who_leaves_has_cost_something() {
    let sent = vec![sse_head(), part(event("one-chat", "hello")), Act::Hang];
    let one = Provider::always(sent).await;
    let gateway = Gateway::start(&priced(&one, PRICE)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    let mut framing = head.framing("POST");
    conn.body_until(&mut framing, "hello").await;
    drop(conn);
    let line = gateway.line(0).await;
    assert_eq!(line["reason"], "caller_cancelled", "{line}");
    costs(&line, (ASK_STREAM.len() / 4 * 2 + 8) as f64 / 1e6);
}
