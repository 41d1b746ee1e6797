//! Where nobody continues, another answers from the beginning, and what the client has already is
//! skipped, exactly.

use super::{REST, all, begun, breaking, config, cut_after};
use crate::harness::answers::{DONE, failure, last, part, sse_head};
use crate::harness::voice::{ONE, TWO, prefill};
use crate::harness::*;

/// What a client has of a first answer that breaks and a second that begins again.
async fn afresh(first: Vec<Act>, second: Vec<Act>) -> Said {
    let (one, two) = (
        Provider::always(first).await,
        Provider::always(second).await,
    );
    let gateway = Gateway::start(&config(&one, &two, "auto", "none")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert_eq!((one.count(), two.count()), (1, 1));
    Said::of(&reply)
}

/// A whole stream of this text, one chunk every so many characters.
fn in_pieces(text: &str, size: usize) -> Vec<Act> {
    let letters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = letters.chunks(size).map(String::from_iter).collect();
    TWO.stream(pieces.iter().map(String::as_str))
}

/// A whole stream whose strings are written in escapes only.
fn in_escapes(text: &str) -> Vec<Act> {
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04X}"))
        .collect();
    let event = TWO.say("TEXT").replace("TEXT", &escaped);
    let [finish, done, end] = TWO.end();
    vec![sse_head(), part(event), finish, done, end]
}

#[tokio::test]
async fn it_is_asked_the_same_and_the_client_has_one_answer() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(in_pieces(&all(), 5)).await;
    let gateway = Gateway::start(&config(&one, &two, "auto", "none")).await;
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    let said = Said::of(&reply);
    said.whole(&all());
    assert_eq!(Vec::from_iter(said.ids), ["\"chatcmpl-one\""]);
    let first = one.only().text();
    assert_eq!(two.only().text(), first.replace("one-chat", "two-chat"));
}

