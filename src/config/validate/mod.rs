//! From the parsed form to the ready form, saying everything that keeps it from being one.
//!
//! Each part here both checks and builds. Where it reports an error it goes on with something
//! harmless in its place: with one error reported, the snapshot is thrown away.

mod access;
mod auth;
mod balance;
mod breaker;
mod budget;
mod client_tls;
mod currency;
mod endpoint_url;
mod facts;
mod health;
mod limits;
mod log;
mod matches;
mod model;
mod names;
mod pem;
mod policy;
mod price;
mod provider;
mod proxy;
mod reach;
mod region;
mod route;
pub mod rules;
mod served;
mod server;
mod serving;
mod store;
mod stream;
mod target;
mod traces;

use crate::config::date::Date;
use crate::config::file::File;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::Snapshot;
use crate::config::validate::rules::Known;
use std::path::Path;

pub use endpoint_url::EndpointUrl;
pub use names::{is_foreign_name, is_name};

#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where relative paths begin.
    pub directory: &'a Path,
    pub today: Date,
}

pub fn validate(file: File, report: &mut Report, context: Context<'_>) -> Snapshot {
    let root = Place::root();
    let log = log::log(report, &root.key("log"), &file.log, context.directory);
    let server = server::server(report, &root.key("server"), &file.server, context);
    let currencies = currency::currencies(report, &file.currencies);
    let accounts = provider::providers(report, file.providers, &server, context, &currencies);
    let known = Known {
        accounts: &accounts,
        currencies: &currencies,
    };
    let (keys, key_names) = access::keys(report, &file.keys, file.auth, &server, known);
    let defaults = policy::defaults(report, &root.key("defaults"), file.defaults, known);
    let traces = traces::traces(report, &root.key("traces"), file.traces.as_ref());
    let store = store::store(report, &root.key("store"), file.store, context.directory);
    let routes = route::routes(report, file.routes, &defaults, known, &key_names);
    budget::suspicious(report, &file.keys, &keys, &routes, store.as_ref());
    Snapshot {
        server,
        providers: accounts.into_ready(),
        routes,
        keys,
        log,
        currencies,
        traces,
        store,
    }
}
