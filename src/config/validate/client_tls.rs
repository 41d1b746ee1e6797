//! `providers.*.tls`: how we know the provider, and how it knows us.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::ClientTls;
use crate::config::validate::pem::{checked, required};
use std::path::Path;

pub fn client_tls(
    report: &mut Report,
    provider: &Place,
    file: Option<&file::ProviderTls>,
    is_used: bool,
    directory: &Path,
) -> ClientTls {
    let place = provider.key("tls");
    let Some(file) = file else {
        return ClientTls {
            verify: true,
            ca: None,
            cert: None,
        };
    };
    if !is_used {
        report.error(&place, "has no effect on an `http://` base URL; remove it");
    }
    let verify = file.verify.unwrap_or(true);
    let ca = file.ca.as_deref();
    if !verify && ca.is_some() {
        let message = "is never asked with `verify: false`; remove one of the two";
        report.error(&place.key("ca"), message);
    } else if !verify {
        let message = "the provider's certificate is not verified: \
                       whoever answers in its place gets the key and every request";
        report.warn(&place.key("verify"), message);
    }
    let ca = ca.map(|path| checked(report, &place, "ca", path, directory));
    let is_known = file.cert.is_some() || file.key.is_some();
    let cert = is_known.then(|| {
        let mut pem = |field, path| required(report, &place, field, path, directory);
        (
            pem("cert", file.cert.as_deref()),
            pem("key", file.key.as_deref()),
        )
    });
    ClientTls { verify, ca, cert }
}
