//! A hash for names. A plan asks for dozens of them, all from the configuration: nobody who could
//! choose them to collide is kept out by a careful hash, which takes twice as long.

use std::hash::{BuildHasherDefault, Hasher};

pub type Quickly = BuildHasherDefault<Quick>;

/// Odd, and its bits look drawn: the golden ratio's.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let rest = rest.iter().rev();
        self.add(rest.fold(0, |word, byte| (word << 8) | u64::from(*byte)));
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    /// The map looks at the lowest bits and at the highest.
    fn finish(&self) -> u64 {
        let folded = self.0 ^ (self.0 >> 32);
        let spread = folded.wrapping_mul(MULTIPLIER);
        spread ^ (spread >> 29)
    }
}

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn names_that_differ_little_hash_far_apart() {
        let hashed = Quickly::default();
        let names = (0..100).map(|number| format!("vendor/model-{number}"));
        let all: Vec<u64> = names.map(|name| hashed.hash_one(&*name)).collect();
        for shift in [0, 57] {
            // A hundred names in 128 places: evenly drawn they take about 69 of them.
            let taken: HashSet<u64> = all.iter().map(|hash| (hash >> shift) & 127).collect();
            assert!(taken.len() > 55, "{} from bit {shift}", taken.len());
        }
    }
}
