//! Pingora's hooks. They only delegate: what happens in a phase stands in the file of its name.

use crate::error::{Failure, Reason};
use crate::proxy::context::Call;
use crate::proxy::shared::Shared;
use crate::proxy::{admit, passthrough, reply};
use async_trait::async_trait;
use bytes::Bytes;
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

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        call: &mut Call,
    ) -> pingora::Result<()> {
        match &call.passthrough {
            Some(chosen) => passthrough::rewrite_request(chosen, request),
            None => Ok(()),
        }
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        call: &mut Call,
    ) -> pingora::Result<()> {
        passthrough::rewrite_response(call, response)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        call: &mut Call,
    ) -> pingora::Result<Option<Duration>> {
        call.tale.bytes_out += body.as_ref().map_or(0, |body| body.len() as u64);
        Ok(None)
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
            .is_some_and(|head| !head.status.is_informational());
        let failure = failure(error);
        call.tale.end(failure.reason);
        call.tale.cause.get_or_insert_with(|| error.to_string());
        if !told && *error.esource() != ErrorSource::Downstream {
            session.downstream_session.set_keepalive(None);
            // The caller may be gone by now; nothing more can be done about it here.
            let _ = reply::fail(session, failure, None, None, &mut call.tale).await;
        }
        FailToProxy {
            error_code: call.tale.status,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, call: &mut Call) {
        if call.passthrough.is_some() {
            call.tale.bytes_in = session.downstream_session.body_bytes_read() as u64;
        }
        call.settle(Instant::now());
    }

    /// The access line tells how each request ended.
    fn suppress_error_log(&self, _session: &Session, _call: &Call, _error: &Error) -> bool {
        true
    }
}

fn failure(error: &Error) -> Failure {
    let (reason, message) = match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, _) => (Reason::CallerCancelled, "the caller left"),
        (
            ErrorSource::Upstream,
            ErrorType::ConnectTimedout | ErrorType::ConnectRefused | ErrorType::ConnectNoRoute,
        )
        | (ErrorSource::Upstream, ErrorType::ConnectError | ErrorType::TLSHandshakeFailure)
        | (ErrorSource::Upstream, ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert) => (
            Reason::ProviderUnreachable,
            "the provider could not be reached: try again shortly",
        ),
        (_, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => (
            Reason::ProviderTimeout,
            "the provider did not answer in time: try again later",
        ),
        (ErrorSource::Upstream, _) => (
            Reason::ProviderReset,
            "the provider closed the connection without an answer: try again",
        ),
        (_, ErrorType::InvalidHTTPHeader) => (
            Reason::CallerBadRequest,
            "the request's head cannot be passed on",
        ),
        _ => (Reason::GatewayInternal, "the gateway failed"),
    };
    Failure::new(reason, message)
}

fn whole_seconds(duration: Duration) -> u64 {
    // Zero would mean for ever.
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}
