//! The words that shape an answer, with and without a value. Those for faults are in `fault.rs`
//! and `refusal.rs`.

use std::str::FromStr;
use std::time::Duration;

use super::fault::{self, Fault};
use super::plan::{Plan, Usage};
use super::prefill::Form;
use super::recurrence::Recurrence;
use super::units;

/// Longer than any patience under test, shorter than a night.
const SLOW: Duration = Duration::from_secs(20);
const BIG: usize = 2 << 20;

type Shape = (&'static str, fn(&mut Plan));
type Key = (&'static str, fn(&mut Plan, &str) -> Result<(), String>);

static SHAPES: [Shape; 26] = [
    ("slow-first-token", |plan| plan.first_token = SLOW),
    ("slow-headers", |plan| plan.delay = SLOW),
    ("big", |plan| plan.size = BIG),
    ("reasoning", |plan| plan.reasoning = true),
    ("in-reasoning", |plan| {
        plan.reasoning = true;
        plan.in_reasoning = true;
    }),
    ("tools", |plan| plan.tools = true),
    ("comments", |plan| plan.comments = true),
    ("gzip", |plan| plan.gzip = true),
    ("cr", |plan| plan.newline = "\r"),
    ("crlf", |plan| plan.newline = "\r\n"),
    ("no-space", |plan| plan.field = "data:"),
    ("multi-line", |plan| plan.multi_line = true),
    ("split", |plan| plan.split = true),
    ("split-utf8", |plan| plan.split_utf8 = true),
    ("differs", |plan| plan.differs = Some(0)),
    ("stamp", |plan| plan.stamp = true),
    ("repeat-space", |plan| plan.repeat_space = true),
    ("skip-space", |plan| plan.skip_space = true),
    ("refuse-prefill", |plan| plan.refuse_prefill = true),
    ("no-stream-options", |plan| plan.no_stream_options = true),
    ("usage-every", |plan| plan.usage = Usage::Every),
    ("usage-finish", |plan| plan.usage = Usage::Finish),
    ("usage-twice", |plan| plan.usage = Usage::Twice),
    ("usage-groq", |plan| plan.usage = Usage::Groq),
    ("usage-always", |plan| plan.usage = Usage::Always),
    ("usage-never", |plan| plan.usage = Usage::Never),
];

static KEYS: [Key; 22] = [
    ("delay", |plan, value| set(&mut plan.delay, duration(value))),
    ("slow-headers", |plan, value| {
        set(&mut plan.delay, duration(value))
    }),
    ("first-token", |plan, value| {
        set(&mut plan.first_token, duration(value))
    }),
    ("slow-first-token", |plan, value| {
        set(&mut plan.first_token, duration(value))
    }),
    ("pace", |plan, value| set(&mut plan.pace, duration(value))),
    ("beat", |plan, value| set(&mut plan.beat, duration(value))),
    ("stall", |plan, value| {
        set(&mut plan.fault, duration(value).map(Some).map(Fault::Stall))
    }),
    ("chunks", |plan, value| set(&mut plan.chunks, number(value))),
    ("size", |plan, value| {
        set(&mut plan.size, units::size(value))
    }),
    ("at", |plan, value| {
        set(&mut plan.at, number(value).map(Some))
    }),
    ("differs", |plan, value| {
        set(&mut plan.differs, number(value).map(Some))
    }),
    ("form", |plan, value| {
        set(&mut plan.form, Form::named(value).map(Some))
    }),
    ("first", |plan, value| {
        set(&mut plan.recurrence, number(value).map(Recurrence::First))
    }),
    ("every", |plan, value| {
        set(&mut plan.recurrence, number(value).map(Recurrence::Every))
    }),
    ("from", |plan, value| {
        plan.recurrence = plan.recurrence.since(duration(value)?);
        Ok(())
    }),
    ("for", |plan, value| {
        plan.recurrence = plan.recurrence.lasting(duration(value)?);
        Ok(())
    }),
    ("down", |plan, value| {
        plan.recurrence = plan.recurrence.lasting(duration(value)?);
        if plan.fault == Fault::None {
            plan.fault = fault::named("503").unwrap_or(Fault::Status(503));
        }
        Ok(())
    }),
    ("status", |plan, value| {
        set(&mut plan.status, status(value).map(Some))
    }),
    ("code", |plan, value| {
        set(&mut plan.code, number(value).map(Some))
    }),
    ("retry-after", |plan, value| {
        set(&mut plan.retry_after, header_value(value).map(Some))
    }),
    ("finish", |plan, value| {
        set(&mut plan.finish, finish(value).map(Some))
    }),
    ("id", |_, _| Ok(())),
];

/// Applies a word without a value; whether it is known.
pub fn shape(plan: &mut Plan, word: &str) -> bool {
    let found = SHAPES.iter().find(|(known, _)| *known == word);
    found.map(|(_, apply)| apply(plan)).is_some()
}

/// Applies a word with a value; whether it is known, an error when its value is wrong.
pub fn key(plan: &mut Plan, key: &str, value: &str) -> Result<bool, String> {
    match KEYS.iter().find(|(known, _)| *known == key) {
        Some((_, apply)) => apply(plan, value).map(|()| true),
        None => Ok(false),
    }
}

/// The words that need no value.
pub fn shapes() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|(word, _)| *word)
}

/// The words that need one.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(word, _)| *word)
}

fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

fn duration(value: &str) -> Result<Duration, String> {
    units::duration(value)
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is not a number that fits here"))
}

fn status(value: &str) -> Result<u16, String> {
    fault::status(value).ok_or_else(|| format!("{value:?} is not a status from 400 to 599"))
}

fn header_value(value: &str) -> Result<String, String> {
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value:?} cannot stand in a header"))
    }
}

fn finish(value: &str) -> Result<&'static str, String> {
    ["stop", "length", "tool_calls", "content_filter"]
        .into_iter()
        .find(|known| *known == value)
        .ok_or_else(|| format!("{value:?} is not stop, length, tool_calls or content_filter"))
}
