//! Why a body is refused, in words for the caller who sent it.

use std::fmt;

/// What is wrong with a body. `at` counts bytes from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanError {
    Empty,
    NotUtf8 { at: usize },
    ByteOrderMark,
    NotAnObject,
    Truncated,
    TrailingBytes { at: usize },
    TooDeep,
    DuplicateModel,
    ModelNotAString,
    EmptyModel,
    ModelTooLong,
    Malformed { at: usize, expected: &'static str },
}

impl ScanError {
    /// Whether the fault lies with the field `model` alone, in JSON that is otherwise sound.
    pub fn is_about_model(&self) -> bool {
        matches!(
            self,
            Self::DuplicateModel | Self::ModelNotAString | Self::EmptyModel | Self::ModelTooLong
        )
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("The request body is empty; send a JSON object."),
            Self::NotUtf8 { at } => {
                write!(
                    f,
                    "The request body is not UTF-8 (byte {at}); send JSON encoded as UTF-8."
                )
            }
            Self::ByteOrderMark => f.write_str(
                "The request body begins with a byte order mark; send the JSON object without it.",
            ),
            Self::NotAnObject => {
                f.write_str("The request body is not a JSON object; send one that begins with '{'.")
            }
            Self::Truncated => f.write_str(
                "The request body ends before its JSON object is closed; send the whole object.",
            ),
            Self::TrailingBytes { at } => write!(
                f,
                "Something follows the JSON object in the request body (byte {at}); send one \
                 object and nothing after it."
            ),
            Self::TooDeep => write!(
                f,
                "The request body is nested deeper than {} levels; flatten it.",
                super::nested::MAX_DEPTH
            ),
            Self::DuplicateModel => {
                f.write_str("The request body has two `model` fields; send one.")
            }
            Self::ModelNotAString => {
                f.write_str("`model` must be a string: the id of a model, as /v1/models lists it.")
            }
            Self::EmptyModel => {
                f.write_str("`model` is empty; send the id of a model, as /v1/models lists it.")
            }
            Self::ModelTooLong => write!(
                f,
                "`model` is longer than {} bytes; send the id of a model, as /v1/models lists it.",
                super::scan::LONGEST_MODEL
            ),
            Self::Malformed { at, expected } => write!(
                f,
                "The request body is not valid JSON: {expected} expected at byte {at}; correct it \
                 there."
            ),
        }
    }
}

impl std::error::Error for ScanError {}
