//! Usage is asked for where the client does not, and what only that brought is struck out again.

use crate::harness::answers::{DONE, event, failure_body, finish, http};
use crate::harness::streaming::*;
use crate::harness::*;

/// A streamed chat with these members besides, byte for byte.
fn asking(members: &str) -> String {
    format!(
        "{{ \"model\":\"acme/chat\", \"stream\" : true,{members}\"messages\": [{{\"role\":\"user\",\"content\":\"\\u0068i \\\"stream_options\\\"\"}}] , \"seed\":12345678901234567890,\"t\":1.0 }}"
    )
}

const ASKED: &str = "\"stream_options\":{\"include_usage\":true},";

/// What the provider was sent for this body.
async fn sent_for(config: impl FnOnce(Config) -> Config, request: Request) -> String {
    let one = Provider::start(|_, seen| match seen.json()["stream"] == true {
        true => answers::stream_reply("one-chat", "hello"),
        false => chat_reply(seen),
    })
    .await;
    let gateway = Gateway::start(&config(Config::one(&one))).await;
    gateway.ask(request).await.expect(200);
    one.only().text()
}

fn keep(config: Config) -> Config {
    config
}

#[tokio::test]
async fn usage_is_asked_for_where_the_client_does_not() {
    for members in [
        "",
        "\"stream_options\":null,",
        "\"stream_options\" : {} ,",
        "\"stream_options\":{ },",
        "\"stream_options\":{\"include_usage\":false},",
        "\"stream_options\":{\"include_usage\":null},",
        "\"stream_options\":{\"include_usage\" : false },",
    ] {
        let sent = sent_for(keep, Request::chat(asking(members))).await;
        let json: Value = serde_json::from_str(&sent).unwrap_or_else(|e| panic!("{e}: {sent}"));
        let options = serde_json::json!({"include_usage": true});
        assert_eq!(json["stream_options"], options, "{sent}");
        assert_eq!(sent.matches("\"stream_options\"").count(), 1, "{sent}");
        assert_eq!(sent.matches("include_usage").count(), 1, "{sent}");
        // All the rest is there as it was written, in its order.
        let mut rest = sent.as_str();
        for piece in [
            "\"model\":\"one-chat\"",
            "\"stream\" : true",
            "\"messages\": [{\"role\":\"user\",\"content\":\"\\u0068i \\\"stream_options\\\"\"}]",
            "\"seed\":12345678901234567890",
            "\"t\":1.0",
        ] {
            let at = rest.find(piece);
            rest = &rest[at.unwrap_or_else(|| panic!("{piece} in {sent}"))..];
        }
    }
}

#[tokio::test]
async fn the_clients_other_stream_options_stay_byte_for_byte() {
    for (before, after) in [
        (
            "\"include_obfuscation\" :false, ",
            ",\"x\":[1.0, \"\\u0061\"]",
        ),
        ("", ", \"continuous_usage_stats\":true"),
        ("\"x\":{\"include_usage\":false},", ""),
    ] {
        let options = format!("{{ {before}\"include_usage\":false{after} }}");
        let body = asking(&format!("\"stream_options\":{options},"));
        let sent = sent_for(keep, Request::chat(body.clone())).await;
        let expected = options.replace(
            &format!("{before}\"include_usage\":false"),
            &format!("{before}\"include_usage\":true"),
        );
        let json: Value = serde_json::from_str(&sent).unwrap();
        let wanted: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(json["stream_options"], wanted, "{sent}");
        for kept in [
            before.trim_end_matches([',', ' ']),
            after.trim_start_matches([',', ' ']),
        ] {
            assert!(sent.contains(kept), "{kept} in {sent}");
        }
    }
    let options = "\"stream_options\":{\"include_obfuscation\":1.0e0},";
    let sent = sent_for(keep, Request::chat(asking(options))).await;
    let json: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(json["stream_options"]["include_usage"], true, "{sent}");
    assert!(sent.contains("\"include_obfuscation\":1.0e0"), "{sent}");
}

#[tokio::test]
async fn where_nothing_is_to_be_asked_the_body_stays_as_it_is() {
    let not_a_stream = asking("").replace("\"stream\" : true", "\"stream\" : false");
    let with_options = not_a_stream.replace("\"t\":1.0", "\"stream_options\":null");
    for body in [
        asking(ASKED),
        asking("\"stream_options\" : { \"x\":1, \"include_usage\" : true } ,"),
        asking("\"stream_opt\\u0069ons\":{\"include\\u005fusage\":true},"),
        not_a_stream,
        with_options,
        ASK.into(),
    ] {
        let sent = sent_for(keep, Request::chat(body.clone())).await;
        assert_eq!(sent, body.replace("acme/chat", "one-chat"));
    }
}

