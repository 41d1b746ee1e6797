//! What is known of one provider.

use crate::catalog::model::KnownModel;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A provider that needs little more than a key.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Known {
    /// As it calls itself.
    pub title: String,
    /// Absent where each account has its own; then `url_form` shows what it looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_form: Option<String>,
    /// The environment variables its key is usually found in; the first that is set counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it works on what it is sent, the region of `base_url` first. Empty: unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// The same provider in other regions, by region.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, Elsewhere>,
    /// It sells what others serve.
    #[serde(skip_serializing_if = "is_false")]
    pub resells: bool,
    pub data: DataPolicy,
    pub auth: KnownAuth,
    /// Absent: the same as for any provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    pub prefill: Prefill,
    /// The base path under which it continues an assistant message, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_path: Option<String>,
    /// Absent: it takes `stream_options.include_usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inject_usage: Option<bool>,
    /// Absent: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningField>,
    /// What it sends while it has nothing to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_alive: Vec<KeepAlive>,
    /// The headers in which it tells what it will still take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limit_headers: Vec<String>,
    /// What its errors mean, where they mean something else than anyone's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorRule>,
    /// What here was neither read in its documentation nor in code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
    /// By canonical id.
    pub models: BTreeMap<String, KnownModel>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What differs in another region.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    pub base_url: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Null: not served there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Option<KnownModel>>,
}

/// How a provider is asked to continue an assistant message, the last of the request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefill {
    /// It cannot, or nobody knows.
    #[default]
    None,
    /// It does so by itself.
    Assistant,
    /// By `prefix: true` on the message.
    Prefix,
    /// By `partial: true` on the message.
    Partial,
    /// By `continue_final_message: true` beside the messages.
    ContinueFinalMessage,
}

/// How it takes its key.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KnownAuth {
    #[default]
    Bearer,
    /// In a header of this name.
    Header(String),
    /// It needs none; with a key it is asked as a bearer.
    None,
}

/// Where an answer's reasoning stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    ReasoningContent,
    Reasoning,
    /// Between `<think>` and `</think>` in the text itself.
    Think,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepAlive {
    /// In streams.
    Comments,
    /// Before the JSON of an answer that is no stream.
    BlankLines,
}

/// What becomes of what it is sent. Absent: unknown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<Collection>,
    /// Nothing is kept at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zdr: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// It may keep and learn from it.
    Allow,
    Deny,
}

/// All that is given must hold; what is empty holds always.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// In lower case; a `*` at the end stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Found in a sentence, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<String>,
    pub means: Means,
}

/// What an error means, whatever it is called.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Too much asked in too short a time.
    Rate,
    /// It has too much to do.
    Overload,
    /// The money or the allowance is used up.
    Quota,
    /// The key is wrong, or may not.
    Auth,
    /// More than the model can take in.
    Context,
    ContentFilter,
    /// The request is wrong in itself.
    BadRequest,
    #[default]
    Failure,
}

impl Known {
    /// What is known of it in a region; `None` where it is not known to be there.
    pub fn at(&self, region: &str) -> Option<Cow<'_, Known>> {
        if self.regions.first().is_some_and(|own| own == region) {
            return Some(Cow::Borrowed(self));
        }
        let there = self.elsewhere.get(region)?;
        let mut known = self.clone();
        known.base_url = Some(there.base_url.clone());
        known.regions = vec![region.to_owned()];
        known.env.clone_from(&there.env);
        for (id, model) in &there.models {
            match model {
                Some(model) => known.models.insert(id.clone(), model.clone()),
                None => known.models.remove(id),
            };
        }
        Some(Cow::Owned(known))
    }

    /// The regions that `at` knows, its own first.
    pub fn choice(&self) -> impl Iterator<Item = &str> {
        let own = self.regions.first().into_iter();
        own.chain(self.elsewhere.keys()).map(String::as_str)
    }

    /// Whether it is reached at this host, in any region and by any account.
    pub fn is_at(&self, host: &str) -> bool {
        let elsewhere = self.elsewhere.values().map(|there| &there.base_url);
        let urls = self.base_url.iter().chain(&self.url_form).chain(elsewhere);
        urls.filter_map(|url| host_of(url))
            .any(|form| fits(form, host))
    }
}

fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', ':']).next()
}

/// `RESOURCE.example.com`: what is in capitals is the account's own word, without a dot.
fn fits(form: &str, host: &str) -> bool {
    let mut labels = host.split('.');
    form.split('.').all(|form| {
        let Some(label) = labels.next() else {
            return false;
        };
        match form.find(|c: char| c.is_ascii_uppercase()) {
            None => form == label,
            Some(start) => {
                let (before, rest) = form.split_at(start);
                let after = rest.trim_start_matches(|c: char| c.is_ascii_uppercase());
                let own = label
                    .strip_prefix(before)
                    .and_then(|rest| rest.strip_suffix(after));
                own.is_some_and(|own| !own.is_empty())
            }
        }
    }) && labels.next().is_none()
}
