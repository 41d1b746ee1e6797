//! Pingora's hooks. They only delegate: what happens in a phase stands in the file of its name.

use crate::config::snapshot::Endpoint;
use crate::error::{Failure, Reason};
use crate::proxy::context::Call;
use crate::proxy::door::whole_seconds;
use crate::proxy::shared::Shared;
use crate::proxy::{admit, passthrough, reply};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Gateway {
    pub shared: Arc<Shared>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Call;

    fn new_ctx(&self) -> Call {
        Call::new(&self.shared, Instant::now())
    }

    /// None of Pingora's own modules: bodies pass as they are.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        call: &mut Call,
    ) -> pingora::Result<()> {
        let server = &call.snapshot.server;
        let down = &mut session.downstream_session;
        // Unset, an idle connection would be kept for ever. A caller that wants none gets none.
        if down.get_keepalive().is_some() {
            down.set_keepalive(Some(whole_seconds(server.keepalive)));
        }
        down.set_read_timeout(Some(server.body_timeout));
        down.set_write_timeout(Some(server.write_timeout));
        // Bytes after the body are the next request, not a reason to drop this one.
        down.set_pipelining_enabled(true);
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        call: &mut Call,
    ) -> pingora::Result<bool> {
        admit::admit(session, call).await
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        call: &mut Call,
    ) -> pingora::Result<Box<HttpPeer>> {
        match &call.passthrough {
            Some(chosen) => Ok(passthrough::peer(chosen)),
            None => Error::e_explain(ErrorType::InternalError, "no target was chosen"),
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        call: &mut Call,
        error: Box<Error>,
    ) -> Box<Error> {
        passthrough::not_connected(call, error)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        call: &mut Call,
    ) -> pingora::Result<()> {
        passthrough::rewrite_request(session, call, request).await
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        call: &mut Call,
    ) -> pingora::Result<()> {
        passthrough::hold_error(call, response);
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        call: &mut Call,
    ) -> pingora::Result<()> {
        reply::part_at_the_end(session, &call.tale);
        passthrough::rewrite_response(session, call, response)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        call: &mut Call,
    ) -> pingora::Result<Option<Duration>> {
        passthrough::pass_body(call, body, end_of_stream);
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut HeaderMap,
        call: &mut Call,
    ) -> pingora::Result<Option<Bytes>> {
        Ok(passthrough::rest_of_body(call))
    }

    /// A request that ends with an error: told to the caller where there is still something to
    /// tell and someone to tell it to.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        call: &mut Call,
    ) -> FailToProxy {
        let told = session
            .downstream_session
            .response_written()
            .is_some_and(|head| {
                !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
            });
        let failure = failure(error, told).cause(error);
        call.tale.end(failure.reason);
        passthrough::failed(call, failure.reason);
        if !told && listens(error, failure.reason) {
            session.downstream_session.set_keepalive(None);
            let endpoint = Endpoint::at(&call.path);
            // The caller may be gone by now; nothing more can be done about it here.
            let _ = reply::fail(session, failure, endpoint, None, &mut call.tale).await;
        } else {
            call.tale.cause = call.tale.cause.take().or(failure.cause);
        }
        FailToProxy {
            error_code: call.tale.status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, call: &mut Call) {
        if call.passthrough.is_some() {
            call.tale.bytes_in = session.downstream_session.body_bytes_read() as u64;
            passthrough::ended(call);
        }
        call.settle(Instant::now());
    }

    /// The access line tells how each request ended.
    fn suppress_error_log(&self, _session: &Session, _call: &Call, _error: &Error) -> bool {
        true
    }
}

/// What an error means. Pingora marks those of upstreams; an I/O error without a mark is the
/// caller's connection.
fn failure(error: &Error, told: bool) -> Failure {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectProxyFailure, ConnectRefused, ConnectTimedout,
        ConnectionClosed, Custom, InvalidCert, InvalidHTTPHeader, ReadError, ReadTimedout,
        TLSHandshakeFailure, TLSHandshakeTimedout, WriteError, WriteTimedout,
    };
    let (reason, message) = match (error.esource(), error.etype()) {
        (
            ErrorSource::Upstream,
            ConnectTimedout | ConnectRefused | ConnectNoRoute | ConnectError | ConnectProxyFailure
            | TLSHandshakeFailure | TLSHandshakeTimedout | InvalidCert,
        ) => (
            Reason::ProviderUnreachable,
            "the provider could not be reached: try again shortly",
        ),
        (ErrorSource::Upstream, ReadTimedout | WriteTimedout) => (
            Reason::ProviderTimeout,
            "the provider did not answer in time: try again later",
        ),
        (ErrorSource::Upstream, &passthrough::ACCOUNT_REFUSED) => (
            Reason::ProviderAuth,
            "the gateway's own account at the provider was refused: its operator has to mend that",
        ),
        (ErrorSource::Upstream, _) if told => (
            Reason::ProviderTruncated,
            "the provider broke off its answer: try again",
        ),
        (ErrorSource::Upstream, _) => (
            Reason::ProviderReset,
            "the provider closed the connection without an answer: try again",
        ),
        (_, InvalidHTTPHeader) => (
            Reason::CallerBadRequest,
            "the request's head cannot be passed on",
        ),
        // Pingora names them so, and keeps the names to itself.
        (_, Custom("InvalidChunk" | "InvalidTrailerEnd")) => (
            Reason::CallerBadRequest,
            "the request's body is not in chunks as its head says",
        ),
        (_, ReadTimedout) => (
            Reason::CallerTimeout,
            "the request's body stopped coming: send it faster",
        ),
        (_, WriteTimedout) => (Reason::CallerTimeout, "the caller stopped reading"),
        (ErrorSource::Downstream, _) | (_, ReadError | WriteError | ConnectionClosed) => {
            (Reason::CallerCancelled, "the caller left")
        }
        _ => (Reason::GatewayInternal, "the gateway failed"),
    };
    Failure::new(reason, message)
}

/// Whether the caller is still there to be told.
fn listens(error: &Error, reason: Reason) -> bool {
    match reason {
        Reason::CallerCancelled => false,
        Reason::CallerTimeout => *error.etype() != ErrorType::WriteTimedout,
        _ => true,
    }
}
