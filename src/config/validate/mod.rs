//! From the parsed form to the ready form, saying everything that keeps it from being one.
//!
//! Each part here both checks and builds. Where it reports an error it goes on with something
//! harmless in its place: with one error reported, the snapshot is thrown away.

mod access;
mod auth;
mod balance;
mod breaker;
mod client_tls;
mod currency;
mod endpoint_url;
mod facts;
mod health;
mod limits;
mod matches;
mod model;
mod names;
mod pem;
mod policy;
mod price;
mod provider;
mod proxy;
mod reach;
mod route;
mod rules;
mod served;
mod server;
mod serving;
mod stream;
mod target;

use crate::config::date::Date;
use crate::config::file::{self, File};
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{Log, LogFormat, Snapshot};
use crate::config::validate::rules::Known;
use std::path::Path;

#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where relative paths begin.
    pub directory: &'a Path,
    pub today: Date,
}

pub fn validate(file: File, report: &mut Report, context: Context<'_>) -> Snapshot {
    let root = Place::root();
    let log = log(&file.log);
    let server = server::server(report, &root.key("server"), &file.server, context);
    let currencies = currency::currencies(report, &file.currencies);
    let accounts = provider::providers(report, file.providers, &server, context, &currencies);
    let known = Known {
        accounts: &accounts,
        currencies: &currencies,
    };
    let (keys, key_names) = access::keys(report, &file.keys, file.auth, &server, known);
    let defaults = policy::defaults(report, &root.key("defaults"), file.defaults, known);
    let routes = route::routes(report, file.routes, &defaults, known, &key_names);
    Snapshot {
        server,
        providers: accounts.into_ready(),
        routes,
        keys,
        log,
        currencies,
    }
}

fn log(log: &file::Log) -> Log {
    let format = match log.format {
        None | Some(file::LogFormat::Auto) => LogFormat::Auto,
        Some(file::LogFormat::Text) => LogFormat::Text,
        Some(file::LogFormat::Json) => LogFormat::Json,
    };
    let level = match log.level {
        Some(file::Level::Error) => tracing::Level::ERROR,
        Some(file::Level::Warn) => tracing::Level::WARN,
        None | Some(file::Level::Info) => tracing::Level::INFO,
        Some(file::Level::Debug) => tracing::Level::DEBUG,
        Some(file::Level::Trace) => tracing::Level::TRACE,
    };
    Log { format, level }
}
