//! Values of the grammar that may also be written as one word.

mod upstream;

use crate::config::file::{Admin, Auth, Currency, Listen, ListenTls, Model, Price, Store};
use crate::config::money::Rate;
use crate::config::secret::Secret;
use crate::config::shape::{List, Ordered, word};
use crate::config::units::Time;
use crate::config::words::{SocketAddress, is_off};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

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
    const EXPECTED: &'static str = "the provider's name for the model, or {name, price, context, served_as, capabilities, \
         quantization, scores}";

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
            capabilities: Option<List<String>>,
            quantization: Option<String>,
            scores: Ordered<f64>,
        }
        let Fields {
            name,
            price,
            context,
            served_as,
            capabilities,
            quantization,
            scores,
        } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Model {
            name,
            price,
            context,
            served_as,
            capabilities,
            quantization,
            scores,
        })
    }
}

impl<'de> Shapes<'de> for Currency {
    const EXPECTED: &'static str = "how much of it a dollar is, or {from_usd, to_usd}";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        Ok(Currency {
            from_usd: Some(Rate::deserialize(word::<E>(text))?),
            to_usd: None,
        })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            from_usd: Option<Rate>,
            to_usd: Option<Rate>,
        }
        let Fields { from_usd, to_usd } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Currency { from_usd, to_usd })
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

impl<'de> Shapes<'de> for Store {
    const EXPECTED: &'static str =
        "a URL such as `sqlite:overspill.db`, {url, retention, queue}, or off";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        if is_off(text) {
            return Ok(Store::Off);
        }
        Ok(Store::At {
            url: Some(Secret::new(text)),
            retention: None,
            queue: None,
        })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            url: Option<Secret>,
            retention: Option<Time>,
            queue: Option<u64>,
        }
        let Fields {
            url,
            retention,
            queue,
        } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Store::At {
            url,
            retention,
            queue,
        })
    }
}

impl<'de> Deserialize<'de> for Store {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
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

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}
