//! The `provider` object, field by field.

use super::dollars::Dollars;
use super::value::{Wrong, flag, list, members, one_of, string, under, unknown, wrong};
use super::{By, MaxPrice, Partition, Percentiles, Preferences, Quantization, Slug, Sort};
use serde_json::value::RawValue;

/// In one list: every target is held against each of its names.
const MOST_NAMES: usize = 64;
const LONGEST_NAME: usize = 128;

const FIELDS: [&str; 12] = [
    "order",
    "only",
    "ignore",
    "allow_fallbacks",
    "require_parameters",
    "data_collection",
    "zdr",
    "quantizations",
    "sort",
    "preferred_min_throughput",
    "preferred_max_latency",
    "max_price",
];
const PRICES: [&str; 5] = ["prompt", "completion", "request", "image", "audio"];
const PERCENTILES: [&str; 4] = ["p50", "p75", "p90", "p99"];
const BY: [(&str, By); 3] = [
    ("price", By::Price),
    ("throughput", By::Throughput),
    ("latency", By::Latency),
];

pub(super) fn provider(value: &RawValue) -> Result<Preferences, Wrong> {
    let mut wanted = Preferences::default();
    for (name, value) in members(value, r#"an object, as {"only": ["deepseek"]}"#)? {
        let read = match name.as_str() {
            "order" => slugs(value).map(|slugs| wanted.order = slugs),
            "only" => slugs(value).map(|slugs| wanted.only = slugs),
            "ignore" => slugs(value).map(|slugs| wanted.ignore = slugs),
            "allow_fallbacks" => flag(value).map(|allow| wanted.no_fallbacks = !allow),
            "require_parameters" => flag(value).map(|on| wanted.require_parameters = on),
            "data_collection" => one_of(value, &[("allow", false), ("deny", true)])
                .map(|deny| wanted.deny_collection = deny),
            "zdr" => flag(value).map(|on| wanted.zdr = on),
            "quantizations" => quantizations(value).map(|all| wanted.quantizations = all),
            "sort" => sort(value).map(|sort| wanted.sort = Some(sort)),
            "preferred_min_throughput" => {
                percentiles(value).map(|bounds| wanted.min_throughput = bounds)
            }
            "preferred_max_latency" => percentiles(value).map(|bounds| wanted.max_latency = bounds),
            "max_price" => max_price(value).map(|price| wanted.max_price = price),
            "enforce_distillable_text" => distillable(value),
            _ => return unknown(&name, &FIELDS),
        };
        under(&name, read)?;
    }
    Ok(wanted)
}

fn slugs(value: &RawValue) -> Result<Vec<Slug>, Wrong> {
    list(value, MOST_NAMES, "strings: names of providers", |value| {
        let name = string(value, "the name of a provider")?;
        if name.is_empty() || name.len() > LONGEST_NAME {
            return wrong(format!(
                "must be the name of a provider, of 1 to {LONGEST_NAME} bytes"
            ));
        }
        Ok(Slug::new(&name))
    })
}

fn quantizations(value: &RawValue) -> Result<Vec<Quantization>, Wrong> {
    let words = Quantization::ALL.map(|quantization| (quantization.name(), quantization));
    list(value, MOST_NAMES, "strings, as \"fp8\"", |value| {
        one_of(value, &words)
    })
}

fn sort(value: &RawValue) -> Result<Sort, Wrong> {
    if !value.get().starts_with('{') {
        return Ok(Sort {
            by: one_of(value, &BY)?,
            partition: Partition::Model,
        });
    }
    let mut by = None;
    let mut partition = Partition::Model;
    for (name, value) in members(value, "an object")? {
        let read = match name.as_str() {
            "by" => one_of(value, &BY).map(|one| by = Some(one)),
            "partition" => {
                let words = [("model", Partition::Model), ("none", Partition::None)];
                one_of(value, &words).map(|one| partition = one)
            }
            _ => return unknown(&name, &["by", "partition"]),
        };
        under(&name, read)?;
    }
    match by {
        Some(by) => Ok(Sort { by, partition }),
        None => wrong("needs `by`: price, throughput or latency"),
    }
}

/// A number, or one for each part of what was measured.
fn percentiles(value: &RawValue) -> Result<Percentiles, Wrong> {
    let mut bounds = Percentiles::default();
    if !value.get().starts_with('{') {
        bounds.p50 = Some(bound(value)?);
        return Ok(bounds);
    }
    for (name, value) in members(value, "an object")? {
        let slot = match name.as_str() {
            "p50" => &mut bounds.p50,
            "p75" => &mut bounds.p75,
            "p90" => &mut bounds.p90,
            "p99" => &mut bounds.p99,
            _ => return unknown(&name, &PERCENTILES),
        };
        *slot = Some(under(&name, bound(value))?);
    }
    Ok(bounds)
}

fn bound(value: &RawValue) -> Result<f64, Wrong> {
    match serde_json::from_str::<f64>(value.get()) {
        Ok(bound) if bound.is_finite() && bound >= 0.0 => Ok(bound),
        _ => wrong("must be a number, not negative, or an object of such: p50, p75, p90, p99"),
    }
}

fn max_price(value: &RawValue) -> Result<MaxPrice, Wrong> {
    let mut most = MaxPrice::default();
    for (name, value) in members(value, r#"an object, as {"prompt": 0.6, "completion": 2.4}"#)? {
        let (slot, ours) = match name.as_str() {
            "prompt" | "input" => (&mut most.input, "input"),
            "completion" | "output" => (&mut most.output, "output"),
            "request" => (&mut most.request, ""),
            "image" => (&mut most.image, ""),
            "audio" => (&mut most.audio, ""),
            _ => return unknown(&name, &PRICES),
        };
        if slot.is_some() {
            let theirs = if ours == "input" {
                "prompt"
            } else {
                "completion"
            };
            return wrong(format!(
                "has both `{theirs}` and `{ours}`, which mean the same; send one"
            ));
        }
        *slot = Some(under(&name, dollars(value))?);
    }
    Ok(most)
}

/// Exactly as it is written: no detour over binary fractions.
fn dollars(value: &RawValue) -> Result<Dollars, Wrong> {
    let said = if value.get().starts_with('"') {
        string(value, "a number of dollars")?
    } else {
        value.get().to_owned()
    };
    match Dollars::parse(said.trim()) {
        Some(dollars) => Ok(dollars),
        None => wrong(r#"must be a number of dollars, not negative, as 0.6 or "0.6""#),
    }
}

/// Known to OpenRouter, but nothing here could hold it.
fn distillable(value: &RawValue) -> Result<(), Wrong> {
    if flag(value)? {
        return wrong(
            "cannot be true: this gateway does not know whose text may be distilled; leave it out, \
             and name such models or providers yourself",
        );
    }
    Ok(())
}
