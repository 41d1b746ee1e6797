//! Where a provider is, as its configuration says it: which names to look up, and what they come
//! to.

use crate::config::snapshot::{Provider, Proxy};
use crate::upstream::peer::Seat;
use crate::upstream::resolver::Found;
use crate::upstream::tunnel::Tunnel;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub struct Places {
    spots: Vec<Spot>,
    /// Then its name alone is looked up: it resolves the others.
    through: Option<Proxy>,
}

struct Spot {
    host: String,
    port: u16,
    weight: u32,
}

impl Places {
    pub fn of(provider: &Provider) -> Places {
        let mut spots: Vec<Spot> = provider
            .addresses
            .iter()
            .filter(|address| address.weight > 0)
            .map(|address| Spot {
                host: address.host.clone(),
                port: address.port,
                weight: address.weight,
            })
            .collect();
        if spots.is_empty() {
            spots.push(Spot {
                host: provider.host.clone(),
                port: provider.port,
                weight: 1,
            });
        }
        Places {
            spots,
            through: provider.proxy.clone(),
        }
    }

    /// What has to be looked up, in the order in which `seats` takes the answers.
    pub fn hosts(&self) -> Vec<&str> {
        match &self.through {
            Some(proxy) => vec![&proxy.host],
            None => self.spots.iter().map(|spot| &*spot.host).collect(),
        }
    }

    /// What to connect to, given where the hosts lead.
    pub fn seats(&self, hosts: &[Found]) -> Vec<Seat> {
        match &self.through {
            Some(proxy) => self.behind(proxy, hosts),
            None => self.straight(hosts),
        }
    }

    fn straight(&self, hosts: &[Found]) -> Vec<Seat> {
        let mut seats: Vec<Seat> = Vec::new();
        for (spot, found) in self.spots.iter().zip(hosts) {
            let has_v4 = found.ips.iter().any(IpAddr::is_ipv4);
            for ip in &found.ips {
                let socket = SocketAddr::new(*ip, spot.port);
                // Not every machine that resolves an IPv6 address can reach it.
                let weight = if has_v4 && ip.is_ipv6() {
                    0
                } else {
                    spot.weight
                };
                // Two names may lead to one address.
                match seats.iter_mut().find(|seat| seat.socket == socket) {
                    Some(seat) => seat.weight = seat.weight.saturating_add(weight),
                    None => seats.push(Seat {
                        name: socket.to_string().into(),
                        socket,
                        weight,
                        tunnel: None,
                    }),
                }
            }
        }
        seats
    }

    fn behind(&self, proxy: &Proxy, hosts: &[Found]) -> Vec<Seat> {
        let ips = hosts.iter().flat_map(|found| &found.ips);
        let sockets: Vec<SocketAddr> = ips.map(|ip| SocketAddr::new(*ip, proxy.port)).collect();
        let Some(socket) = sockets.first().copied() else {
            return Vec::new();
        };
        let through = |spot: &Spot| {
            let Spot { host, port, weight } = spot;
            let name = match host.parse() {
                Ok(ip) => SocketAddr::new(ip, *port).to_string(),
                Err(_) => format!("{host}:{port}"),
            };
            Seat {
                name: name.into(),
                socket,
                weight: *weight,
                tunnel: Some(Arc::new(Tunnel::new(proxy, sockets.clone(), host, *port))),
            }
        };
        self.spots.iter().map(through).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn spot(host: &str, weight: u32) -> Spot {
        Spot {
            host: host.to_owned(),
            port: 80,
            weight,
        }
    }

    fn found(ips: &[&str]) -> Found {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Found::new(ips, Instant::now(), Instant::now())
    }

    fn summary(seats: &[Seat]) -> Vec<(&str, u32)> {
        let summary = seats.iter().map(|seat| (&*seat.name, seat.weight));
        summary.collect()
    }

    #[test]
    fn each_address_of_a_name_has_its_weight_and_ipv6_waits_behind_ipv4() {
        let places = Places {
            spots: vec![spot("a", 2), spot("b", 1), spot("c", 3)],
            through: None,
        };
        assert_eq!(places.hosts(), ["a", "b", "c"]);
        let hosts = [found(&["10.0.0.1", "::1"]), found(&["::2"]), found(&[])];
        assert_eq!(
            summary(&places.seats(&hosts)),
            [("10.0.0.1:80", 2), ("[::1]:80", 0), ("[::2]:80", 1)]
        );
    }

    #[test]
    fn two_names_of_one_address_are_one_place() {
        let places = Places {
            spots: vec![spot("a", 2), spot("b", 1)],
            through: None,
        };
        let hosts = [found(&["10.0.0.1"]), found(&["10.0.0.1", "10.0.0.2"])];
        assert_eq!(
            summary(&places.seats(&hosts)),
            [("10.0.0.1:80", 3), ("10.0.0.2:80", 1)]
        );
    }

    #[test]
    fn behind_a_proxy_only_the_proxy_is_looked_up() {
        let proxy = Proxy {
            host: "proxy".to_owned(),
            port: 3128,
            authorization: None,
        };
        let places = Places {
            spots: vec![spot("a", 2), spot("::1", 1)],
            through: Some(proxy),
        };
        assert_eq!(places.hosts(), ["proxy"]);
        assert!(places.seats(&[found(&[])]).is_empty());
        let seats = places.seats(&[found(&["10.0.0.9"])]);
        assert_eq!(summary(&seats), [("a:80", 2), ("[::1]:80", 1)]);
        assert!(seats.iter().all(|seat| seat.socket.port() == 3128));
    }
}
