//! A stream of events on its way: bytes in, bytes out, event by event. The name of the model
//! changes, what is malformed is left out, and what the events say is noted: whether there is
//! content, an end, an error. Where another target carries the answer on, what has been heard
//! before is left out too.
//!
//! Nothing is allocated for an event, but for the text that a later target may have to carry on.

mod edits;

use crate::body::cursor::{member, say};
use crate::config::snapshot::Endpoint;
use crate::dialect::openai::error::error_inside;
use crate::dialect::stream::{Glance, end_marker, glance};
use crate::dialect::usage::{Told, Usage};
use crate::relay::resume::delivered::Delivered;
use crate::relay::resume::graft::{Differs, Graft};
use crate::relay::resume::tokens::{estimated_tokens, whole_usage};
use crate::sse::event::Event;
use crate::sse::split::Splitter;
use bytes::{BufMut, Bytes, BytesMut};
use edits::Edits;
use std::ops::ControlFlow::{self, Break, Continue};

/// An event larger than this is passed on as it is.
const LARGEST_EVENT: usize = 16 * 1024 * 1024;

/// A byte order mark: where a stream is one event without an end, it was not taken off yet.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Memory that is used again from one event to the next.
const KEPT: usize = 64 * 1024;

/// How the events are to look to the caller.
#[derive(Clone, Debug)]
pub struct Form {
    pub endpoint: Endpoint,
    /// The name that callers know, as a JSON string. None: the provider's own stays.
    pub model: Option<Bytes>,
    /// The caller has not asked for the extra chunk with the usage.
    pub strip_usage: bool,
    /// The answer may have several choices: the end of one is not the end.
    pub several: bool,
    /// Keep what is delivered, so that it can be carried on.
    pub keep: bool,
}

/// Why no more events are taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The answer is whole.
    Done,
    /// The provider reports an error; this is the event's data.
    Error(Vec<u8>),
    /// The stream ended before the answer did.
    Truncated,
    /// The answer that was to carry on is another one.
    Differs,
}

/// Events with content, and the bytes of text and reasoning in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub events: u64,
    pub bytes: u64,
}

impl Text {
    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes += bytes as u64;
    }

    /// As far as there is any.
    pub fn tokens(self) -> Option<u64> {
        (self.events > 0).then(|| estimated_tokens(self.events, self.bytes))
    }
}

#[derive(Debug)]
pub struct Pump {
    form: Form,
    splitter: Splitter,
    out: BytesMut,
    /// An event was too large to look into: it passes, and so does the rest of the stream.
    unread: bool,
    /// Any event but comments has come.
    heard: bool,
    /// An event with content has come.
    begun: bool,
    known: bool,
    seen: u64,
    finished: u64,
    /// Events that had content and an end as well, and whether the first content was such a one:
    /// there are providers that write an end into every event.
    ends_with_content: u32,
    first_ends: bool,
    /// The end marker has been passed on.
    marked: bool,
    stop: Option<Stop>,
    payload: bool,
    gaps: u64,
    /// Events with content, and how many bytes of text or reasoning.
    text: Text,
    /// Those since the usage was last told.
    untold: Text,
    told: Told,
    delivered: Option<Box<Delivered>>,
    graft: Option<Graft>,
    /// Tokens delivered by the answers before this one.
    before: u64,
}

impl Pump {
    pub fn new(form: Form) -> Pump {
        Pump::bounded(form, LARGEST_EVENT)
    }

    fn bounded(form: Form, largest: usize) -> Pump {
        Pump {
            delivered: form.keep.then(Box::default),
            form,
            splitter: Splitter::new(largest),
            out: BytesMut::new(),
            unread: false,
            heard: false,
            begun: false,
            known: false,
            seen: 0,
            finished: 0,
            ends_with_content: 0,
            first_ends: false,
            marked: false,
            stop: None,
            payload: false,
            gaps: 0,
            text: Text::default(),
            untold: Text::default(),
            told: Told::default(),
            graft: None,
            before: 0,
        }
    }

