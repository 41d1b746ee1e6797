//! Values of a small JSON text, each with its own spelling, and what is wrong with them in words.

use crate::error::shown;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What is wrong, and where: `provider.order[1]` `must be a string`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub path: String,
    pub what: String,
}

pub(super) fn wrong<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        path: String::new(),
        what: what.into(),
    })
}

impl Wrong {
    /// The same, seen from the object that has it as its member `name`.
    pub fn under(self, name: &str) -> Wrong {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        Wrong {
            path: format!("{name}{dot}{}", self.path),
            what: self.what,
        }
    }
}

/// Reads one member: tells whose fault it is, should it be one.
pub(super) fn under<T>(name: &str, read: Result<T, Wrong>) -> Result<T, Wrong> {
    read.map_err(|wrong| wrong.under(name))
}

const MOST_MEMBERS: usize = 64;

/// The members of an object, without those that are null. One that stands there twice is wrong: two
/// readers could take two different ones.
pub(super) fn members<'a>(
    value: &'a RawValue,
    kind: &str,
) -> Result<Vec<(String, &'a RawValue)>, Wrong> {
    if !value.get().starts_with('{') {
        return wrong(format!("must be {kind}"));
    }
    let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(value.get()) else {
        return wrong("is not valid JSON");
    };
    // Each is held against all before it.
    if members.len() > MOST_MEMBERS {
        return wrong(format!("has more than {MOST_MEMBERS} fields; send fewer"));
    }
    let mut seen: Vec<(String, &RawValue)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        if seen.iter().any(|(other, _)| *other == name) {
            return wrong(format!("has two fields `{}`; send one", shown(&name)));
        }
        seen.push((name, value));
    }
    seen.retain(|(_, value)| !is_null(value));
    Ok(seen)
}

/// A field that is not among those that are known.
pub(super) fn unknown<T>(name: &str, known: &[&str]) -> Result<T, Wrong> {
    wrong(format!(
        "has an unknown field `{}`; the known ones are {}",
        shown(name),
        known.join(", ")
    ))
}

pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

pub(super) fn flag(value: &RawValue) -> Result<bool, Wrong> {
    match value.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => wrong("must be true or false"),
    }
}

pub(super) fn string(value: &RawValue, what: &str) -> Result<String, Wrong> {
    serde_json::from_str(value.get()).or_else(|_| wrong(format!("must be a string: {what}")))
}

/// At most so many values, each read by `read`.
pub(super) fn list<T>(
    value: &RawValue,
    most: usize,
    what: &str,
    read: impl Fn(&RawValue) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return wrong(format!("must be an array of {what}"));
    };
    if values.len() > most {
        return wrong(format!("has more than {most} entries; send fewer"));
    }
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| under(&format!("[{index}]"), read(value)))
        .collect()
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(value: &RawValue, words: &[(&str, T)]) -> Result<T, Wrong> {
    let said: Option<String> = serde_json::from_str(value.get()).ok();
    let found = words.iter().find(|(word, _)| said.as_deref() == Some(word));
    match found {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            wrong(format!("must be one of {}", words.join(", ")))
        }
    }
}

/// All members as they stand there, duplicates too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
