//! Values of the grammar that may be written in more than one shape.

use crate::config::decode::text;
use crate::config::file::{Access, Admin, Auth, Listen, ListenTls, Model, Price};
use crate::config::place::Place;
use crate::config::secret::Secret;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

/// None stands where an element was found wrong, so that the others keep their places.
pub type List<T> = Vec<Option<T>>;

/// The elements that are there, with their places.
pub fn elements<'a, T>(list: &'a List<T>, place: &Place) -> Vec<(Place, &'a T)> {
    let placed = list
        .iter()
        .enumerate()
        .map(|(index, element)| (place.index(index), element));
    placed
        .filter_map(|(place, element)| element.as_ref().map(|element| (place, element)))
        .collect()
}

/// A mapping with free keys, in the order of the file.
#[derive(Debug)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(vec![])
    }
}

#[derive(Debug)]
pub enum OneOrMany<T> {
    One(T),
    Many(List<T>),
}

impl<T> OneOrMany<T> {
    /// With their places: a single one stands at the place itself.
    pub fn elements(&self, place: &Place) -> Vec<(Place, &T)> {
        match self {
            OneOrMany::One(element) => vec![(place.clone(), element)],
            OneOrMany::Many(list) => elements(list, place),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SocketAddress(pub SocketAddr);

/// A word or a status of `retry.for`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Connect,
    Timeout,
    Reset,
    RateLimited,
    ServerError,
    Stream,
    ContentFilter,
    Status(u16),
}

const CAUSES: [&str; 8] = [
    "connect",
    "timeout",
    "reset",
    "429",
    "5xx",
    "stream",
    "content_filter",
    "any status from 400 to 599",
];

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "connect" => Cause::Connect,
            "timeout" => Cause::Timeout,
            "reset" => Cause::Reset,
            "429" => Cause::RateLimited,
            "5xx" => Cause::ServerError,
            "stream" => Cause::Stream,
            "content_filter" => Cause::ContentFilter,
            word => match word.parse() {
                Ok(status @ 400..=599) => Cause::Status(status),
                _ => return Err(D::Error::unknown_variant(word, &CAUSES)),
            },
        })
    }
}

impl<'de> Deserialize<'de> for SocketAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, |word| {
            word.parse().map(SocketAddress).map_err(|_| {
                "is not an address with a port; write one such as `127.0.0.1:8080`, \
                 `0.0.0.0:8080` or `[::1]:8080`"
                    .to_owned()
            })
        })
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if is_off(&word) {
            Ok(Access::Off)
        } else {
            Err(D::Error::unknown_variant(&word, &["off"]))
        }
    }
}

/// YAML's older readers take `off` for `false`, and some writers write it so.
fn is_off(word: &str) -> bool {
    word == "off" || word == "false"
}

/// How one type is read from each of the shapes it takes.
trait Shapes<'de>: Sized {
    const EXPECTED: &'static str;

    fn from_word<E: Error>(word: &str) -> Result<Self, E>;

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error>;
}

struct ShapeVisitor<T>(PhantomData<T>);

impl<'de, T: Shapes<'de>> Visitor<'de> for ShapeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        T::from_word(word)
    }

    fn visit_map<A: MapAccess<'de>>(self, mapping: A) -> Result<T, A::Error> {
        T::from_mapping(mapping)
    }
}

fn shaped<'de, T: Shapes<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(ShapeVisitor(PhantomData))
}

fn word<E: Error>(word: &str) -> StrDeserializer<'_, E> {
    word.into_deserializer()
}

impl<'de> Shapes<'de> for Listen {
    const EXPECTED: &'static str = "an address such as `127.0.0.1:8080`, or {address, tls}";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        let address = Some(SocketAddress::deserialize(word::<E>(text))?);
        Ok(Listen { address, tls: None })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            address: Option<SocketAddress>,
            tls: Option<ListenTls>,
        }
        let Fields { address, tls } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Listen { address, tls })
    }
}

impl<'de> Shapes<'de> for Admin {
    const EXPECTED: &'static str = "an address such as `127.0.0.1:9090`, {address, token}, or off";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        if is_off(text) {
            return Ok(Admin::Off);
        }
        let address = Some(SocketAddress::deserialize(word::<E>(text))?);
        Ok(Admin::At {
            address,
            token: None,
        })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            address: Option<SocketAddress>,
            token: Option<Secret>,
        }
        let Fields { address, token } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Admin::At { address, token })
    }
}

impl<'de> Shapes<'de> for Model {
    const EXPECTED: &'static str =
        "the provider's name for the model, or {name, price, context, served_as}";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        Ok(Model {
            name: Some(text.to_owned()),
            ..Model::default()
        })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            name: Option<String>,
            price: Option<Price>,
            context: Option<u64>,
            served_as: Option<String>,
        }
        let Fields {
            name,
            price,
            context,
            served_as,
        } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Model {
            name,
            price,
            context,
            served_as,
        })
    }
}

impl<'de> Shapes<'de> for Auth {
    const EXPECTED: &'static str =
        "none, bearer, {header: {name: value}} or {query: {name: value}}";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        match text {
            "none" => Ok(Auth::None),
            "bearer" => Ok(Auth::Bearer),
            other => Err(E::unknown_variant(
                other,
                &[
                    "none",
                    "bearer",
                    "{header: {name: value}}",
                    "{query: {name: value}}",
                ],
            )),
        }
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            header: Option<Ordered<Secret>>,
            query: Option<Ordered<Secret>>,
        }
        let Fields { header, query } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Auth::Own { header, query })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Admin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(word(text)).map(OneOrMany::One)
            }

            fn visit_map<A: MapAccess<'de>>(self, mapping: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(mapping)).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                List::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_str(Either(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = mapping.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
