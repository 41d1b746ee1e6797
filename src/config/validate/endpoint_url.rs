//! `base_url`, taken apart once.

use crate::config::host;
use crate::config::snapshot::Endpoint;
use http::{HeaderValue, Uri};

#[derive(Debug)]
pub struct EndpointUrl {
    pub tls: bool,
    /// Without port and brackets.
    pub host: String,
    pub port: u16,
    pub authority: HeaderValue,
    /// Never ends in a slash.
    pub base_path: String,
}

impl EndpointUrl {
    /// The message goes on from the value, and quotes nothing of it.
    pub fn parse(text: &str) -> Result<EndpointUrl, String> {
        EndpointUrl::parse_like(text, "https://api.example.com/v1")
    }

    /// With another example of what to write.
    pub fn parse_like(text: &str, example: &str) -> Result<EndpointUrl, String> {
        let refused = |what: &str| Err(format!("{what}; write one such as `{example}`"));
        if text.contains('@') {
            return refused("has a user or password in it, which belongs in `api_key` or `auth`");
        }
        if text.contains(['?', '#']) {
            return refused("has a query or fragment, which the paths below it cannot keep");
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return refused("is not a URL");
        };
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return refused("does not begin with `https://` or `http://`"),
        };
        let host = uri.host().unwrap_or_default();
        let Some(bare) = host::bare(host) else {
            return refused("has no valid host");
        };
        let given = uri
            .authority()
            .is_some_and(|authority| authority.as_str() != host);
        let own = if tls { 443 } else { 80 };
        let port = match uri.port_u16() {
            Some(0) => return refused("has port 0"),
            Some(port) => port,
            None if given => return refused("has no valid port"),
            None => own,
        };
        let base_path = uri.path().trim_end_matches('/').to_owned();
        let below = Endpoint::ALL
            .iter()
            .find(|at| base_path.ends_with(at.path()));
        if let Some(endpoint) = below {
            return Err(format!(
                "ends in `{}`, which is added to it; leave that out",
                endpoint.path()
            ));
        }
        let authority = if port == own {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        let Ok(authority) = HeaderValue::from_str(&authority) else {
            return refused("has no valid host");
        };
        Ok(EndpointUrl {
            tls,
            host: bare,
            port,
            authority,
            base_path,
        })
    }

    /// Whatever the path.
    pub fn is_same_server(&self, other: &EndpointUrl) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_url_apart() {
        let url = EndpointUrl::parse("https://api.example.com/v1/").unwrap();
        assert!(url.tls);
        assert_eq!((url.host.as_str(), url.port), ("api.example.com", 443));
        assert_eq!(
            (url.authority.as_bytes(), url.base_path.as_str()),
            (&b"api.example.com"[..], "/v1")
        );
        let url = EndpointUrl::parse("http://[::1]:8000").unwrap();
        assert!(!url.tls);
        assert_eq!((url.host.as_str(), url.port), ("::1", 8000));
        assert_eq!(
            (url.authority.as_bytes(), url.base_path.as_str()),
            (&b"[::1]:8000"[..], "")
        );
        assert_eq!(
            EndpointUrl::parse("http://LocalHost:80/x")
                .unwrap()
                .authority,
            "LocalHost"
        );
        assert!(EndpointUrl::parse("http://a_b.internal:8000/v1").is_ok());
    }

    #[test]
    fn refuses_what_cannot_be_asked() {
        for (text, wrong) in [
            ("", "is not a URL"),
            ("api.example.com/v1", "is not a URL"),
            ("api.example.com", "does not begin"),
            ("ftp://example.com", "does not begin"),
            ("https://", "is not a URL"),
            ("https://user:pass@example.com", "has a user"),
            ("https://example.com?x=1", "has a query"),
            ("https://example.com/#x", "has a query"),
            ("https://example.com:0/v1", "has port 0"),
            ("https://example.com:99999/v1", "has no valid port"),
            ("https://example.com:/v1", "has no valid port"),
            ("https://a..b/v1", "has no valid host"),
            ("https://10.0.0.256/v1", "has no valid host"),
            ("https://exa%41mple.com", "is not a URL"),
            ("https://[::1/v1", "is not a URL"),
            ("https://[x]/v1", "host"),
            ("https://exämple.com", "is not a URL"),
            (
                "https://a.b/v1/chat/completions",
                "ends in `/chat/completions`",
            ),
        ] {
            let found = EndpointUrl::parse(text).unwrap_err();
            assert!(found.contains(wrong), "{text}: {found}");
        }
    }
}
