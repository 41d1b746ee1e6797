mod balance;
mod budgets;
mod examples;
mod fuzz;
mod grammar;
mod log;
mod messages;
mod parse;
mod prices;
mod regions;
mod requirement;
mod rules;
mod secrets;
mod store;
mod streams;
mod traces;
mod upstream_messages;
mod upstreams;
mod warnings;

use super::date::Date;
use super::load::{Loaded, read};
use super::problem::Problem;
use super::reference::Surroundings;
use std::path::Path;

/// On a day when the catalogue's prices are fresh.
fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    load_on(text, "2026-08-01")
}

fn load_on(text: &str, day: &str) -> Result<Loaded, Vec<Problem>> {
    let env = |name: &str| match name {
        "KEY" => Some("sk-from-environment".to_owned()),
        "HOST" => Some("model host".to_owned()),
        "PORT" => Some("8443".to_owned()),
        "NEWLINE" => Some("sk-with-newline\n".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let around = Surroundings {
        env: &env,
        directory: Path::new(""),
    };
    read(text, "o.yaml", around, Date::parse(day).unwrap())
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
