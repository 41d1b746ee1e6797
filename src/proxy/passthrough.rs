//! Routes that stream through: any method, any body, upgrades. They take Pingora's own phases,
//! with the same choice of target and the same rewriting as a call.

use crate::config::snapshot::{Candidate, Route};
use crate::error::{Failure, Reason};
use crate::proxy::context::{Call, Passthrough};
use crate::relay::deliver;
use crate::telemetry::tale::Attempt;
use crate::upstream::rewrite;
use http::header;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::time::timeout;
use pingora::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use std::sync::Arc;
use std::time::Instant;

/// The target whose turn it is, and where it is. There is one try: a body that streams through is
/// nowhere to be sent again from.
pub async fn choose(call: &mut Call, route: &Arc<Route>) -> Result<Passthrough, Failure> {
    call.tale.route = Some(Arc::clone(&route.name));
    let candidate = route
        .any_model
        .as_ref()
        .and_then(|served| served.tiers.first())
        .and_then(|tier| tier.candidates.get(tier.schedule.next()))
        .ok_or_else(|| {
            Failure::new(
                Reason::GatewayNoTarget,
                format!("route `{}` has no target with a weight", route.name),
            )
        })?;
    let Candidate { target, .. } = candidate;
    let provider = Arc::clone(&target.provider);
    call.tale.provider = Some(Arc::clone(&provider.name));
    let connect = route.timeouts.connect;
    let found = timeout(
        connect,
        call.shared.wires.book.peers(&provider, Instant::now()),
    )
    .await;
    let peer = match found {
        Ok(Ok(mut peers)) => peers
            .next()
            .ok_or_else(|| unreachable().cause("no address"))?,
        Ok(Err(error)) => return Err(unreachable().cause(error)),
        Err(_) => return Err(unreachable().cause("the name was not resolved in time")),
    };
    let below = match call.path.strip_prefix("/v1") {
        // Below `/v1` here is below the base path there.
        Some(below) if below.starts_with('/') => below.to_owned(),
        _ => call.path.clone(),
    };
    Ok(Passthrough {
        route: Arc::clone(route),
        provider,
        peer,
        below,
    })
}

fn unreachable() -> Failure {
    Failure::new(
        Reason::ProviderUnreachable,
        "the provider could not be reached: try again shortly",
    )
}

/// The peer with this route's timeouts.
pub fn peer(chosen: &Passthrough) -> Box<HttpPeer> {
    let mut peer = (*chosen.peer).clone();
    let timeouts = &chosen.route.timeouts;
    let options = &mut peer.options;
    options.total_connection_timeout = Some(timeouts.connect);
    options.connection_timeout = Some(timeouts.connect);
    // Each read and write on its own: an upload may take hours, silence may not. The wait for the
    // head counts as one read, so it has the time of an answer.
    options.read_timeout = Some(timeouts.response);
    options.write_timeout = Some(timeouts.idle);
    options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Preserve;
    Box::new(peer)
}

/// The caller's request becomes the provider's.
pub fn rewrite_request(chosen: &Passthrough, request: &mut RequestHeader) -> pingora::Result<()> {
    rewrite::passthrough(
        &chosen.provider,
        &chosen.below,
        &chosen.route.forward,
        request,
    )
}

/// The provider's answer as the caller may see it; its framing and an accepted upgrade stay.
pub fn rewrite_response(call: &mut Call, response: &mut ResponseHeader) -> pingora::Result<()> {
    let Some(chosen) = &call.passthrough else {
        return Ok(());
    };
    let status = response.status.as_u16();
    call.tale.status = status;
    let elapsed = call.started.elapsed();
    call.tale.first_byte = Some(elapsed);
    call.tale.attempts.push(Attempt {
        provider: Arc::clone(&chosen.provider.name),
        status: Some(status),
        reason: None,
        took: elapsed,
    });
    let mut allowed = deliver::head(response, &chosen.route.forward, &call.tale)?;
    const FRAMING: [http::HeaderName; 12] = [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::ETAG,
        header::LAST_MODIFIED,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
    ];
    for name in FRAMING {
        for value in response.headers.get_all(&name) {
            allowed.append_header(name.clone(), value.clone())?;
        }
    }
    allowed.set_version(response.version);
    *response = allowed;
    Ok(())
}
