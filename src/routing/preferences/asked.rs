//! A request's preferences: found by the scan, read here, refused in words.

use super::value::{Wrong, is_null, list, string, under, wrong};
use super::{Preferences, read::provider};
use crate::body::asides::{Aside, Member};
use crate::body::scan::{LONGEST_MODEL, Scan};
use crate::error::{Failure, Reason};
use serde_json::value::RawValue;

/// Neither `provider` nor `models` is longer than this.
const LONGEST: usize = 16 * 1024;
const MOST_MODELS: usize = 16;

/// What the body of a request prefers; the default where it says nothing. A suffix of its `model`
/// is not looked at.
pub fn read(body: &[u8], scan: &Scan) -> Result<Preferences, Failure> {
    let asides = &scan.asides;
    if let Some(aside) = asides.twice {
        let name = aside.name();
        let message = format!("The request body has two `{name}` fields; send one.");
        return Err(Failure::new(Reason::CallerBadRequest, message).param(name));
    }
    let mut preferences = match value(body, Aside::Provider, asides.provider.as_ref())? {
        Some(value) => refuse(Aside::Provider, provider(value))?,
        None => Preferences::default(),
    };
    if let Some(value) = value(body, Aside::Models, asides.models.as_ref())? {
        preferences.models = refuse(Aside::Models, models(value))?;
    }
    Ok(preferences)
}

/// The value of a field that is there and not null.
fn value<'a>(
    body: &'a [u8],
    aside: Aside,
    member: Option<&Member>,
) -> Result<Option<&'a RawValue>, Failure> {
    let Some(text) = member.and_then(|member| body.get(member.value.clone())) else {
        return Ok(None);
    };
    let name = aside.name();
    if text.len() > LONGEST {
        let message = format!(
            "`{name}` is longer than {} KiB; shorten it.",
            LONGEST / 1024
        );
        return Err(Failure::new(Reason::CallerBadRequest, message).param(name));
    }
    let Ok(value) = serde_json::from_slice::<&RawValue>(text) else {
        let message = format!("`{name}` is not valid JSON; correct it.");
        return Err(Failure::new(Reason::CallerBadJson, message).param(name));
    };
    Ok((!is_null(value)).then_some(value))
}

fn refuse<T>(aside: Aside, read: Result<T, Wrong>) -> Result<T, Failure> {
    under(aside.name(), read).map_err(|Wrong { path, what }| {
        Failure::new(Reason::CallerBadRequest, format!("`{path}` {what}.")).param(aside.name())
    })
}

fn models(value: &RawValue) -> Result<Vec<String>, Wrong> {
    let all = list(value, MOST_MODELS, "strings: the ids of models", |value| {
        let model = string(value, "the id of a model, as /v1/models lists it")?;
        if model.is_empty() {
            return wrong("is empty; send the id of a model, as /v1/models lists it");
        }
        if model.len() > LONGEST_MODEL {
            return wrong(format!("is longer than {LONGEST_MODEL} bytes"));
        }
        Ok(model)
    })?;
    let mut models = Vec::with_capacity(all.len());
    for model in all {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    Ok(models)
}
