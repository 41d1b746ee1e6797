//! Streams of typed events, Anthropic's messages and OpenAI's responses: ends and errors of their
//! own, and never a `[DONE]`.

use crate::harness::answers::{last, part};
use crate::harness::streaming::*;
use crate::harness::*;

const MESSAGE_START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"one-chat\",\"content\":[],\"usage\":{\"input_tokens\":11,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
const MESSAGE_TEXT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n";
const MESSAGE_END: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const RESPONSE_START: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"one-chat\",\"output\":[]}}\n\nevent: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[]}}\n\n";
const RESPONSE_TEXT: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"hello\"}\n\n";
const RESPONSE_END: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"one-chat\",\"output\":[],\"usage\":{\"input_tokens\":11,\"output_tokens\":7,\"total_tokens\":18,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens_details\":{\"reasoning_tokens\":3}}}}\n\n";

fn ask_messages() -> Request {
    Request::post(
        "/v1/messages",
        "{\"model\":\"acme/chat\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
    )
}

fn ask_responses() -> Request {
    Request::post(
        "/v1/responses",
        "{\"model\":\"acme/chat\",\"stream\":true,\"input\":\"hi\"}",
    )
}

const ALL: &str = "[chat, completions, messages, responses]";

fn serving(one: &Provider) -> Config {
    let base = Config::new().provider("one", &one.base());
    base.with("endpoints", ALL)
        .route("main", "{ provider: one }")
        .logged()
}

fn canonical(text: &str) -> String {
    text.replace("\"one-chat\"", "\"acme/chat\"")
}

/// The whole stream as sent but for the model's name, in good time, and a good end in the log.
async fn whole_of(request: Request, sent: &str, then: Act) -> Value {
    let one = Provider::always(begun([sent], [then])).await;
    let gateway = Gateway::start(&serving(&one)).await;
    let body = String::from_utf8(request.body.clone()).unwrap();
    let start = Instant::now();
    let reply = gateway.ask(request).await.expect(200);
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
    assert_eq!(reply.text(), canonical(sent));
    // Only chats and completions have a usage to ask for.
    let asked = body.replace("acme/chat", "one-chat");
    assert_eq!(one.only().text(), asked);
    gateway.tells("ok").await
}

#[tokio::test]
async fn messages_end_with_message_stop() {
    let sent = [MESSAGE_START, MESSAGE_TEXT, MESSAGE_END].concat();
    for then in [last(), Act::Hang, Act::Close] {
        let line = whole_of(ask_messages(), &sent, then).await;
        assert_eq!(line["tokens_in"], 11, "{line}");
        assert_eq!(line["tokens_out"], 7, "{line}");
    }
}

#[tokio::test]
async fn responses_end_with_response_completed() {
    let sent = [RESPONSE_START, RESPONSE_TEXT, RESPONSE_END].concat();
    for then in [last(), Act::Hang, Act::Close] {
        let line = whole_of(ask_responses(), &sent, then).await;
        assert_eq!(line["tokens_in"], 11, "{line}");
        assert_eq!(line["tokens_out"], 7, "{line}");
        assert_eq!(line["tokens_cached"], 4, "{line}");
        assert_eq!(line["tokens_reasoning"], 3, "{line}");
    }
}

#[tokio::test]
async fn an_answer_cut_at_its_length_is_a_good_end_too() {
    let end = RESPONSE_END.replace("completed", "incomplete");
    let sent = [RESPONSE_START, RESPONSE_TEXT, &end].concat();
    whole_of(ask_responses(), &sent, last()).await;
}

/// The broken stream at the client: what was whole of it, and the event after that.
async fn broken(request: Request, before: &str, then: Vec<Act>, reason: &str) -> String {
    let one = Provider::always(begun([before], then)).await;
    let gateway = Gateway::start(&serving(&one)).await;
    let reply = gateway.ask(request).await.expect(200);
    let text = reply.text();
    assert!(!text.contains("[DONE]"), "{text}");
    let before = canonical(before);
    let rest = text.strip_prefix(&before);
    let rest = rest.unwrap_or_else(|| panic!("not what was sent: {text}"));
    assert_eq!(events(rest).len(), 1, "{rest}");
    gateway.tells(reason).await;
    rest.to_string()
}

