//! Who of the candidates may serve a request at all, and why the others may not.

use crate::config::metric::Window;
use crate::config::money::Amount;
use crate::config::snapshot::{
    Bound, Candidate, Cap, Capabilities, Capability, DataRule, Quantization, Rules,
};
use crate::error::Reason;
use crate::routing::figures::Figures;
use crate::routing::preferences::{self, Preferences};
use crate::routing::rank;
use std::fmt;

/// Who set a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Route,
    Key,
    Request,
}

impl Whose {
    pub fn name(self) -> &'static str {
        match self {
            Whose::Route => "route",
            Whose::Key => "key",
            Whose::Request => "request",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Input,
    Output,
    Request,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Input => "input",
            Part::Output => "output",
            Part::Request => "request",
        }
    }
}

/// Why a target is not to be asked, however well it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exclusion {
    /// A price above a cap. None: unknown, which counts as above.
    Price {
        part: Part,
        price: Option<Amount>,
        cap: Amount,
        whose: Whose,
    },
    Region(Whose),
    Collection(Whose),
    Retention(Whose),
    Quantization(Whose),
    /// It cannot do what the request needs, or, where that was asked for, is not known to.
    Capability(Capability),
    /// The prompt does not fit, as far as that can be told beforehand.
    Context {
        has: u64,
        needs: u64,
    },
    Ignored(Whose),
    NotInOnly(Whose),
    NotInOrder,
    /// Another is asked first, and the request wants no fallback.
    NoFallback,
    /// Outside of what `require` asks for. None: not known.
    Measured {
        bound: Bound,
        value: Option<f64>,
    },
}

impl Exclusion {
    /// A word of a closed list: a label in metrics, logs and answers.
    pub fn label(self) -> &'static str {
        match self {
            Exclusion::Price { price: None, .. } => "price_unknown",
            Exclusion::Price { .. } => "price_cap",
            Exclusion::Region(_) => "region",
            Exclusion::Collection(_) => "data_collection",
            Exclusion::Retention(_) => "data_retention",
            Exclusion::Quantization(_) => "quantization",
            Exclusion::Capability(_) => "capability",
            Exclusion::Context { .. } => "context",
            Exclusion::Ignored(_) => "ignored",
            Exclusion::NotInOnly(_) => "not_in_only",
            Exclusion::NotInOrder => "not_in_order",
            Exclusion::NoFallback => "no_fallback",
            Exclusion::Measured { .. } => "measured",
        }
    }

    /// The reason of a call for which this leaves nobody.
    pub fn reason(self) -> Reason {
        match self {
            Exclusion::Price { whose, .. }
            | Exclusion::Region(whose)
            | Exclusion::Collection(whose)
            | Exclusion::Retention(whose)
            | Exclusion::Quantization(whose)
            | Exclusion::Ignored(whose)
            | Exclusion::NotInOnly(whose)
                if whose == Whose::Request =>
            {
                Reason::PolicyPreferences
            }
            Exclusion::Price { .. } => Reason::PolicyPriceCap,
            Exclusion::Region(_) => Reason::PolicyRegion,
            Exclusion::Collection(_) | Exclusion::Retention(_) => Reason::PolicyData,
            Exclusion::Quantization(_) | Exclusion::Measured { .. } => Reason::PolicyQuality,
            Exclusion::Capability(_) => Reason::PolicyCapability,
            Exclusion::Context { .. } => Reason::ProviderContextLength,
            Exclusion::Ignored(_) | Exclusion::NotInOnly(_) => Reason::PolicyProvider,
            Exclusion::NotInOrder | Exclusion::NoFallback => Reason::PolicyPreferences,
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exclusion::Price {
                part,
                price: Some(price),
                cap,
                whose,
            } => write!(
                f,
                "its {} price ${price} is above the {}'s cap of ${cap}",
                part.name(),
                whose.name()
            ),
            Exclusion::Price {
                part, cap, whose, ..
            } => write!(
                f,
                "its {} price is unknown, and the {}'s cap is ${cap}",
                part.name(),
                whose.name()
            ),
            Exclusion::Region(whose) => {
                write!(f, "it is in no region that the {} allows", whose.name())
            }
            Exclusion::Collection(whose) => write!(
                f,
                "it is not known to leave data uncollected, which the {} asks for",
                whose.name()
            ),
            Exclusion::Retention(whose) => write!(
                f,
                "it is not known to retain nothing, which the {} asks for",
                whose.name()
            ),
            Exclusion::Quantization(whose) => write!(
                f,
                "its quantization is none that the {} allows",
                whose.name()
            ),
            Exclusion::Capability(one) => {
                write!(
                    f,
                    "the request needs {}, which it is not known for",
                    one.name()
                )
            }
            Exclusion::Context { has, needs } => write!(
                f,
                "the prompt of about {needs} tokens does not fit its context of {has}"
            ),
            Exclusion::Ignored(whose) => write!(f, "the {}'s `ignore` names it", whose.name()),
            Exclusion::NotInOnly(whose) => {
                write!(f, "the {}'s `only` names others", whose.name())
            }
            Exclusion::NotInOrder => {
                f.write_str("`order` names others, and `allow_fallbacks` is false")
            }
            Exclusion::NoFallback => {
                f.write_str("another is first, and `allow_fallbacks` is false")
            }
            Exclusion::Measured { bound, value } => {
                let name = bound.metric.name();
                let stat = if bound.metric.needs_stat() {
                    format!(" {}", bound.stat.name())
                } else {
                    String::new()
                };
                match value {
                    Some(value) => write!(f, "its {name}{stat} is {value:.4}, not ")?,
                    None => write!(f, "its {name}{stat} is unknown, not ")?,
                }
                match (bound.min, bound.max) {
                    (Some(min), Some(max)) => write!(f, "{min} to {max}"),
                    (Some(min), None) => write!(f, "at least {min}"),
                    (None, Some(max)) => write!(f, "at most {max}"),
                    (None, None) => f.write_str("anything"),
                }
            }
        }
    }
}

