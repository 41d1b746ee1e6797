//! Money in whole numbers, so that a sum is what its parts are: no floating point ever holds any.

mod decimal;

use crate::config::decode::text;
use bytes::BufMut;
use decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(u64);

impl Micros {
    pub const ZERO: Micros = Micros(0);

    pub const fn new(micros: u64) -> Micros {
        Micros(micros)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// A decimal number of dollars, half a micro-dollar and more rounded up. None: no such number,
    /// or one below zero.
    pub fn of_dollars(text: &str) -> Option<Micros> {
        Decimal::parse(text)?.rounded(6).map(Micros)
    }

    pub fn plus(self, other: Micros) -> Micros {
        Micros(self.0.saturating_add(other.0))
    }

    /// The same as it is displayed, for those who do so for every request.
    pub fn write(self, to: &mut impl BufMut) {
        to.put_slice(itoa::Buffer::new().format(self.0 / 1_000_000).as_bytes());
        let mut rest = self.0 % 1_000_000;
        let mut point_and_digits = *b".000000";
        for digit in point_and_digits.iter_mut().skip(1).rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        to.put_slice(&point_and_digits);
    }

    /// Nothing, where the other is more.
    pub fn minus(self, other: Micros) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

/// In dollars: `0.000123`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// An amount of a currency, in millionths of it: more than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    const DIGITS: u32 = 6;
    const MOST: u64 = 1_000_000_000_000_000;

    pub fn parse(text: &str) -> Result<Sum, String> {
        let positive = text.strip_prefix('-').unwrap_or(text);
        let Some(decimal) = Decimal::parse(positive) else {
            return Err("is not an amount such as `50` or `12.50`".to_owned());
        };
        match decimal.exact(Sum::DIGITS) {
            Some(0) if !decimal.is_finer(Sum::DIGITS) => Err(
                "would let nothing through; leave the budget out for no bound, \
                     or take the key out"
                    .to_owned(),
            ),
            Some(millionths @ ..=Sum::MOST) if positive == text => Ok(Sum(millionths)),
            None if positive == text && decimal.is_finer(Sum::DIGITS) => {
                Err("has more than six digits after the point".to_owned())
            }
            _ => Err("is not an amount between 0.000001 and 1000000000".to_owned()),
        }
    }

    /// What it is worth at a rate to the dollar. Rounding never makes nothing of it.
    pub fn in_dollars(self, rate: Rate) -> Micros {
        Micros(rate.convert(u128::from(self.0), 1).max(1))
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Sum::parse)
    }
}

/// A price: of a million tokens, or of a request, in billionths of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u64);

impl Amount {
    pub const ZERO: Amount = Amount(0);
    const DIGITS: u32 = 9;
    const MOST: u64 = 1_000_000_000_000_000;
    const RANGE: &str = "is not a price between 0 and 1000000";

    pub fn parse(text: &str) -> Result<Amount, String> {
        let positive = text.strip_prefix('-').unwrap_or(text);
        let Some(decimal) = Decimal::parse(positive) else {
            return Err("is not a number such as `0.27`".to_owned());
        };
        match decimal.exact(Amount::DIGITS) {
            _ if positive != text => Err(Amount::RANGE.to_owned()),
            Some(billionths @ ..=Amount::MOST) => Ok(Amount(billionths)),
            None if decimal.is_finer(Amount::DIGITS) => {
                Err("has more than nine digits after the point".to_owned())
            }
            _ => Err(Amount::RANGE.to_owned()),
        }
    }

    pub const fn from_billionths(billionths: u64) -> Amount {
        Amount(billionths)
    }

    pub const fn billionths(self) -> u64 {
        self.0
    }
}

/// As one would write it: `0.27`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let rest = format!("{rest:09}");
        match rest.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            rest => write!(f, "{whole}.{rest}"),
        }
    }
}

/// For readers who will not reckon with it.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1e9)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Amount::parse)
    }
}

/// What one of a currency is in another: a fraction, so that `1 / 7.3` is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    times: u64,
    over: u64,
}

impl Rate {
    pub const ONE: Rate = Rate { times: 1, over: 1 };
    const DIGITS: u32 = 9;
    const UNIT: u64 = 1_000_000_000;
    const LEAST: u64 = 1000;
    const MOST: u64 = 1_000_000_000_000_000;

    pub fn parse(text: &str) -> Result<Rate, String> {
        let billionths = Decimal::parse(text)
            .ok_or("is not a rate such as `7.3`")?
            .exact(Rate::DIGITS);
        match billionths {
            Some(billionths @ Rate::LEAST..=Rate::MOST) => Ok(Rate::reduced(billionths)),
            _ => Err("is not a rate between 0.000001 and 1000000".to_owned()),
        }
    }

    /// The way back.
    pub const fn inverse(self) -> Rate {
        Rate {
            times: self.over,
            over: self.times,
        }
    }

    fn reduced(billionths: u64) -> Rate {
        let (mut one, mut other) = (billionths, Rate::UNIT);
        while other != 0 {
            (one, other) = (other, one % other);
        }
        Rate {
            times: billionths / one.max(1),
            over: Rate::UNIT / one.max(1),
        }
    }

    /// So many of the one are so many parts of the other, each of which is `part` of the one's.
    /// Half a part and more is a whole one.
    pub fn convert(self, many: u128, part: u64) -> u64 {
        let over = u128::from(self.over)
            .saturating_mul(u128::from(part))
            .max(1);
        let product = many.saturating_mul(u128::from(self.times));
        let whole = (product / over).saturating_add(u128::from(product % over >= over.div_ceil(2)));
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// To compare by, finer than any coin.
    pub fn weigh(self, many: u128) -> u128 {
        many.saturating_mul(u128::from(self.times)) / u128::from(self.over).max(1)
    }

    /// A price in the other currency.
    pub fn price(self, amount: Amount) -> Amount {
        Amount(self.convert(u128::from(amount.0), 1))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, Rate::parse)
    }
}

#[cfg(test)]
mod tests;