#[tokio::test]
async fn a_provider_that_does_not_take_it_is_not_sent_it() {
    for members in ["", "\"stream_options\":{\"include_usage\":false},", ASKED] {
        let body = asking(members);
        let off = |config: Config| config.with("inject_usage", "false");
        let sent = sent_for(off, Request::chat(body.clone())).await;
        assert_eq!(sent, body.replace("acme/chat", "one-chat"));
    }
}

#[tokio::test]
async fn completions_are_asked_for_it_too() {
    let body = "{\"model\":\"acme/chat\",\"stream\":true,\"prompt\":\"hi\"}";
    let sent = sent_for(keep, Request::post("/v1/completions", body)).await;
    let json: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(json["stream_options"]["include_usage"], true, "{sent}");
    assert_eq!(json["prompt"], "hi");
}

/// What a client that asked, and one that did not, see of these events.
async fn seen_of(sent: &[String], config: impl Fn(Config) -> Config) -> [String; 2] {
    let one = Provider::always(streamed(sent)).await;
    let gateway = Gateway::start(&config(Config::one(&one))).await;
    let asked = gateway.chat(asking(ASKED)).await.expect(200).text();
    let not = gateway.chat(ASK_STREAM).await.expect(200).text();
    let refused = asking("\"stream_options\":{\"include_usage\":false},");
    assert_eq!(gateway.chat(refused).await.expect(200).text(), not);
    [asked, not]
}

fn canonical(events: &[String]) -> String {
    events.concat().replace("one-chat", "acme/chat")
}

#[tokio::test]
async fn the_extra_chunk_is_only_for_those_who_asked() {
    let before = [event("one-chat", "hello"), finish("one-chat")];
    let extra = usage_event("one-chat").replace("\"choices\":[]", "\"choices\" : [ ]");
    for extra in [usage_event("one-chat"), extra] {
        let sent = [&before[..], &[extra, DONE.to_string()]].concat();
        let without = [&before[..], &[DONE.to_string()]].concat();
        let off = |config: Config| config.with("inject_usage", "false");
        for [asked, not] in [seen_of(&sent, keep).await, seen_of(&sent, off).await] {
            assert_eq!(asked, canonical(&sent));
            assert_eq!(not, canonical(&without));
        }
    }
}

#[tokio::test]
async fn usage_on_chunks_that_say_more_stays_for_everyone() {
    let usage = format!("\"usage\":{USAGE}");
    let hello = event("one-chat", "hello");
    for sent in [
        [hello.clone(), with(finish("one-chat"), &usage)],
        [with(hello.clone(), &usage), with(finish("one-chat"), &usage)],
        [
            with(hello.clone(), "\"usage\":null"),
            with(finish("one-chat"), "\"usage\":null"),
        ],
        // No choices, and no usage either.
        [
            "data: {\"id\":\"\",\"model\":\"one-chat\",\"choices\":[],\"prompt_filter_results\":[]}\n\n".into(),
            hello + &finish("one-chat"),
        ],
    ] {
        let sent = [&sent[..], &[DONE.to_string()]].concat();
        let [asked, not] = seen_of(&sent, keep).await;
        assert_eq!(asked, canonical(&sent));
        assert_eq!(not, canonical(&sent));
    }
}

/// Refuses what it does not know.
async fn old_server() -> Provider {
    Provider::start(|_, seen| {
        if seen.text().contains("stream_options") {
            let text = "Unrecognized request argument supplied: stream_options";
            let kind = [("content-type", "application/json")];
            vec![Act::Write(http(400, &kind, failure_body(text)))]
        } else {
            answers::stream_reply("one-chat", "hello")
        }
    })
    .await
}

#[tokio::test]
async fn a_provider_that_refuses_it_is_asked_without_it_from_then_on() {
    let one = old_server().await;
    let two = second().await;
    let config = Config::spill(&one, &two).on_route("retry", "{ for: [] }");
    let gateway = Gateway::start(&config).await;
    let plain = ASK_STREAM.replace("acme/chat", "one-chat");
    for requests in [2, 3, 4] {
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        assert_eq!(reply.get("x-overspill-provider"), Some("one"));
        assert_eq!(reply.text(), whole("hello"));
        assert_eq!(one.count(), requests);
        assert_eq!(one.seen()[requests - 1].text(), plain);
    }
    assert_eq!(two.connections().len(), 0);
}

#[tokio::test]
async fn a_refusal_of_the_clients_own_options_is_the_clients() {
    let one = old_server().await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    let reply = gateway.chat(asking(ASKED)).await.expect(400);
    assert!(reply.text().contains("stream_options"), "{}", reply.text());
    assert_eq!(one.count(), 1);
}

#[tokio::test]
async fn any_other_refusal_is_not_tried_again() {
    let kind = [("content-type", "application/json")];
    let acts = vec![Act::Write(http(400, &kind, failure_body("bad seed")))];
    let one = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&one)).await;
    gateway.chat(ASK_STREAM).await.expect(400);
    assert_eq!(one.count(), 1);
}