/// What a request itself asks of whoever serves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    pub capabilities: Capabilities,
    /// The prompt, in tokens, as far as it can be told; 0: not to be judged by.
    pub prompt: u64,
}

/// Everything a candidate is held against, besides its health.
#[derive(Clone, Copy)]
pub struct Wants<'a> {
    pub key: Option<&'a Rules>,
    pub preferences: &'a Preferences,
    pub needs: Needs,
}

/// Whether anything at all is asked of candidates that they might not be. Most requests ask for
/// nothing, and are spared the questions.
pub fn asks(route: &Rules, require: &[Bound], wants: &Wants<'_>) -> bool {
    !route.is_empty()
        || !require.is_empty()
        || wants.key.is_some_and(|key| !key.is_empty())
        || !wants.preferences.is_empty()
        || wants.needs != Needs::default()
}

/// Why this candidate may not serve the request. None: it may.
pub fn exclusion<'f>(
    candidate: &Candidate,
    route: &Rules,
    require: &[Bound],
    wants: &Wants<'_>,
    figures: impl Fn() -> Option<&'f Figures>,
) -> Option<Exclusion> {
    by_rules(candidate, route, Whose::Route)
        .or_else(|| by_rules(candidate, wants.key?, Whose::Key))
        .or_else(|| by_preferences(candidate, wants.preferences))
        .or_else(|| by_needs(candidate, wants))
        .or_else(|| by_measure(candidate, require, figures))
}

fn by_rules(candidate: &Candidate, rules: &Rules, whose: Whose) -> Option<Exclusion> {
    let provider = &candidate.target.provider;
    let facts = &candidate.facts;
    if rules.ignore.contains(&provider.name) {
        return Some(Exclusion::Ignored(whose));
    }
    if !rules.only.is_empty() && !rules.only.contains(&provider.name) {
        return Some(Exclusion::NotInOnly(whose));
    }
    let is_elsewhere = || {
        let regions = &provider.regions;
        regions.is_empty() || !regions.iter().all(|region| rules.regions.contains(region))
    };
    if !rules.regions.is_empty() && is_elsewhere() {
        return Some(Exclusion::Region(whose));
    }
    let quantization = facts.quantization.unwrap_or(Quantization::Unknown);
    if !rules.quantizations.is_empty() && !rules.quantizations.contains(&quantization) {
        return Some(Exclusion::Quantization(whose));
    }
    by_data(candidate, rules.data, whose).or_else(|| over(candidate, rules.max_price, whose))
}

