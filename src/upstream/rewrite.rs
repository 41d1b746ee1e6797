//! A caller's request, as a provider is to see it.

use crate::config::snapshot::{Auth, Provider};
use crate::routing::table::unescaped;
use crate::telemetry::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};
use crate::upstream::{credentials, headers};
use http::{HeaderName, header};
use pingora::http::RequestHeader;

/// The request target at a provider: the base path, the path below it, the caller's query, and
/// the credential where it travels there.
pub fn target(auth: &Auth, base_path: &str, below: &str, query: Option<&str>) -> String {
    let credential = match auth {
        Auth::Query { pair } => Some(pair.expose()),
        Auth::None | Auth::Header { .. } => None,
    };
    let mut target = String::with_capacity(base_path.len() + below.len() + 64);
    target.push_str(base_path);
    target.push_str(below);
    if target.is_empty() {
        target.push('/');
    }
    let query = query.filter(|query| !query.is_empty());
    let callers = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        // A provider that takes the first of two would take the caller's for ours.
        .filter(|pair| {
            !credential.is_some_and(|ours| name(ours).eq_ignore_ascii_case(&name(pair)))
        });
    let mut separator = '?';
    for pair in callers.chain(credential) {
        target.push(separator);
        target.push_str(pair);
        separator = '&';
    }
    target
}

/// Of a pair in a query, its escapes undone.
fn name(pair: &str) -> String {
    unescaped(pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// Turns a request that is streamed through into the provider's: everything of the caller's that
/// is not allowed is dropped, framing and upgrade headers stay.
pub fn passthrough(
    provider: &Provider,
    auth: &Auth,
    below: &str,
    forward: &[HeaderName],
    context: Option<&TraceContext>,
    request: &mut RequestHeader,
) -> pingora::Result<()> {
    const FRAMING: [HeaderName; 12] = [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::RANGE,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
    ];
    let kept: Vec<HeaderName> = headers::to_provider(&request.headers, forward)
        .map(|(name, _)| name.clone())
        .collect();
    let dropped: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| !kept.contains(name) && !FRAMING.contains(name))
        .cloned()
        .collect();
    for name in &dropped {
        request.remove_header(name);
    }
    if let Some((context, told)) = headers::told_trace(context, 0) {
        if !headers::stays_in_trace(context, &TRACESTATE) {
            request.remove_header(&TRACESTATE);
        }
        request.insert_header(TRACEPARENT, told)?;
    }
    let query = request.uri.query().map(str::to_owned);
    request.set_raw_path(target(auth, &provider.base_path, below, query.as_deref()).as_bytes())?;
    request.insert_header(header::HOST, provider.authority.clone())?;
    credentials::apply(auth, request)
}
