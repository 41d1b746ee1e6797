//! What can go wrong, and the word for each.

use std::time::Duration;

use super::refusal::{self, Refusal};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Refuse(&'static Refusal),
    /// A status that has no refusal of its own.
    Status(u16),
    /// An error that quotes the credential it was sent.
    Leak,
    /// RST before any header.
    Reset,
    /// FIN before any header.
    Close,
    ResetAfterHeaders,
    Hang,
    HangAfterHeaders,
    Cut(Cut),
    /// Silence in mid-stream, for ever or for a while.
    Stall(Option<Duration>),
    Malformed(Malformed),
    Error(Error),
    Empty,
    /// A body without a byte.
    Nothing,
    /// `[DONE]` and no event before it.
    OnlyDone,
    /// Comments and no payload any more.
    Comments(Place),
    End(End),
    /// A good answer, but the connection is reset when the next request arrives on it.
    Stale,
}

/// Where a fault stands that can stand in two places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Instead of everything.
    First,
    /// After `at` chunks.
    Middle,
}

/// How a stream or body ends early.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    Fin,
    Reset,
    /// FIN inside an event.
    Inside,
    /// The body ends as it should, only too soon.
    Clean,
}

/// What stands where JSON should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Malformed {
    Truncated,
    Text,
    /// Every bracket has its partner, but a value is missing.
    Hole,
}

/// An error under a status of 200.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Error {
    pub place: Place,
    pub form: Form,
    /// Whether `[DONE]` follows it.
    pub done: bool,
}

/// Whose way of telling an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    OpenAi,
    /// `choices` with the finish reason `error` stand beside it.
    OpenRouter,
    /// MiniMax's `base_resp`.
    BaseResp,
}

/// How a stream ends after its finish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Without `[DONE]`; the body is complete.
    NoDone,
    /// Without `[DONE]` and without the body's end.
    NoDoneCut,
    /// Without `[DONE]`; then silence.
    NoDoneOpen,
    /// With `[DONE]`; then silence.
    DoneOpen,
    DoneTwice,
    /// With more events after `[DONE]`.
    AfterDone,
}

/// The fault a word stands for: one of the list, a refusal, or any error status.
pub fn named(word: &str) -> Option<Fault> {
    FAULTS
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, fault)| *fault)
        .or_else(|| refusal::named(word).map(Fault::Refuse))
        .or_else(|| status(word).map(Fault::Status))
}

/// Every word but the bare statuses.
pub fn words() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|(word, _)| *word).chain(refusal::words())
}

/// An error status.
pub fn status(word: &str) -> Option<u16> {
    word.parse()
        .ok()
        .filter(|status| (400..600).contains(status))
}

const fn error(place: Place, form: Form, done: bool) -> Fault {
    Fault::Error(Error { place, form, done })
}

static FAULTS: [(&str, Fault); 36] = [
    ("ok", Fault::None),
    ("leak", Fault::Leak),
    ("reset", Fault::Reset),
    ("close", Fault::Close),
    ("reset-after-headers", Fault::ResetAfterHeaders),
    ("hang", Fault::Hang),
    ("hang-after-headers", Fault::HangAfterHeaders),
    ("cut", Fault::Cut(Cut::Fin)),
    ("cut-body", Fault::Cut(Cut::Fin)),
    ("cut-reset", Fault::Cut(Cut::Reset)),
    ("cut-inside", Fault::Cut(Cut::Inside)),
    ("cut-clean", Fault::Cut(Cut::Clean)),
    ("stall", Fault::Stall(None)),
    ("malformed", Fault::Malformed(Malformed::Truncated)),
    ("malformed-text", Fault::Malformed(Malformed::Text)),
    ("malformed-hole", Fault::Malformed(Malformed::Hole)),
    ("error-200", error(Place::First, Form::OpenAi, true)),
    (
        "error-200-no-done",
        error(Place::First, Form::OpenAi, false),
    ),
    ("error-mid", error(Place::Middle, Form::OpenAi, true)),
    (
        "error-mid-no-done",
        error(Place::Middle, Form::OpenAi, false),
    ),
    (
        "error-openrouter",
        error(Place::Middle, Form::OpenRouter, true),
    ),
    (
        "error-openrouter-no-done",
        error(Place::Middle, Form::OpenRouter, false),
    ),
    ("base-resp", error(Place::First, Form::BaseResp, false)),
    ("base-resp-mid", error(Place::Middle, Form::BaseResp, false)),
    ("empty", Fault::Empty),
    ("nothing", Fault::Nothing),
    ("only-done", Fault::OnlyDone),
    ("endless-comments", Fault::Comments(Place::First)),
    ("endless-comments-mid", Fault::Comments(Place::Middle)),
    ("no-done", Fault::End(End::NoDone)),
    ("no-done-cut", Fault::End(End::NoDoneCut)),
    ("no-done-open", Fault::End(End::NoDoneOpen)),
    ("done-open", Fault::End(End::DoneOpen)),
    ("done-twice", Fault::End(End::DoneTwice)),
    ("after-done", Fault::End(End::AfterDone)),
    ("stale", Fault::Stale),
];
