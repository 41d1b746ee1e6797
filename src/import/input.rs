//! The file to import, as a tree whose every part is either taken or reported.

use crate::config::document::{Content, Entry, Meaning, Node};
use crate::config::parse::parse_foreign;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::import::Lost;
use std::borrow::Cow;

/// Beyond this many lines nobody reads on.
const MOST_LOST: usize = 1000;

/// What is found on the way: errors end the import, the rest goes with its result.
pub struct Notes<'a> {
    file: &'a str,
    root: Node,
    errors: Vec<Problem>,
    findings: Findings,
}

#[derive(Default)]
pub struct Findings {
    pub warnings: Vec<String>,
    pub lost: Vec<Lost>,
}

/// A part of the tree, and where it stands.
#[derive(Clone)]
pub struct Item<'a> {
    pub place: Place,
    pub node: &'a Node,
}

/// A mapping whose fields are taken out one by one.
pub struct Fields<'a> {
    pub place: Place,
    rest: Vec<&'a Entry>,
}

pub fn read<'f>(text: &str, file: &'f str) -> Result<(Node, Notes<'f>), Vec<Problem>> {
    let json = text.trim_start().starts_with(['{', '[']);
    let text = if json {
        Cow::Owned(json_as_yaml(text))
    } else {
        Cow::Borrowed(text)
    };
    let (root, errors) = parse_foreign(&text, file).map_err(|problem| vec![*problem])?;
    if !errors.is_empty() {
        return Err(errors);
    }
    let notes = Notes {
        file,
        root: root.clone(),
        errors,
        findings: Findings::default(),
    };
    Ok((root, notes))
}

/// The body of a `curl` as documents show it, `'"$NAME"'`, where a shell would put the value in.
pub fn without_shell(text: &str) -> String {
    let mut pieces = text.split("'\"$");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once("\"'") {
            Some((name, rest)) if is_variable(name) => {
                out.push_str(&format!("${{{name}}}{rest}"));
            }
            _ => out.push_str(&format!("'\"${piece}")),
        }
    }
    out
}

pub fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// YAML reads all of JSON but two things: tabs as indentation, and characters in two halves.
fn json_as_yaml(text: &str) -> String {
    let text = text.replace('\t', " ");
    let mut pieces = text.split("\\u");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut high = None;
    for piece in pieces {
        // After an odd number of backslashes this one is itself escaped, and no escape begins.
        let escaped = out.len() - out.trim_end_matches('\\').len();
        let unit = piece
            .get(..4)
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .filter(|_| escaped.is_multiple_of(2));
        let after = piece.get(4..).unwrap_or_default();
        let pair = high
            .take()
            .zip(unit)
            .and_then(|(high, low)| char::decode_utf16([high, low]).next()?.ok());
        match (pair, unit) {
            (Some(joined), _) => out.push_str(&format!("{joined}{after}")),
            // The first half waits for the second, which must follow at once.
            (None, Some(first @ 0xd800..0xdc00)) if after.is_empty() => high = Some(first),
            (None, _) => out.push_str(&format!("\\u{piece}")),
        }
    }
    out
}

impl<'f> Notes<'f> {
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        let mark = self.root.position(place);
        self.errors.push(Problem {
            file: self.file.to_owned(),
            line: mark.line,
            column: mark.column,
            path: place.to_string(),
            message: message.into(),
            suggestion: None,
        });
    }

    pub fn warn(&mut self, message: String) {
        if !self.findings.warnings.contains(&message) {
            self.findings.warnings.push(message);
        }
    }

    pub fn lost(&mut self, place: &Place, why: impl Into<String>) {
        let lost = Lost {
            path: place.to_string(),
            why: why.into(),
        };
        let all = &mut self.findings.lost;
        if all.len() < MOST_LOST && !all.contains(&lost) {
            all.push(lost);
        } else if all.len() == MOST_LOST {
            let why =
                format!("more than {MOST_LOST} parts have no counterpart; the rest is left unsaid");
            all.push(Lost {
                path: "…".to_owned(),
                why,
            });
        }
    }

    pub fn finish(mut self) -> Result<Findings, Vec<Problem>> {
        if self.errors.is_empty() {
            return Ok(self.findings);
        }
        self.errors
            .sort_by_key(|problem| (problem.line, problem.column));
        self.errors.dedup();
        Err(self.errors)
    }

    /// What was left out first, should nothing be left.
    pub fn first_lost(&self) -> Option<String> {
        let first = self.findings.lost.first()?;
        Some(format!("{}: {}", first.path, first.why))
    }

    pub fn failed(&self) -> bool {
        !self.errors.is_empty()
    }
}

