//! What is known of the providers by name: data, embedded, read once. An operator's own file
//! overrides any of it.

mod price;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use price::KnownPrice;

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("providers.yaml")).unwrap_or_default());

/// The catalogue as embedded.
pub fn catalog() -> &'static Catalog {
    &CATALOG
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The day the prices here were read, unless one says another,
    pub priced: String,
    /// and their currency, likewise.
    pub currency: String,
    pub providers: BTreeMap<String, Known>,
}

impl Catalog {
    /// Who a provider is: by its name, else by the host it is reached at, unless that is this
    /// machine, which says nothing about what listens there.
    pub fn vendor(&self, name: &str, host: &str) -> Option<(&str, &Known)> {
        let by_host = || {
            self.providers
                .iter()
                .find(|(_, known)| known.host() == Some(host) && host != THIS_MACHINE)
        };
        let found = self.providers.get_key_value(name).or_else(by_host);
        found.map(|(name, known)| (name.as_str(), known))
    }
}

const THIS_MACHINE: &str = "127.0.0.1";

/// A provider that needs little more than a key.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Known {
    /// Absent where each account has its own; then `url_form` shows what it looks like.
    pub base_url: Option<String>,
    pub url_form: Option<String>,
    pub auth: KnownAuth,
    /// Absent: the same as for any provider.
    pub endpoints: Option<Vec<String>>,
    pub prefill: Prefill,
    /// The base path under which it continues an assistant message, where it is another.
    pub prefill_path: Option<String>,
    /// Absent: it takes `stream_options.include_usage`.
    pub inject_usage: Option<bool>,
    /// By canonical id.
    pub models: BTreeMap<String, KnownModel>,
}

impl Known {
    fn host(&self) -> Option<&str> {
        let (_, rest) = self.base_url.as_deref()?.split_once("://")?;
        rest.split(['/', ':']).next()
    }
}

/// How a provider is asked to continue an assistant message, the last of the request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KnownAuth {
    #[default]
    Bearer,
    /// In a header of this name.
    Header(String),
    /// It needs none; with a key it is asked as a bearer.
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// The provider's own name.
    pub name: String,
    pub context: Option<u64>,
    pub price: Option<KnownPrice>,
    /// The model that really answers, where it is another.
    pub served_as: Option<String>,
}

impl Catalog {
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.providers.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::date::Date;

    const CANONICAL: [&str; 8] = [
        "deepseek/deepseek-r1",
        "deepseek/deepseek-v3.1",
        "deepseek/deepseek-v3.2",
        "qwen/qwen3-235b",
        "qwen/qwen3-32b",
        "qwen/qwen3-coder-30b",
        "qwen/qwen3-coder-480b",
        "qwen/qwen3-next-80b",
    ];

    #[test]
    fn the_embedded_data_reads() {
        let read: Result<Catalog, _> = serde_yaml::from_str(include_str!("providers.yaml"));
        assert_eq!(
            read.map_err(|error| error.to_string())
                .unwrap()
                .providers
                .len(),
            32
        );
    }

    #[test]
    fn every_provider_says_where_it_is() {
        for (name, known) in &catalog().providers {
            assert!(
                known.base_url.is_some() != known.url_form.is_some(),
                "{name}"
            );
            for (id, model) in &known.models {
                assert!(CANONICAL.contains(&id.as_str()), "{name}: {id}");
                assert!(!model.name.is_empty(), "{name}: {id}");
            }
        }
    }

    #[test]
    fn the_eight_models_are_all_on_siliconflow_and_openrouter() {
        for name in ["siliconflow", "openrouter"] {
            let models: Vec<&String> = catalog().get(name).unwrap().models.keys().collect();
            assert_eq!(models, CANONICAL, "{name}");
        }
    }

    #[test]
    fn every_price_is_in_a_currency_that_has_a_rate_and_of_a_day() {
        let catalog = catalog();
        let models = catalog.providers.values().flat_map(|known| &known.models);
        for (id, model) in models {
            let Some(price) = &model.price else { continue };
            let currency = price.currency.as_deref().unwrap_or(&catalog.currency);
            assert!(["USD", "CNY"].contains(&currency), "{id}: {currency}");
            let date = price.date.as_deref().unwrap_or(&catalog.priced);
            assert!(Date::parse(date).is_some(), "{id}: {date}");
        }
    }

    #[test]
    fn a_path_for_continued_requests_comes_with_a_form() {
        for (name, known) in &catalog().providers {
            if let Some(path) = &known.prefill_path {
                assert_ne!(known.prefill, Prefill::None, "{name}");
                assert!(path.starts_with('/') && !path.ends_with('/'), "{name}");
                assert!(known.base_url.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_vendor_is_known_by_name_or_host() {
        let vendor = |name, host| catalog().vendor(name, host).map(|(vendor, _)| vendor);
        assert_eq!(vendor("mistral", "relay.example"), Some("mistral"));
        assert_eq!(vendor("mine", "api.mistral.ai"), Some("mistral"));
        assert_eq!(vendor("mine", "relay.example"), None);
        // Anything may listen on this machine.
        assert_eq!(vendor("mine", "127.0.0.1"), None);
    }

    #[test]
    fn an_alias_says_what_it_serves() {
        let next = &catalog().get("siliconflow").unwrap().models["qwen/qwen3-next-80b"];
        assert_eq!(next.served_as.as_deref(), Some("qwen/qwen3-30b-a3b"));
    }
}
