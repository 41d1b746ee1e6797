//! `budget` of a key.

use crate::config::money::Sum;
use crate::config::period::Period;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// `{ usd: 50, per: month }`: whatever is not `per` is a currency.
#[derive(Debug, Default)]
pub struct Budget {
    /// By currency, as it is written.
    pub amounts: Vec<(String, Sum)>,
    pub per: Option<Period>,
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Budget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a budget such as `{ usd: 50, per: month }`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Budget, A::Error> {
                let mut budget = Budget::default();
                while let Some(field) = mapping.next_key::<String>()? {
                    if field == "per" {
                        budget.per = mapping.next_value()?;
                    } else {
                        budget.amounts.push((field, mapping.next_value()?));
                    }
                }
                Ok(budget)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
