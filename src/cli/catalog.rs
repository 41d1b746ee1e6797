//! `overspill catalog`: what is known of providers and models by name.

mod json;

use crate::catalog::{Catalog, Known, KnownModel, Model, catalog};
use crate::cli::table::table;
use crate::config::suggest::closest;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

pub fn run(name: Option<&str>, as_json: bool) -> ExitCode {
    let catalog = catalog();
    let provider = name.and_then(|name| catalog.providers.get_key_value(name));
    let model = name.and_then(|name| catalog.models.get_key_value(name));
    let text = match (name, provider, model) {
        (None, ..) if as_json => json::everything(catalog),
        (None, ..) => overview(catalog),
        (_, Some((name, known)), _) if as_json => json::provider(catalog, name, known),
        (_, Some((name, known)), _) => one_provider(catalog, name, known),
        (_, _, Some((id, model))) if as_json => json::model(catalog, id, model),
        (_, _, Some((id, model))) => one_model(catalog, id, model),
        (Some(name), None, None) => {
            eprintln!("{}", unknown(catalog, name));
            return ExitCode::FAILURE;
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn unknown(catalog: &Catalog, name: &str) -> String {
    let names = catalog.providers.keys().chain(catalog.models.keys());
    let meant = closest(name, names.map(String::as_str));
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
    let meant = meant.unwrap_or("; `overspill catalog` lists what it knows".to_owned());
    format!("the catalogue knows no provider and no model of this name{meant}")
}

/// Where it all comes from, above every table.
fn preface(catalog: &Catalog) -> String {
    format!(
        "Prices: {} per million tokens, input/output, read at {} on {}; `-`: unknown.\n\
         `?`: not verified in documentation. Nothing was tried against the providers themselves.\n",
        catalog.currency, catalog.source, catalog.priced
    )
}

fn overview(catalog: &Catalog) -> String {
    let providers = catalog.providers.iter().map(|(name, known)| {
        vec![
            name.clone(),
            doubted(known, "regions", regions(known)),
            doubted(known, "env", dash(known.env.first().cloned())),
            known.models.len().to_string(),
            doubted(known, "base_url", url(known)),
        ]
    });
    let models = catalog.models.iter().map(|(id, model)| {
        let served = catalog
            .providers
            .values()
            .filter(|known| known.models.contains_key(id));
        vec![
            id.clone(),
            dash(model.context.map(|context| context.to_string())),
            served.count().to_string(),
            capabilities(model),
        ]
    });
    format!(
        "{}\n{}\n{}",
        preface(catalog),
        table(
            &["PROVIDER", "REGIONS", "KEY", "MODELS", "BASE URL"],
            &providers.collect::<Vec<_>>()
        ),
        table(
            &["MODEL", "CONTEXT", "PROVIDERS", "CAPABILITIES"],
            &models.collect::<Vec<_>>()
        )
    )
}

fn one_provider(catalog: &Catalog, name: &str, known: &Known) -> String {
    let mut text = format!("{name}: {}\n{}\n", known.title, preface(catalog));
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{label:<16}{value}\n"));
        }
    };
    line("base URL", doubted(known, "base_url", url(known)));
    for (region, there) in &known.elsewhere {
        line(&format!("  in {region}"), there.base_url.clone());
    }
    line("key in", doubted(known, "env", known.env.join(" or ")));
    line("auth", words(&known.auth));
    line(
        "regions",
        doubted(known, "regions", known.regions.join(", ")),
    );
    line("data", policy(known));
    let endpoints = known.endpoints.as_ref().map(|words| words.join(", "));
    line("endpoints", endpoints.unwrap_or_default());
    line("prefill", words(&known.prefill));
    let asked = match known.inject_usage {
        Some(false) => "sent without being asked for",
        _ => "asked for with stream_options",
    };
    line("usage", doubted(known, "inject_usage", asked.to_owned()));
    let reasoning = known.reasoning.as_ref().map(words).unwrap_or_default();
    line("reasoning in", doubted(known, "reasoning", reasoning));
    let kept: Vec<String> = known.keep_alive.iter().map(words).collect();
    line("keeps alive by", kept.join(", "));
    let headers = known.limit_headers.join(", ");
    line("limits in", doubted(known, "limit_headers", headers));
    for rule in &known.errors {
        let status = rule.status.iter().map(u16::to_string);
        let quoted = rule.codes.iter().chain(&rule.phrases).cloned();
        let signs: Vec<String> = status.chain(quoted).collect();
        let meaning = format!("{}: {}", words(&rule.means), signs.join(", "));
        line("error", doubted(known, "errors", meaning));
    }
    line("unverified", known.unverified.join(", "));
    let rows = known.models.iter().map(|(id, model)| {
        let mut row = vec![id.clone()];
        row.extend(served(catalog, known, id, model));
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(
            &["MODEL", NAME, CONTEXT, PRICE, CACHED, NOTES],
            &rows,
        ));
    }
    text
}

fn one_model(catalog: &Catalog, id: &str, model: &Model) -> String {
    let mut text = format!("{id}\n{}\n", preface(catalog));
    for (label, value) in [
        (
            "context",
            dash(model.context.map(|tokens| tokens.to_string())),
        ),
        ("capabilities", capabilities(model)),
    ] {
        text.push_str(&format!("{label:<16}{value}\n"));
    }
    let rows = catalog.providers.iter().filter_map(|(name, known)| {
        let mut row = vec![name.clone()];
        row.extend(served(catalog, known, id, known.models.get(id)?));
        Some(row)
    });
    let rows: Vec<Vec<String>> = rows.collect();
    text.push('\n');
    text.push_str(&table(
        &["PROVIDER", NAME, CONTEXT, PRICE, CACHED, NOTES],
        &rows,
    ));
    text
}

const NAME: &str = "NAME THERE";
const CONTEXT: &str = "CONTEXT";
const PRICE: &str = "PRICE";
const CACHED: &str = "CACHED";
const NOTES: &str = "NOTES";

/// The cells under `NAME` to `NOTES`.
fn served(catalog: &Catalog, known: &Known, id: &str, model: &KnownModel) -> [String; 5] {
    let price = model.price.as_ref();
    let shown = price.map(|price| {
        let mut shown = format!("{}/{}", price.input, price.output);
        if price.currency.is_some() || price.date.is_some() {
            let (currency, date) = (catalog.currency(price), catalog.date(price));
            shown.push_str(&format!(" {currency} of {date}"));
        }
        shown
    });
    let field = match known.unverified.iter().any(|doubt| doubt == id) {
        true => id,
        false => "models",
    };
    let name = doubted(known, field, model.name.clone());
    let mut notes = Vec::new();
    if model.status != Default::default() {
        notes.push(model.status.word().to_owned());
    }
    notes.extend(
        model
            .served_as
            .iter()
            .map(|other| format!("served as {other}")),
    );
    notes.extend(
        model
            .replaced_by
            .iter()
            .map(|other| format!("ask for {other}")),
    );
    notes.extend(model.quantization.clone());
    notes.extend(model.also.iter().map(|also| format!("also {also}")));
    [
        name,
        dash(model.context.map(|tokens| tokens.to_string())),
        dash(shown),
        dash(
            price
                .and_then(|price| price.cached)
                .map(|cached| cached.to_string()),
        ),
        notes.join("; "),
    ]
}

fn capabilities(model: &Model) -> String {
    let is_doubted = |word: &str| {
        let mut doubts = model.unverified.iter();
        doubts.any(|doubt| doubt == word || doubt == "capabilities")
    };
    let all = model.capabilities.iter().flatten().map(|one| {
        let word = words(one);
        let mark = if is_doubted(&word) { "?" } else { "" };
        format!("{word}{mark}")
    });
    dash(Some(all.collect::<Vec<_>>().join(", ")))
}

fn regions(known: &Known) -> String {
    let elsewhere = known.elsewhere.keys();
    let all: Vec<&str> = known
        .regions
        .iter()
        .chain(elsewhere)
        .map(String::as_str)
        .collect();
    dash(Some(all.join(", ")))
}

fn url(known: &Known) -> String {
    let url = known.base_url.as_ref().or(known.url_form.as_ref());
    url.cloned().unwrap_or_default()
}

fn policy(known: &Known) -> String {
    let collection = known
        .data
        .collection
        .map(|one| format!("collection: {}", words(&one)));
    let zdr = known.data.zdr.map(|zdr| format!("zdr: {zdr}"));
    let told: Vec<String> = collection.into_iter().chain(zdr).collect();
    if told.is_empty() {
        return "unknown".to_owned();
    }
    told.join(", ")
}

fn dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("-".to_owned())
}

/// With a question mark where the catalogue itself is not sure.
fn doubted(known: &Known, field: &str, mut shown: String) -> String {
    if !shown.is_empty() && shown != "-" && known.unverified.iter().any(|doubt| doubt == field) {
        shown.push('?');
    }
    shown
}

/// As the data has it: `{header: api-key}` as `header api-key`.
fn words(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(fields)) => {
            let fields = fields.iter().map(|(key, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{key} {value}")
            });
            fields.collect::<Vec<_>>().join(", ")
        }
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
