//! One instance: an account with a provider, and a target that uses it.

use super::endpoint::{self, Driver, Reached};
use super::{Context, changes, checks};
use crate::catalog::{KnownAuth, catalog};
use crate::config::is_foreign_name;
use crate::import::draft::{Field, Provider, Target, Value, name};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use crate::import::secrets::Secrets;

/// What the plugin around it says of all its instances.
pub struct Around<'a> {
    /// What the instance is called.
    pub label: &'a str,
    pub verify: bool,
    /// Tokens a minute.
    pub tpm: Option<u64>,
}

/// None where it cannot be had here; it was said why.
pub fn read(context: &mut Context, fields: &mut Fields, around: &Around) -> Option<Target> {
    let notes = &mut *context.notes;
    let Some(provider) = fields.take("provider") else {
        notes.error(
            &fields.place.key("provider"),
            "missing: the name of APISIX's driver",
        );
        return None;
    };
    let driver = endpoint::driver_of(&provider, &fields.place, notes);
    let mut overriding = fields.take_fields("override", notes);
    let Some(driver) = driver else {
        fields.drain();
        return None;
    };
    let address = overriding
        .as_mut()
        .and_then(|fields| fields.take("endpoint"));
    let Some(reached) = endpoint::reached(driver, &fields.place, address.as_ref(), notes) else {
        fields.drain();
        return None;
    };
    let auth = fields.take("auth");
    let options = fields.take_fields("options", notes);
    fields.lose("provider_conf", notes, "only for drivers that are not here");
    let mut account = Provider {
        name: reached
            .known
            .map_or_else(|| name(around.label), str::to_owned),
        known: reached.known,
        why: reached.why.clone(),
        ..Provider::default()
    };
    let unlisted = reached.known.is_none();
    if let Some(known) = reached
        .known
        .filter(|_| reached.base_url.is_none() && reached.why.is_empty())
    {
        let why = format!(
            "APISIX's driver `{}`: what the catalogue says of `{known}` holds",
            driver.name
        );
        account.why.push(why);
    }
    if unlisted {
        if catalog().get(&account.name).is_some() {
            account.name.push_str("-compatible");
        }
        account
            .fields
            .push(Field::new("driver", Value::word("openai")));
    }
    if let Some(base_url) = &reached.base_url {
        let mut field = Field::new("base_url", Value::text(base_url));
        if driver.name == "aimlapi" {
            field = field.because("where APISIX's driver `aimlapi` goes");
        }
        account.fields.push(field);
    }
    match auth {
        Some(auth) => credentials(context, &auth, &mut account, &reached),
        None if unlisted => account.fields.push(Field::new("auth", Value::word("none"))),
        None => context.notes.error(
            &fields.place.key("auth"),
            "missing: how the provider is told who calls",
        ),
    }
    let notes = &mut *context.notes;
    let plain = reached
        .base_url
        .as_ref()
        .is_some_and(|url| url.starts_with("http://"));
    if !around.verify && !plain {
        let tls = Value::map([("verify", Value::word(false))]);
        account
            .fields
            .push(Field::new("tls", tls).because("`ssl_verify: false`"));
    }
    if let Some(checks) = fields.take_fields("checks", notes) {
        account.fields.extend(checks::read(checks, notes));
    }
    let mut target = Target::default();
    let options = chosen(driver, &reached, options, overriding, &mut target, notes)?;
    let other = format!("{}-{}", account.name, name(around.label));
    if options.model.is_none() && !serves_by_itself(&reached) {
        let why = "without `options.model` callers name the provider's own models, and which those \
                   are is not said; the instance is left out";
        notes.lost(&fields.place, why);
        return None;
    }
    let provider = context.draft.account(account, &other);
    target
        .fields
        .push(("provider".to_owned(), Value::text(provider)));
    match options.model {
        Some(model) => target.fields.push(("model".to_owned(), Value::text(model))),
        None => target.why.push(
            "without `options.model` callers name a model of the catalogue, by its canonical id"
                .to_owned(),
        ),
    }
    if let Some(tpm) = around.tpm {
        let limits = Value::map([("tpm", Value::word(tpm))]);
        target.fields.push(("limits".to_owned(), limits));
        target.why.push(
            "`tpm`: its limit of `ai-rate-limiting`; what is beyond goes to the next target"
                .to_owned(),
        );
    }
    if !options.fields.is_empty() {
        let set = Value::Map(options.fields);
        target.fields.push(("options".to_owned(), set));
    }
    Some(target)
}

