//! A price as the catalogue has it.

use crate::config::money::Amount;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Of a million tokens. Also written as `[input, output]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KnownPrice {
    pub input: Amount,
    pub output: Amount,
    /// Of input read from the provider's cache. Absent: as `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<Amount>,
    /// Of input written into it. Absent: as `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Amount>,
    /// Absent: as `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Amount>,
    /// For each request, besides its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Amount>,
    /// Absent: as for the whole catalogue, and so is the date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

impl<'de> Deserialize<'de> for KnownPrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            input: Amount,
            output: Amount,
            cached: Option<Amount>,
            cache_write: Option<Amount>,
            reasoning: Option<Amount>,
            request: Option<Amount>,
            currency: Option<String>,
            date: Option<String>,
        }

        struct PairOrFields;

        impl<'de> Visitor<'de> for PairOrFields {
            type Value = KnownPrice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[input, output] or a mapping")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, pair: A) -> Result<KnownPrice, A::Error> {
                let (input, output) = Deserialize::deserialize(SeqAccessDeserializer::new(pair))?;
                Ok(KnownPrice {
                    input,
                    output,
                    ..KnownPrice::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<KnownPrice, A::Error> {
                let fields = Fields::deserialize(MapAccessDeserializer::new(fields))?;
                Ok(KnownPrice {
                    input: fields.input,
                    output: fields.output,
                    cached: fields.cached,
                    cache_write: fields.cache_write,
                    reasoning: fields.reasoning,
                    request: fields.request,
                    currency: fields.currency,
                    date: fields.date,
                })
            }
        }

        deserializer.deserialize_any(PairOrFields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_a_pair_or_says_more() {
        let amount = |text| Amount::parse(text).unwrap();
        let pair: KnownPrice = serde_yaml::from_str("[0.14, 2]").unwrap();
        assert_eq!((pair.input, pair.output), (amount("0.14"), amount("2")));
        assert_eq!(pair.cached, None);
        let text = "{ input: 4, output: 16, cached: 0.4, cache_write: 5, reasoning: 20, \
                    request: 1e-3, currency: CNY, date: 2026-07-02 }";
        let more: KnownPrice = serde_yaml::from_str(text).unwrap();
        let expected = KnownPrice {
            input: amount("4"),
            output: amount("16"),
            cached: Some(amount("0.4")),
            cache_write: Some(amount("5")),
            reasoning: Some(amount("20")),
            request: Some(amount("0.001")),
            currency: Some("CNY".to_owned()),
            date: Some("2026-07-02".to_owned()),
        };
        assert_eq!(more, expected);
        for wrong in [
            "[1]",
            "[1, 2, 3]",
            "7",
            "[-1, 2]",
            "{ input: 1 }",
            "{ in: 1 }",
        ] {
            assert!(
                serde_yaml::from_str::<KnownPrice>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
