//! Pingora's hooks. They only delegate: what happens in a phase stands in the file of its name.
//!
//! A call that the gateway answers itself leaves the pipeline in `request_filter`; all later hooks
//! are those of a route that streams through.

use crate::proxy::admit::{self, Admitted, Work};
use crate::proxy::context::Call;
use crate::proxy::door::whole_seconds;
use crate::proxy::failed::failed;
use crate::proxy::handover::hand_over;
use crate::proxy::passthrough;
use crate::proxy::reply;
use crate::proxy::shared::Shared;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Gateway {
    pub shared: Arc<Shared>,
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// None: it has left.
    type CTX = Option<Box<Call>>;

    fn new_ctx(&self) -> Option<Box<Call>> {
        Some(Box::new(Call::new(&self.shared, Instant::now())))
    }

    /// None of Pingora's own modules: bodies pass as they are.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<()> {
        let Some(call) = call else { return Ok(()) };
        let server = &call.snapshot.server;
        let down = &mut session.downstream_session;
        // Unset, an idle connection would be kept for ever. A caller that wants none gets none.
        if wants_to_part(down) {
            down.set_keepalive(None);
        } else if down.get_keepalive().is_some() {
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
        carried: &mut Option<Box<Call>>,
    ) -> pingora::Result<bool> {
        let Some(mut call) = carried.take() else {
            return Ok(true);
        };
        let down = &mut session.downstream_session;
        let work = match admit::admit(down, &mut call) {
            Admitted::Own(work) => work,
            Admitted::Stream(route) => match passthrough::enter(down, &mut call, &route).await {
                Ok(()) => {
                    *carried = Some(call);
                    return Ok(false);
                }
                Err(refused) => Work::Refusal(refused.into()),
            },
        };
        hand_over(down, call, work);
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<Box<HttpPeer>> {
        match call.as_ref().and_then(|call| call.passthrough.as_ref()) {
            Some(chosen) => Ok(passthrough::peer(chosen)),
            None => Error::e_explain(ErrorType::InternalError, "no target was chosen"),
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        call: &mut Option<Box<Call>>,
        error: Box<Error>,
    ) -> Box<Error> {
        match call {
            Some(call) => passthrough::not_connected(call, error),
            None => error,
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<()> {
        match call {
            Some(call) => {
                passthrough::rewrite_request(&mut session.downstream_session, call, request).await
            }
            None => Ok(()),
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        _call: &mut Option<Box<Call>>,
    ) -> pingora::Result<()> {
        if end_of_stream {
            passthrough::end_body(&session.downstream_session, body);
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<()> {
        if let Some(call) = call {
            passthrough::hold_error(call, response);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<()> {
        let Some(call) = call else { return Ok(()) };
        let down = &mut session.downstream_session;
        reply::part_at_the_end(down, &call.tale);
        passthrough::rewrite_response(down, call, response)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<Option<Duration>> {
        if let Some(call) = call {
            passthrough::pass_body(call, body, end_of_stream);
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut HeaderMap,
        call: &mut Option<Box<Call>>,
    ) -> pingora::Result<Option<Bytes>> {
        Ok(call
            .as_mut()
            .and_then(|call| passthrough::rest_of_body(call)))
    }

    /// A request that ends with an error: told to the caller where there is still something to
    /// tell and someone to tell it to.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        call: &mut Option<Box<Call>>,
    ) -> FailToProxy {
        let mut error_code = 0;
        if let Some(call) = call {
            failed(&mut session.downstream_session, error, call).await;
            error_code = call.tale.status;
        }
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(
        &self,
        session: &mut Session,
        _error: Option<&Error>,
        call: &mut Option<Box<Call>>,
    ) {
        if let Some(call) = call {
            call.tale.bytes_in = session.downstream_session.body_bytes_read() as u64;
            passthrough::ended(call);
            call.settle(Instant::now());
        }
    }

    /// The access line tells how each request ended.
    fn suppress_error_log(
        &self,
        _session: &Session,
        _call: &Option<Box<Call>>,
        _error: &Error,
    ) -> bool {
        true
    }
}

/// Whether the caller says that this is its last request here, on any of its lines: Pingora reads
/// the first alone.
fn wants_to_part(session: &ServerSession) -> bool {
    let lines = session.req_header().headers.get_all(header::CONNECTION);
    lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}
