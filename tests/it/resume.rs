//! A stream that breaks after its first words is continued by the next target, and the client has
//! one answer: never two, never words twice, never a gap.

mod afresh;
mod chain;
mod forms;
mod never;
mod prefill;

use crate::harness::answers::{part, sse_head};
use crate::harness::voice::ONE;
use crate::harness::*;

/// What the first answer says in these tests before it breaks: spaces at its end, and characters
/// of several bytes.
const BEGUN: [&str; 3] = ["Wörter ", "und 溢出 ", "🦀 "];
const REST: [&str; 3] = ["flow ", "down", " hill."];

fn begun() -> String {
    BEGUN.concat()
}

fn all() -> String {
    begun() + &REST.concat()
}

/// The events of a stream that is then cut. What was said before arrives first.
fn cut_after(events: impl IntoIterator<Item = String>) -> Vec<Act> {
    let mut acts = vec![sse_head()];
    acts.extend(events.into_iter().map(part));
    acts.extend([Act::Sleep(ms(50)), Act::Close]);
    acts
}

/// The first provider of most tests: begins the answer and breaks.
fn breaking() -> Vec<Act> {
    let said = BEGUN.iter().map(|text| ONE.say(text));
    cut_after(std::iter::once(ONE.role()).chain(said))
}

/// Two tiers, the second known to continue messages in this way.
fn config(one: &Provider, two: &Provider, resume: &str, prefill: &str) -> Config {
    Config::spill(one, two)
        .with("prefill", prefill)
        .on_route("stream", &format!("{{ resume: {resume} }}"))
        .top("log: { format: json }")
}

/// A body with something more in it.
fn asking(more: &str) -> String {
    let (open, rest) = ASK_STREAM.split_at(1);
    format!("{open}{more},{rest}")
}
