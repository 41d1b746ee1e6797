//! Where a provider is reached: `base_url`, `addresses`, `proxy`; and that none of it is ourselves.

use crate::catalog::{Known, catalog};
use crate::config::file;
use crate::config::host::{self, HostPort};
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::{List, elements};
use crate::config::snapshot::{Address, Auth, Proxy, Server};
use crate::config::suggest::closest;
use crate::config::validate::endpoint_url::EndpointUrl;
use crate::config::validate::names::number;
use crate::config::validate::proxy;
use std::net::{IpAddr, SocketAddr};

/// Their turns are laid out in advance, in a table as long as their weights together.
const MAX_ADDRESSES: usize = 256;

pub struct Reach {
    pub url: EndpointUrl,
    pub addresses: Vec<Address>,
    pub proxy: Option<Proxy>,
}

pub fn reach(
    report: &mut Report,
    provider: &Place,
    name: &str,
    file: &file::Provider,
    known: Option<&Known>,
    server: &Server,
) -> Option<Reach> {
    let url = url(report, provider, name, file, known);
    let place = provider.key("addresses");
    let addresses = match &file.addresses {
        Some(list) => addresses(report, &place, list, server),
        None => vec![],
    };
    let proxy = outbound(report, &provider.key("proxy"), file, server);
    let url = url?;
    // With addresses of its own the URL's host is a name and no place.
    if file.addresses.is_none() && !report.was_refused(&place) {
        refuse_ourselves(
            report,
            &provider.key("base_url"),
            server,
            &url.host,
            url.port,
        );
    }
    Some(Reach {
        url,
        addresses,
        proxy,
    })
}

impl Reach {
    pub fn warn_of_plain_text(&self, report: &mut Report, provider: &Place, keys: &[Auth]) {
        let sends_key = keys.iter().any(|key| !matches!(key, Auth::None));
        if !self.url.tls && sends_key && !self.stays_here() {
            let message = "the key goes over the network in plain text; use `https://`";
            report.warn(&provider.key("base_url"), message);
        }
    }

    fn stays_here(&self) -> bool {
        let proxied = self.proxy.iter().map(|proxy| &proxy.host);
        let addresses = self.addresses.iter().map(|address| &address.host);
        let named = self.addresses.is_empty().then_some(&self.url.host);
        let mut hosts = proxied.chain(addresses).chain(named);
        hosts.all(|host| host::is_loopback(host))
    }
}

fn url(
    report: &mut Report,
    provider: &Place,
    name: &str,
    file: &file::Provider,
    known: Option<&Known>,
) -> Option<EndpointUrl> {
    let place = provider.key("base_url");
    let text = file
        .base_url
        .as_ref()
        .or(known.and_then(|known| known.base_url.as_ref()));
    let Some(text) = text else {
        let message = match known.and_then(|known| known.url_form.as_deref()) {
            Some(form) => format!("missing: each account has its own, such as `{form}`"),
            None => "missing: the catalogue does not know this provider; \
                     write one such as `https://api.example.com/v1`"
                .to_owned(),
        };
        let near = closest(name, catalog().providers.keys().map(String::as_str));
        if !report.was_written(&place) {
            report.error_meaning(&place, message, near.filter(|near| near != name));
        }
        return None;
    };
    match EndpointUrl::parse(text) {
        Ok(url) => Some(url),
        Err(wrong) => {
            // A URL with a password in it is not shown.
            let shown = match text.contains('@') {
                true => "the value".to_owned(),
                false => report.quote(&place),
            };
            report.error(&place, format!("{shown} {wrong}"));
            None
        }
    }
}

fn addresses(
    report: &mut Report,
    place: &Place,
    list: &List<file::Address>,
    server: &Server,
) -> Vec<Address> {
    if list.is_empty() {
        report.error(place, "is empty; leave it out for the host of `base_url`");
    }
    if list.len() > MAX_ADDRESSES {
        report.error(place, format!("has more than {MAX_ADDRESSES} addresses"));
        return vec![];
    }
    let mut addresses: Vec<Address> = Vec::new();
    for (place, file) in elements(list, place) {
        let weight = number(report, &place.key("weight"), file.weight, 1, 0..=1000);
        let Some(HostPort { host, port }) = file.address.clone() else {
            let message = "missing: an address such as `10.0.0.5:8000`";
            report.missing(&place, "address", message);
            continue;
        };
        let long = place.key("address");
        let at = match report.root.find(&long) {
            Some(_) => long,
            None => place,
        };
        if addresses
            .iter()
            .any(|known| known.host == host && known.port == port)
        {
            let message = format!("{} is named twice; give it a `weight`", report.quote(&at));
            report.error(&at, message);
        }
        refuse_ourselves(report, &at, server, &host, port);
        addresses.push(Address { host, port, weight });
    }
    let all_read = addresses.len() == list.len() && !list.is_empty();
    if all_read && addresses.iter().all(|address| address.weight == 0) {
        report.error(place, "has no address with a weight above 0");
    }
    addresses
}

fn outbound(
    report: &mut Report,
    place: &Place,
    file: &file::Provider,
    server: &Server,
) -> Option<Proxy> {
    match proxy::parse(file.proxy.as_ref()?.expose()) {
        Ok(proxy) => {
            refuse_ourselves(report, place, server, &proxy.host, proxy.port);
            Some(proxy)
        }
        Err(wrong) => {
            let message = format!("{} {wrong}", report.quote(place));
            report.error(place, message);
            None
        }
    }
}

fn refuse_ourselves(report: &mut Report, place: &Place, server: &Server, host: &str, port: u16) {
    let mut listeners = server.listen.iter();
    if listeners.any(|data| leads_to(host, port, data.address)) {
        report.error(place, "is where this gateway itself listens");
    }
}

fn leads_to(host: &str, port: u16, listener: SocketAddr) -> bool {
    let address = match host.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) => host::is_loopback(host).then_some(IpAddr::from([127, 0, 0, 1])),
    };
    let same = |address: IpAddr| {
        listener.ip() == address || (listener.ip().is_unspecified() && address.is_loopback())
    };
    listener.port() == port && address.is_some_and(same)
}