fn by_data(candidate: &Candidate, rule: DataRule, whose: Whose) -> Option<Exclusion> {
    if rule.deny_collection && candidate.facts.collects != Some(false) {
        return Some(Exclusion::Collection(whose));
    }
    (rule.zdr && candidate.facts.zdr != Some(true)).then_some(Exclusion::Retention(whose))
}

/// An unknown price is above any cap.
fn over(candidate: &Candidate, cap: Cap, whose: Whose) -> Option<Exclusion> {
    if cap.is_empty() {
        return None;
    }
    let dollars = candidate.facts.dollars;
    [
        (Part::Input, cap.input, dollars.map(|one| one.input)),
        (Part::Output, cap.output, dollars.map(|one| one.output)),
        (Part::Request, cap.request, dollars.map(|one| one.request)),
    ]
    .into_iter()
    .find_map(|(part, cap, price)| {
        let cap = cap?;
        price
            .is_none_or(|price| price > cap)
            .then_some(Exclusion::Price {
                part,
                price,
                cap,
                whose,
            })
    })
}

fn by_preferences(candidate: &Candidate, preferences: &Preferences) -> Option<Exclusion> {
    let provider = &candidate.target.provider;
    let names = [&*provider.name, &*provider.vendor];
    let named = preferences
        .excludes(&names)
        .map(|exclusion| match exclusion {
            preferences::Exclusion::Ignored => Exclusion::Ignored(Whose::Request),
            preferences::Exclusion::NotInOnly => Exclusion::NotInOnly(Whose::Request),
            preferences::Exclusion::NotInOrder => Exclusion::NotInOrder,
        });
    let quantization = || {
        let allowed = &preferences.quantizations;
        let own = candidate
            .facts
            .quantization
            .unwrap_or(Quantization::Unknown);
        (!allowed.is_empty() && !allowed.contains(&own))
            .then_some(Exclusion::Quantization(Whose::Request))
    };
    let rule = DataRule {
        deny_collection: preferences.deny_collection,
        zdr: preferences.zdr,
    };
    named
        .or_else(quantization)
        .or_else(|| by_data(candidate, rule, Whose::Request))
        .or_else(|| over(candidate, preferences.max_price.cap(), Whose::Request))
}

fn by_needs(candidate: &Candidate, wants: &Wants<'_>) -> Option<Exclusion> {
    let needs = wants.needs.capabilities;
    let known = match candidate.facts.capabilities {
        Some(known) => Some(known),
        // What nobody knows may well be so, unless the caller wants to be sure.
        None if wants.preferences.require_parameters => Some(Capabilities::default()),
        None => None,
    };
    let lacking = known.and_then(|known| needs.beyond(known));
    if let Some(lacking) = lacking {
        return Some(Exclusion::Capability(lacking));
    }
    let has = candidate.context?;
    let needs = wants.needs.prompt;
    (needs > has).then_some(Exclusion::Context { has, needs })
}

/// What is not known lies outside of any bounds.
pub fn by_measure<'f>(
    candidate: &Candidate,
    require: &[Bound],
    figures: impl Fn() -> Option<&'f Figures>,
) -> Option<Exclusion> {
    let figures = if require.is_empty() { None } else { figures() };
    require.iter().find_map(|bound| {
        let window = Window::default();
        let value = rank::value(candidate, figures, bound.metric, bound.stat, window);
        let holds = value.is_some_and(|value| {
            bound.min.is_none_or(|min| value >= min) && bound.max.is_none_or(|max| value <= max)
        });
        (!holds).then_some(Exclusion::Measured {
            bound: *bound,
            value,
        })
    })
}
