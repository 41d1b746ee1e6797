//! How a provider is told who calls, and every credential in that.

use crate::catalog::{Known, KnownAuth};
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::secret::Secret;
use crate::config::shape::{Ordered, elements};
use crate::config::snapshot::Auth;
use http::{HeaderName, HeaderValue, header};

/// One a key of the pool, and all that is secret in them. Nothing where it was wrong.
pub type Credentials = Option<(Vec<Auth>, Vec<Secret>)>;

/// One key as it is sent, and what is secret in it.
type Sent = Option<(Auth, Vec<Secret>)>;

pub fn credentials(
    report: &mut Report,
    place: &Place,
    file: &file::Provider,
    known: Option<&Known>,
) -> Credentials {
    let keys = keys(report, place, file)?;
    let auth_place = place.key("auth");
    let keys_place = match &file.api_keys {
        Some(_) => place.key("api_keys"),
        None => place.key("api_key"),
    };
    match &file.auth {
        Some(file::Auth::None) if keys.is_empty() => Some((vec![Auth::None], vec![])),
        Some(file::Auth::None) => {
            let message = "is never sent with `auth: none`; remove one of the two";
            report.error(&keys_place, message);
            None
        }
        Some(file::Auth::Bearer) if keys.is_empty() => {
            missing(report, place, "missing: `auth: bearer` sends it");
            None
        }
        Some(file::Auth::Bearer) => pool(&keys, |place, key| bearer(report, place, key)),
        Some(file::Auth::Own { header, query }) if keys.is_empty() => {
            let (sent, secrets) = own(report, &auth_place, header.as_ref(), query.as_ref())?;
            Some((vec![sent], secrets))
        }
        Some(file::Auth::Own { .. }) => {
            let message = "is never sent beside an `auth` with a value of its own; \
                           remove one of the two";
            report.error(&keys_place, message);
            None
        }
        // What `auth` was meant to say is not known.
        None if report.was_refused(&auth_place) => None,
        None if keys.is_empty() => without_key(report, place, known),
        None => match known.map(|known| &known.auth) {
            Some(KnownAuth::Header(name)) => {
                pool(&keys, |place, key| header(report, place, name, key))
            }
            _ => pool(&keys, |place, key| bearer(report, place, key)),
        },
    }
}

/// The keys as written, each with its place. Nothing where one of them was wrong.
fn keys<'a>(
    report: &mut Report,
    place: &Place,
    file: &'a file::Provider,
) -> Option<Vec<(Place, &'a Secret)>> {
    let single = place.key("api_key");
    let pool = place.key("api_keys");
    let keys = match &file.api_keys {
        None => file
            .api_key
            .iter()
            .map(|key| (single.clone(), key))
            .collect(),
        Some(_) if report.was_written(&single) => {
            report.error(&pool, "stands beside `api_key`; remove one of the two");
            return None;
        }
        Some(list) if list.is_empty() => {
            report.error(&pool, "is empty; name at least one key");
            return None;
        }
        Some(list) => elements(list, &pool),
    };
    let errors = report.count();
    for (index, (place, key)) in keys.iter().enumerate() {
        if key.expose().is_empty() {
            report.error(place, "is empty");
        } else if keys.iter().take(index).any(|(_, earlier)| earlier == key) {
            report.error(place, "is the same key as one before it");
        }
    }
    let all_read = file
        .api_keys
        .as_ref()
        .is_none_or(|list| list.len() == keys.len());
    (all_read && errors == report.count()).then_some(keys)
}

/// Every key, so that all that is wrong is said at once.
fn pool(keys: &[(Place, &Secret)], mut send: impl FnMut(&Place, &Secret) -> Sent) -> Credentials {
    let sent: Vec<Sent> = keys.iter().map(|(place, key)| send(place, key)).collect();
    let sent: Option<Vec<(Auth, Vec<Secret>)>> = sent.into_iter().collect();
    let (auths, secrets): (Vec<Auth>, Vec<Vec<Secret>>) = sent?.into_iter().unzip();
    Some((auths, secrets.concat()))
}

fn without_key(report: &mut Report, place: &Place, known: Option<&Known>) -> Credentials {
    match known.map(|known| &known.auth) {
        Some(KnownAuth::None) if !report.was_written(&place.key("api_keys")) => {
            return Some((vec![Auth::None], vec![]));
        }
        Some(KnownAuth::None) => {}
        Some(_) => missing(report, place, "missing: this provider wants a key"),
        None => {
            let message = "missing: give a key, or write `auth: none` if it wants none";
            missing(report, place, message);
        }
    }
    None
}

/// Silent if a pool was written, and was reported as wrong.
fn missing(report: &mut Report, place: &Place, message: &str) {
    if !report.was_written(&place.key("api_keys")) {
        report.missing(place, "api_key", message);
    }
}

fn bearer(report: &mut Report, place: &Place, key: &Secret) -> Sent {
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
) -> Sent {
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

/// What every request says itself of its body and its connection: said twice, it may be read as two
/// requests.
static SAID_BY_US: [HeaderName; 10] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn header(report: &mut Report, place: &Place, name: &str, value: &Secret) -> Sent {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        // Not quoted: the secret itself may have slipped into the name.
        report.error(place, "has a name that is no header name");
        return None;
    };
    if SAID_BY_US.contains(&name) {
        let message = format!(
            "`{name}` cannot carry a credential; write the header that the provider reads its key \
             from, such as `api-key`"
        );
        report.error(place, message);
        return None;
    }
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

pub fn header_value(report: &mut Report, place: &Place, value: &Secret) -> Option<HeaderValue> {
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
