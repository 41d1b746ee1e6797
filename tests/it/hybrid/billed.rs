//! What was billed: by the model that answered, and against the cap.

use super::{fleet, with};
use crate::harness::answers::{DONE, event, failure, finish, last, part, sse_head};
use crate::harness::fleet::by;
use crate::harness::*;

/// A chat whose usage is this.
fn telling(model: &str, usage: &str) -> Vec<Act> {
    let body = format!(
        r#"{{"id":"c","object":"chat.completion","model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
    );
    vec![json_reply(200, body)]
}

const THOUSAND: &str = r#"{"prompt_tokens":1000,"completion_tokens":1000}"#;

#[tokio::test]
async fn another_model_that_answers_is_billed_as_itself() {
    let one = Provider::start(|_, seen| match seen.model().as_str() {
        "one-small" => vec![failure(
            400,
            "this model's maximum context length is 8 tokens",
        )],
        model => telling(model, THOUSAND),
    })
    .await;
    let models = "{ \"acme/small\": { name: one-small, price: { input: 1, output: 1 } }, \
                    \"acme/large\": { name: one-large, price: { input: 3, output: 5 } } }";
    let config = Config::one(&one).with("models", models).logged();
    let gateway = Gateway::start(&config).await;
    let body = r#"{"model":"acme/small","models":["acme/small","acme/large"],"messages":[]}"#;
    let reply = gateway.chat(body).await.expect(200);
    assert_eq!(reply.get("x-overspill-model"), Some("acme/large"));
    assert_eq!(reply.json()["model"], "acme/large");
    assert_eq!(reply.get("x-overspill-cost"), Some("0.008000"));
    let line = gateway.line(0).await;
    assert_eq!(line["cost_usd"].as_f64(), Some(0.008), "{line}");
    assert_eq!(line["model"], "acme/small");
    assert_eq!(line["served"], "acme/large");
}

fn capped(grid: &Provider) -> Config {
    fleet(&[("grid", &grid.base(), "{ input: 0.2, output: 0.4 }")])
        .route("main", "{ provider: grid }")
        .on_route("max_price", "{ input: 0.6, output: 2.4 }")
        .logged()
}

/// For a thousand tokens each way the cap is 0.003.
fn thousand_for(cost: &str) -> String {
    format!(r#"{{"prompt_tokens":1000,"completion_tokens":1000,"cost":{cost}}}"#)
}

#[tokio::test]
async fn whoever_bills_more_than_the_cap_is_recorded_as_is_and_told_of() {
    let bills = ["0.003", "0.003001", "0.5", "0.0001"];
    let grid =
        Provider::start(move |n, seen| telling(&seen.model(), &thousand_for(bills[n]))).await;
    let gateway = Gateway::start(&capped(&grid)).await;
    for (at, (bill, over)) in bills.iter().zip([false, true, true, false]).enumerate() {
        gateway.chat(ASK).await.expect(200);
        let line = gateway.line(at).await;
        assert_eq!(line["cost_usd"].as_f64(), bill.parse().ok(), "{line}");
        assert_eq!(line["over_cap"].as_bool(), over.then_some(true), "{line}");
    }
    let labels = ["route=\"main\"", "provider=\"grid\""];
    gateway
        .counts("overspill_price_cap_exceeded_total", &labels, 2.0)
        .await;
    // Once a minute.
    let told = || gateway.output().matches("above the price cap").count();
    until("it is told of", ms(5000), || told() > 0).await;
    assert_eq!(told(), 1);
}

#[tokio::test]
async fn the_callers_own_cap_counts_and_without_one_nothing_is_too_dear() {
    let grid = Provider::start(|_, seen| telling(&seen.model(), &thousand_for("0.002"))).await;
    let gateway = Gateway::start(&capped(&grid)).await;
    let field = r#""provider":{"max_price":{"prompt":0.5,"completion":"1.4"}}"#;
    for (at, (body, over)) in [(ASK.to_owned(), None), (with(field), Some(true))]
        .into_iter()
        .enumerate()
    {
        gateway.chat(body).await.expect(200);
        let line = gateway.line(at).await;
        assert_eq!(line["over_cap"].as_bool(), over, "{line}");
    }
    let open = capped(&grid).on_route("max_price", "{}");
    let gateway = Gateway::start(&open).await;
    gateway.chat(ASK).await.expect(200);
    assert!(gateway.line(0).await["over_cap"].is_null());
    assert!(
        !gateway
            .metrics()
            .await
            .contains("overspill_price_cap_exceeded_total{")
    );
}

#[tokio::test]
async fn a_stream_that_bills_too_much_in_its_last_chunk_is_told_of_too() {
    let usage = thousand_for("0.004");
    let last_chunk = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let acts = vec![
        sse_head(),
        part(event("grid-chat", "hello")),
        part(finish("grid-chat")),
        part(last_chunk),
        part(DONE),
        last(),
    ];
    let grid = Provider::always(acts).await;
    let gateway = Gateway::start(&capped(&grid)).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let line = gateway.line(0).await;
    assert_eq!(
        (line["over_cap"].as_bool(), line["cost_usd"].as_f64()),
        (Some(true), Some(0.004)),
        "{line}"
    );
}

#[tokio::test]
async fn the_grid_is_handed_the_lowest_cap_of_the_route_that_serves_the_model() {
    let down = Provider::always(vec![failure(503, "down")]).await;
    let grid = Provider::well().await;
    let model =
        |name: &str, price: &str| format!("\"{name}\": {{ name: x-{name}, price: {price} }}");
    let cheap = "{ input: 0.1, output: 0.2 }";
    let models = format!(
        "{{ {}, {} }}",
        model("acme/a", cheap),
        model("acme/b", cheap)
    );
    let config = Config::new()
        .provider("siliconflow", &down.base())
        .with("models", &models)
        .provider("openrouter", &grid.base())
        .with("models", &models)
        .route("first", "{ provider: siliconflow }")
        .on_route("match", "{ models: [acme/a] }")
        .on_route("max_price", "{ input: 5, output: 9 }")
        .route("second", "{ provider: openrouter }")
        .on_route("match", "{ models: [acme/b] }")
        .on_route("max_price", "{ input: 2, output: 3 }")
        .top("keys: [{ name: mobile, secret: sk-mobile-key, max_price: { completion: 2.5 } }]");
    let gateway = Gateway::start(&config).await;
    for (max_price, prompt, completion) in [
        ("", 2.0, 2.5),
        (r#","provider":{"max_price":{"prompt":"1.25"}}"#, 1.25, 2.5),
        (
            r#","provider":{"max_price":{"prompt":7,"completion":1}}"#,
            2.0,
            1.0,
        ),
    ] {
        let body = format!(r#"{{"models":["acme/a","acme/b"],"messages":[]{max_price}}}"#);
        let reply = gateway
            .ask(Request::chat(body).key("sk-mobile-key"))
            .await
            .expect(200);
        assert_eq!(by(&reply), "openrouter");
        let sent = grid.seen().pop().expect("a request").json();
        let cap = &sent["provider"]["max_price"];
        let found = (cap["prompt"].as_f64(), cap["completion"].as_f64());
        assert_eq!(
            found,
            (Some(prompt), Some(completion)),
            "{max_price}: {sent}"
        );
        assert_eq!(sent["provider"]["ignore"][0], "siliconflow");
    }
}
