//! What exactly the next target is sent, and what it is told of the limits.

use super::{BEGUN, REST, all, asking, begun, breaking, config, cut_after};
use crate::harness::answers::{DONE, last, part, sse_head};
use crate::harness::voice::{ONE, TWO};
use crate::harness::*;
use serde_json::json;

/// Nothing in it is as a library would write it.
const ODD: [&str; 7] = [
    r#" "stream" :true"#,
    r#"  "model":"acme/chat" "#,
    r#""temperature" : 1.0e0"#,
    r#""stream_options":{ "include_usage":true, "x":[1.50] }"#,
    r#""seed":12345678901234567890"#,
    r#""messages" : [ {"content":"caf\u00e9 \/ \ud83e\udd80", "role":"user"} , {"role":"assistant","content":"Yes?"},{"role":"user","content":"\"messages\":[]"} ] "#,
    r#""metadata":{"messages":[{"role":"user"}],"max_tokens":7 }"#,
];

fn odd() -> String {
    format!("{{{}}}\r\n", ODD.join(","))
}

/// The bodies that the two providers were sent.
async fn bodies(body: &str, form: &str) -> (String, String) {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", form)).await;
    let reply = gateway.chat(body).await.expect(200);
    assert_eq!(Said::of(&reply).content, all());
    (one.only().text(), two.only().text())
}

/// What stands in `long` beyond `short`, the rest being the same: the one place that begins with
/// a comma.
fn inserted<'a>(short: &str, long: &'a str) -> &'a str {
    let more = long.len() - short.len();
    let places = short.char_indices().map(|(at, _)| at);
    let mut found = places.filter_map(|at| {
        let new = long.get(at..at + more)?;
        let same = long.starts_with(&short[..at]) && long.ends_with(&short[at..]);
        (same && new.trim_start().starts_with(',')).then_some(new)
    });
    let new = found.next();
    new.unwrap_or_else(|| panic!("changed elsewhere too:\n{short}\n{long}"))
}

#[tokio::test]
async fn one_message_more_and_every_other_byte_the_same() {
    for (form, mark) in [
        ("assistant", None),
        ("prefix", Some("prefix")),
        ("partial", Some("partial")),
    ] {
        for body in [odd(), asking(r#""stream_options":{"include_usage":true}"#)] {
            let (first, second) = bodies(&body, form).await;
            assert_eq!(first, body.replace("acme/chat", "one-chat"));
            let same = body.replace("acme/chat", "two-chat");
            let message = inserted(&same, &second)
                .trim_start()
                .trim_start_matches(',');
            let message: Value = serde_json::from_str(message).expect("one message");
            let mut expected = json!({"role": "assistant", "content": begun().trim_end()});
            if let Some(mark) = mark {
                expected[mark] = json!(true);
            }
            assert_eq!(message, expected, "{form}");
            let messages = serde_json::from_str::<Value>(&second).unwrap()["messages"].clone();
            assert_eq!(messages.as_array().unwrap().last(), Some(&expected));
        }
    }
}

#[tokio::test]
async fn two_fields_more_where_they_are_what_continues() {
    let (_, second) = bodies(&odd(), "continue_final_message").await;
    let mut expected: Value = serde_json::from_str(&odd()).unwrap();
    expected["model"] = json!("two-chat");
    expected["continue_final_message"] = json!(true);
    expected["add_generation_prompt"] = json!(false);
    let message = json!({"role": "assistant", "content": begun().trim_end()});
    let messages = expected["messages"].as_array_mut().unwrap();
    messages.push(message);
    assert_eq!(serde_json::from_str::<Value>(&second).unwrap(), expected);
    for field in ODD {
        let kept = field.replace("acme/chat", "two-chat");
        let kept = kept.trim_end().trim_end_matches(']').trim_end();
        assert!(second.contains(kept), "{kept:?} is not in {second}");
    }
}

#[tokio::test]
async fn a_field_that_stands_there_already_is_replaced_not_doubled() {
    let body = asking(r#""add_generation_prompt":true,"continue_final_message":false"#);
    let (_, second) = bodies(&body, "continue_final_message").await;
    for field in ["add_generation_prompt", "continue_final_message"] {
        assert_eq!(second.matches(field).count(), 1, "{second}");
    }
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second["continue_final_message"], true);
    assert_eq!(second["add_generation_prompt"], false);
}

#[tokio::test]
async fn a_limit_of_tokens_shrinks_by_what_was_delivered() {
    for field in ["max_tokens", "max_completion_tokens"] {
        let body = asking(&format!("\"{field}\" : 1000"));
        let (first, second) = bodies(&body, "assistant").await;
        assert!(first.contains(&format!("\"{field}\" : 1000")), "{first}");
        assert_eq!(second.matches(field).count(), 1, "{second}");
        let left = serde_json::from_str::<Value>(&second).unwrap()[field].clone();
        let left = left.as_u64().expect("a number");
        // At least a token was delivered, and at most one a byte.
        let most = begun().len() as u64;
        assert!((1000 - most..1000).contains(&left), "{field}: {left}");
    }
    let (_, second) = bodies(ASK_STREAM, "assistant").await;
    assert!(!second.contains("max_"), "{second}");
}

#[tokio::test]
async fn each_target_has_its_own_model_key_and_options() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let config = Config::new()
        .provider("one", &one.base())
        .provider("two", &two.base())
        .with("prefill", "partial")
        .route(
            "main",
            "{ provider: one, options: { top_k: 1 } }, \
             { provider: two, tier: 2, options: { top_p: 0.7 } }",
        );
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK_STREAM).await.expect(200);
    let seen = two.only();
    assert_eq!(seen.all("authorization"), ["Bearer sk-two-upstream"]);
    let body = seen.json();
    assert_eq!(
        (&body["model"], &body["top_p"]),
        (&json!("two-chat"), &json!(0.7))
    );
    assert_eq!(body.get("top_k"), None);
    assert_eq!(body["messages"][1]["partial"], true);
    let length = seen.body.len().to_string();
    assert_eq!(seen.get("content-length"), Some(length.as_str()));
}

