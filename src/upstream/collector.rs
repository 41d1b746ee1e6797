//! Where traces are told: a collector that speaks OTLP over HTTP, asked over a connection of its
//! own.

use crate::config::snapshot::Traces;
use crate::dialect::retry_after::retry_after;
use crate::upstream::resolver::{self, Unresolved};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "overspill/",
    env!("CARGO_PKG_VERSION"),
    " (traces)"
));
/// Of several addresses, each gets so long to take a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Shorter than collectors keep an idle connection.
const IDLE: Duration = Duration::from_secs(15);
/// An answer says little; one that goes on is not read.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Keeps these connections apart from any other.
const GROUP: u64 = 0x7472_6163_6573;

/// A connector reads all that the machine trusts: it is made when there is something to tell.
#[derive(Default)]
pub struct Collector {
    connector: OnceLock<Connector>,
}

/// What it said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// Not now; after this time, if it said so.
    Later {
        status: u16,
        after: Option<Duration>,
    },
    /// It would not be otherwise another time.
    Refused(u16),
}

impl Collector {
    /// Tells it once. An error: it was not reached, or did not answer.
    pub async fn tell(&self, traces: &Traces, body: &Bytes) -> Result<Answer, String> {
        let connector = self
            .connector
            .get_or_init(|| Connector::new(Some(ConnectorOptions::new(1))));
        let mut failure = format!("{} has no address", traces.host);
        for ip in addresses(&traces.host).await.map_err(|error| error.0)? {
            let peer = peer(traces, ip);
            // A connection that was kept may be gone by now: a fresh one tells.
            for _ in 0..2 {
                let (mut session, kept) = match connector.get_http_session(&peer).await {
                    Ok(connected) => connected,
                    Err(error) => {
                        failure = error.to_string();
                        break;
                    }
                };
                match converse(&mut session, traces, body).await {
                    Ok((answer, whole)) => {
                        if whole {
                            let idle = Some(IDLE);
                            connector.release_http_session(session, &peer, idle).await;
                        }
                        return Ok(answer);
                    }
                    Err(_) if kept => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        Err(failure)
    }
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    match host.parse() {
        Ok(ip) => Ok(vec![ip]),
        Err(_) => resolver::resolve(host).await.map(|found| found.ips),
    }
}

fn peer(traces: &Traces, ip: IpAddr) -> HttpPeer {
    let address = SocketAddr::new(ip, traces.port);
    // An empty server name would switch verification off, so the host always goes in.
    let mut peer = HttpPeer::new(address, traces.tls, traces.host.clone());
    peer.group_key = GROUP;
    let options = &mut peer.options;
    options.alpn = ALPN::H1;
    options.connection_timeout = Some(CONNECT);
    options.total_connection_timeout = Some(CONNECT * 2);
    options.idle_timeout = Some(IDLE);
    peer
}

/// What it answers, and whether the whole answer was read.
async fn converse(
    session: &mut HttpSession,
    traces: &Traces,
    body: &Bytes,
) -> pingora::Result<(Answer, bool)> {
    session
        .write_request_header(Box::new(head(traces, body.len())?))
        .await?;
    session.write_request_body(body.clone(), true).await?;
    session.finish_request_body().await?;
    let answer = loop {
        session.read_response_header().await?;
        let head = session.response_header();
        if let Some(head) = head.filter(|head| !head.status.is_informational()) {
            break meaning(head.status.as_u16(), || {
                retry_after(&head.headers, b"", SystemTime::now())
            });
        }
    };
    let mut read = 0;
    let whole = loop {
        match session.read_response_body().await {
            Ok(Some(piece)) if read + piece.len() <= LONGEST_ANSWER => read += piece.len(),
            Ok(Some(_)) | Err(_) => break false,
            Ok(None) => break true,
        }
    };
    Ok((answer, whole))
}

/// By the rules of OTLP.
fn meaning(status: u16, after: impl FnOnce() -> Option<Duration>) -> Answer {
    match status {
        200..=299 => Answer::Taken,
        429 | 502 | 503 | 504 => Answer::Later {
            status,
            after: after(),
        },
        _ => Answer::Refused(status),
    }
}

fn head(traces: &Traces, length: usize) -> pingora::Result<RequestHeader> {
    let path = traces.path.as_bytes();
    let mut head = RequestHeader::build_no_case(Method::POST, path, Some(8))?;
    head.insert_header(header::HOST, traces.authority.clone())?;
    head.insert_header(header::USER_AGENT, AGENT)?;
    head.insert_header(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )?;
    head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
    for (name, value) in &traces.headers {
        head.insert_header(name.clone(), value.clone())?;
    }
    Ok(head)
}
