//! Series that were looked up once. Their families would otherwise hash every label anew for each
//! request, with the care that is due to names of strangers.

use crate::measure::quick::Quickly;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

/// By the values of so many labels, which all come from the configuration.
#[derive(Debug)]
pub struct Cells<const N: usize, V>(RwLock<HashMap<u64, Vec<Cell<N, V>>, Quickly>>);

#[derive(Debug)]
struct Cell<const N: usize, V> {
    labels: [Box<str>; N],
    value: V,
}

impl<const N: usize, V> Default for Cells<N, V> {
    fn default() -> Cells<N, V> {
        Cells(RwLock::default())
    }
}

impl<const N: usize, V> Cells<N, V> {
    /// What there is for these labels is used, or first made.
    pub fn with<T>(
        &self,
        labels: &[&str; N],
        make: impl FnOnce() -> V,
        apply: impl FnOnce(&V) -> T,
    ) -> T {
        let hash = Quickly::default().hash_one(labels);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = find(&known, hash, labels) {
            return apply(value);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been quicker.
        if let Some(value) = find(&known, hash, labels) {
            return apply(value);
        }
        let value = make();
        let outcome = apply(&value);
        let labels = labels.map(Box::from);
        known.entry(hash).or_default().push(Cell { labels, value });
        outcome
    }

    /// All of them: they are few, and those that stay are soon found again.
    pub fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

fn find<'c, const N: usize, V>(
    known: &'c HashMap<u64, Vec<Cell<N, V>>, Quickly>,
    hash: u64,
    labels: &[&str; N],
) -> Option<&'c V> {
    let mut cells = known.get(&hash)?.iter();
    let is_it = |cell: &&Cell<N, V>| labels.iter().zip(&cell.labels).all(|(a, b)| **a == **b);
    cells.find(is_it).map(|cell| &cell.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_made_once_for_its_labels_until_all_are_forgotten() {
        let cells = Cells::default();
        let made = |labels: [&str; 2]| {
            let mut made = false;
            let make = || {
                made = true;
                labels.concat()
            };
            let found = cells.with(&labels, make, String::clone);
            assert_eq!(found, labels.concat());
            made
        };
        for labels in [["a", "b"], ["b", "a"], ["ab", ""], ["", "ab"], ["", ""]] {
            assert!(made(labels), "{labels:?}");
            assert!(!made(labels), "{labels:?}");
        }
        cells.forget();
        assert!(made(["a", "b"]));
    }

    #[test]
    fn labels_that_hash_alike_are_told_apart() {
        let cells: Cells<1, u8> = Cells::default();
        let hash = Quickly::default().hash_one(["b"]);
        let other = Cell {
            labels: ["a".into()],
            value: 1,
        };
        cells
            .0
            .write()
            .unwrap()
            .entry(hash)
            .or_default()
            .push(other);
        assert_eq!(cells.with(&["b"], || 2, |value| *value), 2);
        assert_eq!(cells.with(&["b"], || 3, |value| *value), 2);
    }
}
