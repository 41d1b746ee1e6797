//! From the marked tree into any serde type; an error knows the place it happened at.

use crate::config::document::{Content, Entry, Meaning, Node, Scalar};
use crate::config::fault::{Fault, What};
use crate::config::place::Place;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

pub fn decode<'a, T: Deserialize<'a>>(root: &'a Node) -> Result<T, Fault> {
    T::deserialize(Cursor {
        node: root,
        place: Place::root(),
    })
}

/// Reads a value that is written as one word, whatever it looks like. The error goes on from the
/// value: "is not a time".
pub fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

struct Cursor<'a> {
    node: &'a Node,
    place: Place,
}

impl<'a> Cursor<'a> {
    fn shape(&self, expected: &str) -> Fault {
        let found = match &self.node.content {
            Content::Scalar(_) => "a single value",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
        };
        Fault::new(What::Shape {
            expected: expected.to_owned(),
            found,
        })
    }

    fn refused(&self, message: &str) -> Fault {
        Fault::new(What::Refused(message.to_owned()))
    }

    /// Null is no value anywhere in the grammar.
    fn present(&self) -> Result<(), Fault> {
        if self.node.is_null() {
            return Err(Fault::new(What::Empty));
        }
        Ok(())
    }

    fn single(&self, expected: &str) -> Result<&'a Scalar, Fault> {
        self.present()?;
        self.node.scalar().ok_or_else(|| self.shape(expected))
    }

    /// The meaning of a scalar that is to be a number or a boolean, which a quoted one never is,
    /// unless it holds a reference: in `{ }` that needs quotes.
    fn unquoted(&self, expected: &str) -> Result<Meaning, Fault> {
        let scalar = self.single(expected)?;
        let as_plain = Scalar {
            plain: true,
            ..scalar.clone()
        }
        .meaning();
        match as_plain {
            Meaning::Text | Meaning::Null => Err(self.refused(&format!("is not {expected}"))),
            _ if scalar.may_be_number() => Ok(as_plain),
            _ => Err(self.refused(&format!("is not {expected}: leave out the quotes"))),
        }
    }

    fn whole<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        const EXPECTED: &str = "a whole number";
        match self.unquoted(EXPECTED)? {
            Meaning::Unsigned(number) => visitor
                .visit_u64(number)
                .map_err(|_: Fault| self.refused("is too large")),
            _ => Err(self.refused(&format!("is not {EXPECTED}"))),
        }
    }

    fn sequence<V: Visitor<'a>>(self, items: &'a [Node], visitor: V) -> Result<V::Value, Fault> {
        let items = Items {
            rest: items.iter().enumerate(),
            place: self.place,
        };
        visitor.visit_seq(items)
    }

    fn mapping<V: Visitor<'a>>(self, entries: &'a [Entry], visitor: V) -> Result<V::Value, Fault> {
        let entries = Entries {
            rest: entries.iter(),
            value: None,
            place: self.place,
        };
        visitor.visit_map(entries)
    }

    /// A scalar as its text; other shapes if the visitor takes them.
    fn written<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.present()?;
        match &self.node.content {
            Content::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
            Content::Sequence(items) => self.sequence(items, visitor),
            Content::Mapping(entries) => self.mapping(entries, visitor),
        }
    }

    fn meant<V: Visitor<'a>>(self, scalar: &'a Scalar, visitor: V) -> Result<V::Value, Fault> {
        match scalar.meaning() {
            Meaning::Null => visitor.visit_unit(),
            Meaning::Bool(value) => visitor.visit_bool(value),
            Meaning::Signed(value) => visitor.visit_i64(value),
            Meaning::Unsigned(value) => visitor.visit_u64(value),
            Meaning::Float(value) if value.is_finite() => visitor.visit_f64(value),
            Meaning::Float(_) => Err(self.refused("is too large a number")),
            Meaning::Text => visitor.visit_borrowed_str(&scalar.text),
        }
    }
}

impl<'de> Deserializer<'de> for Cursor<'de> {
    type Error = Fault;

    /// Free-form values: as YAML means them, null included.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Scalar(scalar) => self.meant(scalar, visitor),
            Content::Sequence(items) => self.sequence(items, visitor),
            Content::Mapping(entries) => self.mapping(entries, visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.written(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.written(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.unquoted("true or false")? {
            Meaning::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.refused("is not true or false")),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.unquoted("a number")? {
            Meaning::Signed(number) => visitor.visit_i64(number),
            Meaning::Unsigned(number) => visitor.visit_u64(number),
            Meaning::Float(number) => visitor.visit_f64(number),
            _ => Err(self.refused("is not a number")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.pruned {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.present()?;
        match &self.node.content {
            Content::Sequence(items) => self.sequence(items, visitor),
            _ => Err(self.shape("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.present()?;
        match &self.node.content {
            Content::Mapping(entries) => self.mapping(entries, visitor),
            _ => Err(self.shape("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let scalar = self.single("a word")?;
        let word: StrDeserializer<'_, Fault> = (*scalar.text).into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct newtype_struct
        tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    place: Place,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        let place = self.place.index(index);
        let cursor = Cursor {
            node,
            place: place.clone(),
        };
        seed.deserialize(cursor)
            .map(Some)
            .map_err(|fault| fault.at(&place))
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    place: Place,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.find(|entry| !entry.value.pruned);
        let Some(entry) = self.value else {
            return Ok(None);
        };
        let key: de::value::BorrowedStrDeserializer<'de, Fault> =
            de::value::BorrowedStrDeserializer::new(&entry.key);
        let place = self.place.key(entry.key.clone());
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault| fault.at(&place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("has no value"));
        };
        let place = self.place.key(entry.key.clone());
        let cursor = Cursor {
            node: &entry.value,
            place: place.clone(),
        };
        seed.deserialize(cursor).map_err(|fault| fault.at(&place))
    }
}
