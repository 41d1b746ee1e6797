//! What was learned of providers while calling them, by name: it outlives a reload.

use arc_swap::ArcSwap;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Habits {
    /// They answered `stream_options` with an error.
    without_usage: ArcSwap<HashSet<Arc<str>>>,
}

impl Habits {
    pub fn takes_stream_options(&self, provider: &str) -> bool {
        !self.without_usage.load().contains(provider)
    }

    pub fn refuses_stream_options(&self, provider: &Arc<str>) {
        self.without_usage.rcu(|known| {
            let mut known = HashSet::clone(known);
            known.insert(Arc::clone(provider));
            known
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_provider_refuses_the_others_still_get() {
        let habits = Habits::default();
        assert!(habits.takes_stream_options("a"));
        habits.refuses_stream_options(&"a".into());
        habits.refuses_stream_options(&"a".into());
        assert!(!habits.takes_stream_options("a"));
        assert!(habits.takes_stream_options("b"));
    }
}
