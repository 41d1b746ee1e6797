//! The head of a routed call, but for its length: enough to write it again on another connection.

use crate::config::snapshot::{Auth, Provider};
use crate::telemetry::trace_context::{TRACEPARENT, TraceContext};
use crate::upstream::{credentials, headers, rewrite};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;

pub struct Outline<'a> {
    provider: &'a Provider,
    /// Who calls, as this provider wants to be told.
    auth: &'a Auth,
    target: String,
    /// The caller's headers that go along.
    kept: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Outline<'a> {
    pub fn new(
        provider: &'a Provider,
        auth: &'a Auth,
        base_path: &str,
        below: &str,
        query: Option<&str>,
        caller: &HeaderMap,
        forward: &[HeaderName],
    ) -> Outline<'a> {
        Outline {
            provider,
            auth,
            target: rewrite::target(auth, base_path, below, query),
            kept: headers::to_provider(caller, forward)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// As the attempt with this number, from 0, of a request in a trace.
    pub fn traced(mut self, context: Option<&TraceContext>, number: usize) -> Outline<'a> {
        if let Some((context, told)) = headers::told_trace(context, number) {
            self.kept
                .retain(|(name, _)| headers::stays_in_trace(context, name));
            self.kept.push((TRACEPARENT, told));
        }
        self
    }

    /// The head for a body of this length.
    pub fn head(&self, length: usize) -> pingora::Result<Box<RequestHeader>> {
        let target = self.target.as_bytes();
        let mut request = RequestHeader::build_no_case(Method::POST, target, Some(8))?;
        request.insert_header(header::HOST, self.provider.authority.clone())?;
        for (name, value) in &self.kept {
            request.append_header(name.clone(), value.clone())?;
        }
        if !request.headers.contains_key(header::CONTENT_TYPE) {
            let json = HeaderValue::from_static("application/json");
            request.insert_header(header::CONTENT_TYPE, json)?;
        }
        // What is passed on byte for byte has to arrive as bytes we can read.
        let identity = HeaderValue::from_static("identity");
        request.insert_header(header::ACCEPT_ENCODING, identity)?;
        request.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
        credentials::apply(self.auth, &mut request)?;
        Ok(Box::new(request))
    }
}
