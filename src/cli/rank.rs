//! `overspill rank`: a requirement held against everyone who serves a model, by the same functions
//! that routes with `require` and `order` are planned by.

mod admin;
mod measures;
mod ranking;
mod shown;

use crate::cli::rank::measures::Measures;
use crate::cli::rank::ranking::{Asked, rank, services};
use crate::cli::rank::shown::Shown;
use crate::config::load::{load, text_of};
use crate::config::requirement::{self, Requirement};
use crate::config::snapshot::Snapshot;
use crate::config::suggest::closest;
use crate::routing::metric::{Metric, Window};
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub struct Options {
    /// What must hold and who is better, in YAML or JSON: `filters` (or `require`) and `order`
    #[arg(long)]
    requirement: PathBuf,
    /// The configuration file: its providers, prices and scores
    #[arg(short, long, default_value = "overspill.yaml")]
    config: PathBuf,
    /// Only this model; else all, each for itself
    #[arg(long)]
    model: Option<String>,
    /// Measures from a file with an answer of /api/measures
    #[arg(long, conflicts_with = "admin")]
    data: Option<PathBuf>,
    /// Measures from the gateway with this admin port: `http://127.0.0.1:9090`
    #[arg(long)]
    admin: Option<String>,
    /// The admin port's token; else the configuration's, for its own admin port
    #[arg(long, requires = "admin", conflicts_with = "data")]
    token: Option<String>,
    #[arg(long, default_value = "table")]
    format: Format,
    /// How far back measures look: 5m, 1h or 24h
    #[arg(long, default_value = "1h", value_parser = window)]
    window: Window,
    /// Shows and compares prices in this currency
    #[arg(long, default_value = "USD")]
    currency: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

fn window(word: &str) -> Result<Window, String> {
    Window::parse(word).map_err(|unknown| unknown.to_string())
}

/// 0: somebody is left. 1: nobody is, or something cannot be read.
pub fn run(options: &Options) -> ExitCode {
    let (text, is_anyone_left) = match ranked(options) {
        Ok(ranked) => ranked,
        Err(lines) => {
            lines.iter().for_each(|line| eprintln!("{line}"));
            return ExitCode::FAILURE;
        }
    };
    if io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    if !is_anyone_left {
        eprintln!("nobody meets the requirement");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn ranked(options: &Options) -> Result<(String, bool), Vec<String>> {
    let lines = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect();
    let requirement = requirement_of(&options.requirement);
    let env = |name: &str| std::env::var(name).ok();
    let snapshot = load(&options.config, &env).map(|loaded| loaded.snapshot);
    // What is wrong with either is said at once.
    let (requirement, snapshot) = match (requirement, snapshot) {
        (Ok(requirement), Ok(snapshot)) => (requirement, snapshot),
        (requirement, snapshot) => {
            let (one, other) = (requirement.err(), snapshot.err());
            return Err(lines(
                [one, other].into_iter().flatten().flatten().collect(),
            ));
        }
    };
    let Some((currency, exchange)) = snapshot.currencies.get(&options.currency) else {
        let known: Vec<&str> = snapshot.currencies.0.keys().map(|code| &**code).collect();
        return Err(vec![format!(
            "--currency: {:?} has no rate: write one of {}, or give its rate under `currencies` \
             in the configuration",
            options.currency,
            known.join(", ")
        )]);
    };
    let services = services(&snapshot);
    if let Some(model) = &options.model
        && !services.iter().any(|service| **service.model == **model)
    {
        let models = services.iter().map(|service| &**service.model);
        let meant = closest(model, models).map(|meant| format!("; did you mean `{meant}`?"));
        let meant = meant.unwrap_or_default();
        return Err(vec![format!(
            "--model: no route serves {model:?} by this name{meant}"
        )]);
    }
    let measures = measures_of(options, &snapshot).map_err(|message| vec![message])?;
    if measures.is_none() && requirement.measured().next().is_some() {
        let metrics: Vec<&str> = requirement.measured().map(Metric::name).collect();
        eprintln!(
            "warning: there are no measures without --admin or --data: of everyone {} unknown",
            match metrics.as_slice() {
                [one] => format!("{one} is"),
                all => format!("{} are", all.join(", ")),
            }
        );
    }
    let measures = measures.unwrap_or_default();
    let asked = Asked {
        requirement: &requirement,
        model: options.model.as_deref(),
        currency,
        exchange,
    };
    let rankings = rank(&services, &measures, &asked);
    let is_anyone_left = rankings.iter().any(|one| !one.ranked.is_empty());
    let shown = Shown {
        rankings: &rankings,
        columns: &asked.columns(),
        currency,
        window: options.window,
    };
    let text = match options.format {
        Format::Table => shown.table(),
        Format::Json => shown.json(),
        Format::Csv => shown.csv(),
    };
    Ok((text, is_anyone_left))
}

fn requirement_of(path: &Path) -> Result<Requirement, Vec<crate::config::problem::Problem>> {
    requirement::read(&text_of(path)?, &path.display().to_string())
}

/// None: none were asked for.
fn measures_of(options: &Options, snapshot: &Snapshot) -> Result<Option<Measures>, String> {
    if let Some(path) = &options.data {
        let name = path.display();
        let read = std::fs::read(path).map_err(|error| format!("{name}: cannot be read: {error}"));
        let measures = Measures::read(&read?, options.window);
        return measures
            .map(Some)
            .map_err(|message| format!("{name}: {message}"));
    }
    let Some(address) = &options.admin else {
        return Ok(None);
    };
    let own = snapshot.server.admin.as_ref();
    let own = own.filter(|own| admin::is(address, own.address));
    let own = own.and_then(|own| own.token.as_ref());
    let token = options.token.as_deref();
    let token = token.or_else(|| own.map(|token| token.expose()));
    let path = format!("/api/measures?window={}", options.window.name());
    let answer = admin::get(address, &path, token);
    let measures = answer.and_then(|answer| Measures::read(&answer, options.window));
    measures
        .map(Some)
        .map_err(|message| format!("--admin {address}: {message}"))
}