    /// Takes the next bytes. Only an unfinished event stays behind; after a stop nothing is taken.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.stop.is_some() {
            return;
        }
        if self.unread {
            self.payload = true;
            self.out.put_slice(chunk);
            return;
        }
        // The splitter lends out its events while this takes them.
        let mut splitter = std::mem::replace(&mut self.splitter, Splitter::new(0));
        match splitter.feed(chunk, |event| self.event(&event)) {
            Ok(Continue(())) => {}
            Ok(Break(stop)) => self.stop = Some(stop),
            Err(_) => {
                self.out.put_slice(&splitter.take_tail());
                self.unread = true;
                // Whether it has its end is not known.
                self.marked = true;
                self.begun = true;
                self.payload = true;
                self.lose();
            }
        }
        self.splitter = splitter;
    }

    /// The provider has closed its stream. Some leave out the blank line after the last event.
    pub fn end(&mut self) {
        if self.stop.is_some() {
            return;
        }
        let tail = self.splitter.take_tail();
        if self.unread {
            self.out.put_slice(&tail);
            self.stop = Some(Stop::Done);
            return;
        }
        let before = self.out.len();
        let gaps = self.gaps;
        let mark = if tail.starts_with(MARK) {
            MARK.len()
        } else {
            0
        };
        let last = Event::after(mark, &tail);
        // Without data it was about to say something, and did not.
        let flow = match last.data() {
            Some(_) => self.event(&last),
            None => Continue(()),
        };
        // Half an event is no gap in the answer, but its end.
        self.gaps = gaps;
        if self.out.len() > before {
            self.out.put_slice(b"\n\n");
        }
        self.stop = Some(match flow {
            Break(stop) => stop,
            Continue(()) if self.has_finished() || !self.known => Stop::Done,
            Continue(()) => Stop::Truncated,
        });
    }

    /// The answer is whole: the end marker, where the provider has forgotten it.
    pub fn complete(&mut self) {
        if let Some(marker) = end_marker(self.form.endpoint)
            && self.known
            && !self.marked
        {
            self.marked = true;
            self.out.put_slice(b"data: ");
            self.out.put_slice(marker);
            self.out.put_slice(b"\n\n");
        }
    }

    /// What can go on now.
    pub fn take(&mut self) -> Bytes {
        let out = self.out.split().freeze();
        if out.len() > KEPT {
            // One large event is no reason to hold its memory to the end of the stream.
            self.out = BytesMut::new();
        }
        out
    }

    /// How much has come and not gone on.
    pub fn held(&self) -> usize {
        self.out.len() + self.splitter.held()
    }

    /// Whether there was an event that was no comment since this was last asked.
    pub fn take_payload(&mut self) -> bool {
        std::mem::take(&mut self.payload)
    }

    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    pub fn take_stop(&mut self) -> Option<Stop> {
        self.stop.take()
    }

    /// There is content: the answer has begun.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Nothing came, or an end without content: the provider had nothing to say.
    pub fn is_empty(&self) -> bool {
        !self.begun && (!self.heard || self.marked || self.has_finished())
    }

    fn note_ends(&mut self, glance: &Glance) {
        let both = glance.speaks & glance.finished != 0;
        if !self.begun && glance.speaks != 0 {
            self.first_ends = both;
        }
        self.ends_with_content += u32::from(both);
        self.seen |= glance.seen;
        // Whoever goes on had not ended.
        self.finished &= !glance.speaks;
        self.finished |= glance.finished;
    }

    /// Every choice that began has ended.
    pub fn has_finished(&self) -> bool {
        let means_nothing = self.first_ends && self.ends_with_content > 1;
        let enough = !self.form.several || self.finished.count_ones() > 1;
        self.finished != 0 && self.seen & !self.finished == 0 && enough && !means_nothing
    }

    /// All of the answer has come, even if the stream broke after it.
    pub fn is_whole(&self) -> bool {
        (self.has_finished() && !self.form.several) || (self.marked && !self.unread)
    }

    /// Nothing more is to be expected but the usage and the end marker.
    pub fn is_settled(&self) -> bool {
        self.has_finished() && !self.form.several && !self.first_ends
    }

    /// Events between which a keep-alive could stand are still told apart.
    pub fn is_read(&self) -> bool {
        !self.unread
    }

    /// Malformed events that were left out since this was last asked.
    pub fn take_gaps(&mut self) -> u64 {
        std::mem::take(&mut self.gaps)
    }

    /// What this provider has sent.
    pub fn new_text(&self) -> Text {
        self.text
    }

    /// What it has sent since it last told how much that was.
    pub fn untold_text(&self) -> Text {
        self.untold
    }

    pub fn shown_model(&self) -> Option<&Bytes> {
        self.form.model.as_ref()
    }

    pub fn usage(&self) -> Usage {
        self.told.usage()
    }

    pub fn delivered(&self) -> Option<&Delivered> {
        self.delivered
            .as_deref()
            .filter(|delivered| delivered.can_be_carried_on())
    }

    /// No other target can carry this answer on: what was delivered need not be kept.
    pub fn forget(&mut self) {
        self.delivered = None;
    }

    /// Not one event came.
    pub fn is_silent(&self) -> bool {
        !self.heard
    }

    /// Tokens of the answer so far that this provider was sent as its beginning.
    pub fn sent_along(&self) -> u64 {
        match self.graft {
            Some(Graft::Prefill { .. }) => self.before,
            Some(_) | None => 0,
        }
    }

    /// What comes next is another target's answer, to be joined to this one. `before`: the tokens
    /// that were delivered until now.
    pub fn carry_on(&mut self, graft: Graft, before: u64) {
        self.splitter = Splitter::new(LARGEST_EVENT);
        self.out.clear();
        self.heard = false;
        self.begun = false;
        self.known = false;
        self.seen = 0;
        self.finished = 0;
        self.ends_with_content = 0;
        self.first_ends = false;
        self.marked = false;
        self.stop = None;
        self.payload = false;
        self.text = Text::default();
        self.untold = Text::default();
        self.told = Told::default();
        self.graft = Some(graft);
        self.before = before;
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<Stop> {
        let Some(data) = event.data() else {
            // Before the content they only say that it is not there yet.
            if self.begun || !event.is_comment() {
                self.out.put_slice(event.raw());
            }
            return Continue(());
        };
        let trimmed = data.trim_ascii();
        if trimmed.is_empty() {
            return Continue(());
        }
        self.heard = true;
        if end_marker(self.form.endpoint) == Some(trimmed) {
            return Break(self.marker(event));
        }
        let Some(glance) = glance(self.form.endpoint, &data) else {
            self.gaps += 1;
            return Continue(());
        };
        self.payload = true;
        if glance.failed || (glance.suspect && error_inside(&data)) {
            // Whoever has said all cannot take it back.
            return Break(if self.has_finished() {
                Stop::Done
            } else {
                Stop::Error(data.into_owned())
            });
        }
        self.known |= glance.known;
        self.note_ends(&glance);
        self.begun |= glance.says;
        let texts = [&glance.text, &glance.reasoning];
        let bytes: usize = texts
            .into_iter()
            .flatten()
            .map(|quoted| quoted.len() - 2)
            .sum();
        if bytes > 0 || glance.beyond {
            self.text.add(bytes);
            self.untold.add(bytes);
        }
        if let Some(usage) = &glance.usage {
            self.told.read(data.get(usage.clone()).unwrap_or_default());
            if self.told.counts_output() {
                self.untold = Text::default();
            }
        }
        if glance.usage_alone && self.form.strip_usage {
            return Continue(());
        }
        if self.graft.is_some() {
            if self.join(event, &data, &glance) == Err(Differs) {
                return Break(Stop::Differs);
            }
        } else {
            let mut edits = Edits::default();
            rename(&mut edits, &data, &glance, self.form.model.as_ref());
            edits.put(&mut self.out, event);
            if let Some(delivered) = &mut self.delivered {
                delivered.take(&data, &glance);
            }
        }
        if glance.last {
            return Break(Stop::Done);
        }
        Continue(())
    }

    fn marker(&mut self, event: &Event<'_>) -> Stop {
        if self
            .graft
            .as_ref()
            .is_some_and(|graft| !graft.has_caught_up())
        {
            return Stop::Differs;
        }
        self.marked = true;
        self.out.put_slice(event.raw());
        Stop::Done
    }

    /// One event of an answer that carries on another.
    fn join(&mut self, event: &Event<'_>, data: &[u8], glance: &Glance) -> Result<(), Differs> {
        let (Some(graft), Some(delivered)) = (&mut self.graft, &mut self.delivered) else {
            return Ok(());
        };
        let is_prefill = matches!(graft, Graft::Prefill { .. });
        // An end is all that a continuation may have to add.
        self.begun |= is_prefill && glance.finished != 0;
        let mut text = String::new();
        let mut reasoning = String::new();
        for (span, said) in [
            (&glance.text, &mut text),
            (&glance.reasoning, &mut reasoning),
        ] {
            let quoted = span.clone().and_then(|span| data.get(span));
            if quoted.is_some_and(|quoted| !say(quoted, said)) {
                return Err(Differs);
            }
        }
        let unthought = graft.reasoning(delivered, &reasoning)?;
        let unsaid = graft.content(delivered, &text)?;
        if (glance.finished != 0 || glance.beyond) && !graft.has_caught_up() {
            return Err(Differs);
        }
        let text = text.get(unsaid..).unwrap_or_default();
        let reasoning = reasoning.get(unthought..).unwrap_or_default();
        if text.is_empty()
            && reasoning.is_empty()
            && glance.finished == 0
            && !glance.beyond
            && !glance.usage_alone
        {
            // A role, or nothing that is new.
            return Ok(());
        }
        if glance.beyond {
            delivered.lose();
        } else if !text.is_empty() || !reasoning.is_empty() {
            delivered.add(text, reasoning);
        }
        let json = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let (text, reasoning) = (json(text), json(reasoning));
        let usage = glance
            .usage
            .clone()
            .filter(|_| is_prefill)
            .and_then(|span| whole_usage(data.get(span)?, self.before));
        let Some(delivered) = &self.delivered else {
            return Ok(());
        };
        let mut edits = Edits::default();
        if self.form.model.is_some() {
            rename(&mut edits, data, glance, self.form.model.as_ref());
        } else {
            edits.replace(&glance.model, delivered.model.as_deref());
        }
        edits.replace(&glance.id, delivered.id.as_deref());
        edits.replace(&glance.created, delivered.created.as_deref());
        if let Some(role) = &glance.role {
            // It was said at the beginning; readers that add up what they read would say it twice.
            match member(data, b"role", role).filter(|all| event.place(all.clone()).is_some()) {
                Some(member) => edits.push(member, b""),
                None => edits.push(role.clone(), b"null"),
            }
        }
        if unsaid > 0 {
            edits.replace(&glance.text, Some(text.as_bytes()));
        }
        if unthought > 0 {
            edits.replace(&glance.reasoning, Some(reasoning.as_bytes()));
        }
        edits.replace(&glance.usage, usage.as_deref());
        edits.put(&mut self.out, event);
        Ok(())
    }

    fn lose(&mut self) {
        if let Some(delivered) = &mut self.delivered {
            delivered.lose();
        }
    }
}

fn rename<'e>(edits: &mut Edits<'e>, data: &[u8], glance: &Glance, model: Option<&'e Bytes>) {
    if let (Some(span), Some(model)) = (&glance.model, model)
        && data.get(span.clone()) != Some(model)
    {
        edits.push(span.clone(), model);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
