//! The head of a routed call, but for its length: enough to write it again on another connection.

use crate::config::snapshot::{Auth, Provider};
use crate::telemetry::trace_context::{TRACEPARENT, TraceContext};
use crate::upstream::{credentials, headers, rewrite};
use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;
use std::fmt::Write;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// What is passed on byte for byte has to arrive as bytes we can read.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// Few heads are longer, and a small body fits in behind them.
const ROOM: usize = 2 * 1024;

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

    /// The head for a body of this length, as it goes over an HTTP/1.1 connection. None: it would be
    /// another request there.
    pub fn text(&self, length: usize) -> Option<BytesMut> {
        // What ends a line or a word would end the target.
        if self.target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        let mut text = BytesMut::with_capacity(ROOM);
        text.put_slice(b"POST ");
        text.put_slice(self.target.as_bytes());
        text.put_slice(b" HTTP/1.1\r\n");
        line(&mut text, &header::HOST, self.provider.authority.as_bytes());
        let credential = match self.auth {
            Auth::Header { name, value } => Some((name, value)),
            Auth::None | Auth::Query { .. } => None,
        };
        let ours = |name: &HeaderName| credential.is_some_and(|(ours, _)| ours == name);
        for (name, value) in self.kept.iter().filter(|(name, _)| !ours(name)) {
            line(&mut text, name, value.as_bytes());
        }
        if !self.names_content_type() && !ours(&header::CONTENT_TYPE) {
            line(&mut text, &header::CONTENT_TYPE, JSON.as_bytes());
        }
        line(&mut text, &header::ACCEPT_ENCODING, IDENTITY.as_bytes());
        if let Some((name, value)) = credential {
            line(&mut text, name, value.as_bytes());
        }
        // Writing to memory does not fail.
        let _ = write!(text, "Content-Length: {length}\r\n\r\n");
        Some(text)
    }

    /// The same for HTTP/2.
    pub fn head(&self, length: usize) -> pingora::Result<Box<RequestHeader>> {
        let target = self.target.as_bytes();
        let mut request = RequestHeader::build_no_case(Method::POST, target, Some(8))?;
        request.insert_header(header::HOST, self.provider.authority.clone())?;
        for (name, value) in &self.kept {
            request.append_header(name.clone(), value.clone())?;
        }
        if !self.names_content_type() {
            request.insert_header(header::CONTENT_TYPE, JSON)?;
        }
        request.insert_header(header::ACCEPT_ENCODING, IDENTITY)?;
        request.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
        credentials::apply(self.auth, &mut request)?;
        Ok(Box::new(request))
    }

    fn names_content_type(&self) -> bool {
        let mut names = self.kept.iter().map(|(name, _)| name);
        names.any(|name| *name == header::CONTENT_TYPE)
    }
}

/// A header with its words capitalised, as servers have seen it for longest.
fn line(text: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    let mut starts = true;
    for byte in name.as_str().bytes() {
        text.put_u8(if starts {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        starts = byte == b'-';
    }
    text.put_slice(b": ");
    text.put_slice(value);
    text.put_slice(b"\r\n");
}
