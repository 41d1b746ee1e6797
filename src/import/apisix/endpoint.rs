//! Where an instance's requests go: APISIX's drivers, and `override.endpoint` over them.

use crate::catalog::catalog;
use crate::config::EndpointUrl;
use crate::config::place::Place;
use crate::config::snapshot::Endpoint;
use crate::import::input::Item;
use crate::import::notes::Notes;
use http::Uri;

/// One of APISIX's `provider`s.
pub struct Driver {
    pub name: &'static str,
    /// The catalogue's name for it.
    known: Option<&'static str>,
    /// Where it goes by itself, should the catalogue not know.
    base_url: Option<&'static str>,
    /// What comes between an endpoint's host and `/chat/completions` if it has no path.
    prefix: &'static str,
    /// Its name for the most tokens of an answer.
    pub max_tokens: &'static str,
}

const fn driver(name: &'static str, prefix: &'static str) -> Driver {
    Driver {
        name,
        known: Some(name),
        base_url: None,
        prefix,
        max_tokens: "max_tokens",
    }
}

static DRIVERS: [Driver; 8] = [
    Driver {
        max_tokens: "max_completion_tokens",
        ..driver("openai", "/v1")
    },
    driver("deepseek", ""),
    Driver {
        known: None,
        base_url: Some("https://api.aimlapi.com"),
        ..driver("aimlapi", "")
    },
    driver("anthropic", "/v1"),
    Driver {
        known: None,
        ..driver("openai-compatible", "/v1")
    },
    driver("azure-openai", "/openai/v1"),
    driver("openrouter", "/api/v1"),
    Driver {
        max_tokens: "max_completion_tokens",
        ..driver("gemini", "/v1beta/openai")
    },
];

/// They speak no dialect of OpenAI's, or sign their requests.
const UNSUPPORTED: [&str; 2] = ["vertex-ai", "bedrock"];

/// Where it was found to lead.
pub struct Reached {
    /// A name the catalogue knows.
    pub known: Option<&'static str>,
    /// None: the catalogue's.
    pub base_url: Option<String>,
    /// Where the URL names the model, as Azure's does.
    pub model: Option<String>,
    pub why: Vec<String>,
}

/// None where it was said why not.
pub fn driver_of(item: &Item, instance: &Place, notes: &mut Notes) -> Option<&'static Driver> {
    let name = item.text(notes)?;
    if UNSUPPORTED.contains(&name) {
        notes.lost(instance, format!("left out: `{name}` has no driver here"));
        return None;
    }
    let found = DRIVERS.iter().find(|driver| driver.name == name);
    if found.is_none() {
        let mut known: Vec<&str> = DRIVERS.iter().map(|driver| driver.name).collect();
        known.extend(UNSUPPORTED);
        let message = format!("is none of APISIX's providers: {}", known.join(", "));
        notes.error(&item.place, message);
    }
    found
}

pub fn reached(
    driver: &Driver,
    instance: &Place,
    endpoint: Option<&Item>,
    notes: &mut Notes,
) -> Option<Reached> {
    let Some(endpoint) = endpoint else {
        return by_itself(driver, instance, notes);
    };
    let text = endpoint.text(notes)?;
    let url = Url::parse(text, endpoint, notes)?;
    if let Some(query) = &url.query {
        let harmless = driver.name == "azure-openai" && query.starts_with("api-version=");
        if !harmless || query.contains('&') {
            let why = "the query after the path is not sent";
            notes.lost(&endpoint.place, why);
        }
    }
    if driver.name == "azure-openai" {
        return azure(&url, endpoint, notes);
    }
    let path = url.path.trim_end_matches('/');
    let base_path = match below(path) {
        Some(base) => base,
        None if path.is_empty() => driver.prefix,
        None => {
            let why = "asks a path that ends in none of `/chat/completions`, `/embeddings` and the \
                       like, and those are always added here; what uses it is left out";
            notes.lost(&endpoint.place, why);
            return None;
        }
    };
    let base_url = usable(format!("{}{base_path}", url.origin), endpoint, notes)?;
    let vendor = catalog().vendor("", &url.host).map(|(name, _)| name);
    let known = driver.known.or_else(|| {
        let name = vendor?;
        catalog()
            .providers
            .get_key_value(name)
            .map(|(name, _)| name.as_str())
    });
    let mut why = vec![];
    if let Some(name) = known
        && driver.known.is_none()
    {
        why.push(format!(
            "The catalogue knows the host of `endpoint` as `{name}`."
        ));
    }
    let own = known.and_then(|name| catalog().get(name)?.base_url.as_deref());
    Some(Reached {
        known,
        base_url: (own != Some(base_url.as_str())).then_some(base_url),
        model: None,
        why,
    })
}

