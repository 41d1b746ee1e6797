//! `traces`: the collector, and what it is told.

use crate::config::file;
use crate::config::host;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::secret::Secret;
use crate::config::shape::Ordered;
use crate::config::snapshot::Traces;
use crate::config::validate::auth::header_value;
use crate::config::validate::endpoint_url::EndpointUrl;
use crate::config::validate::names::is_foreign_name;
use http::{HeaderName, HeaderValue, header};

const PATH: &str = "/v1/traces";
const EXAMPLE: &str = "http://127.0.0.1:4318";
/// Where collectors speak the same over gRPC.
const GRPC: u16 = 4317;

pub fn traces(report: &mut Report, place: &Place, file: Option<&file::Traces>) -> Option<Traces> {
    let file = file?;
    let url = url(report, place, file.otlp.as_deref());
    let headers = headers(report, &place.key("headers"), &file.headers);
    let service = file.service.as_deref().unwrap_or("overspill");
    if !is_foreign_name(service) {
        let at = place.key("service");
        let message = "is not a service's name: up to 256 characters on one line";
        let message = format!("{} {message}", report.quote(&at));
        report.error(&at, message);
    }
    let url = url?;
    let at = place.key("otlp");
    if !url.tls && !headers.is_empty() && !host::is_loopback(&url.host) {
        let message = "the `headers` go over the network in plain text; use `https://`";
        report.warn(&at, message);
    }
    if url.port == GRPC {
        let message = "4317 is usually the port for gRPC, which is not spoken here; \
                       OTLP over HTTP has 4318";
        report.warn(&at, message);
    }
    Some(Traces {
        tls: url.tls,
        host: url.host,
        port: url.port,
        authority: url.authority,
        path: url.base_path + PATH,
        headers,
        sample: file.sample.map_or(1.0, |share| share.share()),
        service: service.into(),
    })
}

fn url(report: &mut Report, place: &Place, text: Option<&str>) -> Option<EndpointUrl> {
    let Some(text) = text else {
        let message = format!("missing: write a collector's address such as `{EXAMPLE}`");
        report.missing(place, "otlp", &message);
        return None;
    };
    let at = place.key("otlp");
    let parsed = match text.contains('@') {
        true => {
            // A URL with a password in it is not shown.
            let message = "the value has a user or password in it, which belongs in `headers`";
            report.error(&at, message);
            return None;
        }
        false => EndpointUrl::parse_like(text, EXAMPLE),
    };
    let wrong = match parsed {
        Ok(url) if url.base_path.ends_with(PATH) => {
            format!("ends in `{PATH}`, which is added to it; leave that out")
        }
        Ok(url) => return Some(url),
        Err(wrong) => wrong,
    };
    let message = format!("{} {wrong}", report.quote(&at));
    report.error(&at, message);
    None
}

fn headers(
    report: &mut Report,
    place: &Place,
    file: &Ordered<Secret>,
) -> Vec<(HeaderName, HeaderValue)> {
    const OURS: [HeaderName; 7] = [
        header::HOST,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::EXPECT,
    ];
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in &file.0 {
        let at = place.key(name.as_str());
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            // Not quoted: the secret itself may have slipped into the name.
            report.error(place, "has a name that is no header name");
            continue;
        };
        if OURS.contains(&name) {
            report.error(&at, "is set by the gateway itself; leave it out");
        } else if headers.iter().any(|(earlier, _)| *earlier == name) {
            report.error(&at, "is given twice; leave one of them out");
        } else if value.expose().is_empty() {
            report.error(&at, "is empty");
        } else if let Some(value) = header_value(report, &at, value) {
            headers.push((name, value));
        }
    }
    headers
}
