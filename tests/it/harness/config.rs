//! Writes the YAML of a test's gateway.

use super::provider::Provider;

/// A configuration in the making. Models are `acme/chat` on every provider, served there under
/// `<provider>-chat`; every provider's key is `sk-<provider>-upstream`.
#[derive(Default, Clone)]
pub struct Config {
    server: Vec<String>,
    listen: Option<String>,
    providers: Vec<Entry>,
    routes: Vec<Entry>,
    top: Vec<String>,
    /// All but `server`, written already.
    whole: Option<String>,
    pub environment: Vec<(String, String)>,
    pub unlimited: bool,
}

/// Fields of a flow mapping; a later one of the same name replaces an earlier one.
#[derive(Clone)]
struct Entry {
    name: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    fn set(&mut self, field: &str, value: &str) {
        self.fields.retain(|(name, _)| name != field);
        self.fields.push((field.into(), value.into()));
    }

    fn inner(&self) -> String {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(k, v)| format!("{k}: {v}"))
            .collect();
        fields.join(", ")
    }
}

impl Config {
    pub fn new() -> Config {
        Config::default()
    }

    /// One that is written already, but for `server`.
    pub fn written(yaml: &str) -> Config {
        Config {
            whole: Some(yaml.into()),
            ..Config::default()
        }
    }

    /// A file of `conf/` as it is, but for where its providers are.
    pub fn example(name: &str, bases: &[(&str, String)], environment: &[&str]) -> Config {
        let path = format!("{}/conf/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        for (provider, base) in bases {
            yaml["providers"][provider]["base_url"] = base.as_str().into();
        }
        let config = Config::written(&serde_yaml::to_string(&yaml).unwrap());
        environment.iter().fold(config, |config, name| {
            config.env(name, &format!("value-of-{name}"))
        })
    }

    /// One provider, `one`, for everything.
    pub fn one(one: &Provider) -> Config {
        Config::new()
            .provider("one", &one.base())
            .route("main", "{ provider: one }")
    }

    /// `one` in the first tier, `two` in the second.
    pub fn spill(one: &Provider, two: &Provider) -> Config {
        Config::spill_to(&one.base(), &two.base())
    }

    pub fn spill_to(one: &str, two: &str) -> Config {
        Config::new()
            .provider("one", one)
            .provider("two", two)
            .route("main", "{ provider: one }, { provider: two, tier: 2 }")
    }

    /// `one` and `two` in one tier; smooth weighted round robin begins with `one`.
    pub fn beside(one: &Provider, two: &Provider) -> Config {
        Config::new()
            .provider("one", &one.base())
            .provider("two", &two.base())
            .route(
                "main",
                "{ provider: one, weight: 100 }, { provider: two, weight: 1 }",
            )
    }

    /// A line under `server`.
    pub fn server(mut self, line: &str) -> Config {
        self.server.push(line.into());
        self
    }

    /// What stands at `server.listen`, `ADDRESS` where the address belongs.
    pub fn listen(mut self, value: &str) -> Config {
        self.listen = Some(value.into());
        self
    }

    pub fn provider(mut self, name: &str, base_url: &str) -> Config {
        let mut entry = Entry {
            name: name.into(),
            fields: Vec::new(),
        };
        entry.set("driver", "openai");
        entry.set("base_url", &format!("\"{base_url}\""));
        entry.set("api_key", &format!("sk-{name}-upstream"));
        entry.set(
            "models",
            &format!("{{ \"acme/chat\": {{ name: {name}-chat }} }}"),
        );
        self.providers.push(entry);
        self
    }

    /// A field of the last provider.
    pub fn with(mut self, field: &str, value: &str) -> Config {
        self.providers
            .last_mut()
            .expect("a provider")
            .set(field, value);
        self
    }

    /// A field of the provider of this name.
    pub fn on_provider(mut self, name: &str, field: &str, value: &str) -> Config {
        let mut named = self.providers.iter_mut().filter(|entry| entry.name == name);
        named.next().expect("such a provider").set(field, value);
        self
    }

    pub fn without(mut self, field: &str) -> Config {
        let provider = self.providers.last_mut().expect("a provider");
        provider.fields.retain(|(name, _)| name != field);
        self
    }

    /// A route for `acme/*`, its retries quick.
    pub fn route(mut self, name: &str, targets: &str) -> Config {
        let mut entry = Entry {
            name: name.into(),
            fields: Vec::new(),
        };
        entry.set("match", "{ models: [\"acme/*\"] }");
        entry.set("targets", &format!("[{targets}]"));
        entry.set("retry", "{ backoff: 1ms..2ms }");
        self.routes.push(entry);
        self
    }

    /// A field of the last route.
    pub fn on_route(mut self, field: &str, value: &str) -> Config {
        self.routes.last_mut().expect("a route").set(field, value);
        self
    }

    /// A line at the top level.
    pub fn top(mut self, line: &str) -> Config {
        self.top.push(line.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Config {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Its files may be given a limit while it runs, as a full disk would.
    pub fn outlives_limits(mut self) -> Config {
        self.unlimited = true;
        self
    }

    pub fn yaml(&self, address: &str, admin: &str) -> String {
        let listen = self
            .listen
            .as_deref()
            .unwrap_or("ADDRESS")
            .replace("ADDRESS", address);
        let mut out = format!("server:\n  listen: {listen}\n");
        if !self.server.iter().any(|line| line.starts_with("admin:")) {
            out.push_str(&format!("  admin: {admin}\n"));
        }
        if !self.server.iter().any(|line| line.starts_with("threads:")) {
            out.push_str("  threads: 1\n");
        }
        for line in &self.server {
            out.push_str(&format!("  {}\n", line.replace("ADMIN", admin)));
        }
        if let Some(whole) = &self.whole {
            return out + whole;
        }
        out.push_str("providers:\n");
        for provider in &self.providers {
            out.push_str(&format!(
                "  {}: {{ {} }}\n",
                provider.name,
                provider.inner()
            ));
        }
        out.push_str("routes:\n");
        for route in &self.routes {
            out.push_str(&format!(
                "  - {{ name: {}, {} }}\n",
                route.name,
                route.inner()
            ));
        }
        // A test that wants one says so.
        if !self.top.iter().any(|line| line.starts_with("store:")) {
            out.push_str("store: off\n");
        }
        for line in &self.top {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}
