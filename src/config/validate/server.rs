//! `server`: where it listens, and the limits of every connection.

use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::OneOrMany;
use crate::config::snapshot::{Admin, Listen, ListenTls, Server};
use crate::config::units::{Percent, Size, show_size};
use crate::config::validate::Context;
use crate::config::validate::names::{number, out_of_range, time};
use crate::config::validate::pem::required;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

pub fn server(
    report: &mut Report,
    place: &Place,
    file: &file::Server,
    context: Context<'_>,
) -> Server {
    let seconds = Duration::from_secs;
    let mut timeout = |field: &str, given, default| {
        time(report, &place.key(field), given, seconds(default), MS..=DAY)
    };
    let header_timeout = timeout("header_timeout", file.header_timeout, 10);
    let body_timeout = timeout("body_timeout", file.body_timeout, 30);
    let write_timeout = timeout("write_timeout", file.write_timeout, 30);
    let keepalive = timeout("keepalive", file.keepalive, 75);
    let drain = time(
        report,
        &place.key("drain"),
        file.drain,
        seconds(600),
        Duration::ZERO..=DAY,
    );
    let threads = number(report, &place.key("threads"), file.threads, 0, 0..=1024);
    let max_body = place.key("max_body");
    let max_body = size(
        report,
        &max_body,
        file.max_body,
        32 << 20,
        1 << 10..=1 << 40,
    );
    let buffers = size(
        report,
        &place.key("buffers"),
        file.buffers,
        1 << 30,
        1 << 10..=1 << 44,
    );
    if max_body > buffers {
        let message = "is smaller than `max_body`: bodies between the two are always refused";
        report.warn(&place.key("buffers"), message);
    }
    let listen = listeners(
        report,
        &place.key("listen"),
        file.listen.as_ref(),
        context.directory,
    );
    let admin = admin(report, &place.key("admin"), file.admin.as_ref(), &listen);
    let upgrade_socket = upgrade_socket(
        report,
        &place.key("upgrade_socket"),
        file.upgrade_socket.as_deref(),
        context.directory,
    );
    Server {
        listen,
        admin,
        threads: usize::try_from(threads).unwrap_or(0),
        max_body,
        header_timeout,
        body_timeout,
        write_timeout,
        buffers,
        keepalive,
        drain,
        retry_budget: file.retry_budget.map_or(0.2, Percent::share),
        upgrade_socket,
    }
}

/// The kernel has no room for a longer path of a socket.
const LONGEST_SOCKET: usize = 107;

fn upgrade_socket(
    report: &mut Report,
    place: &Place,
    given: Option<&str>,
    directory: &Path,
) -> Option<PathBuf> {
    let given = given?;
    let path = directory.join(given);
    if given.is_empty() {
        report.error(place, "is empty; write the path of a socket");
    } else if path.as_os_str().len() > LONGEST_SOCKET {
        report.error(
            place,
            format!("is longer than the {LONGEST_SOCKET} bytes that a socket's path may have"),
        );
    }
    Some(path)
}

fn size(
    report: &mut Report,
    place: &Place,
    given: Option<Size>,
    default: u64,
    limits: RangeInclusive<u64>,
) -> usize {
    let size = given.map_or(default, |size| size.0);
    if !limits.contains(&size) {
        out_of_range(
            report,
            place,
            &show_size(*limits.start()),
            &show_size(*limits.end()),
        );
    }
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn listeners(
    report: &mut Report,
    place: &Place,
    given: Option<&OneOrMany<file::Listen>>,
    directory: &Path,
) -> Vec<Listen> {
    let Some(given) = given else {
        return vec![Listen {
            address: loopback(8080),
            tls: None,
        }];
    };
    let mut listeners: Vec<Listen> = Vec::new();
    for (place, listen) in given.elements(place) {
        let Some(address) = listen.address else {
            report.missing(
                &place,
                "address",
                "missing: an address such as `0.0.0.0:8443`",
            );
            continue;
        };
        let address = address.0;
        if listeners.iter().any(|other| other.address == address) && address.port() != 0 {
            let message = format!("{} is listened on already", report.quote(&place));
            report.error(&place, message);
        }
        let tls = listen.tls.as_ref().map(|tls| {
            let place = place.key("tls");
            let mut pem = |field, path| required(report, &place, field, path, directory);
            ListenTls {
                cert: pem("cert", tls.cert.as_deref()),
                key: pem("key", tls.key.as_deref()),
            }
        });
        listeners.push(Listen { address, tls });
    }
    if matches!(given, OneOrMany::Many(list) if list.is_empty()) {
        report.error(place, "is empty; name at least one address");
    }
    listeners
}

fn admin(
    report: &mut Report,
    place: &Place,
    given: Option<&file::Admin>,
    listen: &[Listen],
) -> Option<Admin> {
    let (address, token) = match given {
        None => (Some(loopback(9090)), None),
        Some(file::Admin::Off) => return None,
        Some(file::Admin::At { address, token }) => {
            (address.map(|address| address.0), token.clone())
        }
    };
    let Some(address) = address else {
        report.missing(
            place,
            "address",
            "missing: an address such as `127.0.0.1:9090`",
        );
        return None;
    };
    if address.port() != 0 && listen.iter().any(|data| data.address == address) {
        report.error(
            place,
            "is the same as `server.listen`: the admin port is one of its own",
        );
    }
    let token_place = place.key("token");
    match &token {
        Some(token) if !is_token(token.expose()) => {
            report.error(
                &token_place,
                "is empty, or has characters that no header carries",
            );
        }
        None if !address.ip().is_loopback() && !report.was_written(&token_place) => {
            report.warn(
                place,
                "is open to the network without a token; \
                                write {address, token} to ask for one",
            );
        }
        _ => {}
    }
    Some(Admin { address, token })
}

/// What can stand after `Bearer `.
pub fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
