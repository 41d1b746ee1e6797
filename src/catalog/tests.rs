use super::*;
use crate::config::load::load_str;
use crate::config::money::Amount;
use crate::config::snapshot::{Endpoint, Snapshot};
use std::collections::BTreeSet;

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

const NAMES: &str = "volcengine together nvidia deepseek azure-foundry fireworks alibaba tencent \
                     huawei siliconflow china-mobile ctyun openai azure-openai anthropic gemini \
                     vertex bedrock openrouter groq cerebras mistral xai moonshot zhipu minimax \
                     deepinfra novita cohere perplexity ollama vllm sglang llamacpp";

fn known(name: &str) -> &'static Known {
    catalog().get(name).unwrap()
}

/// Every entry, with the models of all its regions.
fn entries() -> impl Iterator<Item = (&'static str, &'static str, &'static KnownModel)> {
    catalog().providers.iter().flat_map(|(name, known)| {
        let elsewhere = known.elsewhere.values().flat_map(|there| &there.models);
        let elsewhere = elsewhere.filter_map(|(id, model)| Some((id, model.as_ref()?)));
        let all = known.models.iter().chain(elsewhere);
        all.map(|(id, model)| (name.as_str(), id.as_str(), model))
    })
}

#[test]
fn the_embedded_data_reads() {
    let providers: Result<Catalog, _> = serde_yaml::from_str(include_str!("providers.yaml"));
    let providers = providers
        .map_err(|error| error.to_string())
        .unwrap()
        .providers;
    let names: BTreeSet<&str> = providers.keys().map(String::as_str).collect();
    assert_eq!(names, NAMES.split_whitespace().collect());
    let models: Result<BTreeMap<String, Model>, _> =
        serde_yaml::from_str(include_str!("models.yaml"));
    let models = models.map_err(|error| error.to_string()).unwrap();
    assert!(CANONICAL.iter().all(|id| models.contains_key(*id)));
    assert_eq!(catalog().models.len(), models.len());
}

#[test]
fn every_provider_says_where_it_is_and_in_what_words() {
    for (name, known) in &catalog().providers {
        assert!(
            known.base_url.is_some() != known.url_form.is_some(),
            "{name}"
        );
        assert!(!known.title.is_empty(), "{name}");
        for word in known.endpoints.iter().flatten() {
            assert!(
                Endpoint::ALL.iter().any(|one| one.name() == word),
                "{name}: {word}"
            );
        }
        assert!(
            known.elsewhere.is_empty() || !known.regions.is_empty(),
            "{name}"
        );
        assert!(
            known
                .elsewhere
                .keys()
                .all(|region| !known.regions.contains(region)),
            "{name}"
        );
        const FIELDS: [&str; 8] = [
            "base_url",
            "env",
            "errors",
            "inject_usage",
            "limit_headers",
            "models",
            "reasoning",
            "regions",
        ];
        for doubt in &known.unverified {
            let is_field = FIELDS.contains(&doubt.as_str());
            assert!(
                is_field || known.models.contains_key(doubt),
                "{name}: {doubt}"
            );
        }
        for rule in &known.errors {
            let signs = rule.codes.iter().chain(&rule.phrases);
            assert!(
                !rule.status.is_empty() || signs.clone().count() > 0,
                "{name}"
            );
            assert!(
                signs.into_iter().all(|sign| *sign == sign.to_lowercase()),
                "{name}"
            );
        }
    }
}

#[test]
fn every_model_is_known_by_its_canonical_id() {
    let models = &catalog().models;
    let mut used = BTreeSet::new();
    for (name, id, model) in entries() {
        assert!(models.contains_key(id), "{name}: {id}");
        assert!(
            !model.name.is_empty() && !model.also.contains(&model.name),
            "{name}: {id}"
        );
        used.insert(id);
        if let Some(other) = &model.served_as {
            assert!(models.contains_key(other) && other != id, "{name}: {id}");
            used.insert(other);
        }
        if let Some(other) = &model.replaced_by {
            assert!(models.contains_key(other), "{name}: {id}");
        }
        if let Some(price) = &model.price {
            let amounts = [Some(price.input), Some(price.output), price.cached];
            let sound = |amount: &Amount| amount.billionths() < 1_000_000_000_000;
            assert!(amounts.iter().flatten().all(sound), "{name}: {id}");
            assert!(
                price.cached.is_none_or(|cached| cached <= price.input),
                "{name}: {id}"
            );
        }
        // A provider may stop short of what a model can take in; it cannot go beyond it.
        if let (Some(own), Some(whole)) = (model.context, models[id].context)
            && model.served_as.is_none()
        {
            assert!(own <= whole + 1024, "{name}: {id}: {own} of {whole}");
        }
    }
    for id in models.keys() {
        assert!(used.contains(id.as_str()), "{id} is served by nobody");
    }
}