#[tokio::test]
async fn other_borders_and_other_spellings_are_the_same_text() {
    for size in [1, 2, 3, 7, 1000] {
        afresh(breaking(), in_pieces(&all(), size))
            .await
            .whole(&all());
    }
    afresh(breaking(), in_escapes(&all())).await.whole(&all());
    let odd = "\"a\\b\"/\n\t";
    let first = cut_after([ONE.say(odd).replace("/", "\\/")]);
    let second = in_escapes(&format!("{odd}c"));
    afresh(first, second).await.whole(&format!("{odd}c"));
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_no_other_answer() {
    let events: String = [TWO.role(), TWO.say(&all()), TWO.finish("stop"), DONE.into()].concat();
    let mut acts = vec![sse_head()];
    acts.extend(events.as_bytes().chunks(1).map(part));
    acts.push(last());
    afresh(breaking(), acts).await.whole(&all());
}

#[tokio::test]
async fn thoughts_and_words_are_skipped_each_for_itself() {
    let thoughts = "Let me see: 溢出.";
    let second = |pieces: usize| {
        let mut acts = vec![sse_head(), part(TWO.role())];
        let letters: Vec<char> = thoughts.chars().collect();
        for piece in letters.chunks(pieces) {
            acts.push(part(TWO.think(&String::from_iter(piece))));
        }
        acts.extend(in_pieces(&all(), 4).split_off(2));
        acts
    };
    // Broken in the words, between thoughts and words, and in the thoughts.
    let mut words = vec![ONE.role(), ONE.think(thoughts)];
    words.extend(super::BEGUN.map(|text| ONE.say(text)));
    let between = vec![ONE.think(thoughts)];
    let within = vec![ONE.role(), ONE.think("Let me "), ONE.think("see: 溢")];
    for first in [words, between, within] {
        for pieces in [1, 5, 100] {
            let said = afresh(cut_after(first.clone()), second(pieces)).await;
            said.whole(&all());
            assert_eq!(said.reasoning, thoughts);
        }
    }
}

#[tokio::test]
async fn the_first_difference_ends_it() {
    let (start, other) = (
        begun(),
        "Ganz anders und noch länger als das, was schon gesagt war.",
    );
    let late = start.trim_end().to_string() + "!" + &REST.concat();
    let shorter: String = start.chars().take(8).collect();
    for text in [other.to_string(), late, start.to_uppercase(), shorter] {
        let one = Provider::always(breaking()).await;
        let mut acts = in_pieces(&text, 3);
        let end = acts.split_off(acts.len() - 3);
        let ends = text.chars().count() == 8;
        acts.extend(if ends { end } else { vec![Act::Hang] });
        let two = Provider::always(acts).await;
        let gateway = Gateway::start(&config(&one, &two, "auto", "none")).await;
        let start = Instant::now();
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        Said::of(&reply).broken(&begun(), "provider_truncated");
        assert!(start.elapsed() < ms(3000), "{:?}", start.elapsed());
        if !ends {
            until("the other answer is cancelled", ms(1000), || {
                two.all_closed()
            })
            .await;
        }
    }
}

#[tokio::test]
async fn other_thoughts_are_a_difference_too() {
    let first = cut_after([ONE.think("Let me see. "), ONE.say("Yes")]);
    let second = [
        vec![
            sse_head(),
            part(TWO.think("I wonder. ")),
            part(TWO.say("Yes, indeed")),
        ],
        vec![Act::Hang],
    ];
    let (one, two) = (
        Provider::always(first).await,
        Provider::always(second.concat()).await,
    );
    let gateway = Gateway::start(&config(&one, &two, "auto", "none")).await;
    let said = Said::of(&gateway.chat(ASK_STREAM).await.expect(200));
    said.broken("Yes", "provider_truncated");
    assert_eq!(said.reasoning, "Let me see. ");
    until("the other answer is cancelled", ms(1000), || {
        two.all_closed()
    })
    .await;
}

#[tokio::test]
async fn who_is_known_to_continue_is_asked_to() {
    let one = Provider::always(breaking()).await;
    let two = Provider::always(TWO.stream(REST)).await;
    let gateway = Gateway::start(&config(&one, &two, "auto", "assistant")).await;
    Said::of(&gateway.chat(ASK_STREAM).await.expect(200)).whole(&all());
    assert_eq!(prefill(&two.only()).as_deref(), Some(begun().trim_end()));
}

#[tokio::test]
async fn who_refuses_to_continue_is_asked_afresh_and_nobody_sees_it() {
    for status in [400, 422] {
        let one = Provider::always(breaking()).await;
        let two = Provider::start(move |_, seen| match prefill(seen) {
            Some(_) => vec![failure(status, "of the second: no prefill")],
            None => in_pieces(&all(), 6),
        })
        .await;
        let gateway = Gateway::start(&config(&one, &two, "auto", "prefix")).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        Said::of(&reply).whole(&all());
        assert!(!reply.text().contains("of the second"));
        assert_eq!(two.count(), 2, "{status}");

        // Without `auto` there is no other way.
        let gateway = Gateway::start(&config(&one, &two, "prefill", "prefix")).await;
        let reply = gateway.chat(ASK_STREAM).await.expect(200);
        Said::of(&reply).broken(&begun(), "provider_truncated");
        assert!(!reply.text().contains("of the second"));
        assert_eq!(two.count(), 3, "{status}");
    }
}

#[tokio::test]
async fn usage_is_that_of_the_whole_second_answer() {
    let mut acts = vec![sse_head(), part(TWO.say(&all())), part(TWO.finish("stop"))];
    acts.extend([part(TWO.usage(10, 7)), part(DONE), last()]);
    let (one, two) = (
        Provider::always(breaking()).await,
        Provider::always(acts).await,
    );
    let gateway = Gateway::start(&config(&one, &two, "auto", "none")).await;
    let body = super::asking(r#""stream_options":{"include_usage":true}"#);
    let said = Said::of(&gateway.chat(body).await.expect(200));
    said.whole(&all());
    assert_eq!(said.usage.len(), 1, "{:?}", said.usage);
    assert_eq!(said.usage[0]["prompt_tokens"], 10);
    assert_eq!(said.usage[0]["completion_tokens"], 7);
}
