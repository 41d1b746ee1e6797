//! The YAML file as a tree that knows where each part stands.

use crate::config::place::{Place, Segment};
use std::sync::Arc;

/// Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub mark: Mark,
    /// Found wrong and reported: from then on it counts as not there.
    pub pruned: bool,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Arc<str>,
    /// Of the key.
    pub mark: Mark,
    pub value: Node,
}

#[derive(Clone, Debug)]
pub struct Scalar {
    /// After references were replaced.
    pub text: Arc<str>,
    /// Written without quotes.
    pub plain: bool,
    /// The references it was written with, such as `${HOST}`: then the text must not be shown.
    pub references: Option<Arc<str>>,
}

/// What a scalar without quotes means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text,
}

impl Scalar {
    /// As YAML's core schema has it; quoted scalars are text.
    pub fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        let empty = self.references.is_none() && self.text.is_empty();
        match &*self.text {
            "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            _ if empty => Meaning::Null,
            text => number(text),
        }
    }

    /// Whether a number or a boolean may be read from it. A reference often has to stand in quotes.
    pub fn may_be_number(&self) -> bool {
        self.plain || self.references.is_some()
    }
}

fn number(text: &str) -> Meaning {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if let Some(hex) = digits
        .strip_prefix("0x")
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
    {
        return Meaning::Unsigned(hex);
    }
    let numeric = |letter: u8| letter.is_ascii_digit() || b"+-.eE".contains(&letter);
    if !digits.bytes().all(numeric) {
        return Meaning::Text;
    }
    if let Ok(number) = digits.parse::<u64>() {
        return Meaning::Unsigned(number);
    }
    if let Ok(number) = digits.parse::<i64>() {
        return Meaning::Signed(number);
    }
    digits.parse::<f64>().map_or(Meaning::Text, Meaning::Float)
}

impl Node {
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.scalar().map(Scalar::meaning) == Some(Meaning::Null)
    }

    /// Found even when pruned.
    pub fn find(&self, place: &Place) -> Option<&Node> {
        place
            .segments()
            .into_iter()
            .try_fold(self, |node, segment| node.child(segment))
    }

    /// Where to point for this place: the value itself where it is a scalar, else its key; the
    /// nearest part around it where it is missing.
    pub fn position(&self, place: &Place) -> Mark {
        let mut node = self;
        let mut mark = self.mark;
        for segment in place.segments() {
            let Some(child) = node.child(segment) else {
                break;
            };
            mark = match (segment, &child.content) {
                (Segment::Key(key), Content::Sequence(_) | Content::Mapping(_)) => {
                    node.entry(key).map_or(child.mark, |entry| entry.mark)
                }
                _ => child.mark,
            };
            node = child;
        }
        mark
    }

    /// Of a mapping, in the order of the file, also those of pruned values.
    pub fn keys(&self) -> Vec<Arc<str>> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().map(|entry| entry.key.clone()).collect(),
            _ => vec![],
        }
    }

    /// It, or something in it, was found wrong.
    pub fn is_damaged(&self) -> bool {
        self.pruned
            || match &self.content {
                Content::Scalar(_) => false,
                Content::Sequence(items) => items.iter().any(Node::is_damaged),
                Content::Mapping(entries) => entries.iter().any(|entry| entry.value.is_damaged()),
            }
    }

    /// From now on the place counts as not there. False if it never was, or was pruned before.
    pub fn prune(&mut self, place: &Place) -> bool {
        let mut node = self;
        for segment in place.segments() {
            let child = match (&mut node.content, segment) {
                (Content::Sequence(items), Segment::Index(index)) => items.get_mut(*index),
                (Content::Mapping(entries), Segment::Key(key)) => entries
                    .iter_mut()
                    .find(|entry| entry.key == *key)
                    .map(|entry| &mut entry.value),
                _ => None,
            };
            let Some(child) = child else { return false };
            node = child;
        }
        !std::mem::replace(&mut node.pruned, true)
    }

    fn child(&self, segment: &Segment) -> Option<&Node> {
        match (&self.content, segment) {
            (Content::Sequence(items), Segment::Index(index)) => items.get(*index),
            (Content::Mapping(_), Segment::Key(key)) => self.entry(key).map(|entry| &entry.value),
            _ => None,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| &*entry.key == key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Meaning {
        Scalar {
            text: text.into(),
            plain: true,
            references: None,
        }
        .meaning()
    }

    #[test]
    fn plain_scalars_mean_what_yaml_says() {
        assert_eq!(plain("12"), Meaning::Unsigned(12));
        assert_eq!(plain("+12"), Meaning::Unsigned(12));
        assert_eq!(plain("-12"), Meaning::Signed(-12));
        assert_eq!(plain("0x1F"), Meaning::Unsigned(31));
        assert_eq!(plain(".5"), Meaning::Float(0.5));
        assert_eq!(plain("1e3"), Meaning::Float(1000.0));
        assert_eq!(plain("~"), Meaning::Null);
        assert_eq!(plain(""), Meaning::Null);
        for text in [
            "off",
            "1.2.3",
            "e",
            "-",
            "nan",
            "inf",
            "5xx",
            "127.0.0.1:80",
        ] {
            assert_eq!(plain(text), Meaning::Text, "{text}");
        }
        let quoted = Scalar {
            text: "5".into(),
            plain: false,
            references: None,
        };
        assert_eq!(quoted.meaning(), Meaning::Text);
    }
}
