//! LiteLLM's `provider/model`, and the provider of ours that means.

use crate::catalog::catalog;

/// LiteLLM's prefixes, and the catalogue's names.
const KNOWN: [(&str, &str); 34] = [
    ("openai", "openai"),
    ("text-completion-openai", "openai"),
    ("azure", "azure-openai"),
    ("azure_ai", "azure-foundry"),
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("openrouter", "openrouter"),
    ("deepseek", "deepseek"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("nvidia_nim", "nvidia"),
    ("groq", "groq"),
    ("cerebras", "cerebras"),
    ("mistral", "mistral"),
    ("xai", "xai"),
    ("moonshot", "moonshot"),
    ("zai", "zhipu"),
    ("zhipu", "zhipu"),
    ("minimax", "minimax"),
    ("deepinfra", "deepinfra"),
    ("novita", "novita"),
    ("cohere", "cohere"),
    ("cohere_chat", "cohere"),
    ("perplexity", "perplexity"),
    ("dashscope", "alibaba"),
    ("volcengine", "volcengine"),
    ("siliconflow", "siliconflow"),
    ("huawei", "huawei"),
    ("ollama", "ollama"),
    ("ollama_chat", "ollama"),
    ("hosted_vllm", "vllm"),
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("llamafile", "llamacpp"),
];

/// Any server that speaks OpenAI's dialect, at its `api_base`.
const COMPATIBLE: [&str; 4] = ["openai_like", "custom_openai", "lm_studio", "litellm_proxy"];

/// They sign their requests, or speak no dialect of OpenAI's.
const UNSUPPORTED: [&str; 6] = [
    "bedrock",
    "vertex_ai",
    "vertex_ai_beta",
    "sagemaker",
    "sagemaker_chat",
    "watsonx",
];

pub enum Meant {
    Catalogue(&'static str),
    Compatible,
    /// Why not.
    Nobody(&'static str),
}

/// Who is meant, and the provider's own name for the model.
pub fn meant<'m>(model: &'m str, custom: Option<&str>, has_base: bool) -> (Meant, &'m str) {
    let split = model.split_once('/');
    let known = |prefix: &str| KNOWN.iter().find(|(name, _)| *name == prefix);
    let all = |prefix: &str| {
        known(prefix).is_some() || COMPATIBLE.contains(&prefix) || UNSUPPORTED.contains(&prefix)
    };
    let (prefix, name) = match (custom, split) {
        (Some(custom), Some((prefix, name))) if custom == prefix => (custom, name),
        (Some(custom), _) => (custom, model),
        (None, Some((prefix, name))) if all(prefix) => (prefix, name),
        // A slash of the model's own.
        (None, _) if has_base => ("openai_like", model),
        (None, Some(_)) => {
            let why = "its provider is not known here, and it has no `api_base`; left out";
            return (Meant::Nobody(why), model);
        }
        (None, None) => ("openai", model),
    };
    let name = name.strip_prefix("responses/").unwrap_or(name);
    if UNSUPPORTED.contains(&prefix) {
        let why = "its provider has no driver here; left out";
        return (Meant::Nobody(why), name);
    }
    match known(prefix).and_then(|(_, ours)| catalog().providers.get_key_value(*ours)) {
        Some((ours, _)) => (Meant::Catalogue(ours), name),
        None if has_base => (Meant::Compatible, name),
        None => {
            let why = "its provider is not known here, and it has no `api_base`; left out";
            (Meant::Nobody(why), name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_leads_to_a_catalogue_entry() {
        for (prefix, name) in KNOWN {
            assert!(catalog().get(name).is_some(), "{prefix} → {name}");
        }
    }

    #[test]
    fn a_model_says_who_serves_it() {
        let told = |model, custom, base| match meant(model, custom, base) {
            (Meant::Catalogue(name), model) => (name, model),
            (Meant::Compatible, model) => ("compatible", model),
            (Meant::Nobody(_), model) => ("nobody", model),
        };
        assert_eq!(told("gpt-4o", None, false), ("openai", "gpt-4o"));
        assert_eq!(told("azure/my-gpt", None, true), ("azure-openai", "my-gpt"));
        assert_eq!(
            told("openrouter/deepseek/deepseek-r1", None, false),
            ("openrouter", "deepseek/deepseek-r1")
        );
        assert_eq!(
            told("Qwen/Qwen3-32B", None, true),
            ("compatible", "Qwen/Qwen3-32B")
        );
        assert_eq!(
            told("Qwen/Qwen3-32B", None, false),
            ("nobody", "Qwen/Qwen3-32B")
        );
        assert_eq!(
            told("Qwen/Qwen3-32B", Some("hosted_vllm"), true),
            ("vllm", "Qwen/Qwen3-32B")
        );
        assert_eq!(
            told("bedrock/x.y-v1:0", None, false),
            ("nobody", "x.y-v1:0")
        );
    }
}
