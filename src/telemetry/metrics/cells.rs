//! Series that were looked up once. The hot path would otherwise hash every label of every family
//! for each request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug)]
pub struct Cells<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Cells<K, V> {
    fn default() -> Cells<K, V> {
        Cells(RwLock::default())
    }
}

impl<K: Eq + Hash, V: Default> Cells<K, V> {
    pub fn get(&self, key: K) -> Arc<V> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = known.get(&key) {
            return Arc::clone(cell);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key).or_default())
    }

    pub fn retain(&self, is_named: impl Fn(&K) -> bool) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| is_named(key));
    }
}
