//! One look at one address: is it well?

use crate::config::snapshot::{Auth, Health, Probe, Provider};
use crate::upstream::credentials;
use crate::upstream::peer::KnownPeer;
use http::{HeaderValue, Method, header};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::time::timeout;
use pingora::upstreams::peer::Peer;
use tokio::net::TcpStream;

const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "overspill/",
    env!("CARGO_PKG_VERSION"),
    " (health)"
));

/// What is wrong, if anything is.
pub async fn look(
    connector: &Connector,
    provider: &Provider,
    peer: &KnownPeer,
    rules: &Health,
) -> Option<String> {
    let looking = async {
        match &rules.probe {
            Probe::Tcp => connect(peer).await,
            Probe::Http { path, expect } => ask(connector, provider, peer, path, expect).await,
        }
    };
    match timeout(rules.timeout, looking).await {
        Ok(outcome) => outcome.err(),
        Err(_) => Some(format!("no answer within {:?}", rules.timeout)),
    }
}

/// A connection the way calls get there, and nothing over it.
async fn connect(peer: &KnownPeer) -> Result<(), String> {
    let address = peer.address();
    let options = peer.get_peer_options();
    if let Some(tunnel) = options.and_then(|options| options.custom_l4.as_ref()) {
        let connected = tunnel.connect(address).await;
        return connected.map(drop).map_err(|error| error.to_string());
    }
    let Some(socket) = address.as_inet() else {
        return Err(format!("{address} is no network address"));
    };
    let connected = TcpStream::connect(socket).await;
    connected.map(drop).map_err(|error| error.to_string())
}

/// A GET as a call would make it, and its status.
async fn ask(
    connector: &Connector,
    provider: &Provider,
    peer: &KnownPeer,
    path: &str,
    expect: &[u16],
) -> Result<(), String> {
    let head = head(provider, path).map_err(|error| error.to_string())?;
    let asked: pingora::Result<u16> = async {
        // HTTP/2 would look through a connection that calls have kept open.
        let mut own = peer.http().clone();
        own.options.alpn = ALPN::H1;
        let (mut session, _) = connector.get_http_session(&own).await?;
        session.write_request_header(Box::new(head)).await?;
        session.finish_request_body().await?;
        let status = loop {
            session.read_response_header().await?;
            let status = session.response_header().map(|head| head.status);
            if let Some(status) = status.filter(|status| !status.is_informational()) {
                break status.as_u16();
            }
        };
        session.shutdown().await;
        Ok(status)
    }
    .await;
    match asked {
        Ok(status) if expect.contains(&status) => Ok(()),
        Ok(status) => Err(format!("status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn head(provider: &Provider, path: &str) -> pingora::Result<RequestHeader> {
    let auth = provider.first_key();
    let target = match auth {
        Auth::Query { pair } => {
            let separator = if path.contains('?') { '&' } else { '?' };
            format!("{path}{separator}{}", pair.expose())
        }
        Auth::None | Auth::Header { .. } => path.to_owned(),
    };
    let mut head = RequestHeader::build_no_case(Method::GET, target.as_bytes(), Some(4))?;
    head.insert_header(header::HOST, provider.authority.clone())?;
    head.insert_header(header::USER_AGENT, AGENT)?;
    head.insert_header(header::ACCEPT, HeaderValue::from_static("*/*"))?;
    credentials::apply(auth, &mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_str;

    #[test]
    fn a_credential_goes_where_calls_have_it() {
        let target = |auth: &str, path: &str| {
            let text = format!(
                "
providers:
  one: {{ base_url: 'http://a.example:81/v1', auth: {auth}, models: {{ a: {{ name: a }} }} }}
routes: [{{ name: all, targets: [{{ provider: one }}] }}]
server: {{ listen: '127.0.0.1:0' }}
"
            );
            let snapshot = load_str(&text, "o.yaml", &|_| None).unwrap().snapshot;
            let head = head(&snapshot.providers[0], path).unwrap();
            assert_eq!(head.headers["host"], "a.example:81");
            let key = head.headers.get("x-key").cloned();
            let key = key.map(|key| key.to_str().unwrap().to_owned());
            (head.uri.to_string(), key)
        };
        let query = "{ query: { key: secret } }";
        assert_eq!(target(query, "/health").0, "/health?key=secret");
        assert_eq!(target(query, "/health?a=b").0, "/health?a=b&key=secret");
        let header = target("{ header: { x-key: secret } }", "/health");
        assert_eq!(header, ("/health".to_owned(), Some("secret".to_owned())));
        assert_eq!(target("none", "/health").1, None);
    }
}