fn by_itself(driver: &Driver, instance: &Place, notes: &mut Notes) -> Option<Reached> {
    let known = driver.known.filter(|name| {
        let entry = catalog().get(name);
        entry.is_some_and(|entry| entry.base_url.is_some())
    });
    if known.is_none() && driver.base_url.is_none() {
        let place = instance.key("override").key("endpoint");
        let message = format!("missing: `{}` has no address of its own", driver.name);
        notes.error(&place, message);
        return None;
    }
    Some(Reached {
        known,
        base_url: driver.base_url.map(str::to_owned),
        model: None,
        why: vec![],
    })
}

/// Its deployments, each at a path of its own, are the models of its newer path.
fn azure(url: &Url, endpoint: &Item, notes: &mut Notes) -> Option<Reached> {
    let mut segments = url
        .path
        .split('/')
        .skip_while(|part| *part != "deployments");
    let deployment = segments.nth(1).filter(|name| !name.is_empty());
    let is_base = below(url.path.trim_end_matches('/')) == Some("/openai/v1");
    if deployment.is_none() && !is_base && !url.path.trim_matches('/').is_empty() {
        let why = "names no deployment; what uses it is left out";
        notes.lost(&endpoint.place, why);
        return None;
    }
    let why = "Azure's `/openai/v1` takes the deployment as the model, and no `api-version`.";
    Some(Reached {
        known: Some("azure-openai"),
        base_url: Some(usable(
            format!("{}/openai/v1", url.origin),
            endpoint,
            notes,
        )?),
        model: deployment.map(str::to_owned),
        why: vec![why.to_owned()],
    })
}

fn usable(base_url: String, endpoint: &Item, notes: &mut Notes) -> Option<String> {
    match EndpointUrl::parse(&base_url) {
        Ok(_) => Some(base_url),
        Err(wrong) => {
            notes.error(&endpoint.place, wrong);
            None
        }
    }
}

/// What stands before an endpoint's own path.
fn below(path: &str) -> Option<&str> {
    let mut endpoints = Endpoint::ALL.iter();
    endpoints.find_map(|endpoint| path.strip_suffix(endpoint.path()))
}

struct Url {
    origin: String,
    host: String,
    path: String,
    query: Option<String>,
}

impl Url {
    /// What is wrong is said without the URL, which may hold a key.
    fn parse(text: &str, item: &Item, notes: &mut Notes) -> Option<Url> {
        let uri = text.parse::<Uri>().ok();
        let taken = uri.as_ref().and_then(|uri| {
            let scheme = uri.scheme_str().filter(|s| ["http", "https"].contains(s))?;
            let authority = uri.authority().filter(|a| !a.as_str().contains('@'))?;
            Some(Url {
                origin: format!("{scheme}://{authority}"),
                host: uri.host()?.to_owned(),
                path: uri.path().to_owned(),
                query: uri.query().map(str::to_owned),
            })
        });
        if taken.is_none() {
            let message = "is not a URL such as `https://api.example.com` without a user in it";
            notes.error(&item.place, message);
        }
        taken
    }
}
