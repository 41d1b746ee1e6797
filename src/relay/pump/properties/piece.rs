//! The bytes of an event or of what lies between two, however it is written down.

use proptest::prelude::*;
use proptest::sample::select;

pub const THEIRS: &str = r#""th\u0065irs""#;

/// Stands where the model's name comes.
pub const MODEL: char = '\u{e000}';
/// Stands where a byte comes that is no UTF-8.
pub const BAD: char = '\u{e001}';

/// An event, or what lies between two.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Up to the end of its data.
    text: String,
    rest: String,
    pub means: Means,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Comment,
    /// Fields without data.
    Field,
    /// Data that is empty.
    Blank,
    Chunk(Chunk),
    Error,
    Malformed,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// One bit; none where there are no choices.
    pub choice: u64,
    pub says: bool,
    pub ends: bool,
    /// Input and output.
    pub usage: Option<(u64, u64)>,
}

impl Piece {
    pub fn text(&self, model: &str) -> Vec<u8> {
        let named = self.text.replace(MODEL, model);
        let parts: Vec<_> = named.split(BAD).map(str::as_bytes).collect();
        parts.join(&0xff)
    }

    pub fn bytes(&self, model: &str) -> Vec<u8> {
        [&self.text(model), self.rest.as_bytes()].concat()
    }

    pub fn has_data(&self) -> bool {
        !matches!(self.means, Means::Comment | Means::Field)
    }
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub pieces: Vec<Piece>,
    /// How much of it comes.
    pub length: usize,
}

impl Stream {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .pieces
            .iter()
            .flat_map(|piece| piece.bytes(THEIRS))
            .collect();
        bytes.truncate(self.length);
        bytes
    }
}

/// How an event is written down.
#[derive(Clone, Debug)]
pub struct Look {
    line_end: &'static str,
    space: &'static str,
    /// Between two tokens; the data has several lines where it is a line feed.
    pub gap: &'static str,
    before: &'static str,
    after: &'static str,
}

impl Look {
    pub fn dress(&self, json: &str, means: Means) -> Piece {
        let end = self.line_end;
        let lines: Vec<_> = json
            .split('\n')
            .map(|line| format!("data:{}{line}", self.space))
            .collect();
        let line = |text: &str| match text {
            "" => String::new(),
            text => format!("{text}{end}"),
        };
        Piece {
            text: format!("{}{}", line(self.before), lines.join(end)),
            rest: format!("{end}{}{end}", line(self.after)),
            means,
        }
    }

    pub fn bare(&self, line: &str, means: Means) -> Piece {
        Piece {
            text: line.to_owned(),
            rest: self.line_end.repeat(2),
            means,
        }
    }
}

pub fn look(line_end: Option<&'static str>) -> impl Strategy<Value = Look> {
    (
        select(vec!["\n", "\r\n", "\r"]),
        select(vec![" ", ""]),
        select(vec!["", "", " ", "\n"]),
        select(vec!["", "", "", ": hm", "event: message", "id: 1"]),
        select(vec!["", "", "", ": data: {}", "id: 2"]),
    )
        .prop_map(move |(any_end, space, gap, before, after)| Look {
            line_end: line_end.unwrap_or(any_end),
            space,
            gap,
            before,
            after,
        })
}
