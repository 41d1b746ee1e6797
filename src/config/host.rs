//! Hosts, and hosts with a port: `vllm.internal:8000`, `10.0.0.5:8000`, `[::1]:8000`.

use crate::config::decode::text;
use serde::{Deserialize, Deserializer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Lower case, without brackets; an address in its usual spelling.
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// The message goes on from the value.
    pub fn parse(text: &str) -> Result<HostPort, String> {
        const EXAMPLE: &str = "write one such as `vllm.internal:8000`, `10.0.0.5:8000` or \
                               `[::1]:8000`";
        let refused = |what: &str| Err(format!("{what}; {EXAMPLE}"));
        if text.contains("://") {
            return refused("is a URL, where an address with a port belongs");
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return refused("has no port");
        };
        let Some(host) = bare(host) else {
            return refused("is not an address with a port");
        };
        let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
        match port.parse() {
            Ok(port @ 1..) if is_number => Ok(HostPort { host, port }),
            _ => refused("has no valid port"),
        }
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, HostPort::parse)
    }
}

/// A host as it stands in a URL, as it is resolved. None where it is none.
pub fn bare(host: &str) -> Option<String> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string()),
        None => is_name(host).then(|| host.to_ascii_lowercase()),
    }
}

/// This machine, whatever the port.
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Or an IPv4 address: no name ends in a number.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    let last = labels.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= 253 && labels.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_addresses() {
        for (text, host, port) in [
            ("10.0.0.5:8000", "10.0.0.5", 8000),
            ("VLLM.internal:1", "vllm.internal", 1),
            ("a_b:65535", "a_b", 65535),
            ("[::1]:8000", "::1", 8000),
            ("[2001:DB8:0::1]:443", "2001:db8::1", 443),
        ] {
            let found = HostPort::parse(text).unwrap();
            assert_eq!((found.host.as_str(), found.port), (host, port), "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_reached() {
        for (text, wrong) in [
            ("", "has no port"),
            ("10.0.0.5", "has no port"),
            ("10.0.0.5:", "has no valid port"),
            ("10.0.0.5:0", "has no valid port"),
            ("10.0.0.5:+80", "has no valid port"),
            ("10.0.0.5:65536", "has no valid port"),
            ("http://10.0.0.5:80", "is a URL"),
            ("10.0.0.256:80", "is not an address"),
            ("10.0.5:80", "is not an address"),
            ("::1:80", "is not an address"),
            ("[::1:80", "is not an address"),
            ("[a]:80", "is not an address"),
            (":80", "is not an address"),
            ("a..b:80", "is not an address"),
            ("a b:80", "is not an address"),
            ("user@host:80", "is not an address"),
        ] {
            let found = HostPort::parse(text).unwrap_err();
            assert!(found.starts_with(wrong), "{text}: {found}");
        }
    }

    #[test]
    fn knows_this_machine() {
        for (host, here) in [
            ("127.0.0.2", true),
            ("::1", true),
            ("localhost", true),
            ("a.localhost", true),
            ("10.0.0.5", false),
            ("notlocalhost", false),
        ] {
            assert_eq!(is_loopback(host), here, "{host}");
        }
    }
}
