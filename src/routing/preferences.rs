//! Who should answer a request, and who must not: OpenRouter's grammar, read from a request.
//!
//! A key of ours may prefer in the same words. Nothing that is said here widens what a route
//! allows: `order`, `sort` and the two `preferred_…` put targets in another order, all else leaves
//! some of them out.

mod asked;
pub mod dollars;
pub mod forward;
mod read;
mod suffix;
mod value;

#[cfg(test)]
mod tests;

use crate::config::money::Amount;
use crate::config::snapshot::Cap;
pub use crate::config::snapshot::Quantization;
pub use asked::read;
use dollars::Dollars;
pub use suffix::split_suffix;

/// What is preferred. The default prefers nothing and leaves nobody out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preferences {
    /// These first, in this order; all others after them, in the order they have without this.
    pub order: Vec<Slug>,
    /// Nobody else. Empty: anybody.
    pub only: Vec<Slug>,
    /// None of these, even where `only` has them.
    pub ignore: Vec<Slug>,
    /// `allow_fallbacks: false`. With an `order`: nobody beside those. Without: the target that is
    /// first in the plan, and no other.
    pub no_fallbacks: bool,
    /// Only targets that are known to do all that the request asks for. Otherwise those of which
    /// nothing is known may be asked as well.
    pub require_parameters: bool,
    /// `data_collection: deny`: only providers known to keep nothing for themselves.
    pub deny_collection: bool,
    /// Only providers known to retain nothing at all.
    pub zdr: bool,
    /// Only targets of these; one whose quantization is not known is `Unknown`. Empty: any.
    pub quantizations: Vec<Quantization>,
    /// In this order, whatever their tier and the route's `balance`. `order` goes before it.
    pub sort: Option<Sort>,
    /// Tokens a second. Targets that are slower, or not measured, come after those that are not;
    /// they are never left out.
    pub min_throughput: Percentiles,
    /// Seconds to the first token. Targets that are slower come later, as above.
    pub max_latency: Percentiles,
    /// Only targets that cost no more.
    pub max_price: MaxPrice,
    /// Models to ask for, one after another, when all targets of the one before have failed. They
    /// come after `model`, which may be among them; without one the first of them is asked.
    pub models: Vec<String>,
}

impl Preferences {
    /// Whether nothing at all is preferred.
    pub fn is_empty(&self) -> bool {
        *self == Preferences::default()
    }

    /// Why a provider is not to be asked, going by `only`, `ignore` and an `order` that is final.
    /// `names` are all it goes by: its own, and the catalogue's where that is another.
    pub fn excludes(&self, names: &[&str]) -> Option<Exclusion> {
        let has = |slugs: &[Slug]| slugs.iter().any(|slug| slug.is_any_of(names));
        if has(&self.ignore) {
            Some(Exclusion::Ignored)
        } else if !self.only.is_empty() && !has(&self.only) {
            Some(Exclusion::NotInOnly)
        } else if self.no_fallbacks && !self.order.is_empty() && !has(&self.order) {
            Some(Exclusion::NotInOrder)
        } else {
            None
        }
    }

    /// Where a provider stands in `order`. None: after all that do.
    pub fn place(&self, names: &[&str]) -> Option<usize> {
        self.order.iter().position(|slug| slug.is_any_of(names))
    }

    /// With what a model's suffix asks for. A `sort` that is written out says more, and holds.
    pub fn with_suffix(mut self, by: Option<By>) -> Preferences {
        self.sort = self.sort.or(by.map(|by| Sort {
            by,
            partition: Partition::Model,
        }));
        self
    }
}

/// Why a caller's preferences leave a provider out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    Ignored,
    NotInOnly,
    NotInOrder,
}

impl std::fmt::Display for Exclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Exclusion::Ignored => "`ignore` names it",
            Exclusion::NotInOnly => "`only` names others",
            Exclusion::NotInOrder => "`order` names others, and `allow_fallbacks` is false",
        })
    }
}

/// A provider's name as callers write it, in small letters: `deepinfra` stands for
/// `deepinfra/turbo` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(Box<str>);

impl Slug {
    pub fn new(name: &str) -> Slug {
        Slug(name.to_ascii_lowercase().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, name: &str) -> bool {
        name.as_bytes()
            .split_at_checked(self.0.len())
            .is_some_and(|(base, rest)| {
                base.eq_ignore_ascii_case(self.0.as_bytes()) && matches!(rest, [] | [b'/', ..])
            })
    }

    pub fn is_any_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.matches(name))
    }
}

/// What targets are put in order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub by: By,
    pub partition: Partition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The cheapest first.
    Price,
    /// The most tokens a second first.
    Throughput,
    /// The shortest time to the first token first.
    Latency,
}

/// How several models are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// Each model for itself, one after another.
    Model,
    /// All targets of all models together.
    None,
}

/// A bound for each part of what was measured; a plain number is one for `p50`. As for all speeds
/// here, `p90` is what nine of ten requests reach.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Percentiles {
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
}

impl Percentiles {
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Those that are set: of how many requests in a hundred, and the bound.
    pub fn iter(&self) -> impl Iterator<Item = (u8, f64)> {
        [
            (50, self.p50),
            (75, self.p75),
            (90, self.p90),
            (99, self.p99),
        ]
        .into_iter()
        .filter_map(|(of, bound)| Some((of, bound?)))
    }
}

/// The most that anything may cost. A price that is not known is over every bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaxPrice {
    /// A million tokens of the prompt.
    pub input: Option<Dollars>,
    /// A million tokens of the answer.
    pub output: Option<Dollars>,
    /// One request.
    pub request: Option<Dollars>,
    /// One image; matters to requests with images alone.
    pub image: Option<Dollars>,
    /// A million tokens of sound; matters to requests with sound alone.
    pub audio: Option<Dollars>,
}

impl MaxPrice {
    pub fn is_empty(&self) -> bool {
        *self == MaxPrice::default()
    }

    /// Of tokens and requests, which every target has a price for.
    pub fn cap(&self) -> Cap {
        let amount = |price: Option<Dollars>| Some(Amount::from_billionths(price?.nanos()));
        Cap {
            input: amount(self.input),
            output: amount(self.output),
            request: amount(self.request),
        }
    }

    /// The same the other way round.
    pub fn of_cap(cap: Cap) -> MaxPrice {
        let price = |amount: Option<Amount>| Some(Dollars::from_nanos(amount?.billionths()));
        MaxPrice {
            input: price(cap.input),
            output: price(cap.output),
            request: price(cap.request),
            ..MaxPrice::default()
        }
    }

    /// What keeps to both: the lower bound of each.
    pub fn and(self, other: MaxPrice) -> MaxPrice {
        let lower = |one: Option<Dollars>, two: Option<Dollars>| match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        MaxPrice {
            input: lower(self.input, other.input),
            output: lower(self.output, other.output),
            request: lower(self.request, other.request),
            image: lower(self.image, other.image),
            audio: lower(self.audio, other.audio),
        }
    }
}
