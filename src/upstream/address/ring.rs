//! Which address a key stays at: a consistent hash, so that a lost address moves no key but its
//! own.

use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_load_balancing::selection::consistent::KetamaHashing;
use pingora_load_balancing::selection::{BackendIter, BackendSelection};
use pingora_load_balancing::{Backend, Extensions};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

pub struct Ring(Arc<KetamaHashing>);

/// Which of them it was, on the ring.
#[derive(Clone)]
struct Position(usize);

impl Ring {
    /// Of names with their weights. It has some hundred points for each unit of weight.
    pub fn new<'a>(names: impl Iterator<Item = (&'a str, u32)>) -> Ring {
        let backends: BTreeSet<Backend> = names
            .enumerate()
            .map(|(position, (name, weight))| {
                let mut ext = Extensions::new();
                ext.insert(Position(position));
                Backend {
                    addr: PeerAddress::Inet(stand_in(name)),
                    weight: usize::try_from(weight).unwrap_or(usize::MAX),
                    ext,
                }
            })
            .collect();
        Ring(Arc::new(KetamaHashing::build(&backends)))
    }

    pub fn position(&self, key: u64) -> Option<usize> {
        let mut along = self.0.iter(&key.to_be_bytes());
        along.next()?.ext.get::<Position>().map(|found| found.0)
    }
}

/// The ring wants an address, and behind a proxy all names have the proxy's.
fn stand_in(name: &str) -> SocketAddr {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let first = digest.first_chunk::<16>().copied().unwrap_or_default();
    SocketAddr::new(Ipv6Addr::from(first).into(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn kept<'a>(names: &[(&'a str, u32)]) -> Vec<&'a str> {
        let ring = Ring::new(names.iter().copied());
        let name = |n| names[ring.position(key(n)).unwrap()].0;
        (0..4000).map(name).collect()
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let kept = kept(&[("a:1", 1), ("b:1", 1), ("c:1", 2)]);
        let share = |name| kept.iter().filter(|kept| **kept == name).count();
        assert!((700..1300).contains(&share("a:1")), "{}", share("a:1"));
        assert!((700..1300).contains(&share("b:1")), "{}", share("b:1"));
        assert!((1700..2300).contains(&share("c:1")), "{}", share("c:1"));
    }

    #[test]
    fn a_lost_address_moves_only_its_own_keys() {
        let all = kept(&[("a:1", 1), ("b:1", 1), ("c:1", 1)]);
        let without = kept(&[("c:1", 1), ("a:1", 1)]);
        for (before, after) in all.iter().zip(&without) {
            assert!(before == after || *before == "b:1", "{before} {after}");
        }
    }
}
