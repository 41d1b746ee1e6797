//! `store`: where a record of each request is kept.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::secret::Secret;
use crate::config::snapshot::{Store, StorePlace};
use crate::config::validate::names::{number, time};
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Where records go when nobody says.
const FILE: &str = "overspill.db";
const EXAMPLE: &str = "write one such as `sqlite:overspill.db` or \
                       `postgres://user:password@host:5432/overspill`, or `off`";
/// What the address of a PostgreSQL server may say after its `?`.
const PARAMETERS: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "options",
];

pub fn store(
    report: &mut Report,
    place: &Place,
    file: Option<file::Store>,
    directory: &Path,
) -> Option<Store> {
    let (url, retention, queue) = match file {
        Some(file::Store::Off) => return None,
        None => (None, None, None),
        Some(file::Store::At {
            url,
            retention,
            queue,
        }) => (url, retention, queue),
    };
    let implied = url.is_none();
    let beside = StorePlace::Sqlite(directory.join(FILE));
    let at = match url.map(|url| parse(&url, directory)) {
        None => beside,
        Some(Ok(at)) => at,
        Some(Err(message)) => {
            let url = place.key("url");
            // It may also be written as the URL alone.
            let place = if report.was_written(&url) {
                &url
            } else {
                place
            };
            report.error(place, message);
            beside
        }
    };
    let second = Duration::from_secs(1);
    let retention = time(
        report,
        &place.key("retention"),
        retention,
        90 * DAY,
        second..=3650 * DAY,
    );
    let queue = number(report, &place.key("queue"), queue, 20_000, 1..=10_000_000);
    Some(Store {
        place: at,
        retention,
        queue: usize::try_from(queue).unwrap_or(usize::MAX),
        implied,
    })
}

/// The message goes on from the value, and quotes nothing of it.
fn parse(url: &Secret, directory: &Path) -> Result<StorePlace, String> {
    let text = url.expose();
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => {
            let path = text.get("sqlite:".len()..).unwrap_or_default();
            sqlite(path.strip_prefix("//").unwrap_or(path), directory)
        }
        "postgres" | "postgresql" => postgres(url),
        _ => Err(format!("is no URL of a store; {EXAMPLE}")),
    }
}

fn sqlite(path: &str, directory: &Path) -> Result<StorePlace, String> {
    if path == ":memory:" {
        return Err("is a store that nothing is kept in; write `store: off`".to_owned());
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(format!("names no file; {EXAMPLE}"));
    }
    if path.contains(['?', '#', '\0']) {
        let message = "has more than a path; write the path alone, as in `sqlite:overspill.db`";
        return Err(message.to_owned());
    }
    Ok(StorePlace::Sqlite(directory.join(path)))
}

fn postgres(url: &Secret) -> Result<StorePlace, String> {
    let text = url.expose();
    let parameters = text
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    for parameter in parameters.split('&').filter(|one| !one.is_empty()) {
        let name = parameter
            .split_once('=')
            .map_or(parameter, |(name, _)| name);
        if !PARAMETERS.contains(&name) {
            return Err(format!(
                "has a parameter that is not known here; known are {}; user and password are \
                 written before the host",
                PARAMETERS.join(", ")
            ));
        }
    }
    match text.parse::<sqlx::postgres::PgConnectOptions>() {
        Ok(_) => Ok(StorePlace::Postgres(url.clone())),
        Err(_) => Err(format!(
            "is not a URL as PostgreSQL knows it; {EXAMPLE}; signs in a password that mean \
             something in a URL are written as `%40` and the like"
        )),
    }
}
