//! One entry of `model_list`: an account, and a target that uses it.

use super::provider::{Meant, meant};
use super::router::Router;
use crate::catalog::catalog;
use crate::config::units::show_time;
use crate::config::{EndpointUrl, is_foreign_name, is_name};
use crate::import::draft::{Draft, Field, Provider, Target, Value, name};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use crate::import::secrets::Secrets;
use std::time::Duration;

pub struct Deployment {
    pub target: Target,
    pub tier: u64,
    pub weight: Option<f64>,
    pub rpm: Option<u64>,
    pub tpm: Option<u64>,
}

/// Fields that are sent with every request as they are.
const OPTIONS: [&str; 14] = [
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "n",
    "user",
    "reasoning_effort",
    "response_format",
    "tool_choice",
    "logit_bias",
];

/// With the `model_name` it serves. None where it cannot be had here; it was said why.
pub fn read<'a>(
    draft: &mut Draft,
    item: &Item<'a>,
    router: &Router,
    notes: &mut Notes,
) -> Option<(&'a str, Deployment)> {
    let mut fields = item.fields(notes)?;
    let model_name = fields.take("model_name");
    let Some(id) = model_name.as_ref().and_then(|item| item.text(notes)) else {
        if model_name.is_none() {
            notes.error(
                &item.place.key("model_name"),
                "missing: what callers ask for",
            );
        }
        return None;
    };
    let Some(mut params) = fields.take_fields("litellm_params", notes) else {
        notes.error(&item.place.key("litellm_params"), "missing: who serves it");
        return None;
    };
    fields.take("model_info").inspect(|info| {
        notes.lost(
            &info.place,
            "prices, context and limits stand in the catalogue, or under `models`",
        );
    });
    fields.finish(notes);
    let Some(model) = params.take("model") else {
        notes.error(&params.place.key("model"), "missing: `provider/model`");
        return None;
    };
    let full = model.text(notes)?;
    if id.contains('*') || full.contains('*') {
        let why = "a `*` is no model that can be declared; name each model; left out";
        notes.lost(&item.place, why);
        return None;
    }
    if !is_name(id) {
        let why = "has signs that no model id has here, such as spaces or commas; left out";
        notes.lost(&item.place.key("model_name"), why);
        return None;
    }
    let custom = params.take_text("custom_llm_provider", notes);
    let base = params.take("api_base").or_else(|| params.take("base_url"));
    let (who, upstream) = meant(full, custom, base.is_some());
    if let Meant::Nobody(why) = who {
        notes.lost(&item.place, why);
        return None;
    }
    if !is_foreign_name(upstream) {
        notes.error(
            &model.place,
            "is not a model name: up to 256 characters on one line",
        );
        return None;
    }
    let mut account = account(draft, &who, id, base.as_ref(), &mut params, notes)?;
    account.models = vec![(id.to_owned(), Value::text(upstream))];
    if let Some(interval) = router.breaker() {
        account.fields.push(interval);
    }
    let other = match &who {
        Meant::Catalogue(known) => format!("{known}-{}", name(id)),
        _ => name(id),
    };
    let deployment = target(draft, account, &other, &mut params, notes);
    params.finish(notes);
    Some((id, deployment))
}

fn account(
    draft: &mut Draft,
    who: &Meant,
    id: &str,
    base: Option<&Item>,
    params: &mut Fields,
    notes: &mut Notes,
) -> Option<Provider> {
    let known = match who {
        Meant::Catalogue(known) => catalog().get(known),
        _ => None,
    };
    let mut account = Provider {
        name: match who {
            Meant::Catalogue(known) => (*known).to_owned(),
            _ => name(id),
        },
        known: match who {
            Meant::Catalogue(known) => Some(*known),
            _ => None,
        },
        ..Provider::default()
    };
    if known.is_none() {
        if catalog().get(&account.name).is_some() {
            account.name.push_str("-compatible");
        }
        account
            .fields
            .push(Field::new("driver", Value::word("openai")));
    }
    let azure = matches!(who, Meant::Catalogue("azure-openai" | "azure-foundry"));
    match base {
        Some(base) => account.fields.push(base_url(base, azure, notes)?),
        None if known.is_some_and(|known| known.base_url.is_none()) => {
            let place = params.place.key("api_base");
            notes.error(
                &place,
                "missing: each account of this provider has its own address",
            );
            return None;
        }
        None => {}
    }
    if azure {
        params.lose(
            "api_version",
            notes,
            "Azure's `/openai/v1` takes no `api-version`",
        );
    }
    match params.take("api_key") {
        Some(key) => {
            let value = key.text(notes)?;
            let wanted = format!("{}_API_KEY", account.name);
            let reference = draft.secrets.reference(value, &wanted, &key.place);
            let field = Field::new("api_key", Value::Reference(reference));
            account.fields.push(match Secrets::is_literal(value) {
                true => {
                    field.because("the key stood in the file; here it comes from the environment")
                }
                false => field,
            });
        }
        None => {
            let keyless = known.is_some_and(|known| known.auth == crate::catalog::KnownAuth::None);
            if known.is_none() {
                account.fields.push(Field::new("auth", Value::word("none")));
            } else if !keyless {
                // LiteLLM reads the provider's own variable by itself.
                let name = account.name.to_ascii_uppercase().replace('-', "_");
                let value = format!("os.environ/{name}_API_KEY");
                let reference = draft.secrets.reference(&value, "", &params.place);
                let field = Field::new("api_key", Value::Reference(reference));
                account
                    .fields
                    .push(field.because("no `api_key`: LiteLLM takes it from there, too"));
            }
        }
    }
    Some(account)
}

