//! The file to import, as a tree whose every part is either taken or reported.

use crate::config::document::{Content, Entry, Meaning, Node};
use crate::config::place::Place;
use crate::import::notes::Notes;

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
    use crate::import::notes::read;

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
