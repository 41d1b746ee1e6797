//! `providers.*.proxy`: what connects in our place.

use crate::config::host::HostPort;
use crate::config::secret::Secret;
use crate::config::snapshot::Proxy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The message goes on from the value, and quotes nothing of it.
pub fn parse(text: &str) -> Result<Proxy, String> {
    const EXAMPLE: &str = "write one such as `http://proxy.example:3128` or \
                           `http://user:password@proxy.example:3128`";
    let refused = |what: &str| Err(format!("{what}; {EXAMPLE}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return refused("is not a URL");
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return refused("does not begin with `http://`, the only way to ask a proxy here");
    }
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, rest),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    if address.contains(['/', '?', '#']) {
        return refused("has a path, query or fragment, which a proxy has not");
    }
    let HostPort { host, port } = match HostPort::parse(address) {
        Ok(address) => address,
        Err(_) if !address.contains(':') => return refused("has no port"),
        Err(_) => return refused("has no valid host and port"),
    };
    let authorization = match user.map(basic) {
        None => None,
        Some(Some(value)) => Some(value),
        Some(None) => {
            return refused(
                "has a user or password that cannot be sent; \
                 other signs than letters and digits are written as `%40` and the like",
            );
        }
    };
    Ok(Proxy {
        host,
        port,
        authorization,
    })
}

/// `user:password` as a header has it. None where no header can have it.
fn basic(user_info: &str) -> Option<Secret> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let (user, password) = (unescaped(user)?, unescaped(password)?);
    // The first colon is where the user ends.
    if user.is_empty() || user.contains(':') {
        return None;
    }
    let pair = STANDARD.encode(format!("{user}:{password}"));
    Some(Secret::new(format!("Basic {pair}")))
}

/// `%40` as `@`. None where an escape is none, or brings a control character.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<String> {
        let authorization = parse(text).unwrap().authorization;
        authorization.map(|value| value.expose().to_owned())
    }

    #[test]
    fn takes_a_url_apart() {
        let proxy = parse("HTTP://Proxy.Internal:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.internal", 3128));
        assert_eq!(proxy.authorization, None);
        assert_eq!(parse("http://[::1]:1").unwrap().host, "::1");
        assert_eq!(
            header("http://Aladdin:open%20sesame@p:1").as_deref(),
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        // No password is an empty one, and an `@` in one is not the last.
        assert_eq!(header("http://u@p:1").as_deref(), Some("Basic dTo="));
        assert_eq!(header("http://u:a%40b@p:1"), header("http://u:a@b@p:1"));
        let printed = format!("{:?}", parse("http://user:secret@p:1").unwrap());
        assert!(printed.contains("***") && !printed.contains("Basic"));
    }

    #[test]
    fn refuses_what_cannot_be_asked() {
        for (text, wrong) in [
            ("", "is not a URL"),
            ("proxy:3128", "is not a URL"),
            ("https://proxy:3128", "does not begin with `http://`"),
            ("socks5://proxy:1080", "does not begin with `http://`"),
            ("http://proxy", "has no port"),
            ("http://proxy:0", "has no valid host and port"),
            ("http://:3128", "has no valid host and port"),
            ("http://proxy:3128/path", "has a path"),
            ("http://proxy:3128?a", "has a path"),
            ("http://:pass@proxy:3128", "has a user"),
            ("http://us%3Aer:pass@proxy:3128", "has a user"),
            ("http://user:%zz@proxy:3128", "has a user"),
            ("http://user:%0a@proxy:3128", "has a user"),
            ("http://user:%ff@proxy:3128", "has a user"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(wrong), "{text}: {found}");
        }
    }
}