impl<'a> Item<'a> {
    pub fn root(node: &'a Node) -> Item<'a> {
        Item {
            place: Place::root(),
            node,
        }
    }

    pub fn is_mapping(&self) -> bool {
        matches!(self.node.content, Content::Mapping(_))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.content, Content::Sequence(_))
    }

    pub fn fields(&self, notes: &mut Notes) -> Option<Fields<'a>> {
        let Content::Mapping(entries) = &self.node.content else {
            notes.error(
                &self.place,
                format!("expected an object, found {}", self.shape()),
            );
            return None;
        };
        Some(Fields {
            place: self.place.clone(),
            rest: entries.iter().collect(),
        })
    }

    pub fn list(&self, notes: &mut Notes) -> Vec<Item<'a>> {
        let Content::Sequence(nodes) = &self.node.content else {
            notes.error(
                &self.place,
                format!("expected a list, found {}", self.shape()),
            );
            return vec![];
        };
        let items = nodes.iter().enumerate();
        items
            .map(|(index, node)| Item {
                place: self.place.index(index),
                node,
            })
            .collect()
    }

    /// A list, or one alone.
    pub fn one_or_many(&self, notes: &mut Notes) -> Vec<Item<'a>> {
        if self.is_list() {
            self.list(notes)
        } else {
            vec![self.clone()]
        }
    }

    pub fn texts(&self, notes: &mut Notes) -> Vec<&'a str> {
        let items = self.one_or_many(notes);
        items.iter().filter_map(|item| item.text(notes)).collect()
    }

    pub fn text(&self, notes: &mut Notes) -> Option<&'a str> {
        let text = self
            .node
            .scalar()
            .filter(|_| self.meaning() == Some(Meaning::Text));
        if text.is_none() {
            let message = format!("expected a string, found {}", self.shape());
            notes.error(&self.place, message);
        }
        text.map(|scalar| &*scalar.text)
    }

    /// Ids are often numbers.
    pub fn name(&self, notes: &mut Notes) -> Option<&'a str> {
        match self.meaning() {
            Some(Meaning::Unsigned(_)) => self.node.scalar().map(|scalar| &*scalar.text),
            _ => self.text(notes),
        }
    }

    pub fn flag(&self, notes: &mut Notes) -> Option<bool> {
        match self.meaning() {
            Some(Meaning::Bool(flag)) => Some(flag),
            _ => {
                notes.error(
                    &self.place,
                    format!("expected true or false, found {}", self.shape()),
                );
                None
            }
        }
    }

    pub fn whole(&self, notes: &mut Notes, most: u64) -> Option<u64> {
        match self.meaning() {
            Some(Meaning::Unsigned(number)) if number <= most => Some(number),
            _ => {
                let message = format!(
                    "expected a whole number up to {most}, found {}",
                    self.shape()
                );
                notes.error(&self.place, message);
                None
            }
        }
    }

    pub fn signed(&self, notes: &mut Notes) -> Option<i64> {
        let number = match self.meaning() {
            Some(Meaning::Unsigned(number)) => i64::try_from(number).ok(),
            Some(Meaning::Signed(number)) => Some(number),
            _ => None,
        };
        if number.is_none() {
            notes.error(
                &self.place,
                format!("expected a whole number, found {}", self.shape()),
            );
        }
        number
    }

    pub fn number(&self, notes: &mut Notes, most: f64) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // Only its size matters by then.
        let number = match self.meaning() {
            Some(Meaning::Unsigned(number)) => Some(number as f64),
            Some(Meaning::Float(number)) => Some(number),
            _ => None,
        };
        let number = number.filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            let message = format!("expected a number from 0 to {most}, found {}", self.shape());
            notes.error(&self.place, message);
        }
        number
    }

    pub fn meaning(&self) -> Option<Meaning> {
        self.node.scalar().map(|scalar| scalar.meaning())
    }

    /// Never the value itself, which may be a secret.
    fn shape(&self) -> &'static str {
        match (&self.node.content, self.meaning()) {
            (Content::Sequence(_), _) => "a list",
            (Content::Mapping(_), _) => "an object",
            (_, Some(Meaning::Null)) => "nothing",
            (_, Some(Meaning::Bool(_))) => "true or false",
            (_, Some(Meaning::Text)) => "a string",
            (_, Some(_)) => "another number",
            (_, None) => "another value",
        }
    }
}