#[test]
fn the_eight_models_are_all_on_siliconflow_and_openrouter() {
    for name in ["siliconflow", "openrouter"] {
        let models = &known(name).models;
        assert!(
            CANONICAL.iter().all(|id| models.contains_key(*id)),
            "{name}"
        );
    }
}

fn with_key(name: &str, more: &str) -> Result<Snapshot, String> {
    let text = format!(
        "server: {{ listen: \"127.0.0.1:0\" }}\n\
         providers: {{ {name}: {{ api_key: k{more} }} }}\n\
         routes: [{{ targets: [{{ provider: {name}, model: any }}] }}]\n"
    );
    match load_str(&text, "o.yaml", &|_| None) {
        Ok(loaded) => Ok(loaded.snapshot),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn a_name_and_a_key_are_a_provider() {
    for (name, known) in &catalog().providers {
        let snapshot = match (&known.url_form, with_key(name, "")) {
            (None, snapshot) => snapshot.unwrap_or_else(|problems| panic!("{name}: {problems}")),
            (Some(form), Err(problems)) => {
                assert!(problems.contains(form.as_str()), "{name}: {problems}");
                let url = form.to_lowercase();
                with_key(name, &format!(", base_url: \"{url}\"")).unwrap()
            }
            (Some(_), Ok(_)) => panic!("{name} needs its base URL"),
        };
        let [provider] = snapshot.providers.as_slice() else {
            panic!("{name}");
        };
        assert_eq!(&*provider.vendor, name);
        assert_eq!(provider.models.len(), known.models.len(), "{name}");
        for (id, model) in &known.models {
            let ready = &provider.models[id.as_str()];
            assert_eq!(*ready.name, *model.name, "{name}: {id}");
            assert_eq!(ready.context, model.context, "{name}: {id}");
            assert_eq!(ready.price.is_some(), model.price.is_some(), "{name}: {id}");
        }
        let regions: Vec<&str> = provider.regions.iter().map(|region| &**region).collect();
        assert_eq!(regions, known.regions, "{name}");
    }
}

#[test]
fn regions_have_their_own_address_models_and_prices() {
    for (name, known) in &catalog().providers {
        for (region, there) in &known.elsewhere {
            let snapshot = with_key(name, &format!(", region: {region}")).unwrap();
            let provider = &snapshot.providers[0];
            assert!(
                there.base_url.contains(&provider.host),
                "{name} in {region}"
            );
            assert_eq!(provider.regions[0].as_ref(), region);
            for (id, model) in &there.models {
                let ready = provider.models.get(id.as_str());
                assert_eq!(ready.is_some(), model.is_some(), "{name} in {region}: {id}");
            }
        }
    }
    let [here, there] = ["cn", "global"].map(|region| {
        let snapshot = with_key("siliconflow", &format!(", region: {region}")).unwrap();
        snapshot.providers[0].host.clone()
    });
    assert_eq!([here, there], ["api.siliconflow.cn", "api.siliconflow.com"]);
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
    assert_eq!(vendor("mine", "api.siliconflow.com"), Some("siliconflow"));
    let bedrock = "bedrock-runtime.us-east-2.amazonaws.com";
    assert_eq!(vendor("mine", bedrock), Some("bedrock"));
    let vertex = "us-central1-aiplatform.googleapis.com";
    assert_eq!(vendor("mine", vertex), Some("vertex"));
    for stranger in [
        "relay.example",
        "-aiplatform.googleapis.com",
        "api.mistral.ai.example",
        "a.b.openai.azure.com",
        "openai.azure.com",
        "",
        // Anything may listen on this machine.
        "127.0.0.1",
    ] {
        assert_eq!(vendor("mine", stranger), None, "{stranger}");
    }
}

#[test]
fn an_alias_says_what_it_serves() {
    let next = &known("siliconflow").models["qwen/qwen3-next-80b"];
    assert_eq!(next.served_as.as_deref(), Some("qwen/qwen3-30b-a3b"));
}

#[test]
fn every_price_is_in_a_currency_that_has_a_rate_and_of_a_day() {
    let catalog = catalog();
    let models = catalog.providers.values().flat_map(|known| &known.models);
    for (id, model) in models {
        let Some(price) = &model.price else { continue };
        assert!(["USD", "CNY"].contains(&catalog.currency(price)), "{id}");
        let date = crate::config::date::Date::parse(catalog.date(price));
        assert!(date.is_some(), "{id}");
    }
}
