//! Answers that break anywhere and are carried on: whatever comes, the caller holds the beginning
//! of one single answer.

use super::telling::{Answer, Space, another, answer, change, space, telling};
use super::{OURS, said, values};
use crate::config::snapshot::Endpoint;
use crate::relay::commit::{self, Decision};
use crate::relay::pump::{Form, Pump, Stop};
use crate::relay::resume::graft::Graft;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// What the caller holds, and the pump before it.
struct Caller {
    pump: Pump,
    holds: String,
}

impl Caller {
    fn new(renamed: bool) -> Caller {
        Caller {
            pump: Pump::new(Form {
                endpoint: Endpoint::Chat,
                model: renamed.then(|| Bytes::from(OURS)),
                strip_usage: false,
                several: false,
                keep: true,
            }),
            holds: String::new(),
        }
    }

    /// Passes a stream on as the relay does. What is not committed is never seen.
    fn hear(&mut self, stream: &[u8], step: usize) {
        let mut chunks = stream.chunks(step);
        let mut decision = Decision::Hold;
        while decision == Decision::Hold
            && let Some(chunk) = chunks.next()
        {
            decision = commit::feed(&mut self.pump, chunk);
        }
        if decision == Decision::Hold {
            decision = commit::end(&mut self.pump);
        }
        if decision != Decision::Go {
            return;
        }
        self.take();
        for chunk in chunks {
            self.pump.feed(chunk);
            self.take();
        }
        self.pump.end();
        if self.is_done() {
            self.pump.complete();
        }
        self.take();
    }

    fn take(&mut self) {
        self.holds
            .push_str(std::str::from_utf8(&self.pump.take()).unwrap());
    }

    fn is_done(&self) -> bool {
        self.pump.stop() == Some(&Stop::Done) && self.pump.has_begun()
    }

    /// What it reads in all that it holds; looks after the rest on the way.
    fn answer(&self) -> Answer {
        let events = super::datas(&self.holds);
        let marks = events.iter().filter(|data| data.trim() == "[DONE]").count();
        assert_eq!(marks, usize::from(self.is_done()), "{}", self.holds);
        let events = values(&events);
        for field in ["id", "created", "model"] {
            assert!(
                events.windows(2).all(|two| two[0][field] == two[1][field]),
                "{}",
                self.holds
            );
        }
        let choices = || events.iter().map(|event| &event["choices"][0]);
        let roles = choices().filter(|choice| choice["delta"]["role"].is_string());
        let ends = choices()
            .filter(|choice| choice["finish_reason"].is_string())
            .count();
        assert!(roles.count() <= 1, "{}", self.holds);
        assert!(ends <= marks, "{}", self.holds);
        let says = |field: &str| {
            let mut deltas = choices().map(|choice| &choice["delta"][field]);
            let says = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
            (deltas.clone().position(says), deltas.rposition(says))
        };
        if let (Some(speaks), Some(thinks)) = (says("content").0, says("reasoning_content").1) {
            assert!(thinks <= speaks, "{}", self.holds);
        }
        for usage in events
            .iter()
            .map(|event| &event["usage"])
            .filter(|usage| !usage.is_null())
        {
            let tokens = |name: &str| usage[name].as_u64().unwrap();
            assert_eq!(
                tokens("prompt_tokens") + tokens("completion_tokens"),
                tokens("total_tokens")
            );
        }
        Answer {
            reasoning: said(&events, &["reasoning_content"]),
            text: said(&events, &["content"]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_prefill_goes_on_where_it_broke(
        answer in answer(),
        first in telling(),
        then in vec((telling(), space(), any::<bool>()), 1..4),
        renamed: bool,
    ) {
        let mut caller = Caller::new(renamed);
        let mut whole = answer.text.clone();
        caller.hear(&first.of(&answer, 1), first.step);
        for (index, (telling, space, thinks)) in then.iter().enumerate() {
            let held = caller.answer();
            prop_assert!(whole.starts_with(&held.text));
            let sent = held.text.trim_end();
            if caller.is_done() || sent.is_empty() {
                break;
            }
            let after = whole[held.text.len()..].to_owned();
            let cut_off = &held.text[sent.len()..];
            let text = match space {
                Space::LeftOut if !after.starts_with(char::is_whitespace) => after,
                // Whatever it is, it stands before a letter, so that no more of it is space.
                Space::Another(other) => {
                    let text = format!("{other}x{after}");
                    let heard = common(cut_off, other);
                    whole = format!("{}{}", held.text, &text[heard..]);
                    text
                }
                _ => format!("{cut_off}{after}"),
            };
            let reasoning = if *thinks { "more" } else { "" }.to_owned();
            let delivered = caller.pump.delivered().unwrap();
            prop_assert_eq!(&delivered.content, &held.text);
            let graft = Graft::prefill(delivered);
            caller.pump.carry_on(graft, 3);
            caller.hear(&telling.of(&Answer { reasoning, text }, index + 2), telling.step);
            prop_assert!(caller.is_done() || !telling.is_whole());
            // It was sent the three tokens that had been delivered.
            prop_assert!(!caller.holds.contains(r#""completion_tokens":5"#));
        }
        let held = caller.answer();
        prop_assert!(whole.starts_with(&held.text));
        prop_assert!(answer.reasoning.starts_with(&held.reasoning));
        if caller.is_done() {
            prop_assert_eq!(held.text, whole);
        }
    }

    #[test]
    fn an_answer_afresh_is_the_same_or_is_not_joined(
        answer in answer(),
        first in telling(),
        then in vec((telling(), option::of((change(), any::<Index>()))), 1..4),
        renamed: bool,
    ) {
        let mut caller = Caller::new(renamed);
        caller.hear(&first.of(&answer, 1), first.step);
        let mut answers = vec![answer.clone()];
        for (index, (telling, changed)) in then.iter().enumerate() {
            let held = caller.answer();
            if caller.is_done() || held == nothing() {
                break;
            }
            let again = changed.map_or(answer.clone(), |(change, at)| another(&answer, change, at));
            let delivered = caller.pump.delivered().unwrap();
            prop_assert_eq!((&delivered.content, &delivered.reasoning), (&held.text, &held.reasoning));
            let graft = Graft::afresh(delivered);
            caller.pump.carry_on(graft, 3);
            caller.hear(&telling.of(&again, index + 2), telling.step);
            if answers.iter().all(|one| *one == again) {
                prop_assert_ne!(caller.pump.stop(), Some(&Stop::Differs));
                prop_assert!(caller.is_done() || !telling.is_whole());
            }
            answers.push(again);
        }
        let held = caller.answer();
        prop_assert!(answers.iter().any(|one| begins(one, &held)), "{:?}", held);
        if caller.is_done() {
            prop_assert_eq!(Some(&held), answers.last());
        }
    }
}

fn common(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    same.map(|(a, _)| a.len_utf8()).sum()
}

fn nothing() -> Answer {
    Answer {
        reasoning: String::new(),
        text: String::new(),
    }
}

/// Whether this is the beginning of that answer: nothing is said before all is thought.
fn begins(whole: &Answer, held: &Answer) -> bool {
    whole.text.starts_with(&held.text)
        && whole.reasoning.starts_with(&held.reasoning)
        && (held.text.is_empty() || whole.reasoning == held.reasoning)
}
