//! Who we are at a provider.

use crate::config::snapshot::Auth;
use pingora::http::RequestHeader;

/// Puts the provider's credentials on a request that carries none of the caller's.
pub fn apply(auth: &Auth, request: &mut RequestHeader) -> pingora::Result<()> {
    match auth {
        // The query's pair went into the path: see `rewrite::target`.
        Auth::None | Auth::Query { .. } => Ok(()),
        Auth::Header { name, value } => request.insert_header(name.clone(), value.clone()),
    }
}