fn breaks() -> [Vec<Act>; 4] {
    [
        vec![last()],
        vec![Act::Close],
        vec![Act::Sleep(ms(60)), Act::Reset],
        vec![part("event: message_st"), Act::Close],
    ]
}

#[tokio::test]
async fn a_truncated_message_ends_with_an_error_in_anthropics_shape() {
    let before = [MESSAGE_START, MESSAGE_TEXT].concat();
    for then in breaks() {
        let end = broken(ask_messages(), &before, then, "provider_truncated").await;
        assert!(end.starts_with("event: error\ndata: "), "{end}");
        let error = data_of(&end);
        assert_eq!(error["type"], "error", "{end}");
        assert!(error["error"]["type"].is_string(), "{end}");
        assert!(error["error"]["message"].is_string(), "{end}");
        assert!(end.contains("provider_truncated"), "{end}");
    }
}

#[tokio::test]
async fn a_truncated_response_ends_with_an_error() {
    let before = [RESPONSE_START, RESPONSE_TEXT].concat();
    for then in breaks() {
        let end = broken(ask_responses(), &before, then, "provider_truncated").await;
        assert!(end.contains("error"), "{end}");
        assert!(end.contains("provider_truncated"), "{end}");
        data_of(&end);
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_message_keeps_its_shape() {
    let before = [MESSAGE_START, MESSAGE_TEXT].concat();
    let told = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"of the first\"}}\n\n";
    let then = vec![part(told), last()];
    let end = broken(ask_messages(), &before, then, "provider_overloaded").await;
    assert!(end.starts_with("event: error\ndata: "), "{end}");
    let error = data_of(&end);
    assert_eq!(error["type"], "error", "{end}");
    assert_eq!(error["error"]["type"], "overloaded_error", "{end}");
    assert!(end.contains("of the first"), "{end}");
}

#[tokio::test]
async fn what_only_opens_a_typed_answer_does_not_commit() {
    for (request, opening, text, end) in [
        (ask_messages(), MESSAGE_START, MESSAGE_TEXT, MESSAGE_END),
        (ask_responses(), RESPONSE_START, RESPONSE_TEXT, RESPONSE_END),
    ] {
        let one = Provider::always(begun([opening], [Act::Sleep(ms(50)), Act::Close])).await;
        let sent = [opening, text, end]
            .concat()
            .replace("one-chat", "two-chat");
        let two = Provider::always(streamed([sent])).await;
        let config = Config::new()
            .provider("one", &one.base())
            .with("endpoints", ALL)
            .provider("two", &two.base())
            .with("endpoints", ALL)
            .route("main", "{ provider: one }, { provider: two, tier: 2 }");
        let gateway = Gateway::start(&config).await;
        let reply = gateway.ask(request).await.expect(200);
        assert_eq!(reply.text(), canonical(&[opening, text, end].concat()));
        assert_eq!((one.count(), two.count()), (1, 1));
    }
}

#[tokio::test]
async fn silence_in_a_typed_stream_is_named_as_in_any() {
    let one = Provider::always(begun([MESSAGE_START, MESSAGE_TEXT], [Act::Hang])).await;
    let config = serving(&one).on_route("timeouts", "{ idle: 400ms }");
    let gateway = Gateway::start(&config).await;
    let text = gateway.ask(ask_messages()).await.expect(200).text();
    let end = events(&text).pop().unwrap();
    assert!(end.starts_with("event: error\ndata: "), "{text}");
    assert!(end.contains("provider_idle_timeout"), "{text}");
    gateway.tells("provider_idle_timeout").await;
}
