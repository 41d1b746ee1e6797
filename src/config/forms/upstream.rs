//! The same for what says how providers and targets are chosen and watched.

use crate::config::file::{Address, Breaker, Health, StickyBy};
use crate::config::forms::{Shapes, shaped};
use crate::config::host::HostPort;
use crate::config::shape::{List, word};
use crate::config::units::{Percent, Time};
use crate::config::words::is_off;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess};
use serde::{Deserialize, Deserializer};

impl<'de> Shapes<'de> for Address {
    const EXPECTED: &'static str = "an address such as `10.0.0.5:8000`, or {address, weight}";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        let address = Some(HostPort::deserialize(word::<E>(text))?);
        Ok(Address {
            address,
            weight: None,
        })
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            address: Option<HostPort>,
            weight: Option<u64>,
        }
        let Fields { address, weight } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Address { address, weight })
    }
}

impl<'de> Shapes<'de> for Breaker {
    const EXPECTED: &'static str = "{failures, window, last, minimum, interval}, or off";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        if is_off(text) {
            return Ok(Breaker::Off);
        }
        Err(E::unknown_variant(
            text,
            &["off", "{failures, window, last, minimum, interval}"],
        ))
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            failures: Option<Percent>,
            window: Option<Time>,
            last: Option<u64>,
            minimum: Option<u64>,
            interval: Option<Time>,
        }
        let Fields {
            failures,
            window,
            last,
            minimum,
            interval,
        } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Breaker::On {
            failures,
            window,
            last,
            minimum,
            interval,
        })
    }
}

impl<'de> Shapes<'de> for Health {
    const EXPECTED: &'static str = "{path: /health}, {tcp: true}, or tcp";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        match text {
            "tcp" => Ok(Health {
                tcp: Some(true),
                ..Health::default()
            }),
            other => Err(E::unknown_variant(other, &["tcp", "{path: /health}"])),
        }
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            tcp: Option<bool>,
            path: Option<String>,
            expect: Option<List<u64>>,
            interval: Option<Time>,
            timeout: Option<Time>,
            unhealthy_after: Option<u64>,
            healthy_after: Option<u64>,
        }
        let Fields {
            tcp,
            path,
            expect,
            interval,
            timeout,
            unhealthy_after,
            healthy_after,
        } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(Health {
            tcp,
            path,
            expect,
            interval,
            timeout,
            unhealthy_after,
            healthy_after,
        })
    }
}

impl<'de> Shapes<'de> for StickyBy {
    const EXPECTED: &'static str = "session, {header: name}, key or message";

    fn from_word<E: Error>(text: &str) -> Result<Self, E> {
        match text {
            "session" => Ok(StickyBy::Session),
            "key" => Ok(StickyBy::Key),
            "message" => Ok(StickyBy::Message),
            other => Err(E::unknown_variant(
                other,
                &["session", "{header: name}", "key", "message"],
            )),
        }
    }

    fn from_mapping<A: MapAccess<'de>>(mapping: A) -> Result<Self, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Fields {
            header: Option<String>,
        }
        let Fields { header } = Fields::deserialize(MapAccessDeserializer::new(mapping))?;
        Ok(StickyBy::Header(header))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Breaker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for Health {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}

impl<'de> Deserialize<'de> for StickyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shaped(deserializer)
    }
}
