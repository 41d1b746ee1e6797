//! What is served when nobody has written a configuration: the providers whose keys are there.

use crate::catalog::{Known, catalog};
use crate::config::load::Environment;
use std::path::{Path, PathBuf};

/// Where a configuration is looked for.
pub const PLACES: [&str; 2] = ["overspill.yaml", "/etc/overspill/overspill.yaml"];

/// The first that exists: one that cannot be read is found too, and then complained about.
pub fn file(places: &[&Path]) -> Option<PathBuf> {
    let found = places.iter().find(|place| place.symlink_metadata().is_ok());
    found.map(|place| place.to_path_buf())
}

/// A provider whose key is there.
struct Found<'a> {
    name: &'a str,
    known: &'a Known,
    /// The variable its key is in.
    variable: &'a str,
    /// Where that is the key of another region than the usual one.
    region: Option<&'a str>,
}

/// A configuration with all of them, ready to be kept. No secret is in it.
pub fn compose(env: Environment<'_>) -> Result<String, String> {
    let (whole, lacking): (Vec<Found>, Vec<Found>) = catalog()
        .providers
        .iter()
        .filter_map(|(name, known)| found(name, known, env))
        .partition(|found| found.lacks().is_none());
    let mut left_out = String::new();
    for found in &lacking {
        let lacks = found.lacks().unwrap_or_default();
        left_out.push_str(&format!("# {} ({}): {lacks}\n", found.name, found.variable));
    }
    if whole.is_empty() {
        return Err(nothing(&left_out));
    }
    let names: Vec<&str> = whole.iter().map(|found| found.variable).collect();
    let mut text = format!(
        r#"# Made by `overspill serve`, which found no configuration, from these keys in its environment:
# {}
# Kept as overspill.yaml it is read from there, and can be changed.
server:
  listen: "${{OVERSPILL_LISTEN:-127.0.0.1:8080}}"
  admin: "${{OVERSPILL_ADMIN:-127.0.0.1:9090}}"

providers:
"#,
        names.join(", ")
    );
    for found in &whole {
        let region = found.region.map(|region| format!(", region: {region}"));
        let region = region.unwrap_or_default();
        let (name, variable) = (found.name, found.variable);
        text.push_str(&format!(
            "  {name}: {{ api_key: \"${{{variable}}}\"{region} }}\n"
        ));
    }
    text.push_str("\nroutes:\n  - name: all\n    targets:\n");
    // Whoever resells takes what the others cannot.
    let first_hand = whole.iter().any(|found| !found.known.resells);
    for found in &whole {
        let later = first_hand && found.known.resells;
        let tier = if later { ", tier: 2" } else { "" };
        text.push_str(&format!("      - {{ provider: {}{tier} }}\n", found.name));
    }
    if !left_out.is_empty() {
        text.push_str(&format!("\n# Left out, though a key is there:\n{left_out}"));
    }
    Ok(text)
}

fn found<'a>(name: &'a str, known: &'a Known, env: Environment<'_>) -> Option<Found<'a>> {
    let is_set = |variable: &&String| env(variable).is_some_and(|value| !value.trim().is_empty());
    let own = known
        .env
        .iter()
        .find(is_set)
        .map(|variable| (variable, None));
    let elsewhere = || {
        known.elsewhere.iter().find_map(|(region, there)| {
            let variable = there.env.iter().find(is_set)?;
            Some((variable, Some(region.as_str())))
        })
    };
    own.or_else(elsewhere).map(|(variable, region)| Found {
        name,
        known,
        variable,
        region,
    })
}

impl Found<'_> {
    /// What its key alone does not tell.
    fn lacks(&self) -> Option<String> {
        if let Some(form) = &self.known.url_form {
            return Some(format!(
                "each account has its own `base_url`, such as {form}"
            ));
        }
        let none = "the catalogue knows none of its models: declare them with `models`";
        self.known.models.is_empty().then(|| none.to_owned())
    }
}

fn nothing(left_out: &str) -> String {
    let [here, system] = PLACES;
    let mut message = format!(
        "nothing to serve: there is no {here} here, no {system}, and no provider's key in the \
         environment, such as DEEPSEEK_API_KEY or OPENROUTER_API_KEY (`overspill catalog` lists \
         them); write a configuration, set a key, or try `overspill demo`, which needs neither"
    );
    if !left_out.is_empty() {
        message.push_str("\nkeys that are not enough by themselves:\n");
        message.push_str(left_out.trim_end());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_str;

    fn made(set: &[&str]) -> Result<String, String> {
        compose(&|name| set.contains(&name).then(|| "sk-very-secret".to_owned()))
    }

    #[test]
    fn the_first_file_that_is_there_is_taken() {
        let directory =
            std::env::temp_dir().join(format!("overspill-places-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (one, two) = (directory.join("one.yaml"), directory.join("two.yaml"));
        assert_eq!(file(&[&one, &two]), None);
        std::fs::write(&two, "").unwrap();
        assert_eq!(file(&[&one, &two]).as_deref(), Some(two.as_path()));
        std::fs::write(&one, "").unwrap();
        assert_eq!(file(&[&one, &two]).as_deref(), Some(one.as_path()));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn every_provider_that_a_key_is_enough_for_makes_a_good_configuration() {
        for (name, known) in &catalog().providers {
            let elsewhere = known.elsewhere.values().flat_map(|there| &there.env);
            for variable in known.env.iter().chain(elsewhere) {
                let text = match made(&[variable]) {
                    Ok(text) => text,
                    Err(message) => {
                        assert!(
                            message.contains(&format!("# {name} ({variable})")),
                            "{message}"
                        );
                        assert!(
                            known.url_form.is_some() || known.models.is_empty(),
                            "{name}"
                        );
                        continue;
                    }
                };
                assert!(!text.contains("secret"), "{text}");
                let env = |asked: &str| (asked == variable).then(|| "k".to_owned());
                let loaded = load_str(&text, "o.yaml", &env).unwrap_or_else(|problems| {
                    panic!("{problems:?}\n{text}");
                });
                assert_eq!(&*loaded.snapshot.providers[0].name, name);
                let loopback =
                    |listen: &crate::config::snapshot::Listen| listen.address.ip().is_loopback();
                assert!(loaded.snapshot.server.listen.iter().all(loopback));
            }
        }
    }

    #[test]
    fn all_keys_together_make_one_too_and_resellers_come_last() {
        let all = compose(&|_| Some("k".to_owned())).unwrap();
        let loaded = load_str(&all, "o.yaml", &|name| {
            (!name.starts_with("OVERSPILL")).then(|| "k".to_owned())
        });
        let snapshot = loaded.unwrap().snapshot;
        let [route] = snapshot.routes.as_slice() else {
            panic!("one route")
        };
        for target in &route.targets {
            let tier = if &*target.provider.name == "openrouter" {
                2
            } else {
                1
            };
            assert_eq!(target.tier, tier, "{}", target.id);
        }
        assert!(all.contains("# azure-openai (AZURE_OPENAI_API_KEY): each account"));
        assert!(
            made(&["OPENROUTER_API_KEY"])
                .unwrap()
                .contains("- { provider: openrouter }")
        );
        assert!(made(&["ZAI_API_KEY"]).unwrap().contains("region: global"));
    }

    #[test]
    fn an_empty_variable_is_no_key() {
        let message = compose(&|_| Some(" ".to_owned())).unwrap_err();
        assert!(message.contains("overspill demo") && message.contains("DEEPSEEK_API_KEY"));
        assert!(!message.contains("by themselves"), "{message}");
    }
}
