//! Answers as several providers tell them, each in its own pieces, and other answers.

use super::provider::{spelled, text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub reasoning: String,
    pub text: String,
}

/// How a provider tells an answer, and how far it comes.
#[derive(Clone, Debug)]
pub struct Telling {
    /// Characters a chunk.
    size: usize,
    escaped: bool,
    role: bool,
    /// The role, the last text and the end of the reasoning share their events with what follows.
    joined: bool,
    finish: bool,
    usage: bool,
    marker: bool,
    cut: Option<Index>,
    pub step: usize,
}

impl Telling {
    /// The bytes that come of it. `name`: a number by which this provider's events are known.
    pub fn of(&self, answer: &Answer, name: usize) -> Vec<u8> {
        let mut deltas = Vec::new();
        let mut role = self.role.then_some(r#""role":"assistant""#);
        if !self.joined
            && let Some(role) = role.take()
        {
            deltas.push((format!(r#"{role},"content":"""#), "null"));
        }
        let thoughts = self.pieces("reasoning_content", &answer.reasoning);
        let mut words = self.pieces("content", &answer.text);
        for thought in thoughts {
            deltas.push((thought, "null"));
        }
        if self.joined
            && !answer.reasoning.is_empty()
            && !words.is_empty()
            && let Some((thought, _)) = deltas.last_mut()
        {
            thought.push(',');
            thought.push_str(&words.remove(0));
        }
        deltas.extend(words.into_iter().map(|word| (word, "null")));
        if let (Some(role), Some((first, _))) = (role, deltas.first_mut()) {
            *first = format!("{role},{first}");
        }
        match deltas.last_mut() {
            _ if !self.finish => {}
            Some((_, why)) if self.joined => *why = "\"stop\"",
            _ => deltas.push((String::new(), "\"stop\"")),
        }
        let head = format!(r#""id":"c{name}","created":{name},"model":"theirs{name}""#);
        let mut stream = String::new();
        for (delta, why) in deltas {
            stream.push_str(&format!(
                "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{why}}}]}}\n\n"
            ));
        }
        if self.usage && self.finish {
            stream.push_str(&format!(
                "data: {{{head},\"choices\":[],\"usage\":{{\"prompt_tokens\":70,\"completion_tokens\":5,\"total_tokens\":75}}}}\n\n"
            ));
        }
        if self.marker {
            stream.push_str("data: [DONE]\n\n");
        }
        let mut bytes = stream.into_bytes();
        if let Some(cut) = self.cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    }

    pub fn is_whole(&self) -> bool {
        self.finish && self.cut.is_none()
    }

    fn pieces(&self, field: &str, text: &str) -> Vec<String> {
        let characters: Vec<_> = text.chars().collect();
        let pieces = characters.chunks(self.size).map(|piece| {
            let piece: String = piece.iter().collect();
            format!("\"{field}\":{}", spelled(&piece, self.escaped))
        });
        pieces.collect()
    }
}

/// What a provider makes of the white space that was cut off before it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Space {
    Again,
    LeftOut,
    Another(&'static str),
}

/// How another answer differs.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Text,
    ShorterText,
    Reasoning,
    ShorterReasoning,
    LongerReasoning,
}

pub fn another(answer: &Answer, change: Change, at: Index) -> Answer {
    let mut another = answer.clone();
    let text = match change {
        Change::Text | Change::ShorterText => &mut another.text,
        _ => &mut another.reasoning,
    };
    let mut places: Vec<_> = text.char_indices().map(|(place, _)| place).collect();
    places.push(text.len());
    let place = *at.get(&places);
    let rest = text.split_off(place);
    match change {
        Change::Text | Change::Reasoning => {
            text.push('Z');
            text.extend(rest.chars().skip(1));
        }
        Change::LongerReasoning => text.push_str(&format!("{rest}Z")),
        Change::ShorterText | Change::ShorterReasoning => {}
    }
    another
}

pub fn answer() -> impl Strategy<Value = Answer> {
    (option::of(text()), vec(text(), 1..4)).prop_map(|(reasoning, texts)| Answer {
        reasoning: reasoning.unwrap_or_default(),
        text: texts.concat(),
    })
}

pub fn telling() -> impl Strategy<Value = Telling> {
    (
        1..6usize,
        any::<[bool; 5]>(),
        prop::bool::weighted(0.7),
        option::weighted(0.8, any::<Index>()),
        select(vec![1, 7, 60, 100_000]),
    )
        .prop_map(
            |(size, [escaped, role, joined, usage, marker], finish, cut, step)| Telling {
                size,
                escaped,
                role,
                joined,
                finish,
                usage,
                marker,
                cut,
                step,
            },
        )
}

pub fn change() -> impl Strategy<Value = Change> {
    select(vec![
        Change::Text,
        Change::ShorterText,
        Change::Reasoning,
        Change::ShorterReasoning,
        Change::LongerReasoning,
    ])
}

pub fn space() -> impl Strategy<Value = Space> {
    select(vec![
        Space::Again,
        Space::Again,
        Space::LeftOut,
        Space::LeftOut,
        Space::Another(""),
        Space::Another(" "),
        Space::Another("\n"),
        Space::Another(" \u{3000}"),
    ])
}
