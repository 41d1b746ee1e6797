//! `region`: another address, other models, other prices.

use super::load;
use super::messages::expect_provider;
use crate::config::money::Amount;
use crate::config::snapshot::Provider;
use std::sync::Arc;

fn provider(fields: &str) -> Arc<Provider> {
    let text = format!(
        "providers: {{ {fields} }}\nroutes: [{{ targets: [{{ provider: {}, model: m }}] }}]",
        fields.split(':').next().unwrap()
    );
    load(&text).unwrap().snapshot.providers[0].clone()
}

fn regions(provider: &Provider) -> Vec<&str> {
    provider.regions.iter().map(|region| &**region).collect()
}

#[test]
fn the_catalogue_has_several_for_some() {
    let usual = provider("alibaba: { api_key: k }");
    let same = provider("alibaba: { api_key: k, region: cn }");
    assert_eq!(usual.host, same.host);
    let global = provider("alibaba: { api_key: k, region: global }");
    assert_eq!(global.host, "dashscope-intl.aliyuncs.com");
    let price = |provider: &Provider| {
        let model = &provider.models["qwen/qwen3-32b"];
        model.price.as_ref().map(|price| price.output)
    };
    assert_eq!(price(&usual), Amount::parse("1.147").ok());
    assert_eq!(price(&global), Amount::parse("2.8").ok());
    assert!(!global.models.contains_key("deepseek/deepseek-r1"));
    assert_eq!(regions(&global), ["global"]);
    assert_eq!(regions(&usual), ["cn"]);
}

#[test]
fn the_files_own_address_stays() {
    let relayed = provider(
        "siliconflow: { api_key: k, region: global, base_url: \"https://relay.example\" }",
    );
    assert_eq!(relayed.host, "relay.example");
    assert_eq!(regions(&relayed), ["global"]);
    // Nobody knows better than the file.
    let own = provider("mine: { base_url: \"https://me.example\", auth: none, region: de }");
    assert_eq!(regions(&own), ["de"]);
    assert_eq!(
        regions(&provider("openai: { api_key: k, region: eu }")),
        ["eu"]
    );
    let moved =
        provider("deepseek: { api_key: k, region: us, base_url: \"https://relay.example\" }");
    assert_eq!(regions(&moved), ["us"]);
    // A host names a vendor, but not which of its regions.
    let by_host = provider("mine: { base_url: \"https://api.siliconflow.com/v1\", auth: none }");
    assert_eq!(
        (&*by_host.vendor, regions(&by_host).len()),
        ("siliconflow", 0)
    );
    let by_host = provider("mine: { base_url: \"https://api.deepseek.com\", auth: none }");
    assert_eq!(regions(&by_host), ["cn"]);
}

#[test]
fn other_names_of_a_model_are_known_too() {
    let pro = "Pro/deepseek-ai/DeepSeek-V3.2";
    let named = provider(&format!(
        "siliconflow: {{ api_key: k, models: {{ deepseek/deepseek-v3.2: {pro} }} }}"
    ));
    let model = &named.models["deepseek/deepseek-v3.2"];
    assert_eq!((&*model.name, model.context), (pro, Some(164_000)));
    assert!(model.price.is_some());
}

#[test]
fn what_is_not_there_is_refused() {
    expect_provider(
        "vllm: {}, siliconflow: { api_key: k, region: eu }, deepseek: { api_key: k, region: us }, \
         groq: { api_key: k, region: \"\" }",
        &[
            "siliconflow.region: `eu` is none of the regions that the catalogue knows for \
             `siliconflow`: write `cn` or `global`, or give its `base_url` too",
            "deepseek.region: `us` is none of the regions that the catalogue knows for \
             `deepseek`: write `cn`, or give its `base_url` too",
            "groq.region: `` is not a region: write a word such as `cn`, `us` or `eu-west`, in \
             lower case",
        ],
    );
}
