//! Why deserialising stopped, and where.

use crate::config::place::Place;
use serde::de;
use std::fmt;

/// One thing wrong.
#[derive(Debug)]
pub struct Fault {
    pub place: Place,
    pub what: What,
    located: bool,
}

#[derive(Debug)]
pub enum What {
    /// Of another shape than the grammar has here.
    Shape {
        expected: String,
        found: &'static str,
    },
    Empty,
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        known: &'static [&'static str],
    },
    /// Goes on from the value: "is not a time".
    Refused(String),
}

impl Fault {
    pub fn new(what: What) -> Fault {
        Fault {
            place: Place::root(),
            what,
            located: false,
        }
    }

    /// The first to say so is the innermost.
    pub fn at(mut self, place: &Place) -> Fault {
        if !self.located {
            self.place = place.clone();
            self.located = true;
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.place, self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(What::Refused(message.to_string()))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a mapping",
            _ => "a single value",
        };
        Fault::new(What::Shape {
            expected: expected.to_string(),
            found,
        })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Fault::new(What::UnknownField {
            field: field.to_owned(),
            known,
        })
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Fault::new(What::UnknownWord { known })
    }
}
