//! How a provider is told who calls, and every credential in that.

use crate::catalog::{Known, KnownAuth};
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::secret::Secret;
use crate::config::shape::Ordered;
use crate::config::snapshot::Auth;
use http::{HeaderName, HeaderValue, header};

/// Nothing where it was wrong.
pub type Credentials = Option<(Auth, Vec<Secret>)>;

pub fn credentials(
    report: &mut Report,
    place: &Place,
    file: &file::Provider,
    known: Option<&Known>,
) -> Credentials {
    let key_place = place.key("api_key");
    let key = file.api_key.as_ref();
    if key.is_some_and(|key| key.expose().is_empty()) {
        report.error(&key_place, "is empty");
        return None;
    }
    let auth_place = place.key("auth");
    match (&file.auth, key) {
        (Some(file::Auth::None), None) => Some((Auth::None, vec![])),
        (Some(file::Auth::None), Some(_)) => {
            report.error(
                &key_place,
                "is never sent with `auth: none`; remove one of the two",
            );
            None
        }
        (Some(file::Auth::Bearer), Some(key)) => bearer(report, &key_place, key),
        (Some(file::Auth::Bearer), None) => {
            report.missing(place, "api_key", "missing: `auth: bearer` sends it");
            None
        }
        (Some(file::Auth::Own { .. }), Some(_)) => {
            let message = "is never sent beside an `auth` with a value of its own; \
                           remove one of the two";
            report.error(&key_place, message);
            None
        }
        (Some(file::Auth::Own { header, query }), None) => {
            own(report, &auth_place, header.as_ref(), query.as_ref())
        }
        // What `auth` was meant to say is not known.
        (None, _) if report.was_refused(&auth_place) => None,
        (None, Some(key)) => match known.map(|known| &known.auth) {
            Some(KnownAuth::Header(name)) => header(report, &key_place, name, key),
            _ => bearer(report, &key_place, key),
        },
        (None, None) => without_key(report, place, known),
    }
}

fn without_key(report: &mut Report, place: &Place, known: Option<&Known>) -> Credentials {
    match known.map(|known| &known.auth) {
        Some(KnownAuth::None) => return Some((Auth::None, vec![])),
        Some(_) => report.missing(place, "api_key", "missing: this provider wants a key"),
        None => {
            let message = "missing: give a key, or write `auth: none` if it wants none";
            report.missing(place, "api_key", message);
        }
    }
    None
}

fn bearer(report: &mut Report, place: &Place, key: &Secret) -> Credentials {
    let value = Secret::new(format!("Bearer {}", key.expose()));
    let value = header_value(report, place, &value)?;
    Some((
        Auth::Header {
            name: header::AUTHORIZATION,
            value,
        },
        vec![key.clone()],
    ))
}

fn own(
    report: &mut Report,
    place: &Place,
    header_pairs: Option<&Ordered<Secret>>,
    query: Option<&Ordered<Secret>>,
) -> Credentials {
    let (field, pairs) = match (header_pairs, query) {
        (Some(pairs), None) => ("header", pairs),
        (None, Some(pairs)) => ("query", pairs),
        _ => {
            if !report.is_damaged(place) {
                report.error(place, "needs one of `header` and `query`");
            }
            return None;
        }
    };
    let place = place.key(field);
    let [(name, value)] = pairs.0.as_slice() else {
        let message = "needs one name with its value, such as {api-key: \"${API_KEY}\"}";
        if !report.is_damaged(&place) {
            report.error(&place, message);
        }
        return None;
    };
    if value.expose().is_empty() {
        report.error(&place.key(name.as_str()), "is empty");
        return None;
    }
    if field == "header" {
        return header(report, &place, name, value);
    }
    let pair = format!(
        "{}={}",
        percent_encoded(name),
        percent_encoded(value.expose())
    );
    let encoded = Secret::new(percent_encoded(value.expose()));
    Some((
        Auth::Query {
            pair: Secret::new(pair),
        },
        vec![value.clone(), encoded],
    ))
}

fn header(report: &mut Report, place: &Place, name: &str, value: &Secret) -> Credentials {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        // Not quoted: the secret itself may have slipped into the name.
        report.error(place, "has a name that is no header name");
        return None;
    };
    let sent = header_value(report, place, value)?;
    let mut secrets = vec![value.clone()];
    // `Bearer abc`: what would leak is `abc`.
    if let Some((_, credential)) = value.expose().rsplit_once(' ')
        && !credential.is_empty()
    {
        secrets.push(Secret::new(credential));
    }
    Some((Auth::Header { name, value: sent }, secrets))
}

fn header_value(report: &mut Report, place: &Place, value: &Secret) -> Option<HeaderValue> {
    let text = value.expose();
    let visible = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    match HeaderValue::from_str(text) {
        Ok(mut value) if visible && text.trim() == text => {
            value.set_sensitive(true);
            Some(value)
        }
        _ => {
            let message = "has a character that no header carries, \
                           such as a line break or a space at its end";
            report.error(place, message);
            None
        }
    }
}

/// All but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