fn serves_by_itself(reached: &Reached) -> bool {
    let known = reached.known.and_then(|name| catalog().get(name));
    known.is_some_and(|known| !known.models.is_empty())
}

struct Chosen {
    model: Option<String>,
    fields: Vec<(String, Value)>,
}

/// What a request is made to say, whatever the caller said.
fn chosen(
    driver: &Driver,
    reached: &Reached,
    options: Option<Fields>,
    overriding: Option<Fields>,
    target: &mut Target,
    notes: &mut Notes,
) -> Option<Chosen> {
    let mut chosen = Chosen {
        model: reached.model.clone(),
        fields: vec![],
    };
    if let Some(mut options) = options {
        if let Some(item) = options.take("model") {
            let model = item.text(notes)?;
            if !is_foreign_name(model) {
                notes.error(
                    &item.place,
                    "is not a model name: up to 256 characters on one line",
                );
            }
            chosen.model = chosen.model.or(Some(model.to_owned()));
        }
        options.lose("stream", notes, "whether to stream is the caller's choice");
        for (option, item) in options.drain() {
            chosen
                .fields
                .push((option.to_owned(), value(&item, notes)?));
        }
    }
    if let Some(overriding) = overriding {
        let set = changes::read(driver, overriding, notes);
        for (option, value) in set {
            target.why.push(format!("`{option}` is set by `override`"));
            chosen.fields.retain(|(known, _)| *known != option);
            chosen.fields.push((option, value));
        }
    }
    Some(chosen)
}

pub fn value(item: &Item, notes: &mut Notes) -> Option<Value> {
    let value = Value::of(item.node);
    if value.is_none() {
        notes.error(&item.place, "holds a null, or a number beyond all bounds");
    }
    value
}

/// One header or one parameter of the query; no more can be sent.
fn credentials(context: &mut Context, auth: &Item, account: &mut Provider, reached: &Reached) {
    let notes = &mut *context.notes;
    let Some(mut fields) = auth.fields(notes) else {
        return;
    };
    let mut sent: Vec<(&'static str, &str, Item)> = Vec::new();
    for place in ["header", "query"] {
        let pairs = fields.take_fields(place, notes);
        let pairs = pairs.map_or(vec![], |mut pairs| pairs.drain());
        sent.extend(pairs.into_iter().map(|(name, item)| (place, name, item)));
    }
    for name in ["gcp", "aws"] {
        fields.lose(name, notes, "signed requests have no driver here");
    }
    fields.finish(notes);
    let bearer = |(place, name, _): &(&str, &str, Item)| {
        *place == "header" && name.eq_ignore_ascii_case("authorization")
    };
    if let Some(index) = sent.iter().position(bearer) {
        sent.swap(0, index);
    }
    let mut sent = sent.into_iter();
    let Some((place, header, item)) = sent.next() else {
        account.fields.push(Field::new("auth", Value::word("none")));
        return;
    };
    for (_, _, item) in sent {
        notes.lost(
            &item.place,
            "one credential is sent, and this is a second one",
        );
    }
    let Some(text) = item.text(notes).map(str::trim) else {
        return;
    };
    if text.is_empty() {
        notes.error(&item.place, "is empty");
        return;
    }
    let scheme = text.get(..7).filter(|s| s.eq_ignore_ascii_case("bearer "));
    let is_bearer = scheme.is_some() && header.eq_ignore_ascii_case("authorization");
    let value = match is_bearer {
        true => text.get(7..).unwrap_or_default().trim(),
        false => text,
    };
    let wanted = format!("{}_API_KEY", account.name);
    let reference = context.draft.secrets.reference(value, &wanted, &item.place);
    let known = reached.known.and_then(|name| catalog().get(name));
    let usual = match known.map(|known| &known.auth) {
        Some(KnownAuth::Header(name)) => place == "header" && name.eq_ignore_ascii_case(header),
        _ => is_bearer,
    };
    let reference = Value::Reference(reference);
    let field = match usual {
        true => Field::new("api_key", reference),
        false => {
            let pair = Value::Map(vec![(header.to_owned(), reference)]);
            Field::new("auth", Value::map([(place, pair)]))
        }
    };
    account.fields.push(match Secrets::is_literal(value) {
        true => field.because("the key stood in the file; here it comes from the environment"),
        false => field,
    });
}