fn base_url(base: &Item, azure: bool, notes: &mut Notes) -> Option<Field> {
    let text = base.text(notes)?;
    let refers = text.starts_with("os.environ/") || text.contains("${");
    let uri = text.parse::<http::Uri>().ok();
    let usable = uri.as_ref().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && !text.contains(['@', '?', '#'])
    });
    let Some(uri) = usable.filter(|_| !refers) else {
        let message = match refers {
            true => "write the address itself: it decides which account this is",
            false => "is not a URL such as `https://api.example.com/v1` without user and query",
        };
        notes.error(&base.place, message);
        return None;
    };
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let path = match path {
        "" if azure => "/openai/v1",
        path => path,
    };
    let origin = text.split('/').take(3).collect::<Vec<_>>().join("/");
    let base_url = format!("{origin}{path}");
    if let Err(wrong) = EndpointUrl::parse(&base_url) {
        notes.error(&base.place, wrong);
    }
    let field = Field::new("base_url", Value::text(base_url));
    Some(match azure {
        true => field.because("Azure's `/openai/v1` takes the deployment as the model"),
        false => field,
    })
}

fn target(
    draft: &mut Draft,
    account: Provider,
    other: &str,
    params: &mut Fields,
    notes: &mut Notes,
) -> Deployment {
    let mut target = Target::default();
    let provider = draft.account(account, other);
    target
        .fields
        .push(("provider".to_owned(), Value::text(provider)));
    let tier = params
        .take("order")
        .and_then(|item| item.whole(notes, 1000));
    if let Some(tier) = tier {
        target
            .fields
            .push(("tier".to_owned(), Value::word(tier.max(1))));
    }
    let weight = params
        .take("weight")
        .and_then(|item| item.number(notes, 1e9));
    let mut limit = |name| {
        params
            .take(name)
            .and_then(|item| item.whole(notes, 1_000_000_000_000))
    };
    let (rpm, tpm) = (limit("rpm"), limit("tpm"));
    let concurrency = limit("max_parallel_requests");
    let limits = [("rpm", rpm), ("tpm", tpm), ("concurrency", concurrency)];
    let limits = limits.into_iter().filter_map(|(name, limit)| {
        let limit = limit.filter(|limit| *limit > 0)?;
        Some((name, Value::word(limit)))
    });
    let limits: Vec<(&str, Value)> = limits.collect();
    if !limits.is_empty() {
        let why = "`limits`: what is beyond them goes elsewhere; LiteLLM draws by them";
        target.why.push(why.to_owned());
        target
            .fields
            .push(("limits".to_owned(), Value::map(limits)));
    }
    let mut options = Vec::new();
    for option in OPTIONS {
        let Some(item) = params.take(option) else {
            continue;
        };
        match Value::of(item.node) {
            Some(value) => options.push((option.to_owned(), value)),
            None => notes.error(&item.place, "holds a null, or a number beyond all bounds"),
        }
    }
    if !options.is_empty() {
        target
            .why
            .push("`options` overwrite what callers say; LiteLLM only fills in".to_owned());
        target
            .fields
            .push(("options".to_owned(), Value::Map(options)));
    }
    for name in ["timeout", "stream_timeout"] {
        let Some(item) = params.take(name) else {
            continue;
        };
        if let Some(seconds) = item.number(notes, 86_400.0) {
            let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            let why = format!(
                "timeouts belong to routes; write `timeouts` there ({})",
                show_time(time)
            );
            notes.lost(&item.place, why);
        }
    }
    Deployment {
        target,
        tier: tier.map_or(1, |tier| tier.max(1)),
        weight,
        rpm,
        tpm,
    }
}
