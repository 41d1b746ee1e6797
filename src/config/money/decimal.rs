//! A decimal number as it is written, digit by digit.

/// `digits` × 10^-`scale`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: u128,
    scale: i64,
    /// Digits other than zero follow, too many to keep.
    more: bool,
}

/// More of them make no difference to any money.
const KEPT: u128 = 1_000_000_000_000_000_000_000_000_000_000;
const LARGEST_EXPONENT: i64 = 1000;

impl Decimal {
    /// `12`, `0.27`, `.5`, `1.2e-05`: a number as YAML and JSON have it, but not below zero.
    pub fn parse(text: &str) -> Option<Decimal> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut decimal = Decimal {
            digits: 0,
            scale: 0,
            more: false,
        };
        for (part, after_point) in [(whole, 0), (fraction, 1)] {
            for letter in part.chars() {
                let digit = letter.to_digit(10)?;
                if decimal.digits < KEPT {
                    decimal.digits = decimal.digits * 10 + u128::from(digit);
                    decimal.scale += after_point;
                } else {
                    decimal.more |= digit != 0;
                    decimal.scale -= 1 - after_point;
                }
            }
        }
        let exponent = exponent.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT);
        decimal.scale = decimal.scale.saturating_sub(exponent);
        Some(decimal)
    }

    /// In parts of 10^-`places`, half a part and more rounded up. None: too large.
    pub fn rounded(&self, places: u32) -> Option<u64> {
        let (parts, rest) = self.split(places)?;
        u64::try_from(parts.checked_add(u128::from(rest.is_half))?).ok()
    }

    /// The same, with nothing rounded. None: too large, or too fine.
    pub fn exact(&self, places: u32) -> Option<u64> {
        let (parts, _) = self.split(places)?;
        u64::try_from(parts).ok().filter(|_| !self.is_finer(places))
    }

    /// Something is left over that is smaller than such a part.
    pub fn is_finer(&self, places: u32) -> bool {
        self.split(places).is_some_and(|(_, rest)| rest.is_any)
    }

    fn split(&self, places: u32) -> Option<(u128, Rest)> {
        let shift = i64::from(places) - self.scale;
        let power = u32::try_from(shift.unsigned_abs()).ok()?;
        let power = 10u128.checked_pow(power);
        if self.digits == 0 {
            return Some((0, Rest::default()));
        }
        if shift >= 0 {
            let rest = Rest {
                is_any: self.more,
                is_half: false,
            };
            return Some((self.digits.checked_mul(power?)?, rest));
        }
        // Smaller than the smallest that could matter: nothing, and a rest.
        let (parts, rest, power) = match power {
            Some(power) => (self.digits / power, self.digits % power, power),
            None => (0, 1, u128::MAX),
        };
        Some((
            parts,
            Rest {
                is_any: self.more || rest != 0,
                is_half: rest >= power.div_ceil(2),
            },
        ))
    }
}

#[derive(Clone, Copy, Default)]
struct Rest {
    is_any: bool,
    is_half: bool,
}
