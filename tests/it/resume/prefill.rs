//! The next target is sent what was delivered, as the assistant's own words, and goes on there.

use super::{BEGUN, REST, all, begun, breaking, config, cut_after};
use crate::harness::answers::{DONE, event, last, part, sse_head};
use crate::harness::voice::{ONE, TWO, prefill};
use crate::harness::*;

/// What a client has whose first provider said `said`, and whose second goes on with `more`.
async fn continued(said: &[&str], more: &[&str]) -> (Said, Provider) {
    let said = said.iter().map(|text| ONE.say(text));
    let one = Provider::always(cut_after(said)).await;
    let two = Provider::always(TWO.stream(more.iter().copied())).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!((one.count(), two.count()), (1, 1));
    (Said::of(&reply), two)
}

#[tokio::test]
async fn the_answer_goes_on_where_it_broke() {
    let (said, two) = continued(&BEGUN, &REST).await;
    said.whole(&all());
    let text = prefill(&two.only());
    assert_eq!(text.as_deref(), Some(begun().trim_end()));
}

#[tokio::test]
async fn it_is_what_a_route_does_that_says_nothing() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let config = Config::spill(&one, &two).with("prefill", "assistant");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    Said::of(&reply).whole(&all());
}

#[tokio::test]
async fn every_way_of_breaking_is_mended() {
    let mut waits = breaking();
    waits.truncate(waits.len() - 2);
    for end in [
        vec![Act::Sleep(ms(50)), Act::Reset],
        vec![
            part("data: {\"id\":\"chatcmpl-one\",\"choi"),
            Act::Sleep(ms(50)),
            Act::Close,
        ],
        vec![last()],
        vec![Act::Hang],
    ] {
        let one = Provider::always([waits.clone(), end].concat()).await;
        let two = Provider::always(TWO.stream(REST)).await;
        let config =
            config(&one, &two, "prefill", "assistant").on_route("timeouts", "{ idle: 400ms }");
        let gateway = Gateway::start(&config).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        Said::of(&reply).whole(&all());
        assert_eq!((one.count(), two.count()), (1, 1));
    }
}

#[tokio::test]
async fn white_space_at_the_break_is_neither_lost_nor_doubled() {
    for (said, more, whole) in [
        (&["Hello "][..], &["world"][..], "Hello world"),
        (&["Hello "], &[" world"], "Hello world"),
        (&["Hello "], &[" ", "world"], "Hello world"),
        (&["Hello"], &[" world"], "Hello world"),
        (&["Hello", " "], &["  world"], "Hello  world"),
        (&["Hello \n\n"], &[" \n\nworld"], "Hello \n\nworld"),
        (
            &["Hello ", "\n", "\n"],
            &[" ", "\n\n", "world"],
            "Hello \n\nworld",
        ),
        (&["Hello \n"], &["world"], "Hello \nworld"),
        (&["Hello\t"], &["\tworld "], "Hello\tworld "),
    ] {
        let (answer, two) = continued(said, more).await;
        answer.whole(whole);
        assert_eq!(prefill(&two.only()).as_deref(), Some("Hello"), "{said:?}");
    }
}

#[tokio::test]
async fn the_second_role_and_its_thoughts_are_dropped() {
    let mut acts = vec![sse_head(), part(TWO.role())];
    acts.extend(["Once ", "more."].map(|text| part(TWO.think(text))));
    acts.extend(REST.map(|text| part(TWO.say(text))));
    acts.extend(TWO.end());
    let mut first = vec![ONE.role(), ONE.think("Let me "), ONE.think("think.")];
    first.extend(BEGUN.map(|text| ONE.say(text)));
    let one = Provider::always(cut_after(first)).await;
    let two = Provider::always(acts).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let said = Said::of(&reply);
    said.whole(&all());
    assert_eq!((said.reasoning.as_str(), said.roles), ("Let me think.", 1));
    assert!(!prefill(&two.only()).unwrap_or_default().contains("think"));
}

#[tokio::test]
async fn all_of_it_is_the_first_answer() {
    let (said, _) = continued(&BEGUN, &REST).await;
    assert_eq!(Vec::from_iter(said.ids), ["\"chatcmpl-one\""]);
    assert_eq!(Vec::from_iter(said.created), ["1001"]);
    assert_eq!(Vec::from_iter(said.models), ["\"acme/chat\""]);
    assert_eq!(Vec::from_iter(said.indexes), ["0"]);
}

#[tokio::test]
async fn what_was_delivered_before_is_still_byte_for_byte() {
    let one = Provider::always(cut_after([event("one-chat", "first ")])).await;
    let two = Provider::always(TWO.stream(["second"])).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let text = reply.text();
    assert!(text.starts_with(&event("acme/chat", "first ")), "{text}");
    assert!(text.ends_with(DONE), "{text}");
    Said::of(&reply).whole("first second");
}

#[tokio::test]
async fn words_that_need_escapes_arrive_as_they_are() {
    let odd = "a \"quoted\" \\ back\\slash\n\ttab \u{1} \u{2028} </script> 😀";
    let (said, two) = continued(&[odd], &["."]).await;
    said.whole(&format!("{odd}."));
    assert_eq!(prefill(&two.only()).as_deref(), Some(odd));
}

#[tokio::test]
async fn the_record_names_both_attempts() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let gateway = Gateway::start(&config(&one, &two, "prefill", "assistant")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("one"));
    let record = gateway.record(reply.get("x-request-id").unwrap()).await;
    assert_eq!(record["attempts"], 2, "{record}");
    let trace = record["trace"].as_str().unwrap();
    assert!(trace.contains("one;") && trace.contains("two;"), "{trace}");
}
