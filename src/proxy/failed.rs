//! A request that ends with an error of its connections.

use crate::config::snapshot::Endpoint;
use crate::error::{Failure, Reason};
use crate::proxy::context::Call;
use crate::proxy::{passthrough, reply};
use crate::relay::attempt::is_event_stream;
use crate::relay::give_up;
use crate::relay::line::STOPPED;
use http::StatusCode;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorSource, ErrorType};

/// Told to the caller where there is still something to tell and someone to tell it to.
pub async fn failed(session: &mut ServerSession, error: &Error, call: &mut Call) {
    let told = session.response_written().is_some_and(|head| {
        !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
    });
    let failure = failure(error, told).cause(error);
    call.tale.end(failure.reason);
    passthrough::failed(call, failure.reason);
    if told && failure.reason == Reason::GatewayStopped {
        // The same.
        let _ = end_stream(session, &failure, call).await;
    } else if !told && listens(error, failure.reason) {
        session.set_keepalive(None);
        let endpoint = Endpoint::at(&call.path);
        // The caller may be gone by now; nothing more can be done about it here.
        let _ = reply::fail(session, failure, endpoint, None, &mut call.tale).await;
    } else {
        call.tale.cause = call.tale.cause.take().or(failure.cause);
    }
}

/// A stream that is not whole ends with an event that says so.
async fn end_stream(
    session: &mut ServerSession,
    failure: &Failure,
    call: &mut Call,
) -> pingora::Result<()> {
    if !session.response_written().is_some_and(is_event_stream) {
        return Ok(());
    }
    let endpoint = Endpoint::at(&call.path).unwrap_or(Endpoint::Chat);
    let event = give_up::error_event(failure, None, endpoint, &call.tale);
    // Whatever was being said is over.
    let event = [&b"\n\n"[..], &event].concat();
    reply::write_body(session, event.into()).await?;
    reply::finish(session).await
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
        (_, &STOPPED) => (
            Reason::GatewayStopped,
            "the gateway is about to stop: send the request again",
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
