//! `keys` and `auth`: who may use the data port.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::secret::Secret;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Key, Keys, Rules, Server};
use crate::config::validate::budget::budget;
use crate::config::validate::facts::quantizations;
use crate::config::validate::names::{name, patterns};
use crate::config::validate::rules::{self, Known};
use crate::config::validate::server::is_token;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What routes may name.
pub struct KeyNames {
    names: Vec<Arc<str>>,
    /// None was refused: whatever is not here is unknown.
    complete: bool,
}

impl KeyNames {
    pub fn has(&self, name: &str) -> bool {
        !self.complete || self.names.iter().any(|known| &**known == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

pub fn keys(
    report: &mut Report,
    file: &List<file::Key>,
    auth: Option<file::Access>,
    server: &Server,
    known: Known<'_>,
) -> (Keys, KeyNames) {
    let root = Place::root();
    let place = root.key("keys");
    let mut by_digest = HashMap::new();
    let mut names: HashMap<Arc<str>, Place> = HashMap::new();
    for (place, key) in elements(file, &place) {
        let name = key_name(report, &place, key, &mut names);
        let models = patterns(report, &place.key("models"), &key.models);
        let rules = key_rules(report, &place, key, known);
        let prefer = rules::providers(report, &place.key("prefer"), &key.prefer, known.accounts);
        let spend = key.budget.as_ref();
        let budget = spend.and_then(|file| budget(report, &place.key("budget"), file, known));
        let Some((at, digest)) = digest(report, &place, key) else {
            continue;
        };
        match by_digest.entry(digest) {
            Entry::Occupied(_) => {
                report.error(&at, "is the same secret as that of a key before it");
            }
            Entry::Vacant(slot) => {
                slot.insert(Arc::new(Key {
                    name,
                    models,
                    rules,
                    prefer,
                    explain: key.explain.unwrap_or(false),
                    budget,
                }));
            }
        }
    }
    let complete = names.len() == file.len() && !report.was_refused(&place);
    let names = KeyNames {
        names: names.into_keys().collect(),
        complete,
    };
    if file.is_empty() {
        if auth.is_none() {
            refuse_open(report, server);
        }
        return (Keys::Open, names);
    }
    if auth.is_some() {
        let message = "keys are given, and `auth: off` asks for none; remove one of the two";
        report.error(&root.key("auth"), message);
    }
    (Keys::Known(by_digest), names)
}

fn key_rules(report: &mut Report, place: &Place, key: &file::Key, known: Known<'_>) -> Rules {
    let mut providers =
        |field: &str, list| rules::providers(report, &place.key(field), list, known.accounts);
    let (only, ignore) = (
        providers("only", &key.only),
        providers("ignore", &key.ignore),
    );
    let regions = match key.regions.is_empty() {
        true => vec![],
        false => rules::regions(report, &place.key("regions"), &key.regions),
    };
    let at = place.key("quantizations");
    Rules {
        max_price: key
            .max_price
            .as_ref()
            .map(|cap| rules::cap(report, &place.key("max_price"), cap, known))
            .unwrap_or_default(),
        regions,
        data: key.data.map(rules::data).unwrap_or_default(),
        quantizations: quantizations(report, &at, &key.quantizations),
        only,
        ignore,
    }
}

fn refuse_open(report: &mut Report, server: &Server) {
    let root = Place::root();
    let open = server
        .listen
        .iter()
        .any(|listen| !listen.address.ip().is_loopback());
    let explained = ["keys", "auth"]
        .iter()
        .any(|field| report.was_refused(&root.key(*field)));
    if open && !explained {
        let message = "the data port would be open to the network without keys; \
                       give `keys`, or write `auth: off` if that is meant";
        report.error(&root.key("server").key("listen"), message);
    }
}

fn key_name(
    report: &mut Report,
    place: &Place,
    key: &file::Key,
    names: &mut HashMap<Arc<str>, Place>,
) -> Arc<str> {
    let Some(given) = &key.name else {
        report.missing(
            place,
            "name",
            "missing: the name by which logs call this key",
        );
        return "".into();
    };
    let at = place.key("name");
    let shared: Arc<str> = given.as_str().into();
    if name(report, &at, given) {
        match names.get(given.as_str()) {
            Some(first) => {
                let message = format!("{} is the name of {first} already", report.quote(&at));
                report.error(&at, message);
            }
            None => {
                names.insert(shared.clone(), place.clone());
            }
        }
    }
    shared
}

/// SHA-256 of the secret, with the place it was given at.
fn digest(report: &mut Report, place: &Place, key: &file::Key) -> Option<(Place, [u8; 32])> {
    match (&key.secret, &key.sha256) {
        (Some(secret), None) => {
            let place = place.key("secret");
            if secret.expose().is_empty() {
                report.error(&place, "is empty");
                return None;
            }
            if !is_token(secret.expose()) {
                let message = "has spaces or other characters that no bearer token has";
                report.error(&place, message);
            }
            Some((place, Sha256::digest(secret.expose().as_bytes()).into()))
        }
        (None, Some(hash)) => {
            let place = place.key("sha256");
            let digest = from_hex(hash);
            if digest.is_none() {
                report.error(&place, "is not a SHA-256: 64 hexadecimal digits");
            }
            Some((place, digest?))
        }
        (Some(_), Some(_)) => {
            report.error(
                &place.key("sha256"),
                "stands beside `secret`; remove one of the two",
            );
            None
        }
        (None, None) => {
            if !report.was_written(&place.key("sha256")) {
                report.missing(place, "secret", "missing: give `secret` or `sha256`");
            }
            None
        }
    }
}

fn from_hex(hash: &Secret) -> Option<[u8; 32]> {
    let mut digits = hash.expose().chars().map(|digit| digit.to_digit(16));
    let mut digest = [0u8; 32];
    for byte in &mut digest {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(digest)
}