impl<'a> Fields<'a> {
    /// None where it is absent or null.
    pub fn take(&mut self, name: &str) -> Option<Item<'a>> {
        let index = self.rest.iter().position(|entry| &*entry.key == name)?;
        let entry = self.rest.remove(index);
        (!entry.value.is_null()).then(|| Item {
            place: self.place.key(name),
            node: &entry.value,
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.rest.iter().any(|entry| &*entry.key == name)
    }

    /// Left where it is.
    pub fn peek_text(&self, name: &str) -> Option<&'a str> {
        let entry = self.rest.iter().find(|entry| &*entry.key == name)?;
        entry.value.scalar().map(|scalar| &*scalar.text)
    }

    pub fn take_fields(&mut self, name: &str, notes: &mut Notes) -> Option<Fields<'a>> {
        self.take(name)?.fields(notes)
    }

    pub fn take_text(&mut self, name: &str, notes: &mut Notes) -> Option<&'a str> {
        self.take(name)?.text(notes)
    }

    /// Everything that is still there, in the order of the file.
    pub fn drain(&mut self) -> Vec<(&'a str, Item<'a>)> {
        let entries = std::mem::take(&mut self.rest);
        let item = |entry: &'a Entry| Item {
            place: self.place.key(entry.key.clone()),
            node: &entry.value,
        };
        entries
            .into_iter()
            .map(|entry| (&*entry.key, item(entry)))
            .collect()
    }

    /// A field known to have no counterpart, and why.
    pub fn lose(&mut self, name: &str, notes: &mut Notes, why: &str) {
        if let Some(item) = self.take(name) {
            notes.lost(&item.place, why);
        }
    }

    /// Whatever nobody took is said, never dropped in silence.
    pub fn finish(mut self, notes: &mut Notes) {
        for (_, item) in self.drain() {
            notes.lost(&item.place, "no counterpart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoting_of_a_shell_becomes_a_reference() {
        let shown = r#"{"a": "Bearer '"$KEY"'", "b": "'"$B_2"'x"}"#;
        let plain = r#"{"a": "Bearer ${KEY}", "b": "${B_2}x"}"#;
        assert_eq!(without_shell(shown), plain);
        for text in [plain, "", "'\"$", "'\"$a b\"'", "it's \"$5\""] {
            assert_eq!(without_shell(text), text);
        }
    }

    #[test]
    fn json_is_read_as_yaml() {
        for (json, yaml) in [
            ("{\t\"a\":\t1}", "{ \"a\": 1}"),
            (r#"["\ud83d\ude00x"]"#, "[\"😀x\"]"),
            (r#"["\u4e2d\\ud83d"]"#, r#"["\u4e2d\\ud83d"]"#),
            (r#"["\u0041\u12"]"#, r#"["\u0041\u12"]"#),
        ] {
            assert_eq!(json_as_yaml(json), yaml, "{json}");
        }
    }

    #[test]
    fn what_nobody_takes_is_reported() {
        let (root, mut notes) = read("{a: 1, b: {c: [x]}, d: null}", "f").ok().unwrap();
        let mut fields = Item::root(&root).fields(&mut notes).unwrap();
        assert_eq!(fields.take("a").unwrap().whole(&mut notes, 9), Some(1));
        assert!(fields.take("d").is_none());
        fields.finish(&mut notes);
        let lost = notes.finish().ok().unwrap().lost;
        let paths: Vec<_> = lost.iter().map(|lost| lost.path.as_str()).collect();
        assert_eq!(paths, ["b"]);
    }
}
