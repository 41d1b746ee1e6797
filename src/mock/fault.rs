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
    /// The stream or body ends early, by FIN or by RST; at an event's edge or inside one.
    Cut {
        reset: bool,
        inside: bool,
    },
    /// Silence in mid-stream, for ever or for a while.
    Stall(Option<Duration>),
    Malformed,
    NoDone,
    Error200,
    ErrorMid,
    BaseResp,
    Empty,
    Nothing,
    EndlessComments,
    /// A good answer, but the connection is reset when the next request arrives on it.
    Stale,
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

static FAULTS: [(&str, Fault); 20] = [
    ("ok", Fault::None),
    ("leak", Fault::Leak),
    ("reset", Fault::Reset),
    ("close", Fault::Close),
    ("reset-after-headers", Fault::ResetAfterHeaders),
    ("hang", Fault::Hang),
    (
        "cut",
        Fault::Cut {
            reset: false,
            inside: false,
        },
    ),
    (
        "cut-body",
        Fault::Cut {
            reset: false,
            inside: false,
        },
    ),
    (
        "cut-reset",
        Fault::Cut {
            reset: true,
            inside: false,
        },
    ),
    (
        "cut-inside",
        Fault::Cut {
            reset: false,
            inside: true,
        },
    ),
    ("stall", Fault::Stall(None)),
    ("malformed", Fault::Malformed),
    ("no-done", Fault::NoDone),
    ("error-200", Fault::Error200),
    ("error-mid", Fault::ErrorMid),
    ("base-resp", Fault::BaseResp),
    ("empty", Fault::Empty),
    ("nothing", Fault::Nothing),
    ("endless-comments", Fault::EndlessComments),
    ("stale", Fault::Stale),
];