/// The usage told to a client that asked for it, or did not.
async fn usage(first: Vec<String>, second: [u64; 2], asked: bool) -> Vec<Value> {
    let mut acts = vec![sse_head()];
    acts.extend(REST.map(|text| part(TWO.say(text))));
    acts.push(part(TWO.finish("stop")));
    acts.push(part(TWO.usage(second[0], second[1])));
    acts.extend([part(DONE), last()]);
    let one = Provider::always(cut_after(first)).await;
    let two = Provider::always(acts).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let body = match asked {
        true => asking(r#""stream_options":{"include_usage":true}"#),
        false => ASK_STREAM.to_string(),
    };
    let reply = gateway.chat(body).await.expect(200);
    let said = Said::of(&reply);
    assert_eq!(said.content, all());
    assert_eq!(two.only().json()["stream_options"]["include_usage"], true);
    said.usage
}

#[tokio::test]
async fn usage_says_prompt_once_and_completion_in_full() {
    // The first provider tells its count as it goes: ten for the prompt, one a piece.
    let counting = BEGUN
        .iter()
        .zip(1..)
        .map(|(text, n)| ONE.say_counting(text, 10, n));
    let told = usage(counting.collect(), [13, 4], true).await;
    let last = told.last().expect("a usage");
    assert_eq!(last["prompt_tokens"], 10);
    assert_eq!(last["completion_tokens"], 7);
    assert_eq!(last["total_tokens"], 17);
}

#[tokio::test]
async fn usage_is_whole_where_the_first_provider_told_none() {
    let silent: Vec<_> = BEGUN.iter().map(|text| ONE.say(text)).collect();
    let told = usage(silent.clone(), [13, 4], true).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let count = |field: &str| told[0][field].as_u64().expect("a number");
    let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
    assert!((1..=13).contains(&prompt), "{told:?}");
    assert!(completion > 4, "only the second part: {told:?}");
    assert_eq!(count("total_tokens"), prompt + completion);

    assert_eq!(usage(silent, [13, 4], false).await, Vec::<Value>::new());
}
