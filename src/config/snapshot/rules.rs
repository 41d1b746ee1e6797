//! Who may serve a request, and who should.

pub use crate::catalog::Capability;
use crate::config::metric::{Metric, Stat};
use crate::config::money::Amount;
use std::sync::Arc;

/// Hard rules of a route or a key: whoever breaks one is not asked, whatever becomes of the call.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub max_price: Cap,
    /// Empty: anywhere.
    pub regions: Vec<Arc<str>>,
    pub data: DataRule,
    /// Empty: any.
    pub quantizations: Vec<Quantization>,
    /// Names of providers. Empty: all.
    pub only: Vec<Arc<str>>,
    pub ignore: Vec<Arc<str>>,
}

impl Rules {
    /// Whether they leave anybody out at all.
    pub fn is_empty(&self) -> bool {
        self.max_price.is_empty()
            && self.regions.is_empty()
            && self.data == DataRule::default()
            && self.quantizations.is_empty()
            && self.only.is_empty()
            && self.ignore.is_empty()
    }
}

/// In dollars: per million tokens, and per request. None: any price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cap {
    pub input: Option<Amount>,
    pub output: Option<Amount>,
    pub request: Option<Amount>,
}

impl Cap {
    pub fn is_empty(&self) -> bool {
        *self == Cap::default()
    }

    /// What satisfies both.
    pub fn and(self, other: Cap) -> Cap {
        let lower = |one: Option<Amount>, other: Option<Amount>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Cap {
            input: lower(self.input, other.input),
            output: lower(self.output, other.output),
            request: lower(self.request, other.request),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataRule {
    /// Only those known not to collect what they are sent.
    pub deny_collection: bool,
    /// Only those known to keep nothing.
    pub zdr: bool,
}

/// `require`: what must have been measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    pub metric: Metric,
    /// Where the metric needs one.
    pub stat: Stat,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// `order`: by what those of a tier are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    pub metric: Metric,
    pub stat: Stat,
}

/// What is known of one provider's serving of one model.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// It may collect what it is sent. None: unknown.
    pub collects: Option<bool>,
    /// It keeps nothing. None: unknown.
    pub zdr: Option<bool>,
    /// None: unknown.
    pub capabilities: Option<Capabilities>,
    pub quantization: Option<Quantization>,
    pub scores: Scores,
    /// In dollars. None: unknown.
    pub dollars: Option<Dollars>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dollars {
    pub input: Amount,
    pub output: Amount,
    pub request: Amount,
}

/// How a model's weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    Int4,
    Int8,
    Fp4,
    Mxfp4,
    Nvfp4,
    Fp6,
    Fp8,
    Mxfp8,
    Fp16,
    Bf16,
    Fp32,
    Unknown,
}

impl Quantization {
    pub const ALL: [Quantization; 12] = [
        Quantization::Int4,
        Quantization::Int8,
        Quantization::Fp4,
        Quantization::Mxfp4,
        Quantization::Nvfp4,
        Quantization::Fp6,
        Quantization::Fp8,
        Quantization::Mxfp8,
        Quantization::Fp16,
        Quantization::Bf16,
        Quantization::Fp32,
        Quantization::Unknown,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Quantization::Int4 => "int4",
            Quantization::Int8 => "int8",
            Quantization::Fp4 => "fp4",
            Quantization::Mxfp4 => "mxfp4",
            Quantization::Nvfp4 => "nvfp4",
            Quantization::Fp6 => "fp6",
            Quantization::Fp8 => "fp8",
            Quantization::Mxfp8 => "mxfp8",
            Quantization::Fp16 => "fp16",
            Quantization::Bf16 => "bf16",
            Quantization::Fp32 => "fp32",
            Quantization::Unknown => "unknown",
        }
    }

    pub fn named(word: &str) -> Option<Quantization> {
        Quantization::ALL.into_iter().find(|one| one.name() == word)
    }
}

/// What a model can do besides text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    pub fn add(&mut self, one: Capability) {
        self.0 |= bit(one);
    }

    pub fn has(self, one: Capability) -> bool {
        self.0 & bit(one) != 0
    }

    /// The first that `self` has and `other` lacks.
    pub fn beyond(self, other: Capabilities) -> Option<Capability> {
        Capability::ALL
            .into_iter()
            .find(|one| self.has(*one) && !other.has(*one))
    }
}

fn bit(one: Capability) -> u8 {
    match one {
        Capability::Tools => 1,
        Capability::Vision => 2,
        Capability::Reasoning => 4,
        Capability::ResponseFormat => 8,
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        let mut capabilities = Capabilities::default();
        all.into_iter().for_each(|one| capabilities.add(one));
        capabilities
    }
}

/// Results of benchmarks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores(pub Vec<(Metric, f64)>);

impl Scores {
    pub fn get(&self, metric: Metric) -> Option<f64> {
        let found = self.0.iter().find(|(one, _)| *one == metric);
        found.map(|(_, score)| *score)
    }
}
